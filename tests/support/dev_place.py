"""`ranvier-dev` as a process: started on a folder, asked over HTTP, ended."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import yaml

REPOSITORY = Path(__file__).parents[2]
AGENT = REPOSITORY / "tests" / "support" / "scripted_acp_agent.py"
FACT_SECONDS_MAX = 60.0
IDLE_SECONDS = 1


def manifests(
    names: Sequence[str], command: Sequence[str], environment: Mapping[str, str], idle_seconds: int
) -> str:
    """An axon and a devbox that sleeps, for each name."""
    made = []
    for name in names:
        broker_mount = {
            "axonRef": {"name": name},
            "protocol": "acp",
            "agentBinary": command[0],
            "launchArgs": list(command[1:]),
        }
        lifecycle = {
            "resumeTriggers": {"axonEvent": True},
            "afterIdle": {"idleTimeSeconds": idle_seconds, "onIdle": "Suspend"},
        }
        devbox = {
            "image": "none",
            "env": [{"name": name, "value": value} for name, value in environment.items()],
            "mounts": [{"brokerMount": broker_mount}],
            "lifecycle": lifecycle,
        }
        made += [manifest("Axon", name, {}), manifest("Devbox", name, devbox)]
    return yaml.safe_dump_all(made)


def manifest(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    api_version = "ranvier.dev/v1alpha1"
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec}


class Dev:
    """One `ranvier-dev` at a time on one folder; the agent plays what a prompt says, unless another
    one is named."""

    def __init__(
        self,
        folder: Path,
        names: Sequence[str] = ("fixer",),
        *,
        command: Sequence[str] = (sys.executable, str(AGENT)),
        environment: Mapping[str, str] = MappingProxyType({}),
        idle_seconds: int = IDLE_SECONDS,
    ) -> None:
        self.names = names
        self.state = folder / "state"
        self._output = folder / "output"
        self._manifest = folder / "fixer.yaml"
        self._manifest.write_text(manifests(names, command, environment, idle_seconds))

    def here(self, commands: str) -> str:
        """The page's commands for this folder and port."""
        here = commands.replace("http://127.0.0.1:8080", self.url)
        return here.replace(".ranvier/", f"{self.state}/")

    async def start(self, *flags: str, environment: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "ranvier_dev", "--state", str(self.state), "--port", "0"]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
                [*command, *flags], stdout=output, stderr=subprocess.STDOUT, env=environment
            )
        said = await self.until("ready", self._says_ready)
        variables = dict(w.split("=", 1) for w in said.split() if w.startswith("RANVIER_"))
        self.url, self.api_key = variables["RANVIER_BASE_URL"], variables["RANVIER_API_KEY"]
        headers = {"authorization": f"Bearer {self.api_key}"}
        self.http = httpx.AsyncClient(
            base_url=self.url, headers=headers, trust_env=False, timeout=15
        )

    async def apply(self) -> None:
        """Start with an axon and a devbox for each name; `axon_ids` in the names' order."""
        await self.start("--apply", str(self._manifest))
        self.axon_ids = [await self.until(name, lambda n=name: self.axon(n)) for name in self.names]
        self.axon_id = self.axon_ids[0]

    async def _says_ready(self) -> str:
        said = self._output.read_text()
        assert self.process.poll() is None, said
        return said if "Devboxes run as you" in said else ""

    async def axon(self, name: str = "fixer") -> str:
        """Its id; "" while it is not there."""
        axons = (await self.http.get("/v1/axons", params={"name": name})).json()["axons"]
        return str(axons[0]["id"]) if axons else ""

    async def stop(self, number: int = signal.SIGINT) -> int:
        await self.http.aclose()
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, 30)

    async def say(self, text: str) -> int:
        event = {"source": "test", "origin": "USER_EVENT", "event_type": "user.message"}
        body = {**event, "payload": json.dumps({"content": text})}
        answer = await self.http.post(f"/v1/axons/{self.axon_id}/publish", json=body)
        return int(answer.json()["sequence"])

    async def events(self, event_type: str, after: int = 0) -> list[Any]:
        answer = await self.http.get(f"/v1/axons/{self.axon_id}/events", params={"limit": 500})
        found = [e for e in answer.json()["events"] if e["event_type"] == event_type]
        return [e for e in reversed(found) if e["sequence"] > after]

    async def seen(self, event_type: str, after: int = 0) -> Any:
        async def look() -> Any:
            return await self.events(event_type, after)

        return json.loads((await self.until(event_type, look))[0]["payload"])

    async def until(self, what: str, look: Any) -> Any:
        deadline = time.monotonic() + FACT_SECONDS_MAX
        while not (found := await look()):
            assert time.monotonic() < deadline, f"not seen: {what}\n{self._output.read_text()}"
            await asyncio.sleep(0.05)
        return found

    def processes(self) -> list[str]:
        """Command lines of everything that runs for this folder."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/environ"):
            try:
                if str(self.state).encode() in entry.read_bytes():
                    found.append(entry.with_name("cmdline").read_bytes().decode())
            except OSError:
                continue
        return found

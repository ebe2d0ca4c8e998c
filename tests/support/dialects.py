"""Agent protocols as their clients speak them on the axon, and the agents that speak them here.

A `Dialect` is what a client of one protocol does; a `Cast` is an agent of that protocol with the
words that make it do things. The conformance suite is written in terms of these two alone.
"""

import json
import re
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from axon_client import FACT_SECONDS_MAX, AxonClient, Event, payload
from kind.agents import Program

HERE = Path(__file__).parent


class Dialect(Protocol):
    """A client of one protocol. `session`: what `greet` gave; one agent process may serve many."""

    protocol: str

    async def greet(self, axon: AxonClient) -> str:
        """What a client does first, whether or not another did it before; return the session."""

    async def prompt(self, axon: AxonClient, session: str, text: str) -> int:
        """Publish a prompt; return its sequence."""

    async def cancel(self, axon: AxonClient, session: str) -> int:
        """Publish a cancel of the open turn."""

    async def asked(self, axon: AxonClient, after: int) -> Event:
        """Wait for the agent's question for permission."""

    async def allow(self, axon: AxonClient, question: Event) -> None:
        """Answer it: yes, this once."""

    def text(self, axon: AxonClient, after: int, before: int) -> str:
        """What the agent told the client between two sequences."""


class Acp:
    """`acp`: bare payloads under the method's name."""

    protocol = "acp"

    async def greet(self, axon: AxonClient) -> str:
        return await axon.greet()

    async def prompt(self, axon: AxonClient, session: str, text: str) -> int:
        return await axon.prompt(session, text)

    async def cancel(self, axon: AxonClient, session: str) -> int:
        return await axon.cancel(session)

    async def asked(self, axon: AxonClient, after: int) -> Event:
        return await axon.seen("session/request_permission", after)

    async def allow(self, axon: AxonClient, question: Event) -> None:
        options = payload(question)["options"]
        once = next(option for option in options if option["kind"] == "allow_once")
        outcome = {"outcome": {"outcome": "selected", "optionId": once["optionId"]}}
        await axon.publish("session/request_permission", outcome)

    def text(self, axon: AxonClient, after: int, before: int) -> str:
        return axon.text(after, before)


class Claude:
    """`claude_json`: whole lines under the message's type."""

    protocol = "claude_json"

    async def greet(self, axon: AxonClient) -> str:
        request = {"subtype": "initialize", "hooks": None}
        sequence = await self.control(axon, request)
        await self.answered(axon, sequence)
        return ""

    async def prompt(self, axon: AxonClient, session: str, text: str) -> int:
        message = {"role": "user", "content": text}
        line = {"type": "user", "message": message, "parent_tool_use_id": None}
        return await axon.publish("query", line)

    async def cancel(self, axon: AxonClient, session: str) -> int:
        return await self.control(axon, {"subtype": "interrupt"})

    async def asked(self, axon: AxonClient, after: int) -> Event:
        return await axon.seen("control_request", after)

    async def allow(self, axon: AxonClient, question: Event) -> None:
        asked = payload(question)
        answer = {"behavior": "allow", "updatedInput": asked["request"]["input"]}
        response = {"subtype": "success", "request_id": asked["request_id"], "response": answer}
        await axon.publish("control_response", {"type": "control_response", "response": response})

    def text(self, axon: AxonClient, after: int, before: int) -> str:
        deltas = [
            payload(event)["event"].get("delta", {})
            for event in axon.events
            if event["event_type"] == "stream_event" and after < event["sequence"] < before
        ]
        return "".join(delta.get("text", "") for delta in deltas)

    async def control(self, axon: AxonClient, request: dict[str, Any]) -> int:
        """Publish a control request with an id of its own; return its sequence."""
        request_id = f"req_{len(axon.events)}_{json.dumps(request)[:40]}"
        line = {"type": "control_request", "request_id": request_id, "request": request}
        return await axon.publish("control_request", line)

    async def answered(self, axon: AxonClient, sequence: int) -> dict[str, Any]:
        """Wait for the answer to the control request of this sequence."""
        asked = await axon.until("published", lambda: axon.at(sequence))
        wanted = payload(asked)["request_id"]

        def find() -> Any:
            for event in axon.events:
                if event["event_type"] == "control_response" and event["sequence"] > sequence:
                    response: dict[str, Any] = payload(event)["response"]
                    if response["request_id"] == wanted:
                        return response
            return None

        response: dict[str, Any] = await axon.until(f"no answer to {wanted}", find)
        return response


class Codex:
    """`codex_app_server`: whole frames under their method, answers under `response`."""

    protocol = "codex_app_server"

    async def greet(self, axon: AxonClient) -> str:
        client = {"name": "test", "version": "0"}
        greeted = await self.request(axon, "initialize", {"clientInfo": client})
        opened = await self.request(axon, "thread/start", {"cwd": axon.work_folder})
        await self.answered(axon, greeted)
        return str((await self.answered(axon, opened))["result"]["thread"]["id"])

    async def prompt(self, axon: AxonClient, session: str, text: str) -> int:
        params = {"threadId": session, "input": [{"type": "text", "text": text}]}
        return await self.request(axon, "turn/start", params)

    async def cancel(self, axon: AxonClient, session: str) -> int:
        last = [payload(e) for e in axon.events if e["event_type"] == "turn/started"][-1]
        params = {"threadId": session, "turnId": last["params"]["turn"]["id"]}
        return await self.request(axon, "turn/interrupt", params)

    async def asked(self, axon: AxonClient, after: int) -> Event:
        return await axon.seen("item/commandExecution/requestApproval", after)

    async def allow(self, axon: AxonClient, question: Event) -> None:
        answer = {"id": payload(question)["id"], "result": {"decision": "accept"}}
        await axon.publish("response", answer)

    def text(self, axon: AxonClient, after: int, before: int) -> str:
        return "".join(
            payload(event)["params"]["delta"]
            for event in axon.events
            if event["event_type"] == "item/agentMessage/delta"
            and after < event["sequence"] < before
        )

    async def request(self, axon: AxonClient, method: str, params: dict[str, Any]) -> int:
        """Publish a request with an id of its own; return its sequence."""
        return await axon.publish(method, {"id": str(uuid4()), "method": method, "params": params})

    async def answered(self, axon: AxonClient, sequence: int) -> dict[str, Any]:
        """Wait for the answer to the request of this sequence."""
        asked = await axon.until("published", lambda: axon.at(sequence))
        return dict(payload(await axon.seen("response", sequence, id=payload(asked)["id"])))


MEMORY = re.compile(r"HISTORY (?:prompts=)?(\d+) (.*)", re.DOTALL)


@dataclass(frozen=True)
class Memory:
    """What a session's model is told of its past: how many prompts, and the first of them."""

    prompts: int
    first: str

    @classmethod
    async def of(cls, axon: AxonClient, client: Dialect, trigger: int) -> "Memory":
        """From the turn of a prompt that asks for it."""
        end = await axon.completed(trigger)
        told = MEMORY.search(client.text(axon, trigger, end["sequence"]))
        assert told is not None, axon.told()
        return cls(int(told[1]), told[2].strip())

    def grew_to(self, later: "Memory") -> bool:
        return later.first == self.first and later.prompts > self.prompts


class Pi:
    """`pi_json`: whole records under their type; a prompt is `turn/start`, an abort `cancel`."""

    protocol = "pi_json"

    async def greet(self, axon: AxonClient) -> str:
        greeted = await self.command(axon, "initialize", type="get_state")
        asked = payload(await axon.until("published", lambda: axon.at(greeted)))
        await axon.seen("response", greeted, id=asked["id"])
        return ""

    async def prompt(self, axon: AxonClient, session: str, text: str) -> int:
        return await self.command(axon, "turn/start", type="prompt", message=text)

    async def cancel(self, axon: AxonClient, session: str) -> int:
        return await self.command(axon, "cancel", type="abort")

    async def asked(self, axon: AxonClient, after: int) -> Event:
        return await axon.seen("extension_ui_request", after)

    async def allow(self, axon: AxonClient, question: Event) -> None:
        answer = {"type": "extension_ui_response", "id": payload(question)["id"], "confirmed": True}
        await axon.publish("extension_ui_response", answer)

    def text(self, axon: AxonClient, after: int, before: int) -> str:
        updates = [
            payload(event)["assistantMessageEvent"]
            for event in axon.events
            if event["event_type"] == "message_update" and after < event["sequence"] < before
        ]
        return "".join(update["delta"] for update in updates if update["type"] == "text_delta")

    async def command(self, axon: AxonClient, event_type: str, **members: Any) -> int:
        """Publish a command with an id of its own; return its sequence."""
        return await axon.publish(event_type, {"id": str(uuid4()), **members})


@dataclass(frozen=True)
class Words:
    """Directives that make an agent do things; the defaults are those of `scripted_play`."""

    say: str = "[[say {}]]"
    slow: str = "[[slow {} {}]]"
    ask: str = "[[ask touch asked.txt]]"
    tool: str = "[[tool ls]]"
    history: str = "[[history]]"
    tool_asks: bool = False
    """Whether even that tool needs permission."""


@dataclass(frozen=True)
class Cast:
    """An agent: how it is started and what it understands."""

    name: str
    dialect: Dialect
    program: Callable[[Path], AbstractContextManager[Program]]
    """Makes a home ready for it, for as long as it lives there. Raises `kind.errors.Failure` where
    it can not be had."""
    words: Words = field(default_factory=Words)
    seconds_max: float = FACT_SECONDS_MAX


def scripted(program: str, *arguments: str) -> Callable[[Path], AbstractContextManager[Program]]:
    """A scripted agent of ours: needs nothing but Python."""
    command = (sys.executable, str(HERE / program), *arguments)
    return lambda _: nullcontext(Program(command, {}))


SCRIPTED = (
    Cast("acp-scripted", Acp(), scripted("scripted_acp_agent.py")),
    Cast("claude-scripted", Claude(), scripted("scripted_claude_agent.py")),
    Cast("codex-scripted", Codex(), scripted("scripted_codex_agent.py", "app-server")),
    Cast("pi-scripted", Pi(), scripted("scripted_pi_agent.py")),
)
"""One for each protocol; a new protocol is added here."""

"""What the broker costs: from an agent's line to the event that a subscriber sees.

API server, broker, launcher and agent run as processes of this machine, on loopback, with a journal
on disk. Two figures: the median delay of a chunk at rest, and chunks a second when the agent prints
as fast as it can, next to the same lines piped straight to a file. Memory is the peak of each
process, after the first flood and after the last: what grows with the number of chunks shows.
"""

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from stage.shell import ROOT

sys.path.insert(0, str(ROOT / "tests" / "support"))

from broker_box import API_KEY, Box, Server, peak_mib

AGENT: Final = Path(__file__).with_name("bench_agent.py")
CHUNK: Final = b'"event_type":"item/agentMessage/delta"'
PRINTED: Final = re.compile(rb'delta\\":\\"(\d+)\\"')
END: Final = b'"turn.completed"'
PAUSE_MS: Final = 20
"""Between two chunks at rest: longer than anything on the way takes."""
TURN_SECONDS_MAX: Final = 120.0

DELAY_MS_WANTED: Final = 5.0
CHUNKS_A_SECOND_WANTED: Final = 5_000


@dataclass
class Bench(Box):
    """A devbox whose subscriber counts instead of reading, so that it does not become the brake."""

    chunks: int = 0
    first_ns: int = 0
    end_ns: int = 0
    delays_ms: list[float] = field(default_factory=list)
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    async def _watch(self) -> None:
        headers = {"authorization": f"Bearer {API_KEY}"}
        url = f"/v1/axons/{self.axon_id}/subscribe/sse"
        async with self.http.stream("GET", url, headers=headers, timeout=None) as response:
            rest = b""
            async for data in response.aiter_bytes():
                now_ns = time.time_ns()
                whole, _, rest = (rest + data).rpartition(b"\n\n")
                self._count(whole, now_ns)

    def _count(self, frames: bytes, now_ns: int) -> None:
        count = frames.count(CHUNK)
        if count and not self.chunks:
            self.first_ns = now_ns
        self.chunks += count
        self.delays_ms += [(now_ns - int(ns)) / 1e6 for ns in PRINTED.findall(frames)]
        if END in frames:
            self.end_ns = now_ns
            self.is_over.set()

    async def turn(self, prompt: str) -> None:
        """One turn, up to the moment when its end was seen."""
        self.chunks = self.first_ns = self.end_ns = 0
        self.delays_ms = []
        self.is_over.clear()
        part = {"type": "text", "text": prompt}
        params = {"threadId": "bench", "input": [part]}
        await self.publish("turn/start", {"id": 1, "method": "turn/start", "params": params})
        async with asyncio.timeout(TURN_SECONDS_MAX):
            await self.is_over.wait()


@asynccontextmanager
async def running() -> AsyncIterator[Bench]:
    """A devbox that has had its first turn."""
    with tempfile.TemporaryDirectory(prefix="ranvier-bench-") as name:
        folder = Path(name)
        for part in ("server", "box"):
            (folder / part).mkdir()
        server = Server(folder / "server")
        try:
            agent = (sys.executable, str(AGENT), "app-server")
            async with Bench(
                server, folder / "box", protocol="codex_app_server", agent=agent
            ) as bench:
                bench.start()
                await bench.turn("rest 3 1")
                yield bench
        finally:
            server.kill()


def straight(count: int) -> float:
    """Chunks a second from the agent into a file."""
    with tempfile.TemporaryFile() as file:
        began = time.monotonic()
        subprocess.run([sys.executable, AGENT, "--straight", str(count)], stdout=file, check=True)
        return count / (time.monotonic() - began)


Figures = dict[str, float]


async def measure(rest: int, flood: int, rounds: int) -> Figures:
    """All figures of one run."""
    async with running() as bench:
        await bench.turn(f"rest {rest} {PAUSE_MS}")
        delays = sorted(bench.delays_ms)
        if len(delays) != rest:
            raise SystemExit(f"{rest} chunks were printed at rest, {len(delays)} were seen")
        rates = [await flooded(bench, flood)]
        first = memory(bench)
        rates += [await flooded(bench, flood) for _ in range(rounds - 1)]
        return {
            "delay_ms_median": statistics.median(delays),
            "delay_ms_p99": delays[len(delays) * 99 // 100],
            "chunks_a_second": statistics.median(rates),
            "chunks_a_second_straight": straight(flood),
            **{f"{name}_first": mib for name, mib in first.items()},
            **memory(bench),
        }


async def flooded(bench: Bench, count: int) -> float:
    """Chunks a second of one flood, from the first that is seen to the end of its turn."""
    await bench.turn(f"flood {count}")
    if bench.chunks != count:
        raise SystemExit(f"{count} chunks were printed, {bench.chunks} were seen")
    return count / ((bench.end_ns - bench.first_ns) / 1e9)


def memory(bench: Bench) -> Figures:
    """The most that each process ever had."""
    assert bench.broker is not None
    return {
        "broker_peak_mib": peak_mib(bench.broker.pid),
        "apiserver_peak_mib": peak_mib(bench.server.process.pid),
    }


def report(figures: Figures) -> str:
    """The figures for people."""
    share = figures["chunks_a_second"] / figures["chunks_a_second_straight"]
    return "\n".join(
        [
            "agent line → event seen by a subscriber, at rest",
            f"  median {figures['delay_ms_median']:8.2f} ms     (wanted ≤ {DELAY_MS_WANTED:g})",
            f"  p99    {figures['delay_ms_p99']:8.2f} ms",
            "chunks a second, as fast as the agent prints",
            f"  through broker and API server {figures['chunks_a_second']:10,.0f}"
            f"     (wanted ≥ {CHUNKS_A_SECOND_WANTED:,})",
            f"  straight into a file          {figures['chunks_a_second_straight']:10,.0f}"
            f"     (the journal keeps {share:.1%} of that pace)",
            "peak memory, after the first flood → after the last",
            *(
                f"  {label:10} {figures[f'{name}_peak_mib_first']:8.0f} →"
                f" {figures[f'{name}_peak_mib']:.0f} MiB"
                for label, name in (("broker", "broker"), ("API server", "apiserver"))
            ),
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="hack/bench/broker", description=__doc__)
    parser.add_argument("--rest", type=int, default=200, help="chunks at rest (200)")
    parser.add_argument("--flood", type=int, default=30_000, help="chunks of a flood (30000)")
    parser.add_argument("--rounds", type=int, default=3, help="floods (3)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    figures = asyncio.run(measure(options.rest, options.flood, options.rounds))
    print(json.dumps(figures) if options.json else report(figures))
    is_good = (
        figures["delay_ms_median"] <= DELAY_MS_WANTED
        and figures["chunks_a_second"] >= CHUNKS_A_SECOND_WANTED
    )
    return 0 if is_good else 1

"""How fast the journal is, beside its peers: one run, one machine, one load generator, one table.

Everything measured is durable when it is acknowledged. Load generator and server share the cores,
so the figures compare; they are no server's best.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kind.cache import published, tree_key
from kind.errors import Failure
from kind.go_toolchain import find_go
from kind.places import Places
from kind.processes import run_logged
from kind.progress import Progress

from stage.journal_peers import PEERS, Bench, Peer, Serving, serving
from stage.shell import ROOT

LOAD: Final = ROOT / "hack" / "bench" / "load"
LIMIT_SECONDS: Final = 300.0
"""Of one measure."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of the table: the load generator's mode and flags, and which of its figures."""

    title: str
    mode: str
    flags: Sequence[str]
    figure: str
    unit: str = ""
    is_rate: bool = True

    @property
    def key(self) -> tuple[str, ...]:
        return (self.mode, *self.flags)


def measures(seconds: float, events: int) -> list[Measure]:
    """The whole table. Measures of the same key come from one run."""
    held = ("-for", f"{seconds:g}s")
    rows = []
    for producers, streams in ((1, 1), (64, 1), (64, 64)):
        flags = (*held, "-producers", str(producers), "-streams", str(streams))
        title = f"publish, {producers} producers on {streams}"
        rows.append(Measure(title, "publish", flags, "per_second", "/s"))
        rows.append(Measure(f"{title}: p99", "publish", flags, "p99_ms", "ms", is_rate=False))
    batches = (*held, "-producers", "8", "-batch", "100")
    rows.append(Measure("publish, batches of 100", "publish", batches, "per_second", "events/s"))
    for subscribers, rate in ((1, 100), (10, 50), (100, 50), (1000, 20)):
        flags = (*held, "-subscribers", str(subscribers), "-rate", str(rate))
        title = f"deliver to {subscribers} at {rate}/s"
        rows.append(Measure(f"{title}: p50", "deliver", flags, "p50_ms", "ms", is_rate=False))
        rows.append(Measure(f"{title}: p99", "deliver", flags, "p99_ms", "ms", is_rate=False))
    replay = ("-events", str(events))
    rows.append(Measure(f"replay of {events}", "replay", replay, "per_second", "events/s"))
    idle = ("-subscribers", "1000")
    rows.append(Measure("idle subscriber", "idle", idle, "kib_each", "KiB", is_rate=False))
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 when everything asked for was measured."""
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(
        prog="hack/bench/journal",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"peers: {', '.join(names)}",
    )
    parser.add_argument("--only", action="append", metavar="WORD", help="peers with this word")
    parser.add_argument("--measure", action="append", metavar="WORD", help="rows with this word")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measure (default: 4)")
    parser.add_argument(
        "--events", type=int, default=1_000_000, help="to replay (default: 1000000)"
    )
    parser.add_argument("--json", type=Path, help="write the figures there too")
    given = parser.parse_args(arguments)
    rows = [m for m in measures(given.seconds, given.events) if _wanted(m.title, given.measure)]
    peers = [peer for peer in PEERS if _wanted(peer.name, given.only)]
    progress = Progress()
    bench = Bench(Places.from_environment(), progress)
    load = build_load(bench)
    figures: dict[str, dict[str, float]] = {}
    for peer in peers:
        try:
            figures[peer.name] = measure_all(load, peer, rows, bench)
        except Failure as failure:
            print(f"{peer.name} is left out: {failure}", file=sys.stderr)
    print(table(rows, figures))
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if len(figures) == len(peers) else 1


def build_load(bench: Bench) -> Path:
    """The load generator, built once for its content."""
    program = bench.folder / f"load-{tree_key(LOAD)}"
    if not program.exists():
        go = find_go(bench.places, bench.progress)
        with bench.progress.step("building the load generator"), published(program) as target:
            command: list[str | Path] = [
                go,
                "build",
                "-trimpath",
                "-buildvcs=false",
                "-o",
                target,
                ".",
            ]
            environment = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
            log = bench.places.logs / "load.log"
            run_logged(command, log, environment=environment, folder=LOAD)
    return program


def measure_all(load: Path, peer: Peer, rows: Iterable[Measure], bench: Bench) -> dict[str, float]:
    """Each measure on a fresh server, figures by title. Raises Failure."""
    runs: dict[tuple[str, ...], Mapping[str, float]] = {}
    found: dict[str, float] = {}
    for row in rows:
        if row.key not in runs:
            with (
                bench.progress.step(f"{peer.name}: {row.title.partition(':')[0]}"),
                tempfile.TemporaryDirectory(prefix="ranvier-bench-") as folder,
                serving(peer, bench, Path(folder)) as server,
            ):
                runs[row.key] = (hold if row.mode == "idle" else ask)(load, server, row)
        found[row.title] = runs[row.key].get(row.figure, float("nan"))
    return found


def ask(load: Path, server: Serving, row: Measure) -> Mapping[str, float]:
    """One run of the load generator. An answer without the figure when the server could not."""
    done = subprocess.run(
        _command(load, server, row),
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
    )
    if done.returncode != 0:
        print(f"  {row.title}: {done.stderr.strip()[-300:]}", file=sys.stderr)
        return {}
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def hold(load: Path, server: Serving, row: Measure) -> Mapping[str, float]:
    """Memory that subscribers without events cost the server, each."""
    before = resident_kib(server.process.pid)
    with subprocess.Popen(
        _command(load, server, row),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stderr.readline()
        after = resident_kib(server.process.pid)
        process.stdin.close()
        count = json.loads(process.stdout.read())["subscribers"]
    return {"kib_each": (after - before) / count}


def resident_kib(pid: int) -> int:
    """Of the process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    kib = pages * os.sysconf("SC_PAGESIZE") // 1024
    return kib + sum(resident_kib(int(child)) for child in children)


def table(rows: Sequence[Measure], figures: Mapping[str, Mapping[str, float]]) -> str:
    """A line a measure, a column a peer; behind each of ours' peers, our share of its figure."""
    names = list(figures)
    if not names:
        return "nothing was measured"
    lines = [["", *names]]
    for row in rows:
        cells = [f"{row.title} ({row.unit})"]
        ours = figures[names[0]][row.title]
        for name in names:
            theirs = figures[name][row.title]
            digits = f"{theirs:,.0f}" if row.is_rate else f"{theirs:,.2f}"
            share = f"{ours / theirs:.2f}x" if theirs else "-"
            cells.append(digits if name == names[0] else f"{digits} ({share})")
        lines.append(cells)
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = [_line(line, widths) for line in lines]
    note = f"(…x): {names[0]} / this server. More is better for rates, less for times and memory."
    return "\n".join([text[0], "-" * len(text[0]), *text[1:], note])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])


def _command(load: Path, server: Serving, row: Measure) -> list[str | Path]:
    address = ["-target", server.target, "-url", server.url, "-key", server.key]
    return [load, *address, *row.flags, row.mode]


def _wanted(name: str, words: Sequence[str] | None) -> bool:
    return not words or any(word in name for word in words)

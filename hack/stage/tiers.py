"""The test tiers, named by what they need, and one run over them.

Each tier is a list of commands. A tier that can not run on this machine is left out, and the
summary says so and why; a tier that fails does not keep the others from running. The exit status
is 0 only when nothing failed.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from stage.shell import PYTHON, ROOT, cluster_environment, run

BIN = PYTHON.parent
Command = list[str]


def pytest(*paths: str) -> Command:
    return [str(BIN / "pytest"), "-q", *paths]


def in_parallel(*paths: str) -> Command:
    """A file's tests stay together, in order: they share servers. Most of the time they wait for
    processes, so there is one worker more than there are cores. Soaks measure, and run alone."""
    if os.environ.get("RANVIER_SOAK"):
        return pytest(*paths)
    return [*pytest(*paths), "-n", str((os.cpu_count() or 1) + 1), "--dist", "loadfile"]


@dataclass
class Tier:
    """`prepare` returns the environment to run in, or raises LeftOut; `finish` undoes it."""

    name: str
    needs: str
    commands: list[Command]
    prepare: Callable[[], dict[str, str]] = lambda: dict(os.environ)
    finish: Callable[[], None] = lambda: None


def with_agents() -> dict[str, str]:
    """Brings the real agents, once; where one can not be had, its tests are skipped and say why."""
    if run([ROOT / "hack" / "agents", "bring"]) != 0:
        print("not every real agent could be brought; the tests of the others run", flush=True)
    return dict(os.environ)


class LeftOut(Exception):
    """This machine can not run the tier; the message says why."""


@dataclass
class ClusterLoan:
    """Brings a cluster up for the tests; takes it down after only if it was not there before."""

    brought_up: bool = field(default=False)

    def prepare(self) -> dict[str, str]:
        from stage.release import ReleaseFailed, deploy

        was_up = run([ROOT / "hack" / "cluster", "status", "--quiet"]) == 0
        if run([ROOT / "hack" / "cluster", "up"]) != 0:
            raise LeftOut("no cluster could be brought up here (see above what to install)")
        self.brought_up = not was_up
        env = cluster_environment()
        try:
            deploy(env, every_agent=True)
        except ReleaseFailed as failure:
            raise RuntimeError(
                f"the product did not install on the cluster: {failure}"
            ) from failure
        return env

    def finish(self) -> None:
        if self.brought_up:
            run([ROOT / "hack" / "cluster", "down"])


def tiers() -> list[Tier]:
    """All tiers, in the order of the time they take."""
    loan = ClusterLoan()
    check = [
        [str(BIN / "ruff"), "format", "--check", "--quiet", "."],
        [str(BIN / "ruff"), "check", "--quiet", "."],
        [str(BIN / "mypy"), "--no-error-summary"],
        [str(BIN / "mypy"), "--no-error-summary", "-p", "kind", "-p", "stage"],
        [str(BIN / "lint-imports"), "--no-logo"],
        [str(PYTHON), "hack/crdgen.py", "--check"],
        [str(PYTHON), "hack/docgen.py", "--check"],
    ]
    return [
        Tier("check", "python", check),
        Tier("unit", "python", [in_parallel("tests/unit", "tests/properties")]),
        Tier("integration", "python, loopback", [in_parallel("tests/integration")], with_agents),
        Tier(
            "e2e",
            "a kind cluster",
            [pytest("tests/chart", "tests/crds", "tests/contract"), pytest("tests/e2e")],
            loan.prepare,
            loan.finish,
        ),
    ]


def run_tier(tier: Tier) -> tuple[str, str]:
    """Run one tier; returns its outcome ("passed", "FAILED", "left out") and a remark."""
    try:
        env = tier.prepare()
    except LeftOut as reason:
        return "left out", str(reason)
    except Exception as failure:  # a tier that can not be prepared has failed, the others go on
        return "FAILED", str(failure)
    try:
        failed = [command for command in tier.commands if run(command, env) != 0]
    finally:
        tier.finish()
    if failed:
        return "FAILED", "; ".join(" ".join(c).replace(f"{BIN}/", "") for c in failed)
    return "passed", ""


def main() -> int:
    known = tiers()
    parser = argparse.ArgumentParser(
        prog="hack/test",
        description="Run the test tiers: "
        + ", ".join(f"{t.name} (needs {t.needs})" for t in known),
    )
    parser.add_argument("tier", nargs="*", help="tiers to run; all when none is named")
    names = parser.parse_args().tier
    unknown = set(names) - {t.name for t in known}
    if unknown:
        parser.error(
            f"no tier {', '.join(sorted(unknown))}; there are {', '.join(t.name for t in known)}"
        )
    rows = []
    for tier in known:
        if names and tier.name not in names:
            continue
        print(f"\n=== {tier.name}", flush=True)
        started = time.monotonic()
        outcome, remark = run_tier(tier)
        rows.append((tier.name, outcome, time.monotonic() - started, remark))
    print("\n=== summary")
    for name, outcome, seconds, remark in rows:
        print(f"{name:<12} {outcome:<9} {seconds:7.1f} s  {remark}")
    failed = sum(outcome == "FAILED" for _, outcome, _, _ in rows)
    passed = sum(outcome == "passed" for _, outcome, _, _ in rows)
    left_out = len(rows) - failed - passed
    print(f"tiers: {passed} passed, {failed} failed, {left_out} skipped")
    sys.stdout.flush()
    return 1 if failed else 0

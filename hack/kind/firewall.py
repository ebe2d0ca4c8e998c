"""The machine's packet filter: taken down before our Docker daemon starts, put back when it has
ended.

Pure text work on what `iptables-save` prints. If nobody but Docker changed the rules meanwhile, the
saved text is put back exactly. If somebody else did, their rules stay and only Docker's go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# What Docker's bridge driver makes: chains DOCKER, DOCKER-USER, DOCKER-ISOLATION-STAGE-1 …, and
# rules that name them, its bridges (docker0, br-<12 hex digits>), or masquerade what a container
# sends to its own published port.
_DOCKER_CHAIN = re.compile(r"^(:|-A |.* -[jg] )DOCKER\b")
_DOCKER_BRIDGE = re.compile(r" (docker0|br-[0-9a-f]{12})\b")
_DOCKER_HAIRPIN = re.compile(r"^-A POSTROUTING -s (\S+/32) -d \1 .*-j MASQUERADE$")
_COUNTERS = re.compile(r"\[\d+:\d+\]")


def rules_of(saved: str) -> list[str]:
    """The lines that matter: no comments (they hold the time), no packet counters."""
    lines = (_COUNTERS.sub("[0:0]", line.strip()) for line in saved.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def same_rules(one: str, other: str) -> bool:
    """Whether two tables let the same packets through. A table that is empty or missing is the
    same."""
    return _occupied(rules_of(one)) == _occupied(rules_of(other))


def without_docker(saved: str) -> str:
    """The rules without those Docker made."""
    return _text(line for line in rules_of(saved) if not _is_docker(line))


def restored(before: str, now: str) -> str:
    """What to hand to `iptables-restore` so that nothing of Docker's is left.

    Every table that is there now is named in the answer, since a table not named would be left as
    it is.
    """
    chosen = (
        before if _only_docker_changed(before, now) else _with_policies(before, without_docker(now))
    )
    tables = _tables(rules_of(chosen))
    for name, lines in _tables(rules_of(now)).items():
        # Not there before: its built-in chains, open, and nothing else.
        builtin = [line for line in lines if _is_builtin(line)]
        tables.setdefault(name, [_opened(line) for line in builtin])
    return _text(line for name, lines in tables.items() for line in (f"*{name}", *lines, "COMMIT"))


def _only_docker_changed(before: str, now: str) -> bool:
    return same_rules(
        _text(map(_opened, rules_of(before))), _text(map(_opened, rules_of(without_docker(now))))
    )


def _with_policies(before: str, now: str) -> str:
    """`now`, with the policies of the built-in chains as they were before (Docker sets FORWARD to
    DROP)."""
    policies = {
        (table, line.split()[0]): line
        for table, lines in _tables(rules_of(before)).items()
        for line in lines
        if _is_builtin(line)
    }
    changed = []
    for table, lines in _tables(rules_of(now)).items():
        changed += [f"*{table}"]
        changed += [
            policies.get((table, line.split()[0]), _opened(line)) if _is_builtin(line) else line
            for line in lines
        ]
        changed += ["COMMIT"]
    return _text(changed)


def _occupied(lines: list[str]) -> dict[str, list[str]]:
    """Tables that do anything: hold a rule, a chain of their own or a closed policy. Order of
    chains is no matter."""
    return {
        name: sorted(line for line in lines if line.startswith(":"))
        + [line for line in lines if line[0] != ":"]
        for name, lines in _tables(lines).items()
        if any(not _is_builtin(line) or line != _opened(line) for line in lines)
    }


def _tables(lines: Iterable[str]) -> dict[str, list[str]]:
    tables: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        if line.startswith("*"):
            current = tables.setdefault(line[1:], [])
        elif line != "COMMIT":
            current.append(line)
    return tables


def _is_docker(line: str) -> bool:
    return any(sign.search(line) for sign in (_DOCKER_CHAIN, _DOCKER_BRIDGE, _DOCKER_HAIRPIN))


def _is_builtin(line: str) -> bool:
    """A chain of the kernel's own has a policy; others show "-"."""
    return line.startswith(":") and line.split()[1] != "-"


def _opened(line: str) -> str:
    return re.sub(r"^(:\S+) (DROP|REJECT) ", r"\1 ACCEPT ", line)


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)

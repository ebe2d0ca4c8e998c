"""The phases of one wake, in milliseconds after the publish call began."""

from collections.abc import Mapping

ORDER = (
    "committed",
    "poke",
    "pod created",
    "scheduled",
    "sandbox and volumes",
    "broker started",
    "devbox started",
    "broker attached",
    "agent started",
    "agent ready",
    "turn started",
)


def phase_rows(published_at: float, seen: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """(phase, ms after publish, ms after the phase before it), for the phases that were seen."""
    rows = []
    before = 0.0
    for name in sorted((n for n in ORDER if n in seen), key=lambda n: (seen[n], ORDER.index(n))):
        at = (seen[name] - published_at) * 1000
        rows.append((name, at, at - before))
        before = at
    return rows


def wake_moments(payload: Mapping[str, object]) -> dict[str, float]:
    """The broker's own moments, in seconds since the epoch, from its `devbox.running` event."""
    wake = payload.get("wake")
    moments = wake if isinstance(wake, Mapping) else {}
    names = {
        "attached_ms": "broker attached",
        "agent_started_ms": "agent started",
        "agent_ready_ms": "agent ready",
    }
    return {
        name: float(moments[key]) / 1000
        for key, name in names.items()
        if isinstance(moments.get(key), int | float)
    }


def print_phases(published_at: float, seen: Mapping[str, float]) -> None:
    """Print the table."""
    print(f"  {'phase':<22}{'ms after publish':>17}{'ms of its own':>15}")
    for name, at, own in phase_rows(published_at, seen):
        print(f"  {name:<22}{at:>17.0f}{own:>15.0f}")

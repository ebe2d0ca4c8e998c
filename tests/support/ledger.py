"""The oracle of crash tests: what was asked, acknowledged and seen, held against a journal.

Payloads are unique, so a payload names its publish: the same one at two sequences is an event that
was doubled, and another one at a sequence that somebody saw is an event that was taken back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

Stored = Sequence[tuple[int, str]]
"""Sequence and payload of an axon's events, in their order."""


@dataclass
class Ledger:
    """By axon: payloads that were sent; sequence → payload that was acknowledged, or was seen by
    some reader or subscriber."""

    sent: dict[str, set[str]] = field(default_factory=dict)
    acknowledged: dict[str, dict[int, str]] = field(default_factory=dict)
    seen: dict[str, dict[int, str]] = field(default_factory=dict)
    count: int = 0
    """Acknowledgements so far."""

    def send(self, axon_id: str, payload: str) -> None:
        """Before the first attempt."""
        self.sent.setdefault(axon_id, set()).add(payload)

    def acknowledge(self, axon_id: str, sequence: int, payload: str) -> None:
        known = self.acknowledged.setdefault(axon_id, {}).setdefault(sequence, payload)
        assert known == payload, f"sequence {sequence} was acknowledged to two publishers"
        self.count += 1

    def see(self, axon_id: str, sequence: int, payload: str) -> None:
        """By somebody who reads or follows the axon, whether or not it was acknowledged yet."""
        known = self.seen.setdefault(axon_id, {}).setdefault(sequence, payload)
        assert known == payload, f"event {sequence} was visible and became another one"

    def check(self, axon_id: str, stored: Stored) -> None:
        """The whole axon, as it stands after a crash."""
        sequences = [sequence for sequence, _ in stored]
        assert sequences == list(range(1, len(stored) + 1)), "a gap, or a sequence twice"
        payloads = [payload for _, payload in stored]
        assert len(set(payloads)) == len(payloads), "an event was doubled"
        assert set(payloads) <= self.sent.get(axon_id, set()), "an event that nobody sent"
        events = dict(stored)
        for name, known in (("acknowledged", self.acknowledged), ("visible", self.seen)):
            gone = {n: p for n, p in known.get(axon_id, {}).items() if events.get(n) != p}
            assert not gone, f"{name} events were lost: {sorted(gone)} of {len(stored)}"

    def check_settled(self, axon_id: str, stored: Stored) -> None:
        """As `check`, when every publish was repeated until it was acknowledged."""
        self.check(axon_id, stored)
        assert dict(stored) == self.acknowledged.get(axon_id, {}), "an event nobody was told of"

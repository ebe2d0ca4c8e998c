"""Stands in for a protocol that this version does not speak: no agent, and every request fails.

It knows only which messages would have started a turn, so that each of them gets its `turn.failed`
and the axon's queue goes on.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ranvier.events import AxonEvent, Origin

from ranvier_broker.codecs.base import Fact, LaidAside, Route

_TURN_STARTING: Final = frozenset(
    {"user.message", "session/prompt", "query", "turn/start", "review/start"}
)


class UnsupportedCodec:
    """The `Codec` of no protocol; the machine never starts an agent for it."""

    needs_memory_to_start = False
    wake_at_ms: int | None = None
    has_question: bool = False

    def recall(self, saved: Mapping[str, Any]) -> None:
        pass

    def lay_aside(self) -> LaidAside | None:
        return None

    def command(self, argv: Sequence[str]) -> Sequence[str]:
        return argv

    def begin(self, now_ms: int) -> Sequence[Fact]:
        return ()

    def receive(self, data: bytes, now_ms: int) -> Sequence[Fact]:
        return ()

    def end(self, why: str) -> Sequence[Fact]:
        return ()

    def tick(self, now_ms: int) -> Sequence[Fact]:
        return ()

    def route(self, event: AxonEvent) -> Route:
        if event.origin is Origin.EXTERNAL or event.event_type in _TURN_STARTING:
            return Route.TURN
        return Route.CONTROL

    def question_of(self, event: AxonEvent) -> int | None:
        return None

    def prompt(self, turn_id: str, event: AxonEvent, now_ms: int) -> Sequence[Fact]:
        return ()

    def control(self, event: AxonEvent, now_ms: int) -> Sequence[Fact]:
        return ()

    def answer(self, question: int, event: AxonEvent) -> Sequence[Fact]:
        return ()

    def cancels_turn(self, event: AxonEvent) -> bool:
        return False

    def late_cancel(self, event: AxonEvent) -> Sequence[Fact]:
        return ()

    def cancel(self, event: AxonEvent | None, now_ms: int) -> Sequence[Fact]:
        return ()

"""Which events a reader wants. Pure: a store reads by it, a live stream is held against it."""

from dataclasses import dataclass
from typing import Final

from ranvier.events import INBOUND_ORIGINS, AxonEvent, Origin


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Both must match; None stands for all. What is left out still moves the reader's cursor."""

    origins: frozenset[Origin] | None = None
    event_types: frozenset[str] | None = None

    @property
    def is_everything(self) -> bool:
        return self.origins is None and self.event_types is None

    @property
    def is_inbound(self) -> bool:
        """What brokers ask for; a store finds it without looking at the rest."""
        return self.origins == INBOUND_ORIGINS and self.event_types is None

    def admits(self, event: AxonEvent) -> bool:
        return (self.origins is None or event.origin in self.origins) and (
            self.event_types is None or event.event_type in self.event_types
        )


EVERYTHING: Final = EventFilter()

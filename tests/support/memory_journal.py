"""A journal in memory whose other end is played by a test, so that every answer comes at once."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from typing import Any

from axon_story import Story
from ranvier.events import AxonEvent, Origin


class PlayedJournal(ABC):
    """Implements `ranvier.journal.Journal`; what is published is answered before it returns."""

    axon_id = "axn_memory"

    def __init__(self) -> None:
        self.story = Story(self.axon_id)
        self._news = asyncio.Condition()

    @abstractmethod
    def _answer(self, event: AxonEvent, payload: dict[str, Any]) -> None:
        """Append to the story what broker and agent say to this."""

    async def head(self) -> int:
        return len(self.story.events)

    async def subscribe(self, after_sequence: int = 0) -> AsyncGenerator[AxonEvent, None]:
        while True:
            async with self._news:
                while len(self.story.events) <= after_sequence:
                    await self._news.wait()
            yield self.story.events[after_sequence]
            after_sequence += 1

    async def publish(
        self,
        event_type: str,
        payload: Any,
        *,
        origin: Origin = Origin.USER,
        source: str,
        request_id: str | None = None,
    ) -> int:
        event = self.story.add(origin, event_type, payload)
        self._answer(event, payload)
        async with self._news:
            self._news.notify_all()
        return event.sequence

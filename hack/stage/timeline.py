"""Prints an axon's events as a person reads them: one line each, agent text joined."""

import json
from dataclasses import dataclass, field
from typing import Protocol, TextIO

TEXT_COLUMNS_MAX = 100


class Event(Protocol):
    """What the published SDK gives for an event (AxonEventView)."""

    @property
    def sequence(self) -> int: ...
    @property
    def origin(self) -> str: ...
    @property
    def event_type(self) -> str: ...
    @property
    def payload(self) -> str: ...


@dataclass
class Timeline:
    """Prints events; consecutive text chunks of the agent come out as one line."""

    out: TextIO
    started: float
    _text: str = field(default="", init=False)
    _text_from: int = field(default=0, init=False)

    def show(self, event: Event, now: float) -> None:
        """Print one event, or keep it when it is a chunk of a text that goes on."""
        chunk = _agent_text(event)
        if chunk is not None:
            self._text_from = self._text_from or event.sequence
            self._text += chunk
            return
        self.flush(now)
        summary = _summary(event)
        if summary is not None:
            self._line(now, str(event.sequence), event.origin, event.event_type, summary)

    def flush(self, now: float) -> None:
        """Print the text collected so far."""
        if self._text:
            self._line(now, f"{self._text_from}…", "AGENT_EVENT", "text", _short(self._text))
        self._text, self._text_from = "", 0

    def _line(self, now: float, sequence: str, origin: str, event_type: str, words: str) -> None:
        who = origin.removesuffix("_EVENT").lower()
        self.out.write(
            f"  {now - self.started:7.2f}s  {sequence:>5}  {who:<8} {event_type:<26} {words}\n"
        )
        self.out.flush()


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= TEXT_COLUMNS_MAX else flat[: TEXT_COLUMNS_MAX - 1] + "…"


def _payload(event: Event) -> dict[str, object]:
    try:
        value = json.loads(event.payload)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _update(event: Event) -> dict[str, object]:
    update = _payload(event).get("update")
    return update if event.event_type == "session/update" and isinstance(update, dict) else {}


def _agent_text(event: Event) -> str | None:
    update = _update(event)
    if update.get("sessionUpdate") != "agent_message_chunk":
        return None
    content = update.get("content")
    return str(content.get("text", "")) if isinstance(content, dict) else ""


def _summary(event: Event) -> str | None:
    """The words after the type; None for events that say nothing to a person."""
    if event.event_type == "session/update":
        update = _update(event)
        kind = str(update.get("sessionUpdate"))
        if kind in ("available_commands_update", "usage_update", "user_message_chunk"):
            return None
        named = [str(update[k]) for k in ("title", "status") if update.get(k)]
        return _short(" · ".join([kind, *named]))
    return _short(event.payload)

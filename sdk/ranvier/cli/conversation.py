"""One turn as somebody at a terminal sees it: events, lines and Ctrl-C in, words and messages out.

Pure. The turn is the one that the published prompt starts; what others do on the axon meanwhile is
not shown. A question is answered only while it is open, and a cancel is published only once the
turn has started: both would otherwise hit somebody else's turn.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ranvier.cli.dialects import Dialect, Message, Question, is_answer, payload_of, question_of
from ranvier.events import AxonEvent, Origin, SystemEvent


class Style(StrEnum):
    """How a piece of text looks; only TEXT goes to stdout."""

    TEXT = "text"
    TOOL = "tool"
    NOTE = "note"
    ERROR = "error"


class Ending(StrEnum):
    """How it ended for the one at the terminal; LEFT: the turn goes on without us."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LEFT = "left"


class Permission(StrEnum):
    """What is answered when the agent asks whether it may."""

    ASK = "ask"
    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Heard:
    """An event of the axon, after the prompt."""

    event: AxonEvent


@dataclass(frozen=True, slots=True)
class Typed:
    """A line that was typed while a question was open."""

    line: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Waited:
    """Some seconds have gone by."""


Input = Heard | Typed | Interrupted | Waited


@dataclass(frozen=True, slots=True)
class Write:
    """Show text; `is_line`: on a line of its own."""

    text: str
    style: Style = Style.TEXT
    is_line: bool = True


@dataclass(frozen=True, slots=True)
class Ask:
    """Show a question and read lines from now on."""

    text: str


@dataclass(frozen=True, slots=True)
class Hush:
    """The question is closed: read no more lines."""


@dataclass(frozen=True, slots=True)
class Over:
    """The turn is over."""

    ending: Ending


Command = Write | Ask | Hush | Over | Message

_ENDINGS: Final[Mapping[str, Ending]] = {
    SystemEvent.TURN_COMPLETED: Ending.COMPLETED,
    SystemEvent.TURN_CANCELLED: Ending.CANCELLED,
    SystemEvent.TURN_FAILED: Ending.FAILED,
}
_MARKS: Final = {"completed": "✓", "failed": "✗"}


class Conversation:
    """One turn, from its prompt (the event `trigger`) to its end."""

    def __init__(self, trigger: int, dialect: Dialect, permission: Permission) -> None:
        self._trigger = trigger
        self._dialect = dialect
        self._permission = permission
        self._turn_id: str | None = None
        self._question: Question | None = None
        self._interrupts = 0
        self._titles: dict[str, str] = {}

    def handle(self, item: Input) -> list[Command]:
        """Take one thing that happened; return what follows, in order."""
        match item:
            case Heard(event):
                self._dialect.learn(event)
                return self._heard(event)
            case Typed(line):
                return self._typed(line.strip().lower())
            case Interrupted():
                return self._interrupted()
            case Waited():
                return self._waited()

    def _heard(self, event: AxonEvent) -> list[Command]:
        if event.origin is Origin.SYSTEM:
            return self._system(event)
        if self._turn_id is None:
            return []
        if self._question is not None and is_answer(self._question, event):
            self._question = None
            return [Hush(), Write("(somebody else has answered)", Style.NOTE)]
        if event.event_type == "turn.message_chunk" and event.origin is Origin.AGENT:
            text = payload_of(event).get("content")
            return [Write(text, is_line=False)] if isinstance(text, str) else []
        question = question_of(event)
        return self._asked(question) if question is not None else []

    def _system(self, event: AxonEvent) -> list[Command]:
        payload = payload_of(event)
        if event.event_type == SystemEvent.TURN_STARTED:
            if payload.get("trigger_sequence") == self._trigger and self._turn_id is None:
                self._turn_id = str(payload.get("turn_id"))
                return [self._cancel()] if self._interrupts else []
            return []
        if event.event_type == SystemEvent.BROKER_ERROR:
            return [Write(str(payload.get("message") or event.payload), Style.ERROR)]
        if self._turn_id is None or payload.get("turn_id") != self._turn_id:
            return []
        if (ending := _ENDINGS.get(event.event_type)) is not None:
            return self._ended(ending, str(payload.get("error") or "The turn failed."))
        if event.event_type in ("turn.tool_call", "turn.tool_call_update"):
            return self._tool(payload)
        return []

    def _ended(self, ending: Ending, error: str) -> list[Command]:
        told: list[Command] = [Hush()] if self._question is not None else []
        if ending is Ending.FAILED:
            told.append(Write(error, Style.ERROR))
        elif ending is Ending.CANCELLED:
            told.append(Write("(cancelled)", Style.NOTE))
        return [*told, Over(ending)]

    def _tool(self, payload: Mapping[str, Any]) -> list[Command]:
        call_id, title = str(payload.get("tool_call_id")), payload.get("title")
        is_new = call_id not in self._titles
        if is_new or isinstance(title, str):
            self._titles[call_id] = str(title or "a tool")
        told: list[Command] = [Write(f"● {self._titles[call_id]}", Style.TOOL)] if is_new else []
        if mark := _MARKS.get(str(payload.get("status"))):
            told.append(Write(f"{mark} {self._titles[call_id]}", Style.TOOL))
        return told

    # --- permissions

    def _asked(self, question: Question) -> list[Command]:
        if self._permission is not Permission.ASK:
            allowed = self._permission is Permission.ALLOW
            word = "allowed" if allowed else "denied"
            told = Write(f"? {question.text} ({word})", Style.TOOL)
            return [told, question.allow if allowed else question.deny]
        self._question = question
        return [Ask(self._wording(question))]

    def _typed(self, answer: str) -> list[Command]:
        question = self._question
        if question is None:
            return []
        chosen: Message | None = None
        if answer in ("y", "yes"):
            chosen = question.allow
        elif answer in ("n", "no"):
            chosen = question.deny
        elif answer in ("a", "always"):
            chosen = question.always
        if chosen is None:
            return [Ask(self._wording(question))]
        self._question = None
        return [Hush(), chosen]

    def _wording(self, question: Question) -> str:
        choices = "y/n/a, a: always" if question.always is not None else "y/n"
        return f"? {question.text}  Allow it? [{choices}] "

    # --- patience

    def _interrupted(self) -> list[Command]:
        self._interrupts += 1
        if self._interrupts > 1:
            return [Over(Ending.LEFT)]
        if self._turn_id is None:
            text = "(it is cancelled once its turn comes; Ctrl-C again leaves at once)"
            return [Write(text, Style.NOTE)]
        return [Write("(cancelling; Ctrl-C again leaves)", Style.NOTE), self._cancel()]

    def _waited(self) -> list[Command]:
        if self._turn_id is not None:
            return []
        text = "(waiting: the devbox wakes, or other turns come first; Ctrl-C gives up)"
        return [Write(text, Style.NOTE)]

    def _cancel(self) -> Message:
        return self._dialect.cancel(f"ranvier-cli-{self._trigger}")

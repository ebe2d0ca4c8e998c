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


@dataclass(frozen=True, slots=True)
class Later:
    """The moment that `Soon` asked for has gone by."""

    call_id: str


Input = Heard | Typed | Interrupted | Waited | Later


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


@dataclass(frozen=True, slots=True)
class Soon:
    """Give `Later` in a moment: agents first announce a tool by its bare name, and say within
    milliseconds what it is to do."""

    call_id: str


Command = Write | Ask | Hush | Over | Soon | Message

OUTPUT_LINES_MAX: Final = 5
"""Of a tool's output so many lines are shown; the axon holds all of them."""

OUTPUT_COLUMNS_MAX: Final = 200
"""Of each line of it."""

_ENDINGS: Final[Mapping[str, Ending]] = {
    SystemEvent.TURN_COMPLETED: Ending.COMPLETED,
    SystemEvent.TURN_CANCELLED: Ending.CANCELLED,
    SystemEvent.TURN_FAILED: Ending.FAILED,
}
_MARKS: Final = {"completed": "✓", "failed": "✗"}


@dataclass(slots=True)
class _Tool:
    """A tool call of the turn."""

    title: str
    is_shown: bool = False


class Conversation:
    """One turn, from its prompt (the event `trigger`) to its end."""

    def __init__(self, trigger: int, dialect: Dialect, permission: Permission) -> None:
        self._trigger = trigger
        self._dialect = dialect
        self._permission = permission
        self._turn_id: str | None = None
        self._question: Question | None = None
        self._interrupts = 0
        self._tools: dict[str, _Tool] = {}

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
            case Later(call_id):
                return self._begun(self._tools[call_id])

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
        call_id, title, status = (payload.get(n) for n in ("tool_call_id", "title", "status"))
        tool = self._tools.get(str(call_id))
        if tool is None:
            tool = self._tools[str(call_id)] = _Tool(str(title or "a tool"))
            if status == "pending":
                return [Soon(str(call_id))]
        elif isinstance(title, str):
            tool.title = title
        if (mark := _MARKS.get(str(status))) is None:
            return self._begun(tool)
        told = self._begun(tool, even_now=True)
        output = self._dialect.output(str(call_id))
        return [*told, Write(f"{mark} {tool.title}", Style.TOOL), *_shown(output)]

    def _begun(self, tool: _Tool, *, even_now: bool = False) -> list[Command]:
        """Say it once; not on the line of an open question."""
        if tool.is_shown or (self._question is not None and not even_now):
            return []
        tool.is_shown = True
        return [Write(f"● {tool.title}", Style.TOOL)]

    # --- permissions

    def _asked(self, question: Question) -> list[Command]:
        if (tool := self._tools.get(question.call_id)) is None:
            return self._asking(question)
        tool.title = question.text
        return [*self._begun(tool), *self._asking(question)]

    def _asking(self, question: Question) -> list[Command]:
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


def _shown(output: str) -> list[Command]:
    """The beginning of a tool's output, below its name."""
    lines = output.strip("\n").splitlines()
    told = [
        line if len(line) <= OUTPUT_COLUMNS_MAX else f"{line[:OUTPUT_COLUMNS_MAX]}…"
        for line in lines[:OUTPUT_LINES_MAX]
    ]
    if (more := len(lines) - len(told)) > 0:
        told.append(f"… {more} more lines" if more > 1 else "… 1 more line")
    return [Write(f"  {line}", Style.NOTE) for line in told]

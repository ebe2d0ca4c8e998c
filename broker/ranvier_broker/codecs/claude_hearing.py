"""What Claude Code says: lines in, facts out, in the order of the pipe, each line as it was.

A turn ends by a `result`, and its `subtype` misleads both ways: what counts is `is_error` and
`terminal_reason`. What answers the broker's own requests stays off the axon.
"""

from typing import Any, Final

from ranvier_broker.codecs import claude_lines, speech
from ranvier_broker.codecs.base import (
    Asked,
    Complaint,
    Ending,
    Fact,
    Garbage,
    Ready,
    Remember,
    RequestFailed,
    Settled,
    ToAgent,
    TurnEnded,
)
from ranvier_broker.codecs.claude_lines import Message
from ranvier_broker.codecs.claude_memory import Memory
from ranvier_broker.codecs.claude_requests import (
    Greeting,
    Interrupting,
    Passing,
    Purpose,
    Resetting,
    Turn,
)
from ranvier_broker.codecs.jsonrpc import NotAMessage
from ranvier_broker.codecs.listening import Listener
from ranvier_broker.codecs.typed_lines import object_of
from ranvier_broker.codecs.waiting import Waiting

_TOO_LARGE: Final = "the request is larger than an axon event may be"


class ClaudeHearing(Listener):
    """The half of the codec that listens to the agent, and the state of the conversation."""

    def _set_up(self) -> None:
        self._memory = Memory()
        self._waiting: Waiting[str, Purpose] = Waiting()
        self._questions: dict[str, int] = {}  # the agent's request id → number
        self._asked = 0
        self._number = 0
        self._turn: Turn | None = None
        self._is_ready = False

    def _gone(self, why: str) -> None:
        for purpose in self._waiting.give_up():
            self._unanswered(purpose, why)
        self._questions.clear()
        self._turn, self._is_ready = None, False

    def tick(self, now_ms: int) -> list[Fact]:
        why = self._overdue
        for purpose in self._waiting.overdue(now_ms):
            self._unanswered(purpose, why)
            if isinstance(purpose, Greeting):
                self._emit(Complaint("restore_failed", f"initialize: {why}"))
                self._greeted(now_ms)
        return self._told()

    def _unanswered(self, purpose: Purpose, why: str) -> None:
        match purpose:
            case Passing(sequence):
                error = f"{why}, so {purpose.name} has no answer"
                self._emit(RequestFailed(purpose.name, error), Settled(sequence))
            case Interrupting(is_own=False):
                name = "control_request interrupt"
                self._emit(RequestFailed(name, f"{why}, so {name} has no answer"))
            case _:
                pass

    def _heard(self, line: bytes, now_ms: int) -> None:
        message = Message.read(line)
        if isinstance(message, NotAMessage):
            self._emit(Garbage(message.why, message.excerpt))
            return
        match message.kind:
            case "control_response":
                self._answered(message, now_ms)
            case "control_request":
                self._ask(message)
            case "result":
                self._result(message)
            case _:
                self._say(message)
        if self._turn is not None and self._turn.view is not None:
            self._emit(*self._turn.view.shown(message))

    def _say(self, message: Message) -> None:
        self._emit(speech.said(message.kind, message.text))
        if message.kind == "control_cancel_request":
            self._questions.pop(message.request_id or "", None)
        elif message.kind == "system":
            self._learn(message.value)

    def _learn(self, value: dict[str, Any]) -> None:
        match value.get("subtype"):
            case "init":
                self._remember_if(self._memory.in_session(value.get("session_id")))
            case "status":
                self._remember_if(self._memory.in_mode(value.get("permissionMode")))

    # --- control messages

    def _answered(self, message: Message, now_ms: int) -> None:
        purpose = self._waiting.answered(message.request_id or "")
        is_success = message.response.get("subtype") == "success"
        match purpose:
            case Greeting():
                if not is_success:
                    error = f"initialize: {message.response.get('error')}"
                    self._emit(Complaint("restore_failed", error))
                self._greeted(now_ms)
                return
            case Interrupting(turn, is_own):
                if turn is not None and is_success:
                    turn.is_interrupted = True
                if is_own:
                    return
            case Resetting():
                return
            case Passing(_, request) if is_success:
                self._remember_if(self._memory.accepted(request))
            case _:
                pass
        self._emit(speech.said(message.kind, message.text))
        if isinstance(purpose, Passing):
            self._emit(Settled(purpose.sequence))

    def _greeted(self, now_ms: int) -> None:
        for setting in self._memory.settings.values():
            self._request(setting, Resetting(), now_ms)
        self._become_ready()

    def _ask(self, message: Message) -> None:
        request_id = message.request_id
        if request_id is None:
            self._say(message)
        elif not speech.fits(message.text):
            self._emit(ToAgent(claude_lines.refusal(request_id, _TOO_LARGE)))
            self._say(message)
        else:
            self._asked += 1
            self._questions[request_id] = self._asked
            self._emit(Asked(self._asked, message.kind, message.text))

    def _request(self, request: dict[str, Any], purpose: Purpose, now_ms: int) -> None:
        """Ask something of the broker's own."""
        self._number += 1
        request_id = f"ranvier-{self._number}"
        self._waiting.ask(request_id, purpose, now_ms + self._answer_ms_max)
        self._emit(ToAgent(claude_lines.control_request(request_id, request)))

    # --- the end of a turn

    def _result(self, message: Message) -> None:
        is_greeting = not self._is_ready and self._memory.session is not None
        if is_greeting and message.value.get("is_error"):
            self._session_is_lost(message.value)  # it answers our own flag, no client's prompt
            return
        self._say(message)
        if self._turn is not None:
            end = ending(message.value, is_interrupted=self._turn.is_interrupted)
            self._turn = None
            self._emit(end)

    def _session_is_lost(self, value: dict[str, Any]) -> None:
        # The agent ends itself now; the next process starts without the session.
        self._emit(Complaint("session_lost", _error_of(value)))
        self._memory.session = None
        self._emit(Remember(self._memory.snapshot()))

    # --- small words

    def _become_ready(self) -> None:
        if not self._is_ready:
            self._is_ready = True
            self._emit(Ready())

    def _remember_if(self, is_news: bool) -> None:
        if is_news:
            self._emit(Remember(self._memory.snapshot()))


def ending(result: dict[str, Any], *, is_interrupted: bool) -> TurnEnded:
    """How a `result` says that its turn ended."""
    terminal, reason = result.get("terminal_reason"), result.get("stop_reason")
    stop_reason = reason if isinstance(reason, str) else None
    usage = object_of(result.get("usage")) or None
    was_aborted = isinstance(terminal, str) and terminal.startswith("aborted")
    if was_aborted or is_interrupted:
        said = terminal if isinstance(terminal, str) else stop_reason
        return TurnEnded(Ending.CANCELLED, stop_reason=said, usage=usage)
    if not result.get("is_error"):
        return TurnEnded(Ending.COMPLETED, stop_reason=stop_reason, usage=usage)
    why = terminal if isinstance(terminal, str) else result.get("subtype")
    return TurnEnded(
        Ending.FAILED,
        stop_reason=stop_reason,
        error=_error_of(result),
        reason=why if isinstance(why, str) else None,
        usage=usage,
    )


def _error_of(result: dict[str, Any]) -> str:
    text, errors = result.get("result"), result.get("errors")
    if isinstance(text, str) and text:
        return text
    told = [error for error in errors if isinstance(error, str)] if isinstance(errors, list) else []
    return "; ".join(told) or f"the agent ended the turn with {result.get('subtype')}"

"""What Codex says: lines in, facts out, in the order of the pipe, each frame whole.

A notification or question goes out under its method, an answer as `response` with the id of the
client that asked. What answers the broker's own requests stays off the axon.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ranvier_broker.codecs import codex_frames as frames
from ranvier_broker.codecs import codex_generic, jsonrpc
from ranvier_broker.codecs.base import (
    Asked,
    Complaint,
    Ending,
    Fact,
    Garbage,
    Said,
    Settled,
    ToAgent,
    TurnEnded,
)
from ranvier_broker.codecs.codex_calls import Greeting, Passing, Prompting, Purpose
from ranvier_broker.codecs.codex_conversation import INITIALIZE, CodexConversation, Turn
from ranvier_broker.codecs.codex_frames import ClientFrame, text_in
from ranvier_broker.codecs.jsonl import LINE_BYTES_MAX
from ranvier_broker.codecs.speech import excerpt, fits, said
from ranvier_broker.codecs.waiting import ANSWER_MS_MAX

_TOO_LARGE: Final = "the request is larger than an axon event may be"
_ENDINGS: Final = {
    "completed": (Ending.COMPLETED, "end_turn"),
    "interrupted": (Ending.CANCELLED, "cancelled"),
}
"""What a turn's status means, and its name among the stop reasons of all protocols."""


@dataclass(frozen=True, slots=True)
class _Question:
    """A request that the agent waits for; `id` is compact JSON, to be compared."""

    id: str
    thread_id: str | None


class CodexHearing(CodexConversation):
    """The half of the codec that listens to the agent."""

    def __init__(
        self, cwd: str, answer_ms_max: int = ANSWER_MS_MAX, line_bytes_max: int = LINE_BYTES_MAX
    ) -> None:
        super().__init__(cwd, answer_ms_max, line_bytes_max)
        self._questions: dict[int, _Question] = {}
        self._questions_asked = 0

    def _gone(self, why: str) -> None:
        interrupts = self._turn.interrupts if self._turn is not None else []
        for purpose in [*self._calls.give_up(), *self._late_greetings, *interrupts]:
            self._reply_error(purpose, f"{why}, so there is no answer")
        self._forget_process()

    def tick(self, now_ms: int) -> list[Fact]:
        for purpose in self._calls.overdue(now_ms):
            self._failed(purpose, self._overdue, None, now_ms)
        return self._told()

    def _heard(self, line: bytes, now_ms: int) -> None:
        message = jsonrpc.read(line)
        if isinstance(message, jsonrpc.NotAMessage):
            self._emit(Garbage(message.why, message.excerpt))
            return
        text = line.decode()  # it is a message, so it is UTF-8
        match message:
            case jsonrpc.Notification(method, params):
                self._notified(method, params.value, text, now_ms)
            case jsonrpc.Request() as request:
                self._asked(request, text)
            case jsonrpc.Result(number, result):
                self._answered(self._answered_call(number), result, text, now_ms)
            case jsonrpc.Failure(number, code, error):
                purpose = self._answered_call(number)
                if purpose is None:
                    self._emit(Complaint("agent_error", f"{error} (code {code})"))
                else:
                    self._failed(purpose, error, text, now_ms)

    # --- answers

    def _answered_call(self, number: int | None) -> Purpose | None:
        return self._calls.answered(number) if number is not None else None

    def _answered(
        self, purpose: Purpose | None, result: jsonrpc.Raw, text: str, now_ms: int
    ) -> None:
        match purpose:
            case None:
                self._emit(Garbage("an answer to no request", excerpt(text.encode())))
            case Passing(sequence, frame):
                self._reply(frame, text)
                self._emit(Settled(sequence))
                self._remember_if(self._threads.answered(frame.method, frame.params, result.value))
                if frame.method == INITIALIZE:
                    self._was_greeted(result.text)
                    self._say_unsaid(now_ms)
            case Prompting() as prompting:
                self._prompt_accepted(prompting, result.value, text, now_ms)
            case _:
                self._own_call_succeeded(purpose, result, now_ms)

    def _failed(self, purpose: Purpose, message: str, text: str | None, now_ms: int) -> None:
        """`text` is the agent's own answer; without it the answer is overdue."""
        match purpose:
            case Passing(sequence, frame):
                self._reply_failure(frame, message, text)
                self._emit(Settled(sequence))
                if frame.method == INITIALIZE:
                    self._client_greeting_failed(now_ms)
            case Prompting(turn_id, frame):
                if frame is not None:
                    self._reply_failure(frame, message, text)
                if self._turn is not None and self._turn.turn_id == turn_id:
                    self._turn_over(TurnEnded(Ending.FAILED, error=message, reason="agent_error"))
            case _:
                self._own_call_failed(purpose, message, now_ms, timed_out=text is None)

    def _client_greeting_failed(self, now_ms: int) -> None:
        self._is_greeting = False
        if self._late_greetings:  # the next client may know better
            passing = self._late_greetings.pop(0)
            self._is_greeting = True
            data = frames.relabelled(passing.frame.text, self._open(passing, now_ms))
            self._emit(ToAgent(data))
        elif self._unsaid:
            self._greet(codex_generic.GREETING, Greeting(at_start=False), now_ms)

    def _prompt_accepted(self, prompting: Prompting, result: Any, text: str, now_ms: int) -> None:
        turn, frame = self._turn, prompting.frame
        if frame is not None:
            self._reply(frame, text)
            self._remember_if(self._threads.answered(frame.method, frame.params, result))
        if turn is None or turn.turn_id != prompting.turn_id:
            return
        # A detached review runs on a thread of its own.
        turn.thread_id = text_in(result, "reviewThreadId") or turn.thread_id
        self._learn_turn_id(text_in(result, "turn", "id"), now_ms)
        if turn.thread_id is not None:
            self._remember_if(self._threads.used(turn.thread_id))

    def _reply(self, frame: ClientFrame, text: str) -> None:
        if frame.id is None:
            return
        answer = frames.answer(text, frame.id)
        if not fits(answer):
            what = f"the answer to {frame.method} is larger than an axon event may be"
            answer = frames.error(frame.id, what)
        self._emit(Said(frames.RESPONSE, answer))

    def _reply_failure(self, frame: ClientFrame, message: str, text: str | None) -> None:
        if text is not None:
            self._reply(frame, text)
        elif frame.id is not None:
            self._emit(Said(frames.RESPONSE, frames.error(frame.id, message)))

    def _reply_error(self, purpose: Purpose, message: str) -> None:
        """Tell a client, if one waits, that the agent will not answer."""
        match purpose:
            case Passing(sequence, frame):
                self._reply_failure(frame, message, None)
                self._emit(Settled(sequence))
            case Prompting(_, ClientFrame() as frame):
                self._reply_failure(frame, message, None)
            case _:
                pass

    # --- what the agent says by itself

    def _notified(self, method: str, params: Any, text: str, now_ms: int) -> None:
        self._emit(said(method, text))
        thread_id, turn = text_in(params, "threadId"), self._turn
        match method:
            case "thread/tokenUsage/updated":
                self._tokens.updated(params, turn.native_id if turn is not None else None)
            case "serverRequest/resolved" if isinstance(params, dict):
                self._close(lambda question: question.id == jsonrpc.dump(params.get("requestId")))
            case "turn/started" if turn is not None and thread_id == turn.thread_id:
                self._learn_turn_id(text_in(params, "turn", "id"), now_ms)
            case "turn/completed" if turn is not None and _is_of(turn, thread_id, params):
                self._turn_completed(params)
            case _ if turn is not None and turn.view and thread_id == turn.thread_id:
                self._emit(*turn.view.notified(method, params))

    def _turn_completed(self, params: Any) -> None:
        status = text_in(params, "turn", "status")
        ending, stop_reason = _ENDINGS.get(status or "", (Ending.FAILED, None))
        error = None
        if ending is Ending.FAILED:
            error = text_in(params, "turn", "error", "message")
            error = error or f"the turn ended with status {status}"
        usage = self._tokens.close()
        self._turn_over(TurnEnded(ending, stop_reason=stop_reason, error=error, usage=usage))

    def _turn_over(self, end: TurnEnded) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            # The agent waits for these answers no more, though it says so only later.
            self._close(lambda question: question.thread_id == turn.thread_id)
            for purpose in turn.interrupts:
                self._reply_error(purpose, "the turn has ended")
        self._emit(end)

    def _asked(self, request: jsonrpc.Request, text: str) -> None:
        if not fits(text):
            refusal = frames.error(request.id, _TOO_LARGE)
            self._emit(ToAgent(refusal.encode() + b"\n"))
            self._emit(said(request.method, text))
            return
        self._questions_asked += 1
        number = self._questions_asked
        request_id = jsonrpc.dump(jsonrpc.value_of(request.id))
        thread_id = text_in(request.params.value, "threadId")
        self._questions[number] = _Question(request_id, thread_id)
        self._emit(Asked(number, request.method, text))

    def _close(self, is_meant: Callable[[_Question], bool]) -> None:
        self._questions = {n: q for n, q in self._questions.items() if not is_meant(q)}

    def _forget_process(self) -> None:
        super()._forget_process()
        self._questions.clear()


def _is_of(turn: Turn, thread_id: str | None, params: Any) -> bool:
    """Whether a `turn/completed` ends this turn: helpers' turns have threads of their own."""
    ended = text_in(params, "turn", "id")
    return thread_id == turn.thread_id and turn.native_id in (None, ended)

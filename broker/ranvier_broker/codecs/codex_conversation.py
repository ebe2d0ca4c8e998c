"""What the broker itself says to Codex: greeting a new process, resuming threads, starting one.

Codex answers nothing before `initialize`, and refuses a second one. So the broker greets a process
at most once: with the last client's words when it restores, with its own when something must be
said and no client has greeted; and answers every later `initialize` from what the agent said to the
first. Frames wait here until the greeting, or the resumption of their thread, is over. Answers to
the broker's own requests stay off the axon: no client asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ranvier_broker.codecs import codex_frames as frames
from ranvier_broker.codecs import codex_generic, jsonrpc
from ranvier_broker.codecs.base import (
    Complaint,
    Ending,
    Fact,
    LaidAside,
    Ready,
    Remember,
    Said,
    Settled,
    ToAgent,
    TurnEnded,
)
from ranvier_broker.codecs.codex_calls import (
    Greeting,
    Interrupting,
    Opening,
    Passing,
    Prompting,
    Purpose,
    Restoring,
)
from ranvier_broker.codecs.codex_generic import GenericView
from ranvier_broker.codecs.codex_threads import Threads, TokenAccount
from ranvier_broker.codecs.listening import Listener
from ranvier_broker.codecs.waiting import Waiting

INITIALIZE: Final = "initialize"
INTERRUPT: Final = "turn/interrupt"
_INITIALIZED: Final = b'{"method":"initialized"}\n'
_OPEN_BY_THEMSELVES: Final = frozenset(
    {"thread/resume", "thread/read", "thread/fork", "thread/archive", "thread/delete"}
)
"""Methods that name a thread which the process need not know yet."""


@dataclass(slots=True)
class Turn:
    """The open turn; `view` and `input` only when it was not asked for in Codex's words."""

    turn_id: str
    view: GenericView | None = None
    input: list[dict[str, Any]] | None = None
    thread_id: str | None = None
    native_id: str | None = None
    interrupts: list[Passing | Interrupting] = field(default_factory=list)
    """Interrupts that wait until the agent has told the turn's id."""

    @property
    def awaits_thread(self) -> bool:
        """Whether the broker is still starting a thread for it."""
        return self.view is not None and self.thread_id is None


@dataclass(frozen=True, slots=True)
class _Unsaid:
    """A frame that waits for the greeting."""

    data: bytes
    thread_id: str | None
    method: str


class CodexConversation(Listener):
    """State of the conversation with one agent; `CodexCodec` adds the wire on both sides."""

    def _set_up(self) -> None:
        self._number = 0  # goes on over processes, so a late answer meets no stranger
        self._calls: Waiting[int, Purpose] = Waiting()
        self._threads = Threads()
        self._tokens = TokenAccount()
        self._turn: Turn | None = None
        self._greeting: str | None = None  # what the agent answered to `initialize`, raw
        self._is_greeting = False
        self._unsaid: list[_Unsaid] = []
        self._late_greetings: list[Passing] = []
        self._held: dict[str, list[bytes]] = {}  # frames to threads that are being resumed

    def recall(self, saved: Mapping[str, Any]) -> None:
        self._threads.recall(saved)

    def lay_aside(self) -> LaidAside | None:
        return self._threads.lay_aside()

    def begin(self, now_ms: int) -> list[Fact]:
        self._forget_process()
        if self._threads.greeting is None:
            self._emit(Ready())
        else:
            self._greet(self._threads.greeting, Greeting(at_start=True), now_ms)
        return self._told()

    # --- our own calls

    def _own_call_succeeded(self, purpose: Purpose, result: jsonrpc.Raw, now_ms: int) -> None:
        match purpose:
            case Greeting(at_start):
                self._was_greeted(result.text)
                if at_start:
                    self._restore_at_start(now_ms)
                else:
                    self._remember_if(
                        self._threads.answered(INITIALIZE, codex_generic.GREETING, None)
                    )
                    self._say_unsaid(now_ms)
            case Opening(turn_id):
                params = self._opening
                if not self._threads.answered("thread/start", params, result.value):
                    self._own_call_failed(purpose, "the agent named no thread", now_ms)
                    return
                self._emit(Remember(self._threads.snapshot()))
                if self._turn is not None and self._turn.turn_id == turn_id:
                    self._speak_generic(now_ms)
            case Restoring(thread_id, at_start):
                self._restored(thread_id, at_start, now_ms)
            case _:
                pass

    def _own_call_failed(
        self, purpose: Purpose, message: str, now_ms: int, *, timed_out: bool = False
    ) -> None:
        match purpose:
            case Greeting(at_start):
                self._is_greeting = False
                self._emit(Complaint("greeting_failed", f"initialize: {message}"))
                if at_start:
                    self._emit(Ready())
                self._say_unsaid(now_ms)  # the agent's own refusal is the best answer to them
            case Opening(turn_id):
                if self._turn is not None and self._turn.turn_id == turn_id:
                    self._turn = None
                    error = f"no thread could be started: {message}"
                    end = TurnEnded(Ending.FAILED, error=error, reason="session_unavailable")
                    self._emit(end)
            case Restoring(thread_id, at_start):
                if not timed_out:  # the agent has lost it: asking again each time helps nobody
                    self._threads.forget(thread_id)
                    self._emit(Remember(self._threads.snapshot()))
                self._emit(Complaint("restore_failed", f"thread/resume of {thread_id}: {message}"))
                self._restored(thread_id, at_start, now_ms)
            case _:
                pass

    # --- greeting

    def _greet(self, params: Mapping[str, Any], purpose: Greeting, now_ms: int) -> None:
        self._is_greeting = True
        self._call(INITIALIZE, dict(params), purpose, now_ms)

    def _was_greeted(self, result: str) -> None:
        self._greeting, self._is_greeting = result, False
        self._emit(ToAgent(_INITIALIZED))
        late, self._late_greetings = self._late_greetings, []
        for passing in late:
            self._answer_greeting(passing)

    def _answer_greeting(self, passing: Passing) -> None:
        """A client greets an agent that was greeted before: answer in the agent's words."""
        if passing.frame.id is not None:
            self._emit(Said(frames.RESPONSE, frames.result(passing.frame.id, self._greeting or "")))
        self._emit(Settled(passing.sequence))
        self._remember_if(self._threads.answered(INITIALIZE, passing.frame.params, None))

    def _say_unsaid(self, now_ms: int) -> None:
        unsaid, self._unsaid = self._unsaid, []
        for frame in unsaid:
            self._hand_over(frame.data, frame.thread_id, frame.method, now_ms)
        # A greeting that failed has no answer to give to those who greeted meanwhile.
        late, self._late_greetings = self._late_greetings, []
        for passing in late:
            self._emit(ToAgent(frames.relabelled(passing.frame.text, self._open(passing, now_ms))))

    # --- restoring

    def _restore_at_start(self, now_ms: int) -> None:
        current = self._threads.at_start
        if current is None:
            self._emit(Ready())
        else:
            self._restore(current, now_ms, at_start=True)

    def _restore(self, thread_id: str, now_ms: int, *, at_start: bool = False) -> None:
        self._held.setdefault(thread_id, [])
        params = self._threads.parameters(thread_id)
        self._call("thread/resume", params, Restoring(thread_id, at_start), now_ms)

    def _restored(self, thread_id: str, at_start: bool, now_ms: int) -> None:
        self._threads.restored(thread_id)
        self._emit(*(ToAgent(data) for data in self._held.pop(thread_id, [])))
        if at_start:
            self._emit(Ready())
            self._say_unsaid(now_ms)

    def _deliver(self, data: bytes, thread_id: str | None, method: str, now_ms: int) -> None:
        """Hand a frame to the agent, after it was greeted and the frame's thread resumed."""
        if self._greeting is None:
            self._unsaid.append(_Unsaid(data, thread_id, method))
            if not self._is_greeting:
                self._greet(codex_generic.GREETING, Greeting(at_start=False), now_ms)
        else:
            self._hand_over(data, thread_id, method, now_ms)

    def _hand_over(self, data: bytes, thread_id: str | None, method: str, now_ms: int) -> None:
        if thread_id is not None and method not in _OPEN_BY_THEMSELVES:
            if thread_id not in self._held and self._threads.needs_restore(thread_id):
                self._restore(thread_id, now_ms)
            if thread_id in self._held:
                self._held[thread_id].append(data)
                return
        self._emit(ToAgent(data))

    # --- a turn of another vocabulary

    @property
    def _opening(self) -> dict[str, Any]:
        return {"cwd": self._cwd}

    def _speak_generic(self, now_ms: int) -> None:
        turn, thread_id = self._turn, self._threads.current
        if turn is None:
            return
        if thread_id is None:
            number = self._open(Opening(turn.turn_id), now_ms)
            data = frames.request(number, "thread/start", self._opening)
            self._deliver(data, None, "thread/start", now_ms)
            return
        turn.thread_id = thread_id
        self._tokens.open(thread_id)
        number = self._open(Prompting(turn.turn_id, None), now_ms)
        params = {"threadId": thread_id, "input": turn.input}
        data = frames.request(number, "turn/start", params)
        self._deliver(data, thread_id, "turn/start", now_ms)

    # --- interrupting

    def _interrupt(self, purpose: Passing | Interrupting, now_ms: int) -> None:
        """Interrupt the open turn by the ids that the agent gave it, as soon as they are known."""
        turn = self._turn
        if turn is None:
            return
        if turn.native_id is None or turn.thread_id is None:
            turn.interrupts.append(purpose)
            return
        params = {"threadId": turn.thread_id, "turnId": turn.native_id}
        self._call(INTERRUPT, params, purpose, now_ms)

    def _learn_turn_id(self, native_id: str | None, now_ms: int) -> None:
        turn = self._turn
        if turn is None or native_id is None or turn.native_id is not None:
            return
        turn.native_id = native_id
        waiting, turn.interrupts = turn.interrupts, []
        for purpose in waiting:
            self._interrupt(purpose, now_ms)

    # --- small words

    def _open(self, purpose: Purpose, now_ms: int) -> int:
        """The id of a new request. A prompt may take as long as it takes."""
        self._number += 1
        due = None if isinstance(purpose, Prompting) else now_ms + self._answer_ms_max
        self._calls.ask(self._number, purpose, due)
        return self._number

    def _call(self, method: str, params: dict[str, Any], purpose: Purpose, now_ms: int) -> None:
        self._emit(ToAgent(frames.request(self._open(purpose, now_ms), method, params)))

    def _remember_if(self, is_news: bool) -> None:
        if is_news:
            self._emit(Remember(self._threads.snapshot()))

    def _forget_process(self) -> None:
        self._threads.new_process()
        self._turn = None
        self._greeting, self._is_greeting = None, False
        self._unsaid.clear()
        self._late_greetings.clear()
        self._held.clear()

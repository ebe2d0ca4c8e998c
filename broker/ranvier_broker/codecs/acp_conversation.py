"""What the broker itself says in ACP: greeting a new process, restoring sessions, opening one.

A new process is greeted with what the last client said, and the session used last is restored,
before anything else is delivered. Other sessions are restored before the first message to them;
the message waits here. Turns of another vocabulary get a session from the broker when nobody made
one. Answers to all of this stay off the axon: no client asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ranvier_broker.codecs import acp_generic, jsonrpc
from ranvier_broker.codecs.acp_calls import (
    Calls,
    Greeting,
    Opening,
    Prompting,
    Purpose,
    Resetting,
    Restoring,
)
from ranvier_broker.codecs.acp_generic import GenericView
from ranvier_broker.codecs.acp_questions import Questions, session_of
from ranvier_broker.codecs.acp_sessions import Sessions
from ranvier_broker.codecs.base import (
    Complaint,
    Ending,
    Fact,
    LaidAside,
    Ready,
    Remember,
    ToAgent,
    TurnEnded,
)
from ranvier_broker.codecs.listening import Listener

PROMPT: Final = "session/prompt"
_OPEN_BY_THEMSELVES: Final = frozenset(
    {"session/load", "session/resume", "session/close", "session/delete"}
)
"""Methods that name a session which the process need not know yet."""


@dataclass(slots=True)
class Turn:
    """The open turn; `view` and `blocks` only when it was not asked for in ACP."""

    turn_id: str
    view: GenericView | None = None
    blocks: list[dict[str, Any]] | None = None
    session_id: str | None = None

    @property
    def awaits_session(self) -> bool:
        """Whether the broker is still opening a session for it."""
        return self.view is not None and self.session_id is None


class AcpConversation(Listener):
    """State of the conversation with one mount's agent; `AcpCodec` adds the wire on both sides."""

    def _set_up(self) -> None:
        self._calls = Calls(self._answer_ms_max)
        self._questions = Questions()
        self._sessions = Sessions()
        self._turn: Turn | None = None
        self._greeted = False
        self._capabilities: dict[str, Any] = {}
        self._held: dict[str, list[bytes]] = {}  # messages to sessions that are being restored
        self._replaying: set[str] = set()  # sessions whose history comes again, for nobody

    def recall(self, saved: Mapping[str, Any]) -> None:
        self._sessions.recall(saved)

    def lay_aside(self) -> LaidAside | None:
        return self._sessions.lay_aside()

    def begin(self, now_ms: int) -> list[Fact]:
        self._forget_process()
        if self._sessions.greeting is None:
            self._emit(Ready())
        else:
            self._greet(self._sessions.greeting, Greeting(None), now_ms)
        return self._told()

    # --- our own calls

    def _own_call_succeeded(self, purpose: Purpose, result: Any, now_ms: int) -> None:
        match purpose:
            case Greeting(turn_id):
                self._learn_capabilities(result)
                if turn_id is None:
                    self._restore_at_start(now_ms)
                else:
                    self._remember_if(
                        self._sessions.answered("initialize", acp_generic.GREETING, result)
                    )
                    self._go_on_with(turn_id, now_ms)
            case Opening(turn_id):
                params = {"cwd": self._cwd, "mcpServers": []}
                self._remember_if(self._sessions.answered("session/new", params, result))
                if self._sessions.current is None:
                    self._own_call_failed(purpose, "the agent named no session", now_ms, False)
                else:
                    self._go_on_with(turn_id, now_ms)
            case Restoring(session_id, _, at_start):
                self._restored(session_id, at_start, now_ms)
            case _:
                pass

    def _own_call_failed(
        self, purpose: Purpose, message: str, now_ms: int, timed_out: bool
    ) -> None:
        match purpose:
            case Greeting(None):
                self._emit(Complaint("restore_failed", f"initialize: {message}"), Ready())
            case Greeting(turn_id) | Opening(turn_id):
                if self._turn is not None and self._turn.turn_id == turn_id:
                    self._turn = None
                    error = f"no session could be opened: {message}"
                    end = TurnEnded(Ending.FAILED, error=error, reason="session_unavailable")
                    self._emit(end)
            case Restoring(session_id, method, at_start):
                if not timed_out:  # the agent has lost it: asking again each time helps nobody
                    self._sessions.forget(session_id)
                    self._emit(Remember(self._sessions.snapshot()))
                self._emit(Complaint("restore_failed", f"{method} of {session_id}: {message}"))
                self._restored(session_id, at_start, now_ms)
            case _:
                pass

    # --- restoring

    def _restore_at_start(self, now_ms: int) -> None:
        current = self._sessions.at_start
        if current is None:
            self._emit(Ready())
        else:
            self._restore(current, now_ms, at_start=True)

    def _restore(self, session_id: str, now_ms: int, *, at_start: bool = False) -> None:
        self._held.setdefault(session_id, [])
        offered = self._capabilities.get("sessionCapabilities")
        if isinstance(offered, dict) and offered.get("resume") is not None:
            method = "session/resume"
        elif self._capabilities.get("loadSession"):
            method = "session/load"
            self._replaying.add(session_id)
        else:
            what = f"the agent can neither resume nor load the session {session_id}"
            self._emit(Complaint("session_lost", what))
            self._restored(session_id, at_start, now_ms)
            return
        purpose = Restoring(session_id, method, at_start)
        params = jsonrpc.dump(self._sessions.parameters(session_id))
        self._emit(ToAgent(self._calls.make(method, params, purpose, now_ms)))

    def _restored(self, session_id: str, at_start: bool, now_ms: int) -> None:
        self._replaying.discard(session_id)
        self._sessions.restored(session_id)
        for method, params in self._sessions.settings(session_id):
            text = jsonrpc.dump(params)
            self._emit(ToAgent(self._calls.make(method, text, Resetting(), now_ms)))
        self._emit(*(ToAgent(data) for data in self._held.pop(session_id, [])))
        if at_start:
            self._emit(Ready())

    def _deliver(self, params: jsonrpc.Raw, data: bytes, now_ms: int, method: str = "") -> None:
        """Hand a message to the agent, after its session was restored if it needs that."""
        session_id = session_of(params.value)
        if session_id is not None and method not in _OPEN_BY_THEMSELVES:
            if session_id not in self._held and self._sessions.needs_restore(session_id):
                self._restore(session_id, now_ms)
            if session_id in self._held:
                self._held[session_id].append(data)
                return
        self._emit(ToAgent(data))

    # --- a turn of another vocabulary

    def _speak_generic(self, now_ms: int) -> None:
        turn, session_id = self._turn, self._sessions.current
        if turn is None:
            return
        if not self._greeted:
            self._greet(acp_generic.GREETING, Greeting(turn.turn_id), now_ms)
        elif session_id is None:
            params = jsonrpc.dump({"cwd": self._cwd, "mcpServers": []})
            purpose = Opening(turn.turn_id)
            self._emit(ToAgent(self._calls.make("session/new", params, purpose, now_ms)))
        else:
            turn.session_id = session_id
            prompt = jsonrpc.raw({"sessionId": session_id, "prompt": turn.blocks})
            self._send_prompt(prompt, now_ms)

    def _go_on_with(self, turn_id: str, now_ms: int) -> None:
        turn = self._turn
        if turn is not None and turn.turn_id == turn_id and turn.session_id is None:
            self._speak_generic(now_ms)

    def _send_prompt(self, params: jsonrpc.Raw, now_ms: int) -> None:
        data = self._calls.make(PROMPT, params.text, Prompting(), now_ms)
        self._deliver(params, data, now_ms)
        if self._turn is not None and self._turn.session_id is not None:
            self._remember_if(self._sessions.used(self._turn.session_id))

    # --- small words

    def _greet(self, params: Mapping[str, Any], purpose: Greeting, now_ms: int) -> None:
        data = self._calls.make("initialize", jsonrpc.dump(params), purpose, now_ms)
        self._emit(ToAgent(data))

    def _client_call_succeeded(self, method: str, params: Any, result: Any) -> None:
        if method == "initialize":
            self._learn_capabilities(result)
        self._remember_if(self._sessions.answered(method, params, result))

    def _learn_capabilities(self, result: Any) -> None:
        self._greeted = True
        offered = result.get("agentCapabilities") if isinstance(result, dict) else None
        self._capabilities = offered if isinstance(offered, dict) else {}

    def _remember_if(self, is_news: bool) -> None:
        if is_news:
            self._emit(Remember(self._sessions.snapshot()))

    def _forget_process(self) -> None:
        self._sessions.new_process()
        self._questions.clear()
        self._held.clear()
        self._replaying.clear()
        self._turn = None
        self._greeted = False
        self._capabilities = {}

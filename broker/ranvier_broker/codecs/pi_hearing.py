"""What Pi says: lines in, facts out, in the order of the pipe, each line as it was.

A prompt's response says only that it was taken; the turn ends when the agent has settled, after all
its retries. What answers the broker's own commands stays off the axon.
"""

from typing import Final

from ranvier_broker.codecs import pi_records, speech
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
from ranvier_broker.codecs.jsonrpc import NotAMessage
from ranvier_broker.codecs.listening import Listener
from ranvier_broker.codecs.pi_memory import Memory
from ranvier_broker.codecs.pi_records import OWN_PREFIX, Record
from ranvier_broker.codecs.pi_requests import (
    Dialog,
    Greeting,
    Interrupting,
    Learning,
    Passing,
    Prompting,
    Purpose,
    Restoring,
    Turn,
)
from ranvier_broker.codecs.typed_lines import object_of
from ranvier_broker.codecs.waiting import Waiting

_HANDLED: Final = "handled"
"""A prompt's `disposition` when it was a command of an extension: no run follows."""


class PiHearing(Listener):
    """The half of the codec that listens to the agent, and the state of the conversation."""

    def _set_up(self) -> None:
        self._memory = Memory()
        self._waiting: Waiting[str, Purpose] = Waiting()
        self._dialogs: dict[str, Dialog] = {}  # by the agent's ids
        self._asked = 0
        self._number = 0
        self._turn: Turn | None = None

    def tick(self, now_ms: int) -> list[Fact]:
        for purpose in self._waiting.overdue(now_ms):
            self._unanswered(purpose, self._overdue)
            if isinstance(purpose, Restoring | Greeting):
                self._emit(Complaint("restore_failed", self._overdue), Ready())
        self._dialogs = {
            key: dialog
            for key, dialog in self._dialogs.items()
            if dialog.due_ms is None or dialog.due_ms > now_ms
        }
        return self._told()

    def _gone(self, why: str) -> None:
        for purpose in self._waiting.give_up():
            self._unanswered(purpose, why)
        self._dialogs.clear()
        self._turn = None
        self._memory.new_process()

    def _unanswered(self, purpose: Purpose, why: str) -> None:
        match purpose:
            case Passing(sequence, command):
                error = f"{why}, so {command} has no answer"
                self._emit(RequestFailed(command, error), Settled(sequence))
            case Interrupting(is_own=False):
                error = f"{why}, so {pi_records.ABORT} has no answer"
                self._emit(RequestFailed(pi_records.ABORT, error))
            case _:
                pass

    def _heard(self, line: bytes, now_ms: int) -> None:
        record = Record.read(line)
        if isinstance(record, NotAMessage):
            self._emit(Garbage(record.why, record.excerpt))
        elif record.kind == pi_records.RESPONSE:
            self._answered(record, now_ms)
        elif record.is_dialog:
            self._ask(record, now_ms)
        else:
            self._say(record)
            self._follow(record)

    # --- responses

    def _answered(self, record: Record, now_ms: int) -> None:
        purpose = self._purpose_of(record)
        match purpose:
            case Restoring(session):
                self._restored(session, record, now_ms)
            case Greeting(session):
                self._greeted(session, record)
            case Learning():
                self._learn(record)
            case Prompting(turn, is_own):
                if not is_own:
                    self._say(record)
                self._prompt_answered(turn, record)
            case Interrupting(is_own=True):
                pass
            case None if (record.id or "").startswith(OWN_PREFIX):
                self._emit(Garbage("an answer to no command", speech.excerpt(record.line)))
            case _:
                self._say(record)
                if isinstance(purpose, Passing):
                    self._emit(Settled(purpose.sequence))
                if record.changed_session:
                    self._request(pi_records.STATE, Learning(), now_ms)

    def _purpose_of(self, record: Record) -> Purpose | None:
        if record.id is not None:
            return self._waiting.answered(record.id)
        turn = self._turn  # a prompt without an id can only be the open turn's
        if record.command == pi_records.PROMPT and turn is not None and not turn.is_accepted:
            return Prompting(turn, is_own=False)
        return None

    def _restored(self, session: str, record: Record, now_ms: int) -> None:
        if not record.is_success or record.data.get("cancelled") is True:
            why = "an extension refused" if record.is_success else record.error
            self._emit(Complaint("restore_failed", f"the session {session}: {why}"))
            self._request(pi_records.STATE, Learning(), now_ms)
            self._emit(Ready())
        else:
            self._request(pi_records.STATE, Greeting(session), now_ms)

    def _greeted(self, session: str, record: Record) -> None:
        self._learn(record)
        if record.is_success and not record.data.get("messageCount"):
            why = f"there is nothing in the session {session}: the conversation begins anew"
            self._emit(Complaint("session_lost", why))
        self._emit(Ready())

    def _learn(self, record: Record) -> None:
        if record.is_success and self._memory.told(record.data):
            self._emit(Remember(self._memory.snapshot()))

    def _prompt_answered(self, turn: Turn, record: Record) -> None:
        if turn is not self._turn:
            return
        if not record.is_success:
            end = TurnEnded(Ending.FAILED, error=record.error, reason="agent_error")
            self._turn_over(turn, end)
        elif record.data.get("disposition") == _HANDLED:
            self._turn_over(turn, TurnEnded(Ending.COMPLETED, stop_reason="end_turn"))
        else:
            turn.is_accepted = True

    # --- events

    def _say(self, record: Record) -> None:
        self._emit(speech.said(record.kind, record.text))

    def _follow(self, record: Record) -> None:
        message = object_of(record.value.get("message"))
        is_answer = record.kind == "message_end" and message.get("role") == "assistant"
        if is_answer and self._memory.answered():
            self._emit(Remember(self._memory.snapshot()))
        turn = self._turn
        if turn is None:
            return
        if turn.view is not None:
            self._emit(*turn.view.shown(record))
        match record.kind:
            case "agent_start":
                self._begun(turn)
            case "compaction_start" if turn.is_accepted:
                self._begun(turn)
            case "message_end" if is_answer:
                turn.heard(message)
            case "agent_settled" if turn.has_begun:  # else an earlier run has
                was_aborted = record.value.get("aborted") is True
                self._turn_over(turn, turn.ended(was_aborted=was_aborted))

    def _begun(self, turn: Turn) -> None:
        turn.has_begun = True
        self._emit(*(ToAgent(data) for data in turn.aborts))
        turn.aborts.clear()

    def _turn_over(self, turn: Turn, end: TurnEnded) -> None:
        self._begun(turn)  # who sent an abort waits for its answer
        self._turn = None
        self._emit(end)

    def _ask(self, record: Record, now_ms: int) -> None:
        request_id = record.id or ""
        if not speech.fits(record.text):
            self._emit(ToAgent(pi_records.dismissed(request_id)))
            self._say(record)
            return
        self._asked += 1
        timeout_ms = record.timeout_ms
        due_ms = now_ms + timeout_ms if timeout_ms is not None else None
        self._dialogs[request_id] = Dialog(self._asked, self._turn, due_ms)
        self._emit(Asked(self._asked, record.kind, record.text))

    # --- commands of the broker's own

    def _request(self, kind: str, purpose: Purpose, now_ms: int, **members: str) -> None:
        due_ms = None if isinstance(purpose, Prompting) else now_ms + self._answer_ms_max
        self._emit(ToAgent(self._command(kind, purpose, due_ms, **members)))

    def _command(self, kind: str, purpose: Purpose, due_ms: int | None, **members: str) -> bytes:
        self._number += 1
        request_id = f"{OWN_PREFIX}{self._number}"
        self._waiting.ask(request_id, purpose, due_ms)
        return pi_records.command(kind, request_id, **members)

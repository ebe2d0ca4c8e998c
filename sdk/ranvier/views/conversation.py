"""Journal events in, moments out: each event with its facts and the turn that it belongs to.

Turns begin and end by SYSTEM events alone: what a client publishes under their names is not
believed. Agent events name no turn, so they are given to the open turn of their session; without a
session to the turn that started last. All views stand on this.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ranvier.events import TURN_TERMINALS, AxonEvent, Origin, SystemEvent
from ranvier.resources.mounts import AgentProtocol
from ranvier.views import neutral_facts
from ranvier.views.acp_facts import AcpFacts
from ranvier.views.claude_facts import ClaudeFacts
from ranvier.views.codex_facts import CodexFacts
from ranvier.views.facts import (
    NOTHING,
    Fact,
    Heard,
    Named,
    Prompted,
    SessionClosed,
    SessionOpened,
    Text,
    ToolCalled,
    ToolEnded,
)
from ranvier.views.payloads import object_of, text_at
from ranvier.views.pi_facts import PiFacts
from ranvier.views.protocols import protocol_of, starts_turn

SESSIONS_MAX: Final = 1_000
"""Sessions of one axon that are remembered; the oldest is forgotten first."""

WAITING_MAX: Final = 10_000
"""Accepted turns that wait; of more the oldest are forgotten (nobody runs them)."""


@dataclass(slots=True)
class Turn:
    """An open turn. `session` is the one that its prompt named; times are milliseconds."""

    turn_id: str
    trigger: int | None
    session: str | None
    started_ms: int
    is_resumed: bool
    heard_session: str | None = None
    has_native_words: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """One event, understood. `accepted` is set when it asks for a turn; `started` and `ended` when
    it opens or closes `turn`; `depth` counts the turns that an accepted one waits for."""

    event: AxonEvent
    facts: list[Fact] = field(default_factory=list)
    session: str | None = None
    turn: Turn | None = None
    accepted: Prompted | None = None
    is_new_session: bool = False
    depth: int = 0
    started: bool = False
    ended: bool = False


class Conversation:
    """What one axon's events have told so far. `memory` is what an earlier one gave."""

    def __init__(self, memory: Mapping[str, Any] | None = None) -> None:
        memory = memory or {}
        self.agent: str | None = memory.get("agent")
        self.model: str | None = memory.get("model")
        self._sessions: OrderedDict[str, bool] = OrderedDict(memory.get("sessions", {}))
        self._waiting = {number: Prompted(s, n) for number, s, n in memory.get("waiting", [])}
        self._turns: dict[str, Turn] = {}
        self._acp, self._claude, self._codex = AcpFacts(), ClaudeFacts(), CodexFacts()
        self._pi = PiFacts()

    @property
    def is_quiet(self) -> bool:
        """Whether no turn is open: `memory` is all there is to know."""
        return not self._turns

    def memory(self) -> dict[str, Any]:
        """What must be known to read on from here, as JSON; whole while `is_quiet`."""
        waiting = [[number, asked.session, asked.length] for number, asked in self._waiting.items()]
        sessions = dict(self._sessions)
        return {"agent": self.agent, "model": self.model, "sessions": sessions, "waiting": waiting}

    def read(self, event: AxonEvent) -> Moment:
        """Take the next event; events must come in their order, each once."""
        if event.origin is Origin.SYSTEM:
            return self._system(event)
        if starts_turn(event):
            return self._asked_for(event)
        heard = self._heard(event)
        turn = self._turn_of(heard.session) if event.origin is Origin.AGENT else None
        if event.origin is Origin.USER:
            turn = self._turn_of(heard.session) if heard.facts else None
        facts = self._news(heard.facts)
        if turn is not None and event.event_type not in neutral_facts.TYPES:
            turn.has_native_words = turn.has_native_words or _is_talk(facts)
        return Moment(event, facts, heard.session, turn)

    # --- turns

    def _asked_for(self, event: AxonEvent) -> Moment:
        heard = self._heard(event) if event.origin is Origin.USER else NOTHING
        asked = next((fact for fact in heard.facts if isinstance(fact, Prompted)), None)
        if asked is None:
            asked = neutral_facts.prompted(event)
        facts = self._news([fact for fact in heard.facts if not isinstance(fact, Prompted)])
        depth = len(self._waiting) + len(self._turns)
        self._waiting[event.sequence] = asked
        while len(self._waiting) > WAITING_MAX:
            del self._waiting[next(iter(self._waiting))]
        return Moment(
            event,
            facts,
            asked.session,
            accepted=asked,
            is_new_session=not self._has_talked(asked.session),
            depth=depth,
        )

    def _system(self, event: AxonEvent) -> Moment:
        payload = object_of(event.payload)
        turn_id = text_at(payload, "turn_id")
        if event.event_type == SystemEvent.TURN_STARTED:
            return self._started(event, turn_id, payload)
        if event.event_type in TURN_TERMINALS and turn_id is not None:
            turn = self._turns.pop(turn_id, None)
            return Moment(event, turn=turn, ended=turn is not None)
        if event.event_type == SystemEvent.TURN_FAILED:
            self._acp.refused(text_at(payload, "method") or "")
        turn = self._turns.get(turn_id) if turn_id else None
        heard = neutral_facts.system(event, payload)
        if turn is not None and turn.has_native_words:
            heard = NOTHING
        return Moment(event, heard.facts, turn=turn)

    def _started(self, event: AxonEvent, turn_id: str | None, payload: dict[str, Any]) -> Moment:
        if turn_id is None or turn_id in self._turns:
            return Moment(event)
        trigger = payload.get("trigger_sequence")
        asked = self._take_waiting(trigger if isinstance(trigger, int) else None)
        session = asked.session if asked else None
        turn = Turn(
            turn_id,
            trigger if isinstance(trigger, int) else None,
            session,
            event.timestamp_ms,
            is_resumed=self._has_talked(session),
        )
        self._turns[turn_id] = turn
        self._remember(session or "", has_talked=True)
        return Moment(event, session=session, turn=turn, started=True)

    def _take_waiting(self, trigger: int | None) -> Prompted | None:
        """Turns start in the order of their triggers, so what lies before is settled."""
        if trigger is None:
            oldest = next(iter(self._waiting), None)
            return self._waiting.pop(oldest) if oldest is not None else None
        for number in [number for number in self._waiting if number < trigger]:
            del self._waiting[number]
        return self._waiting.pop(trigger, None)

    def _turn_of(self, session: str | None) -> Turn | None:
        newest_first = reversed(self._turns.values())
        if session is None:
            return next(newest_first, None)
        for turn in newest_first:
            known = turn.session or turn.heard_session
            if known in (None, session):
                turn.heard_session = session
                return turn
        return None

    # --- facts

    def _heard(self, event: AxonEvent) -> Heard:
        if event.event_type in neutral_facts.TYPES:
            turn = self._turn_of(None)
            is_echo = turn is None or turn.has_native_words
            return NOTHING if is_echo else neutral_facts.agent(event)
        match protocol_of(event):
            case AgentProtocol.ACP:
                return self._acp.read(event)
            case AgentProtocol.CLAUDE_JSON:
                return self._claude.read(event)
            case AgentProtocol.CODEX_JSON:
                return self._codex.read(event)
            case AgentProtocol.PI_JSON:
                return self._pi.read(event)
            case _:
                return NOTHING

    def _news(self, facts: list[Fact]) -> list[Fact]:
        """The facts without what was known; names and sessions are learnt."""
        news: list[Fact] = []
        for fact in facts:
            match fact:
                case Named(agent, model):
                    self.agent, self.model = agent or self.agent, model or self.model
                case SessionOpened(session):
                    if session not in self._sessions:
                        self._remember(session, has_talked=False)
                        news.append(fact)
                case SessionClosed(session):
                    self._sessions.pop(session, None)
                    news.append(fact)
                case _:
                    news.append(fact)
        return news

    def _has_talked(self, session: str | None) -> bool:
        return self._sessions.get(session or "", False)

    def _remember(self, session: str, *, has_talked: bool) -> None:
        self._sessions[session] = has_talked or self._sessions.get(session, False)
        while len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)


def _is_talk(facts: list[Fact]) -> bool:
    return any(isinstance(fact, Text | ToolCalled | ToolEnded) for fact in facts)

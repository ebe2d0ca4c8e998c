"""Journals for tests of the views, written as they happen: each call appends one event."""

import json
from typing import Any

from ranvier.events import AxonEvent, Origin


class Story:
    """An axon's events in order. Time goes on by 10 ms an event."""

    def __init__(self, axon_id: str = "axn_story") -> None:
        self.axon_id = axon_id
        self.events: list[AxonEvent] = []

    def add(self, origin: Origin, event_type: str, value: Any = None) -> AxonEvent:
        text = value if isinstance(value, str) else json.dumps(value if value is not None else {})
        number = len(self.events) + 1
        event = AxonEvent(self.axon_id, number, number * 10, origin, "test", event_type, text)
        self.events.append(event)
        return event

    def user(self, event_type: str, value: Any = None) -> AxonEvent:
        return self.add(Origin.USER, event_type, value)

    def external(self, event_type: str, value: Any = None) -> AxonEvent:
        return self.add(Origin.EXTERNAL, event_type, value)

    def agent(self, event_type: str, value: Any = None) -> AxonEvent:
        return self.add(Origin.AGENT, event_type, value)

    def system(self, event_type: str, **payload: Any) -> AxonEvent:
        return self.add(Origin.SYSTEM, event_type, payload)

    # --- an ACP conversation

    def greet(self, session: str = "s1") -> None:
        self.user("initialize", {"protocolVersion": 1})
        self.agent("initialize", {"agentInfo": {"name": "tester"}})
        self.user("session/new", {"cwd": "/home/user", "mcpServers": []})
        self.agent("session/new", {"sessionId": session, "models": {"currentModelId": "m1"}})

    def prompt(self, text: str = "hello", session: str = "s1") -> AxonEvent:
        blocks = [{"type": "text", "text": text}]
        return self.user("session/prompt", {"sessionId": session, "prompt": blocks})

    def started(self, trigger: AxonEvent) -> str:
        turn_id = f"trn_{trigger.sequence}"
        self.system("turn.started", turn_id=turn_id, trigger_sequence=trigger.sequence)
        return turn_id

    def update(self, kind: str, session: str = "s1", **members: Any) -> AxonEvent:
        update = {"sessionUpdate": kind, **members}
        return self.agent("session/update", {"sessionId": session, "update": update})

    def says(self, text: str, session: str = "s1") -> AxonEvent:
        return self.update("agent_message_chunk", session, content={"type": "text", "text": text})

    def asks(self, call: str = "c1", session: str = "s1") -> AxonEvent:
        options = [
            {"optionId": "yes", "kind": "allow_once", "name": "Yes"},
            {"optionId": "no", "kind": "reject_once", "name": "No"},
        ]
        tool = {"toolCallId": call, "title": "rm -rf"}
        params = {"sessionId": session, "toolCall": tool, "options": options}
        return self.agent("session/request_permission", params)

    def answers(self, option: str) -> AxonEvent:
        outcome = {"outcome": {"outcome": "selected", "optionId": option}}
        return self.user("session/request_permission", outcome)

    def completed(self, turn_id: str, **more: Any) -> AxonEvent:
        return self.system("turn.completed", turn_id=turn_id, stop_reason="end_turn", **more)

"""One run from the inside: its steps, the model's answers, batches of tools, and decisions.

A step is one answer of the model with the tools that it wants. Where the protocol tells when the
model is called, a call begins the step; elsewhere a step is over when the model speaks again after
its tools are done. A batch is the tools of one answer; it is told before the first of them runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ranvier.views.facts import (
    Answered,
    Asked,
    BackgroundEnded,
    Fact,
    ModelAnswered,
    ModelCalled,
    Text,
    Thought,
    ToolBegan,
    ToolCalled,
    ToolDeferred,
    ToolEnded,
    Verdict,
    Warned,
)

Told = tuple[str, str | None, dict[str, Any] | None]
"""Type, message and data of a run event."""

TOOLS_MAX: Final = 1_000
"""Tools of one run that are remembered by name; later ones are told without it."""


@dataclass(slots=True)
class _Tool:
    name: str | None
    called_ms: int = 0
    parent: str | None = None
    subagent: str | None = None
    is_done: bool = False


class RunSteps:
    """The state of one open run."""

    def __init__(self, agent: str | None) -> None:
        self.agent = agent
        self.model: str | None = None
        self.state = "running"
        self.step = 0
        self._tools: dict[str, _Tool] = {}
        self._batch: list[str] = []
        self._questions: dict[str, str | None] = {}
        self._has_tools_in_step = False
        self._is_model_told = False
        self._is_model_at_work = False
        self._said: list[str] = []
        self._finish_reason: str | None = None
        self._now_ms = 0

    def begin_step(self) -> Iterator[Told]:
        """The next step."""
        self.step += 1
        self._has_tools_in_step = False
        yield "step_started", None, {"step": self.step, "state": self.state}

    def take(self, fact: Fact, at_ms: int) -> Iterator[Told]:
        """What one fact tells; `at_ms` is when the journal took it in."""
        self._now_ms = at_ms
        match fact:
            case ModelCalled(model):
                yield from self._model_called(model)
            case ModelAnswered(finish_reason):
                self._finish_reason = finish_reason
                yield from self._flush()
            case Text(delta):
                yield from self._model_speaks()
                self._said.append(delta)
                yield "text_delta", None, {"delta": delta}
            case Thought():
                yield from self._model_speaks()
            case ToolCalled(call_id) if call_id not in self._tools:
                yield from self._tool_called(fact)
            case ToolBegan(call_id):
                if call_id in self._batch:
                    yield from self._flush()
            case ToolEnded(call_id):
                yield from self._tool_ended(fact, call_id)
            case Asked() | Answered():
                yield from self._decision(fact)
            case ToolDeferred() | BackgroundEnded():
                yield from self._background(fact)
            case Warned(code, message):
                yield "warning", message, {"code": code}

    def close(self) -> Iterator[Told]:
        """The run ends: what was begun is told as far as it came."""
        yield from self._flush()

    # --- the model

    def _model_called(self, model: str | None) -> Iterator[Told]:
        if self._is_model_at_work and not self._said and not self._batch:
            return  # the same request once more, after one that failed
        yield from self._flush()
        if self._is_model_told:
            yield from self.begin_step()
        self._is_model_told = self._is_model_at_work = True
        self._finish_reason = None
        yield "llm_called", None, {"model": model or self.model, "provider": None}

    def _model_speaks(self) -> Iterator[Told]:
        if self._is_model_told or not self._has_tools_in_step:
            return
        if all(tool.is_done for tool in self._tools.values()):
            yield from self._flush()
            yield from self.begin_step()

    def _flush(self) -> Iterator[Told]:
        """The answer is complete and its tools are about to run."""
        if self._is_model_at_work:
            self._is_model_at_work = False
            answer = {
                "tool_call_count": len(self._batch),
                "finish_reason": self._finish_reason,
                "text": "".join(self._said),
            }
            yield "llm_completed", None, answer
        self._said = []
        if self._batch:
            batch, self._batch = self._batch, []
            names = [self._tools[call_id].name for call_id in batch]
            begun = {"tool_call_count": len(batch), "tool_names": names, "tool_call_ids": batch}
            yield "tool_batch_started", None, begun
            for call_id in batch:
                if (subagent := self._tools[call_id].subagent) is not None:
                    called = {"subagent_name": subagent, "correlation_id": call_id}
                    yield "subagent_started", None, called

    # --- tools

    def _tool_called(self, call: ToolCalled) -> Iterator[Told]:
        if call.parent is None:
            yield from self._model_speaks()
        elif call.parent in self._batch:
            yield from self._flush()  # the subagent runs: its answer is not this one
        if len(self._tools) < TOOLS_MAX:
            self._tools[call.call_id] = _Tool(call.name, self._now_ms, call.parent, call.subagent)
            self._batch.append(call.call_id)
            self._has_tools_in_step = True

    def _tool_ended(self, end: ToolEnded, call_id: str) -> Iterator[Told]:
        if call_id not in self._tools:
            yield from self._tool_called(ToolCalled(call_id, None))
        yield from self._flush()
        tool = self._tools.get(call_id, _Tool(None))
        if tool.is_done:
            return
        tool.is_done = True
        path = self._path(tool)
        data = {
            "tool_name": tool.name,
            "tool_call_id": call_id,
            "success": end.is_success,
            "output": end.output,
            "error": end.error,
            "agent_name": path[-1] if path else None,
            "agent_depth": max(0, len(path) - 1),
            "agent_path": path,
        }
        yield "tool_completed", None, data
        if tool.subagent is not None:
            latency_ms = max(0, self._now_ms - tool.called_ms)
            done = {
                "subagent_name": tool.subagent,
                "success": end.is_success,
                "latency_ms": latency_ms,
            }
            yield "subagent_completed", None, done | ({"error": end.error} if end.error else {})

    def _path(self, tool: _Tool) -> list[str | None]:
        """Who uses the tool: the run's agent, then subagent within subagent."""
        path: list[str | None] = []
        seen: set[str] = set()
        parent = tool.parent
        while parent is not None and parent not in seen:
            seen.add(parent)
            caller = self._tools.get(parent, _Tool(None))
            path.insert(0, caller.subagent)
            parent = caller.parent
        return [self.agent, *path]

    def _background(self, fact: ToolDeferred | BackgroundEnded) -> Iterator[Told]:
        yield from self._flush()
        tool = self._tools.get(fact.call_id, _Tool(None))
        about = {"tool_name": tool.name, "tool_call_id": fact.call_id, "ticket_id": fact.ticket}
        if isinstance(fact, ToolDeferred):
            more = {"status": fact.status, "summary": fact.summary, "resume_hint": None}
            yield "tool_deferred", None, about | more
        elif fact.is_success:
            yield "tool_background_resolved", None, about | {"output": fact.text}
        else:
            yield "tool_background_failed", None, about | {"error": fact.text}

    # --- decisions

    def _decision(self, fact: Asked | Answered) -> Iterator[Told]:
        yield from self._flush()
        if isinstance(fact, Asked):
            kind = "tool_permission" if fact.is_permission else "human_input"
            self._questions[fact.key] = kind
            self.state = "waiting"
            yield "policy_decision", fact.tool, _policy(kind, "ask", None)
            return
        if fact.key is not None and fact.key not in self._questions:
            return  # an answer to nothing that was asked in this run
        kind = (self._questions.pop(fact.key) if fact.key else None) or "tool_permission"
        self.state = "waiting" if self._questions else "running"
        action = Verdict(fact.verdict).value
        yield "policy_decision", None, _policy(kind, action, fact.reason)


def _policy(event_type: str, action: str, reason: str | None) -> dict[str, Any]:
    return {
        "event_type": event_type,
        "action": action,
        "reason": reason,
        "policy_id": None,
        "matched_rules": [],
    }

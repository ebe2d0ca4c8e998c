"""One journal, many views: pure projections of an axon's events; events in, view items out.

- `timeline_event`: the Remote Agents SDK's timeline (seed 001)
- `WorkerEvents`: runtime events for workers (seed 003)
- `RunEvents`: events of agent runs (seed 004)

Nothing is stored twice and nothing invented: an event that a view does not know is passed over, and
what an agent's protocol does not tell is None or left out.
"""

from ranvier.resources.mounts import AgentProtocol
from ranvier.views.run_events import RUN_TERMINALS, AgentRunEvent, RunEvents
from ranvier.views.timeline import TimelineEvent, timeline_event
from ranvier.views.worker_events import EventEnvelope, WorkerEvents, is_reserved

__all__ = [
    "RUN_TERMINALS",
    "AgentProtocol",
    "AgentRunEvent",
    "EventEnvelope",
    "RunEvents",
    "TimelineEvent",
    "WorkerEvents",
    "is_reserved",
    "timeline_event",
]

"""Remote agents: talk to an agent through its axon. See docs/remote-agents.md."""

from ranvier.journal import AxonJournal, Journal, RunloopJournal
from ranvier.remote.acp import PROTOCOL_VERSION, ACPAxonConnection
from ranvier.remote.claude import ClaudeAxonConnection
from ranvier.remote.codex import CodexAxonConnection
from ranvier.remote.connection import AxonConnection
from ranvier.remote.errors import NotConnected, RequestFailed
from ranvier.remote.pi import PiAxonConnection
from ranvier.views.timeline import TimelineEvent

__all__ = [
    "PROTOCOL_VERSION",
    "ACPAxonConnection",
    "AxonConnection",
    "AxonJournal",
    "ClaudeAxonConnection",
    "CodexAxonConnection",
    "Journal",
    "NotConnected",
    "PiAxonConnection",
    "RequestFailed",
    "RunloopJournal",
    "TimelineEvent",
]

"""What a handler can do: publish events of its own, notify people, answer an agent's questions.

Everything is published under a request id made of the delivery and the number of the call, so a
handler that runs again after a crash publishes nothing twice (as long as it makes its calls in the
same order; the server remembers ids for 24 hours, J4).
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from ranvier.client.errors import RanvierError
from ranvier.events import Origin
from ranvier.journal import Journal
from ranvier.views import answers
from ranvier.views.worker_events import NOTIFICATION, EventEnvelope, is_reserved

SOURCE_PREFIX: Final = "worker:"
"""`source` of what a worker publishes is this and its name."""


class ReservedKind(RanvierError):
    """The kind belongs to the runtime."""


class WorkerClient:
    """The second argument of a handler: acts on the axon that the event came from."""

    def __init__(self, journal: Journal, worker: str, delivery: str) -> None:
        self._journal = journal
        self._source = f"{SOURCE_PREFIX}{worker}"
        self._delivery = f"{worker}\n{delivery}"
        self._calls = 0

    @property
    def journal(self) -> Journal:
        """The axon, for all else; what is done there is repeated with the handler."""
        return self._journal

    async def publish(
        self,
        kind: str,
        payload: Mapping[str, Any] | None = None,
        session_id: str | None = None,
        *,
        origin: Origin = Origin.AGENT,
    ) -> int:
        """Publish an event of your own; workers receive it under its kind. Returns its sequence.

        It wakes no devbox and starts no turn, unless `origin` is `Origin.EXTERNAL`. Raises
        ReservedKind for the runtime's namespaces.
        """
        if is_reserved(kind) or kind == NOTIFICATION:
            raise ReservedKind(
                f"The kind {kind!r} is reserved for the runtime.",
                "Use a prefix of your own: myapp.*, bridge.*, capability.<name>.*",
            )
        return await self._publish(kind, _with_session(payload or {}, session_id), origin)

    async def notify(
        self, message: str, *, title: str | None = None, session_id: str | None = None
    ) -> int:
        """Tell the people who watch the axon. Workers do not receive it. Returns its sequence."""
        payload = {"title": title, "message": message}
        return await self._publish(NOTIFICATION, _with_session(payload, session_id), Origin.AGENT)

    async def send_permission_response(
        self,
        event: EventEnvelope,
        *,
        allow: bool,
        option_id: str | None = None,
        reason: str | None = None,
    ) -> int:
        """Answer a `prompt.required` that asks for permission. Returns the answer's sequence.

        `option_id` picks an offered option instead of the plain yes or no; `reason` is told to the
        agent where its protocol can. Raises NotAQuestion when the event asks for no permission.
        """
        asked_by, question = _question(event)
        return await self._answer(
            answers.permission(asked_by, question, allow=allow, option_id=option_id, reason=reason)
        )

    async def send_human_input_response(self, event: EventEnvelope, content: Any) -> int:
        """Answer a `prompt.required` that asks for input; None declines. Returns its sequence.

        Raises NotAQuestion when the event asks for no input.
        """
        return await self._answer(answers.human_input(*_question(event), content))

    async def _answer(self, answer: answers.Answer) -> int:
        return await self._publish(*answer, Origin.USER)

    async def _publish(self, event_type: str, payload: Any, origin: Origin) -> int:
        self._calls += 1
        digest = hashlib.sha256(f"{self._delivery}\n{self._calls}".encode()).hexdigest()
        return await self._journal.publish(
            event_type,
            payload,
            origin=origin,
            source=self._source,
            request_id=f"ranvier-worker-{digest[:40]}",
        )


def _question(event: EventEnvelope) -> tuple[str, Mapping[str, Any]]:
    raw = event.payload.get("raw_event")
    if event.kind != "prompt.required" or not isinstance(raw, Mapping):
        raise answers.NotAQuestion(f"{event.kind} asks for nothing.")
    return str(event.payload["event_type"]), raw


def _with_session(payload: Mapping[str, Any], session_id: str | None) -> dict[str, Any]:
    return dict(payload) if session_id is None else {**payload, "session_id": session_id}

"""POST /internal/v1/devboxes/{uid}/mounts/{index}/append: a broker's batches. A plain ASGI endpoint
like publish, because every word of an agent comes this way."""

from ranvier.events import PAYLOAD_BYTES_MAX, payload_bytes
from ranvier.internal import AppendAnswer, AppendRequest
from starlette.types import Scope

from ranvier_apiserver import audit, auth, bodies, hot_path
from ranvier_apiserver.auth import Principal
from ranvier_apiserver.errors import InvalidField, PayloadTooLarge
from ranvier_apiserver.hot_path import Reply
from ranvier_apiserver.identities import Broker
from ranvier_apiserver.routes.described import Operation, described
from ranvier_apiserver.routes.hot import HotRoute, refuse


@described(Operation(answers=(AppendAnswer,), bodies=(AppendRequest,)))
class Append(HotRoute[Broker]):
    """Append a batch of a mount's broker, all of it or nothing"""

    body_bytes_max = bodies.APPEND_BODY_BYTES_MAX

    def allow(self, scope: Scope, caller: Principal) -> Broker:
        return auth.require_broker(caller, scope["path_params"]["uid"])

    def begin(self, scope: Scope, caller: Broker, body: bytes, reply: Reply) -> None:
        uid, index = scope["path_params"]["uid"], _index(scope["path_params"]["index"])
        request = bodies.parse(AppendRequest, body)
        if any(payload_bytes(event.payload) > PAYLOAD_BYTES_MAX for event in request.events):
            raise PayloadTooLarge(f"A payload holds at most {PAYLOAD_BYTES_MAX} bytes.")

        def then(done: AppendAnswer, error: Exception | None) -> None:
            if error is not None:
                refuse(reply, error)
                return
            audit.note(scope, sequence=done.last_sequence, events=len(request.events))
            reply(200, done.model_dump_json().encode(), hot_path.JSON)

        self._context.store.append_then(uid, index, request, then)


def _index(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise InvalidField("index: a mount's place in spec.mounts is a number from 0 on.")
    return int(text)

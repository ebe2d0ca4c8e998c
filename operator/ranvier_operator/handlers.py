"""Kopf as a reader: it watches, we decide. Nothing of Kopf's is ever written to an object.

`register` adds one raw watch handler a kind, which hands the event on and returns. There are no
finalizers, annotations, progress records or peerings: Kopf's handlers of changes need them, ours
are level-triggered and do not. Importing this module has no effect.
"""

from collections.abc import Callable
from typing import Any, Final

import kopf

from ranvier_operator.kinds import WATCHED, Kind, RawObject

Observe = Callable[[Kind, str | None, RawObject], None]

WATCH_SECONDS: Final = 300
"""The API server ends a watch after this long, and it is begun anew where it ended. A watch that
died without a word is thus replaced; bookmarks that stay away for 70 s end it sooner."""
CONNECT_SECONDS: Final = 5.0
RECONNECT_SECONDS: Final = 0.1
REQUEST_SECONDS: Final = 30.0
END_SECONDS: Final = 20.0
"""A Kopf that does not end by then is killed; less than a pod's grace period."""


def register(registry: kopf.OperatorRegistry, observe: Observe) -> None:
    """Have every event of the watched kinds handed to `observe`."""
    kopf.on.login(registry=registry)(kopf.login_via_client)
    for kind in WATCHED:
        _register(registry, kind, observe)


def _register(registry: kopf.OperatorRegistry, kind: Kind, observe: Observe) -> None:
    @kopf.on.event(
        group=kind.group,
        version=kind.version,
        plural=kind.plural,
        id=f"observe-{kind.plural}",
        registry=registry,
    )
    async def observed(event: kopf.RawEvent, **_: Any) -> None:
        observe(kind, event["type"], dict(event["object"]))


def kopf_settings() -> kopf.OperatorSettings:
    """Kopf's settings: watch and nothing else. (It has no batching window any more.)"""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False  # it posts log lines as Events; ours are in `notices`
    settings.scanning.disabled = True  # else it needs to list and watch CRDs and namespaces
    settings.peering.standalone = True  # the lease decides who acts
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.connect_timeout = CONNECT_SECONDS
    settings.watching.reconnect_backoff = RECONNECT_SECONDS
    settings.networking.request_timeout = REQUEST_SECONDS
    settings.process.ultimate_exiting_timeout = END_SECONDS
    for kind in WATCHED:
        if kind.selector:
            place = (kind.group, kind.version, kind.plural)
            settings.watching.label_selectors[place] = kind.selector
    return settings

"""Ranvier's shared vocabulary and client: axons, devboxes, events, the wire between the parts.

This distribution is the bottom layer. It needs pydantic and httpx only, and never imports the
operator, the API server or the broker.

    from ranvier import Ranvier          # or AsyncRanvier

The client is imported when it is first named: a broker needs the vocabulary alone, at every wake.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ranvier.client.aio import AsyncRanvier as AsyncRanvier
    from ranvier.client.blocking import Ranvier as Ranvier
    from ranvier.client.devbox_calls import broker_mount as broker_mount
    from ranvier.client.errors import RanvierError as RanvierError

__version__ = "0.1.0"

_LAZY: Final = {
    "AsyncRanvier": "ranvier.client.aio",
    "Ranvier": "ranvier.client.blocking",
    "RanvierError": "ranvier.client.errors",
    "broker_mount": "ranvier.client.devbox_calls",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)

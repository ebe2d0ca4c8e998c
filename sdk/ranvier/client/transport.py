"""What both shells need of httpx: the settings of a client, and its failures in our words."""

from typing import Any, Final

import httpx

import ranvier
from ranvier.client.errors import ConnectionFailed, RanvierError, TimedOut
from ranvier.client.settings import (
    CONNECT_SECONDS,
    CONNECTIONS_MAX,
    STREAM_SILENCE_SECONDS,
    Settings,
)

STREAM_TIMEOUT: Final = httpx.Timeout(CONNECT_SECONDS, read=STREAM_SILENCE_SECONDS)
STREAM_HEADERS: Final = {"accept": "text/event-stream", "accept-encoding": "identity"}


def options(settings: Settings) -> dict[str, Any]:
    """Arguments of `httpx.Client` and `httpx.AsyncClient`."""
    return {
        "base_url": settings.base_url,
        "headers": {
            "authorization": f"Bearer {settings.api_key}",
            "user-agent": f"ranvier-python/{ranvier.__version__}",
        },
        "timeout": httpx.Timeout(settings.timeout_seconds, connect=CONNECT_SECONDS),
        "limits": httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=20),
    }


def in_our_words(error: httpx.RequestError, settings: Settings) -> RanvierError:
    """The failure as a sentence about this server."""
    url, why = settings.base_url, str(error) or type(error).__name__
    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        return ConnectionFailed(
            f"Nothing answers at {url} ({why}).",
            "Start a server with `ranvier dev` or `ranvier serve`, or set RANVIER_BASE_URL to a "
            "running one.",
        )
    if isinstance(error, httpx.TimeoutException):
        return TimedOut(
            f"{url} did not answer in time ({why}).", "Try again, or allow a longer timeout."
        )
    return ConnectionFailed(f"The connection to {url} broke ({why}).", "Try again.")

"""Where the server is, which key opens it, and how long to wait: arguments first, then environment.

Runloop's own variables are not read: a key for one service must not go to another.
"""

import os
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from ranvier.client.errors import NotConfigured

BASE_URL_VARIABLE: Final = "RANVIER_BASE_URL"
KEY_VARIABLE: Final = "RANVIER_API_KEY"
BASE_URL_DEFAULT: Final = "http://127.0.0.1:8080"
"""Where `ranvier serve` listens when nothing else is said."""

TIMEOUT_SECONDS: Final = 30.0
"""How long one attempt of a call may stay without an answer."""

CONNECT_SECONDS: Final = 5.0
STREAM_SILENCE_SECONDS: Final = 40.0
"""A stream that says nothing for so long is dead: the server's heartbeat is four times as fast."""

RETRIES: Final = 5
CONNECTIONS_MAX: Final = 2000
"""Each subscription holds one for as long as it lives."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to reach a server. `retries`: attempts after the first; `timeout_seconds`: of each."""

    base_url: str
    api_key: str = field(repr=False)
    timeout_seconds: float = TIMEOUT_SECONDS
    retries: int = RETRIES


def resolve(
    base_url: str | None = None,
    api_key: str | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
    retries: int = RETRIES,
) -> Settings:
    """Settings from arguments and environment; raises NotConfigured with what to set."""
    url = base_url or os.environ.get(BASE_URL_VARIABLE) or BASE_URL_DEFAULT
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NotConfigured(
            f"{url!r} is no address of a server.",
            f"Set {BASE_URL_VARIABLE} (or base_url) to something like {BASE_URL_DEFAULT}.",
        )
    key = (api_key or os.environ.get(KEY_VARIABLE) or "").strip()
    if not key:
        raise NotConfigured(
            "There is no API key.",
            f"Set {KEY_VARIABLE} (or api_key); `ranvier dev` and `ranvier serve` print theirs.",
        )
    return Settings(url.rstrip("/"), key, timeout_seconds, retries)

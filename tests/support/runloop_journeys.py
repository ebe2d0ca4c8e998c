"""Runs one journey of a script with Runloop's published Python SDK: `SCRIPT JOURNEY VERSION`.

Each is a process, because two versions of the SDK can not be imported into one; which of them it
is, is the caller's PYTHONPATH. A journey is a function of that name, blocking or asynchronous.
"""

import asyncio
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import pytest
import runloop_api_client
from runloop_api_client import AsyncRunloopSDK, RunloopSDK


def main(journeys: Mapping[str, Any]) -> None:
    name, wanted = sys.argv[1:3]
    assert runloop_api_client.__version__ == wanted, version("runloop-api-client")
    journey = journeys[name]
    if asyncio.iscoroutinefunction(journey):
        asyncio.run(_asynchronously(journey))
    else:
        with RunloopSDK() as sdk:
            journey(sdk)


def refused(call: Callable[[], object], error: type[Exception], words: str = "") -> None:
    """The call is refused with this error, and says so in these words."""
    with pytest.raises(error, match=words):
        call()


async def _asynchronously(journey: Any) -> None:
    async with AsyncRunloopSDK() as sdk:
        await journey(sdk)

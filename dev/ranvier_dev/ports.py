"""Ports of loopback for programs that are told theirs."""

import random
import socket
from typing import Final

BELOW_EPHEMERAL: Final = range(20_000, 32_768)
"""The kernel gives connections their own ports from 32,768 on (Linux' default). A port from up
there may be some connection's by the time the program that was told of it opens it."""

ATTEMPTS_MAX: Final = 1_000


def free_port() -> int:
    """One that nobody has at this moment, and that no connection will be given."""
    for port in random.sample(BELOW_EPHEMERAL, ATTEMPTS_MAX):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port of 127.0.0.1 among {ATTEMPTS_MAX} that were tried")

"""A line from a person: readline, with a Ctrl-C that is always heard.

CPython hears a signal when it interrupts the wait for a key. One that comes just before that wait
begins is heard with the next key only, and Ctrl-C seems dead. So the wait is interrupted again
until the signal was heard.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, NoReturn

AGAIN_SECONDS: Final = 0.02
"""How long an interrupt may go unheard before the wait for a key is interrupted again."""


def read_line(prompt: str) -> str:
    """What is typed until Enter, without it. Main thread only.

    Raises EOFError for Ctrl-D on an empty line, KeyboardInterrupt for Ctrl-C.
    """
    with suppress(ImportError):
        import readline

        # Several lines that are pasted are one prompt, not one each.
        readline.parse_and_bind("set enable-bracketed-paste on")
    with _interrupts_heard():
        return input(prompt)


@contextmanager
def _interrupts_heard() -> Iterator[None]:
    heard = threading.Event()

    def interrupted(_number: int, _frame: FrameType | None) -> NoReturn:
        heard.set()
        raise KeyboardInterrupt

    numbers, writer = os.pipe()  # of the signals that have come, written as they come
    os.set_blocking(writer, False)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGURG)}
    insisting = threading.Thread(target=_insist, args=(numbers, heard), daemon=True)
    insisting.start()
    written_before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        signal.signal(signal.SIGURG, lambda _number, _frame: None)
        signal.signal(signal.SIGINT, interrupted)
        yield
    finally:
        heard.set()
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(written_before)
        os.close(writer)
        insisting.join()
        os.close(numbers)


def _insist(numbers: int, heard: threading.Event) -> None:
    """Interrupt what the main thread waits for, from an interrupt's coming until it was heard."""
    waits = threading.main_thread().ident
    while number := os.read(numbers, 1):
        while number[0] == signal.SIGINT and waits and not heard.wait(AGAIN_SECONDS):
            signal.pthread_kill(waits, signal.SIGURG)

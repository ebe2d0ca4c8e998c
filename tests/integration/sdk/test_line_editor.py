"""Ctrl-C while a line is typed is heard, whenever it comes."""

import os
import signal
import sys

from terminal import Terminal

BEFORE_THE_WAIT = """
import ctypes, os, signal, threading
from ranvier.cli.line_editor import read_line

# What CPython calls between two waits for a key is here a wait for a signal, so that the signal
# comes in just that moment, which is otherwise some microseconds long.
pause = ctypes.cast(ctypes.CDLL(None).pause, ctypes.c_void_p)
ctypes.c_void_p.in_dll(ctypes.pythonapi, "PyOS_InputHook").value = pause.value
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    read_line("> ")
except KeyboardInterrupt:
    print("dropped")
"""

AGAIN_AND_AGAIN = """
import signal
from ranvier.cli.line_editor import read_line

before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGURG)]
while True:
    try:
        print("said", read_line("> "))
    except KeyboardInterrupt:
        print("dropped")
    except EOFError:
        break
print(before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGURG)])
"""


def _program(text: str) -> Terminal:
    return Terminal([sys.executable, "-c", text], dict(os.environ))


def test_ctrl_c_just_before_the_wait_for_a_key_is_heard() -> None:
    with _program(BEFORE_THE_WAIT) as terminal:
        terminal.shows("dropped")
        assert terminal.ends() == 0


def test_a_line_is_dropped_and_the_next_one_is_read_and_nothing_stays_changed() -> None:
    with _program(AGAIN_AND_AGAIN) as terminal:
        for number in range(20):
            terminal.shows("> ")
            terminal.type("half a line")
            terminal.shows("half a line")
            terminal.ctrl_c()
            terminal.shows("dropped\n> ")
            terminal.type(f"line {number}\n")
            terminal.shows(f"said line {number}\n")
        terminal.shows("> ")
        terminal.type("\x04")
        terminal.shows("True\n")
        assert terminal.ends() == 0


def test_an_interrupt_that_is_no_key_is_heard_too() -> None:
    with _program(AGAIN_AND_AGAIN) as terminal:
        terminal.shows("> ")
        os.kill(terminal.pid, signal.SIGINT)
        terminal.shows("dropped\n> ")

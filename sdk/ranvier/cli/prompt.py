"""`ranvier prompt`: talk to an agent. A shell around `conversation`: keyboard, terminal, axon."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Final, assert_never

import typer

from ranvier.cli import output
from ranvier.cli.conversation import (
    Ask,
    Conversation,
    Ending,
    Heard,
    Hush,
    Input,
    Interrupted,
    Later,
    Over,
    Permission,
    Soon,
    Style,
    Typed,
    Waited,
    Write,
)
from ranvier.cli.dialects import Dialect, Message
from ranvier.cli.line_editor import read_line
from ranvier.cli.output import Format, FormatOption
from ranvier.cli.target import Target
from ranvier.client.errors import RanvierError

if TYPE_CHECKING:
    from ranvier import AsyncRanvier

SOURCE: Final = "ranvier-cli"
HISTORY_READ: Final = 100
"""Newest events from which the agent's protocol is learnt before the first prompt."""

EVENTS_WAITING_MAX: Final = 256
"""Events that have come and were not shown yet; a slow terminal slows the stream, nothing else."""

PATIENCE_SECONDS: Final = 2.0
"""After so long without a turn it is said what is waited for."""

SOON_SECONDS: Final = 0.3
"""How long the name of a tool is waited for."""

LINE_BYTES_MAX: Final = 4096
"""An answer is a letter; a terminal hands over no longer line."""

EXIT_CODES: Final = {
    Ending.COMPLETED: 0,
    Ending.FAILED: 1,
    Ending.CANCELLED: 130,
    Ending.LEFT: 130,
}
_COLOURS: Final = {
    Style.TOOL: typer.colors.CYAN,
    Style.NOTE: typer.colors.BRIGHT_BLACK,
    Style.ERROR: typer.colors.RED,
}

EPILOG: Final = """Without TEXT it asks for one prompt after the other; Ctrl-D ends it. Ctrl-C
cancels the turn, a second Ctrl-C leaves it to itself.

\b
Examples:
  ranvier prompt --axon AXON
  ranvier prompt --axon AXON 'Why is the build red?'
  git diff | ranvier prompt --axon AXON --permission deny > review.txt
"""


def prompt(
    context: typer.Context,
    axon: Annotated[str, typer.Option(help="Axon of a devbox's broker mount.", metavar="AXON")],
    text: Annotated[list[str] | None, typer.Argument(help="What to say.", metavar="TEXT")] = None,
    permission: Annotated[
        Permission | None,
        typer.Option(
            help="When the agent asks whether it may: ask you, or answer by itself "
            "(default: ask on a terminal, else deny)."
        ),
    ] = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Talk to the agent behind an axon.

    It shows the words as they come, the tools that are used, and asks you what the agent asks.
    """
    target: Target = context.obj
    is_terminal = sys.stdin.isatty()
    allowed = permission or (Permission.ASK if is_terminal else Permission.DENY)
    if allowed is Permission.ASK and not is_terminal:
        raise RanvierError("There is no terminal to ask on.", "Use --permission allow or deny.")
    talk = _Talk(target, axon, allowed, form)
    if text or not is_terminal:
        words = " ".join(text) if text else sys.stdin.read()
        raise typer.Exit(EXIT_CODES[asyncio.run(talk.turn(words))])
    asyncio.run(talk.meet())
    output.say(_dimmed("Ctrl-C cancels a turn, Ctrl-D leaves."), to_stderr=True)
    while (words := _next_words()) is not None:
        if words.strip() and asyncio.run(talk.turn(words)) is Ending.LEFT:
            raise typer.Exit(EXIT_CODES[Ending.LEFT])


def _next_words() -> str | None:
    """What is typed next; None for the end. Ctrl-C drops the line, twice in a row it is the end."""
    for more in ("(Ctrl-C again or Ctrl-D leaves)", ""):
        try:
            return read_line("› ")
        except EOFError:
            break
        except KeyboardInterrupt:
            output.say()
            if more:
                output.say(_dimmed(more), to_stderr=True)
    else:
        return None
    output.say()
    return None


def _dimmed(text: str) -> str:
    return typer.style(text, fg=_COLOURS[Style.NOTE])


class _Talk:
    """Turns on one axon, one after the other."""

    def __init__(self, target: Target, axon: str, permission: Permission, form: Format) -> None:
        self._target = target
        self._axon = axon
        self._permission = permission
        self._form = form
        self._dialect: Dialect | None = None
        self._is_mid_line = False

    async def meet(self) -> None:
        """Learn what the agent speaks; an axon that is not there is said before anybody types."""
        async with self._target.asynchronous() as client:
            self._dialect = await _learn(client, self._axon)

    async def turn(self, words: str) -> Ending:
        """Publish a prompt and stay until its turn is over."""
        async with self._target.asynchronous() as client:
            if self._dialect is None:
                self._dialect = await _learn(client, self._axon)
            published = await client.axons.publish(
                self._axon, "user.message", {"content": words}, source=SOURCE
            )
            turn = Conversation(published.sequence, self._dialect, self._permission)
            ending = await self._attend(client, turn, published.sequence)
        self._end_line()
        return ending

    async def _attend(self, client: "AsyncRanvier", turn: Conversation, after: int) -> Ending:
        inputs, failed = _Inputs(), None
        try:
            async with _listening(client, self._axon, after, inputs):
                return await self._play(client, turn, inputs)
        except* (RanvierError, output.NobodyReads) as errors:  # the task group has wrapped it
            failed = errors.exceptions[0]
        raise failed or RanvierError("The turn was left without a reason.")

    async def _play(
        self,
        client: "AsyncRanvier",
        turn: Conversation,
        inputs: "_Inputs",
    ) -> Ending:
        keyboard = _Keyboard(inputs)
        try:
            while True:
                item = await inputs.get()
                if self._form is Format.JSON and isinstance(item, Heard):
                    output.as_json(item.event)
                for command in turn.handle(item):
                    match command:
                        case Write():
                            self._write(command)
                        case Ask(text):
                            self._end_line()
                            keyboard.listen()
                            output.say(output.printable(text), end="", to_stderr=True)
                        case Hush():
                            keyboard.ignore()
                        case Soon(call_id):
                            inputs.put_in(SOON_SECONDS, Later(call_id))
                        case Message(event_type, payload):
                            await client.axons.publish(
                                self._axon, event_type, payload, source=SOURCE
                            )
                        case Over(ending):
                            return ending
                        case _:
                            assert_never(command)
        finally:
            keyboard.ignore()

    def _write(self, words: Write) -> None:
        if self._form is Format.JSON:
            return
        text = output.printable(words.text)
        if not words.is_line:
            output.say(text, end="")
            self._is_mid_line = not text.endswith("\n") if text else self._is_mid_line
            return
        self._end_line()
        output.say(typer.style(text, fg=_COLOURS.get(words.style)), to_stderr=True)

    def _end_line(self) -> None:
        if self._is_mid_line:
            output.say()
        self._is_mid_line = False


class _Inputs:
    """What happens, in order. Events wait for room; keys and Ctrl-C always have it."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Input | RanvierError] = asyncio.Queue()
        self._room = asyncio.Semaphore(EVENTS_WAITING_MAX)

    async def put(self, item: Heard) -> None:
        await self._room.acquire()
        self._queue.put_nowait(item)

    def put_in(self, seconds: float, item: Later) -> None:
        """Put it later, if anybody still listens then."""
        asyncio.get_running_loop().call_later(seconds, self.put_now, item)

    def put_now(self, item: Input | RanvierError) -> None:
        self._queue.put_nowait(item)

    async def get(self) -> Input:
        """The next thing; raises the error that ended the stream."""
        item = await self._queue.get()
        if isinstance(item, RanvierError):
            raise item
        if isinstance(item, Heard):
            self._room.release()
        return item


class _Keyboard:
    """Reads lines from the terminal while a question is open, and only then."""

    def __init__(self, inputs: _Inputs) -> None:
        self._inputs = inputs
        self._loop = asyncio.get_running_loop()
        self._listens = False

    def listen(self) -> None:
        """What was typed before the question was shown is no answer to it."""
        if not self._listens:
            import termios

            termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
            self._loop.add_reader(sys.stdin.fileno(), self._read)
        self._listens = True

    def ignore(self) -> None:
        if self._listens:
            self._loop.remove_reader(sys.stdin.fileno())
        self._listens = False

    def _read(self) -> None:
        line = os.read(sys.stdin.fileno(), LINE_BYTES_MAX).decode(errors="replace")
        if not line:  # Ctrl-D: whoever is gone has not said yes
            line = "no"
        self._inputs.put_now(Typed(line))


@asynccontextmanager
async def _listening(
    client: "AsyncRanvier",
    axon: str,
    after: int,
    inputs: _Inputs,
) -> AsyncGenerator[None, None]:
    """Puts the axon's events, Ctrl-C and the passing of time into the queue."""
    loop = asyncio.get_running_loop()

    async def hear() -> None:
        try:
            async with client.axons.subscribe(axon, after) as events:
                async for event in events:
                    await inputs.put(Heard(event))
        except RanvierError as error:
            inputs.put_now(error)

    loop.add_signal_handler(signal.SIGINT, inputs.put_now, Interrupted())
    waiting = loop.call_later(PATIENCE_SECONDS, inputs.put_now, Waited())
    try:
        async with asyncio.TaskGroup() as group:
            hearing = group.create_task(hear())
            try:
                yield
            finally:
                hearing.cancel()
    finally:
        waiting.cancel()
        loop.remove_signal_handler(signal.SIGINT)


async def _learn(client: "AsyncRanvier", axon: str) -> Dialect:
    dialect = Dialect()
    for event in reversed((await client.axons.events(axon, limit=HISTORY_READ)).items):
        dialect.learn(event)
    return dialect

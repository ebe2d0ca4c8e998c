"""The model itself: a request goes in, a reply comes out, the script in the prompt decides.

Side jobs never consume a directive: a request that demands a schema gets the smallest value of it,
one that offers no tools (titles, summaries) gets a short text. The only memory is how often each
counted fault has happened, and that is handed in; the caller counts what `played` names.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scripted import script, tools
from scripted.conversation import Cut, Hang, Refuse, Reply, Request, Say, ToolCall

TITLE = "Scripted title"
# A prompt without a script is echoed, but a long one does not come back whole.
ECHO_CHARACTERS_MAX = 200
FIRST_PROMPT_CHARACTERS_MAX = 80
HANG_SECONDS_DEFAULT = 60.0
HALF = Say(("half ", "of ", "a "))

Fault = tuple[str, int]
"""A counted fault: the prompt it stands in and its place there."""


@dataclass(frozen=True)
class Decision:
    """A reply, and the counted fault that was played with it."""

    reply: Reply
    played: Fault | None = None


def decide(request: Request, spent: Mapping[Fault, int]) -> Decision:
    """What the model answers, given how often each counted fault has been played."""
    if request.schema is not None:
        return Decision(Say((json.dumps(tools.smallest(request.schema)),)))
    if not request.tools:
        return Decision(Say((TITLE,)))
    steps = script.steps(request.newest)
    if not steps:
        return Decision(Say(script.words("echo: " + request.newest[:ECHO_CHARACTERS_MAX])))

    def is_spent(step: script.Step) -> bool:
        return step.times is not None and spent.get((request.newest, step.place), 0) >= step.times

    left = [step for step in steps if not is_spent(step)]
    if request.replies >= len(left):
        return Decision(Say(("done",)))
    step = left[request.replies]
    fault = (request.newest, step.place) if step.times is not None else None
    return Decision(_play(step, request), fault)


def _play(step: script.Step, request: Request) -> Reply:
    player = PLAYERS.get(step.verb)
    if player is None:
        return Say((f"unknown directive {step}",))
    try:
        return player(step, request)
    except ValueError:
        return Say((f"cannot play {step}",))


def _call(call: ToolCall | None, request: Request, chunks: tuple[str, ...] = ()) -> Reply:
    if call is None:
        return Say((f"no such tool here; offered: {','.join(request.tools)}",))
    return Say(chunks, tool=call)


def _bash(step: script.Step, request: Request) -> Reply:
    return _call(tools.run(step.argument, request.tools), request)


def _ask(step: script.Step, request: Request) -> Reply:
    return _call(tools.run(step.argument, request.tools, escalate=True), request)


def _write(step: script.Step, request: Request) -> Reply:
    path, text = step.halves
    return _call(tools.write(path, text, request.tools), request)


def _read(step: script.Step, request: Request) -> Reply:
    return _call(tools.read(step.argument, request.tools), request)


def _both(step: script.Step, request: Request) -> Reply:
    text, command = step.halves
    return _call(tools.run(command, request.tools), request, script.words(text))


def _text(step: script.Step, _request: Request) -> Reply:
    return Say(script.words(step.argument))


def _think(step: script.Step, _request: Request) -> Reply:
    thoughts, text = step.halves
    return Say(script.words(text), thoughts=script.words(thoughts))


def _slow(step: script.Step, _request: Request) -> Reply:
    milliseconds, count = (int(part) for part in step.argument.split())
    return Say(tuple(f"tick{n} " for n in range(count)), pause_seconds=milliseconds / 1000)


def _history(_step: script.Step, request: Request) -> Reply:
    first = script.prose(request.prompts[0])[-FIRST_PROMPT_CHARACTERS_MAX:]
    said = f"HISTORY prompts={len(request.prompts)} first={json.dumps(first)}"
    return Say(script.words(said))


def _http(step: script.Step, _request: Request) -> Reply:
    status = int(script.TIMES.sub("", step.argument))
    if not 400 <= status <= 599:
        raise ValueError(status)
    return Refuse(status)


def _drop(_step: script.Step, _request: Request) -> Reply:
    return Cut(HALF, is_garbled=False)


def _badsse(_step: script.Step, _request: Request) -> Reply:
    return Cut(HALF, is_garbled=True)


def _hang(step: script.Step, _request: Request) -> Reply:
    return Hang(float(step.argument) if step.argument else HANG_SECONDS_DEFAULT)


PLAYERS: dict[str, Callable[[script.Step, Request], Reply]] = {
    "bash": _bash,
    "ask": _ask,
    "write": _write,
    "read": _read,
    "both": _both,
    "text": _text,
    "think": _think,
    "slow": _slow,
    "history": _history,
    "http": _http,
    "drop": _drop,
    "badsse": _badsse,
    "hang": _hang,
}

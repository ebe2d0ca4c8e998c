"""Lines to JSON-RPC messages and back, with every payload kept as the text that it was.

The axon promises payloads byte for byte, and a number like 1e400 or a key given twice would not
survive a round trip through Python values. So a message is scanned member by member: each comes as
its value and as its raw text, and what passes through is the raw text.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

EXCERPT_CHARACTERS: Final = 200
"""How much of a bad line is shown to people."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A JSON value and the text that it was read from."""

    text: str
    value: Any


EMPTY: Final = Raw("{}", {})
"""Stands for `params` or `result` that are absent or null."""


@dataclass(frozen=True, slots=True)
class Request:
    """The peer asks; the answer carries the same id, whatever its type."""

    id: str
    method: str
    params: Raw


@dataclass(frozen=True, slots=True)
class Notification:
    method: str
    params: Raw


@dataclass(frozen=True, slots=True)
class Result:
    """An answer to the request with our id (None: not one of ours)."""

    id: int | None
    result: Raw


@dataclass(frozen=True, slots=True)
class Failure:
    """An error answer; `id` is None when the peer could not tell which message it means."""

    id: int | None
    code: int | None
    message: str


@dataclass(frozen=True, slots=True)
class NotAMessage:
    """A line that is no JSON-RPC message, and why."""

    why: str
    excerpt: str


Message = Request | Notification | Result | Failure | NotAMessage

_BLANK = re.compile(r"[ \t\r\n]*")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decoder: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def read(line: bytes) -> Message:
    """Read one line. A line that makes no sense is a value too, never an exception."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return NotAMessage("not UTF-8", line[:EXCERPT_CHARACTERS].decode(errors="replace"))
    try:
        return _classify(members(text)) or NotAMessage("not JSON-RPC", text[:EXCERPT_CHARACTERS])
    except (ValueError, RecursionError):
        return NotAMessage("not a JSON object", text[:EXCERPT_CHARACTERS])


def members(text: str) -> dict[str, Raw]:
    """Scan a JSON object: its members, each as value and raw text. ValueError if it is none."""
    return {name: Raw(text[start:end], value) for name, start, end, value in _scan(text)}


def with_member(text: str, name: str, raw: str) -> str:
    """A JSON object with this member's value replaced by the raw text, else with it added in front;
    every other character stays. ValueError if it is no object."""
    at, parts, is_there, is_empty = 0, [], False, True
    for member, start, end, _ in _scan(text):
        is_empty = False
        if member == name:
            parts += [text[at:start], raw]
            at, is_there = end, True
    if is_there:
        return "".join([*parts, text[at:]])
    inside = text.index("{") + 1
    return f"{text[:inside]}{json.dumps(name)}:{raw}{'' if is_empty else ','}{text[inside:]}"


def _scan(text: str) -> Iterator[tuple[str, int, int, Any]]:
    """The members of a JSON object: name, where its value begins and ends, and the value."""
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        raise ValueError("not an object")
    at = _skip(text, at + 1)
    closed = text[at : at + 1] == "}"
    while not closed:
        name, at = _decoder.raw_decode(text, at)
        at = _skip(text, at)
        if not isinstance(name, str) or text[at : at + 1] != ":":
            raise ValueError("a member needs a name")
        start = _skip(text, at + 1)
        value, end = _decoder.raw_decode(text, start)
        yield name, start, end, value
        at = _skip(text, end)
        if text[at : at + 1] not in (",", "}"):
            raise ValueError("a member ends with a comma or a brace")
        closed = text[at] == "}"
        at = at if closed else _skip(text, at + 1)
    if _skip(text, at + 1) != len(text):
        raise ValueError("text after the object")


def one_line(text: str) -> Raw:
    """A payload as JSON on one line. ValueError if it is no JSON.

    A line break in valid JSON can only be space between tokens, so nothing else changes.
    """
    return Raw(text.replace("\r", " ").replace("\n", " "), value_of(text))


def raw(value: Any) -> Raw:
    """A value of our own as compact JSON."""
    return Raw(dump(value), value)


def value_of(text: str) -> Any:
    """The JSON value of a payload. ValueError if it is none."""
    try:
        return _decoder.decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def dump(value: Any) -> str:
    """Compact JSON, readable in any language; lone surrogates stay escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(value, separators=(",", ":"))
    return text


def request(number: int, method: str, params: str) -> bytes:
    """A request of ours; `params` is JSON on one line."""
    head = f'{{"jsonrpc":"2.0","id":{number},"method":{json.dumps(method)},"params":'
    return f"{head}{params}}}\n".encode()


def notification(method: str, params: str) -> bytes:
    head = f'{{"jsonrpc":"2.0","method":{json.dumps(method)},"params":'
    return f"{head}{params}}}\n".encode()


def result(request_id: str, value: str) -> bytes:
    """The answer to the peer's request; `request_id` is the raw text of its id."""
    return f'{{"jsonrpc":"2.0","id":{request_id},"result":{value}}}\n'.encode()


def failure(request_id: str, error: str) -> bytes:
    return f'{{"jsonrpc":"2.0","id":{request_id},"error":{error}}}\n'.encode()


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _classify(found: dict[str, Raw]) -> Message | None:
    request_id = found.get("id")
    if "method" in found:
        method = found["method"].value
        if not isinstance(method, str):
            return None
        params = _or_empty(found.get("params"))
        if request_id is None or request_id.value is None:
            return Notification(method, params)
        return Request(request_id.text, method, params)
    if "error" in found and found["error"].value is not None:
        return _failure(_our_id(request_id), found["error"])
    if request_id is not None and "result" in found:
        return Result(_our_id(request_id), _or_empty(found["result"]))
    return None


def _failure(number: int | None, error: Raw) -> Failure:
    if not isinstance(error.value, dict):
        return Failure(number, None, error.text[:EXCERPT_CHARACTERS])
    code, message = error.value.get("code"), error.value.get("message")
    return Failure(
        number,
        code if isinstance(code, int) else None,
        message if isinstance(message, str) else error.text[:EXCERPT_CHARACTERS],
    )


def _our_id(raw: Raw | None) -> int | None:
    return raw.value if raw is not None and type(raw.value) is int else None


def _or_empty(raw: Raw | None) -> Raw:
    return EMPTY if raw is None or raw.value is None else raw

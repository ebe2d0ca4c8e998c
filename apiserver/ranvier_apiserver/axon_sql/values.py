"""SQL values as JSON and back. Pure.

| SQL | in a result | as a parameter |
|---|---|---|
| NULL | `null` | `null` |
| INTEGER | number, all 64 bits | whole number, `true`, `false` |
| REAL | number; infinite ones as `1e999`, which JSON parsers read as infinite | number |
| TEXT | string | string |
| BLOB | `{"base64": "…"}` | `{"base64": "…"}` |
"""

import base64
import binascii
from collections.abc import Sequence
from json.encoder import encode_basestring
from typing import Any, Final

INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**63 - 1

SqlValue = None | int | float | str | bytes


class NotAValue(ValueError):
    """A parameter that no SQL value stands for; the text says what to send instead."""


def parameter(value: Any) -> SqlValue:
    """The SQL value that a JSON value stands for."""
    match value:
        case None | float():
            return value
        case bool():
            return int(value)
        case int():
            if not INTEGER_MIN <= value <= INTEGER_MAX:
                raise NotAValue("a whole number of more than 64 bits; send it as a string")
            return value
        case str():
            return _text(value)
        case {"base64": str(text)} if len(value) == 1:
            return _blob(text)
    raise NotAValue('arrays and objects are no SQL values; send JSON text, or {"base64": "…"}')


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise NotAValue("half a surrogate pair is no text; send it as a blob") from None
    return value


def _blob(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise NotAValue(f"not base64: {error}") from None


def row_json(row: Sequence[SqlValue]) -> str:
    """One row as a JSON array, columns in their order."""
    return f"[{','.join(map(value_json, row))}]"


def value_json(value: SqlValue) -> str:
    match value:
        case None:
            return "null"
        case str():
            return encode_basestring(value)
        case int():
            return str(value)
        case float():
            return _real(value)
        case bytes():
            return f'{{"base64":"{base64.b64encode(value).decode()}"}}'


def _real(value: float) -> str:
    # JSON has no word for infinity, but every parser rounds a number this large to it.
    return {float("inf"): "1e999", float("-inf"): "-1e999"}.get(value) or repr(value)

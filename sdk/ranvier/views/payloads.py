"""Payloads read with tolerance: what is not there, or not of the expected kind, is None.

Payloads come from agents and strangers. A view never fails because of one (the contracts are
append-only, and agents are newer than we are).
"""

import json
from typing import Any


def value_of(payload: str) -> Any:
    """The payload's JSON value; None when it is no JSON."""
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None


def object_of(payload: str) -> dict[str, Any]:
    """The payload's JSON object; empty when it is none."""
    value = value_of(payload)
    return value if isinstance(value, dict) else {}


def at(value: Any, *path: str) -> Any:
    """The member at the path of names; None when a step is missing."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def text_at(value: Any, *path: str) -> str | None:
    """The text at the path."""
    found = at(value, *path)
    return found if isinstance(found, str) else None


def items_at(value: Any, *path: str) -> list[dict[str, Any]]:
    """The objects of the list at the path."""
    found = at(value, *path)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def text_in(content: Any) -> str:
    """All text of a content value: a text, or blocks `{type: "text", text}`, nested or not."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(text_in(block) for block in content if isinstance(block, dict))
    if isinstance(content, dict):
        if isinstance(content.get("text"), str):
            return str(content["text"])
        return text_in(content.get("content"))
    return ""


def word(value: Any) -> str | None:
    """A short value as text: strings as they are, numbers in decimal."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

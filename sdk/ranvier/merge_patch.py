"""JSON merge patches (RFC 7396). Pure."""

from typing import Any


def patched(body: Any, patch: Any) -> Any:
    """The body as the patch wants it: null takes a member away. Neither is changed."""
    if not isinstance(patch, dict):
        return patch
    result = dict(body) if isinstance(body, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = patched(result.get(name), value)
    return result

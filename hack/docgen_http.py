"""docs/reference/http.md: every public route, from the server's OpenAPI document."""

import json
from collections.abc import Iterator
from typing import Any, Final

from docgen_tables import cell, table
from ranvier_apiserver.app import describe

HEAD: Final = """\
<!-- Written by hack/docgen.py from apiserver/ranvier_apiserver. Change it there. -->

# HTTP API

Every public route; a server tells the same at `/openapi.json`. HTTP/1.1 and h2c on one port. Where
nothing else is said, a request carries `authorization: Bearer KEY`, and a refusal is a
[`ProblemView`](#problemview).
"""
INTERNAL: Final = "/internal/"
SCHEMAS: Final = "#/components/schemas/"


def page() -> str:
    """The whole page."""
    document = describe()
    routes = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        if not path.startswith(INTERNAL)
        for method, operation in methods.items()
    ]
    schemas = document["components"]["schemas"]
    named = _reachable([operation for *_, operation in routes], schemas)
    parts = [HEAD, "\n# Routes\n"]
    parts += [_route(*route) for route in routes]
    parts.append("\n# Bodies and answers\n")
    parts += [_schema(name, schemas[name]) for name in sorted(named)]
    return "".join(parts)


def _route(path: str, method: str, operation: dict[str, Any]) -> str:
    parts = [f"\n## `{method.upper()} {path}`\n\n{_sentence(operation['summary'])}"]
    if operation["description"]:
        parts.append(" " + cell(operation["description"]))
    if operation.get("security") == []:
        parts.append(" Needs no key.")
    parts.append("\n")
    given = [p for p in operation["parameters"] if p["in"] != "path"]
    if given:
        known = [(f"`{p['name']}`", p["in"], *_value(p["schema"], _words(p))) for p in given]
        head = ("parameter", "in", "type", "default", "meaning")
        parts.append("\n" + table(head, known))
    if "requestBody" in operation:
        parts.append(f"\nBody: {_content(operation['requestBody'])}.\n")
    rows = [
        (f"`{status}`" if status != "default" else "else", _content(answer), cell(_words(answer)))
        for status, answer in operation["responses"].items()
    ]
    parts.append("\n" + table(("status", "answer", "meaning"), rows))
    return "".join(parts)


def _sentence(text: str) -> str:
    return text if text.endswith(("?", ".")) else f"{text}."


def _content(holder: dict[str, Any]) -> str:
    kinds = []
    for media, content in holder.get("content", {}).items():
        plain = _type(content.get("schema", {}))
        kinds.append(plain if media == "application/json" else f"{plain} as `{media}`")
    return " or ".join(kinds)


def _schema(name: str, schema: dict[str, Any]) -> str:
    parts = [f"\n## {name}\n"]
    if schema.get("description"):
        parts.append(f"\n{cell(schema['description'])}\n")
    required = schema.get("required", ())
    rows = [
        (f"`{field}`{'' if field in required else ', optional'}", *_value(inner, _words(inner)))
        for field, inner in schema.get("properties", {}).items()
    ]
    if rows:
        parts.append("\n" + table(("field", "type", "default", "meaning"), rows))
    else:
        parts.append(f"\n{_type(schema)}\n")
    return "".join(parts)


def _value(schema: dict[str, Any], words: str) -> tuple[str, str, str]:
    default = schema.get("default")
    shown = f"`{cell(json.dumps(default))}`" if default is not None else ""
    return _type(schema), shown, cell(words)


def _words(holder: dict[str, Any]) -> str:
    return str(holder.get("description", ""))


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(SCHEMAS)
        return f"[{name}](#{name.lower()})"
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(_type(one) for one in schema[key]))
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_type(schema['additionalProperties'])}"
    low, high = schema.get("minimum"), schema.get("maximum")
    bounds = f" {low}-{high}" if low is not None and high is not None and high < 10**9 else ""
    return kind + bounds


def _reachable(roots: list[Any], schemas: dict[str, Any]) -> set[str]:
    """Names of the schemas that the routes name, and those that these name."""
    found: set[str] = set()
    open_ends = [name for root in roots for name in _references(root)]
    while open_ends:
        name = open_ends.pop()
        if name not in found:
            found.add(name)
            open_ends += _references(schemas[name])
    return found


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"].removeprefix(SCHEMAS)
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)

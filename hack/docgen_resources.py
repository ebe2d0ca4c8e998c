"""docs/reference/resources.md: every field of the custom resources, from their CRDs."""

import json
from collections.abc import Iterator
from typing import Any, Final

from crdgen import crd
from docgen_tables import cell, table
from ranvier.resources.base import GROUP, VERSION
from ranvier.resources.kinds import KINDS, Kind

HEAD: Final = f"""\
<!-- Written by hack/docgen.py from sdk/ranvier/resources. Change it there. -->

# Resources

Every field of the resources of `{GROUP}/{VERSION}`, as `kubectl explain` tells them too. Fields
under `status` are written by Ranvier alone; [conditions.md](../conditions.md) lists what their
conditions say.
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(_resource(kind) for kind in KINDS)


def _resource(kind: Kind) -> str:
    versions = crd(kind)["spec"]["versions"]
    schema = versions[0]["schema"]["openAPIV3Schema"]
    parts = [f"\n## {kind.name}\n\n`{kind.plural}`, short name `{kind.short_name}`. "]
    parts.append(cell(schema.get("description", "")) + "\n")
    for name in ("spec", "status"):
        rows = list(_fields(schema["properties"][name], name))
        parts.append("\n" + table(("field", "type", "default", "meaning"), rows))
    return "".join(parts)


def _fields(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str, str, str]]:
    """Rows for a schema and all beneath it, parents first."""
    default = json.dumps(schema["default"]) if "default" in schema else ""
    shown = f"`{cell(default)}`" if default and default not in ("{}", "[]") else ""
    yield f"`{path}`", _type(schema), shown, cell(schema.get("description", ""))
    for name, inner in schema.get("properties", {}).items():
        yield from _fields(inner, f"{path}.{name}")
    items = schema.get("items", {})
    for name, inner in items.get("properties", {}).items():
        yield from _fields(inner, f"{path}[].{name}")


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_type(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_type(schema['additionalProperties'])}"
    return str(schema.get("format") or kind)

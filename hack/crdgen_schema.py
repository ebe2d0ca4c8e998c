"""From a pydantic model to the structural schema of a CRD.

pydantic writes JSON Schema; Kubernetes takes a stricter dialect of OpenAPI v3: no `$ref`, no
`null`, no `const`, every part with exactly one type. `Dialect` changes what pydantic writes,
`structural` inlines and tidies it. A keyword that Kubernetes would refuse or silently drop stops
the generator.
"""

import inspect
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

Schema = dict[str, Any]

KEYWORDS: Final = (
    "description",
    "type",
    "format",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "enum",
    "default",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "required",
    "x-kubernetes-validations",
    "items",
    "additionalProperties",
    "properties",
)
"""What may stand in the result, in the order in which it is written."""

NOISE: Final = frozenset({"title", "$defs", "examples"})
"""What pydantic adds for readers that `kubectl` does not have."""


class UnsupportedSchema(Exception):
    """The model says something that a CRD can not; the message names the place."""


class Dialect(GenerateJsonSchema):
    """pydantic's generator with Kubernetes' words for what it can not take."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """`X | None`: absent means unset, and null is never stored."""
        return self.generate_inner(schema["schema"])

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        return {"type": "string", "enum": list(schema["expected"])}

    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        """Without the enum's docstring: the field that has it says what it means."""
        return {"type": "string", "enum": [member.value for member in schema["members"]]}

    def encode_default(self, dft: Any) -> Any:
        """A model's default is `{}`: the API server fills in its fields' own defaults."""
        return {} if isinstance(dft, BaseModel) else super().encode_default(dft)


def structural(model: type[BaseModel], *, defaults: bool = True) -> Schema:
    """The schema of `model`. Without `defaults` (for status) none are written."""
    written = model.model_json_schema(by_alias=True, schema_generator=Dialect)
    return _tidy(written, written.get("$defs", {}), model.__name__, defaults)


def _tidy(node: Schema, defs: Schema, place: str, defaults: bool) -> Schema:
    node = _inlined(node, defs)
    if node.get("x-kubernetes-int-or-string"):
        node.pop("anyOf", None)
    if unsupported := node.keys() - NOISE - set(KEYWORDS):
        raise UnsupportedSchema(f"{place}: a CRD has no {', '.join(sorted(unsupported))}")
    if "description" in node:
        node["description"] = _paragraphs(node["description"])
    if not (defaults and _default_matters(node)):
        node.pop("default", None)
    for part in ("items", "additionalProperties"):
        if part in node:
            node[part] = _tidy(node[part], defs, f"{place}.{part}", defaults)
            node[part].pop("description", None) if "enum" in node[part] else None
    for name, child in (properties := node.get("properties", {})).items():
        properties[name] = _tidy(child, defs, f"{place}.{name}", defaults)
    return {keyword: node[keyword] for keyword in KEYWORDS if keyword in node}


def _inlined(node: Schema, defs: Schema) -> Schema:
    """The node with what it refers to in place; the node's own words win."""
    node = dict(node)
    while "$ref" in node:
        target = defs[node.pop("$ref").removeprefix("#/$defs/")]
        node = {**target, **node}
    if "properties" in node:
        node["properties"] = dict(node["properties"])
    return node


def _default_matters(node: Schema) -> bool:
    """An empty list means the same as none, but to a transition rule, which must see both sides."""
    if node.get("default") is None:
        return False
    rules = node.get("x-kubernetes-validations", ())
    return node["default"] != [] or any("oldSelf" in rule["rule"] for rule in rules)


def _paragraphs(text: str) -> str:
    """Line breaks of the source are not the reader's; empty lines are."""
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n"))

"""From a model to a schema that the API server takes."""

from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from crdgen_schema import KEYWORDS, UnsupportedSchema, structural
from pydantic import BaseModel, Field
from ranvier.resources.base import Model, Quantity, cel, list_map


class Colour(StrEnum):
    """Words about the enum that nobody shall see."""

    RED = "Red"


class Part(Model):
    """A part."""

    name: str
    """Its
    name."""


class Whole(Model):
    maybe: int | None = None
    one_word: Literal["only"] = "only"
    colour: Colour = Colour.RED
    """The colour."""
    amount: Quantity | None = None
    part: Part = Part(name="p")
    """This part of the whole."""
    parts: Annotated[tuple[Part, ...], Field(max_length=2, json_schema_extra=list_map("name"))] = ()
    fixed: Annotated[
        tuple[Part, ...], Field(json_schema_extra=cel("self == oldSelf", "leave it"))
    ] = ()
    words: dict[str, str] | None = None


@pytest.fixture(scope="module")
def properties() -> dict[str, Any]:
    found: dict[str, Any] = structural(Whole)["properties"]
    return found


def test_an_optional_field_is_the_thing_itself(properties: dict[str, Any]) -> None:
    assert properties["maybe"] == {"type": "integer"}


def test_one_word_is_an_enum_of_one(properties: dict[str, Any]) -> None:
    assert properties["oneWord"] == {"type": "string", "enum": ["only"], "default": "only"}


def test_an_enum_is_described_by_its_field(properties: dict[str, Any]) -> None:
    assert properties["colour"] == {
        "description": "The colour.",
        "type": "string",
        "enum": ["Red"],
        "default": "Red",
    }


def test_a_quantity_is_int_or_string(properties: dict[str, Any]) -> None:
    amount = properties["amount"]
    assert amount["x-kubernetes-int-or-string"] is True
    assert "type" not in amount
    assert "anyOf" not in amount


def test_a_part_stands_in_place_with_the_words_of_its_field(properties: dict[str, Any]) -> None:
    assert properties["part"] == {
        "description": "This part of the whole.",
        "type": "object",
        "default": {},
        "required": ["name"],
        "properties": {"name": {"description": "Its name.", "type": "string"}},
    }


def test_lists_say_how_their_items_are_told_apart(properties: dict[str, Any]) -> None:
    parts = properties["parts"]
    assert parts["x-kubernetes-list-type"] == "map"
    assert parts["x-kubernetes-list-map-keys"] == ["name"]
    assert parts["items"]["properties"]["name"]["description"] == "Its name."


def test_an_empty_list_is_a_default_only_where_a_transition_rule_needs_both_sides(
    properties: dict[str, Any],
) -> None:
    assert "default" not in properties["parts"]
    assert properties["fixed"]["default"] == []


def test_a_map_has_a_schema_for_its_values(properties: dict[str, Any]) -> None:
    assert properties["words"] == {"type": "object", "additionalProperties": {"type": "string"}}


def test_a_status_has_no_defaults() -> None:
    properties = structural(Whole, defaults=False)["properties"]
    assert not [name for name, schema in properties.items() if "default" in schema]


def test_keywords_come_in_one_order(properties: dict[str, Any]) -> None:
    for schema in properties.values():
        places = [KEYWORDS.index(keyword) for keyword in schema]
        assert places == sorted(places)


class OneOrTheOther(BaseModel):
    field: int | bool


class MoreThan(BaseModel):
    field: Annotated[int, Field(gt=0)]


@pytest.mark.parametrize(
    ("model", "keyword"), [(OneOrTheOther, "anyOf"), (MoreThan, "exclusiveMinimum")]
)
def test_what_a_crd_can_not_say_stops_the_generator(model: type[BaseModel], keyword: str) -> None:
    with pytest.raises(UnsupportedSchema, match=rf"{model.__name__}\.field.*{keyword}"):
        structural(model)

"""The answers of the public API as types, named as the published clients name their fields.

The routes build their answers without them, because a publish is too frequent to be checked twice;
tests hold every answer against the document that is made from these.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from ranvier.events import Origin

Sequence = Annotated[int, Field(ge=1, description="Position in its axon: 1, 2, 3 … without gaps")]
Milliseconds = Annotated[int, Field(ge=0, description="Milliseconds since 1970, UTC")]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AxonView(_Answer):
    id: str
    name: str | None
    metadata: dict[str, str]
    created_at_ms: Milliseconds
    deleted_at_ms: Milliseconds | None


class AxonListView(_Answer):
    axons: list[AxonView]
    has_more: bool
    total_count: int = Field(default=0, description="Left out with include_total_count=false")


class AxonEventView(_Answer):
    axon_id: str
    sequence: Sequence
    timestamp_ms: Milliseconds
    origin: Origin
    source: str
    event_type: str
    payload: str = Field(description="As published, byte for byte")


class AxonEventListView(_Answer):
    events: list[AxonEventView]
    has_more: bool
    total_count: int = Field(default=0, description="The axon's last sequence, whatever the filter")
    cursor: int = Field(default=0, description="With after_sequence: where to go on")


class PublishResultView(_Answer):
    sequence: Sequence
    timestamp_ms: Milliseconds


class PublishBatchResultView(_Answer):
    """One result an event, in the batch's order."""

    events: list[PublishResultView]


class Nothing(_Answer):
    """`{}`: done."""


class ImportView(_Answer):
    """`skipped` lines stood on the axon already; `head` is its last sequence now."""

    imported: int
    skipped: int
    head: int


class Checks(BaseModel):
    """What was looked at, and whether it is well."""

    journal: bool


class ProblemView(_Answer):
    """Every refusal. `code` is stable, `message` is a sentence for people."""

    code: str
    message: str
    head: int = Field(default=0, description="With head_moved: the axon's actual last sequence")

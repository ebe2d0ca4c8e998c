"""The Axon resource: a declarative handle on one axon of the journal."""

from typing import Annotated

from pydantic import Field

from ranvier.internal import DeletionPolicy
from ranvier.resources.base import Count, Model, Resource
from ranvier.resources.conditions import Conditions


class AxonSpec(Model):
    """What the axon shall be."""

    metadata: dict[str, Annotated[str, Field(max_length=1024)]] = Field(
        default_factory=dict, json_schema_extra={"maxProperties": 64}
    )
    """Words of your own about the axon, up to 64. They are shown by the REST API and never
    interpreted."""
    deletion_policy: DeletionPolicy = DeletionPolicy.RETAIN
    """What becomes of the events when this resource is deleted: `Retain` keeps the axon in the
    journal, reachable under its id; `Delete` removes it with all its events."""


class AxonStatus(Model):
    """What the operator saw."""

    axon_id: Annotated[str, Field(max_length=128)] | None = None
    """The axon's id in the REST API, `axn_…`. Publish and subscribe under it."""
    head: Count | None = None
    """Newest sequence when the operator last looked. The journal is ahead of it: ask the REST API
    for the present one."""
    observed_generation: Count = 0
    """The `metadata.generation` that this status was computed for."""
    conditions: Conditions = ()
    """`Ready` says whether the journal holds this axon. Reasons: docs/conditions.md."""


class Axon(Resource):
    """An axon is an append-only journal of events, numbered 1, 2, 3 … Users and systems publish to
    it, a devbox's broker turns its events into agent turns and appends what the agent says. Axons
    made through the REST API need no such resource; this one gives an axon a name that manifests
    can use."""

    kind: str = "Axon"
    spec: AxonSpec = AxonSpec()
    """What the axon shall be; `{}` is complete."""
    status: AxonStatus = AxonStatus()
    """What the operator saw. Written by Ranvier only."""

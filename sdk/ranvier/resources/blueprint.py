"""The Blueprint resource: a name for an image and the defaults that go with it."""

from typing import Annotated

from pydantic import Field

from ranvier.resources.base import Count, Model, Resource
from ranvier.resources.conditions import Conditions
from ranvier.resources.settings import Described, HomeSettings, PodSettings


class BlueprintSpec(PodSettings, Described):
    """Image and defaults of the devboxes that name this Blueprint. A devbox's own values win."""

    image: Annotated[str, Field(min_length=1, max_length=1024)]
    """The container image. Any image with `/bin/sh` and the agent's program in it."""
    home: HomeSettings | None = None
    """The home directory of devboxes."""


class BlueprintStatus(Model):
    """What the operator saw."""

    observed_generation: Count = 0
    """The `metadata.generation` that this status was computed for."""
    conditions: Conditions = ()
    """`Ready` says whether devboxes may name it. Reasons: docs/conditions.md."""


class Blueprint(Resource):
    """A Blueprint gives a name to an image and to the settings that devboxes made from it start
    with. A change reaches a devbox at its next start, never while it runs."""

    kind: str = "Blueprint"
    spec: BlueprintSpec
    """Image and defaults."""
    status: BlueprintStatus = BlueprintStatus()
    """What the operator saw. Written by Ranvier only."""

"""The answers of the devbox, blueprint and secret routes as types, named as the published clients
name their fields; for the OpenAPI document."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ranvier_apiserver.routes.wire import Milliseconds
from ranvier_apiserver.runloop.status import FailureReason, Status


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PlaceView(_Answer):
    """The Kubernetes resource behind it."""

    namespace: str
    name: str


class DevboxPlaceView(PlaceView):
    reason: str = Field(description="The reason of the condition that the status follows from")
    message: str = Field(description="What that means and what to do, as a sentence")


class TransitionView(_Answer):
    status: Status
    transition_time_ms: Milliseconds | None
    failure_reason: FailureReason | None = None


class DevboxView(_Answer):
    id: str
    name: str
    status: Status
    create_time_ms: Milliseconds
    end_time_ms: Milliseconds | None = Field(description="Set once it is shut down")
    metadata: dict[str, str]
    capabilities: list[str]
    launch_parameters: dict[str, Any] = Field(description="As asked for, with the defaults")
    state_transitions: list[TransitionView]
    blueprint_id: str | None
    snapshot_id: None
    failure_reason: FailureReason | None
    shutdown_reason: str | None
    tunnel: None
    ranvier: DevboxPlaceView


class DevboxListView(_Answer):
    devboxes: list[DevboxView]
    has_more: bool
    total_count: int = Field(default=0, description="Left out with include_total_count=false")


class BlueprintParametersView(_Answer):
    name: str
    dockerfile: str
    launch_parameters: dict[str, Any]
    metadata: dict[str, str]


class BlueprintView(_Answer):
    id: str
    name: str
    status: str = Field(description="build_complete or failed: nothing is built here")
    state: str
    create_time_ms: Milliseconds
    build_finish_time_ms: Milliseconds
    parameters: BlueprintParametersView
    metadata: dict[str, str]
    devbox_capabilities: list[str]
    is_public: bool
    ranvier: PlaceView


class BlueprintListView(_Answer):
    blueprints: list[BlueprintView]
    has_more: bool
    total_count: int = Field(default=0, description="Left out with include_total_count=false")


class BlueprintPreviewView(_Answer):
    dockerfile: str


class BlueprintLogsView(_Answer):
    blueprint_id: str
    logs: list[Any]


class SecretView(_Answer):
    """The value is never shown."""

    id: str
    name: str
    create_time_ms: Milliseconds
    update_time_ms: Milliseconds


class SecretListView(_Answer):
    secrets: list[SecretView]
    has_more: bool
    total_count: int

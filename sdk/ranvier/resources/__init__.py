"""Axon, Blueprint and Devbox: the resources of `ranvier.dev/v1alpha1` as typed models.

One module a kind; `settings` and `mounts` hold their parts, `conditions` the words of status,
`kinds` the names that clients need to address them. The CRDs are generated from here
(`hack/crdgen.py`).
"""

from ranvier.internal import DeletionPolicy
from ranvier.resources.axon import Axon, AxonSpec, AxonStatus
from ranvier.resources.base import API_VERSION, GROUP, VERSION, ObjectMeta, Resource
from ranvier.resources.blueprint import Blueprint, BlueprintSpec, BlueprintStatus
from ranvier.resources.conditions import (
    AcceptedReason,
    AxonReason,
    BlueprintReason,
    Condition,
    ConditionType,
    ReadyReason,
    SuspendedReason,
)
from ranvier.resources.devbox import (
    AfterIdle,
    Devbox,
    DevboxSpec,
    DevboxStatus,
    Lifecycle,
    OnIdle,
    OperatingMode,
    ResumeTriggers,
    Wake,
)
from ranvier.resources.kinds import AXON, BLUEPRINT, DEVBOX, KINDS, Kind
from ranvier.resources.mounts import AgentProtocol, AxonRef, BrokerMount, Mount
from ranvier.resources.settings import (
    DEFAULT_HOME_PATH,
    DEFAULT_HOME_SIZE,
    DEFAULT_USER_UID,
    EnvVar,
    Home,
    HomeSettings,
    ImagePullPolicy,
    PodSettings,
    Resources,
    SecretName,
    Toleration,
    User,
)

__all__ = [
    "API_VERSION",
    "AXON",
    "BLUEPRINT",
    "DEFAULT_HOME_PATH",
    "DEFAULT_HOME_SIZE",
    "DEFAULT_USER_UID",
    "DEVBOX",
    "GROUP",
    "KINDS",
    "VERSION",
    "AcceptedReason",
    "AfterIdle",
    "AgentProtocol",
    "Axon",
    "AxonReason",
    "AxonRef",
    "AxonSpec",
    "AxonStatus",
    "Blueprint",
    "BlueprintReason",
    "BlueprintSpec",
    "BlueprintStatus",
    "BrokerMount",
    "Condition",
    "ConditionType",
    "DeletionPolicy",
    "Devbox",
    "DevboxSpec",
    "DevboxStatus",
    "EnvVar",
    "Home",
    "HomeSettings",
    "ImagePullPolicy",
    "Kind",
    "Lifecycle",
    "Mount",
    "ObjectMeta",
    "OnIdle",
    "OperatingMode",
    "PodSettings",
    "ReadyReason",
    "Resource",
    "Resources",
    "ResumeTriggers",
    "SecretName",
    "SuspendedReason",
    "Toleration",
    "User",
    "Wake",
]

"""Runloop's sizes and Kubernetes' resources, both ways. Pure.

A size is what the devbox gets and may not exceed, so requests and limits are the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ranvier.resources import Resources

from ranvier_apiserver.errors import InvalidField
from ranvier_apiserver.runloop.params import LaunchParams


@dataclass(frozen=True, slots=True)
class Amounts:
    """CPU in thousandths, memory and disk in GiB."""

    cpu_millis: int
    memory_gib: int
    disk_gib: int | None


SIZES: Final[Mapping[str, Amounts]] = {
    "X_SMALL": Amounts(500, 1, 4),
    "SMALL": Amounts(1000, 2, 4),
    "MEDIUM": Amounts(2000, 4, 8),
    "LARGE": Amounts(2000, 8, 16),
    "X_LARGE": Amounts(4000, 16, 16),
    "XX_LARGE": Amounts(8000, 32, 16),
}
CUSTOM: Final = "CUSTOM_SIZE"
CPU_MILLIS_MAX: Final = 16_000
MEMORY_GIB_MAX: Final = 64
DISK_GIB_MIN, DISK_GIB_MAX = 2, 64
RATIO_MIN, RATIO_MAX = 2, 8
"""GiB of memory for each CPU."""


def amounts_of(params: LaunchParams) -> Amounts | None:
    """What was asked for; None where the blueprint's or the cluster's own shall count."""
    size = params.resource_size_request
    if size == CUSTOM:
        return _custom(params)
    given = (params.custom_cpu_cores, params.custom_gb_memory, params.custom_disk_size)
    if any(amount is not None for amount in given):
        raise InvalidField(
            "launch_parameters.custom_cpu_cores, custom_gb_memory and custom_disk_size count "
            "with resource_size_request CUSTOM_SIZE only; set it."
        )
    return SIZES[size] if size is not None else None


def resources_of(amounts: Amounts) -> dict[str, Any]:
    """`spec.resources` of these amounts."""
    millis = amounts.cpu_millis
    each = {
        "cpu": str(millis // 1000) if millis % 1000 == 0 else f"{millis}m",
        "memory": f"{amounts.memory_gib}Gi",
    }
    return {"requests": each, "limits": dict(each)}


def view_of(resources: Resources | None, disk: str | None) -> dict[str, Any]:
    """The launch parameters that lead to these resources; nothing where none of ours do."""
    limits = (resources.limits if resources else None) or {}
    cpu, memory = _millis(limits.get("cpu")), _gib(limits.get("memory"))
    if cpu is None or memory is None:
        return {}
    disk_gib = _gib(disk)
    for name, amounts in SIZES.items():
        if amounts == Amounts(cpu, memory, disk_gib):
            return {"resource_size_request": name}
    view: dict[str, Any] = {
        "resource_size_request": CUSTOM,
        "custom_cpu_cores": cpu / 1000,
        "custom_gb_memory": memory,
    }
    return view if disk_gib is None else {**view, "custom_disk_size": disk_gib}


def _custom(params: LaunchParams) -> Amounts:
    cores, memory = params.custom_cpu_cores, params.custom_gb_memory
    disk = params.custom_disk_size
    if cores is None or memory is None:
        raise InvalidField(
            "launch_parameters: CUSTOM_SIZE needs custom_cpu_cores and custom_gb_memory."
        )
    millis = round(cores * 1000)
    if millis not in (500, 1000) and (millis % 2000 or not 0 < millis <= CPU_MILLIS_MAX):
        raise InvalidField("launch_parameters.custom_cpu_cores: must be 0.5, 1 or 2, 4 … 16.")
    if memory != 1 and (memory % 2 or not 0 < memory <= MEMORY_GIB_MAX):
        raise InvalidField("launch_parameters.custom_gb_memory: must be 1 or 2, 4 … 64.")
    if not RATIO_MIN * cores <= memory <= RATIO_MAX * cores:
        raise InvalidField("launch_parameters: memory must be 2 to 8 GiB for each CPU.")
    if disk is not None and (disk % 2 or not DISK_GIB_MIN <= disk <= DISK_GIB_MAX):
        raise InvalidField("launch_parameters.custom_disk_size: must be 2, 4 … 64.")
    return Amounts(millis, memory, disk)


def _millis(quantity: int | str | None) -> int | None:
    text = str(quantity or "")
    if text.endswith("m") and text[:-1].isdecimal():
        return int(text[:-1])
    return int(text) * 1000 if text.isdecimal() else None


def _gib(quantity: int | str | None) -> int | None:
    text = str(quantity or "")
    return int(text[:-2]) if text.endswith("Gi") and text[:-2].isdecimal() else None

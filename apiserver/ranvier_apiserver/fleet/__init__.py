"""What the REST API does with devboxes, blueprints and secrets: thin shells around `runloop`."""

import asyncio
from dataclasses import dataclass

from ranvier_apiserver.fleet.blueprints import Blueprints
from ranvier_apiserver.fleet.boxes import Boxes
from ranvier_apiserver.fleet.vault import Vault
from ranvier_apiserver.kube.cache import Cache


@dataclass(frozen=True, slots=True)
class Fleet:
    """All of it; `run` keeps what is known of the cluster up to date."""

    boxes: Boxes
    blueprints: Blueprints
    vault: Vault
    caches: tuple[Cache, ...]

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for cache in self.caches:
                group.create_task(cache.run())

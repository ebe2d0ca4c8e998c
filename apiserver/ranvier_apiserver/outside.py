"""What lies outside this process: who vouches for tokens, who is told of wakes, where devboxes are.

Wiring only. The Kubernetes client takes a second to import; runs without a cluster do without.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ranvier_apiserver.clock import wall_clock_ms
from ranvier_apiserver.fleet import Fleet
from ranvier_apiserver.fleet.blueprints import Blueprints
from ranvier_apiserver.fleet.boxes import Boxes, Options
from ranvier_apiserver.fleet.vault import Vault
from ranvier_apiserver.identities import CachedIdentities, Identities, StaticIdentities
from ranvier_apiserver.journal.store import Store
from ranvier_apiserver.kube.cache import Cache
from ranvier_apiserver.kube.objects import BLUEPRINTS, DEVBOXES
from ranvier_apiserver.settings import DevboxHome, IdentitySource, Settings
from ranvier_apiserver.waker import Poker, RecordingPoker


@dataclass(frozen=True, slots=True)
class Outside:
    """`fleet` makes what serves devboxes of a store; None without a cluster."""

    identities: Identities
    poker: Poker
    fleet: Callable[[Store], Fleet | None]


def reach(chosen: Settings) -> Outside:
    """Connects where the settings say so."""
    is_static = chosen.identities is IdentitySource.STATIC
    local = StaticIdentities(chosen.static_identities_file)
    if is_static and chosen.devboxes is DevboxHome.NONE:
        return Outside(local, RecordingPoker(), _nowhere)
    from ranvier_apiserver import cluster

    api = cluster.connect()
    kubernetes = cluster.KubernetesIdentities(api, chosen.operator_subject)
    identities: Identities = local if is_static else CachedIdentities(kubernetes)
    if chosen.devboxes is DevboxHome.NONE:
        return Outside(identities, RecordingPoker(), _nowhere)
    poker = cluster.KubernetesPoker(api)
    return Outside(identities, poker, lambda store: _fleet(api, store, chosen))


def _nowhere(_: Store) -> None:
    return None


def _fleet(api: Any, store: Store, chosen: Settings) -> Fleet:
    from ranvier_apiserver.kube.adapter import KubernetesObjects

    objects, here = KubernetesObjects(api), chosen.devbox_namespace
    known = Cache(objects, DEVBOXES, chosen.watch_namespaces)
    recipes = Cache(objects, BLUEPRINTS, chosen.watch_namespaces)
    blueprints = Blueprints(objects, recipes, here)
    vault = Vault(objects, here, wall_clock_ms)
    options = Options(here, chosen.default_image)
    boxes = Boxes(objects, known, store, blueprints, vault, options, wall_clock_ms)
    return Fleet(boxes, blueprints, vault, (known, recipes))

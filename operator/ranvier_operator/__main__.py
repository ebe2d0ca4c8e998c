"""`ranvier-operator`: settings, wiring, signals. It decides nothing.

On SIGTERM the order matters: first the looks end and the lease is given back, then the watches end.
"""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence

import kopf
import uvloop

from ranvier_operator.clock import SystemClock
from ranvier_operator.cluster import Cluster, KubernetesCluster
from ranvier_operator.controller import Controller
from ranvier_operator.errors import ClusterError
from ranvier_operator.handlers import kopf_settings, register
from ranvier_operator.journal import HttpJournal
from ranvier_operator.kinds import WATCHED
from ranvier_operator.probes import probes
from ranvier_operator.settings import HELP, Settings

log = logging.getLogger("ranvier_operator")

CLUSTER_RETRY_SECONDS = 2.0
"""Pause between looks for the CRDs, which may be applied after the operator."""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; the exit status is 0 after a clean end."""
    parser = argparse.ArgumentParser(
        prog="ranvier-operator",
        description="Turns Devbox, Axon and Blueprint resources into pods, volumes and bindings of "
        "the journal.\nUses the pod's ServiceAccount, or the kubeconfig outside of a cluster.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(argv)
    try:
        settings = Settings.from_env()
    except ValueError as error:
        parser.error(str(error))
    logging.basicConfig(
        level=settings.log_level,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("kopf", "httpx", "httpcore", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    uvloop.run(operate(settings))
    return 0


async def operate(settings: Settings) -> None:
    """Run until a signal, or until a part of the operator fails."""
    clock = SystemClock()
    cluster = KubernetesCluster.connect(threads=settings.workers)
    journal = HttpJournal(api_url=settings.api_url, token_file=settings.token_file, clock=clock)
    controller = Controller(cluster, journal, settings, clock)
    cluster.guard = controller.election.require
    watching = asyncio.Event()
    checks = {"/healthz": lambda: controller.is_alive, "/readyz": watching.is_set}
    try:
        async with probes(settings.probe_port, checks, controller.metrics.page):
            await _until_served(cluster, settings)
            await _run(controller, settings, watching)
    finally:
        await journal.close()
        cluster.close()


async def _until_served(cluster: Cluster, settings: Settings) -> None:
    """Kopf finds out once which kinds are served, so they have to be there when it begins."""
    while True:
        try:
            for kind in WATCHED:
                await cluster.list(kind, settings.namespaces)
            return
        except ClusterError as error:
            log.warning("waiting for the cluster: %s", error)
            await asyncio.sleep(CLUSTER_RETRY_SECONDS)


async def _run(controller: Controller, settings: Settings, watching: asyncio.Event) -> None:
    stop, watches_end = asyncio.Event(), asyncio.Event()
    registry = kopf.OperatorRegistry()
    register(registry, controller.observe)

    async def watch() -> None:
        await kopf.operator(
            registry=registry,
            settings=kopf_settings(),
            standalone=True,
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            ready_flag=watching,
            stop_flag=watches_end,
        )
        stop.set()
        watching.set()  # whoever still waits for the watches need not

    async def control() -> None:
        try:
            await controller.run(stop)
        finally:
            watches_end.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(control(), name="controller")
        group.create_task(watch(), name="watches")
        await watching.wait()
        # Kopf has set its own; ours end the looks before the watches.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        log.info("watching as %s", settings.identity)


if __name__ == "__main__":
    sys.exit(main())

"""The commands of `hack/cluster`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence

from kind import docker_daemon, kind_cluster
from kind.cache import locked
from kind.docker_daemon import Docker
from kind.errors import CommandFailed, Failure
from kind.node_image import node_image
from kind.places import Places
from kind.progress import Progress
from kind.target import (
    DEFAULT_NAME,
    ClusterRecord,
    NamedContext,
    api_answers,
    context_kubeconfig,
    named_context,
    read_record,
)
from kind.tools import bring_tools, tool, tool_path

_DESCRIPTION = """\
A local Kubernetes cluster for development and tests (docs/cluster.md).

  up          create it, or check that it is there; waits until everything is ready
  down        delete it and everything that was started for it
  status      say what runs
  load        copy images from Docker to every node
  kubeconfig  print the path of its kubeconfig
  env         print lines for a shell:  eval "$(hack/cluster env)"
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    options = _parser().parse_args(arguments)
    return guarded(lambda: options.command(options, Places.from_environment(), Progress()) or 0)


def guarded(command: Callable[[], int]) -> int:
    """Run a command and say in plain words what went wrong, with what to do next."""
    try:
        return command()
    except (Failure, CommandFailed) as failed:
        print(f"error: {failed}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted (what was finished is kept; run it again to go on)", file=sys.stderr)
        return 130
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hack/cluster",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, function, text in (
        ("up", _up, "create the cluster, or check that it is there"),
        ("down", _down, "delete it and everything started for it"),
        ("status", _status, "say what runs (exit code 1 when there is no cluster)"),
        ("load", _load, "copy Docker images to every node"),
        ("kubeconfig", _kubeconfig, "print the path of the kubeconfig"),
        ("env", _env, "print export lines for a shell"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(command=function)
        command.add_argument(
            "--context",
            help="use this context of KUBECONFIG as it is (or set RANVIER_CONTEXT)",
        )
        if name == "up":
            command.add_argument(
                "--nodes", type=_node_count, help="1 (the default) is the control plane alone"
            )
            command.add_argument(
                "--name", help=f"name of the kind cluster (default: {DEFAULT_NAME})"
            )
        if name == "status":
            command.add_argument(
                "--quiet", action="store_true", help="say it with the exit code alone"
            )
        if name == "load":
            command.add_argument("images", nargs="+", metavar="IMAGE")
    return parser


def _node_count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= kind_cluster.NODES_MAX:
        raise argparse.ArgumentTypeError(f"between 1 and {kind_cluster.NODES_MAX}")
    return count


def _up(options: argparse.Namespace, places: Places, progress: Progress) -> None:
    context = named_context(options.context, os.environ)
    with locked(places, progress):
        bring_tools(places, progress)
        if context is not None:
            _check(context, places)
            progress.done(f"the context {context.name} answers; it is used as it is")
            return
        docker = docker_daemon.ensure(places, progress)
        record = _record_to_be(options, places)
        if read_record(places) is not None and kind_cluster.is_healthy(docker, places, record):
            progress.cached(f"cluster {record.name}")
        else:
            image = node_image(docker, places, progress)
            if read_record(places) is not None:
                progress.note(f"the cluster {record.name} does not answer: it is made anew")
            if kind_cluster.node_names(docker, places, record.name):
                kind_cluster.delete(record.name, docker, places, progress)
            record = ClusterRecord(record.name, record.nodes, image)
            kind_cluster.create(record, docker, places, progress)
        kind_cluster.wait_until_ready(places, progress)
        progress.done(f"the cluster {record.name} is ready: {places.kubeconfig}")


def _record_to_be(options: argparse.Namespace, places: Places) -> ClusterRecord:
    """The cluster that `up` shall leave; refuses to change one that is there into another."""
    there = read_record(places)
    if there is None:
        return ClusterRecord(options.name or DEFAULT_NAME, options.nodes or 1, "")
    if options.name not in (None, there.name):
        raise Failure(
            f"{places.state} already holds the cluster {there.name}",
            "`hack/cluster down` first, or set RANVIER_STATE to another folder",
        )
    if options.nodes not in (None, there.nodes):
        raise Failure(
            f"the cluster {there.name} has {there.nodes} node(s), not {options.nodes}",
            "`hack/cluster down`, then `up` again: kind cannot add nodes",
        )
    return there


def _down(options: argparse.Namespace, places: Places, progress: Progress) -> None:
    context = named_context(options.context, os.environ)
    if context is not None:
        raise Failure(
            f"the context {context.name} is yours: nothing of it is deleted",
            "run without --context and RANVIER_CONTEXT to delete the cluster that `up` made",
        )
    with locked(places, progress):
        record, docker = read_record(places), docker_daemon.running(places)
        if record is not None and docker is not None:
            kind_cluster.delete(record.name, docker, places, progress)
        docker_daemon.stop(places, progress)
        for path in (places.cluster_record, places.kubeconfig):
            path.unlink(missing_ok=True)
        progress.done("nothing runs any more (the cache stays)")


def _status(options: argparse.Namespace, places: Places, progress: Progress) -> int:
    context = named_context(options.context, os.environ)
    if context is not None:
        _check(context, places)
        lines, healthy = [f"context     {context.name} of {context.kubeconfig}: answers"], True
    else:
        lines, healthy = _own_status(places)
    if not options.quiet:
        print("\n".join(lines))
    return 0 if healthy else 1


def _own_status(places: Places) -> tuple[list[str], bool]:
    docker, record = docker_daemon.running(places), read_record(places)
    lines = [f"docker      {_described(docker)}"]
    if docker is None or record is None:
        return [*lines, "cluster     none (hack/cluster up)"], False
    healthy = kind_cluster.is_healthy(docker, places, record)
    answers = "answers" if healthy else "does not answer (hack/cluster up)"
    return [
        *lines,
        f"cluster     {record.name}: {answers}",
        f"nodes       {', '.join(kind_cluster.node_names(docker, places, record.name))}",
        f"node image  {record.image}",
        f"kubeconfig  {places.kubeconfig}",
    ], healthy


def _described(docker: Docker | None) -> str:
    if docker is None:
        return "none answers"
    return (
        f"private daemon, {docker.host}"
        if docker.private
        else f"the machine's, {docker.host or 'default socket'}"
    )


def _load(options: argparse.Namespace, places: Places, progress: Progress) -> None:
    context = named_context(options.context, os.environ)
    with locked(places, progress):
        docker, record = docker_daemon.running(places), read_record(places)
        cluster = context.kind_cluster if context else record.name if record else None
        if context is not None and cluster is None:
            raise Failure(
                f"images cannot be loaded into {context.name}, which is no kind cluster",
                "push them to a registry that its nodes can pull from",
            )
        if docker is None or cluster is None:
            raise Failure("there is no cluster", "`hack/cluster up`")
        kind_cluster.load(options.images, cluster, docker, places, progress)


def _kubeconfig(options: argparse.Namespace, places: Places, progress: Progress) -> None:
    context = named_context(options.context, os.environ)
    if context is not None:
        print(context_kubeconfig(places, context))
        return
    if read_record(places) is None or not places.kubeconfig.exists():
        raise Failure("there is no cluster", "`hack/cluster up`")
    print(places.kubeconfig)


def _env(options: argparse.Namespace, places: Places, progress: Progress) -> None:
    context = named_context(options.context, os.environ)
    docker = docker_daemon.running(places)
    exports = {"PATH": tool_path(places)}
    if docker is not None and docker.host:
        exports["DOCKER_HOST"] = docker.host
    if context is not None:
        exports["KUBECONFIG"] = str(context_kubeconfig(places, context))
    elif places.kubeconfig.exists():
        exports["KUBECONFIG"] = str(places.kubeconfig)
    for name, value in exports.items():
        print(f"export {name}={shlex.quote(value)}")


def _check(context: NamedContext, places: Places) -> None:
    if not tool(places, "kubectl").exists():
        raise Failure("kubectl has not been brought yet", "`hack/cluster up`")
    if not api_answers(places, context_kubeconfig(places, context)):
        raise Failure(
            f"the context {context.name} of {context.kubeconfig} does not answer",
            f"`kubectl --context {context.name} get --raw /readyz` says why",
        )

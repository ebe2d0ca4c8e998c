"""The commands of `hack/images`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from kind import docker_daemon
from kind.cache import locked
from kind.cli import guarded
from kind.image_build import build_images
from kind.image_recipes import IMAGES
from kind.places import Places
from kind.progress import Progress

_DEFAULT = [recipe.name for recipe in IMAGES.values() if recipe.is_default]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    options = _parser().parse_args(arguments)
    return guarded(lambda: options.command(options, Places.from_environment(), Progress()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hack/images",
        description="Builds those of our container images that changed (docs/cluster.md).",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    build = commands.add_parser("build", help="build what changed")
    build.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"{', '.join(IMAGES)} (default: {', '.join(_DEFAULT)})",
    )
    build.set_defaults(command=_build)
    listing = commands.add_parser(
        "list", help="print the references of the images that are built by default"
    )
    listing.set_defaults(command=_list)
    for command in (build, listing):
        command.add_argument("--all", action="store_true", help="every image, whoever needs it")
    return parser


def _chosen(options: argparse.Namespace) -> list[str]:
    return list(IMAGES) if options.all else _DEFAULT


def _build(options: argparse.Namespace, places: Places, progress: Progress) -> int:
    unknown = [name for name in options.names if name not in IMAGES]
    if unknown:
        progress.note(f"error: no image {', '.join(unknown)}; there are {', '.join(IMAGES)}")
        return 2
    with locked(places, progress):
        docker = docker_daemon.ensure(places, progress)
        build_images(
            [IMAGES[name] for name in options.names or _chosen(options)], docker, places, progress
        )
    return 0


def _list(options: argparse.Namespace, places: Places, progress: Progress) -> int:
    for name in _chosen(options):
        print(IMAGES[name].reference)
    return 0

"""Building the images whose content changed."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from kind.debian_root import DebianRoot, build_root
from kind.docker_daemon import Docker
from kind.errors import CommandFailed, Failure
from kind.image_recipes import KEY_LABEL, ImageRecipe
from kind.node_image import REGISTRY_SECONDS_MAX
from kind.npm_packages import node_modules
from kind.places import Places
from kind.processes import answer, run_logged, succeeds, system_path
from kind.progress import Progress
from kind.registry_settings import build_options

# Where no image registry is reached, all our images start from one Debian with Python. The same
# minor version of Python as the public base: it is the one the tests run on.
LOCAL_BASE = DebianRoot("base", ("ca-certificates", "python3", "python3-venv"))
LOCAL_BASE_REPOSITORY = "ranvier.local/base"
_BASE_ARGUMENT = re.compile(r"^ARG BASE=(\S+)$", re.MULTILINE)


def build_images(
    recipes: Iterable[ImageRecipe],
    docker: Docker,
    places: Places,
    progress: Progress,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Build those that are not up to date."""
    for recipe in recipes:
        missing = recipe.missing()
        if missing:
            raise Failure(
                f"image {recipe.name} copies {', '.join(missing)}: not in this checkout",
                "check it out",
            )
        base = base_image(recipe, docker, places, progress, environment)
        key = recipe.key(_image_id(docker, base))
        if _label(docker, recipe.reference) == key:
            progress.cached(f"image {recipe.reference}")
            continue
        packages = recipe.npm_packages
        agent = node_modules(packages, places, progress) if packages else None
        with progress.step(f"building {recipe.reference}"):
            _build(recipe, base, key, agent, docker, places, environment)
    _remove_replaced(docker)


def base_image(
    recipe: ImageRecipe,
    docker: Docker,
    places: Places,
    progress: Progress,
    environment: Mapping[str, str],
) -> str:
    """What the image starts from: RANVIER_BASE_IMAGE, the public base, or a local one where that is
    out of reach."""
    chosen = environment.get("RANVIER_BASE_IMAGE")
    if chosen:
        return chosen
    public = default_base(recipe.containerfile.read_text())
    if docker.has_image(public):
        return public
    local = f"{LOCAL_BASE_REPOSITORY}:{LOCAL_BASE.suite}-{LOCAL_BASE.key}"
    if docker.has_image(local):
        return local
    inspect = ["docker", "manifest", "inspect", public]
    if succeeds(inspect, environment=docker.environment, seconds_max=REGISTRY_SECONDS_MAX):
        with progress.step(f"pulling {public}"):
            docker.ask("pull", public)
        return public
    tree = build_root(LOCAL_BASE, places, progress)
    with progress.step(f"importing {local}"):
        docker.ask("import", "--change", "ENV LANG=C.UTF-8", tree, local)
    return local


def default_base(containerfile: str) -> str:
    """The public base a Containerfile names."""
    found = _BASE_ARGUMENT.search(containerfile)
    if found is None:
        raise Failure(
            "a Containerfile of ours has no `ARG BASE=…`",
            "add it: bases are chosen by `hack/images`",
        )
    return found[1]


def builder(docker: Docker) -> tuple[list[str | Path], dict[str, str]]:
    """A docker command that builds with BuildKit (secrets and cache mounts need it), and its
    environment.

    Newer clients carry BuildKit as a plug-in that may be missing; older ones (before 23) have it
    inside.
    """
    if succeeds(["docker", "buildx", "version"]):
        return ["docker", "buildx", "build", "--load"], docker.environment
    for folder in system_path().split(":"):
        client = Path(folder, "docker")
        if os.access(client, os.X_OK) and _client_major(client) < 23:
            return [client, "build"], {**docker.environment, "DOCKER_BUILDKIT": "1"}
    raise Failure(
        "the docker client cannot build with BuildKit",
        "install its plug-in (package docker-buildx-plugin or docker-buildx)",
    )


def _client_major(client: Path) -> int:
    try:
        said = answer([client, "--version"], seconds_max=10)
    except CommandFailed:
        return 1_000
    found = re.search(r"version (\d+)\.", said)
    return int(found[1]) if found else 1_000


def _build(
    recipe: ImageRecipe,
    base: str,
    key: str,
    agent: Path | None,
    docker: Docker,
    places: Places,
    environment: Mapping[str, str],
) -> None:
    log = places.logs / f"image-{recipe.name}.log"
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=places.cache, prefix=".building-") as name:
        context, secrets = Path(name, "context"), Path(name, "secrets")
        context.mkdir()
        secrets.mkdir(mode=0o700)
        recipe.write_context(context, agent)
        command, builder_environment = builder(docker)
        command += ["--progress", "plain", "--tag", recipe.reference]
        if docker.private:
            command += ["--network", "host"]  # it reaches what this machine reaches
        command += ["--build-arg", f"BASE={base}", "--label", f"{KEY_LABEL}={key}"]
        command += build_options(secrets, environment)
        command += ["--file", context / "Containerfile", context]
        try:
            run_logged(command, log, environment=builder_environment)
        except CommandFailed as failed:
            raise Failure(
                f"{recipe.reference} could not be built:\n{failed.output}", f"see {log}"
            ) from failed


def _image_id(docker: Docker, reference: str) -> str:
    if not docker.has_image(reference):
        docker.ask("pull", reference)
    return docker.ask("image", "inspect", "--format", "{{.Id}}", reference).strip()


def _label(docker: Docker, reference: str) -> str:
    form = f'{{{{index .Config.Labels "{KEY_LABEL}"}}}}'
    try:
        return docker.ask("image", "inspect", "--format", form, reference).strip()
    except CommandFailed:
        return ""


def _remove_replaced(docker: Docker) -> None:
    """Older builds of our images that no name points to any more."""
    command = ["docker", "image", "prune", "--force", "--filter", f"label={KEY_LABEL}"]
    succeeds(command, environment=docker.environment)

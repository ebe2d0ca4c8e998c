"""Copying images from Docker to nodes, leaving out the layers a node already holds.

`docker save` writes whole images, and a node would hash and store all of it again; after a change
of our code that is hundreds of megabytes for one small layer. So the stream is read here, and an
archive with only the missing layers goes to the nodes.
"""

from __future__ import annotations

import io
import json
import os
import posixpath
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from kind.docker_daemon import Docker
from kind.errors import CommandFailed
from kind.oci_archive import PLAIN_LAYER, Blob, OciArchive, digest_of, oci_archive
from kind.places import Places
from kind.processes import tail

# Files larger than this are layers: no config is. Smaller ones are told apart by the manifest.
CONFIG_BYTES_MAX = 1024 * 1024
_CTR = ("ctr", "--namespace=k8s.io")


def transfer(
    references: Sequence[str], nodes: Sequence[str], docker: Docker, places: Places
) -> None:
    """Copy images to all nodes. CommandFailed when a node does not take them."""
    held = [held_blobs(docker.ask("exec", node, *_CTR, "content", "ls")) for node in nodes]
    on_every_node = set.intersection(*(set(blobs) for blobs in held))
    with tempfile.TemporaryDirectory(dir=places.cache, prefix=".building-") as folder:
        archive = Path(folder, "images.tar")
        _save(references, on_every_node, docker, archive)
        with ThreadPoolExecutor(len(nodes)) as pool:
            list(pool.map(lambda node: _import(node, archive, docker), nodes))


def held_blobs(listing: str) -> list[str]:
    """Digests in the answer of `ctr content ls`."""
    words = (line.split() for line in listing.splitlines())
    return [found[0] for found in words if found and found[0].startswith("sha256:")]


def full_reference(reference: str) -> str:
    """A reference as a node lists it: with registry and tag ("a/b" → "docker.io/a/b:latest")."""
    first, slash, _ = reference.partition("/")
    if not slash:
        reference = f"docker.io/library/{reference}"
    elif not ("." in first or ":" in first or first == "localhost"):
        reference = f"docker.io/{reference}"
    tagged = ":" in reference.rpartition("/")[2] or "@" in reference
    return reference if tagged else f"{reference}:latest"


def copy_missing(saved: IO[bytes], held: set[str], archive: OciArchive) -> None:
    """Read what `docker save` writes (its older or its newer layout), write what is missing."""
    blobs: dict[str, Blob] = {}
    small: dict[str, bytes] = {}
    links: dict[str, str] = {}
    manifest: list[dict[str, Any]] = []
    with tarfile.open(fileobj=saved, mode="r|") as tar:
        for member in tar:
            name = member.name
            if member.issym() or member.islnk():
                folder = posixpath.dirname(name) if member.issym() else ""
                links[name] = posixpath.normpath(posixpath.join(folder, member.linkname))
                continue
            file = tar.extractfile(member)
            if file is None:
                continue
            data = file.read()
            if name == "manifest.json":
                manifest = json.loads(data)
            elif name.endswith("/layer.tar") or member.size > CONFIG_BYTES_MAX:
                blobs[name] = Blob(PLAIN_LAYER, digest_of(data), len(data))
                if blobs[name].digest not in held:
                    archive.add_blob(data, PLAIN_LAYER)
            else:
                small[name] = data
    for image in manifest:
        names = (links.get(name, name) for name in image["Layers"])
        layers = [blobs.get(name) or archive.add_blob(small[name], PLAIN_LAYER) for name in names]
        for reference in image["RepoTags"] or ():
            archive.add_image(full_reference(reference), small[image["Config"]], layers)


def missing_images(wanted: Mapping[str, str], listings: Sequence[str]) -> list[str]:
    """References that some node lacks with the wanted id (`listings`: what crictl says there)."""
    nodes = [
        {(tag, image["id"]) for image in json.loads(listing)["images"] for tag in image["repoTags"]}
        for listing in listings
    ]
    return [
        reference
        for reference, image_id in wanted.items()
        if any((full_reference(reference), image_id) not in held for held in nodes)
    ]


def _save(references: Sequence[str], held: set[str], docker: Docker, target: Path) -> None:
    command = ["docker", "save", *references]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command,
            env={**os.environ, **docker.environment},
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process,
        oci_archive(target) as archive,
    ):
        assert process.stdout is not None
        stream = io.BufferedReader(process.stdout, buffer_size=1024 * 1024)  # type: ignore[type-var]
        try:
            copy_missing(stream, held, archive)
        except (tarfile.TarError, KeyError, ValueError) as error:
            process.kill()
            errors.seek(0)
            said = errors.read().decode(errors="replace")
            raise CommandFailed(command, process.wait(), tail(f"{said}\n{error}")) from error


def _import(node: str, archive: Path, docker: Docker) -> None:
    command = ["docker", "exec", "-i", node, *_CTR, "images", "import"]
    command += ["--digests", "--snapshotter=overlayfs", "-"]
    with archive.open("rb") as data:
        finished = subprocess.run(
            command,
            env={**os.environ, **docker.environment},
            stdin=data,
            capture_output=True,
            text=True,
            check=False,
        )
    if finished.returncode != 0:
        raise CommandFailed(command, finished.returncode, tail(finished.stdout + finished.stderr))

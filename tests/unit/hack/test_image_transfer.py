"""A node gets the layers it lacks, and an image that is whole all the same."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from kind.image_transfer import copy_missing, held_blobs
from kind.oci_archive import oci_archive

BASE, CODE = b"base layer", b"code layer"
CONFIG = b'{"rootfs": {}}'


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def saved(layout: str) -> io.BytesIO:
    """What `docker save` writes: its layout up to Docker 24, or that since Docker 25."""
    buffer = io.BytesIO()
    names = {
        "older": ("aa/layer.tar", "bb/layer.tar", "cc.json"),
        "newer": tuple(f"blobs/{digest(data).replace(':', '/')}" for data in (BASE, CODE, CONFIG)),
    }[layout]
    manifest = [{"Config": names[2], "RepoTags": ["ranvier/ranvier:dev"], "Layers": [*names[:2]]}]
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in zip(names, (BASE, CODE, CONFIG), strict=True):
            add(tar, name, data)
        if layout == "older":
            link = tarfile.TarInfo("dd/layer.tar")
            link.type, link.linkname = tarfile.SYMTYPE, "../aa/layer.tar"
            tar.addfile(link)
            manifest[0]["Layers"] = ["dd/layer.tar", names[1]]
        add(tar, "manifest.json", json.dumps(manifest).encode())
    buffer.seek(0)
    return buffer


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def copied(layout: str, held: set[str], target: Path) -> dict[str, bytes]:
    with oci_archive(target) as archive:
        copy_missing(saved(layout), held, archive)
    with tarfile.open(target) as tar:
        return {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]


def blob(files: dict[str, bytes], of: str) -> bytes:
    return files[f"blobs/{of.replace(':', '/')}"]


@pytest.mark.parametrize("layout", ["older", "newer"])
def test_an_image_keeps_its_config_and_the_order_of_its_layers(layout: str, tmp_path: Path) -> None:
    files = copied(layout, set(), tmp_path / "a.tar")
    entry = json.loads(files["index.json"])["manifests"][0]
    assert entry["annotations"]["io.containerd.image.name"] == "docker.io/ranvier/ranvier:dev"
    manifest = json.loads(blob(files, entry["digest"]))
    assert blob(files, manifest["config"]["digest"]) == CONFIG
    assert [blob(files, layer["digest"]) for layer in manifest["layers"]] == [BASE, CODE]


def test_a_layer_the_nodes_hold_is_named_and_not_sent(tmp_path: Path) -> None:
    files = copied("older", {digest(BASE)}, tmp_path / "a.tar")
    assert BASE not in files.values()
    assert CODE in files.values()
    manifest = json.loads(blob(files, json.loads(files["index.json"])["manifests"][0]["digest"]))
    first = manifest["layers"][0]
    assert (first["digest"], first["size"]) == (digest(BASE), len(BASE))


def test_the_blobs_a_node_holds_are_read_from_its_listing() -> None:
    listing = """DIGEST\tSIZE\tAGE\tLABELS
sha256:0123\t12.3 MB\t2 minutes\tcontainerd.io/gc.ref.content.0=sha256:4567
sha256:89ab\t1 kB\t1 hour\t-
"""
    assert held_blobs(listing) == ["sha256:0123", "sha256:89ab"]

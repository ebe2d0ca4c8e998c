"""Writing images as one OCI archive, the form containerd imports. Equal blobs are stored once.

Not every blob has to be in it: a layer that the receiving store already holds need only be named.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLAIN_LAYER = "application/vnd.oci.image.layer.v1.tar"
ZSTD_LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Blob:
    """A blob as a manifest names it."""

    media_type: str
    digest: str
    size: int

    def described(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def platform() -> dict[str, str]:
    """This machine's platform, in the words of container images."""
    machine = os.uname().machine
    return {"architecture": _ARCHITECTURES.get(machine, machine), "os": "linux"}


class OciArchive:
    """An archive being written. Made by `oci_archive`."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._written: set[str] = set()
        self._index: list[dict[str, Any]] = []

    def add_blob(self, data: bytes, media_type: str) -> Blob:
        blob = Blob(media_type, digest_of(data), len(data))
        if blob.digest not in self._written:
            self._written.add(blob.digest)
            self._add_file(f"blobs/{blob.digest.replace(':', '/')}", data)
        return blob

    def add_image(self, reference: str, config: bytes, layers: Sequence[Blob]) -> None:
        """Name an image; its layers are in the archive, or the receiver has them."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": self.add_blob(config, _CONFIG).described(),
            "layers": [layer.described() for layer in layers],
        }
        blob = self.add_blob(json.dumps(manifest).encode(), _MANIFEST)
        named = {"platform": platform(), "annotations": {"io.containerd.image.name": reference}}
        self._index.append({**blob.described(), **named})

    def finish(self) -> None:
        self._add_file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        index = {"schemaVersion": 2, "manifests": self._index}
        self._add_file("index.json", json.dumps(index).encode())

    def _add_file(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        self._tar.addfile(info, io.BytesIO(data))


@contextmanager
def oci_archive(target: Path) -> Iterator[OciArchive]:
    with tarfile.open(target, "w") as tar:
        archive = OciArchive(tar)
        yield archive
        archive.finish()

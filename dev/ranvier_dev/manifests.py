"""`--apply`: objects from YAML files, created or brought to what the file says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ranvier_dev.kinds import SERVED, Invalid, RawObject, Served
from ranvier_dev.objects import Objects
from ranvier_dev.settings import NAMESPACE


class BadManifest(Exception):
    """The file can not be applied; the message says where and why."""


def apply(objects: Objects, path: Path) -> list[str]:
    """Apply a file, or each YAML file of a folder; returns what was done, one line an object.

    Raises BadManifest.
    """
    done = []
    for served, body in _objects(path):
        metadata = body["metadata"]
        namespace, name = metadata.get("namespace", NAMESPACE), metadata["name"]
        try:
            known = objects.get(served, namespace, name)
            if known is None:
                objects.create(served, namespace, body)
            else:
                wanted = {k: v for k, v in body.items() if k not in ("metadata", "status")}
                objects.replace(served, namespace, name, {**wanted, "metadata": metadata})
        except Invalid as error:
            raise BadManifest(f"{path}: {name}: {error}") from None
        done.append(f"{served.kind} {name} {'created' if known is None else 'applied'}")
    return done


def _objects(path: Path) -> Iterator[tuple[Served, RawObject]]:
    kinds = {(served.api_version, served.kind): served for served in SERVED}
    for body in _documents(path):
        if not isinstance(body, dict) or not body.get("metadata", {}).get("name"):
            raise BadManifest(f"{path}: a document is no object with a metadata.name")
        served = kinds.get((str(body.get("apiVersion")), str(body.get("kind"))))
        if served is None:
            what = f"{body.get('apiVersion')} {body.get('kind')}"
            raise BadManifest(f"{path}: {what} means nothing here; remove it from the file")
        yield served, body


def _documents(path: Path) -> Iterator[Any]:
    if path.is_dir():
        for file in sorted(path.glob("*.yaml")):
            yield from _documents(file)
        return
    try:
        documents = list(yaml.safe_load_all(path.read_text()))
    except OSError as error:
        raise BadManifest(f"{path} can not be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise BadManifest(f"{path}: {error}") from None
    for document in filter(None, documents):
        is_list = isinstance(document, dict) and document.get("kind") == "List"
        yield from document.get("items", ()) if is_list else (document,)

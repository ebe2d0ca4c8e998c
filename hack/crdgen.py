"""Writes the CRDs, and the page about conditions, from the models in `ranvier.resources`.

python hack/crdgen.py           write crds/, charts/ranvier/crds/ and docs/conditions.md
python hack/crdgen.py --check   print how the files differ from the models; exit 1 if they do
"""

import sys
from pathlib import Path
from typing import Any, Final

import generated
import yaml
from crdgen_conditions import page
from crdgen_schema import Schema, structural
from ranvier.resources.base import CATEGORY, GROUP, VERSION
from ranvier.resources.kinds import KINDS, Column, Kind

CRD_FOLDERS: Final = (Path("crds"), Path("charts/ranvier/crds"))
HEAD: Final = "# Written by hack/crdgen.py from sdk/ranvier/resources. Change it there.\n"
FIX: Final = "make generate"


class Plain(yaml.SafeDumper):
    """Repeats what occurs twice instead of writing YAML anchors, which few readers know."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def crd(kind: Kind) -> Schema:
    """The CustomResourceDefinition of one kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short_name],
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": _root_schema(kind)},
                }
            ],
        },
    }


def _root_schema(kind: Kind) -> Schema:
    """Everything but `metadata`, whose schema is Kubernetes' own."""
    schema = structural(kind.model)
    schema["properties"] |= {
        "apiVersion": {"type": "string", "description": f"Always `{GROUP}/{VERSION}`."},
        "kind": {"type": "string", "description": f"Always `{kind.name}`."},
        "metadata": {"type": "object"},
        "status": structural(kind.model, defaults=False)["properties"]["status"],
    }
    schema["required"] = [name for name in schema.get("required", []) if name != "metadata"]
    if not schema["required"]:
        del schema["required"]
    return schema


def _column(column: Column) -> dict[str, Any]:
    written: dict[str, Any] = {
        "name": column.name,
        "type": column.type,
        "description": column.description,
        "jsonPath": column.json_path,
    }
    return written | ({"priority": 1} if column.wide else {})


def outputs() -> dict[Path, str]:
    """Every generated file, by its path from the root of the repository."""
    files = {Path("docs/conditions.md"): page()}
    for kind in KINDS:
        text = HEAD + yaml.dump(
            crd(kind), Dumper=Plain, sort_keys=False, allow_unicode=True, width=110
        )
        files |= {folder / f"{kind.plural}.yaml": text for folder in CRD_FOLDERS}
    return files


def main(arguments: list[str] | None = None) -> int:
    about = "Writes CRDs and docs/conditions.md."
    return generated.run(arguments, outputs(), CRD_FOLDERS, about=about, fix=FIX)


if __name__ == "__main__":
    sys.exit(main())

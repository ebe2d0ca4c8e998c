"""The generated files: they are what the models say, and the generator tells when they are not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import crdgen
import pytest
import yaml
from ranvier.resources.kinds import KINDS

ROOT = Path(__file__).parents[3]
CRDS = {kind.name: crdgen.crd(kind) for kind in KINDS}


def schemas(node: dict[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below and with this one, with its place."""
    yield place, node
    for name, child in node.get("properties", {}).items():
        yield from schemas(child, f"{place}.{name}")
    for part, sign in (("items", "[]"), ("additionalProperties", "{}")):
        if part in node:
            yield from schemas(node[part], place + sign)


EVERY_SCHEMA = [
    pytest.param(place, schema, id=place)
    for name, crd in CRDS.items()
    for place, schema in schemas(
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], name.lower()
    )
]


def test_the_checked_in_files_are_what_the_models_say(capsys: pytest.CaptureFixture[str]) -> None:
    status = crdgen.main(["--check"])
    assert status == 0, capsys.readouterr().out


def test_drift_is_shown_as_a_diff_with_the_command_that_mends_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crdgen.main(["--root", str(tmp_path)])
    capsys.readouterr()
    assert crdgen.main(["--root", str(tmp_path), "--check"]) == 0

    changed = tmp_path / "crds" / "devboxes.yaml"
    changed.write_text(changed.read_text().replace("- dbx", "- dvb"))
    (tmp_path / "charts/ranvier/crds/forgotten.yaml").write_text("stale: true\n")
    assert crdgen.main(["--root", str(tmp_path), "--check"]) == 1
    shown = capsys.readouterr()
    assert "-    - dvb\n+    - dbx\n" in shown.out
    assert "-stale: true\n" in shown.out
    assert "2 generated files are out of date. Run: make generate" in shown.err

    assert crdgen.main(["--root", str(tmp_path)]) == 0
    assert "removed charts/ranvier/crds/forgotten.yaml" in capsys.readouterr().out
    assert crdgen.main(["--root", str(tmp_path), "--check"]) == 0


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_chart_has_the_same_crds_as_the_folder_for_kubectl(kind: Any) -> None:
    here, chart = (ROOT / folder / f"{kind.plural}.yaml" for folder in crdgen.CRD_FOLDERS)
    assert here.read_text() == chart.read_text()
    assert yaml.safe_load(here.read_text()) == CRDS[kind.name]


@pytest.mark.parametrize("name", CRDS)
def test_a_crd_has_the_names_and_the_parts_that_users_expect(name: str) -> None:
    spec = CRDS[name]["spec"]
    assert (spec["group"], spec["scope"]) == ("ranvier.dev", "Namespaced")
    assert spec["names"]["categories"] == ["ranvier"]
    (version,) = spec["versions"]
    assert (version["name"], version["subresources"]) == ("v1alpha1", {"status": {}})
    root = version["schema"]["openAPIV3Schema"]
    assert root["properties"]["metadata"] == {"type": "object"}
    conditions = root["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert "observedGeneration" in root["properties"]["status"]["properties"]


def test_get_devbox_shows_what_it_does_and_why() -> None:
    columns = CRDS["Devbox"]["spec"]["versions"][0]["additionalPrinterColumns"]
    narrow = [column["name"] for column in columns if "priority" not in column]
    assert narrow == ["Ready", "State", "Why", "Axon", "Age"]
    wide = [column["name"] for column in columns if column.get("priority") == 1]
    assert wide == ["Generation", "Image"]


@pytest.mark.parametrize(("place", "schema"), EVERY_SCHEMA)
def test_explain_has_words_for_every_field(place: str, schema: dict[str, Any]) -> None:
    if place.endswith((".metadata", "[]", "{}")) and "properties" not in schema:
        return
    assert schema["description"].rstrip().endswith((".", "…")), place
    assert "\n" not in schema["description"]


@pytest.mark.parametrize(("place", "schema"), EVERY_SCHEMA)
def test_every_part_has_one_type_and_a_bound(place: str, schema: dict[str, Any]) -> None:
    """Bounds keep objects small and the cost of CEL rules known."""
    assert ("type" in schema) != ("x-kubernetes-int-or-string" in schema)
    match schema.get("type"):
        case "array":
            assert "maxItems" in schema
        case "string":
            exempt = place.endswith((".apiVersion", ".kind"))
            bounds = {"maxLength", "enum", "format"}
            assert exempt or bounds & schema.keys()
        case "object" if "additionalProperties" in schema:
            assert "maxProperties" in schema
        case "integer" | "number":
            assert schema["type"] == "integer", "floats do not survive every client"
            assert "format" in schema


@pytest.mark.parametrize(("place", "schema"), EVERY_SCHEMA)
def test_a_rule_says_what_is_wrong_and_what_to_do(place: str, schema: dict[str, Any]) -> None:
    for rule in schema.get("x-kubernetes-validations", []):
        assert len(rule["message"].split()) > 7
        assert "\n" not in rule["message"]


@pytest.mark.parametrize(("place", "schema"), EVERY_SCHEMA)
def test_nothing_is_required_that_has_a_default(place: str, schema: dict[str, Any]) -> None:
    for name in schema.get("required", []):
        assert "default" not in schema["properties"][name]

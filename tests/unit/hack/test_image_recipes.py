"""An image is built when something of it changed; a machine's settings reach a build and stay out
of the repository and the image."""

import base64
import hashlib
from pathlib import Path

import pytest
from kind.image_build import default_base
from kind.image_recipes import IMAGES, ImageRecipe
from kind.npm_packages import integrity
from kind.pod_images import Layer
from kind.registry_settings import build_options, pip_conf, pip_settings


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageRecipe:
    monkeypatch.setattr("kind.image_recipes.ROOT", tmp_path)
    (tmp_path / "images" / "one").mkdir(parents=True)
    (tmp_path / "images" / "one" / "Containerfile").write_text("ARG BASE=debian\nFROM ${BASE}\n")
    (tmp_path / "source" / "__pycache__").mkdir(parents=True)
    (tmp_path / "source" / "module.py").write_text("x = 1\n")
    return ImageRecipe("one", "ranvier/one:dev", ("source",))


def test_a_changed_file_containerfile_or_base_is_a_new_key(
    recipe: ImageRecipe, tmp_path: Path
) -> None:
    keys = [recipe.key("sha256:base"), recipe.key("sha256:other")]
    (tmp_path / "source" / "module.py").write_text("x = 2\n")
    keys.append(recipe.key("sha256:base"))
    recipe.containerfile.write_text("ARG BASE=debian\nFROM ${BASE}\nUSER 1\n")
    keys.append(recipe.key("sha256:base"))
    assert len(set(keys)) == 4


def test_byte_code_neither_changes_the_key_nor_enters_the_context(
    recipe: ImageRecipe, tmp_path: Path
) -> None:
    before = recipe.key("b")
    (tmp_path / "source" / "__pycache__" / "module.pyc").write_bytes(b"x")
    assert recipe.key("b") == before
    context = tmp_path / "context"
    recipe.write_context(context, None)
    names = sorted(path.relative_to(context).as_posix() for path in context.rglob("*"))
    assert names == ["Containerfile", "source", "source/module.py"]


def test_npm_packages_are_part_of_key_and_context(recipe: ImageRecipe, tmp_path: Path) -> None:
    before = recipe.key("b")
    pins = recipe.containerfile.with_name("npm-packages.json")
    pins.write_text('[{"name": "agent", "version": "1", "integrity": "sha512-x"}]')
    assert recipe.key("b") != before
    unpacked = tmp_path / "node_modules" / "agent"
    unpacked.mkdir(parents=True)
    (unpacked / "program").write_bytes(b"program")
    recipe.write_context(tmp_path / "context", unpacked.parent)
    assert (tmp_path / "context" / "agent" / "agent" / "program").read_bytes() == b"program"


@pytest.mark.parametrize("name", IMAGES)
def test_every_containerfile_takes_its_base_from_outside(name: str) -> None:
    text = IMAGES[name].containerfile.read_text()
    assert default_base(text)
    assert text.count("FROM ${BASE}") + text.count(" AS ") >= 1


def test_npm_archives_are_checked_against_the_hash_npm_writes(tmp_path: Path) -> None:
    path = tmp_path / "a.tgz"
    path.write_bytes(b"x")
    digest = base64.b64encode(hashlib.sha512(b"x").digest()).decode()
    assert integrity(path) == f"sha512-{digest}"


def test_a_machine_without_settings_passes_nothing(tmp_path: Path) -> None:
    assert pip_conf({}, has_bundle=False) == ""
    assert pip_conf({"disable-pip-version-check": "1"}, has_bundle=False) == ""


def test_pips_variables_win_over_its_files(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://mirror.example/simple\ntimeout = 10\n")
    settings = pip_settings(
        {"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(file), "PIP_TIMEOUT": "60"}
    )
    assert settings["index-url"] == "https://mirror.example/simple"
    assert settings["timeout"] == "60"


def test_settings_and_ca_bundle_enter_a_build_as_secrets(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("certificates")
    environment = {
        "HOME": str(tmp_path),
        "PIP_CERT": str(bundle),
        "PIP_INDEX_URL": "https://user:secret@mirror.example/simple",
        "https_proxy": "http://proxy.example:3128",
    }
    options = build_options(tmp_path, environment)
    assert f"id=ca-bundle.pem,src={bundle}" in options
    assert not any("secret@" in option or "proxy.example" in option for option in options)
    assert "https_proxy" in options, "by name: the value comes from the environment"
    written = (tmp_path / "pip.conf").read_text()
    assert "index-url = https://user:secret@mirror.example/simple\n" in written
    assert "cert = /run/secrets/ca-bundle.pem\n" in written
    assert (tmp_path / "pip.conf").stat().st_mode & 0o077 == 0


def test_a_layer_is_the_same_bytes_each_time_with_parents_first(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"elf")
    layers = [
        Layer({"/usr/local/bin/program": program}, links={"/bin/p": "program"}) for _ in range(2)
    ]
    one, other = (layer.packed() for layer in layers)
    assert one == other
    assert one.index(b"usr/local/bin/\0") < one.index(b"usr/local/bin/program\0")

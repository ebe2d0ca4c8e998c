"""Servers on the same machine: the command finds their keys, or says what to install."""

from pathlib import Path

import pytest
from ranvier.cli.programs import expect_installed
from ranvier.cli.target import Target
from ranvier.client.errors import NotConfigured, RanvierError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, and no settings."""
    for name in ("RANVIER_API_KEY", "RANVIER_BASE_URL", "RANVIER_DEV_STATE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put_key(folder: Path, key: str) -> None:
    folder.mkdir(parents=True)
    (folder / "api-key").write_text(f"{key}\n")


def key_for(target: Target) -> str:
    with target.blocking() as client:
        return client.settings.api_key


def test_the_key_of_ranvier_dev_in_this_folder_comes_before_that_of_ranvier_serve(
    folder: Path,
) -> None:
    with pytest.raises(NotConfigured):
        Target(None, None).blocking()
    put_key(folder / "data" / "ranvier", "rnv_of-serve")
    assert key_for(Target(None, None)) == "rnv_of-serve"
    put_key(folder / ".ranvier", "rv_of-dev")
    assert key_for(Target(None, None)) == "rv_of-dev"
    assert key_for(Target(None, "given")) == "given"
    with pytest.raises(NotConfigured):
        Target("http://elsewhere", None).blocking()


def test_a_local_server_is_found_on_whatever_port_it_listens(folder: Path) -> None:
    for place in (folder / "data" / "ranvier", folder / ".ranvier"):
        put_key(place, f"of {place.name}")
        with Target(None, None).blocking() as client:
            assert client.settings.base_url == "http://127.0.0.1:8080"
        (place / "api-url").write_text(f"http://127.0.0.1:9000/{place.name}\n")
        with Target(None, None).blocking() as client:
            assert client.settings.base_url == f"http://127.0.0.1:9000/{place.name}"
            assert client.settings.api_key == f"of {place.name}"
    with Target(None, "given").blocking() as client:
        assert client.settings.base_url == "http://127.0.0.1:8080"


def test_where_there_is_no_server_it_is_said_how_to_have_one(folder: Path) -> None:
    with pytest.raises(NotConfigured, match=r"ranvier dev.*ranvier serve.*RANVIER_BASE_URL"):
        Target(None, None).blocking()


def test_what_is_not_installed_is_named_with_the_extra_that_brings_it() -> None:
    expect_installed(["json", "ranvier"], "The API server", "apiserver")
    with pytest.raises(RanvierError, match=r"no_such_package is missing.*ranvier-server\[local\]"):
        expect_installed(["json", "no_such_package"], "What runs agents here", "local")

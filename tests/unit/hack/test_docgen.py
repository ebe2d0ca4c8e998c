"""The reference is the code's: complete, and a change that is not written is seen."""

import inspect
from pathlib import Path

import docgen
import docgen_http
import docgen_python
import pytest
from ranvier.client import aio, blocking
from ranvier_apiserver.app import describe


def test_a_page_that_was_changed_or_forgotten_is_drift(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docgen.main(["--root", str(tmp_path)])
    assert docgen.main(["--root", str(tmp_path), "--check"]) == 0
    page = tmp_path / docgen.FOLDER / "http.md"
    page.write_text(page.read_text().replace("Publish an event", "Publish a thing"))
    (page.parent / "forgotten.md").write_text("stale\n")
    capsys.readouterr()
    assert docgen.main(["--root", str(tmp_path), "--check"]) == 1
    told = capsys.readouterr()
    assert "+Publish an event" in told.out
    assert "2 generated files are out of date. Run: make generate" in told.err


def test_every_public_route_is_on_its_page() -> None:
    page = docgen_http.page()
    for path, methods in describe()["paths"].items():
        for method in methods:
            is_told = f"## `{method.upper()} {path}`" in page
            assert is_told is not path.startswith("/internal/")


@pytest.mark.parametrize("page", docgen_python.PAGES)
def test_everything_public_has_its_words(page: str) -> None:
    text = docgen_python.page(page)
    for section in text.split("\n### ")[1:]:
        name, _, rest = section.partition("\n")
        assert rest.strip(), f"{name} has no docstring"


def test_both_clients_have_the_same_methods() -> None:
    """The pages tell them once."""
    pairs = [
        (value, getattr(blocking, name.removeprefix("Async")))
        for name, value in vars(aio).items()
        if name.startswith("Async") and inspect.isclass(value) and value.__module__ == aio.__name__
    ]
    assert len(pairs) >= 4
    for asynchronous, other in pairs:
        assert public(asynchronous) - {"aclose"} == public(other) - {"close"}


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_a_default_and_a_forward_reference_are_shown_as_they_are_written() -> None:
    text = docgen_python.page("python-client.md")
    assert "origin: Origin = Origin.USER, source: str = 'ranvier-sdk'" in text
    assert "collections.abc" not in text
    assert "-> Axon`" in text

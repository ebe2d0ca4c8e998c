"""The documentation as a whole: all of it is found from its index, and no link leads nowhere."""

import re
from pathlib import Path

import pytest
import yaml
from ranvier.resources.base import GROUP
from ranvier.resources.kinds import KINDS

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "charts/**/*.md", "examples/*.md")
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
YAML = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def links(page: Path) -> list[str]:
    return LINK.findall(CODE.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """The headings, as a link names them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)} links to {link}"
        assert not anchor or anchor in anchors(target), f"{name(page)} links to {link}"


def test_every_page_stands_in_the_index() -> None:
    index = {(DOCS / link).resolve() for link in links(DOCS / "README.md")}
    missing = {name(page) for page in DOCS.rglob("*.md")} - {name(page) for page in index}
    missing -= {"docs/README.md"}
    assert not missing, f"add a row to docs/README.md for {sorted(missing)}"


def test_every_whole_manifest_is_one_that_the_resources_understand() -> None:
    models = {kind.name: kind.model for kind in KINDS}
    seen = 0
    for page in PAGES:
        for block in YAML.findall(page.read_text(encoding="utf-8")):
            for body in yaml.safe_load_all(block):
                if isinstance(body, dict) and str(body.get("apiVersion")).startswith(GROUP):
                    models[body["kind"]].model_validate(body)
                    seen += 1
    assert seen >= 8


def test_every_example_is_one_that_the_resources_understand() -> None:
    models = {kind.name: kind.model for kind in KINDS}
    seen = 0
    for file in (ROOT / "examples").rglob("*.yaml"):
        for body in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            if str(body["apiVersion"]).startswith(GROUP):
                models[body["kind"]].model_validate(body)
                seen += 1
    assert seen >= 14

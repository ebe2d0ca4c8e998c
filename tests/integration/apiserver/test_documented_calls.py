"""docs/api.md is true: its snippets run as they stand, and its answers have the shape shown."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import published_sdks
from api_process import KEY, ApiServer
from ranvier_apiserver.app import describe
from ranvier_apiserver.problems import PROBLEMS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(bash|json|text|python|typescript)\n(.*?)```", re.DOTALL)
BLOCKS = [(found[1], found[2]) for found in BLOCK.finditer(PAGE)]


def whole(language: str) -> str:
    return "\n".join(text for kind, text in BLOCKS if kind == language)


def environment(server: ApiServer) -> dict[str, str]:
    return {"RUNLOOP_BASE_URL": server.url, "RUNLOOP_API_KEY": KEY}


async def test_the_curl_calls_answer_as_shown(shared: ApiServer, tmp_path: Path) -> None:
    # One shell for all, since later calls use what earlier ones set; each answer in its own file.
    steps = [
        f"{{ {text}\n}} > answer-{number}"
        for number, (kind, text) in enumerate(BLOCKS)
        if kind == "bash"
    ]
    assert len(steps) >= 10
    script = "\n".join(["set -euo pipefail", *steps])
    await published_sdks.run_process(tmp_path, "bash", "-c", script, **environment(shared))
    for number, (kind, text) in enumerate(BLOCKS):
        if kind == "json":
            answer = (tmp_path / f"answer-{number - 1}").read_text()
            assert shape(json.loads(answer)) == shape(json.loads(text)), answer
        elif kind == "text":
            frames = (tmp_path / f"answer-{number - 1}").read_text().split("\n\n")
            shown = text.strip().split("\n\n")
            assert frames[0] == shown[0]
            data = [json.loads(frame.removeprefix("data: ")) for frame in (frames[1], shown[1])]
            assert shape(data[0]) == shape(data[1])


def shape(value: Any) -> Any:
    """Keys and types, not values."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return type(value)


async def test_the_python_calls_run(shared: ApiServer, tmp_path: Path) -> None:
    command = (sys.executable, "-c", whole("python"))
    await published_sdks.run_process(tmp_path, *command, **environment(shared))


async def test_the_typescript_calls_run(shared: ApiServer, tmp_path: Path) -> None:
    folder = published_sdks.typescript_folder(tmp_path)
    (folder / "page.mjs").write_text(whole("typescript") + "\nprocess.exit(0);\n")
    await published_sdks.run_node(folder, "page.mjs", **environment(shared))


def test_every_public_code_of_a_refusal_is_explained() -> None:
    internal = {"fenced", "rule_broken", "devbox_not_found", "mount_not_found"}
    explained = set(re.findall(r"`([a-z_]+)`", PAGE[PAGE.index("## Refusals") :]))
    assert {problem.code for problem in PROBLEMS.values()} - internal <= explained


def test_every_axon_route_is_on_the_page() -> None:
    routes = [path for path in describe()["paths"] if path.startswith("/v1/axons")]
    for path in routes:
        tail = re.escape(path.removeprefix("/v1/axons")).replace(r"\{axon_id\}", r"\$(AXON|COPY)")
        assert re.search(rf"\$RUNLOOP_BASE_URL/v1/axons{tail}\b", PAGE), path

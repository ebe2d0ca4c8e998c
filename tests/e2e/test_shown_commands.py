"""What the documents show is run: manifests are accepted, commands do what they say."""

import asyncio
import re
from collections.abc import Mapping

from journeys import Box, apply, conversation, kubectl, opencode
from stage.forward import ApiForward
from stage.shell import ROOT, read

GO_ON = (ROOT / "hack" / "stage" / "go_on.txt").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def shown(label: str) -> str:
    """The command under a label of the demo's last words, continuation lines included."""
    found = re.search(rf"^  {label}.*?:\s+(.*?)(?=\n  \w|\Z)", GO_ON, re.S | re.M)
    assert found, f"go_on.txt shows nothing under {label}"
    return found.group(1)


async def test_the_manifests_in_the_readme_are_accepted(box: Box) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", README, re.S)
    assert blocks
    for block in blocks:
        await box.kubectl("apply", "--dry-run=server", "-f", "-", text=block)


async def test_the_make_targets_in_the_readme_exist() -> None:
    listed = await asyncio.to_thread(read, ["make", "help"])
    targets = set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.M))
    assert targets
    assert all(re.search(rf"^{target}\b", listed, re.M) for target in targets)


async def test_the_publish_command_that_the_demo_shows_starts_a_turn(
    box: Box, model_url: str, api: ApiForward, key: str
) -> None:
    await apply(box, opencode(model_url), idle_seconds=None)
    async with conversation(api.url, key, box) as talk:
        command = shown("Publish").replace("localhost:8080", api.url)
        printed = await asyncio.to_thread(
            read, ["bash", "-c", f"KEY={key}; AXON={box.axon_id}; {command}"]
        )
        assert '"sequence"' in printed
        end = await talk.turn_end(1)
        assert end.event_type == "turn.completed"


async def test_the_look_command_that_the_demo_shows_works(env: Mapping[str, str]) -> None:
    for line in shown("Look").splitlines():
        await kubectl(env, *line.split()[1:])

"""What stands in a `brokerMount`: any agent by configuration alone, and several side by side."""

import sys
from pathlib import Path

import pytest
from axon_client import Event, payload
from broker_box import AGENT, Box
from dialects import SCRIPTED


def kinds(events: list[Event]) -> list[str]:
    return [event["event_type"] for event in events]


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """A folder with an agent of a name that nobody ever heard: it wants arguments and a key."""
    program = tmp_path / "opt" / "zephyrine-3"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        '[ "$1 $2" = "--wire agent client protocol" ] || exit 64\n'
        '[ "$ZEPHYRINE_KEY" = "a key" ] || exit 65\n'
        f"exec {sys.executable} {AGENT}\n"
    )
    program.chmod(0o755)
    return program


async def test_an_acp_agent_that_nobody_named_works_by_configuration_alone(
    box: Box, stranger: Path
) -> None:
    box.agent = (stranger.name, "--wire", "agent client protocol")
    box.environment = {"PATH": f"{stranger.parent}:/usr/bin:/bin", "ZEPHYRINE_KEY": "a key"}
    async with box:
        box.start()
        session = await box.greet()
        trigger = await box.prompt(session, "[[ask Run it?]] [[say Done.]]")
        await box.seen("session/request_permission", trigger)
        answer = {"outcome": {"outcome": "selected", "optionId": "yes"}}
        await box.publish("session/request_permission", answer)
        assert (await box.ended(trigger))["event_type"] == "turn.completed"
        await box.fall_asleep()
        late = await box.publish("user.message", {"content": "[[history]]"})
        box.start()
        end = await box.ended(late)
        assert "HISTORY 2 [[ask Run it?]]" in box.text(late, end["sequence"])


async def test_agents_of_every_protocol_live_in_one_devbox_each_on_its_own_axon(box: Box) -> None:
    async with box:
        own = {}
        for cast in SCRIPTED:
            with cast.program(box.folder / "home") as program:
                axon = await box.mount(cast.dialect.protocol, program.command)
            own[axon] = f"I am {cast.name}."
        box.start()
        for axon, words in own.items():
            await box.publish("user.message", {"content": f"[[say {words}]]"}, axon_id=axon)
        for axon, words in own.items():
            events = await box.axon(axon, "turn.completed")
            said = [
                payload(e)["content"] for e in events if e["event_type"] == "turn.message_chunk"
            ]
            assert "".join(said) == words
            assert kinds(events).count("turn.started") == 1
        assert "turn.started" not in kinds(box.events), "nothing came to the first axon"


async def test_the_mounts_of_a_devbox_have_their_turns_side_by_side(box: Box) -> None:
    async with box:
        second = await box.mount(box.protocol, box.agent)
        box.start()
        hanging = await box.publish("user.message", {"content": "[[say On.]] [[hang]]"})
        await box.seen("turn.message_chunk", hanging)
        await box.publish("user.message", {"content": "[[say Hello.]]"}, axon_id=second)
        events = await box.axon(second, "turn.completed")
        [started] = [event for event in events if event["event_type"] == "turn.started"]
        assert payload(started)["turn_id"].startswith(f"trn_{box.uid[:8]}_1_")
        assert box.find("turn.completed") is None

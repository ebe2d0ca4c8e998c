"""The recipes of docs/recipes: every program and command runs, and does what its page says."""

import asyncio
import hashlib
import hmac
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import yaml
from axon_client import FACT_SECONDS_MAX, payload
from broker_box import Box, Server
from doc_programs import Page, Receiver
from ranvier import AsyncRanvier

SECRET = "of-the-webhook"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


def delivery(event: str, number: int, body: str, secret: str = SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
    return {
        "x-github-event": event,
        "x-github-delivery": f"delivery-{number}",
        "x-hub-signature-256": f"sha256={digest}",
    }


async def test_a_webhook_reaches_the_agent_and_its_answer_the_chat(
    server: Server, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    answers = {"SCRIPTED_ANSWER": "[[say Looked at it.]]"}
    async with Box(server, tmp_path / "box", environment=answers) as box:
        box.start()
        with (
            Receiver() as chat,
            Page(
                "recipes/webhook-to-agent.md",
                tmp_path,
                server,
                AXON_ID=box.axon_id,
                WEBHOOK_SECRET=SECRET,
                CHAT_URL=chat.url,
            ) as page,
        ):
            port = (await page.said(page.start("hook.py"))).rpartition(" ")[2]
            page.start("reply.py")
            push, url = '{"ref": "main"}', f"http://127.0.0.1:{port}"
            forged = delivery("push", 0, push, "guessed")
            assert (await http.post(url, content=push, headers=forged)).status_code == 401
            for _ in range(2):  # the sender did not hear the first answer
                told = await http.post(url, content=push, headers=delivery("push", 1, push))
                assert told.status_code == 202
            await chat.until(lambda said: said == [{"text": "Looked at it."}])
            await page.run_shell(0)
            await page.run_shell(0)
            await chat.until(lambda said: len(said) == 2)
            await box.publish("user.message", {"content": "[[fail no disk]]"})
            await chat.until(lambda said: len(said) == 3)
    assert chat.bodies[2]["text"].startswith("I could not do it: ")
    assert "no disk" in chat.bodies[2]["text"]
    assert len(set(chat.keys)) == 3
    types = Counter(event["event_type"] for event in box.events)
    assert (types["push"], types["disk.full"], types["turn.started"]) == (1, 1, 3)


async def test_a_question_is_answered_from_a_phone(
    server: Server, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    async with Box(server, tmp_path / "box") as box:
        box.start()
        with (
            Receiver() as phone,
            Page(
                "recipes/approval-by-phone.md",
                tmp_path,
                server,
                AXON_ID=box.axon_id,
                PUSH_URL=phone.url,
                PUBLIC_URL="",
            ) as page,
        ):
            asked = await box.publish("user.message", {"content": "[[ask Delete it?]]"})
            first = page.start("approve.py")
            await page.said(first)
            await phone.until(lambda said: len(said) == 1)
            assert phone.bodies[0]["message"] == "The agent asks: Delete it?"
            page.kill(first)  # with the question open
            second = page.start("approve.py")
            port = (await page.said(second)).rpartition(" ")[2]
            await phone.until(lambda said: len(said) == 2)
            buttons = f"http://127.0.0.1:{port}"
            stale, fresh = (body["allow"] for body in phone.bodies)
            assert (await http.get(buttons + fresh)).status_code == 501  # a preview presses nothing
            assert (await http.post(buttons + stale)).status_code == 404
            assert (await http.post(buttons + fresh)).status_code == 204
            end = await box.ended(asked)
            assert end["event_type"] == "turn.completed"
            assert '"optionId": "yes"' in box.text(asked, end["sequence"])
            asked = await box.publish("user.message", {"content": "[[ask And that?]]"})
            await phone.until(lambda said: len(said) == 3)
            assert (await http.post(buttons + phone.bodies[2]["deny"])).status_code == 204
            end = await box.ended(asked)
            assert '"optionId": "no"' in box.text(asked, end["sequence"])


async def test_a_fleet_is_asked_once_and_its_answers_stand_in_one_table(
    server: Server, ranvier: AsyncRanvier, tmp_path: Path
) -> None:
    mark = {"fleet": "upgrade"}
    axons = [(await ranvier.axons.create(name, metadata=mark)).id for name in ("billing", "web")]
    answers = {"SCRIPTED_ANSWER": "[[say Upgraded.]]"}
    async with Box(server, tmp_path / "box", more_axons=axons, environment=answers) as box:
        box.start()
        with Page("recipes/fleet-of-agents.md", tmp_path, server) as page:
            for _ in range(2):
                told = await page.run_program("ask.py", "june", "Upgrade the HTTP library.")
                assert told == "asked 2 agents\n"
            board = (await page.said(page.start("collect.py"))).rpartition(" ")[2]
            for axon in axons:
                await box.axon(axon, until="turn.completed")
            select = "SELECT axon, outcome, text FROM results ORDER BY axon"
            deadline = time.monotonic() + FACT_SECONDS_MAX
            while len(rows := (await ranvier.axons.sql.query(board, select)).rows) < 2:
                assert time.monotonic() < deadline, rows
                await asyncio.sleep(0.02)
            assert rows == [[axon, "turn.completed", "Upgraded."] for axon in sorted(axons)]
            shown = await page.run_shell(1, BOARD=board)
            assert "turn.completed" in shown
            await page.run_shell(0)
            made = list(yaml.safe_load_all((tmp_path / "fleet.yaml").read_text()))
    assert [one["kind"] for one in made] == ["Axon", "Devbox"] * 3
    for axon in axons:
        prompts = [
            event async for event in ranvier.axons.history(axon) if event.origin == "USER_EVENT"
        ]
        assert len(prompts) == 1


async def test_an_agent_of_ones_own_asks_answers_and_remembers(
    server: Server, tmp_path: Path
) -> None:
    with Page("recipes/bring-your-own-agent.md", tmp_path, server) as page:
        agent = (sys.executable, str(tmp_path / "notes_agent.py"))
        async with Box(server, tmp_path / "box", agent=agent) as box:
            box.start()
            home = str(tmp_path / "box" / "home")
            told = await page.run_program("talk.py", AXON_ID=box.axon_id, AGENT_HOME=home)
            assert "session/request_permission" in told
            assert "turn.completed" in told
            session = payload(await box.seen("session/new"))["sessionId"]
            noted = await box.prompt(session, "call mother")
            end = await box.ended(noted)
            assert box.text(noted, end["sequence"]) == "I have 1 notes: call mother"
            await box.fall_asleep()
            later = await box.prompt(session, "water plants")
            box.start()
            end = await box.ended(later)
            assert "2 notes: call mother, water plants" in box.text(later, end["sequence"])
    assert json.loads((tmp_path / "box/home/.notes" / session).read_text())

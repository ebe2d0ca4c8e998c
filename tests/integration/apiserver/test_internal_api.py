"""What operator and brokers say to the journal (ARCHITECTURE.md, "Internal API")."""

import asyncio
import json
import uuid
from typing import Any

import httpx
from api_process import ApiServer, Box, box_on, create, publish, read
from ranvier.events import devbox_id


def system(event_type: str) -> dict[str, str]:
    return {"origin": "SYSTEM_EVENT", "event_type": event_type, "payload": "{}"}


def start(trigger: int, turn_id: str = "t1", batch: int = 1) -> dict[str, Any]:
    mark = {"kind": "started", "turn_id": turn_id, "trigger": trigger, "event_index": 0}
    events = [system("turn.started")]
    return {"batch": batch, "events": events, "cursor": trigger, "turn_marks": [mark]}


def end(turn_id: str = "t1", batch: int = 2) -> dict[str, Any]:
    mark = {"kind": "ended", "turn_id": turn_id, "event_index": 0}
    return {"batch": batch, "events": [system("turn.completed")], "turn_marks": [mark]}


async def test_an_axon_resource_gets_an_axon_and_keeps_it(api: httpx.AsyncClient, box: Box) -> None:
    resource = uuid.uuid4().hex
    body = {"namespace": "ns", "name": "fixer", "metadata": {"a": "1"}}
    first = (await box.operator.put(f"/internal/v1/axons/{resource}", json=body)).json()
    assert first["head"] == 0
    await publish(api, first["axon_id"])
    changed = {**body, "metadata": {"a": "2"}, "deletion_policy": "Delete"}
    again = (await box.operator.put(f"/internal/v1/axons/{resource}", json=changed)).json()
    assert (again["axon_id"], again["head"]) == (first["axon_id"], 1)
    view = (await api.get(f"/v1/axons/{first['axon_id']}")).json()
    assert (view["name"], view["metadata"]) == ("fixer", {"a": "2"})
    assert again in (await box.operator.get("/internal/v1/axons")).json()["axons"]
    for _ in "12":
        assert (await box.operator.delete(f"/internal/v1/axons/{resource}")).json() == {}
    assert again not in (await box.operator.get("/internal/v1/axons")).json()["axons"]
    view = (await api.get(f"/v1/axons/{first['axon_id']}")).json()
    assert view["deleted_at_ms"] > 0


async def test_retain_keeps_the_axon_when_its_resource_goes(
    api: httpx.AsyncClient, box: Box
) -> None:
    resource = uuid.uuid4().hex
    body = {"namespace": "ns", "name": "fixer"}
    axon = (await box.operator.put(f"/internal/v1/axons/{resource}", json=body)).json()["axon_id"]
    await box.operator.delete(f"/internal/v1/axons/{resource}")
    assert (await publish(api, axon)).json()["sequence"] == 1


async def test_a_turn_then_sleep_then_a_wake(
    shared: ApiServer, api: httpx.AsyncClient, box: Box
) -> None:
    axon = await create(api)
    await publish(api, axon, "before the devbox")
    view = await box.bind(axon)
    assert (view["generation"], view["asleep"], view["mount_views"][0]["unread"]) == (
        1,
        False,
        True,
    )
    assert (await box.sleep(1))["reason"] == "Starting"
    attached = (await box.attach()).json()
    assert (attached["axon_id"], attached["epoch"], attached["cursor"]) == (axon, 1, 0)
    assert (await box.sleep(1))["reason"] == "UnreadEvent"
    appended = (await box.append(**start(1), state={"session": "s1"})).json()
    assert appended == {"first_sequence": 2, "last_sequence": 2}
    assert (await box.sleep(1))["reason"] == "TurnOpen"
    assert (await box.append(**end())).status_code == 200
    refused = await box.sleep(1, idle_seconds=60)
    assert (refused["granted"], refused["reason"]) == (False, "RecentActivity")
    granted = await box.sleep(1)
    assert (granted["granted"], granted["generation"], granted["reason"]) == (True, 2, "Idle")
    assert (await box.view())["wanted"] is False

    assert (await publish(api, axon, "wake up")).json()["sequence"] == 5
    poke = await shared.log("poke", devbox=box.uid)
    assert (poke["generation"], poke["axon_id"], poke["sequence"]) == (2, axon, 5)
    seen = await box.view()
    assert seen["wanted_by"] == {"axon_id": axon, "sequence": 5}
    assert (await box.attach(generation=1)).json()["code"] == "fenced"
    attached = (await box.attach(generation=2)).json()
    assert (attached["epoch"], attached["cursor"], attached["state"]) == (2, 1, {"session": "s1"})
    seen = await box.view()
    assert (seen["asleep"], seen["wanted"]) == (False, False)
    kinds = [event["event_type"] for event in await read(api, axon, 5)]
    assert kinds == [
        "user.message",
        "turn.started",
        "turn.completed",
        "devbox.suspended",
        "user.message",
    ]


async def test_a_broker_that_was_presumed_dead_can_harm_nothing(
    api: httpx.AsyncClient, box: Box
) -> None:
    axon = await create(api)
    await box.bind(axon)
    await publish(api, axon)
    await box.attach()
    await box.append(**start(1))
    second = (await box.attach()).json()
    assert second["closed_turn"] == {"turn_id": "t1", "trigger": 1, "started_sequence": 2}
    fenced = await box.append(**end())
    assert (fenced.status_code, fenced.json()["code"]) == (409, "fenced")
    assert fenced.headers["x-should-retry"] == "false"
    again = await box.append(**{**start(1, "t2"), "epoch": 2})
    assert (again.status_code, again.json()["code"]) == (422, "rule_broken")
    failed = (await read(api, axon, 3))[2]
    assert failed["event_type"] == "turn.failed"
    assert '"reason": "interrupted"' in failed["payload"]


async def test_a_repeated_batch_gets_the_first_answer(api: httpx.AsyncClient, box: Box) -> None:
    axon = await create(api)
    await box.bind(axon)
    await publish(api, axon)
    await box.attach()
    answers = [(await box.append(**start(1))).json() for _ in range(3)]
    assert answers == [{"first_sequence": 2, "last_sequence": 2}] * 3
    assert (await api.get(f"/v1/axons/{axon}/events")).json()["total_count"] == 2


async def test_force_closes_the_open_turn_first(api: httpx.AsyncClient, box: Box) -> None:
    axon = await create(api)
    await box.bind(axon)
    await publish(api, axon)
    await box.attach()
    await box.append(**start(1))
    await box.bind(axon, held=True)
    granted = await box.sleep(1, force=True, cause="owner")
    assert (granted["granted"], granted["reason"]) == (True, "Forced")
    events = (await read(api, axon, 4))[2:]
    assert [event["event_type"] for event in events] == ["turn.failed", "devbox.suspended"]
    assert '"reason": "suspended"' in events[0]["payload"]
    assert json.loads(events[1]["payload"]) == {
        "devbox_id": devbox_id(box.uid),
        "reason": "owner",
    }
    await publish(api, axon)
    assert (await box.view())["wanted"] is False
    released = await box.bind(axon)
    assert released["wanted"] is True


async def test_a_devbox_that_is_gone_leaves_its_cursor_to_the_next(
    api: httpx.AsyncClient, box: Box
) -> None:
    axon = await create(api)
    await box.bind(axon)
    for _ in range(3):
        await publish(api, axon)
    await box.attach()
    await box.append(**start(2))
    for _ in "12":
        assert (await box.operator.delete(f"/internal/v1/devboxes/{box.uid}")).json() == {}
    assert (await box.append(**end())).json()["code"] == "devbox_not_found"
    assert (await read(api, axon, 5))[4]["event_type"] == "turn.failed"
    view = await box.bind(axon, uid=f"{box.uid}-next")
    assert view["mount_views"][0]["cursor"] == 2


async def test_a_broker_speaks_for_its_own_devbox_and_reads_its_own_axons(
    shared: ApiServer, api: httpx.AsyncClient, box: Box
) -> None:
    mine, other = await create(api), await create(api)
    mine_url, body = f"/internal/v1/devboxes/{box.uid}", {"generation": 1}
    await box.bind(mine)
    await publish(api, mine)
    assert len(await read(box.broker, mine, 1, origin="USER_EVENT,EXTERNAL_EVENT")) == 1
    assert (await box.broker.get(f"/v1/axons/{other}/subscribe/sse")).status_code == 403
    async with box_on(shared) as other_box:
        stranger = other_box.broker
        answer = await stranger.post(f"{mine_url}/mounts/0/attach", json=body)
        assert answer.status_code == 403
        assert (await stranger.get(f"/v1/axons/{mine}/subscribe/sse")).status_code == 403
        assert (await stranger.get("/internal/v1/devboxes")).status_code == 403
    assert (await box.operator.post(f"{mine_url}/mounts/0/attach", json=body)).status_code == 403
    answer = await box.broker.post(f"{mine_url}/mounts/7/attach", json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "mount_not_found")
    wrong = await box.broker.post(f"{mine_url}/mounts/x/attach", json=body)
    assert wrong.status_code == 422


async def test_a_broker_publishes_no_users_events(api: httpx.AsyncClient, box: Box) -> None:
    await box.bind(await create(api))
    await box.attach()
    event = {"origin": "USER_EVENT", "event_type": "user.message", "payload": "{}"}
    assert (await box.append(events=[event])).status_code == 422


async def test_an_axon_deleted_under_a_devbox_lets_it_sleep(
    api: httpx.AsyncClient, box: Box
) -> None:
    axon = await create(api)
    await box.bind(axon)
    await publish(api, axon)
    await box.attach()
    await api.delete(f"/v1/axons/{axon}")
    assert (await box.append()).json()["code"] == "axon_deleted"
    assert (await box.attach()).json()["code"] == "axon_deleted"
    await box.bind(axon)
    assert (await box.sleep(1))["granted"] is True
    assert (await box.view())["wanted"] is False


async def test_a_server_killed_between_commit_and_poke_pokes_after_its_restart(
    server: ApiServer,
) -> None:
    server.kill()
    server.flags = ("--poke-delay-ms", "600000")
    server.start()
    async with server.client() as api, box_on(server) as box:
        axon = await create(api)
        await box.bind(axon)
        await box.attach()
        assert (await box.sleep(1))["granted"] is True
        await publish(api, axon)
    server.kill()
    assert not server.said("poke")
    server.flags = ()
    server.start()
    assert (await server.log("poke"))["axon_id"] == axon


async def test_a_mount_moves_on_while_its_stream_is_open(api: httpx.AsyncClient, box: Box) -> None:
    """A broker's stream carries what arrives while it works, without its own output."""
    axon = await create(api)
    await box.bind(axon)
    await box.attach()
    wanted = "USER_EVENT,EXTERNAL_EVENT"
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read(box.broker, axon, 2, origin=wanted))
        await publish(api, axon)
        await box.append(**start(1))
        await box.append(**end())
        await publish(api, axon, origin="EXTERNAL_EVENT")
    assert [event["sequence"] for event in reading.result()] == [1, 4]

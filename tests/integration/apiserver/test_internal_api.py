"""What operator and brokers say to the journal (ARCHITECTURE.md, "Internal API")."""

import asyncio
from typing import Any

import httpx
from api_process import BROKER, STRANGER, ApiServer, bind, create, publish, read

MOUNT = "/internal/v1/devboxes/u1/mounts/0"


async def attach(broker: httpx.AsyncClient, generation: int = 1) -> httpx.Response:
    return await broker.post(f"{MOUNT}/attach", json={"generation": generation})


async def append(broker: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await broker.post(f"{MOUNT}/append", json={"epoch": 1, "batch": 1, **fields})


def system(event_type: str) -> dict[str, str]:
    return {"origin": "SYSTEM_EVENT", "event_type": event_type, "payload": "{}"}


def start(trigger: int, turn_id: str = "t1", batch: int = 1) -> dict[str, Any]:
    mark = {"kind": "started", "turn_id": turn_id, "trigger": trigger, "event_index": 0}
    events = [system("turn.started")]
    return {"batch": batch, "events": events, "cursor": trigger, "turn_marks": [mark]}


def end(turn_id: str = "t1", batch: int = 2) -> dict[str, Any]:
    mark = {"kind": "ended", "turn_id": turn_id, "event_index": 0}
    return {"batch": batch, "events": [system("turn.completed")], "turn_marks": [mark]}


async def sleep(operator: httpx.AsyncClient, generation: int, **fields: Any) -> Any:
    body = {"generation": generation, "idle_seconds": 0, **fields}
    answer = await operator.post("/internal/v1/devboxes/u1/sleep", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def box(operator: httpx.AsyncClient) -> Any:
    (view,) = (await operator.get("/internal/v1/devboxes")).json()["devboxes"]
    return view


async def test_an_axon_resource_gets_an_axon_and_keeps_it(
    api: httpx.AsyncClient, operator: httpx.AsyncClient
) -> None:
    body = {"namespace": "ns", "name": "fixer", "metadata": {"a": "1"}}
    first = (await operator.put("/internal/v1/axons/r1", json=body)).json()
    assert first["head"] == 0
    await publish(api, first["axon_id"])
    changed = {**body, "metadata": {"a": "2"}, "deletion_policy": "Delete"}
    again = (await operator.put("/internal/v1/axons/r1", json=changed)).json()
    assert (again["axon_id"], again["head"]) == (first["axon_id"], 1)
    view = (await api.get(f"/v1/axons/{first['axon_id']}")).json()
    assert (view["name"], view["metadata"]) == ("fixer", {"a": "2"})
    assert (await operator.get("/internal/v1/axons")).json()["axons"] == [again]
    for _ in "12":
        assert (await operator.delete("/internal/v1/axons/r1")).json() == {}
    assert (await operator.get("/internal/v1/axons")).json()["axons"] == []
    view = (await api.get(f"/v1/axons/{first['axon_id']}")).json()
    assert view["deleted_at_ms"] > 0


async def test_retain_keeps_the_axon_when_its_resource_goes(
    api: httpx.AsyncClient, operator: httpx.AsyncClient
) -> None:
    body = {"namespace": "ns", "name": "fixer"}
    axon = (await operator.put("/internal/v1/axons/r1", json=body)).json()["axon_id"]
    await operator.delete("/internal/v1/axons/r1")
    assert (await publish(api, axon)).json()["sequence"] == 1


async def test_a_turn_then_sleep_then_a_wake(
    server: ApiServer,
    api: httpx.AsyncClient,
    operator: httpx.AsyncClient,
    broker: httpx.AsyncClient,
) -> None:
    axon = await create(api)
    await publish(api, axon, "before the devbox")
    view = await bind(operator, axon)
    assert (view["generation"], view["asleep"], view["mount_views"][0]["unread"]) == (
        1,
        False,
        True,
    )
    assert (await sleep(operator, 1))["reason"] == "Starting"
    attached = (await attach(broker)).json()
    assert (attached["axon_id"], attached["epoch"], attached["cursor"]) == (axon, 1, 0)
    assert (await sleep(operator, 1))["reason"] == "UnreadEvent"
    appended = (await append(broker, **start(1), state={"session": "s1"})).json()
    assert appended == {"first_sequence": 2, "last_sequence": 2}
    assert (await sleep(operator, 1))["reason"] == "TurnOpen"
    assert (await append(broker, **end())).status_code == 200
    refused = await sleep(operator, 1, idle_seconds=60)
    assert (refused["granted"], refused["reason"]) == (False, "RecentActivity")
    granted = await sleep(operator, 1)
    assert (granted["granted"], granted["generation"], granted["reason"]) == (True, 2, "Idle")
    assert (await box(operator))["wanted"] is False

    assert (await publish(api, axon, "wake up")).json()["sequence"] == 5
    poke = await server.log("poke")
    assert (poke["devbox"], poke["generation"], poke["sequence"]) == ("u1", 2, 5)
    seen = await box(operator)
    assert seen["wanted_by"] == {"axon_id": axon, "sequence": 5}
    assert (await attach(broker, generation=1)).json()["code"] == "fenced"
    attached = (await attach(broker, generation=2)).json()
    assert (attached["epoch"], attached["cursor"], attached["state"]) == (2, 1, {"session": "s1"})
    seen = await box(operator)
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
    api: httpx.AsyncClient, operator: httpx.AsyncClient, broker: httpx.AsyncClient
) -> None:
    axon = await create(api)
    await bind(operator, axon)
    await publish(api, axon)
    await attach(broker)
    await append(broker, **start(1))
    second = (await attach(broker)).json()
    assert second["closed_turn"] == {"turn_id": "t1", "trigger": 1, "started_sequence": 2}
    fenced = await append(broker, **end())
    assert (fenced.status_code, fenced.json()["code"]) == (409, "fenced")
    assert fenced.headers["x-should-retry"] == "false"
    again = await append(broker, **{**start(1, "t2"), "epoch": 2})
    assert (again.status_code, again.json()["code"]) == (422, "rule_broken")
    failed = (await read(api, axon, 3))[2]
    assert failed["event_type"] == "turn.failed"
    assert '"reason": "interrupted"' in failed["payload"]


async def test_a_repeated_batch_gets_the_first_answer(
    api: httpx.AsyncClient, operator: httpx.AsyncClient, broker: httpx.AsyncClient
) -> None:
    axon = await create(api)
    await bind(operator, axon)
    await publish(api, axon)
    await attach(broker)
    answers = [(await append(broker, **start(1))).json() for _ in range(3)]
    assert answers == [{"first_sequence": 2, "last_sequence": 2}] * 3
    assert (await api.get(f"/v1/axons/{axon}/events")).json()["total_count"] == 2


async def test_force_closes_the_open_turn_first(
    api: httpx.AsyncClient, operator: httpx.AsyncClient, broker: httpx.AsyncClient
) -> None:
    axon = await create(api)
    await bind(operator, axon)
    await publish(api, axon)
    await attach(broker)
    await append(broker, **start(1))
    await bind(operator, axon, held=True)
    granted = await sleep(operator, 1, force=True, cause="owner")
    assert (granted["granted"], granted["reason"]) == (True, "Forced")
    events = (await read(api, axon, 4))[2:]
    assert [event["event_type"] for event in events] == ["turn.failed", "devbox.suspended"]
    assert '"reason": "suspended"' in events[0]["payload"]
    assert '"devbox_id": "u1", "reason": "owner"' in events[1]["payload"]
    await publish(api, axon)
    assert (await box(operator))["wanted"] is False
    released = await bind(operator, axon)
    assert released["wanted"] is True


async def test_a_devbox_that_is_gone_leaves_its_cursor_to_the_next(
    api: httpx.AsyncClient, operator: httpx.AsyncClient, broker: httpx.AsyncClient
) -> None:
    axon = await create(api)
    await bind(operator, axon)
    for _ in range(3):
        await publish(api, axon)
    await attach(broker)
    await append(broker, **start(2))
    for _ in "12":
        assert (await operator.delete("/internal/v1/devboxes/u1")).json() == {}
    assert (await append(broker, **end())).json()["code"] == "devbox_not_found"
    assert (await read(api, axon, 5))[4]["event_type"] == "turn.failed"
    view = await bind(operator, axon, uid="u2")
    assert view["mount_views"][0]["cursor"] == 2


async def test_a_broker_speaks_for_its_own_devbox_and_reads_its_own_axons(
    server: ApiServer,
    api: httpx.AsyncClient,
    operator: httpx.AsyncClient,
    broker: httpx.AsyncClient,
) -> None:
    mine, other = await create(api), await create(api)
    await bind(operator, mine)
    await publish(api, mine)
    assert len(await read(broker, mine, 1, origin="USER_EVENT,EXTERNAL_EVENT")) == 1
    assert (await broker.get(f"/v1/axons/{other}/subscribe/sse")).status_code == 403
    async with server.client(STRANGER) as stranger:
        assert (await attach(stranger)).status_code == 403
        assert (await stranger.get(f"/v1/axons/{mine}/subscribe/sse")).status_code == 403
        assert (await stranger.get("/internal/v1/devboxes")).status_code == 403
    assert (await operator.post(f"{MOUNT}/attach", json={"generation": 1})).status_code == 403
    missing = "/internal/v1/devboxes/u1/mounts/7/attach"
    answer = await broker.post(missing, json={"generation": 1})
    assert (answer.status_code, answer.json()["code"]) == (404, "mount_not_found")
    wrong = await broker.post("/internal/v1/devboxes/u1/mounts/x/attach", json={"generation": 1})
    assert wrong.status_code == 422


async def test_a_broker_publishes_no_users_events(
    api: httpx.AsyncClient, operator: httpx.AsyncClient, broker: httpx.AsyncClient
) -> None:
    await bind(operator, await create(api))
    await attach(broker)
    event = {"origin": "USER_EVENT", "event_type": "user.message", "payload": "{}"}
    assert (await append(broker, events=[event])).status_code == 422


async def test_an_axon_deleted_under_a_devbox_lets_it_sleep(
    api: httpx.AsyncClient, operator: httpx.AsyncClient, broker: httpx.AsyncClient
) -> None:
    axon = await create(api)
    await bind(operator, axon)
    await publish(api, axon)
    await attach(broker)
    await api.delete(f"/v1/axons/{axon}")
    assert (await append(broker)).json()["code"] == "axon_deleted"
    assert (await attach(broker)).json()["code"] == "axon_deleted"
    await bind(operator, axon)
    assert (await sleep(operator, 1))["granted"] is True
    assert (await box(operator))["wanted"] is False


async def test_a_server_killed_between_commit_and_poke_pokes_after_its_restart(
    server: ApiServer, api: httpx.AsyncClient, operator: httpx.AsyncClient
) -> None:
    await server.kill()
    server.flags = ("--poke-delay-ms", "600000")
    await server.start()
    async with server.client() as slow, server.client(BROKER) as attaching:
        axon = await create(slow)
        await bind(operator, axon)
        await attach(attaching)
        assert (await sleep(operator, 1))["granted"] is True
        await publish(slow, axon)
    await server.kill()
    assert all(line["message"] != "poke" for line in server.logs)
    server.flags = ()
    await server.start()
    assert (await server.log("poke"))["axon_id"] == axon


async def test_a_mount_moves_on_while_its_stream_is_open(
    server: ApiServer,
    api: httpx.AsyncClient,
    operator: httpx.AsyncClient,
    broker: httpx.AsyncClient,
) -> None:
    """A broker's stream carries what arrives while it works, without its own output."""
    axon = await create(api)
    await bind(operator, axon)
    await attach(broker)
    wanted = "USER_EVENT,EXTERNAL_EVENT"
    async with server.client(BROKER) as streaming, asyncio.TaskGroup() as group:
        reading = group.create_task(read(streaming, axon, 2, origin=wanted))
        await publish(api, axon)
        await append(broker, **start(1))
        await append(broker, **end())
        await publish(api, axon, origin="EXTERNAL_EVENT")
    assert [event["sequence"] for event in reading.result()] == [1, 4]

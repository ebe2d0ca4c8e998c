"""What the operator does in each state a devbox can be in, told as the conversation went.

The requirements are DESIGN.md's sleep and wake (W1–W9) and ARCHITECTURE.md, "Wake and sleep".
"""

import pytest
from ranvier.resources import AgentProtocol, ConditionType
from ranvier_operator import resolution
from ranvier_operator.errors import ClusterUnavailable, Refused
from ranvier_operator.kinds import AXONS, BLUEPRINTS, CLAIMS, DEVBOXES, PODS
from ranvier_operator.testing import Fenced, World
from ranvier_operator.testing.world import HERE, NAME, SPEC

READY, SUSPENDED, ACCEPTED = ConditionType.READY, ConditionType.SUSPENDED, ConditionType.ACCEPTED


@pytest.fixture
def world() -> World:
    return World()


# --- starting


async def test_a_new_devbox_gets_a_claim_and_a_pod_of_the_first_generation(world: World) -> None:
    await world.begin()
    assert world.claim is not None
    assert world.pod_generation == 1
    assert world.says(READY) == ("False", "Starting")
    assert world.says(SUSPENDED) == ("False", "Awake")
    assert world.says(ACCEPTED) == ("True", "Resolved")
    status = world.devbox.status
    assert (status.sleep_generation, status.pod_name) == (1, "box")
    assert status.home_volume_claim_name == "box-home"
    assert status.image == "agents:1"


async def test_a_devbox_made_suspended_has_no_claim_before_its_first_start(world: World) -> None:
    """A claim that nobody mounts would wait for its first pod, and have events written about it."""
    await world.begin(operatingMode="Suspended")
    assert (world.pod, world.claim) == (None, None)
    assert world.says(SUSPENDED) == ("True", "OwnerRequested")
    assert world.devbox.status.home_volume_claim_name is None
    world.own(operatingMode="Suspended", home={"size": "2Gi", "deletionPolicy": "Retain"})
    await world.look()
    assert world.claim is None
    world.cluster.writes.clear()
    world.own(home={"size": "2Gi", "deletionPolicy": "Retain"})
    await world.look()
    made = [kind for verb, kind in world.cluster.writes if verb == "create" and kind != "Event"]
    assert made == ["PersistentVolumeClaim", "Pod"]
    assert world.claim is not None
    assert world.claim["spec"]["resources"]["requests"]["storage"] == "2Gi"
    assert not world.claim["metadata"].get("ownerReferences")
    assert world.devbox.status.home_volume_claim_name == "box-home"


async def test_a_devbox_that_never_started_is_woken_by_an_event_only_when_it_may_be(
    world: World,
) -> None:
    await world.begin(operatingMode="Suspended")
    world.publish()
    await world.look()
    assert (world.pod, world.claim) == (None, None)
    world.own()
    await world.look()
    assert world.claim is not None
    assert world.pod is not None


async def test_a_devbox_that_never_started_is_shut_down_without_a_trace(world: World) -> None:
    await world.begin(operatingMode="Suspended")
    request = {"operation": "Shutdown", "generation": 1, "time": "2026-11-21T10:00:00Z"}
    world.cluster.report(DEVBOXES, HERE, NAME, {"status": {"request": request}})
    await world.look()
    assert world.says(READY) == ("False", "ShutDown")
    assert (world.pod, world.claim) == (None, None)


async def test_a_claim_that_a_quota_refuses_at_the_first_start_is_tried_again_and_says_so(
    world: World,
) -> None:
    await world.begin(operatingMode="Suspended")
    world.own()
    world.cluster.fail_next = Refused("exceeded quota: persistentvolumeclaims=0", status=403)
    # What is refused is the claim, before any pod: nothing is left half made.
    again = await world.look()
    assert (world.pod, world.claim) == (None, None)
    assert world.says(READY) == ("False", "QuotaExceeded")
    condition = world.condition(READY)
    assert condition is not None
    assert "persistentvolumeclaims" in condition.message
    assert again == pytest.approx(5)
    world.clock.advance(5)
    await world.look()
    assert world.claim is not None
    assert world.pod is not None


async def test_it_is_ready_when_its_pod_is(world: World) -> None:
    await world.run()
    assert world.says(READY) == ("True", "AgentReady")


async def test_looking_twice_changes_nothing(world: World) -> None:
    """An idle devbox costs no write, however often it is looked at (W9)."""
    await world.run()
    world.cluster.writes.clear()
    for _ in range(3):
        await world.look()
        await world.sweep()
    assert world.cluster.writes == []


async def test_without_its_axon_no_pod_is_made(world: World) -> None:
    world.own()
    await world.settle()
    assert world.pod is None
    assert world.says(ACCEPTED) == ("False", "AxonNotFound")
    assert world.says(READY) == ("False", "WaitingForAxon")
    world.cluster.apply(AXONS, HERE, NAME, {})
    await world.settle()
    assert world.pod_generation == 1


async def test_an_axon_id_that_the_journal_does_not_hold_is_reported(world: World) -> None:
    mount = {"brokerMount": {"axonId": "axn_9", "protocol": "acp", "agentBinary": "opencode"}}
    await world.begin(mounts=[mount])
    assert world.pod is None
    assert world.says(ACCEPTED) == ("False", "AxonNotFound")


async def test_without_its_blueprint_no_pod_is_made(world: World) -> None:
    await world.begin(image=None, blueprintName=NAME)
    assert world.pod is None
    assert world.says(ACCEPTED) == ("False", "BlueprintNotFound")
    world.blueprint({"image": "agents:2"})
    await world.settle()
    assert world.pod is not None
    assert world.pod["spec"]["containers"][0]["image"] == "agents:2"


async def test_a_blueprint_that_goes_away_does_not_end_what_runs(world: World) -> None:
    world.blueprint({"image": "agents:2"})
    await world.run(image=None, blueprintName=NAME)
    world.cluster.erase(BLUEPRINTS, HERE, NAME)
    await world.settle()
    assert world.says(ACCEPTED) == ("False", "BlueprintNotFound")
    assert world.says(READY) == ("True", "AgentReady")
    assert world.pod is not None


async def test_a_protocol_that_is_not_spoken_is_reported(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolution, "SPOKEN", (AgentProtocol.ACP,))
    mount = {"brokerMount": {"axonRef": {"name": NAME}, "protocol": "pi_json"}}
    await world.begin(mounts=[mount])
    assert world.pod is None
    assert world.says(READY) == ("False", "ProtocolUnsupported")


async def test_arguments_that_no_container_could_start_with_are_reported(world: World) -> None:
    mount = {**SPEC["mounts"][0]["brokerMount"], "launchArgs": ["x" * 8000] * 13}
    await world.begin(mounts=[{"brokerMount": mount}])
    assert world.pod is None
    assert world.says(ACCEPTED) == ("False", "SpecInvalid")


async def test_a_spec_that_can_not_be_read_is_reported_and_nothing_else_happens(
    world: World,
) -> None:
    await world.begin(image={"not": "a string"})
    assert world.pod is None
    body = world.raw(DEVBOXES)
    assert body is not None
    reasons = {item["type"]: item["reason"] for item in body["status"]["conditions"]}
    assert reasons == {"Ready": "SpecInvalid", "Suspended": "Awake", "Accepted": "SpecInvalid"}
    world.cluster.writes.clear()
    await world.settle()
    assert ("patch", "Devbox") not in world.cluster.writes


async def test_a_devbox_without_mounts_runs_too(world: World) -> None:
    await world.begin(mounts=[])
    assert world.pod is not None
    assert world.pod["spec"]["initContainers"][0]["env"][6]["value"] == "[]"


# --- idle


async def test_it_falls_asleep_when_its_idle_time_is_over_and_not_before(world: World) -> None:
    await world.run()
    again = await world.look()
    assert again == pytest.approx(60, abs=0.1)
    world.clock.advance(59)
    await world.look()
    assert world.journal.asked == 0
    world.clock.advance(1)
    await world.look()
    assert world.pod is not None
    assert world.pod["metadata"]["deletionTimestamp"]
    assert world.says(READY) == ("False", "Suspending")
    assert world.says(SUSPENDED) == ("False", "Suspending")
    world.end_pod()
    await world.look()
    assert world.pod is None
    assert world.says(READY) == ("False", "Suspended")
    assert world.says(SUSPENDED) == ("True", "Idle")
    status = world.devbox.status
    assert (status.sleep_generation, status.pod_name) == (2, None)
    assert status.last_activity_time is not None
    assert world.claim is not None


async def test_a_refused_sleep_is_asked_for_again_when_the_answer_says(world: World) -> None:
    """While a turn runs the earliest moment is now + idle: no polling, never late."""
    await world.run()
    world.journal.boxes[world.uid].turn_open = True
    world.clock.advance(60)
    world.cluster.writes.clear()
    again = await world.look()
    assert again == pytest.approx(60, abs=0.1)
    world.clock.advance(30)
    await world.look()
    assert world.journal.asked == 1
    assert world.pod is not None
    assert world.cluster.writes == []


async def test_it_does_not_sleep_while_an_event_is_unread(world: World) -> None:
    """W3: the journal refuses, the pod stays."""
    await world.run()
    world.clock.advance(60)
    world.publish()
    await world.look()
    assert world.pod is not None
    assert "deletionTimestamp" not in world.pod["metadata"]


async def test_a_restarted_operator_asks_at_the_time_the_activity_says(world: World) -> None:
    await world.run()
    world.clock.advance(50)
    world.restart()
    again = await world.settle()
    assert again == pytest.approx(10, abs=0.1)


async def test_a_shorter_idle_time_counts_at_once(world: World) -> None:
    await world.run(lifecycle={"afterIdle": {"idleTimeSeconds": 600}})
    world.clock.advance(100)
    world.journal.boxes[world.uid].last_activity = world.clock.wall() - 20
    world.own(lifecycle={"afterIdle": {"idleTimeSeconds": 10}})
    await world.look()
    assert world.says(READY) == ("False", "Suspending")


async def test_without_an_idle_policy_it_never_asks(world: World) -> None:
    await world.run(lifecycle={})
    world.clock.advance(10_000)
    assert await world.look() is None
    assert world.journal.asked == 0


async def test_a_sleep_granted_right_before_a_crash_is_carried_out_after_it(world: World) -> None:
    await world.run()
    world.journal.boxes[world.uid].asleep = True
    world.journal.boxes[world.uid].generation = 2
    world.restart()
    await world.settle()
    world.end_pod()
    await world.look()
    assert world.pod is None
    assert world.says(SUSPENDED) == ("True", "Requested")


# --- waking


async def test_a_poke_makes_the_pod_with_the_first_call(world: World) -> None:
    await world.run()
    await world.sleep()
    world.publish()
    world.cluster.writes.clear()
    await world.look()
    assert world.cluster.writes[0] == ("create", "Pod")
    assert world.pod_generation == 2
    assert world.says(READY) == ("False", "Starting")
    assert world.says(SUSPENDED) == ("False", "WakeRequested")
    condition = world.condition(SUSPENDED)
    assert condition is not None
    assert condition.message.startswith("Event 1 of axn_")


async def test_a_wakes_pod_waits_for_nothing_that_others_have_left_to_do(world: World) -> None:
    await world.run()
    await world.sleep()
    world.publish()
    world.cluster.writes.clear()
    assert await world.glance() == 0
    assert world.cluster.writes == [("create", "Pod")]
    await world.look()
    assert ("create", "Event") in world.cluster.writes


async def test_a_wake_costs_three_writes_and_an_event(world: World) -> None:
    """Pod, status when it starts, status when it is ready."""
    await world.run()
    await world.sleep()
    world.publish()
    world.cluster.writes.clear()
    await world.look()
    world.start_pod()
    world.broker_attaches()
    await world.look()
    assert sorted(world.cluster.writes) == [
        ("create", "Event"),
        ("create", "Pod"),
        ("patch", "Devbox"),
        ("patch", "Devbox"),
    ]


async def test_a_lost_poke_is_found_in_the_journal(world: World) -> None:
    """W2: the resync asks the journal who is out of step."""
    await world.run()
    await world.sleep()
    world.publish(poke=False)
    assert [key.name for key in world.devboxes.out_of_step(await world.journal.devboxes())] == [
        NAME
    ]
    await world.look()
    assert world.pod_generation == 2
    world.start_pod()
    world.broker_attaches()
    await world.look()
    assert world.devboxes.out_of_step(await world.journal.devboxes()) == []


async def test_a_poke_is_enough_while_the_journal_is_away(world: World) -> None:
    await world.run()
    await world.sleep()
    world.publish()
    world.journal.reachable = False
    again = await world.look()
    assert world.pod_generation == 2
    assert again == pytest.approx(2)


async def test_a_poke_of_an_older_generation_is_history(world: World) -> None:
    await world.run()
    await world.sleep()
    world.publish()
    await world.look()
    world.start_pod()
    world.broker_attaches()
    await world.look()
    await world.sleep()
    assert world.devbox.status.wake is not None
    world.journal.reachable = False
    await world.look()
    assert world.pod is None
    assert world.says(SUSPENDED) == ("True", "Idle")


async def test_an_event_while_the_pod_ends_wakes_when_it_is_gone(world: World) -> None:
    """W3 and W4: the epoch is closed, the event finds it asleep, and one pod follows the other."""
    await world.run()
    world.clock.advance(61)
    await world.look()
    world.publish()
    await world.look()
    assert world.pod_generation == 1
    assert world.says(READY) == ("False", "Starting")
    with pytest.raises(Fenced):
        world.broker_attaches()
    world.end_pod()
    await world.look()
    assert world.pod_generation == 2


async def test_without_the_trigger_no_event_wakes_it(world: World) -> None:
    lifecycle = {**SPEC["lifecycle"], "resumeTriggers": {"axonEvent": False}}
    await world.run(lifecycle=lifecycle)
    await world.sleep()
    world.publish()
    await world.look()
    assert world.pod is None


async def test_a_pod_of_an_older_generation_goes_before_another_comes(world: World) -> None:
    await world.run()
    box = world.journal.boxes[world.uid]
    box.generation, box.asleep = 5, True
    world.publish()
    await world.look()
    assert world.pod is not None
    assert world.pod_generation == 1
    assert world.pod["metadata"]["deletionTimestamp"]
    world.end_pod()
    await world.look()
    assert world.pod_generation == 5


async def test_a_pod_newer_than_a_restored_journal_is_left_alone(world: World) -> None:
    """The journal came back from a backup; the pod's broker will tell it."""
    await world.run()
    await world.sleep()
    world.publish()
    await world.look()
    world.start_pod()
    world.broker_attaches()
    box = world.journal.boxes[world.uid]
    box.generation, box.asleep = 1, True
    await world.look()
    assert world.pod is not None
    assert "deletionTimestamp" not in world.pod["metadata"]


# --- the owner's switch


async def test_the_owners_hold_ends_the_pod_whatever_runs(world: World) -> None:
    await world.run()
    world.journal.boxes[world.uid].turn_open = True
    world.own(operatingMode="Suspended")
    await world.look()
    world.end_pod()
    await world.look()
    assert world.pod is None
    assert world.says(SUSPENDED) == ("True", "OwnerRequested")


async def test_no_event_breaks_the_owners_hold(world: World) -> None:
    """W5."""
    await world.run()
    world.own(operatingMode="Suspended")
    await world.look()
    world.end_pod()
    world.publish()
    world.cluster.report(
        DEVBOXES,
        HERE,
        NAME,
        {
            "status": {
                "wake": {
                    "generation": 2,
                    "axonId": "axn_uid-1",
                    "sequence": 1,
                    "time": "2027-01-01T00:00:00Z",
                }
            }
        },
    )
    await world.look()
    world.journal.reachable = False
    await world.look()
    assert world.pod is None


async def test_letting_go_of_the_hold_starts_it_again(world: World) -> None:
    await world.run()
    world.own(operatingMode="Suspended")
    await world.look()
    world.end_pod()
    await world.look()
    world.own(operatingMode="Running")
    await world.look()
    assert world.pod_generation == 2
    assert world.says(SUSPENDED) == ("False", "Awake")


async def test_a_devbox_made_suspended_gets_no_pod(world: World) -> None:
    await world.begin(operatingMode="Suspended")
    assert world.pod is None
    assert world.says(SUSPENDED) == ("True", "OwnerRequested")
    assert ("create", "Pod") not in world.cluster.writes


async def test_a_hold_counts_though_its_axon_is_gone(world: World) -> None:
    await world.run()
    world.cluster.erase(AXONS, HERE, NAME)
    world.own(operatingMode="Suspended")
    await world.look()
    world.end_pod()
    await world.look()
    assert world.pod is None
    assert world.journal.boxes[world.uid].asleep


async def test_the_spec_is_never_written(world: World) -> None:
    """W5: what was decided stands in status."""
    await world.run()
    before = world.raw(DEVBOXES)
    await world.sleep()
    world.publish()
    await world.look()
    after = world.raw(DEVBOXES)
    assert before is not None
    assert after is not None
    assert before["spec"] == after["spec"]
    assert before["metadata"]["generation"] == after["metadata"]["generation"]
    assert "annotations" not in after["metadata"]
    assert "finalizers" not in after["metadata"]


# --- what goes wrong


async def test_a_pod_that_somebody_deletes_comes_back(world: World) -> None:
    await world.run()
    world.delete_pod()
    await world.look()
    assert world.pod_generation == 1


async def test_a_failed_pod_is_replaced_at_once_and_then_more_and_more_slowly(
    world: World,
) -> None:
    await world.run(lifecycle={})
    for pause in (0, 5, 10):
        world.fail_pod()
        await world.look()
        assert world.says(READY) == ("False", "Evicted")
        world.end_pod()
        again = await world.look()
        if pause:
            assert world.pod is None
            assert again == pytest.approx(pause)
            assert world.says(READY) == ("False", "Evicted")
            assert world.devbox.status.next_check_time is not None
            world.clock.advance(pause)
            await world.look()
        assert world.pod is not None
        world.start_pod()
    world.clock.advance(61)
    await world.look()
    world.fail_pod()
    await world.look()
    world.end_pod()
    await world.look()
    assert world.pod is not None, "failures before a good start are history"


async def test_a_pod_that_a_quota_refuses_is_tried_again_and_says_so(world: World) -> None:
    """W6: every wake ends, or a condition says why not and when it is tried again."""
    await world.run()
    await world.sleep()
    world.publish()
    world.cluster.fail_next = Refused("exceeded quota: pods=1", status=403)
    again = await world.look()
    assert world.pod is None
    assert world.says(READY) == ("False", "QuotaExceeded")
    condition = world.condition(READY)
    assert condition is not None
    assert "exceeded quota" in condition.message
    assert again == pytest.approx(5)
    world.clock.advance(5)
    await world.look()
    assert world.pod_generation == 2
    assert world.devbox.status.next_check_time is None


async def test_a_pod_that_belongs_to_something_else_is_left_alone(world: World) -> None:
    world.cluster.apply(PODS, HERE, NAME, {"containers": [{"name": "x", "image": "y"}]})
    foreign = world.pod
    await world.begin()
    assert world.says(READY) == ("False", "PodNotOwned")
    assert world.pod == foreign


async def test_a_claim_that_belongs_to_something_else_is_left_alone(world: World) -> None:
    world.cluster.apply(CLAIMS, HERE, "box-home", {})
    foreign = world.claim
    await world.begin()
    assert world.says(READY) == ("False", "PodNotOwned")
    assert world.pod is None
    assert world.claim == foreign


async def test_a_stuck_pod_loses_its_name_after_a_while(world: World) -> None:
    """Its node is lost: nobody confirms its end."""
    await world.run()
    world.lose_node()
    await world.look()
    world.clock.advance(39)
    await world.look()
    assert world.pod is not None
    assert "deletionTimestamp" in world.pod["metadata"]
    world.clock.advance(1)
    await world.look()
    assert world.pod is not None
    assert "deletionTimestamp" not in world.pod["metadata"]


async def test_a_journal_that_is_away_changes_nothing_that_runs(world: World) -> None:
    await world.run()
    world.journal.reachable = False
    world.cluster.writes.clear()
    for _ in range(3):
        world.clock.advance(100)
        assert await world.look() == pytest.approx(2)
    assert world.cluster.writes == []
    assert world.says(READY) == ("True", "AgentReady")


async def test_a_journal_that_stays_away_is_reported_where_something_waits_for_it(
    world: World,
) -> None:
    world.cluster.apply(AXONS, HERE, NAME, {})
    world.own()
    await world.sweep()
    await world.settle()
    world.delete_pod()
    world.journal.reachable = False
    await world.look()
    assert world.says(READY) == ("False", "Starting")
    world.clock.advance(11)
    await world.look()
    assert world.says(READY) == ("False", "JournalUnreachable")
    world.journal.reachable = True
    await world.look()
    assert world.pod is not None


async def test_a_failing_api_server_is_the_work_queues_affair(world: World) -> None:
    await world.run()
    await world.sleep()
    world.publish()
    world.cluster.fail_next = ClusterUnavailable("down")
    with pytest.raises(ClusterUnavailable):
        await world.look()
    await world.look()
    assert world.pod_generation == 2


async def test_an_end_that_no_watch_told_of_is_found(world: World) -> None:
    await world.run()
    world.clock.advance(61)
    await world.look()
    world.hears = False
    world.end_pod()
    world.hears = True
    world.publish()
    again = await world.look()
    assert again == pytest.approx(11)
    world.clock.advance(11)
    await world.look()
    assert world.pod_generation == 2


async def test_a_pod_that_no_watch_told_of_is_not_made_twice(world: World) -> None:
    await world.run()
    world.cache.missing(PODS, HERE, NAME)
    await world.look()
    assert world.says(READY) == ("True", "AgentReady")


# --- the end


async def test_shutdown_on_idle_ends_it_for_good(world: World) -> None:
    lifecycle = {**SPEC["lifecycle"], "afterIdle": {"idleTimeSeconds": 60, "onIdle": "Shutdown"}}
    await world.run(lifecycle=lifecycle)
    uid = world.uid
    await world.sleep()
    assert world.says(READY) == ("False", "ShutDown")
    assert world.says(SUSPENDED) == ("True", "ShutDown")
    assert world.devbox.status.shutdown_time is not None
    assert world.devbox.status.shutdown_reason == "Idle"
    assert world.pod is None
    assert world.claim is None
    assert uid not in world.journal.boxes
    world.cluster.writes.clear()
    world.restart()
    await world.settle()
    assert world.cluster.writes == []
    assert uid not in world.journal.boxes


async def test_a_request_to_shut_down_ends_it_from_every_state() -> None:
    """Running, asleep, held: the REST API's shutdown is never refused."""
    for state in ("running", "asleep", "held"):
        world = World()
        await world.run()
        if state == "asleep":
            await world.sleep()
        if state == "held":
            world.own(operatingMode="Suspended")
            await world.look()
        request = {"operation": "Shutdown", "generation": 1, "time": "2026-11-21T10:00:00Z"}
        world.cluster.report(DEVBOXES, HERE, NAME, {"status": {"request": request}})
        await world.look()
        world.end_pod()
        await world.look()
        assert world.says(SUSPENDED) == ("True", "ShutDown"), state
        assert world.devbox.status.shutdown_reason == "Requested"
        assert (world.pod, world.claim) == (None, None)
        assert world.uid not in world.journal.boxes


async def test_a_kept_alive_devbox_ends_when_its_time_is_over(world: World) -> None:
    lifecycle = {"keepAliveSeconds": 100}
    await world.run(lifecycle=lifecycle)
    world.clock.advance(90)
    world.cluster.report(
        DEVBOXES, HERE, NAME, {"status": {"keepAliveTime": world.cluster.time_text()}}
    )
    assert (again := await world.look()) is not None
    assert 99 <= again <= 101
    world.clock.advance(99)
    await world.look()
    assert world.devbox.status.shutdown_time is None
    world.clock.advance(2)
    await world.look()
    assert world.devbox.status.shutdown_reason == "KeepAliveExpired"


@pytest.mark.parametrize("asleep", [True, False])
async def test_a_time_to_live_ends_it_whatever_it_does(world: World, asleep: bool) -> None:
    lifecycle = SPEC["lifecycle"] if asleep else {}
    await world.run(lifecycle={**lifecycle, "ttlSeconds": 300})
    if asleep:
        await world.sleep()
    made = world.devbox.metadata.creation_timestamp
    assert made is not None
    world.clock.advance(made.timestamp() + 290 - world.clock.wall())
    again = await world.look()
    assert again is not None
    assert again <= 10
    assert world.devbox.status.shutdown_time is None
    world.clock.advance(11)
    await world.look()
    assert world.devbox.status.shutdown_reason == "TtlExpired"
    world.end_pod()
    await world.look()
    assert world.pod is None
    assert world.says(SUSPENDED) == ("True", "ShutDown")


async def test_the_time_to_keep_alive_does_not_run_while_it_sleeps(world: World) -> None:
    await world.run(lifecycle={"keepAliveSeconds": 100})
    world.own(lifecycle={"keepAliveSeconds": 100}, operatingMode="Suspended")
    await world.look()
    world.end_pod()
    await world.look()
    world.clock.advance(1000)
    await world.look()
    assert world.devbox.status.shutdown_time is None


@pytest.mark.parametrize(
    ("end", "shuts_down"),
    [
        ({"reason": "Completed", "exitCode": 0}, True),
        ({"reason": "Error", "exitCode": 3}, True),
        ({"reason": "OOMKilled", "exitCode": 137}, False),
    ],
)
async def test_a_devbox_ends_with_its_entrypoint(
    world: World, end: dict[str, object], shuts_down: bool
) -> None:
    """Out of memory is no end of the entrypoint's own: a new pod follows."""
    await world.run(entrypoint="python serve.py")
    container = {"name": "devbox", "state": {"terminated": end}}
    status = {"phase": "Failed", "conditions": [], "containerStatuses": [container]}
    world.cluster.report(PODS, HERE, NAME, {"status": status})
    await world.look()
    ended = world.devbox.status.shutdown_reason
    assert ended == ("EntrypointExited" if shuts_down else None)


async def test_shutdown_keeps_a_volume_that_its_owner_wants_to_keep(world: World) -> None:
    lifecycle = {"afterIdle": {"idleTimeSeconds": 60, "onIdle": "Shutdown"}}
    await world.run(lifecycle=lifecycle, home={"deletionPolicy": "Retain"})
    await world.sleep()
    assert world.pod is None
    assert world.claim is not None
    assert not world.claim["metadata"].get("ownerReferences")


async def test_a_devbox_that_only_changed_to_shutdown_while_asleep_is_not_shut_down(
    world: World,
) -> None:
    await world.run()
    await world.sleep()
    world.own(lifecycle={"afterIdle": {"idleTimeSeconds": 60, "onIdle": "Shutdown"}})
    await world.look()
    assert world.says(SUSPENDED) == ("True", "Idle")
    assert world.claim is not None


async def test_a_deleted_devbox_is_forgotten_by_the_journal(world: World) -> None:
    await world.run()
    uid = world.uid
    world.cluster.erase(DEVBOXES, HERE, NAME)
    await world.look()
    assert uid not in world.journal.boxes


async def test_a_devbox_deleted_while_the_operator_was_away_is_swept(world: World) -> None:
    """No finalizers: owner references take the pod, the sweep takes the binding."""
    await world.run()
    uid = world.uid
    world.cluster.erase(DEVBOXES, HERE, NAME)
    world.cluster.erase(AXONS, HERE, NAME)
    world.restart()
    assert world.pod is None
    await world.sweep()
    assert uid not in world.journal.boxes
    assert world.journal.bound_axons == {}


async def test_a_devbox_made_anew_under_the_same_name_starts_afresh(world: World) -> None:
    await world.run()
    first = world.uid
    world.cluster.erase(DEVBOXES, HERE, NAME)
    world.own()
    await world.look()
    assert world.uid != first
    assert first not in world.journal.boxes
    assert world.pod_generation == 1


async def test_a_retained_volume_is_found_again_by_a_devbox_of_the_same_name(
    world: World,
) -> None:
    await world.run(home={"deletionPolicy": "Retain"})
    kept = world.claim
    world.cluster.erase(DEVBOXES, HERE, NAME)
    assert kept is not None
    world.own()
    await world.look()
    claim = world.claim
    assert claim is not None
    assert claim["metadata"]["uid"] == kept["metadata"]["uid"]
    assert claim["metadata"]["ownerReferences"][0]["uid"] == world.uid
    assert world.pod is not None


async def test_a_volume_grows_when_its_spec_does(world: World) -> None:
    await world.run()
    world.own(home={"size": "2Gi"})
    await world.look()
    assert world.claim is not None
    assert world.claim["spec"]["resources"]["requests"]["storage"] == "2Gi"
    world.cluster.writes.clear()
    await world.look()
    assert ("patch", "PersistentVolumeClaim") not in world.cluster.writes


async def test_a_volume_that_can_not_grow_is_asked_once(world: World) -> None:
    await world.run()
    world.own(home={"size": "2Gi"})
    world.cluster.fail_next = Refused("the storage class can not grow", status=403)
    await world.look()
    await world.look()
    assert world.says(READY) == ("True", "AgentReady")

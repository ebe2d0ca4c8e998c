"""The rim: settings, probes, notices, and what Kopf is allowed to do."""

import asyncio
import inspect
import re

import kopf
import pytest
from ranvier.resources import ObjectMeta
from ranvier_operator.__main__ import main
from ranvier_operator.errors import ClusterUnavailable
from ranvier_operator.handlers import kopf_settings, register
from ranvier_operator.kinds import EVENTS, WATCHED
from ranvier_operator.notices import WINDOW_SECONDS, Notices
from ranvier_operator.plans import Notice
from ranvier_operator.probes import probes
from ranvier_operator.settings import Settings
from ranvier_operator.testing import FakeCluster, ManualClock

ABOUT = ObjectMeta(name="box", namespace="here", uid="u")


def test_settings_come_from_the_environment() -> None:
    settings = Settings.from_env(
        {
            "RANVIER_API_URL": "http://api/",
            "RANVIER_WATCH_NAMESPACES": "a, b,",
            "RANVIER_WORKERS": "7",
            "RANVIER_NAMESPACE": "system",
        }
    )
    assert settings.api_url == settings.broker_api_url == "http://api"
    assert settings.namespaces == ("a", "b")
    assert (settings.workers, settings.own_namespace) == (7, "system")
    assert settings.identity != Settings.from_env({}).identity


def test_help_explains_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    explained = set(re.findall(r"^  (RANVIER_\w+) +\S", capsys.readouterr().out, re.MULTILINE))
    read = set(re.findall(r"\"(RANVIER_\w+)\"", inspect.getsource(Settings.from_env)))
    assert explained == read


async def get(port: int, path: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return answer.splitlines()[0]


async def test_probes_answer_by_path() -> None:
    ready = False
    async with probes(0, {"/healthz": lambda: True, "/readyz": lambda: ready}) as port:
        assert "200" in await get(port, "/healthz")
        assert "503" in await get(port, "/readyz?verbose")
        ready = True
        assert "200" in await get(port, "/readyz")
        assert "404" in await get(port, "/")


async def test_metrics_stand_beside_the_probes() -> None:
    async with probes(0, {"/healthz": lambda: True}, lambda: b"a 1\n") as port:
        assert "200" in await get(port, "/metrics")
        assert "200" in await get(port, "/healthz")


async def test_the_same_event_again_is_counted_instead_of_added() -> None:
    clock = ManualClock()
    cluster = FakeCluster(clock)
    notices = Notices(cluster, clock)
    notice = Notice("Warning", "Unschedulable", "No node.")
    for _ in range(3):
        await notices.write("Devbox", ABOUT, notice)
    await notices.write("Devbox", ABOUT, Notice("Normal", "Woken", "An event."))
    events = await cluster.list(EVENTS)
    assert [(event["reason"], event["count"]) for event in events] == [
        ("Unschedulable", 3),
        ("Woken", 1),
    ]
    clock.advance(WINDOW_SECONDS)
    await notices.write("Devbox", ABOUT, notice)
    assert len(await cluster.list(EVENTS)) == 3


async def test_an_event_that_can_not_be_written_stops_nothing() -> None:
    cluster = FakeCluster()
    cluster.fail_next = ClusterUnavailable("down")
    await Notices(cluster, ManualClock()).write("Devbox", ABOUT, Notice("Normal", "Woken", ""))


def test_kopf_watches_and_writes_nothing() -> None:
    settings = kopf_settings()
    assert not settings.posting.enabled
    assert settings.scanning.disabled
    assert settings.peering.standalone
    assert settings.watching.server_timeout
    assert settings.watching.inactivity_timeout <= 75
    registry = kopf.OperatorRegistry()
    register(registry, lambda *_: None)
    assert len(registry._watching.get_all_handlers()) == len(WATCHED)
    for others in (registry._changing, registry._spawning, registry._indexing, registry._webhooks):
        assert not others.get_all_handlers()

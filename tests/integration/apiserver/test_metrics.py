"""What Prometheus would scrape from a real process."""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from api_process import ApiServer, create, publish
from prometheus_client.parser import text_string_to_metric_families
from ranvier_dev.ports import free_port


class Scrape:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        return self._samples.get((name, frozenset(labels.items())))


async def scrape(port: int) -> Scrape:
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"http://127.0.0.1:{port}/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain")
        return Scrape(answer.text)


async def nobody_listens(port: int) -> None:
    """Until the server has noticed that its readers are gone."""
    for wait in itertools.repeat(0.02):
        if (await scrape(port)).value("ranvier_subscribers") == 0:
            return
        await asyncio.sleep(wait)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def server(tmp_path: Path, port: int) -> Iterator[ApiServer]:
    server = ApiServer(tmp_path)
    server.flags = ("--metrics-port", str(port))
    server.start()
    yield server
    server.close()


async def test_a_scrape_says_what_happened(server: ApiServer, port: int) -> None:
    async with server.client() as api:
        axon = await create(api)
        for _ in range(3):
            await publish(api, axon)
        assert (await api.get("/v1/axons/axn_missing")).status_code == 404
        url = f"/v1/axons/{axon}/subscribe/sse"
        async with api.stream("GET", url) as stream:
            lines = stream.aiter_lines()
            while not (await anext(lines)).startswith("data:"):
                pass
            during = await scrape(port)
        assert during.value("ranvier_subscribers") == 1
        assert during.value("ranvier_subscriber_lag_events_max") == 0
    assert during.value("ranvier_journal_events_total", origin="USER_EVENT") == 3
    assert during.value("ranvier_journal_commit_events_sum") == 3
    assert (during.value("ranvier_journal_commit_seconds_count") or 0) >= 4
    assert during.value("ranvier_journal_waiting_events") == 0
    count = "ranvier_http_request_seconds_count"
    route = "/v1/axons/{axon_id}/publish"
    assert during.value(count, method="POST", route=route, code="200") == 3
    assert during.value(count, method="GET", route="/v1/axons/{axon_id}", code="404") == 1
    async with asyncio.timeout(10):
        await nobody_listens(port)


async def test_paths_that_are_no_routes_share_one_label(server: ApiServer, port: int) -> None:
    async with server.client() as api:
        for number in range(3):
            assert (await api.get(f"/nothing/{number}")).status_code == 404
    count = "ranvier_http_request_seconds_count"
    assert (await scrape(port)).value(count, method="GET", route="none", code="404") == 3


def test_without_a_port_there_are_none_and_a_stop_is_clean(
    server: ApiServer, tmp_path: Path
) -> None:
    assert len(server.said("metrics")) == 1
    assert server.stop() == 0
    server.flags = ()
    server.start()
    assert server.said("metrics") == []

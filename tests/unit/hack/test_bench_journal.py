"""The journal benchmark's table compares, and its programs stay on loopback."""

import pytest
from stage.bench_journal import Measure, main, measures, table
from stage.journal_peers import PEERS


def test_the_table_tells_our_share_of_each_peers_figure() -> None:
    rows = [
        Measure("publish", "publish", (), "per_second", "/s"),
        Measure("p99", "publish", (), "p99_ms", "ms", is_rate=False),
    ]
    figures = {
        "ours": {"publish": 1500.0, "p99": 2.0},
        "theirs": {"publish": 3000.0, "p99": 4.0},
    }
    head, _, publish, p99, note = table(rows, figures).splitlines()
    assert head.split() == ["ours", "theirs"]
    assert publish.split() == ["publish", "(/s)", "1,500", "3,000", "(0.50x)"]
    assert p99.split() == ["p99", "(ms)", "2.00", "4.00", "(0.50x)"]
    assert "ours / this server" in note


def test_what_a_server_could_not_do_leaves_the_rest_of_the_table_standing() -> None:
    row = Measure("publish", "publish", (), "per_second", "/s")
    said = table([row], {"ours": {"publish": 1.0}, "theirs": {"publish": float("nan")}})
    assert "nan" in said


def test_every_figure_is_of_a_server_that_acknowledges_what_is_on_disk() -> None:
    assert PEERS[0].target == "ranvier"
    assert len({peer.name for peer in PEERS}) == len(PEERS)
    assert {row.mode for row in measures(1, 1000)} == {"publish", "deliver", "replay", "idle"}


def test_its_help_names_the_peers(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert all(peer.name in said for peer in PEERS)

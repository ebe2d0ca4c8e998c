"""Flags, and environment variables as their defaults."""

import json
import logging
from pathlib import Path

import pytest
from ranvier_apiserver import logs, settings
from ranvier_apiserver.settings import IdentitySource


def test_a_pod_needs_no_flags() -> None:
    chosen = settings.parse(
        [], {"RANVIER_DATA": "/data", "RANVIER_API_KEYS_FILE": "/keys", "RANVIER_PORT": "9"}
    )
    assert (chosen.data, chosen.api_keys_file) == (Path("/data"), Path("/keys"))
    assert (chosen.host, chosen.port) == ("::", 9)
    assert chosen.identities is IdentitySource.KUBERNETES


def test_flags_beat_the_environment() -> None:
    chosen = settings.parse(
        ["--identities", "static", "--poke-delay-ms", "250"],
        {"RANVIER_IDENTITIES": "kubernetes", "RANVIER_POKE_DELAY_MS": "1"},
    )
    assert chosen.identities is IdentitySource.STATIC
    assert chosen.poke_delay_seconds == 0.25


def test_the_journal_lies_in_a_folder_unless_a_server_is_named() -> None:
    assert settings.parse([], {}).journal is None
    url = "postgresql://me:secret@db/ranvier"
    assert settings.parse([], {"RANVIER_JOURNAL": url}).journal == url


def test_a_wrong_journal_url_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        settings.parse(["--journal", "mysql://me:secret@db"], {})
    said = capsys.readouterr().err
    assert "postgresql://" in said
    assert "secret" not in said


@pytest.mark.parametrize("flags", [["--help"], ["--identities", "magic"], ["--port", "x"]])
def test_help_and_mistakes_end_with_a_usage_message(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        settings.parse(flags, {})
    captured = capsys.readouterr()
    assert "ranvier-apiserver" in captured.out + captured.err


def test_a_log_line_is_one_json_object() -> None:
    record = logging.makeLogRecord(
        {"name": "n", "levelname": "INFO", "msg": "two\n%s", "args": ("lines",), "port": 7}
    )
    line = logs.JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == "two\nlines"
    assert json.loads(line)["port"] == 7

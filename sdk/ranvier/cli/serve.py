"""`ranvier serve`: the API server alone on this machine, with a key of its own making."""

import json
import os
import secrets
import signal
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ranvier.cli import output, programs
from ranvier.cli.output import Format, FormatOption
from ranvier.cli.target import KEY_FILE, URL_FILE, data_default

PACKAGE: Final = "ranvier_apiserver"
NEEDED: Final = (PACKAGE, "fastapi")
KEY_BYTES: Final = 32

CONTEXT: Final = {"allow_extra_args": True, "ignore_unknown_options": True}
EPILOG: Final = """Further options are passed to ranvier-apiserver; `ranvier serve -- --help` lists
them.

\b
Examples:
  ranvier serve
  ranvier serve --data ./journal --port 9000
"""


def serve(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the journal and the key (default: the user's data folder)."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8080,
    form: FormatOption = Format.TEXT,
) -> None:
    """Start the API server alone: axons, no agents.

    Ctrl-C stops it.
    """
    programs.expect_installed(NEEDED, "The API server", "apiserver")
    folder = (data or data_default()).absolute()
    key = local_key(folder)
    command = [sys.executable, "-m", PACKAGE, "--identities", "static"]
    command += ["--data", str(folder), "--api-keys-file", str(folder / KEY_FILE)]
    command += ["--host", host, "--port", str(port), *context.args]
    server = subprocess.Popen(command, stderr=subprocess.PIPE)
    # Ctrl-C reaches the server itself, whose end is ours; SIGTERM must be handed on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: server.send_signal(number))
    assert server.stderr is not None
    for line in server.stderr:
        said = _parsed(line)
        if said.get("message") == "listening":
            url = _url(host, int(said["port"]))
            (folder / URL_FILE).write_text(f"{url}\n", encoding="utf-8")
            _introduce(url, key, folder, form)
        elif said.get("level") != "info":
            output.say(line.decode(errors="replace"), end="", to_stderr=True)
    if status := server.wait():
        raise typer.Exit(1 if status < 0 else status)


def local_key(folder: Path) -> str:
    """The key of the server that lives in this folder, made the first time; readable by its
    owner alone."""
    path = folder / KEY_FILE
    folder.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="utf-8").strip()
    key = f"rnv_{secrets.token_hex(KEY_BYTES)}"
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{key}\n")
    return key


def _introduce(url: str, key: str, folder: Path, form: Format) -> None:
    if form is Format.JSON:
        output.as_json({"base_url": url, "api_key": key, "data": str(folder)})
        return
    output.say(f"Ranvier serves axons at {url}; the journal is in {folder}.\n")
    output.say(f"  export RANVIER_BASE_URL={url}\n  export RANVIER_API_KEY={key}\n")
    output.say("Then, in another terminal: ranvier axon create first")


def _url(host: str, port: int) -> str:
    """An address that a client on this machine can use."""
    try:
        address = ip_address(host)
    except ValueError:
        return f"http://{host}:{port}"
    if address.is_unspecified:
        return f"http://127.0.0.1:{port}"
    return f"http://[{host}]:{port}" if address.version == 6 else f"http://{host}:{port}"


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}

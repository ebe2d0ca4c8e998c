"""Commands and files of a devbox with one version of Runloop's published Python SDK, unchanged.

`python runloop_execution_journeys.py DEVBOX_ID VERSION` ends with 0 when all of it held.
"""

import sys

import runloop_api_client
from runloop_api_client import RunloopSDK
from runloop_api_client.sdk import Devbox

LINES = 20_000


def commands_and_files(devbox_id: str) -> None:
    devbox = Devbox(RunloopSDK().api, devbox_id)  # `from_id` asks for its state, of the cluster
    heard: list[str] = []
    result = devbox.cmd.exec(f"seq 1 {LINES}; echo no >&2; exit 3", stdout=heard.append)
    wanted = "".join(f"{i}\n" for i in range(1, LINES + 1))
    assert "".join(heard) == wanted == result.stdout()
    assert (result.exit_code, result.stderr()) == (3, "no\n")
    log = devbox.logs(execution_id=result.execution_id).logs
    assert [entry.source for entry in log] == ["exec"] * len(log)
    assert (log[0].cmd or "").startswith("seq 1")
    assert [(log[-3].message, log[-2].level, log[-1].exit_code)] == [(f"{LINES}", "error", 3)]
    assert result.execution_id in [entry.cmd_id for entry in devbox.logs().logs]
    assert devbox.logs(execution_id="exe_none").logs == []
    endless = devbox.cmd.exec_async("sleep 1000")
    endless.kill()
    assert endless.result().exit_code == 137
    content = bytes(range(256)) * 1000
    devbox.file.upload(path="a/blob", file=content)
    assert devbox.file.download(path="a/blob") == content
    devbox.file.write(file_path="notes", contents="für später\n")
    assert devbox.file.read(file_path="notes") == "für später\n"


if __name__ == "__main__":
    identifier, version = sys.argv[1:]
    assert runloop_api_client.__version__ == version
    commands_and_files(identifier)

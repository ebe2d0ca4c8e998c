"""The agent of `hack/bench/broker`: a Codex app server that prints as fast or as slowly as told.

`rest N MS` prints N chunks, a pause after each; the text of a chunk is the moment when it was
printed, in nanoseconds. `flood N` prints N chunks without a pause. `--straight N` prints the same
chunks to stdout and ends. Standard library only.
"""

import json
import sys
import time
from collections.abc import Iterator

PARAMS = '{"threadId":"bench","turnId":"turn","itemId":"message","delta":"%s"}'
CHUNK = f'{{"method":"item/agentMessage/delta","params":{PARAMS},"emittedAtMs":1795251077901}}\n'
LINES_A_WRITE = 64
"""Lines of a flood that go into the pipe at once, as a busy agent's buffered stdout does."""


def flood(count: int) -> Iterator[str]:
    """The chunks, in the pieces in which they are written."""
    for start in range(0, count, LINES_A_WRITE):
        numbers = range(start, min(start + LINES_A_WRITE, count))
        yield "".join(CHUNK % f"Some words of a model, number {number}." for number in numbers)


def write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def play(prompt: str) -> None:
    """One turn."""
    match prompt.split():
        case ["rest", count, pause_ms]:
            for _ in range(int(count)):
                write(CHUNK % time.time_ns())
                time.sleep(int(pause_ms) / 1000)
        case ["flood", count]:
            for text in flood(int(count)):
                write(text)
        case _:
            raise SystemExit(f"no such prompt: {prompt}")
    turn = {"id": "turn", "status": "completed"}
    write(json.dumps({"method": "turn/completed", "params": {"threadId": "bench", "turn": turn}}))
    write("\n")


def main() -> None:
    if sys.argv[1] == "--straight":
        for text in flood(int(sys.argv[2])):
            write(text)
        return
    for line in sys.stdin:
        frame = json.loads(line)
        if "id" not in frame:
            continue
        results = {
            "thread/start": {"thread": {"id": "bench"}},
            "thread/resume": {"thread": {"id": "bench"}},
            "turn/start": {"turn": {"id": "turn"}},
        }
        write(json.dumps({"id": frame["id"], "result": results.get(frame["method"], {})}) + "\n")
        if frame["method"] == "turn/start":
            play(frame["params"]["input"][0]["text"])


if __name__ == "__main__":
    main()

"""`hack/bench/broker` works as `docs/performance.md` says; its figures are for quiet machines."""

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_bench_measures_delay_pace_and_memory_in_one_run() -> None:
    command = [ROOT / "hack" / "bench" / "broker", "--json"]
    command += ["--rest", "5", "--flood", "2000", "--rounds", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout, done.stderr
    figures = json.loads(done.stdout)
    assert figures["chunks_a_second_straight"] > 0
    assert figures["chunks_a_second"] > 0
    assert figures["delay_ms_p99"] >= figures["delay_ms_median"] > 0
    assert figures["broker_peak_mib"] >= figures["broker_peak_mib_first"] > 0

"""The benchmark with a stopped member compares what it says, and ends with all that it started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "stopped_member.py"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_two_rounds_are_compared_and_the_stopped_one_is_dropped_and_comes_back() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(BENCHMARK), "--lines", "3000", "--rate", "3000"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = {line[:24].strip(): line[24:].split() for line in done.stdout.splitlines()[2:6]}
    for name in ("half came within", "99 % within", "all within"):
        free, held, ratio = float(rows[name][0]), float(rows[name][2]), float(rows[name][4])
        assert free > 0
        assert held > 0
        assert ratio > 0
    assert "Cy was dropped (overwhelmed)" in done.stdout
    assert "told of 'gap'" in done.stdout

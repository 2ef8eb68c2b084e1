"""The benchmark of the drivers measures what it says, and ends with all that it started."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "drivers.py"


def run(*arguments: str) -> tuple[str, int]:
    """Run it in a session of its own; give what it printed, and the number of the session."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(BENCHMARK), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    return printed, process.pid


@pytest.mark.skipif(os.name != "posix", reason="sessions are POSIX's")
def test_each_line_is_measured_beside_its_counterpart_and_no_process_is_left() -> None:
    printed, session = run("--seconds", "0.02", "--rounds", "1")
    for size in (64, 1024):
        table = printed.split(f"{size} bytes")[1].split("\n\n")[0]
        rows = {line[:32].strip(): line[32:] for line in table.splitlines()[1:]}
        assert len(rows) == 10
        numbers = {
            name: [float(cell.replace(",", "")) for cell in figures.split()]
            for name, figures in rows.items()
        }
        for name, those in numbers.items():
            assert len(those) == (8 if "Palaver" in name else 4), name  # ratios beside each
            assert min(those) >= 0, name
        # What it promises costs Palaver something; otherwise something else would be measured.
        bare, ours = (
            numbers["bare UDP sockets      asyncio"],
            numbers["Palaver over UDP      asyncio"],
        )
        assert bare[0] > ours[0] > 0
        assert 0 < bare[1] < ours[2]
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("a process of the benchmark is still there")

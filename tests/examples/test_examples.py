"""Every example runs, and does what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(name: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_two_machines_without_any_io() -> None:
    printed = run("two_machines.py")
    assert "ann: Said(link=1, text='hello, whoever you are')" in printed
    assert printed.count("Closed(") == 2


def test_a_serial_line() -> None:
    pytest.importorskip("termios", reason="there are no pseudo-terminals here")
    lines = run("serial_line.py").splitlines()
    assert "Ann hears: this is Bob, over a wire" in " ".join(lines)
    assert "Bob hears: this is Ann, over a wire" in " ".join(lines)
    assert {"Ann: left", "Bob: left"} <= set(lines)


def test_trio() -> None:
    pytest.importorskip("trio", reason="trio is not installed")
    printed = run("trio_talk.py")
    assert "text='hello yourself'" in printed
    assert "graceful=True" in printed


def test_all_of_them_are_run_here() -> None:
    assert {one.name for one in EXAMPLES.glob("*.py")} == {
        "serial_line.py",
        "trio_talk.py",
        "two_machines.py",
    }

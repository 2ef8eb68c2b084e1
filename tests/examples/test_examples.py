"""The examples run, say what they promise to say, and leave nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"

needs_posix = pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX's")


def run(example: str, *arguments: str) -> list[str]:
    """Run an example as a user would, every warning an error; give the lines that it printed."""
    path = os.pathsep.join(str(ROOT / part) for part in ("src", "adapters"))
    finished = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", str(EXAMPLES / example), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    # What was left open, a socket or a task, is complained of there.
    assert finished.stderr == ""
    assert finished.returncode == 0
    return finished.stdout.splitlines()


@pytest.mark.smoke
def test_a_queue_joins_two_machines() -> None:
    told = [line[7:] for line in run("queue_pair.py") if " is lost" not in line]
    assert sorted(told, key=lambda line: line[:3]) == [
        "ann knows that number 1 has arrived",
        "ann knows that number 2 has arrived",
        "ann knows that number 3 has arrived",
        "ann talks with Bob",
        "ann hears: and yet it arrived",
        "ann is done: left",
        "bob talks with Ann",
        "bob hears: no socket was opened",
        "bob hears: no clock was read",
        "bob hears: goodbye",
        "bob knows that number 0 has arrived",
        "bob is done: left",
    ]


def test_the_queue_repeats_a_run_by_its_seed_and_loses_something() -> None:
    first, again, other = (run("queue_pair.py", seed) for seed in ("5", "5", "6"))
    assert first == again != other
    assert sum("is lost" in line for line in first) > 3


@pytest.mark.smoke
def test_two_chats_talk_on_trio() -> None:
    pytest.importorskip("trio", reason="trio is not installed; it is in the extra 'test'")
    assert run("trio_chat.py") == [
        "Ann says: hello",
        "Bob says: HELLO",
        "Ann says: no action is ever dropped",
        "Bob says: NO ACTION IS EVER DROPPED",
    ]


@needs_posix
@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_a_conversation_over_a_bad_serial_line_is_exact(seed: str) -> None:
    printed = "\n".join(run("serial_line.py", seed))
    for name in ("Ann", "Bob"):
        assert f"{name} is done: left" in printed
        (refused,) = re.findall(rf"{name} refused (\d+) datagrams, and heard all: True", printed)
        assert int(refused) > 0
        spoiled = re.findall(rf"What {name} sent: (\d+) bytes were lost, (\d+) got", printed)
        assert min(int(number) for number in spoiled[0]) > 0


@pytest.mark.smoke
@pytest.mark.parametrize("seed", ["7", "8"])
def test_an_embedding_is_tested_on_a_simulated_network(seed: str) -> None:
    ten, lost, damaged, answer, drop = run("own_embedding.py", seed)
    assert ten.startswith("ten answers, each once and in order, in ")
    assert min(map(int, re.findall(r"\d+", f"{lost} {damaged}"))) > 0
    assert answer.startswith("21 degrees after 0.4")
    assert drop.endswith("#1 desk:1 > sensor:1 HELLO 64 B dropped (loss)")


def test_each_example_is_short_and_uses_public_names_only() -> None:
    paths = sorted(EXAMPLES.glob("*.py"))
    assert len(paths) >= 3
    for path in paths:
        text = path.read_text()
        assert len(text.splitlines()) <= 200, path
        # The simulator is public too, and not among the names of the package.
        assert not re.findall(r"(?:from|import) palaver(?:_io)?(?!\.sim )\.\w", text), path
        assert not re.findall(r"\b(?!self)\w+\._[a-z]", text), path


@pytest.mark.parametrize("options", [(), ("--tcp",)])
def test_two_people_find_each_other(options: tuple[str, ...]) -> None:
    assert run("people.py", *options) == [
        "Ann has id 1",
        "Bob has id 2",
        "Ann calls; verified: True",
        "Bob hears: hello",
        "The call was terminated",
    ]


def test_trio_that_is_not_installed_is_told_in_a_line() -> None:
    start = "import runpy, sys; sys.modules['trio'] = None; runpy.run_path(sys.argv[1])"
    finished = subprocess.run(
        [sys.executable, "-c", start, str(EXAMPLES / "trio_chat.py")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (finished.returncode, finished.stderr) == (1, "needs: pip install trio\n")

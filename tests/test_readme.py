"""What the README shows does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from palaver import Action, Event, machine
from palaver_io.cli import main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
FACADE, ASYNCIO, EMBEDDING, SIMULATION = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run(program: str) -> str:
    path = os.pathsep.join(str(ROOT / part) for part in ("src", "adapters"))
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.smoke
def test_the_facade_example_runs() -> None:
    assert run(FACADE) == "Ann says hello\nhello yourself\n"


@pytest.mark.smoke
def test_the_asyncio_example_runs() -> None:
    assert run(ASYNCIO) == "hello yourself, Ann\n"


@pytest.mark.smoke
def test_the_embedding_example_runs_in_about_thirty_lines() -> None:
    printed = run(EMBEDDING)
    assert "bob hears: no sockets were used" in printed
    assert "ann: Delivered(link=1, ref=0)" in printed
    assert printed.count("Closed(") == 2
    assert len([line for line in EMBEDDING.splitlines() if line.strip()]) <= 32


@pytest.mark.smoke
def test_the_simulation_example_runs() -> None:
    first, *trace = run(SIMULATION).splitlines()
    # It loses and damages something, and it is what the README says.
    assert re.fullmatch(r"\d+\.\d\d s, [1-9]\d* lost, [1-9]\d* damaged", first)
    assert f"# {first}\n" in SIMULATION
    assert len(trace) == 5


def test_the_two_commands_are_there_one_line_each() -> None:
    for name in ("demo", "test"):
        (block,) = re.findall(rf"<!-- command: {name} -->\n```sh\n(.*?)```", README, re.DOTALL)
        assert block.count("\n") == 1


def test_the_json_events_of_the_readme_are_those_of_the_code() -> None:
    files = ("output.py", "group_json.py", "peer_output.py", "registry_command.py")
    source = "".join((ROOT / "adapters/palaver_io/cli" / name).read_text() for name in files)
    written = set(re.findall(r'_write\(\s*"([a-z-]+)"', source))
    tables = re.findall(r"^\| `event` .*\n\|.*\n((?:\|.*\n)+)", README, re.MULTILINE)
    firsts = [row.split("|")[1] for table in tables for row in table.splitlines()]
    assert written == {name for first in firsts for name in re.findall(r"`([a-z-]+)`", first)}


def names_in_table(head: str) -> set[str]:
    """Give the first words of a table's rows that are code."""
    rows = README.split(f"| {head} |")[1].split("\n\n")[0]
    return set(re.findall(r"^\| `(\w+)\(", rows, re.MULTILINE))


def test_the_tables_for_embedding_name_all_that_a_driver_has_to_know() -> None:
    kinds = [one for one in vars(machine).values() if isinstance(one, type)]
    events = {one.__name__ for one in kinds if issubclass(one, Event)}
    actions = {one.__name__ for one in kinds if issubclass(one, Action)}
    assert names_in_table("into the machine") == events - {"Event"}
    assert names_in_table("out of the machine") == actions - {"Action", "Notice"}


def test_links_to_files_and_sections_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", README):
        assert (ROOT / target).exists(), target
    for name, anchor in re.findall(r"\]\(([^)#]+)#([^)]*)\)", README):
        heads = re.findall(r"^#+ (.*)$", (ROOT / name).read_text(), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
        assert anchor in anchors


def test_the_exit_statuses_of_the_help_are_those_of_the_readme(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = README.split("| exit status |")[1].split("\n\n")[0]
    written = re.findall(r"^\| ([\d, ]+) \|", rows, re.MULTILINE)
    assert main(["--help"]) == 0
    statuses = capsys.readouterr().out.split("exit status:\n")[1]
    assert re.findall(r"^  (\d[\d, ]*?)  ", statuses, re.MULTILINE) == written

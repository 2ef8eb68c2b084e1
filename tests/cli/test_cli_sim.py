"""`palaver sim`: what it prints, its exit status, and the command that shows a failure again."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import pytest
from cli_support import running

from palaver.sim.swarm import ROLES
from palaver.sim.swarm.duo_world import DuoWorld
from palaver.sim.swarm.forgeries import TARGETS, Siege
from palaver.sim.swarm.hard_calls import HardCalls
from palaver_io.cli import main, sim_command


class Strict(DuoWorld):
    """A world that asks for more than was promised: nobody may ever refuse anything."""

    def check(self) -> None:
        self.require(not self.witnesses["refused: UsageError"], "somebody refused something \x1b")


def test_a_summary_tells_figures_faults_effects_and_what_was_seen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["sim", "--role", "duo", "--seeds", "20", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if len(line) > 80] == []
    first, faults, effects, seen = re.sub(r"\n {4,}", " ", out).splitlines()
    assert first.startswith("duo: 20 seeds from 3 on, 0 failed; ")
    assert "seeds a minute" in first
    assert "simulated hours" in first
    assert " dropped" in faults
    assert "refused by the checksum" in effects
    assert "Prefixes: heard" in seen


def test_all_roles_are_played_unless_one_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "--seeds", "1"]) == 0
    heads = [line for line in capsys.readouterr().out.splitlines() if line[0] != " "]
    assert [line.split(":")[0] for line in heads] == list(ROLES)


def test_a_failing_seed_comes_with_the_command_that_repeats_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ROLES, "duo", Strict)
    arguments = ["sim", "--role", "duo", "--faults", "loss,reorder"]
    assert main([*arguments, "--seeds", "12"]) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    (again, *_) = [
        line.split("again: palaver ")[1] for line in out.splitlines() if "again: " in line
    ]
    assert again.startswith("sim --role duo --seed ")
    assert again.endswith(" --faults loss,reorder --trace")
    assert main(again.split()) == 1
    repeated = capsys.readouterr().out
    (what, *_) = [line for line in out.splitlines() if "somebody refused" in line]
    assert what in repeated.splitlines()
    assert "begins (machine 1)" in repeated


def test_a_trace_is_the_same_every_time(capsys: pytest.CaptureFixture[str]) -> None:
    traces = []
    for _ in range(2):
        assert main(["sim", "--role", "group", "--seed", "4", "--trace"]) == 0
        trace, summary, _ = capsys.readouterr().out.partition("\ngroup: 1 seeds from 4 on")
        assert summary
        traces.append(trace.splitlines())
    assert traces[0] == traces[1]
    assert len(traces[0]) > 100
    assert all(line.isprintable() for line in traces[0])


def test_the_campaigns_print_their_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "--calls", "10"]) == 0
    out = capsys.readouterr().out
    assert "0 of them twice, 0 were stuck" in out
    assert [line for line in out.splitlines() if len(line) > 80] == []
    assert main(["sim", "--forged", "1000"]) == 0
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if len(line) > 80] == []
    for target in ("listener", "registry", "hub", "hub with plain text"):
        assert f"{target}: 1,000 datagrams" in out
    assert "half_open" in out


def test_the_figures_of_large_campaigns_fit_in_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = HardCalls(
        opened=Counter(handshakes=10**7, calls=10**7),
        failed=Counter(handshakes=10**5, calls=10**5),
        slowest={"handshakes": 12345.6, "calls": 12345.6},
        rung=10**7,
        datagrams=10**10,
        seconds=10.0**8,
        stuck=["seed 10000000: stuck in a state that nobody has thought of"],
    )
    siege = Siege(
        "hub with plain text",
        answers=10**8,
        most_per_byte=0.99,
        texts=10**8,
        most_texts=64.0,
        most_text_bytes=65536.0,
        waited=123.45,
        problems=["somebody who came in the middle of it was not let in in time"],
    )
    monkeypatch.setattr(sim_command, "HardCalls", lambda: calls)
    monkeypatch.setattr(sim_command, "try_hard", lambda *_: None)
    monkeypatch.setattr(sim_command, "besiege", lambda *_: siege)
    assert main(["sim", "--calls", "1"]) == 1
    assert main(["sim", "--forged", "1000000"]) == 1
    out = capsys.readouterr().out
    assert "again: palaver sim --calls 1 --seed 10000000" in out
    assert [line for line in out.splitlines() if len(line) > 80] == []


def test_the_help_tells_as_many_machines_as_are_attacked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["sim", "--help"]) == 0
    assert "four machines" in " ".join(capsys.readouterr().out.split())
    assert len(TARGETS) == 4


def test_a_reader_that_has_had_enough_ends_it_early() -> None:
    theirs, ours = os.pipe()
    with running() as processes:
        sim = processes.start("sim", "--role", "duo", "--seeds", "100000", "--trace", stdout=ours)
        os.close(ours)
        assert os.read(theirs, 10)
        os.close(theirs)
        assert sim.finish() == 141
        assert sim.err == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [("sim", "--calls", "1"), ("demo",)])
def test_a_full_disk_is_told(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full, running() as processes:
        process = processes.start(*arguments, stdout=full.fileno())
        assert process.finish(20.0) == 1
        assert process.err[-1] == "palaver: can't print: No space left on device"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--faults", "earthquake"], "there is no fault 'earthquake'"),
        (["--seeds", "0"], "from 1"),
        (["--role", "king"], "invalid choice"),
        (["--calls", "1", "--forged", "1"], "not allowed with"),
        (["--calls", "3", "--role", "duo"], "--role does not go with --calls"),
        (["--calls", "3", "--trace"], "--trace does not go with --calls"),
        (["--forged", "3", "--role", "all"], "--role does not go with --forged"),
        (["--forged", "3", "--seeds", "4"], "--seeds does not go with --forged"),
        (["--forged", "3", "--faults", "loss"], "--faults does not go with --forged"),
    ],
)
def test_wrong_usage_is_told(
    arguments: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sim", *arguments]) == 2
    assert what in capsys.readouterr().err

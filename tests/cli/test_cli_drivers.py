"""The same chat on every driver, and on two different ones."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from cli_support import running
from test_cli_terminal import sitting_at

from palaver_io.cli.arguments import DRIVERS

OTHERS = [one for one in DRIVERS if one != "blocking"]

each_other_driver = pytest.mark.parametrize("driver", OTHERS)


@pytest.mark.smoke
@pytest.mark.parametrize("caller", DRIVERS)
@pytest.mark.parametrize("listener", DRIVERS)
def test_every_driver_talks_to_every_other_with_the_same_output(listener: str, caller: str) -> None:
    with running() as processes:
        ann, address = processes.listen("--name", "Ann", "--driver", listener)
        bob = processes.call(address, "--name", "Bob", "--driver", caller)
        bob.type("hello", "how are you?")
        ann.wait_for_out("Bob: how are you?")
        ann.type("fine")
        bob.wait_for_out("Ann: fine")
        bob.type("exit")
        assert (ann.finish(), bob.finish()) == (0, 0)
        assert ann.out == ["Bob: hello", "Bob: how are you?"]
        assert bob.out == ["Ann: fine"]
        assert ann.err[-1] == "Bob ended the conversation."
        assert bob.err[:1] == [f"Calling {address} ..."]
        assert bob.err[-1] == "You ended the conversation with Ann."


@each_other_driver
def test_lines_of_a_pipe_all_arrive_over_a_bad_network(driver: str, tmp_path: Path) -> None:
    lines = [f"line {number}" for number in range(2000)]
    (tmp_path / "lines").write_text("\n".join(lines))
    with running() as processes, (tmp_path / "lines").open("rb") as stdin:
        ann, address = processes.listen("--driver", driver, "--loss", "10%", "--seed", "1")
        bob = processes.call(
            address, "--driver", driver, "--name", "Bob", "--loss", "10%", stdin=stdin.fileno()
        )
        assert (bob.finish(), ann.finish()) == (0, 0)
        assert ann.out == [f"Bob: {line}" for line in lines]


@each_other_driver
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_tells_the_other_side(driver: str, number: int, status: int) -> None:
    with running() as processes:
        ann, bob = processes.talk("--driver", driver)
        bob.type("last words")
        ann.wait_for_out("Bob: last words")
        bob.signal(number)
        assert (bob.finish(), ann.finish()) == (status, 0)
        assert "Bob ended the conversation." in ann.err


@each_other_driver
def test_ctrl_c_ends_a_listener_that_nobody_calls(driver: str) -> None:
    with running() as processes:
        ann, _ = processes.listen("-k", "--driver", driver)
        ann.signal(signal.SIGINT)
        assert ann.finish(5.0) == 130


@each_other_driver
def test_a_killed_peer_and_a_line_that_does_not_arrive(driver: str) -> None:
    with running() as processes:
        ann, bob = processes.talk("--dead-after", "1", "--driver", driver)
        ann.kill()
        bob.type("lost")
        assert bob.finish(20.0) == 3
        assert "Ann does not answer any more: the conversation is over." in bob.err


@each_other_driver
def test_what_arrives_does_not_garble_what_is_being_typed(driver: str) -> None:
    with running() as processes:
        ann, address = processes.listen("--name", "Ann", "--driver", driver)
        with sitting_at("call", address, "--driver", driver) as bob:
            bob.wait_for(">", last=True)
            bob.type("half a li")
            bob.wait_for("> half a li", last=True)
            ann.type("an interruption")
            bob.wait_for("Ann: an interruption")
            bob.wait_for("> half a li", last=True)
            bob.type("ne\r")
            ann.wait_for(lambda: ann.out and ann.out[0].endswith(": half a line"))
            bob.type("\x04")
            assert bob.popen.wait(20) == 0
            assert ann.finish() == 0
            assert bob.are_modes_restored()


@each_other_driver
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="counts as Linux does")
def test_an_idle_process_uses_no_cpu(driver: str) -> None:
    with running() as processes:
        ann, bob = processes.talk("--driver", driver)
        time.sleep(0.5)
        before = [one.cpu_seconds() for one in (ann, bob)]
        time.sleep(3.0)
        assert [one.cpu_seconds() for one in (ann, bob)] == before


@each_other_driver
def test_a_reader_that_is_slow_makes_its_peer_wait(driver: str) -> None:
    with running() as processes:
        ann, address = processes.listen("--json", "--driver", driver)
        bob = processes.call(address, "--json", "--driver", driver)
        ann.wait_for_event("opened")
        bob.type(*("x" * 20000 for _ in range(300)), "exit")
        assert (ann.finish(), bob.finish()) == (0, 0)
        assert len(ann.events("message")) == 300
        assert bob.events("closed")[0]["clean"] is True

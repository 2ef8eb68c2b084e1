"""The same chat on every driver, and on two different ones."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

import pytest
from cli_support import assert_same, running
from test_cli_terminal import sitting_at

from palaver_io.cli.arguments import DRIVERS

# What else there is than what all the other tests use: a thread, and UDP.
OTHERS = [
    ("--driver", driver, *transport)
    for driver in DRIVERS
    for transport in ((), ("--tcp",))
    if (driver, transport) != ("blocking", ())
]

each_other_way = pytest.mark.parametrize("way", OTHERS, ids=lambda way: "".join(way[1:]))


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


@each_other_way
def test_lines_of_a_pipe_all_arrive_also_over_a_bad_network(
    way: tuple[str, ...], tmp_path: Path
) -> None:
    lines = [f"line {number}" for number in range(2000)]
    (tmp_path / "lines").write_text("\n".join(lines))
    faults = () if "--tcp" in way else ("--loss", "10%", "--seed", "1")
    with running() as processes, (tmp_path / "lines").open("rb") as stdin:
        ann, address = processes.listen(*way, *faults)
        bob = processes.call(address, *way, "--name", "Bob", *faults, stdin=stdin.fileno())
        assert (bob.finish(), ann.finish()) == (0, 0)
        assert_same(ann.out, [f"Bob: {line}" for line in lines])


@each_other_way
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_tells_the_other_side(way: tuple[str, ...], number: int, status: int) -> None:
    with running() as processes:
        ann, bob = processes.talk(*way)
        bob.type("last words")
        ann.wait_for_out("Bob: last words")
        bob.signal(number)
        assert (bob.finish(), ann.finish()) == (status, 0)
        assert "Bob ended the conversation." in ann.err


@each_other_way
def test_ctrl_c_ends_a_listener_that_nobody_calls(way: tuple[str, ...]) -> None:
    with running() as processes:
        ann, _ = processes.listen("-k", *way)
        ann.signal(signal.SIGINT)
        assert ann.finish(5.0) == 130


@each_other_way
def test_a_killed_peer_is_missed(way: tuple[str, ...]) -> None:
    with running() as processes:
        ann, bob = processes.talk("--dead-after", "1", *way)
        ann.kill()
        if "--tcp" in way:
            assert bob.finish(20.0) == 1
            assert "The connection to Ann broke: the conversation is over." in bob.err
        else:
            bob.type("lost")
            assert bob.finish(20.0) == 3
            assert "Ann does not answer any more: the conversation is over." in bob.err


@each_other_way
def test_a_peer_that_hangs_is_missed_too(way: tuple[str, ...]) -> None:
    with running() as processes:
        ann, bob = processes.talk("--dead-after", "1", *way)
        ann.signal(signal.SIGSTOP)
        bob.type("lost")
        assert bob.finish(20.0) == 3
        assert "Ann does not answer any more: the conversation is over." in bob.err


@each_other_way
def test_one_can_call_before_anybody_listens(way: tuple[str, ...]) -> None:
    with running() as processes:
        ann, address = processes.listen(*way)
        ann.kill()
        bob = processes.call(address, *way)
        bob.wait_for_err(f"Nothing seems to listen at {address} yet.")
        ann, _ = processes.listen(*way, at=address)
        bob.wait_for_err("Connected to ")
        bob.type("there you are", "exit")
        assert (ann.finish(), bob.finish()) == (0, 0)


@pytest.mark.parametrize("caller_uses_tcp", [False, True])
def test_one_side_with_tcp_and_the_other_without_do_not_meet(caller_uses_tcp: bool) -> None:
    with running() as processes:
        _, address = processes.listen(*([] if caller_uses_tcp else ["--tcp"]))
        bob = processes.call(address, "--timeout", "1", *(["--tcp"] if caller_uses_tcp else []))
        assert bob.finish() == 1
        assert "do both sides use --tcp, or neither?" in bob.err[-1]


def test_text_on_the_port_of_a_listener_does_no_harm() -> None:
    with running() as processes:
        ann, address = processes.listen("--tcp", "--name", "Ann")
        host, port = address.split(":")
        for garbage in (b"GET / HTTP/1.0\r\n\r\n", b"\0\5hello", b"\xff" * 5000, b"\4"):
            with socket.create_connection((host, int(port)), 20.0) as stranger:
                stranger.sendall(garbage)
                if len(garbage) > 1:
                    try:
                        assert stranger.recv(10) == b""
                    except ConnectionResetError:
                        continue
        bob = processes.call(address, "--tcp", "--name", "Bob")
        bob.type("hello", "exit")
        assert (ann.finish(), bob.finish()) == (0, 0)
        assert ann.out == ["Bob: hello"]


def test_faults_are_for_udp() -> None:
    with running() as processes:
        bob = processes.call("127.0.0.1", "--tcp", "--loss", "10%")
        assert bob.finish() == 2
        assert "faults can't be injected into TCP" in bob.err[0]


@each_other_way
def test_what_arrives_does_not_garble_what_is_being_typed(way: tuple[str, ...]) -> None:
    with running() as processes:
        ann, address = processes.listen("--name", "Ann", *way)
        with sitting_at("call", address, *way) as bob:
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


@each_other_way
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="counts as Linux does")
def test_an_idle_process_uses_no_cpu(way: tuple[str, ...]) -> None:
    with running() as processes:
        ann, bob = processes.talk(*way)
        time.sleep(0.4)
        before = [one.cpu_seconds() for one in (ann, bob)]
        time.sleep(0.8)
        assert [one.cpu_seconds() for one in (ann, bob)] == before


@each_other_way
def test_a_reader_that_is_slow_makes_its_peer_wait(way: tuple[str, ...]) -> None:
    with running() as processes:
        ann, address = processes.listen("--json", *way)
        bob = processes.call(address, "--json", *way)
        ann.wait_for_event("opened")
        bob.type(*("x" * 20000 for _ in range(300)), "exit")
        assert (ann.finish(), bob.finish()) == (0, 0)
        assert len(ann.events("message")) == 300
        assert bob.events("closed")[0]["clean"] is True

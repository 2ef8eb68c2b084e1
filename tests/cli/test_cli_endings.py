"""Ends of input, failures, and the exit statuses that tell them apart."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time

import pytest
from cli_support import running


@pytest.mark.smoke
def test_a_pipe_is_sent_and_the_caller_leaves() -> None:
    with running() as processes:
        ann, address = processes.listen(stdin=subprocess.DEVNULL)
        bob = processes.call(address, "--name", "Bob")
        bob.write(b"one\ntwo\r\nthree")
        bob.end_input()
        assert (bob.finish(), ann.finish()) == (0, 0)
        assert ann.out == ["Bob: one", "Bob: two", "Bob: three"]
        assert bob.out == []


def test_with_wait_the_caller_stays_until_the_listener_has_finished() -> None:
    with running() as processes:
        ann, address = processes.listen("--name", "Ann")
        bob = processes.call(address, "--wait", stdin=subprocess.DEVNULL)
        ann.wait_for_err("has nothing more to send")
        ann.type("take", "your time")
        bob.wait_for_out("Ann: your time")
        ann.end_input()
        assert (bob.finish(), ann.finish()) == (0, 0)
        assert bob.out == ["Ann: take", "Ann: your time"]


def test_with_wait_the_caller_leaves_when_the_listener_does() -> None:
    with running() as processes:
        ann, address = processes.listen("--name", "Ann")
        bob = processes.call(address, "--wait", stdin=subprocess.DEVNULL)
        ann.type("bye", "exit")
        assert (bob.finish(), ann.finish()) == (0, 0)
        assert bob.out == ["Ann: bye"]


def test_a_listener_at_the_end_of_its_input_goes_on_receiving() -> None:
    with running() as processes:
        ann, address = processes.listen("--name", "Ann")
        ann.type("all I have")
        ann.end_input()
        bob = processes.call(address, "--name", "Bob")
        bob.wait_for_err("Ann has nothing more to send.")
        bob.type("still there?")
        ann.wait_for_out("Bob: still there?")
        bob.type("exit")
        assert (bob.finish(), ann.finish()) == (0, 0)


@pytest.mark.parametrize("more", [("two",), ("two", "three"), ("two", *map(str, range(5_000)))])
def test_lines_after_exit_are_for_nobody_and_a_script_learns_of_it(more: tuple[str, ...]) -> None:
    with running() as processes:
        ann, address = processes.listen(stdin=subprocess.DEVNULL)
        bob = processes.call(address, "--name", "Bob")
        bob.type("one", "exit", *more)
        assert (bob.finish(), ann.finish()) == (3, 0)
        assert ann.out == ["Bob: one"]
        [told] = [line for line in bob.err if "NOT sent" in line]
        assert "line 3" in told
        assert "two" in told
        assert ("Nor was anything sent that follows it." in bob.err) == (len(more) > 1)


def test_exit_as_the_last_line_ends_well() -> None:
    with running() as processes:
        ann, address = processes.listen(stdin=subprocess.DEVNULL)
        bob = processes.call(address, "--name", "Bob")
        bob.type("one", "exit")
        bob.end_input()
        assert (bob.finish(), ann.finish()) == (0, 0)
        assert ann.out == ["Bob: one"]


def test_lines_that_cannot_be_sent_are_named_and_lose_nothing_else() -> None:
    with running() as processes:
        ann, address = processes.listen("--json", stdin=subprocess.DEVNULL)
        bob = processes.call(address)
        longest = b"x" * 65535
        bob.write(b"one\n%b\n%by\n" % (longest, longest) + b"z" * 200_000 + b"\ncaf\xe9\nlast\n")
        bob.end_input()
        assert (bob.finish(), ann.finish()) == (3, 0)
        texts = [one["text"] for one in ann.events("message")]
        assert texts == ["one", longest.decode(), "last"]
        problems = [line for line in bob.err if line.startswith("NOT sent: ")]
        assert [line.split(",")[0] for line in problems] == [
            "NOT sent: line 3",
            "NOT sent: line 4",
            "NOT sent: line 5",
        ]
        assert "more than 65,535 bytes" in problems[0]
        assert "more than 65,535 bytes" in problems[1]
        assert "not UTF-8" in problems[2]


def test_nobody_answers() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, running() as processes:
        silent.bind(("127.0.0.1", 0))
        bob = processes.call(f"127.0.0.1:{silent.getsockname()[1]}", "--timeout", "1.5")
        bob.type("never sent")
        assert bob.finish() == 1
        assert "Still trying" in "".join(bob.err)
        assert "No answer from 127.0.0.1" in bob.err[-1]


def test_nothing_listens_there() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken, running() as processes:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        taken.close()
        bob = processes.call(f"127.0.0.1:{port}", "--json", "--timeout", "1.5")
        assert bob.finish() == 1
        assert bob.events("still-dialing")[-1]["unreachable"] is True
        closed = bob.events("closed")[0]
        assert (closed["reason"], closed["clean"]) == ("no-answer", False)


def test_a_listener_that_comes_late_is_found() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken, running() as processes:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        taken.close()
        bob = processes.call(f"127.0.0.1:{port}", "--name", "Bob")
        bob.wait_for_err("Nothing seems to listen")
        ann, _ = processes.listen(at=f"127.0.0.1:{port}")
        bob.type("at last")
        ann.wait_for_out("Bob: at last")


def test_ctrl_c_gives_a_call_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, running() as processes:
        silent.bind(("127.0.0.1", 0))
        bob = processes.call(f"127.0.0.1:{silent.getsockname()[1]}")
        bob.wait_for_err("Calling")
        time.sleep(0.3)
        bob.signal(signal.SIGINT)
        assert bob.finish(5.0) == 130
        assert "The call was given up." in bob.err


def test_a_second_caller_is_told_busy() -> None:
    with running() as processes:
        ann, address = processes.listen("--name", "Ann")
        bob = processes.call(address, "--name", "Bob")
        ann.wait_for_err("Bob (")
        cyn = processes.call(address)
        assert cyn.finish() == 1
        assert f"{address} is busy" in cyn.err[-1]
        bob.type("not disturbed")
        ann.wait_for_out("Bob: not disturbed")


def test_keep_open_takes_one_caller_after_another() -> None:
    with running() as processes:
        ann, address = processes.listen("-k", "--name", "Ann")
        for name in ("Bob", "Cyn"):
            caller = processes.call(address, "--name", name)
            caller.type(f"I am {name}")
            ann.wait_for_out(f"{name}: I am {name}")
            ann.type(f"hello {name}")
            caller.wait_for_out(f"Ann: hello {name}")
            caller.type("exit")
            assert caller.finish() == 0
            ann.wait_for_err(f"{name} ended the conversation.")
        ann.signal(signal.SIGINT)
        assert ann.finish() == 130


def test_keep_open_at_the_end_of_input_has_finished_with_later_callers_too() -> None:
    with running() as processes:
        ann, address = processes.listen("-k", stdin=subprocess.DEVNULL)
        for name in ("Bob", "Cyn"):
            caller = processes.call(address, "--wait", "--name", name)
            caller.type("hello")
            caller.end_input()
            assert caller.finish() == 0
            ann.wait_for_out(f"{name}: hello")


def test_a_killed_peer_leaves_unsent_lines_which_are_named() -> None:
    with running() as processes:
        ann, bob = processes.talk("--dead-after", "2", "-v")
        bob.type("heard")
        bob.wait_for_err("Delivered: line 1, 'heard'")
        ann.kill()
        bob.type("lost one", "lost two")
        assert bob.finish(20.0) == 3
        lost = [line for line in bob.err if line.startswith("NOT delivered")]
        assert len(lost) == 2
        assert "line 2, 'lost one'" in lost[0]
        assert "line 3, 'lost two'" in lost[1]
        assert "Not delivered yet: line 2, 'lost one' (still trying)" in bob.err
        assert "Ann does not answer any more: the conversation is over." in bob.err


def test_a_killed_peer_is_missed_even_if_there_is_nothing_to_say() -> None:
    with running() as processes:
        ann, bob = processes.talk("--dead-after", "1")
        ann.kill()
        assert bob.finish(20.0) == 1


def test_a_restarted_listener_ends_the_old_link_and_takes_a_new_call() -> None:
    with running() as processes:
        ann, bob = processes.talk("--json")
        port = bob.wait_for_event("opened")["address"].rpartition(":")[2]
        ann.kill()
        ann, address = processes.listen("--json", "--name", "Ann", at=f"127.0.0.1:{port}")
        started = time.monotonic()
        bob.type("to whom?")
        assert bob.finish() == 3
        assert time.monotonic() - started < 5.0
        assert bob.events("undelivered")[0]["reason"] == "reset"
        assert bob.events("closed")[0]["reason"] == "reset"
        cyn = processes.call(address, "--name", "Cyn")
        cyn.type("a new call")
        assert ann.wait_for_event("message")["text"] == "a new call"


def test_a_reader_that_has_had_enough_ends_it_quietly() -> None:
    ours, theirs = os.pipe()
    with running() as processes:
        ann, address = processes.listen(stdout=theirs)
        os.close(theirs)
        bob = processes.call(address, "--name", "Bob")
        bob.type("one")
        assert os.read(ours, 100) == b"Bob: one\n"
        os.close(ours)
        bob.type("two")
        assert (ann.finish(), bob.finish()) == (141, 0)
        assert "BrokenPipe" not in "".join(ann.err)
        assert not any("print" in line for line in ann.err)

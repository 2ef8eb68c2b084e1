"""Two processes talk, and each says how it ended."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest
from cli_support import running


@pytest.mark.smoke
def test_lines_go_both_ways_and_exit_ends_it_for_both() -> None:
    with running() as processes:
        ann, bob = processes.talk()
        bob.type("hello", "how are you?")
        ann.wait_for_out("Bob: how are you?")
        ann.type("fine")
        bob.wait_for_out("Ann: fine")
        bob.type("exit")
        assert (ann.finish(), bob.finish()) == (0, 0)
        assert ann.out == ["Bob: hello", "Bob: how are you?"]
        assert bob.out == ["Ann: fine"]
        assert "Bob ended the conversation." in ann.err
        assert "You ended the conversation with Ann." in bob.err


@pytest.mark.parametrize("word", ["exit", "EXIT", "  Exit\t"])
def test_exit_from_the_listener_in_any_case(word: str) -> None:
    with running() as processes:
        ann, bob = processes.talk()
        ann.type("bye", word)
        assert (ann.finish(), bob.finish()) == (0, 0)
        assert bob.out == ["Ann: bye"]
        assert "Ann ended the conversation." in bob.err


def test_exit_inside_a_line_is_only_a_word() -> None:
    with running() as processes:
        ann, bob = processes.talk()
        bob.type("exit now?", "exits", "")
        ann.wait_for(lambda: len(ann.out) == 3)
        assert ann.out == ["Bob: exit now?", "Bob: exits", "Bob: "]


def test_the_nameless_are_called_by_their_address() -> None:
    with running() as processes:
        ann, address = processes.listen()
        bob = processes.call(address)
        bob.type("who?")
        ann.type("me")
        bob.wait_for_out(f"{address}: me")
        ann.wait_for(lambda: ann.out)
        assert re.fullmatch(r"127\.0\.0\.1:\d+: who\?", ann.out[0])


def test_text_of_the_peer_cannot_order_the_terminal_about() -> None:
    nasty = "a\x1b[2Jb\rc\td\x7fe\x9bf\u202eg\u2066h\u200fi\u061cj"
    harmless = "a\\x1b[2Jb\\rc\td\\x7fe\\x9bf\\u202eg\\u2066h\\u200fi\\u061cj"
    with running() as processes:
        ann, address = processes.listen("-v")
        bob = processes.call(address, "--name", "B\x1b[31m\u202eob")
        bob.type(nasty)
        ann.wait_for_out(rf"B\x1b[31m\u202eob: {harmless}")
        bob.type("exit")
        assert ann.finish() == 0
        printed = "".join([*ann.out, *ann.err])
        # A tab moves nothing but the cursor, and only forward (M-6).
        assert printed.replace("\t", "").isprintable()


def test_json_has_the_text_as_it_is_in_plain_ascii() -> None:
    with running() as processes:
        ann, bob = processes.talk("--json")
        bob.type("é\x1b[2J\u202e\u2028😀")
        assert ann.wait_for_event("message")["text"] == "é\x1b[2J\u202e\u2028😀"
        assert all(line.isascii() for line in ann.out)


def test_verbose_tells_what_was_delivered() -> None:
    with running() as processes:
        ann, bob = processes.talk("-v")
        bob.type("hello")
        bob.wait_for_err("Delivered: line 1, 'hello'")
        ann.type("exit")
        assert (ann.finish(), bob.finish()) == (0, 0)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_tells_the_other_side(number: int, status: int) -> None:
    with running() as processes:
        ann, bob = processes.talk()
        bob.type("last words")
        ann.wait_for_out("Bob: last words")
        bob.signal(number)
        assert (bob.finish(), ann.finish()) == (status, 0)
        assert "Bob ended the conversation." in ann.err


def test_ctrl_c_ends_a_listener_that_nobody_calls() -> None:
    with running() as processes:
        ann, _ = processes.listen("-k")
        ann.signal(signal.SIGINT)
        assert ann.finish(5.0) == 130


def test_a_second_ctrl_c_does_not_wait_for_a_silent_peer() -> None:
    with running() as processes:
        ann, bob = processes.talk()
        ann.signal(signal.SIGSTOP)
        bob.type("into the void")
        bob.signal(signal.SIGINT)
        bob.wait_for_err("Leaving ...")
        started = time.monotonic()
        bob.signal(signal.SIGINT)
        assert bob.finish() == 130
        assert time.monotonic() - started < 3.0


def test_a_first_ctrl_c_waits_for_a_silent_peer_only_so_long() -> None:
    with running() as processes:
        ann, bob = processes.talk()
        ann.signal(signal.SIGSTOP)
        bob.type("into the void")
        time.sleep(0.5)
        bob.signal(signal.SIGINT)
        assert bob.finish(15.0) == 130
        assert any("NOT delivered" in line and "into the void" in line for line in bob.err)


def test_a_listener_reads_its_input_only_once_somebody_is_there() -> None:
    with running() as processes:
        ann, address = processes.listen("--json")
        ann.type("prepared", "exit")
        time.sleep(0.5)
        assert [one["event"] for one in ann.events()] == ["listening"]
        bob = processes.call(address, "--json")
        assert (ann.finish(), bob.finish()) == (0, 0)
        assert [one["text"] for one in bob.events("message")] == ["prepared"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="counts as Linux does")
def test_an_idle_process_uses_no_cpu() -> None:
    with running() as processes:
        ann, bob = processes.talk()
        before = [one.cpu_seconds() for one in (ann, bob)]
        time.sleep(1.5)
        after = [one.cpu_seconds() for one in (ann, bob)]
        assert max(late - early for early, late in zip(before, after, strict=True)) <= 0.02

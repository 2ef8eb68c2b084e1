"""Escaping, arguments, lines of input, and whom a line is for."""

from __future__ import annotations

import argparse
import errno
import os
import time
from queue import SimpleQueue

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palaver import Timing
from palaver_io.cli.argument_types import take_chance
from palaver_io.cli.arguments import ChatOptions, DemoOptions, parse_arguments
from palaver_io.cli.conversations import Conversation, Conversations, UnclearError
from palaver_io.cli.escape import escape, escape_text, preview
from palaver_io.cli.lines import MAX_TEXT, EndOfInput, Input, Line, LineReader, LineSplitter
from palaver_io.cli.network import HUB, LISTEN, REGISTRY, Service, explain_bind_error, hint_at

# Escaping


@given(st.text(st.characters()))
@pytest.mark.spec("M-6")
def test_nothing_that_is_printed_can_order_a_terminal_about(text: str) -> None:
    escaped = escape(text)
    codes = {ord(character) for character in escaped}
    assert not codes & {*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F}
    assert not codes & {*range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000)}
    assert len(escaped.splitlines()) <= 1


@given(st.text(st.characters()))
@pytest.mark.spec("M-6")
def test_of_what_is_said_tabs_stay_and_nothing_else_that_is_escaped(text: str) -> None:
    shown = escape_text(text)
    assert shown.replace("\t", "\\t") == escape(text)
    assert shown.count("\t") == text.count("\t")


def test_a_table_and_code_stay_as_they_are() -> None:
    assert escape_text("a\tb\t\tc") == "a\tb\t\tc"
    assert escape_text("\tif x:\r\x1b[2J") == "\tif x:" + r"\r\x1b[2J"


def test_what_people_write_stays_as_it_is() -> None:
    text = (
        "na\u00efve \u4f60\u597d \U0001f468\u200d\U0001f469 \\n 'quoted' \u05e9\u05dc\u05d5\u05dd"
    )
    assert escape(text) == text


def test_escapes_are_readable() -> None:
    assert escape("\n\r\t\0\x1b\x9b\u202e") == r"\n\r\t\x00\x1b\x9b\u202e"
    assert preview("x\n" * 100) == "'" + r"x\n" * 30 + "...'"


# Arguments


@pytest.mark.parametrize(
    ("text", "chance"),
    [("0", 0.0), ("1", 1.0), (".25", 0.25), ("20%", 0.2), ("2.5 %", 0.025), ("100%", 1.0)],
)
def test_chances(text: str, chance: float) -> None:
    assert take_chance(text) == pytest.approx(chance)


@pytest.mark.parametrize("text", ["", "%", "-1%", "1.1", "101%", "nan", "inf", "20 per cent"])
def test_no_chances(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        take_chance(text)


def _parse(*arguments: str) -> ChatOptions:
    options = parse_arguments(list(arguments), "0")
    assert isinstance(options, ChatOptions)
    return options


def test_defaults() -> None:
    listen = _parse("listen")
    assert (listen.host, listen.port, listen.name) == ("127.0.0.1", 65432, "")
    assert (listen.max_conversations, listen.keep_open, listen.is_caller) == (1, False, False)
    assert (listen.driver, listen.tcp) == ("blocking", False)
    assert listen.timing == Timing()
    call = _parse("call", "host", "--wait", "--timeout", "2.5")
    assert (call.host, call.port, call.wait, call.timeout) == ("host", 65432, True, 2.5)
    demo = parse_arguments(["demo"], "0")
    assert isinstance(demo, DemoOptions)
    faults = demo.fault_options.faults
    assert (faults.loss, faults.duplicate) == (0.2, 0.1)
    assert (faults.reorder, faults.corrupt) == (0.1, 0.01)


def test_a_shorter_life_shortens_what_leads_up_to_death() -> None:
    short = _parse("listen", "--dead-after", "3").timing
    assert (short.dead_peer, short.overdue, short.keepalive) == (3.0, 1.0, 2.0)
    longer = _parse("listen", "--dead-after", "300").timing
    assert longer == Timing(dead_peer=300.0)


# Lines of input


@given(st.lists(st.binary(max_size=20)), st.integers(1, 7))
def test_lines_are_cut_the_same_however_they_arrive(pieces: list[bytes], size: int) -> None:
    data = b"\n".join(pieces)
    whole, bit_by_bit = LineSplitter(), LineSplitter()
    expected = [*whole.feed(data), *whole.finish()]
    found: list[Line] = []
    for start in range(0, len(data), size):
        found += bit_by_bit.feed(data[start : start + size])
    assert [*found, *bit_by_bit.finish()] == expected
    assert [line.number for line in expected] == list(range(1, len(expected) + 1))
    assert len(expected) == data.count(b"\n") + bool(data and not data.endswith(b"\n"))


def test_a_line_ends_as_the_system_has_it() -> None:
    splitter = LineSplitter()
    lines = [*splitter.feed(b"a\r\nb\n\nc\r\rd"), *splitter.finish()]
    assert [line.text for line in lines] == ["a", "b", "", "c\r\rd"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_longest_line_and_one_byte_more(end: bytes) -> None:
    splitter = LineSplitter()
    longest, longer = splitter.feed(b"x" * MAX_TEXT + end + b"x" * (MAX_TEXT + 1) + end)
    assert (longest.problem, len(longest.text)) == ("", MAX_TEXT)
    assert "more than 65,535 bytes" in longer.problem


def test_a_carriage_return_does_not_hide_what_follows() -> None:
    [line] = LineSplitter().feed(b"x" * MAX_TEXT + b"\r" + b"y\n")
    assert "more than 65,535 bytes" in line.problem


def test_a_line_without_end_takes_no_memory() -> None:
    splitter = LineSplitter()
    for _ in range(100):
        assert not list(splitter.feed(b"x" * 100_000))
    assert len(splitter._rest) <= MAX_TEXT + 2
    [line] = splitter.feed(b"\n")
    assert line.problem


def test_lines_are_read_only_when_asked_for() -> None:
    ours, theirs = os.pipe()
    put: SimpleQueue[Input] = SimpleQueue()
    try:
        reader = LineReader(ours, put.put)
        os.write(theirs, b"one\ntwo\n")
        time.sleep(0.1)
        assert put.empty()
        reader.ask()
        reader.ask()
        assert put.get(timeout=5) == Line(1, "one")
        time.sleep(0.1)
        assert put.empty()
        reader.took()
        reader.ask()
        assert put.get(timeout=5) == Line(2, "two")
    finally:
        os.close(theirs)
    assert put.get(timeout=5) == EndOfInput()
    os.close(ours)


def test_no_stdin_at_all_is_an_end_of_input() -> None:
    put: SimpleQueue[Input] = SimpleQueue()
    LineReader(None, put.put).ask()
    assert put.get(timeout=5) == EndOfInput()


# Whom a line is for


def _gather(*names: str) -> Conversations:
    conversations = Conversations()
    for link, name in enumerate(names, 1):
        conversations.add(Conversation(link, f"10.0.0.{link}:5000", name, is_open=True))
    return conversations


@pytest.mark.parametrize(
    ("line", "link", "text"),
    [
        ("@Ann hello", 1, "hello"),
        ("@ann: hello", 1, "hello"),
        ("@ANN, hello", 1, "hello"),
        ("@Ann  spaced", 1, " spaced"),
        ("@Ann Lee hello", 2, "hello"),
        ("@10.0.0.3:5000 hello", 3, "hello"),
        (r"@x\x1b hello", 4, "hello"),
        ("@10.0.0.1:5000 hello", 1, "hello"),
    ],
)
def test_names_and_addresses_pick_one(line: str, link: int, text: str) -> None:
    conversations = _gather("Ann", "Ann Lee", "", "x\x1b", "10.0.0.1:5000")
    one, said = conversations.pick(line)
    assert (one.link, said) == (link, text)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("@Bob hi", "nobody here is called 'Bob'; here: @Ann, @10.0.0.2:5000, @10.0.0.3:5000"),
        ("@An hi", "nobody here is called 'An'"),
        ("@Anna hi", "nobody here is called 'Anna'"),
        ("@", "nobody here is called ''"),
        ("@Cyn hi", "several here have that name; say @10.0.0.2:5000 or @10.0.0.3:5000 instead"),
        ("@Ann", "there is no text after the name"),
        ("@Ann: ", "there is no text after the name"),
    ],
)
def test_unclear_names_are_explained(line: str, problem: str) -> None:
    conversations = _gather("Ann", "Cyn", "cyn")
    with pytest.raises(UnclearError) as caught:
        conversations.pick(line)
    assert problem in str(caught.value)


def test_those_who_are_leaving_are_not_meant() -> None:
    conversations = _gather("Ann", "Bob")
    first = conversations.current()
    assert first is not None
    assert first.name == "Ann"
    first.has_left = True
    second = conversations.current()
    assert second is not None
    assert second.name == "Bob"
    with pytest.raises(UnclearError):
        conversations.pick("@Ann hi")


# Addresses


@pytest.mark.parametrize(
    ("service", "host", "part"),
    [
        (LISTEN, "127.0.0.1", "call:  palaver call 127.0.0.1:7"),
        (LISTEN, "127.0.0.1", "call:  palaver listen 0.0.0.0:7"),
        (LISTEN, "127.9.9.9", "palaver listen 0.0.0.0:7"),
        (LISTEN, "::1", "palaver listen '[::]:7'"),
        (LISTEN, "192.0.2.1", "Other computers can call:  palaver call 192.0.2.1:7"),
        (LISTEN, "fe80::1%eth0", "palaver call '[fe80::1%eth0]:7'"),
        (HUB, "127.0.0.1", "join:  palaver join 127.0.0.1:7 --name NAME"),
        (HUB, "::1", "palaver hub '[::]:7'"),
        (HUB, "192.0.2.1", "Other computers can join:  palaver join 192.0.2.1:7 --name NAME"),
        (REGISTRY, "127.0.0.1", "palaver peer --registry 127.0.0.1:7 --name NAME"),
    ],
)
def test_who_can_be_reached_says_what_to_type(service: Service, host: str, part: str) -> None:
    lines = hint_at(service, (host, 7), tcp=False)
    assert part in "\n".join(lines)
    assert f"{part} --tcp" in "\n".join(hint_at(service, (host, 7), tcp=True))
    if "Only this" in lines[0]:
        assert lines[0].index("palaver") == lines[1].index("palaver")


@pytest.mark.parametrize("service", [LISTEN, HUB, REGISTRY], ids=lambda one: one.serve)
def test_who_cannot_serve_at_an_address_is_told_another_one(service: Service) -> None:
    in_use = OSError(errno.EADDRINUSE, "in use")
    said = explain_bind_error(in_use, service, "127.0.0.1", 7, tcp=True)
    assert said.endswith(f"Take another port: {service.serve} 127.0.0.1:8 --tcp")
    assert "127.0.0.1:7 is in use" in said
    foreign = OSError(errno.EADDRNOTAVAIL, "not here")
    said = explain_bind_error(foreign, service, "192.0.2.1", 7)
    assert said.endswith(f"To listen on all of them: {service.serve} 0.0.0.0:7")
    forbidden = OSError(errno.EACCES, "no")
    assert "1024" in explain_bind_error(forbidden, service, "127.0.0.1", 7)
    other = OSError(errno.ENOBUFS, "No buffer space available")
    assert explain_bind_error(other, service, "127.0.0.1", 7) == "No buffer space available"

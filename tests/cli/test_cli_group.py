"""`palaver hub` and `palaver join`: real processes on real sockets."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from functools import partial
from itertools import product

import pytest
from cli_support import assert_same, running
from group_processes import FAULTS, LONG, Group, has_heard, post_at_once, resident_kilobytes

needs_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

SETTINGS = [
    ("--driver", driver, *tcp)
    for driver, tcp in product(("blocking", "selectors", "asyncio"), ((), ("--tcp",)))
]


@pytest.mark.parametrize("options", SETTINGS, ids=lambda options: "-".join(options[1:]))
def test_everybody_hears_everybody_else_in_one_order(options: tuple[str, ...]) -> None:
    with running() as processes:
        group = Group(processes, *options)
        for name in ("Ann", "Bob", "Cy"):
            group.join(name, "--wait")
        post_at_once(group, ["Ann", "Bob", "Cy"], 20)
        group.members["Cy"].type("exit")
        assert group.members["Cy"].finish() == 0
        for one in (group.members["Ann"], group.members["Bob"], group.hub):
            one.wait_for_event("left")
        assert group.check("Ann") == 2 + 40 + 1
        assert group.check("Bob") == 1 + 40 + 1
        assert group.check("Cy") == 40
        group.hub.signal(signal.SIGINT)
        assert group.hub.finish() == 130
        for name in ("Ann", "Bob"):
            assert group.members[name].finish() == 0
            (closed,) = group.members[name].events("closed")
            assert closed["reason"] == "shutting-down"


@pytest.mark.smoke
def test_people_see_names_and_texts_and_who_comes_and_goes() -> None:
    with running() as processes:
        hub = processes.start("hub", "127.0.0.1:0", stdin=subprocess.DEVNULL)
        hub.wait_for_err("palaver join")
        address = hub.err[0].removeprefix("The hub is at ").removesuffix(".")
        ann = processes.start("join", address, "--name", "Ann")
        ann.wait_for_err("You are in lobby as Ann. Already here: nobody.")
        bob = processes.start("join", address, "--name", "Bob", "-v")
        bob.wait_for_err("You are in lobby as Bob. Already here: Ann.")
        ann.wait_for_err("Bob is here.")
        bob.type("hello\t\x1b[31mred")
        ann.wait_for_out("Bob: hello\t\\x1b[31mred")
        hub.wait_for_out("Bob: hello\t\\x1b[31mred")
        bob.wait_for_err("1 of 1 have it")
        ann.type("hi")
        bob.wait_for_out("Ann: hi")
        bob.end_input()
        assert bob.finish() == 0
        ann.wait_for_err("Bob has left.")
        hub.wait_for_err("Bob has left.")
        assert ann.out == ["Bob: hello\t\\x1b[31mred"]
        ann.type("exit")
        assert ann.finish() == 0
        ann.wait_for_err("You have left.")


def test_rooms_are_apart_and_newcomers_may_ask_for_what_was_said() -> None:
    with running() as processes:
        group = Group(processes, hub=("--backlog", "2"))
        group.join("Ann", "--wait").type("1", "2", "3")
        group.members["Ann"].wait_for_event("taken", 3)
        group.join("Bob", "--room", "garden", "--wait").type("flowers")
        group.members["Bob"].wait_for_event("taken")
        cy = group.join("Cy", "--backlog", "9")
        cy.wait_for_event("message", 2)
        assert [one["text"] for one in cy.events("message")] == ["2", "3"]
        group.hub.wait_for_event("message", 4)
        rooms = {one["text"]: one["room"] for one in group.hub.events("message")}
        assert rooms == {"1": "lobby", "2": "lobby", "3": "lobby", "flowers": "garden"}


def test_a_name_that_is_taken_is_refused_with_a_suggestion() -> None:
    with running() as processes:
        group = Group(processes)
        group.join("Ann", "--wait")
        twin = processes.start("join", group.address, "--name", "ANN", "--json")
        assert twin.finish() == 1
        (refused,) = twin.events("refused")
        assert (refused["reason"], refused["suggestion"]) == ("name-taken", "ANN-2")


def test_who_was_killed_gets_its_name_back_in_a_few_seconds() -> None:
    with running() as processes:
        group = Group(processes)
        ann = group.join("Ann", "--wait")
        bob = group.join("Bob", "--wait")
        bob.signal(signal.SIGKILL)
        bob.finish()
        began = time.monotonic()
        again = group.join("Bob", "--wait")
        seconds = time.monotonic() - began
        # The hub gives the old one 5 s; the rest is for starting a program on a busy machine.
        assert 4 < seconds < 9
        ann.wait_for_event("left")
        assert [one["how"] for one in ann.events("left")] == ["lost"]
        again.type("back")
        ann.wait_for_event("message")
        group.hub.wait_for_event("message")  # which it prints when it has passed it on
        assert group.check("Ann") == 4


def test_lines_from_a_pipe_are_all_taken_before_the_member_leaves() -> None:
    with running() as processes:
        group = Group(processes, *FAULTS)
        ann = group.join("Ann", "--wait")
        bob = processes.start("join", group.address, "--name", "Bob", "--json", *FAULTS)
        lines = [f"{number}" for number in range(600)]
        bob.type(*lines)
        bob.end_input()
        assert bob.finish(LONG) == 0
        assert_same([one["line"] for one in bob.events("taken")], range(1, 601))
        ann.wait_for_event("left")
        assert_same([one["text"] for one in ann.events("message")], lines)


def test_lines_that_the_hub_never_got_are_told_and_give_exit_status_3() -> None:
    with running() as processes:
        group = Group(processes, "--dead-after", "1")
        ann = group.join("Ann")
        group.hub.signal(signal.SIGKILL)
        ann.type("lost")
        ann.wait_for_event("interrupted")
        ann.signal(signal.SIGTERM)
        assert ann.finish() == 143
        assert [one["line"] for one in ann.events("undelivered")] == [1]


def test_lines_behind_exit_are_told_of_and_give_exit_status_3() -> None:
    with running() as processes:
        group = Group(processes)
        bob = group.join("Bob", "--wait")
        ann = group.join("Ann")
        ann.type("one", "exit", "two", "three")
        assert ann.finish() == 3
        assert [one["line"] for one in ann.events("taken")] == [1]
        assert [one["line"] for one in ann.events("unsent")] == [3]
        bob.type("exit")
        assert bob.finish() == 0
        assert [one["text"] for one in bob.events("message")] == ["one"]


def test_nobody_answers() -> None:
    with running() as processes:
        ann = processes.start("join", "127.0.0.1:9", "--name", "Ann", "--timeout", "1")
        assert ann.finish() == 1
        ann.wait_for_err("palaver hub")


@pytest.mark.parametrize(
    "arguments",
    [
        ("join",),
        ("join", "--name", ""),
        ("join", "--name", "x" * 65),
        ("join", "--name", "B\u202eob"),
        ("join", "--name", "x", "--room", "y" * 33),
        ("join", "127.0.0.1:0", "--name", "x"),
        ("hub", "1:2:3"),
        ("hub", "--backlog", "9999"),
        ("hub", "--tcp", "--loss", "0.1"),
    ],
)
def test_wrong_usage_gives_exit_status_2(arguments: tuple[str, ...]) -> None:
    with running() as processes:
        process = processes.start(*arguments)
        assert process.finish() == 2
        assert "--help" in process.err[-1]


def test_an_address_in_use_is_explained() -> None:
    with running() as processes:
        group = Group(processes)
        other = processes.start("hub", group.address)
        assert other.finish() == 1
        other.wait_for_err("is another `palaver hub` running?")


def test_five_members_post_at_once_over_a_bad_network() -> None:
    names = ["Ann", "Bob", "Cy", "Dan", "Eve"]
    with running() as processes:
        group = Group(processes, *FAULTS)
        for name in names:
            group.join(name, "--wait")
        post_at_once(group, names, 100)
        group.members["Eve"].type("exit")
        assert group.members["Eve"].finish() == 0
        for one in (*(group.members[name] for name in names[:4]), group.hub):
            one.wait_for_event("left")
        for name in names:
            group.check(name)


@pytest.mark.parametrize("tcp", [(), ("--tcp",)], ids=["udp", "tcp"])
def test_a_hub_that_was_killed_and_started_again_is_joined_anew(tcp: tuple[str, ...]) -> None:
    with running() as processes:
        # With it, who is silent looks sooner whether the hub is still there.
        group = Group(processes, "--dead-after", "4", *tcp)
        ann = group.join("Ann", "--wait")
        bob = group.join("Bob", "--wait")
        group.hub.signal(signal.SIGKILL)
        group.hub.finish()
        ann.type("before it is back")
        hub = processes.start("hub", group.address, "--json", *tcp)
        for member in (ann, bob):
            member.wait_for_event("entered", 2)
        ann.type("after")
        bob.wait_for(lambda: "after" in [one["text"] for one in bob.events("message")])
        # What was sent to the old one may have been lost with it, and that is said. Over TCP it is
        # known at once that the old one is gone, perhaps before the line was sent.
        lost = [one["line"] for one in ann.events("undelivered")]
        assert lost == [1] if not tcp else lost in ([], [1])
        expected = ["after"] if lost else ["before it is back", "after"]
        hub.wait_for_event("message", len(expected))
        assert [one["text"] for one in hub.events("message")] == expected


@needs_linux
@pytest.mark.parametrize("tcp", [(), ("--tcp",)], ids=["udp", "tcp"])
def test_a_stopped_member_is_dropped_and_comes_back_and_the_others_go_on(
    tcp: tuple[str, ...],
) -> None:
    texts = ["warm up", *(f"{number}" for number in range(4000)), "welcome back"]
    with running() as processes:
        group = Group(processes, *tcp)
        ann, bob, cy = (group.join(name, "--wait") for name in ("Ann", "Bob", "Cy"))
        ann.type("warm up")
        bob.wait_for_event("message")
        cy.wait_for_event("message")
        before = resident_kilobytes(group.hub)
        cy.signal(signal.SIGSTOP)
        try:
            ann.type(*texts[1:-1])
            bob.wait_for(lambda: len(bob.out) >= len(texts), LONG)
            dropped = group.hub.wait_for_event("left")
            assert (dropped["name"], dropped["how"]) == ("Cy", "dropped")
            assert dropped["reason"] == "overwhelmed"
            assert resident_kilobytes(group.hub) - before < 32 * 1024
        finally:
            cy.signal(signal.SIGCONT)
        cy.wait_for_event("entered", 2)
        ann.type(texts[-1])
        for one in (bob, cy):
            one.wait_for(partial(has_heard, one, texts[-1]))
        assert [one["how"] for one in cy.events("entered")][1] == "gap"
        assert cy.events("interrupted")[0]["reason"] == "overwhelmed"
        assert_same([one["text"] for one in bob.events("message")], texts)
        numbers = [one["number"] for one in cy.events("message")]
        assert_same(numbers, sorted(set(numbers)))

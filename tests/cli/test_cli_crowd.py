"""A listener that talks to several at a time."""

from __future__ import annotations

import signal

from cli_support import Process, Processes, running


def _start_three(processes: Processes, *options: str) -> tuple[Process, Process, Process]:
    hub, address = processes.listen("--max", "2", "-k", "--name", "Hub", *options)
    ann = processes.call(address, "--name", "Ann")
    hub.wait_for_err("Ann (")
    bob = processes.call(address, "--name", "Bob Lee")
    hub.wait_for_err("Bob Lee (")
    return hub, ann, bob


def test_a_line_answers_whoever_spoke_last() -> None:
    with running() as processes:
        hub, ann, bob = _start_three(processes)
        hub.type("before anyone spoke, for the first who came")
        ann.wait_for_out("Hub: before anyone spoke, for the first who came")
        bob.type("hi")
        hub.wait_for_out("Bob Lee: hi")
        hub.type("hi Bob")
        bob.wait_for_out("Hub: hi Bob")
        ann.type("me too")
        hub.wait_for_out("Ann: me too")
        hub.type("hi Ann")
        ann.wait_for_out("Hub: hi Ann")
        assert bob.out == ["Hub: hi Bob"]


def test_a_name_or_an_address_picks_one() -> None:
    with running() as processes:
        hub, ann, bob = _start_three(processes)
        where = next(line for line in hub.err if line.startswith("Ann (")).split("(")[1]
        hub.type("@bob lee to you", "@BOB LEE: and you", f"@{where.split(')')[0]} by address")
        hub.type("@nobody at all", "@", "@@home")
        ann.wait_for_out("Hub: @home")
        assert ann.out == ["Hub: by address", "Hub: @home"]
        bob.wait_for_out("Hub: and you")
        assert bob.out == ["Hub: to you", "Hub: and you"]
        # Its stderr comes another way than what it sent to the others, and perhaps later.
        hub.wait_for_err("NOT sent: line 5")
        problems = [line for line in hub.err if line.startswith("NOT sent")]
        here = "here: @Ann, @Bob Lee"
        assert problems == [
            f"NOT sent: line 4, '@nobody at all': nobody here is called 'nobody'; {here}",
            f"NOT sent: line 5, '@': nobody here is called ''; {here}",
        ]
        hub.signal(signal.SIGINT)
        assert (ann.finish(), bob.finish(), hub.finish()) == (0, 0, 130)


def test_exit_ends_one_conversation_and_the_others_go_on() -> None:
    with running() as processes:
        hub, ann, bob = _start_three(processes)
        hub.type("@Ann exit", "still there?")
        assert ann.finish() == 0
        bob.wait_for_out("Hub: still there?")
        bob.type("yes")
        hub.wait_for_out("Bob Lee: yes")


def test_a_third_is_told_busy_and_welcome_later() -> None:
    with running() as processes:
        hub, ann, _ = _start_three(processes)
        address = next(line for line in hub.err if line.startswith("Listening on")).split()[-1]
        cyn = processes.call(address.removesuffix("."), "--name", "Cyn")
        assert cyn.finish() == 1
        ann.type("exit")
        assert ann.finish() == 0
        cyn = processes.call(address.removesuffix("."), "--name", "Cyn")
        cyn.type("now?")
        hub.wait_for_out("Cyn: now?")


def test_without_keep_open_it_ends_with_the_last_conversation() -> None:
    with running() as processes:
        hub, address = processes.listen("--max", "3")
        ann, bob = (processes.call(address, "--name", name) for name in ("Ann", "Bob"))
        hub.wait_for(lambda: "Ann (" in "".join(hub.err) and "Bob (" in "".join(hub.err))
        ann.type("exit")
        assert ann.finish() == 0
        bob.type("I am still here")
        hub.wait_for_out("Bob: I am still here")
        bob.type("exit")
        assert (bob.finish(), hub.finish()) == (0, 0)


def test_namesakes_are_told_apart_by_their_addresses() -> None:
    with running() as processes:
        hub, address = processes.listen("--max", "3")
        first = processes.call(address, "--name", "Ann")
        hub.wait_for_err("Ann (")
        second = processes.call(address, "--name", "ANN")
        hub.wait_for_err("ANN (")
        first.type("it is me")
        hub.wait_for(lambda: hub.out)
        assert hub.out[0].startswith("Ann (127.0.0.1:")
        assert hub.out[0].endswith("): it is me")
        hub.type("@ann which one?")
        hub.wait_for_err("several here have that name; say @127.0.0.1:")
        assert not second.out

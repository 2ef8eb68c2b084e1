"""`--plain` and `--plain-too` with what people have already: short programs, and netcat."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from cli_support import Process, Processes, running
from plain_programs import (
    GROUP_CLIENT,
    TCP_CLIENT,
    TCP_SERVER,
    UDP_CLIENT,
    UDP_SERVER,
    Programs,
    is_bound,
    programs,
    wait_until,
)

from palaver_io.cli.arguments import DRIVERS

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")

each_driver = pytest.mark.parametrize("driver", DRIVERS)
ALL_WAYS = [
    (driver, who, tcp)
    for driver in DRIVERS
    for tcp in (False, True)
    for who in ("palaver", "other")
]
WAY_NAMES = [f"{driver}-{who}-{'tcp' if tcp else 'udp'}" for driver, who, tcp in ALL_WAYS]
each_end = pytest.mark.parametrize(("driver", "ender", "tcp"), ALL_WAYS, ids=WAY_NAMES)
each_beginning = pytest.mark.parametrize(("driver", "first", "tcp"), ALL_WAYS, ids=WAY_NAMES)
each_way = pytest.mark.parametrize(
    ("driver", "tcp"),
    [("blocking", True), ("selectors", False), ("asyncio", False), ("asyncio", True)],
    ids=["blocking-tcp", "selectors-udp", "asyncio-udp", "asyncio-tcp"],
)


@pytest.fixture
def palaver() -> Iterator[Processes]:
    with running() as processes:
        yield processes


@pytest.fixture
def others() -> Iterator[Programs]:
    with programs() as found:
        yield found


def free_port(*, tcp: bool) -> int:
    kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def options(driver: str, *, tcp: bool, plain: str = "--plain") -> tuple[str, ...]:
    return ("--driver", driver, plain, *(("--tcp",) if tcp else ()))


def listen(palaver: Processes, *arguments: str) -> tuple[Process, str]:
    listener, address = palaver.listen(*arguments)
    return listener, address.rpartition(":")[2]


def heard(process: Process, text: str) -> None:
    """Wait until somebody with plain text was heard to say something."""
    process.wait_for(lambda: any(line.endswith(f" (plain): {text}") for line in process.out))


# Programs like those that all this began with


@each_end
def test_a_simple_client_talks_with_a_listener(
    palaver: Processes, others: Programs, driver: str, ender: str, *, tcp: bool
) -> None:
    bob, port = listen(palaver, *options(driver, tcp=tcp))
    ann = others.python(TCP_CLIENT if tcp else UDP_CLIENT, port)
    ann.type("hello, Bob")
    heard(bob, "hello, Bob")
    bob.type("hello yourself")
    ann.wait_for("heard: hello yourself\n")
    if ender == "palaver":
        ann.type("so?")
        heard(bob, "so?")
        bob.type("EXIT")
        ann.wait_for("heard: exit\n")
    else:
        ann.type("Exit")
    ann.wait_for("over")
    assert (ann.finish(), bob.finish()) == (0, 0)
    assert not [line for line in bob.out if line.lower().endswith(": exit")]


@each_end
def test_a_simple_server_talks_with_a_caller(
    palaver: Processes, others: Programs, driver: str, ender: str, *, tcp: bool
) -> None:
    bob = others.python(TCP_SERVER if tcp else UDP_SERVER, "0")
    bob.wait_for("\n")
    port = bob.out.split()[2].decode()
    ann = palaver.call(f"127.0.0.1:{port}", *options(driver, tcp=tcp))
    ann.wait_for_err("Talking to")
    ann.type("hello, Bob")
    bob.wait_for("heard: hello, Bob\n")
    bob.type("hello yourself")
    heard(ann, "hello yourself")
    if ender == "palaver":
        ann.type("exit")
        bob.wait_for("heard: exit\n")
    else:
        ann.type("so?")
        bob.wait_for("heard: so?\n")
        bob.type("exit")
    bob.wait_for("over")
    assert (bob.finish(), ann.finish()) == (0, 0)


@pytest.mark.smoke
@each_driver
def test_a_group_of_simple_clients(palaver: Processes, others: Programs, driver: str) -> None:
    plain = ("--json", *options(driver, tcp=False))
    hub = palaver.start("hub", "127.0.0.1:0", *plain, stdin=subprocess.DEVNULL)
    port = str(hub.wait_for_event("listening")["port"])
    names = ["Ryo", "Hilmi", "Cy"]
    clients = {name: others.python(GROUP_CLIENT, port, name) for name in names}
    for count, name in enumerate(names, start=1):
        clients[name].type("Hii")
        hub.wait_for_event("message", count)
    clients["Cy"].type("hello, all")
    for name in ("Ryo", "Hilmi"):
        clients[name].wait_for("heard: Cy : hello, all\n")
    clients["Ryo"].wait_for("heard: Hilmi : Hii\n")
    clients["Cy"].wait_for("ready\n")
    assert clients["Cy"].out == b"ready\n"
    hub.wait_for_event("message", 4)
    assert [(one["name"], one["text"], one["plain"]) for one in hub.events("message")] == [
        *((f"{name} (plain)", "Hii", True) for name in names),
        ("Cy (plain)", "hello, all", True),
    ]
    hub.signal(signal.SIGINT)
    for client in clients.values():
        client.wait_for("heard: exit\n")
    assert hub.finish() == 130


# Netcat


@each_end
def test_netcat_talks_with_a_listener(
    palaver: Processes, others: Programs, driver: str, ender: str, *, tcp: bool
) -> None:
    bob, port = listen(palaver, *options(driver, tcp=tcp))
    ann = others.netcat(*(() if tcp else ("-u",)), "127.0.0.1", port)
    ann.type("hello, Bob")
    heard(bob, "hello, Bob")
    bob.type("hello", "yourself")
    ann.wait_for("hello\nyourself\n")
    (bob if ender == "palaver" else ann).type("exit")
    assert bob.finish() == 0
    if ender == "palaver":
        ann.wait_for("exit\n")
        assert "You ended the conversation" in bob.err[-1]
    else:
        assert "(plain) ended the conversation" in bob.err[-1]


@each_beginning
def test_netcat_is_called_whoever_is_there_first(
    palaver: Processes, others: Programs, driver: str, first: str, *, tcp: bool
) -> None:
    port = free_port(tcp=tcp)
    address = f"127.0.0.1:{port}"
    udp = () if tcp else ("-u",)
    ann = None
    if first == "palaver":
        ann = palaver.call(address, *options(driver, tcp=tcp))
        # Over TCP it goes on trying; on datagrams it can't know, and only says what it is told.
        ann.wait_for_err("Calling" if tcp else "Talking to")
        if not tcp:
            ann.type("too early")
            ann.wait_for_err("Nothing seems to listen")
    bob = others.netcat(*udp, "-l", "127.0.0.1", str(port))
    wait_until(lambda: is_bound(port, tcp=tcp), "netcat's socket")
    ann = ann or palaver.call(address, *options(driver, tcp=tcp))
    ann.wait_for_err("Talking to")
    ann.type("hello, Bob")
    bob.wait_for("hello, Bob")
    bob.type("hello yourself")
    heard(ann, "hello yourself")
    ann.type("how", "are you?")
    bob.wait_for("how\nare you?\n")
    (ann if first == "other" else bob).type("exit")
    assert ann.finish() == 0


# One port for both


@pytest.mark.parametrize(
    ("driver", "tcp"),
    [*((driver, False) for driver in DRIVERS), ("blocking", True)],
    ids=[*DRIVERS, "tcp"],
)
def test_two_with_palaver_and_two_with_netcat_see_everything_once(
    palaver: Processes, others: Programs, driver: str, *, tcp: bool
) -> None:
    tcp_option = ("--tcp",) if tcp else ()
    hub = palaver.start(
        "hub", "127.0.0.1:0", "--json", *options(driver, tcp=tcp, plain="--plain-too")
    )
    address = hub.wait_for_event("listening")["address"]
    port = address.rpartition(":")[2]
    members = {
        name: palaver.start("join", address, "--name", name, "--json", "--wait", *tcp_option)
        for name in ("Ann", "Bob")
    }
    for member in members.values():
        member.wait_for_event("entered")
    netcats = [others.netcat(*(() if tcp else ("-u",)), "127.0.0.1", port) for _ in range(2)]
    netcats[0].type("Cy : I am Cy")
    hub.wait_for_event("message", 1)
    netcats[1].type("I have no name")
    hub.wait_for_event("message", 2)
    for count, (name, member) in enumerate(members.items(), start=3):
        member.type(f"{name} speaks")
        hub.wait_for_event("message", count)
    netcats[0].type("Cy : and again")
    hub.wait_for_event("message", 5)
    nameless = hub.events("message")[1]["name"]
    assert nameless.endswith(" (plain)")
    said = [
        ("Cy (plain)", "I am Cy"),
        (nameless, "I have no name"),
        ("Ann", "Ann speaks"),
        ("Bob", "Bob speaks"),
        ("Cy (plain)", "and again"),
    ]
    assert [(one["name"], one["text"]) for one in hub.events("message")] == said
    for name, member in members.items():
        member.wait_for_event("message", 4)
        found = [(one["name"], one["text"]) for one in member.events("message")]
        assert found == [one for one in said if one[0] != name]
    netcats[0].wait_for("Bob : Bob speaks\n")
    netcats[1].wait_for("Cy : and again\n")
    assert netcats[0].out == b"I have no name\nAnn : Ann speaks\nBob : Bob speaks\n"
    assert netcats[1].out == b"Ann : Ann speaks\nBob : Bob speaks\nCy : and again\n"
    netcats[0].type("exit")
    members["Ann"].wait_for_event("left")
    assert members["Ann"].events("left")[0]["name"] == "Cy (plain)"
    hub.signal(signal.SIGINT)
    netcats[1].wait_for("exit\n")
    assert hub.finish() == 130


@each_way
def test_a_listener_for_both_says_which_is_which(
    palaver: Processes, others: Programs, driver: str, *, tcp: bool
) -> None:
    both = options(driver, tcp=tcp, plain="--plain-too")
    bob, port = listen(palaver, "--name", "Bob", "-k", *both)
    bob.wait_for_err("Plain text promises nothing")
    bob.wait_for_err("palaver call")
    ann = palaver.call(f"127.0.0.1:{port}", "--name", "Ann", *(("--tcp",) if tcp else ()))
    ann.type("hello")
    bob.wait_for_out("Ann: hello")
    cy = others.netcat(*(() if tcp else ("-u",)), "127.0.0.1", port)
    cy.type("hello from Cy")
    heard(bob, "hello from Cy")
    who = bob.out[-1].removesuffix(" (plain): hello from Cy")
    bob.type("@Ann to Ann", f"@{who} to Cy")
    ann.wait_for_out("Bob: to Ann")
    cy.wait_for("to Cy\n")
    ann.type("exit")
    assert ann.finish() == 0
    cy.type("exit")
    bob.wait_for_err("(plain) ended the conversation")
    bob.signal(signal.SIGINT)
    assert bob.finish() == 130


# Programs and pipes


@each_way
def test_lines_of_a_pipe_all_go_out_and_the_events_are_json(
    palaver: Processes, driver: str, *, tcp: bool
) -> None:
    bob, address = palaver.listen("--json", *options(driver, tcp=tcp))
    ann = palaver.call(address, "--json", *options(driver, tcp=tcp))
    lines = [f"line {number}" for number in range(120)]
    ann.type(*lines)
    ann.end_input()
    assert (ann.finish(), bob.finish()) == (0, 0)
    assert [one["text"] for one in bob.events("message")] == lines
    assert [one["line"] for one in ann.events("sent")] == list(range(1, 121))
    (opened,) = bob.events("opened")
    assert (opened["plain"], opened["link"], opened["name"]) == (True, -1, "")
    assert bob.events("closed")[0]["by"] == "peer"
    assert not ann.events("delivered")


def test_a_listener_that_is_slow_to_print_loses_nothing_over_a_stream(
    palaver: Processes, others: Programs
) -> None:
    bob, port = listen(palaver, "--plain", "--tcp")
    bob.signal(signal.SIGSTOP)
    ann = others.netcat("-N", "127.0.0.1", port)
    ann.type(*(f"line {number}" for number in range(20_000)))
    time.sleep(0.2)
    bob.signal(signal.SIGCONT)
    ann.type("exit")
    assert bob.finish() == 0
    assert len(bob.out) == 20_000
    assert bob.out[-1].endswith("(plain): line 19999")


@pytest.mark.parametrize(
    ("driver", "number", "status"),
    [
        ("blocking", signal.SIGINT, 130),
        ("selectors", signal.SIGTERM, 143),
        ("asyncio", signal.SIGINT, 130),
    ],
)
def test_a_signal_says_exit(
    palaver: Processes, others: Programs, driver: str, number: int, status: int
) -> None:
    bob, port = listen(palaver, *options(driver, tcp=False))
    ann = others.python(UDP_CLIENT, port)
    ann.type("hello")
    heard(bob, "hello")
    bob.signal(number)
    ann.wait_for("heard: exit\n")
    assert (bob.finish(), ann.finish()) == (status, 0)


@each_driver
def test_who_calls_nobody_is_told_and_gets_exit_status_1(palaver: Processes, driver: str) -> None:
    ann = palaver.call(f"127.0.0.1:{free_port(tcp=False)}", *options(driver, tcp=False))
    ann.type("anybody?")
    ann.end_input()
    assert ann.finish() == 1
    assert "what you said is likely lost" in ann.err[-1]
    late = palaver.call(
        f"127.0.0.1:{free_port(tcp=True)}", "--timeout", "0.4", *options(driver, tcp=True)
    )
    assert late.finish() == 1
    assert "No answer" in late.err[-1]


def test_control_characters_reach_nobodys_terminal(palaver: Processes, others: Programs) -> None:
    hub = palaver.start("hub", "127.0.0.1:0", "--plain-too")
    hub.wait_for_err("Plain text promises nothing")
    address = hub.err[0].removeprefix("The hub is at ").removesuffix(".")
    ann = palaver.start("join", address, "--name", "Ann")
    ann.wait_for_err("You are in lobby")
    cy = others.netcat("-u", "127.0.0.1", address.rpartition(":")[2])
    cy.type("Cy : \x1b[2J\u202e")
    hub.wait_for_out("Cy (plain): \\x1b[2J\\u202e")
    ann.wait_for_out("Cy (plain): \\x1b[2J\\u202e")
    ann.type("\x1b]0;you\x07")
    cy.wait_for("Ann : \ufffd]0;you\ufffd\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("listen", "--plain", "--plain-too"),
        ("listen", "--plain", "--name", "Ann"),
        ("listen", "--plain", "--dead-after", "5"),
        ("call", "127.0.0.1", "--plain-too"),
        ("hub", "--plain", "--backlog", "5"),
        ("join", "--name", "Ann", "--plain"),
        ("listen", "--plain", "--tcp", "--loss", "0.1"),
    ],
)
def test_wrong_usage_gives_exit_status_2(palaver: Processes, arguments: tuple[str, ...]) -> None:
    process = palaver.start(*arguments)
    assert process.finish() == 2
    assert "--help" in process.err[-1]

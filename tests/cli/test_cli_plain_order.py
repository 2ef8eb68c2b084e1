"""Plain text with programs that were there before us, or come after, and netcat at a plain hub."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from cli_support import Processes, running
from plain_programs import (
    TCP_SERVER,
    UDP_CLIENT,
    UDP_SERVER,
    Programs,
    programs,
)
from test_cli_plain import free_port, heard, options

from palaver_io.cli.arguments import DRIVERS

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")

each_driver = pytest.mark.parametrize("driver", DRIVERS)

# As UDP_CLIENT, but it goes on when nobody answers: else its first loss would be its end.
PATIENT_UDP_CLIENT = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.settimeout(0.3)
    print("ready")
    while True:
        line = input()
        sock.sendto(line.encode(), ("127.0.0.1", int(sys.argv[1])))
        print("said:", line)
        if line.lower() == "exit":
            break
        try:
            print("heard:", sock.recvfrom(1024)[0].decode())
        except TimeoutError:
            print("nothing heard")
print("over")
"""
# As TCP_CLIENT, but begun by somebody who tries until the other side is there.
PATIENT_TCP_CLIENT = """
import socket, sys, time
while True:
    try:
        sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        break
    except ConnectionRefusedError:
        print("nobody there")
        time.sleep(0.05)
with sock:
    print("ready")
    while True:
        line = input()
        sock.sendall(line.encode())
        if line.lower() == "exit":
            break
        text = sock.recv(1024).decode()
        print("heard:", text)
        if text.lower() == "exit":
            break
print("over")
"""


@pytest.fixture
def palaver() -> Iterator[Processes]:
    with running() as processes:
        yield processes


@pytest.fixture
def others() -> Iterator[Programs]:
    with programs() as found:
        yield found


@each_driver
def test_what_a_client_said_before_there_was_a_listener_is_lost_and_no_more(
    palaver: Processes, others: Programs, driver: str
) -> None:
    port = str(free_port(tcp=False))
    ann = others.python(PATIENT_UDP_CLIENT, port)
    ann.type("too early")
    ann.wait_for("nothing heard\n")
    bob, _ = palaver.listen(*options(driver, tcp=False), at=f"127.0.0.1:{port}")
    ann.type("hello, Bob")
    heard(bob, "hello, Bob")
    ann.type("and again")
    heard(bob, "and again")
    ann.type("exit")
    ann.wait_for("over")
    assert (ann.finish(), bob.finish()) == (0, 0)
    texts = [line.partition(" (plain): ")[2] for line in bob.out]
    assert texts == ["hello, Bob", "and again"]
    assert sum("is here" in line for line in bob.err) == 1


@each_driver
def test_a_client_that_was_there_first_gets_through_over_a_stream(
    palaver: Processes, others: Programs, driver: str
) -> None:
    port = str(free_port(tcp=True))
    ann = others.python(PATIENT_TCP_CLIENT, port)
    ann.type("said early")
    ann.wait_for("nobody there\n")
    bob, _ = palaver.listen(*options(driver, tcp=True), at=f"127.0.0.1:{port}")
    heard(bob, "said early")  # nothing was sent before somebody was there
    bob.type("hello, Ann")
    ann.wait_for("heard: hello, Ann\n")
    ann.type("exit")
    assert (ann.finish(), bob.finish()) == (0, 0)


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@each_driver
def test_a_simple_server_that_comes_after_the_caller(
    palaver: Processes, others: Programs, driver: str, *, tcp: bool
) -> None:
    port = free_port(tcp=tcp)
    ann = palaver.call(f"127.0.0.1:{port}", *options(driver, tcp=tcp))
    if tcp:
        ann.wait_for_err("Calling")
    else:
        # On datagrams nobody can know, until something comes back.
        ann.wait_for_err("Talking to")
        ann.type("too early")
        ann.wait_for_err("Nothing seems to listen")
    bob = others.python(TCP_SERVER if tcp else UDP_SERVER, str(port))
    bob.wait_for("listening at")
    if tcp:
        ann.wait_for_err("Talking to")
    ann.type("hello, Bob")
    bob.wait_for("heard: hello, Bob\n")
    bob.type("hello yourself")
    heard(ann, "hello yourself")
    ann.type("exit")
    bob.wait_for("heard: exit\n")
    bob.wait_for("over")
    assert bob.finish() == 0
    assert ann.finish() == 0
    assert b"too early" not in bob.out


@each_driver
def test_netcat_and_a_program_at_a_plain_hub(
    palaver: Processes, others: Programs, driver: str
) -> None:
    plain = ("--json", *options(driver, tcp=False))
    hub = palaver.start("hub", "127.0.0.1:0", *plain, stdin=subprocess.DEVNULL)
    port = str(hub.wait_for_event("listening")["port"])
    ann, bob = (others.netcat("-u", "127.0.0.1", port) for _ in "ab")
    cid = others.python(UDP_CLIENT, port)
    ann.type("Ann : I am Ann")
    hub.wait_for_event("message", 1)
    bob.type("I have no name")
    hub.wait_for_event("message", 2)
    ann.wait_for("I have no name\n")
    cid.type("Cid : I am a program")
    hub.wait_for_event("message", 3)
    for one in (ann, bob):
        one.wait_for("Cid : I am a program\n")
    # What netcat reads at once is one datagram, and so one message.
    bob.type("one")
    hub.wait_for_event("message", 4)
    bob.type("two")
    hub.wait_for_event("message", 5)
    ann.wait_for("one\ntwo\n")
    assert ann.out == b"I have no name\nCid : I am a program\none\ntwo\n"
    assert bob.out == b"Cid : I am a program\n"
    said = [(one["text"], one["plain"]) for one in hub.events("message")]
    assert said == [
        (text, True) for text in ("I am Ann", "I have no name", "I am a program", "one", "two")
    ]
    # Who says exit is out, and the others go on.
    ann.type("exit")
    hub.wait_for_event("left")
    bob.type("still here")
    hub.wait_for_event("message", 6)
    cid.wait_for("heard: one\n")
    hub.signal(signal.SIGINT)
    bob.wait_for("exit\n")
    assert hub.finish() == 130
    assert b"still here" not in ann.out

"""What only the selectors driver does: to live in a loop that is somebody else's."""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from io_support import FAST, PATIENCE, Break, Do, Recorder, Ring, Told, leaving_nothing_behind

from palaver import Call, Closed, Delivered, Duo, Leave, Notice, Said, Say, UsageError
from palaver_io import DriverFailed, SelectorsDriver, UdpPort, open_udp_socket
from palaver_io.opening import open_caller, open_listener
from palaver_io.port import Port

pytestmark = pytest.mark.smoke


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


class Loop:
    """A program's own loop: it has a socket of its own in its selector."""

    def __init__(self, machine: Recorder) -> None:
        self.selector = selectors.DefaultSelector()
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.selector.register(self.ours, selectors.EVENT_READ, "ours")
        self.heard: list[Notice] = []
        self.read: list[bytes] = []
        port = UdpPort(open_udp_socket("127.0.0.1", 0))
        self.driver = SelectorsDriver(machine, port, self.heard.append, selector=self.selector)
        self.turns = 0

    def turn(self) -> None:
        ready = self.selector.select(self.driver.timeout())
        self.driver.ready(ready)
        self.turns += 1
        self.read += [self.ours.recv(100) for key, _ in ready if key.data == "ours"]

    def close(self) -> None:
        self.driver.close()
        assert [key.data for key in self.selector.get_map().values()] == ["ours"]
        self.selector.close()
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def machine() -> Recorder:
    return Recorder()


@pytest.fixture
def loop(machine: Recorder) -> Iterator[Loop]:
    loop = Loop(machine)
    yield loop
    loop.close()


def test_a_program_s_loop_runs_both(loop: Loop) -> None:
    assert loop.driver.timeout() is None
    with open_udp_socket("127.0.0.1", 0) as peer:
        peer.sendto(b"x", loop.driver.address)
        loop.turn()
        assert loop.heard == [Told("tick")]
        loop.theirs.send(b"for the program")
        loop.turn()
    assert loop.read == [b"for the program"]
    assert len(loop.heard) == 1


def test_the_deadline_is_the_program_s_timeout(loop: Loop) -> None:
    began = time.monotonic()
    loop.driver.perform(Ring(began + 0.05))
    assert 0 < (loop.driver.timeout() or 0) <= 0.05
    assert loop.driver.deadline == began + 0.05
    while not loop.heard:
        loop.turn()
        assert loop.turns < 5
    assert time.monotonic() - began >= 0.05
    assert loop.driver.timeout() is None


def test_waking_the_program_s_loop_up(loop: Loop) -> None:
    timer = threading.Timer(0.02, loop.driver.wake)
    timer.start()
    loop.turn()
    timer.join(PATIENCE)
    loop.driver.wake()
    loop.turn()
    assert loop.turns == 2
    assert loop.selector.select(0) == []


def test_waiting_in_the_driver_does_not_spin_on_what_is_the_program_s(
    loop: Loop, machine: Recorder
) -> None:
    loop.theirs.send(b"for later")
    before = time.process_time()
    assert not loop.driver.wait_until(lambda: False, 0.3)
    assert time.process_time() - before < 0.01
    loop.turn()
    assert loop.read == [b"for later"]


def test_one_can_not_turn_within_on_notice(machine: Recorder) -> None:
    refused: list[str] = []

    def on_notice(notice: Notice) -> None:
        for verb in (driver.turn, driver.ready):
            with pytest.raises(UsageError) as caught:
                verb()
            refused.append(str(caught.value))

    port = UdpPort(open_udp_socket("127.0.0.1", 0))
    with SelectorsDriver(machine, port, on_notice) as driver:
        driver.perform(Do("a"))
    assert len(refused) == 2


def test_a_bug_comes_out_of_the_turn_that_met_it(loop: Loop) -> None:
    loop.driver.perform(Break(at_tick=True))
    with pytest.raises(DriverFailed, match="a bug"):
        loop.driver.wait_until(lambda: False, PATIENCE)
    loop.driver.turn()
    loop.driver.ready([])
    assert loop.driver.timeout() is None


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_two_drivers_talk_within_one_loop_of_a_program(tcp: bool) -> None:
    selector = selectors.DefaultSelector()
    heard: dict[str, list[Notice]] = {"Ann": [], "Bob": []}

    def make(name: str, port: Port) -> SelectorsDriver:
        machine = Duo(os.urandom, name=name, timing=FAST, streams=tcp)
        return SelectorsDriver(machine, port, heard[name].append, selector=selector)

    bob = make("Bob", open_listener("127.0.0.1", 0, tcp=tcp))
    ann = make("Ann", open_caller(bob.address, tcp=tcp))

    def turn_until(condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, heard
            waits = [one.timeout() for one in (ann, bob)]
            ready = selector.select(min([1.0, *(wait for wait in waits if wait is not None)]))
            for one in (ann, bob):
                one.ready(ready)

    ann.perform(Call(bob.address))
    for number in range(15):
        ann.perform(Say(1, "x" * 60_000, number))
    turn_until(lambda: Delivered(1, 14) in heard["Ann"])
    assert [notice for notice in heard["Bob"] if isinstance(notice, Said)] == [
        Said(1, "x" * 60_000) for _ in range(15)
    ]
    bob.perform(Leave(1))
    turn_until(lambda: all(isinstance(told[-1], Closed) for told in heard.values()))
    turn_until(lambda: ann.is_idle and bob.is_idle)
    ann.close()
    bob.close()
    assert not selector.get_map()
    selector.close()


def test_a_selector_that_was_closed_before_the_driver_leaves_nothing_open() -> None:
    selector = selectors.DefaultSelector()
    port = UdpPort(open_udp_socket("127.0.0.1", 0))
    driver = SelectorsDriver(Recorder(), port, lambda _: None, selector=selector)
    selector.close()
    driver.close()
    assert port.fileno() == -1

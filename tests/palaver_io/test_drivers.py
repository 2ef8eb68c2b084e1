from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from io_support import (
    KINDS,
    PATIENCE,
    Do,
    Emit,
    Recorder,
    Refuse,
    Ring,
    Start,
    Told,
    drivers_that_end,
    leaving_nothing_behind,
    make_driver,
)

from palaver import Datagram, Notice, Tick, Transmit, UsageError
from palaver_io import UdpPort, open_udp_socket

pytestmark = pytest.mark.smoke


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


@pytest.fixture(params=KINDS)
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    with drivers_that_end(request.param) as start:
        yield start


def test_a_verb_gives_its_notices_and_tells_them_in_order(start: Start) -> None:
    heard: list[Notice] = []
    driver = start(Recorder(), heard.append)
    assert driver.perform(Do("a")) == [Told("a")]
    assert driver.perform(Do("b")) == [Told("b")]
    assert heard == [Told("a"), Told("b")]


def test_more_than_a_batch_is_read_all_the_same(start: Start) -> None:
    machine = Recorder()
    driver = start(machine, lambda _: None)
    with open_udp_socket("127.0.0.1", 0) as peer:
        for _ in range(400):
            peer.sendto(b"x", driver.address)
        assert driver.wait_until(lambda: driver.traffic["received"] == 400, PATIENCE)


def test_held_back_copies_are_sent_in_time(start: Start) -> None:
    class Late:
        def apply(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
            return [(now + 0.05, data)]

    driver = start(Recorder(), lambda _: None, injector=Late())
    with open_udp_socket("127.0.0.1", 0) as peer:
        peer.settimeout(PATIENCE)
        began = time.monotonic()
        driver.perform(Emit(Transmit(b"late", peer.getsockname())))
        assert driver.wait_until(lambda: driver.traffic["sent"] == 1, PATIENCE)
        assert peer.recvfrom(10) == (b"late", driver.address)
        assert time.monotonic() - began >= 0.048  # the clock of uvloop is in milliseconds


def test_a_refused_event_does_no_harm(start: Start) -> None:
    driver = start(Recorder(), lambda _: None)
    with pytest.raises(UsageError, match="refused"):
        driver.perform(Refuse())
    assert driver.perform(Do("a")) == [Told("a")]


def test_within_on_notice_one_may_post_but_not_perform(start: Start) -> None:
    heard: list[str] = []
    refused: list[str] = []

    def on_notice(notice: Notice) -> None:
        assert isinstance(notice, Told)
        heard.append(notice.text)
        if notice.text == "first":
            for verb in (
                lambda: driver.perform(Do("never")),
                lambda: driver.wait_until(lambda: True),
                lambda: driver.inspect(lambda: None),
            ):
                with pytest.raises(UsageError) as caught:
                    verb()
                refused.append(str(caught.value))
            driver.post(Do("second"))
            heard.append("end of first")

    driver = start(Recorder(), on_notice)
    driver.perform(Do("first"))
    driver.post(Do("third"))
    assert heard == ["first", "end of first", "second", "third"]
    assert len(refused) == 3
    assert all("post" in text for text in refused)


def test_a_new_deadline_is_kept(start: Start) -> None:
    heard: list[Notice] = []
    driver = start(Recorder(), heard.append)
    for far, near in ((None, 0.05), (3600.0, 0.05), (0.06, 0.03)):
        if far is not None:
            driver.perform(Ring(time.monotonic() + far))
        began = time.monotonic()
        driver.perform(Ring(began + near))
        assert driver.wait_until(lambda: bool(heard), PATIENCE)
        assert heard == [Told("tick")]
        heard.clear()
        assert near - 0.002 <= time.monotonic() - began < 1.0


def test_a_deadline_that_was_set_before_the_start_is_kept(start: Start) -> None:
    machine, heard = Recorder(), list[Notice]()
    machine.due = time.monotonic() + 0.02
    driver = start(machine, heard.append)
    assert driver.wait_until(lambda: bool(heard), PATIENCE)


def test_a_batch_of_datagrams_is_read_before_the_tick(start: Start) -> None:
    machine, heard = Recorder(), list[Notice]()
    port = UdpPort(open_udp_socket("127.0.0.1", 0))
    with open_udp_socket("127.0.0.1", 0) as peer:
        for number in range(50):
            peer.sendto(b"%d" % number, port.address)
        driver = start(machine, heard.append, port)
        assert driver.wait_until(lambda: bool(heard), PATIENCE)
        datagrams = [Datagram(b"%d" % number, peer.getsockname()) for number in range(50)]
    assert machine.events == [*datagrams, Tick()]


@pytest.mark.parametrize("by_time", [False, True])
def test_closing_within_on_notice_does_not_wait(start: Start, by_time: bool) -> None:
    done = threading.Event()

    def on_notice(notice: Notice) -> None:
        driver.close()
        done.set()

    driver = start(Recorder(), on_notice)
    driver.perform(Ring(time.monotonic() + 0.02) if by_time else Do("a"))
    assert not driver.wait_until(lambda: False, PATIENCE if by_time else 0)
    assert done.wait(PATIENCE)
    with pytest.raises(UsageError, match="closed"):
        driver.perform(Do("b"))
    driver.close()


def test_waiting_for_what_a_machine_does(start: Start) -> None:
    machine = Recorder()
    driver = start(machine, lambda _: None)
    assert not driver.wait_until(lambda: bool(machine.events), 0.01)
    assert not driver.wait_until(lambda: bool(machine.events), 0)
    with open_udp_socket("127.0.0.1", 0) as peer:
        timer = threading.Timer(0.02, peer.sendto, args=(b"x", driver.address))
        timer.start()
        assert driver.wait_until(lambda: bool(machine.events), PATIENCE)
        timer.join(PATIENCE)
    assert driver.inspect(lambda: len(machine.events)) == 2


def test_what_changed_elsewhere_is_looked_at_when_the_driver_is_woken(start: Start) -> None:
    driver = start(Recorder(), lambda _: None)
    changed = threading.Event()

    def change() -> None:
        changed.set()
        driver.wake()

    timer = threading.Timer(0.02, change)
    timer.start()
    assert driver.wait_until(changed.is_set, PATIENCE)
    timer.join(PATIENCE)


def test_closing_twice_does_nothing_and_nothing_is_heard_after(start: Start) -> None:
    machine = Recorder()
    driver = start(machine, lambda _: None)
    driver.perform(Ring(time.monotonic() + 0.2))
    driver.close()
    driver.close()
    driver.wake()
    assert not driver.wait_until(lambda: False)
    time.sleep(0.25)
    assert machine.events == [Ring(machine.due or 0)]


def test_an_idle_driver_does_nothing(start: Start) -> None:
    machine = Recorder()
    driver = start(machine, lambda _: None)
    driver.perform(Ring(time.monotonic() + 3600))
    driver.perform(Do("a"))
    before = time.process_time()
    driver.wait_until(lambda: False, 0.5)
    assert time.process_time() - before < 0.005
    assert [type(event) for event in machine.events] == [Ring, Do]


def test_faults_are_for_ports_that_may_lose_something(start: Start) -> None:
    class Careful(UdpPort):
        is_lossy = False  # type: ignore[misc]

    class Late:
        def apply(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
            return [(now + 0.05, data)]

    port = Careful(open_udp_socket("127.0.0.1", 0))
    with pytest.raises(UsageError, match="faults can't be injected into TCP"):
        start(Recorder(), lambda _: None, port, injector=Late())


@pytest.mark.parametrize("kind", ["blocking", "selectors"])
def test_without_descriptors_nothing_is_left_open(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = UdpPort(open_udp_socket("127.0.0.1", 0))

    def fail() -> None:
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socketpair", fail)
        with pytest.raises(OSError, match="too many"):
            make_driver(kind, Recorder(), port, lambda _: None)
    assert port.fileno() == -1

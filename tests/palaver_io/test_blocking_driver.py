from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator

import pytest
from io_support import (
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
)

from palaver import Datagram, Notice, Tick, Transmit, UsageError
from palaver_io import BlockingDriver, open_udp_socket

pytestmark = pytest.mark.smoke


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


@pytest.fixture
def start() -> Iterator[Start]:
    with drivers_that_end() as start:
        yield start


def test_a_verb_gives_its_notices_and_tells_them_in_order(start: Start) -> None:
    heard: list[Notice] = []
    driver = start(Recorder(), heard.append)
    assert driver.perform(Do("a")) == [Told("a")]
    assert driver.perform(Do("b")) == [Told("b")]
    assert heard == [Told("a"), Told("b")]


def test_verbs_of_many_threads_are_told_one_at_a_time(start: Start) -> None:
    heard: list[Notice] = []
    inside = threading.Lock()

    def on_notice(notice: Notice) -> None:
        assert inside.acquire(blocking=False)
        heard.append(notice)
        inside.release()

    driver = start(Recorder(), on_notice)

    def work(name: str) -> None:
        for number in range(200):
            assert driver.perform(Do(f"{name} {number}")) == [Told(f"{name} {number}")]

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    texts = [notice.text for notice in heard if isinstance(notice, Told)]
    for name in "abcd":
        own = [text for text in texts if text.startswith(name)]
        assert own == [f"{name} {number}" for number in range(200)]


def test_a_new_deadline_wakes_the_thread_up(start: Start) -> None:
    heard: queue.Queue[Notice] = queue.Queue()
    driver = start(Recorder(), heard.put)
    for far, near in ((None, 0.05), (3600.0, 0.05), (0.06, 0.03)):
        if far is not None:
            driver.perform(Ring(time.monotonic() + far))
        began = time.monotonic()
        driver.perform(Ring(began + near))
        assert heard.get(timeout=PATIENCE) == Told("tick")
        assert near <= time.monotonic() - began < 1.0
    assert heard.empty()


def test_a_batch_of_datagrams_is_read_before_the_tick() -> None:
    machine = Recorder()
    done: queue.Queue[Notice] = queue.Queue()
    sock = open_udp_socket("127.0.0.1", 0)
    with open_udp_socket("127.0.0.1", 0) as peer:
        for number in range(50):
            peer.sendto(b"%d" % number, sock.getsockname())
        with BlockingDriver(machine, sock, done.put):
            assert done.get(timeout=PATIENCE) == Told("tick")
        datagrams = [Datagram(b"%d" % number, peer.getsockname()) for number in range(50)]
    assert machine.events == [*datagrams, Tick()]


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
        assert peer.recvfrom(10) == (b"late", driver.address)
        assert time.monotonic() - began >= 0.05


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


@pytest.mark.parametrize("in_thread", [False, True])
def test_closing_within_on_notice_does_not_wait(start: Start, in_thread: bool) -> None:
    done = threading.Event()

    def on_notice(notice: Notice) -> None:
        driver.close()
        done.set()

    driver = start(Recorder(), on_notice)
    driver.perform(Ring(time.monotonic() + 0.02) if in_thread else Do("a"))
    assert done.wait(PATIENCE)
    driver.close()
    with pytest.raises(UsageError, match="closed"):
        driver.perform(Do("b"))


def test_closing_is_idempotent_and_quick(start: Start) -> None:
    driver = start(Recorder(), lambda _: None)
    driver.perform(Ring(time.monotonic() + 3600))
    began = time.monotonic()
    threads = [threading.Thread(target=driver.close) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    driver.close()
    assert time.monotonic() - began < 5.0
    assert not driver.wait_until(lambda: False)


def test_waiting_for_what_a_machine_does(start: Start) -> None:
    machine = Recorder()
    driver = start(machine, lambda _: None)
    assert not driver.wait_until(lambda: bool(machine.events), 0.01)
    timer = threading.Timer(0.02, driver.perform, args=(Do("a"),))
    timer.start()
    assert driver.wait_until(lambda: bool(machine.events), PATIENCE)
    timer.join(PATIENCE)
    assert driver.inspect(lambda: len(machine.events)) == 1


def test_closing_ends_waiting(start: Start) -> None:
    driver = start(Recorder(), lambda _: None)
    timer = threading.Timer(0.02, driver.close)
    timer.start()
    assert not driver.wait_until(lambda: False, PATIENCE)
    timer.join(PATIENCE)


def test_an_idle_driver_does_nothing(start: Start) -> None:
    machine = Recorder()
    driver = start(machine, lambda _: None)
    driver.perform(Ring(time.monotonic() + 3600))
    driver.perform(Do("a"))
    before = time.process_time()
    threading.Event().wait(0.5)
    assert time.process_time() - before < 0.005
    assert [type(event) for event in machine.events] == [Ring, Do]

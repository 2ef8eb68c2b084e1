from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from io_support import PATIENCE, leaving_nothing_behind
from pair_support import Pair, in_thread

from palaver import Limits, Said, Timing
from palaver.sim import FaultInjector, Faults
from palaver_io import (
    BlockingDriver,
    Conversation,
    ConversationLost,
)
from palaver_io.blocking import ConditionBell
from palaver_io.mailbox import PAUSE_ABOVE, Mailbox


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.end()


def test_a_bad_network_loses_nothing() -> None:
    timing = Timing(linger_min=0.1, linger_max=0.5)
    pair = Pair(timing=timing, faults=Faults(loss=0.2, duplicate=0.1, reorder=0.1, corrupt=0.05))
    heard: dict[str, list[str]] = {}

    def talk(name: str, one: Conversation) -> None:
        for number in range(200):
            one.send(f"{name} {number}")
        one.finish()
        heard[name] = list(one)
        one.flush(PATIENCE)

    threads = [
        in_thread(talk, "ann", pair.ann),
        in_thread(talk, "bob", pair.bob),
    ]
    for thread in threads:
        thread.join(60)
    for name, other in (("ann", "bob"), ("bob", "ann")):
        assert heard[name] == [f"{other} {number}" for number in range(200)]
    for end in (pair.ann, pair.bob):
        injector = end._dialogue.station.driver._engine._injector
        assert isinstance(injector, FaultInjector)
        counts = injector.counters.as_dict()
        kinds = ("dropped", "duplicated", "reordered", "corrupted")
        assert min(counts[kind] for kind in kinds) > 0
    pair.end()


def fill(pair: Pair) -> int:
    """Send to a peer that doesn't read until the queue is full; give how many texts went in."""
    sent = 0
    while not pair.bob._dialogue.box.paused:
        with pytest.raises(TimeoutError, match="queue is full"):  # noqa: PT012 - one of many
            while sent < 1000:
                pair.ann.send(f"{sent:0100}", timeout=0.2)
                sent += 1
    return sent


def test_a_slow_reader_makes_its_peer_wait() -> None:
    pair = Pair(limits=Limits(window=4096, queue_messages=8))
    sent = fill(pair)
    # Unread here, in the window, and in the queue.
    assert PAUSE_ABOVE < sent < PAUSE_ABOVE + 100
    per_datagram = 12
    assert len(pair.bob._dialogue.box.texts) <= PAUSE_ABOVE + per_datagram

    def send_the_rest() -> None:
        for number in range(sent, 300):
            pair.ann.send(f"{number:0100}", timeout=PATIENCE)
        pair.ann.finish()

    thread = in_thread(send_the_rest)
    for number in range(300):
        assert pair.bob.receive(PATIENCE) == f"{number:0100}"
    thread.join(PATIENCE)
    assert list(pair.bob) == []
    pair.ann.flush(PATIENCE)
    assert len(pair.ann._dialogue.box.pending) == 0
    pair.end()


def test_closing_ends_a_send_that_waits() -> None:
    pair = Pair(limits=Limits(window=4096, queue_messages=8))
    fill(pair)
    ends: list[BaseException] = []

    def send_more() -> None:
        try:
            while True:
                pair.ann.send("more", timeout=PATIENCE)
        except ConversationLost as exc:
            ends.append(exc)

    thread = in_thread(send_more)
    pair.bob.abort()
    thread.join(PATIENCE)
    assert len(ends) == 1
    assert pair.ann.undelivered
    pair.end()


def test_closing_while_texts_wait_unread(pair: Pair) -> None:
    for number in range(PAUSE_ABOVE + 50):
        pair.ann.send(str(number))
    driver = pair.bob._dialogue.station.driver
    assert isinstance(driver, BlockingDriver)
    assert driver.wait_until(lambda: pair.bob._dialogue.box.paused, PATIENCE)
    pair.bob.close()
    assert pair.bob.closed is not None
    assert pair.bob.closed.clean
    read = list(pair.bob)
    assert read == [str(number) for number in range(len(read))]
    pair.ann.flush(PATIENCE)


@pytest.mark.smoke
def test_an_idle_pair_uses_no_cpu(pair: Pair) -> None:
    pair.ann.send("hello")
    pair.ann.flush(PATIENCE)
    waiting = in_thread(lambda: list(pair.ann))
    quiet = threading.Event()
    quiet.wait(0.2)
    before = time.process_time()
    quiet.wait(1.0)
    assert time.process_time() - before < 0.005
    pair.bob.close()
    waiting.join(PATIENCE)


def test_what_comes_after_closing_is_discarded() -> None:
    bell = ConditionBell(threading.RLock())
    box = Mailbox(bell, 1, ("127.0.0.1", 5))
    with bell._condition:
        box.take(Said(1, "before"))
        box.discarding = True
        box.take(Said(1, "after"))
    assert list(box.texts) == ["before"]

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from io_support import FAST, PATIENCE, leaving_nothing_behind
from pair_support import Pair, in_thread

from palaver import Duo, Leave, Reason, Side, Timing, UsageError
from palaver_io import (
    ConnectFailed,
    ConversationLost,
    ConversationOver,
    DriverFailed,
    NotDelivered,
    connect,
    listen,
    open_udp_socket,
)
from palaver_io.mailbox import Mailbox


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.end()


def test_with_and_for(pair: Pair) -> None:
    heard: list[str] = []

    def listen_all() -> None:
        with pair.bob:
            heard.extend(pair.bob)

    thread = in_thread(listen_all)
    with pair.ann as ann:
        for number in range(10):
            ann.send(str(number))
    thread.join(PATIENCE)
    assert heard == [str(number) for number in range(10)]
    for end, by in ((pair.ann, Side.LOCAL), (pair.bob, Side.PEER)):
        assert end.closed is not None
        assert end.closed.clean
        assert end.closed.by is by


def test_finishing_ends_one_direction(pair: Pair) -> None:
    pair.ann.send("all I have")
    pair.ann.finish()
    pair.ann.finish()
    assert list(pair.bob) == ["all I have"]
    with pytest.raises(ConversationOver, match="nothing more"):
        pair.bob.receive()
    with pytest.raises(UsageError):
        pair.ann.send("more")
    pair.bob.send("still here")
    assert pair.ann.receive(PATIENCE) == "still here"
    assert pair.ann.closed is None


@pytest.mark.parametrize("who", ["ann", "bob"])
def test_either_side_closes(pair: Pair, who: str) -> None:
    one, other = (pair.ann, pair.bob) if who == "ann" else (pair.bob, pair.ann)
    one.send("last words")
    one.close()
    one.close()
    # Nobody is left alone with an unanswered packet.
    assert pair.ann._dialogue.station._machine.is_idle or who == "bob"
    assert list(other) == ["last words"]
    for end in (one, other):
        with pytest.raises(ConversationOver):
            end.receive()
        with pytest.raises(ConversationOver):
            end.send("too late")
        end.finish()
        assert end.undelivered == []
        assert end.closed is not None
        assert end.closed.clean


def test_leaving_with_by_an_exception_aborts(pair: Pair) -> None:
    with pytest.raises(KeyError), pair.ann:
        raise KeyError
    with pytest.raises(ConversationLost, match="aborted") as caught:
        pair.bob.receive(PATIENCE)
    assert caught.value.reason == Reason.ABORTED
    assert pair.ann.closed is not None
    assert pair.ann.closed.reason == Reason.ABORTED


def test_a_peer_that_was_killed() -> None:
    pair = Pair()
    pair.bob.send("received before")
    pair.ann.send("delivered")
    pair.ann.flush(PATIENCE)
    assert pair.bob.receive(PATIENCE) == "delivered"
    pair.bob.flush(PATIENCE)
    pair.listener._reception.station.driver.close()
    lost = [(pair.ann.send(text), text) for text in ("lost", "lost too")]
    assert pair.ann.receive(PATIENCE) == "received before"
    began = time.monotonic()
    with pytest.raises(ConversationLost, match="dead") as caught:
        list(pair.ann)
    assert time.monotonic() - began < FAST.dead_peer + 1.0
    assert caught.value.reason == Reason.DEAD
    assert pair.ann.undelivered == lost
    with pytest.raises(NotDelivered, match="2 of the messages"):
        pair.ann.flush()
    pair.ann.close()
    pair.end()


def test_close_tells_what_was_lost() -> None:
    pair = Pair()
    pair.listener._reception.station.driver.close()
    number = pair.ann.send("lost")
    with pytest.raises(NotDelivered, match=f"number {number}$") as caught:
        pair.ann.close()
    assert caught.value.messages == [(number, "lost")]
    pair.ann.close()
    pair.end()


def test_close_does_not_wait_beyond_its_timeout() -> None:
    pair = Pair(timing=Timing(linger_min=0.01, linger_max=0.05))
    pair.listener._reception.station.driver.close()
    pair.ann.send("lost")
    began = time.monotonic()
    with pytest.raises(NotDelivered):
        pair.ann.close(0.05)
    assert time.monotonic() - began < 2.0
    pair.end()


def test_a_bug_reaches_everybody(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            pair.ann.receive()
        except DriverFailed as exc:
            caught.append(exc)

    thread = in_thread(wait)
    machine = pair.ann._dialogue.station._machine
    monkeypatch.setattr(type(machine), "_hear", fail)
    pair.bob.send("hello")
    thread.join(PATIENCE)
    assert isinstance(caught[0].__cause__, ZeroDivisionError)
    for verb in (lambda: pair.ann.send("x"), pair.ann.flush, pair.ann.receive, pair.ann.close):
        with pytest.raises(DriverFailed):
            verb()


def test_sending_while_the_conversation_ends(pair: Pair) -> None:
    pair.ann._dialogue.station.perform(Leave(pair.ann._dialogue.box.link))
    with pytest.raises(ConversationOver):
        pair.ann.send("too late")
    pair.ann.close()
    assert pair.ann.undelivered == []


def fail(*_: object) -> None:
    raise ZeroDivisionError("a bug")


def test_a_bug_reaches_who_is_accepting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Duo, "_hear", fail)
    listener = listen("127.0.0.1", 0, timing=FAST)
    with pytest.raises(ConnectFailed):
        connect(*listener.address, timeout=0.3, timing=FAST)
    for verb in (lambda: listener.accept(PATIENCE), listener.close):
        with pytest.raises(DriverFailed, match="a bug"):
            verb()


def test_a_bug_reaches_who_is_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mailbox, "take", fail)
    with open_udp_socket("127.0.0.1", 0) as mute, pytest.raises(DriverFailed, match="a bug"):
        connect(*mute.getsockname(), timeout=PATIENCE)

"""What a conversation does, on every driver and transport, and between any two drivers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress

import pytest
from contract_support import MORE_WAYS, PAIRS, WAYS, Elsewhere, Scene, Way
from io_support import FAST, PATIENCE, leaving_nothing_behind, skip_without

from palaver import Limits, Reason, Side, UsageError, WouldBlock
from palaver.sim import Faults
from palaver_io import (
    ConnectFailed,
    ConversationLost,
    ConversationOver,
    ListenerClosed,
    NotDelivered,
)

SMALL = Limits(window=4096, queue_messages=8)


def name_of(pair: tuple[Way, Way]) -> str:
    listener, caller = pair
    if listener == caller:
        return "-".join(caller)
    return f"{caller.driver}-to-{listener.driver}-{caller.transport}"


@pytest.fixture(params=[*WAYS, *MORE_WAYS], ids="-".join)
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """One way at both ends."""
    yield from make_scene((request.param, request.param))


@pytest.fixture(params=PAIRS, ids=name_of)
def mixed(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """Any two ways, also twice the same."""
    yield from make_scene(request.param)


def make_scene(pair: tuple[Way, Way]) -> Iterator[Scene]:
    skip_without(pair[0].driver)
    with leaving_nothing_behind():
        scene = Scene(*pair)
        try:
            yield scene
        finally:
            scene.end()


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


# Talking


@pytest.mark.smoke
def test_talking_both_ways_and_closing(mixed: Scene) -> None:
    listener, ann, bob = mixed.meet()
    assert (ann.peer_name, bob.peer_name) == ("Bob", "Ann")
    assert ann.address == listener.address
    numbers = []
    for number in range(30):
        numbers.append(ann.send(f"to Bob {number}"))
        assert bob.receive(PATIENCE) == f"to Bob {number}"
        bob.send(f"to Ann {number}")
        assert ann.receive(PATIENCE) == f"to Ann {number}"
    assert numbers == sorted(set(numbers))
    ann.flush(PATIENCE)
    bob.flush(PATIENCE)
    bob.send("last words")
    bob.close()
    assert list(ann) == ["last words"]
    for end, by in ((ann, Side.PEER), (bob, Side.LOCAL)):
        assert end.closed is not None
        assert end.closed.clean
        assert end.closed.by is by
        assert end.undelivered == []
    ann.close()
    listener.close()


def test_texts_of_every_size_in_a_row(mixed: Scene) -> None:
    texts = ["", "x" * 60000, "ünïcödé ☃", "y" * 65535, *(str(n) for n in range(500)), "z" * 65535]
    _, ann, bob = mixed.meet()

    def say_all() -> None:
        for text in texts:
            ann.send(text, timeout=PATIENCE)
        ann.finish()

    thread = in_thread(say_all)
    assert list(bob) == texts
    thread.join(PATIENCE)
    ann.flush(PATIENCE)


@pytest.mark.parametrize("text", ["z" * 65536, "\ud800"])
def test_what_can_not_be_sent_is_refused_and_nothing_happens(scene: Scene, text: str) -> None:
    _, ann, bob = scene.meet()
    with pytest.raises(UsageError):
        ann.send(text)
    ann.send("but this can")
    assert bob.receive(PATIENCE) == "but this can"


def test_timeouts(scene: Scene) -> None:
    listener, ann, bob = scene.meet()
    for timeout in (0, 0.02):
        with pytest.raises(TimeoutError, match="no message from Bob"):
            ann.receive(timeout)
        with pytest.raises(TimeoutError, match="nobody has called"):
            listener.accept(timeout)
    bob.send("now")
    until = time.monotonic() + PATIENCE
    while True:  # looking without waiting finds it too
        try:
            assert ann.receive(0) == "now"
            break
        except TimeoutError:
            assert time.monotonic() < until


def test_many_conversations_with_one_listener(scene: Scene) -> None:
    listener = scene.listen(max_conversations=20)
    callers = [scene.connect(listener.address, name=f"C{number}") for number in range(20)]
    for caller in callers:
        caller.send("hello")
    for _ in callers:
        conversation = listener.accept(PATIENCE)
        text = conversation.receive(PATIENCE)
        conversation.send(f"{text}, {conversation.peer_name}")
    for number, caller in enumerate(callers):
        assert caller.receive(PATIENCE) == f"hello, C{number}"
    listener.close()
    for caller in callers:
        with pytest.raises(ConversationOver):
            caller.receive(PATIENCE)


def test_who_closes_waits_until_the_other_has_all(scene: Scene) -> None:
    # What a reset takes away depends on the moment; over UDP there is none.
    for _ in range(4 if scene.is_udp else 20):
        listener, ann, bob = scene.meet()
        ann.send("x" * 5000)
        bob.send("y" * 5000)
        bob.close()
        listener.close()
        assert list(ann) == ["y" * 5000]
        assert ann.closed is not None
        assert ann.closed.clean
        ann.close()


# Backpressure


def fill(talker: Elsewhere) -> int:
    """Send to somebody who doesn't read, until nothing more is taken; give how many texts were."""
    sent = 0
    last = time.monotonic()
    while time.monotonic() < last + 0.3:
        try:
            talker.send(f"{sent:0100}", wait=False)
        except WouldBlock:
            time.sleep(0.01)
        else:
            sent += 1
            last = time.monotonic()
    return sent


def test_a_slow_reader_makes_its_peer_wait(mixed: Scene) -> None:
    _, ann, bob = mixed.meet(limits=SMALL)
    sent = fill(ann)
    assert 64 < sent < 200
    with pytest.raises(TimeoutError, match="queue is full"):
        ann.send("one more", timeout=0.05)

    def send_the_rest() -> None:
        for number in range(sent, 300):
            ann.send(f"{number:0100}", timeout=PATIENCE)
        ann.finish()

    thread = in_thread(send_the_rest)
    assert [bob.receive(PATIENCE) for _ in range(300)] == [f"{n:0100}" for n in range(300)]
    thread.join(PATIENCE)
    assert list(bob) == []
    ann.flush(PATIENCE)


def test_what_ends_a_conversation_ends_a_send_that_waits(scene: Scene) -> None:
    _, ann, bob = scene.meet(limits=SMALL)
    fill(ann)
    ends: list[BaseException] = []

    def send_more() -> None:
        try:
            while True:
                ann.send("more", timeout=PATIENCE)
        except ConversationLost as exc:
            ends.append(exc)

    thread = in_thread(send_more)
    bob.abort()
    thread.join(PATIENCE)
    assert len(ends) == 1
    assert ann.undelivered
    with pytest.raises(NotDelivered):
        ann.flush(PATIENCE)


# Ends


def test_finishing_ends_one_direction(scene: Scene) -> None:
    _, ann, bob = scene.meet()
    ann.send("all I have")
    ann.finish()
    ann.finish()
    assert list(bob) == ["all I have"]
    with pytest.raises(ConversationOver, match="nothing more"):
        bob.receive(PATIENCE)
    with pytest.raises(UsageError):
        ann.send("more")
    bob.send("still here")
    assert ann.receive(PATIENCE) == "still here"
    assert ann.closed is None


def test_aborting_loses_the_conversation_for_both(mixed: Scene) -> None:
    _, ann, bob = mixed.meet()
    ann.abort()
    with pytest.raises(ConversationLost) as caught:
        bob.receive(PATIENCE)
    assert caught.value.reason == Reason.ABORTED
    assert ann.closed is not None
    assert ann.closed.reason == Reason.ABORTED


def test_a_killed_peer_is_missed_and_what_was_lost_is_told(mixed: Scene) -> None:
    listener, ann, bob = mixed.meet(timing=FAST)
    bob.send("received before")
    ann.send("delivered")
    ann.flush(PATIENCE)
    bob.flush(PATIENCE)
    mixed.kill(listener)
    lost = []
    for text in ("lost", "lost too"):
        with nullcontext() if mixed.is_udp else suppress(ConversationLost):
            lost.append((ann.send(text), text))
    assert ann.receive(PATIENCE) == "received before"
    began = time.monotonic()
    with pytest.raises(ConversationLost) as caught:
        list(ann)
    assert time.monotonic() - began < FAST.dead_peer + 2.0
    assert caught.value.reason == (Reason.DEAD if mixed.is_udp else Reason.DISCONNECTED)
    assert ann.undelivered == lost
    if lost:
        with pytest.raises(NotDelivered):
            ann.close()
    ann.close()


def test_a_restarted_peer_is_another_one(scene: Scene) -> None:
    listener, ann, _ = scene.meet()
    scene.kill(listener)
    again = scene.listen(listener.address[1])

    def go_on() -> None:
        for number in range(100):
            ann.send(f"are you still there? {number}")
            with suppress(TimeoutError):
                ann.receive(0.1)

    with pytest.raises(ConversationLost) as caught:
        go_on()
    assert caught.value.reason == (Reason.RESET if scene.is_udp else Reason.DISCONNECTED)
    dora = scene.connect(again.address, name="Dora")
    dora.send("a new call")
    assert again.accept(PATIENCE).receive(PATIENCE) == "a new call"
    with pytest.raises(NotDelivered) if ann.undelivered else nullcontext():
        ann.close()


def test_a_closed_listener_takes_nobody(scene: Scene) -> None:
    listener = scene.listen(max_conversations=2)
    ann = scene.connect(listener.address)
    bob = listener.accept(PATIENCE)
    ann.send("before")
    assert bob.receive(PATIENCE) == "before"
    listener.close()
    listener.close()
    assert ann.closed is None or ann.closed.clean
    with pytest.raises(ListenerClosed):
        listener.accept()
    with pytest.raises(ConnectFailed):
        scene.connect(listener.address, timeout=0.3)


def test_who_is_busy_says_so(scene: Scene) -> None:
    listener, _, bob = scene.meet()
    with pytest.raises(ConnectFailed, match="busy") as caught:
        scene.connect(listener.address)
    assert caught.value.reason == Reason.BUSY
    bob.close()
    dora = scene.connect(listener.address, name="Dora")
    assert listener.accept(PATIENCE).peer_name == "Dora"
    dora.close()


# Faults, threads, idleness


def test_a_bad_network_loses_nothing(mixed: Scene) -> None:
    if not mixed.is_udp:
        with pytest.raises(UsageError, match="faults can't be injected into TCP"):
            mixed.listen(faults=Faults(loss=0.2))
        return
    faults = Faults(loss=0.2, duplicate=0.1, reorder=0.1, corrupt=0.05)
    _, ann, bob = mixed.meet(faults=faults, seed=5)
    for number in range(60):
        ann.send(f"to Bob {number}", timeout=PATIENCE)
        bob.send(f"to Ann {number}", timeout=PATIENCE)
    ann.finish()
    bob.finish()
    assert list(bob) == [f"to Bob {number}" for number in range(60)]
    assert list(ann) == [f"to Ann {number}" for number in range(60)]
    ann.flush(PATIENCE)
    bob.flush(PATIENCE)


def test_verbs_from_several_threads_or_tasks(scene: Scene) -> None:
    _, ann, bob = scene.meet()
    heard: tuple[list[str], list[str]] = ([], [])
    several = 2 if scene.caller_way.driver != "selectors" else 1  # it has one thread

    def say(name: str) -> None:
        for number in range(200):
            ann.send(f"{name} {number}", timeout=PATIENCE)

    readers = [in_thread(lambda part=part: part.extend(bob)) for part in heard[:several]]  # type: ignore[misc]
    writers = [in_thread(lambda name=name: say(name)) for name in ("one", "two")]  # type: ignore[misc]
    for thread in writers:
        thread.join(PATIENCE)
    ann.finish()
    for thread in readers:
        thread.join(PATIENCE)
    texts = [*heard[0], *heard[1]]
    assert len(texts) == 400
    for name in ("one", "two"):
        for part in heard:
            own = [int(text.split()[1]) for text in part if text.startswith(name)]
            assert own == sorted(own)
        assert sum(text.startswith(name) for text in texts) == 200


@pytest.mark.smoke
def test_an_idle_conversation_uses_under_a_thousandth_of_a_processor(scene: Scene) -> None:
    _, ann, bob = scene.meet()
    ann.send("hello")
    assert bob.receive(PATIENCE) == "hello"
    ann.flush(PATIENCE)
    used = []
    for _ in range(4):  # the first has the last timers of what was said; a busy machine adds noise
        before = time.process_time()
        time.sleep(0.5)
        used.append(time.process_time() - before)
        if used[-1] < 0.0005:
            break
    assert used[-1] < 0.0005, used
    bob.send("still here")
    assert ann.receive(PATIENCE) == "still here"

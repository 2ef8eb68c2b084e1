"""The registry and its peers on every driver and transport, and with the drivers mixed.

Each story is told by commands and notices, since there is no facade, and once for all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from contract_support import DRIVERS, TRANSPORTS
from io_support import leaving_nothing_behind
from people_support import SOON_MISSED, STEADY, Town

from palaver import (
    Accept,
    Appeared,
    CallEnded,
    Calling,
    CallOpened,
    Connect,
    Delivered,
    Depart,
    Departed,
    Enlist,
    Enlisted,
    EnlistRefused,
    Gone,
    Heard,
    Joined,
    Limits,
    Notice,
    Outcome,
    Pause,
    Present,
    Refusal,
    Registry,
    RegistryAway,
    Reject,
    Resume,
    Ringing,
    Say,
    Side,
    Terminate,
    Timing,
    Vanished,
    Who,
    Why,
    WouldBlock,
    Writable,
)
from palaver.sim import Faults

if TYPE_CHECKING:
    from stage_support import Actor

MIXED = [tuple(DRIVERS[(start + one) % 3] for one in range(3)) for start in range(3)]
CASTS = [(driver,) * 3 for driver in DRIVERS] + MIXED


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


@contextmanager
def town(
    driver: str, transport: str, timing: Timing = STEADY, faults: Faults | None = None
) -> Iterator[Town]:
    it = Town(driver, transport, timing, faults)
    try:
        yield it
    finally:
        it.end()


def call(it: Town, caller: Actor, callee: Actor, to: int | str) -> tuple[int, int]:
    """Have one ring another; give the call's number for either."""
    (calling,) = [one for one in caller.do(Connect(to, 7)) if isinstance(one, Calling)]
    ringing = it.expect(callee, Ringing)
    # Where much is lost, the registry may not confirm in time who calls.
    assert ringing.peer == caller.id
    assert ringing.verified or it.is_bad
    return calling.link, ringing.link


def talk(it: Town, caller: Actor, callee: Actor, to: int | str) -> tuple[int, int]:
    """Have two begin to talk; give the call's number for either."""
    ours, theirs = call(it, caller, callee, to)
    callee.do(Accept(theirs))
    opened = it.expect(caller, CallOpened)
    assert (opened.link, opened.ref, opened.peer) == (ours, 7, callee.id)
    assert it.expect(callee, CallOpened).link == theirs
    return ours, theirs


def say(it: Town, speaker: Actor, link: int, hearer: Actor, text: str, ref: int) -> None:
    speaker.do(Say(link, text, ref))
    heard = it.expect(hearer, Heard)
    assert (heard.text, heard.peer) == (text, speaker.id)
    assert it.expect(speaker, Delivered) == Delivered(link, ref)


def end(it: Town, who: Actor, link: int, outcome: Outcome, by: Side) -> CallEnded:
    ended = it.expect(who, CallEnded)
    assert (ended.link, ended.outcome, ended.by) == (link, outcome, by)
    return ended


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("cast", CASTS, ids="-".join)
def test_people_meet_talk_and_part(cast: tuple[str, str, str], transport: str) -> None:
    with town(cast[0], transport) as it:
        ann, bob = it.enter("Ann", cast[1]), it.enter("Bob", cast[2])
        assert [it.expect(it.registry, Joined).entry.name for _ in "ab"] == ["Ann", "Bob"]
        assert it.expect(ann, Appeared).entry.name == "Bob"
        # List, and one who is not there.
        present = it.ask(ann, Who(3), Present)
        assert (present.ref, present.more) == (3, False)
        assert [(one.id, one.name) for one in present.entries] == [(1, "Ann"), (2, "Bob")]
        ann.do(Connect("Cid", 4))
        assert it.expect(ann, CallEnded).outcome is Outcome.INACTIVE
        # Reject, with a reason.
        ours, theirs = call(it, ann, bob, "bob")
        bob.do(Reject(theirs, "not now"))
        assert end(it, ann, ours, Outcome.REJECTED, Side.PEER).text == "not now"
        end(it, bob, theirs, Outcome.REJECTED, Side.LOCAL)
        # Cancel.
        ours, theirs = call(it, ann, bob, bob.id)
        ann.do(Terminate(ours))
        end(it, ann, ours, Outcome.CANCELLED, Side.LOCAL)
        end(it, bob, theirs, Outcome.CANCELLED, Side.PEER)
        # Connect, accept, send, terminate.
        ours, theirs = talk(it, ann, bob, bob.id)
        for number, text in enumerate(["", "héllo", "x" * 20_000]):
            say(it, ann, ours, bob, text, number)
            say(it, bob, theirs, ann, text.upper(), number)
        bob.do(Terminate(theirs))
        end(it, ann, ours, Outcome.TERMINATED, Side.PEER)
        end(it, bob, theirs, Outcome.TERMINATED, Side.LOCAL)
        # Leave.
        bob.do(Depart())
        assert it.expect(bob, Departed).acknowledged
        gone = it.expect(it.registry, Gone)
        assert (gone.entry.name, gone.why) == ("Bob", Why.LEFT)
        assert it.expect(ann, Vanished).id == bob.id


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_two_conversations_at_a_time_and_a_name_that_is_taken(driver: str, transport: str) -> None:
    with town(driver, transport) as it:
        ann, bob, cid = it.enter("Ann"), it.enter("Bob"), it.enter("Cid")
        to_bob, _ = talk(it, ann, bob, "Bob")
        _, with_cid = talk(it, cid, ann, "Ann")
        for number, (link, hearer) in enumerate([(to_bob, bob), (with_cid, cid)] * 3):
            say(it, ann, link, hearer, f"text {number}", number)
        ann.do(Terminate(to_bob))
        end(it, bob, 1, Outcome.TERMINATED, Side.PEER)
        say(it, ann, with_cid, cid, "still here", 9)
        cid.do(Depart())
        it.expect(cid, Departed)
        cid.do(Enlist("ANN"))
        assert it.expect(cid, EnlistRefused).code == Refusal.NAME_TAKEN
        cid.do(Enlist("Cid"))
        assert it.expect(cid, Enlisted).id == 4  # who goes by another name begins anew


@pytest.mark.parametrize("keeps", [True, False], ids=["with its table", "without"])
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_registry_that_is_killed_and_comes_back(driver: str, transport: str, keeps: bool) -> None:
    with town(driver, transport) as it:
        ann, bob = it.enter("Ann"), it.enter("Bob")
        ours, theirs = talk(it, ann, bob, "Bob")
        machine = it.registry.machine
        assert isinstance(machine, Registry)
        snapshot = it.registry.driver.inspect(machine.snapshot)
        it.kill(it.registry)
        # A conversation does without.
        say(it, bob, theirs, ann, "is anybody there?", 1)
        it.registry = it.open(snapshot if keeps else None)
        for one in (bob, ann):
            if transport == "tcp":
                it.expect(one, RegistryAway)
            else:  # nothing tells that somebody is gone, but a question that is not answered
                it.ask(one, Who(), RegistryAway)
            enlisted = it.expect(one, Enlisted)
            assert enlisted.previous == one.id
            if keeps:
                assert enlisted.id == one.id
            one.id = enlisted.id
        # Ids of a conversation stay those that it began with.
        ann.do(Say(ours, "all is well", 2))
        assert it.expect(bob, Heard).text == "all is well"
        assert {it.expect(it.registry, Joined).resumed for _ in "ab"} == {keeps}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_peer_that_is_killed_is_missed_by_all(driver: str, transport: str) -> None:
    with town(driver, transport, SOON_MISSED) as it:
        ann, bob = it.enter("Ann"), it.enter("Bob")
        ours, _ = talk(it, ann, bob, "Bob")
        it.kill(bob)
        # A stream says that it has ended; of datagrams one has to conclude it oneself.
        end(it, ann, ours, Outcome.GONE, Side.PEER if transport == "tcp" else Side.LOCAL)
        gone = it.expect(it.registry, Gone)
        assert (gone.entry.name, gone.why) == ("Bob", Why.VANISHED)
        assert it.expect(ann, Vanished).id == bob.id
        again = it.enter("Bob")
        assert again.id == 3
        talk(it, again, ann, "Ann")


@pytest.mark.parametrize("driver", DRIVERS)
def test_on_a_bad_network_a_call_rings_once_and_all_is_heard_once_and_in_order(
    driver: str,
) -> None:
    with town(driver, "udp", faults=Faults(loss=0.3, duplicate=0.2)) as it:
        ann, bob = it.enter("Ann"), it.enter("Bob")
        ours, theirs = talk(it, ann, bob, "Bob")
        for number in range(20):
            ann.do(Say(ours, f"Ann {number}", number))
            bob.do(Say(theirs, f"Bob {number}", number))
        for one, other in ((ann, "Bob"), (bob, "Ann")):
            it.turn(one, lambda one=one: count(one, Heard) == count(one, Delivered) == 20)  # type: ignore[misc]
            assert heard(one) == [f"{other} {number}" for number in range(20)]
            delivered = [note.ref for note in one.notices if isinstance(note, Delivered)]
            assert sorted(delivered) == [*range(20)]
        ann.do(Terminate(ours))
        end(it, ann, ours, Outcome.TERMINATED, Side.LOCAL)
        end(it, bob, theirs, Outcome.TERMINATED, Side.PEER)
        for one in (ann, bob):
            one.do(Depart())
            it.expect(one, Departed)
        # Nothing came late and was taken for something new.
        assert not any(count(one, kind) for one in (ann, bob) for kind in (Ringing, CallEnded))
        assert (count(ann, Heard), count(bob, Heard)) == (20, 20)
        assert [it.expect(it.registry, Joined).entry.name for _ in "ab"] == ["Ann", "Bob"]
        assert {it.expect(it.registry, Gone).why for _ in "ab"} == {Why.LEFT}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_who_pauses_holds_the_other_back_and_misses_nothing(driver: str, transport: str) -> None:
    small = Limits(window=16384, queue_messages=8)
    with town(driver, transport) as it:
        ann, bob = it.enter("Ann", limits=small), it.enter("Bob", limits=small)
        ours, theirs = talk(it, ann, bob, "Bob")
        bob.do(Pause(theirs))
        texts = [f"{number} {'x' * 6000}" for number in range(40)]
        said = 0
        while said < len(texts):
            try:
                ann.do(Say(ours, texts[said], said))
            except WouldBlock:
                # There may be room again until the other's window is full, but not after that.
                if not it.turn(ann, lambda: count(ann, Writable) > 0, 0.2):
                    break
                it.expect(ann, Writable)
            else:
                said += 1
        assert 8 <= said < len(texts)
        assert heard(bob) == []
        # The other direction goes on.
        say(it, bob, theirs, ann, "one moment", 1)
        bob.do(Resume(theirs))
        it.expect(ann, Writable)
        for number in range(said, len(texts)):
            while True:
                try:
                    ann.do(Say(ours, texts[number], number))
                    break
                except WouldBlock:
                    it.expect(ann, Writable)
        it.turn(bob, lambda: count(bob, Heard) == len(texts))
        assert heard(bob) == texts


def count(who: Actor, kind: type[Notice]) -> int:
    return sum(isinstance(one, kind) for one in list(who.notices))


def heard(who: Actor) -> list[str]:
    return [one.text for one in list(who.notices) if isinstance(one, Heard)]

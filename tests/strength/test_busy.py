"""Listeners that are full, of the living and of the dead (PROTOCOL.md, section 4.8)."""

from __future__ import annotations

import pytest
from strength_support import (
    ANN,
    BOB,
    CARL,
    ONE_WAY,
    QUIET,
    ROLE,
    RTT,
    Chat,
    Party,
    Stage,
    forged_hello,
    message,
)

from palaver import Address, Closed, Dial, Leave, Opened, Reason, Send, Side
from palaver.link.states import State
from palaver.sim import Faults
from palaver.wire.frames import Ack, Close, Ping
from palaver.wire.packets import Cookie, Kind, decode_unsealed
from palaver.wire.sealing import CLEAR


def all_paths(stage: Stage, faults: Faults, *ends: Address) -> None:
    for one in ends:
        for other in ends:
            if one != other:
                stage.sim.path(one, other).faults = faults


def ended(party: Party) -> list[tuple[float, int]]:
    """Give when links have ended, and why."""
    return [(time, one.reason) for time, one in party.told if isinstance(one, Closed)]


def opened(party: Party) -> list[float]:
    return [time for time, one in party.told if isinstance(one, Opened)]


def pings_to(party: Party, address: Address, since: float) -> int:
    later = [one for one in party.to(address) if one.time >= since]
    return sum(any(type(frame) is Ping for frame in one.frames) for one in later)


def cookie_for(listener: Party, hello: bytes, source: Address, stage: Stage) -> bytes:
    """Give the cookie that a HELLO is answered with."""
    stage.inject(listener, hello, source)
    reply = listener.to(source)[-1]
    packet = CLEAR.open(reply.data)
    assert packet is not None
    cookie = decode_unsealed(packet)
    assert isinstance(cookie, Cookie)
    return cookie.cookie


# Somebody is there


@pytest.mark.smoke
@pytest.mark.spec("H-12", "H-13", "H-18")
@pytest.mark.parametrize("talking", [True, False], ids=["talking", "silent"])
@pytest.mark.parametrize("seed", range(4))
def test_while_somebody_is_there_a_caller_is_told_so_within_half_a_second(
    seed: int, talking: bool
) -> None:
    chat = Chat(seed, max_inbound=1)
    stage, bob = chat.stage, chat.bob
    stage.sim.run_for(3 + seed)
    carl = stage.endpoint(CARL)
    for _ in range(3):
        called_at = stage.now
        stage.call(carl, bob)
        if talking:
            chat.run(1)
        stage.sim.run_for(1)
        time, reason = ended(carl)[-1]
        assert reason == Reason.BUSY
        assert time - called_at < 0.5
        # One HELLO was answered by COOKIE, one by a PING to Ann, one by REFUSE.
        kinds = [one.kind for one in bob.to(CARL) if one.time >= called_at]
        assert kinds == [Kind.COOKIE, Kind.REFUSE]
    chat.finish()
    assert chat.slowest < RTT
    assert not opened(carl)
    assert bob.tables["waiting"] == 0


@pytest.mark.spec("H-18")
@pytest.mark.parametrize("seed", range(6))
def test_through_loss_too_the_living_stay_and_the_caller_is_told(seed: int) -> None:
    chat = Chat(seed, Faults(loss=0.2, delay=ONE_WAY), max_inbound=1)
    stage, bob = chat.stage, chat.bob
    callers = [stage.endpoint((f"carl{n}.example", 1)) for n in range(5)]
    for caller in callers:
        called_at = stage.now
        stage.call(caller, bob)
        stage.sim.run_for(6)
        ((time, reason),) = ended(caller)
        assert reason == Reason.BUSY
        assert time - called_at < 4
    chat.finish()


@pytest.mark.spec("H-18")
@pytest.mark.parametrize("lost", [1, 3])
def test_a_refusal_that_is_lost_is_said_again_at_the_next_hello(lost: int) -> None:
    chat = Chat(2, max_inbound=1)
    stage, bob = chat.stage, chat.bob
    stage.sim.run_for(3)
    carl = stage.endpoint(CARL)
    called_at = stage.now
    stage.call(carl, bob)
    stage.sim.run_until(lambda: bob.tables["waiting"] == 1)
    stage.sim.path(BOB, CARL).cut = True
    stage.sim.run_until(lambda: bob.stats["refused"] == lost)
    stage.sim.path(BOB, CARL).cut = False
    stage.sim.run_for(2)
    ((time, reason),) = ended(carl)
    assert reason == Reason.BUSY
    assert time - called_at < 0.5 + 0.25 * lost
    assert pings_to(bob, ANN, called_at) == 1
    stage.sim.run_for(12)
    assert bob.tables["waiting"] == 0


@pytest.mark.spec("H-18")
def test_when_the_conversation_ends_the_next_hello_finds_a_place() -> None:
    chat = Chat(1, max_inbound=1)
    stage, bob = chat.stage, chat.bob
    stage.sim.run_for(3)
    carl = stage.endpoint(CARL)
    called_at = stage.now
    stage.call(carl, bob)
    stage.sim.run_for(0.1)
    stage.command(bob, Leave(bob.number))
    stage.sim.run_for(2)
    assert len(opened(carl)) == 1
    assert opened(carl)[0] - called_at < 0.5


@pytest.mark.spec("H-18")
@pytest.mark.parametrize("one_way", [0.5, 1.0, 1.4])
@pytest.mark.parametrize("seed", range(3))
def test_a_conversation_over_a_long_way_is_not_taken_for_dead(seed: int, one_way: float) -> None:
    stage = Stage(seed, Faults(delay=one_way))
    ann, bob = stage.endpoint(ANN), stage.endpoint(BOB, max_inbound=1)
    stage.call(ann, bob)
    stage.sim.run_for(10)
    for n in range(5):
        stage.command(ann, Send(1, message(b"x"), n))
        stage.command(bob, Send(1, message(b"x"), n))
        stage.sim.run_for(5)
    carl = stage.endpoint(CARL)
    # Carl is near, and asks often.
    all_paths(stage, QUIET, BOB, CARL)
    for _ in range(3):
        stage.call(carl, bob)
        stage.sim.run_for(20)
    assert [reason for _, reason in ended(carl)] == [Reason.BUSY] * 3
    assert not ended(ann)
    assert not ended(bob)


# Nobody is there any more


@pytest.mark.smoke
@pytest.mark.spec("H-18")
@pytest.mark.parametrize("said", [True, False], ids=["talked", "silent"])
@pytest.mark.parametrize("seed", range(6))
def test_the_place_of_a_caller_that_has_crashed_is_free_within_three_seconds(
    seed: int, said: bool
) -> None:
    stage = Stage(seed)
    ann, bob = stage.endpoint(ANN), stage.endpoint(BOB, max_inbound=1)
    stage.call(ann, bob)
    stage.sim.run_for(1)
    if said:
        stage.command(bob, Send(1, message(b"x"), 1))
        stage.sim.run_for(1 + seed * 0.13)
    stage.sim.crash(ANN)
    stage.sim.run_for(seed * 0.07)
    carl = stage.endpoint(CARL)
    called_at = stage.now
    stage.command(carl, Dial(BOB, ROLE, 3), Send(1, message(b"hello"), 1))
    stage.sim.run_for(6)
    assert len(opened(carl)) == 1
    assert opened(carl)[0] - called_at < 3
    # Not before the dead one had its time, and with a reason.
    ((time, reason),) = ended(bob)
    assert reason == Reason.DEAD
    assert time - called_at >= 1.5
    assert bob.notices(Closed)[0].by is Side.LOCAL
    assert [
        flight.destination
        for flight in bob.sent
        if any(type(frame) is Close for frame in flight.frames)
    ] == [ANN]
    assert len(opened(bob)) == 2


@pytest.mark.spec("H-18")
@pytest.mark.parametrize("seed", range(6))
def test_a_caller_that_calls_again_after_a_crash_gets_its_own_place(seed: int) -> None:
    """It has a new machine at the old address, which knows nothing of the conversation."""
    chat = Chat(seed, max_inbound=1)
    stage, bob = chat.stage, chat.bob
    stage.sim.run_for(2)
    stage.sim.crash(ANN)
    stage.sim.run_for(0.3)
    again = Stage(seed + 1000).endpoint(ANN)
    stage.sim.restart(ANN, again)
    called_at = stage.now
    stage.call(again, bob)
    stage.sim.run_for(4)
    # The PING for the old link was answered by RESET, and that ended it.
    assert [reason for _, reason in ended(bob)] == [Reason.RESET]
    assert len(opened(again)) == 1
    assert opened(again)[0] - called_at < 0.5


@pytest.mark.spec("H-18")
def test_of_many_it_is_the_one_heard_least_lately_that_is_checked() -> None:
    stage = Stage(2)
    bob = stage.endpoint(BOB, max_inbound=5)
    guests = [stage.endpoint((f"guest{n}.example", 1)) for n in range(5)]
    for guest in guests:
        stage.call(guest, bob)
        stage.sim.run_for(0.3)
    # All talk but the one in the middle, which has crashed.
    stage.sim.crash(guests[2].address)
    for _ in range(3):
        for guest in guests:
            if guest is not guests[2]:
                stage.command(guest, Send(1, message(b"x"), None))
        stage.sim.run_for(0.2)
    carl = stage.endpoint(CARL)
    called_at = stage.now
    stage.call(carl, bob)
    stage.sim.run_for(3)
    assert opened(carl)[0] - called_at < 3
    assert [one.link for one in bob.notices(Closed)] == [3]
    for guest in guests:
        pinged = pings_to(bob, guest.address, called_at)
        assert (pinged > 0) == (guest is guests[2]), guest.label


@pytest.mark.spec("H-18")
def test_callers_that_wait_for_the_same_place_get_it_one_after_the_other() -> None:
    stage = Stage(3)
    ann, bob = stage.endpoint(ANN), stage.endpoint(BOB, max_inbound=1)
    stage.call(ann, bob)
    stage.sim.run_for(2)
    stage.sim.crash(ANN)
    callers = [stage.endpoint((f"carl{n}.example", 1)) for n in range(8)]
    for caller in callers:
        stage.call(caller, bob)
        stage.sim.run_for(0.01)
    stage.sim.run_for(8)
    winners = [one for one in callers if one.state is State.OPEN]
    assert len(winners) == 1
    for caller in callers:
        if caller is not winners[0]:
            assert [reason for _, reason in ended(caller)] == [Reason.BUSY], caller.label
    assert len(opened(bob)) == 2
    assert bob.tables["half_open"] == 0
    stage.sim.run_for(10)
    assert bob.tables["waiting"] == 0


# Whose callers are not there at all


@pytest.mark.spec("H-17", "H-18")
@pytest.mark.parametrize("alive", [True, False], ids=["alive", "crashed"])
def test_who_proves_no_address_causes_no_ping_and_ends_nothing(alive: bool) -> None:
    chat = Chat(5, max_inbound=1)
    stage, ann, bob = chat.stage, chat.ann, chat.bob
    stage.sim.run_for(3)
    if not alive:
        stage.sim.crash(ANN)
    seen, state = len(bob.to(ANN)), bob.link.key(stage.now)
    for n in range(400):
        hello = forged_hello(1 + stage.random.below(2**63), cookie=stage.random.bytes(n % 17))
        stage.inject(bob, hello, (f"10.0.0.{n % 200}", 1 + n))
        stage.sim.run_for(0.01)
    assert len(bob.to(ANN)) == seen
    assert bob.link.key(stage.now)[0] == state[0] is State.OPEN
    assert bob.tables["waiting"] == bob.tables["half_open"] == 0
    assert not bob.notices(Closed)
    if alive:
        chat.finish()
        assert len(ann.notices(Opened)) == 1


@pytest.mark.spec("H-18")
def test_one_good_cookie_is_one_ping_at_each_hello_and_not_more() -> None:
    chat = Chat(6, max_inbound=1)
    stage, ann, bob = chat.stage, chat.ann, chat.bob
    stage.sim.run_for(3)
    source = ("eve.example", 1)
    cookie = cookie_for(bob, forged_hello(5), source, stage)
    stage.sim.partition(ANN, BOB)
    since = stage.now
    for _ in range(5):
        stage.inject(bob, forged_hello(5, cookie=cookie), source)
    first = [one for one in bob.to(ANN) if one.time >= since]
    assert 1 <= len(first) <= 5
    assert all(any(type(frame) is Ping for frame in one.frames) for one in first)
    stage.sim.heal()
    stage.sim.run_for(1)
    # It was heard: BUSY now, however often it asks again.
    for _ in range(3):
        stage.inject(bob, forged_hello(5, cookie=cookie), source)
        packet = bob.to(source)[-1]
        if packet.kind is Kind.REFUSE:
            break
    assert bob.to(source)[-1].kind is Kind.REFUSE
    chat.finish()
    acks = [one for one in ann.sent if one.time >= since and type(one.frames[0]) is Ack]
    assert acks


@pytest.mark.spec("H-18")
def test_those_who_wait_are_bounded_and_forgotten() -> None:
    chat = Chat(7, max_inbound=1)
    stage, bob = chat.stage, chat.bob
    stage.sim.run_for(3)
    stage.sim.partition(ANN, BOB)
    # Each has a good cookie, asks once more with it, and is never heard of again.
    for n in range(200):
        source = (f"10.0.{n}.1", 1)
        cookie = cookie_for(bob, forged_hello(1 + n), source, stage)
        stage.inject(bob, forged_hello(1 + n, cookie=cookie), source)
        assert bob.tables["waiting"] <= 64
    assert bob.tables["waiting"] == 64
    stage.sim.run_for(1)
    stage.sim.heal()
    stage.sim.run_for(12)
    assert bob.tables["waiting"] == 0
    chat.finish()


# The last place goes while one is on its way


@pytest.mark.spec("H-14")
@pytest.mark.parametrize("seed", range(4))
def test_who_comes_second_to_the_last_place_is_told_at_once_and_nobody_else_is(
    seed: int,
) -> None:
    stage = Stage(seed)
    ann, carl = stage.endpoint(ANN), stage.endpoint(CARL)
    bob = stage.endpoint(BOB, max_inbound=1)
    stage.call(ann, bob)
    stage.sim.run_for(0.01)
    stage.command(carl, Dial(BOB, ROLE, 3), Send(1, message(b"never heard"), 1))
    called_at = stage.now
    stage.sim.run_for(3)
    assert len(opened(ann)) == 1
    assert [one.address for one in bob.notices(Opened)] == [ANN]
    ((time, reason),) = ended(carl)
    assert reason == Reason.BUSY
    assert time - called_at == pytest.approx(2 * RTT)
    assert carl.notices(Closed)[0].by is Side.PEER
    assert bob.tables["half_open"] == 0
    assert not ended(bob)

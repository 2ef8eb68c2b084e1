"""Twins: alike when they are made, alike after the same has happened, and otherwise independent."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pytest

from palaver.entropy import Draws
from palaver.link.arrivals import Arrivals
from palaver.link.callee import Callee
from palaver.link.caller import Caller
from palaver.link.congestion import Congestion
from palaver.link.context import Context
from palaver.link.counters import Counters
from palaver.link.events import Side
from palaver.link.farewell import Farewell
from palaver.link.halfopen import HalfOpen
from palaver.link.handshake import make_hello
from palaver.link.inbox import Inbox
from palaver.link.link import Link
from palaver.link.outbox import Outbox
from palaver.link.path import PathWatch
from palaver.link.reception import Reception
from palaver.link.recovery import Recovery
from palaver.link.replies import ReplyBudget
from palaver.link.rtt import RttEstimator
from palaver.link.tombstones import Tombstones
from palaver.link.waiting import WaitingRoom
from palaver.timing import DEFAULT_LIMITS, DEFAULT_TIMING, Limits
from palaver.wire.frames import Ack, Segment

NOW = 10.0
T = TypeVar("T")


@dataclass(frozen=True)
class Specimen(Generic[T]):
    """A class in the middle of its life, how to see its state, and what can happen to it."""

    name: str
    make: Callable[[], T]
    clone: Callable[[T], T]
    key: Callable[[T], object]
    changes: list[Callable[[T], object]]


def make_rtt() -> RttEstimator:
    rtt = RttEstimator(DEFAULT_TIMING)
    rtt.sample(0.5, 0.0)
    return rtt


def make_congestion() -> Congestion:
    congestion = Congestion(1000)
    congestion.in_flight += 5000
    congestion.lost(1000, NOW - 2, NOW - 1, 1.0)
    return congestion


def make_outbox() -> Outbox:
    """Give an outbox with messages of every fate: sent, acked, lost, cut, queued, overdue."""
    outbox = Outbox(Limits(queue_messages=20))
    outbox.open(100, 1200)
    for ref in range(9):
        outbox.put(bytes(60), ref, NOW + ref)
    outbox.put(bytes(700), 9, NOW + 9)
    outbox.put(b"queued", 10, NOW + 10)
    outbox.put_reserved(b"\0")
    carried = [outbox.fill([], 83) for _ in range(9)]
    outbox.acknowledged(carried[4])
    outbox.lost(carried[5])
    outbox.deliver(2)
    outbox.take_overdue(NOW + 2)
    return outbox


def lose_next(outbox: Outbox) -> None:
    outbox.lost([outbox.segments()[3]])


def make_inbox() -> Inbox:
    """Give an inbox with part of a message, an early one, and one that waits."""
    inbox = Inbox(10_000)
    inbox.pause()
    for segment in (
        Segment(0, b"whole", last=True),
        Segment(1, b"part", last=False),
        Segment(3, b"early", last=True),
    ):
        inbox.receive(segment, [])
    return inbox


def make_arrivals() -> Arrivals:
    arrivals = Arrivals(0.03125)
    for number in (0, 1, 5):
        arrivals.record(number, NOW - 1, eliciting=True)
    arrivals.frame(0, 0, NOW)
    arrivals.record(6, NOW - 0.5, eliciting=True)
    return arrivals


def make_recovery() -> Recovery:
    """Give a recovery with a packet that is lost, one that will be soon, and others under way."""
    recovery = Recovery(DEFAULT_TIMING, 1000)
    for number in range(6):
        recovery.sent(number, 100, [], NOW - 1 + number / 64)
    recovery.acknowledge(Ack(0, 2, 0, 0, 0), NOW - 0.75)
    return recovery


def make_half_open() -> HalfOpen:
    half_open = HalfOpen(DEFAULT_LIMITS)
    half_open.add(1, ("a", 1), proved=False)
    half_open.add(2, ("a", 2), proved=True)
    return half_open


def ended(number: int) -> Link:
    link = Link(number, number * 100, "duo", ("a", 1), Context(), bytes(32))
    link.channel.remote = number
    link.farewell.last_word = b"close"
    return link


def make_tombstones() -> Tombstones:
    tombstones = Tombstones(20.0, 3)
    for number in (1, 2, 3):
        tombstones.bury(ended(number), NOW)
    return tombstones


def say_farewell(tombstones: Tombstones) -> object:
    tombstone = tombstones.find(200)
    return tombstone and tombstone.take_last_word(("a", 1))


def make_budget() -> ReplyBudget:
    budget = ReplyBudget(5)
    budget.take(("a", 1), NOW)
    return budget


def make_waiting_room() -> WaitingRoom:
    room = WaitingRoom()
    room.seat((("a", 1), 7), NOW - 1, 1)
    room.seat((("b", 1), 8), NOW, 2)
    return room


def make_reception() -> Reception:
    """Give a reception with a full house, somebody who waits and somebody who was refused."""
    limits = Limits(half_open=1)
    reception = Reception(frozenset(["duo"]), limits, bytes(32), always_cookie=False)
    reception.half_open.add(1, ("a", 1), proved=False)
    reception.waiting.seat((("b", 1), 8), NOW, 1)
    reception.decide(make_hello(9, "other", limits), ("c", 1), NOW, [], 1)
    return reception


def make_callee() -> Callee:
    hello = make_hello(7, "duo", DEFAULT_LIMITS)
    return Callee(hello, 8, NOW - 1, DEFAULT_TIMING, DEFAULT_LIMITS)


def make_path_watch() -> PathWatch:
    watch = PathWatch(bytes(32))
    watch.see(("new", 1), 500, NOW - 1, here=False)
    watch.ask(b"abcdefgh", ("old", 1))
    return watch


def make_draws() -> Draws:
    draws = Draws(bytes)
    draws.bytes(8)
    return draws


def make_counters() -> Counters:
    counters = Counters()
    counters.damaged = 3
    return counters


def count_damaged(counters: Counters) -> None:
    counters.damaged += 1


def make_farewell() -> Farewell:
    farewell = Farewell()
    farewell.fin_said = True
    return farewell


def hear_bye(farewell: Farewell) -> None:
    farewell.bye_heard = farewell.fin_heard = True


def make_caller() -> Caller:
    caller = Caller(make_hello(7, "duo", DEFAULT_LIMITS), NOW - 1, DEFAULT_TIMING)
    caller.next_hello(NOW - 0.5)
    return caller


def hear_unreachable(caller: Caller) -> None:
    caller.unreachable = True


SPECIMENS: list[Specimen[Any]] = [
    Specimen(
        "RttEstimator",
        make_rtt,
        RttEstimator.clone,
        RttEstimator.key,
        [lambda rtt: rtt.sample(0.25, 0.0), RttEstimator.start_afresh],
    ),
    Specimen(
        "Congestion",
        make_congestion,
        Congestion.clone,
        lambda congestion: congestion.key(NOW),
        [
            lambda congestion: congestion.grow(100, NOW),
            lambda congestion: congestion.lost(100, NOW, NOW, 0.0),
        ],
    ),
    Specimen(
        "Outbox",
        make_outbox,
        Outbox.clone,
        lambda outbox: outbox.key(NOW),
        [
            lambda outbox: outbox.put(b"more", 11, NOW + 11),
            lambda outbox: outbox.put_reserved(b"\0"),
            lambda outbox: outbox.fill([], 83),
            lambda outbox: (outbox.grant(5000), [outbox.fill([], 83) for _ in range(20)]),
            lambda outbox: outbox.fill_oldest([], 1000, 0),
            lambda outbox: outbox.bundle([], 1000, 9),
            lambda outbox: outbox.acknowledged([outbox.segments()[3]]),
            lose_next,
            lambda outbox: outbox.deliver(3),
            lambda outbox: outbox.deliver(9),
            lambda outbox: outbox.grant(9999),
            lambda outbox: outbox.take_overdue(NOW + 5),
        ],
    ),
    Specimen(
        "Inbox",
        make_inbox,
        Inbox.clone,
        Inbox.key,
        [
            Inbox.resume,
            lambda inbox: inbox.receive(Segment(2, b"rest", last=True), []),
            lambda inbox: inbox.receive(Segment(2, b"more", last=False), []),
            lambda inbox: inbox.receive(Segment(7, b"later", last=True), []),
        ],
    ),
    Specimen(
        "Arrivals",
        make_arrivals,
        Arrivals.clone,
        lambda arrivals: arrivals.key(NOW),
        [
            lambda arrivals: arrivals.record(3, NOW, eliciting=True),
            lambda arrivals: arrivals.record(7, NOW, eliciting=False),
            lambda arrivals: arrivals.record(90, NOW, eliciting=True),
            lambda arrivals: arrivals.frame(0, 0, NOW),
            lambda arrivals: arrivals.hurry(NOW - 5),
        ],
    ),
    Specimen(
        "Recovery",
        make_recovery,
        lambda recovery: recovery.clone({}),
        lambda recovery: recovery.key(NOW, 6),
        [
            lambda recovery: recovery.sent(6, 100, [], NOW),
            lambda recovery: recovery.acknowledge(Ack(0, 3, 0, 0, 0), NOW),
            lambda recovery: recovery.acknowledge(Ack(0, 5, 1, 0, 0), NOW),
            lambda recovery: recovery.expire(NOW - 0.6875),
            lambda recovery: recovery.expire(NOW + 10),
            lambda recovery: recovery.start_afresh(500),
        ],
    ),
    Specimen(
        "HalfOpen",
        make_half_open,
        HalfOpen.clone,
        lambda half_open: (half_open.key(), half_open.has_room(("a", 1)), len(half_open)),
        [
            lambda half_open: half_open.add(3, ("b", 1), proved=True),
            lambda half_open: [
                half_open.add(number, ("a", 1), proved=False) for number in range(3, 9)
            ],
            lambda half_open: half_open.discard(1),
            lambda half_open: (half_open.discard(1), half_open.discard(2)),
        ],
    ),
    Specimen(
        "Tombstones",
        make_tombstones,
        Tombstones.clone,
        lambda tombstones: (
            tombstones.key(NOW),
            [tombstones.find(number * 100) is None for number in range(1, 5)],
            [tombstones.has_peer(("a", 1), number) for number in range(1, 5)],
        ),
        [
            lambda tombstones: tombstones.bury(ended(4), NOW + 1),
            lambda tombstones: tombstones.expire(NOW + 20),
            say_farewell,
        ],
    ),
    Specimen(
        "ReplyBudget",
        make_budget,
        ReplyBudget.clone,
        lambda budget: budget.key(NOW),
        [
            lambda budget: budget.take(("a", 1), NOW),
            lambda budget: budget.take(("b", 1), NOW),
            lambda budget: budget.forget(NOW + 1),
        ],
    ),
    Specimen(
        "WaitingRoom",
        make_waiting_room,
        WaitingRoom.clone,
        lambda room: (room.key(NOW), len(room)),
        [
            lambda room: room.seat((("c", 1), 9), NOW, 3),
            lambda room: room.leave((("a", 1), 7)),
            lambda room: room.expire(NOW + 9),
        ],
    ),
    Specimen(
        "Reception",
        make_reception,
        Reception.clone,
        lambda reception: reception.key(NOW),
        [
            lambda reception: reception.expire(NOW + 1),
            lambda reception: reception.half_open.discard(1),
            lambda reception: reception.waiting.leave((("b", 1), 8)),
            lambda reception: reception.decide(
                make_hello(5, "duo", DEFAULT_LIMITS), ("d", 1), NOW, [], 1
            ),
            lambda reception: reception.decide(
                make_hello(5, "duo", DEFAULT_LIMITS), ("d", 1), NOW, [ended(1)], 1
            ),
        ],
    ),
    Specimen(
        "PathWatch",
        make_path_watch,
        PathWatch.clone,
        lambda watch: watch.key(NOW),
        [
            lambda watch: watch.packets(1.0, NOW),
            lambda watch: watch.credit(("new", 1), 100),
            lambda watch: watch.ask(b"12345678", ("new", 1)),
            lambda watch: watch.see(("old", 1), 50, NOW, here=True),
            lambda watch: watch.see(("newer", 1), 50, NOW, here=False),
        ],
    ),
    Specimen("Callee", make_callee, Callee.clone, Callee.key, [Callee.count]),
    Specimen("Draws", make_draws, Draws.clone, Draws.key, [lambda draws: draws.bytes(8)]),
    Specimen("Counters", make_counters, Counters.clone, Counters.as_dict, [count_damaged]),
    Specimen(
        "Farewell",
        make_farewell,
        Farewell.clone,
        lambda farewell: farewell.key(NOW),
        [hear_bye, lambda farewell: farewell.settle(3, Side.PEER, "text")],
    ),
    Specimen(
        "Caller",
        make_caller,
        Caller.clone,
        lambda caller: caller.key(NOW),
        [
            lambda caller: caller.next_hello(NOW),
            lambda caller: caller.present(b"cookie", NOW),
            hear_unreachable,
        ],
    ),
]
CASES = [(specimen, change) for specimen in SPECIMENS for change in specimen.changes]


@pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda specimen: specimen.name)
def test_a_twin_is_alike(specimen: Specimen[Any]) -> None:
    original = specimen.make()
    twin = specimen.clone(original)
    assert twin is not original
    assert type(twin) is type(original)
    assert specimen.key(twin) == specimen.key(original)


@pytest.mark.parametrize(
    ("specimen", "change"),
    CASES,
    ids=[
        f"{specimen.name}-{number}"
        for specimen in SPECIMENS
        for number in range(len(specimen.changes))
    ],
)
def test_what_happens_to_one_twin_leaves_the_other_as_it_was(
    specimen: Specimen[Any], change: Callable[[Any], object]
) -> None:
    original = specimen.make()
    before = specimen.key(original)
    twin = specimen.clone(original)
    change(twin)
    assert specimen.key(original) == before
    assert specimen.key(twin) != before
    # And nothing is shared the other way round; alike again after the same has happened.
    change(original)
    assert specimen.key(original) == specimen.key(twin)


@pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda specimen: specimen.name)
def test_a_key_does_not_tell_when_things_happened(
    specimen: Specimen[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = specimen.key(specimen.make())
    monkeypatch.setattr(sys.modules[__name__], "NOW", NOW + 1024)
    assert specimen.key(specimen.make()) == before


@pytest.mark.parametrize("first", [64, 1000, 1 << 31])
def test_a_key_does_not_tell_the_numbers_of_packets(first: int) -> None:
    keys = []
    for start in (9, first):
        recovery = Recovery(DEFAULT_TIMING, 1000)
        arrivals = Arrivals(0.03125)
        for number in range(max(start - 2048, 0), start):
            arrivals.record(number, NOW, eliciting=False)
        for number in range(start, start + 6):
            recovery.sent(number, 100, [], NOW)
            arrivals.record(number, NOW, eliciting=(number - start) % 3 == 0)
        recovery.acknowledge(Ack(0, start + 2, 0, 0, 0), NOW + 0.25)
        arrivals.frame(0, 0, NOW)
        arrivals.record(start + 7, NOW, eliciting=False)
        arrivals.record(start + 8, NOW, eliciting=True)
        keys.append((recovery.key(NOW, start + 6), arrivals.key(NOW)))
    assert keys[0] == keys[1]


def test_acks_that_nobody_asked_for_do_not_make_ever_new_keys() -> None:
    arrivals = make_arrivals()
    keys = []
    for _ in range(10):
        arrivals.frame(0, 0, NOW)
        keys.append(arrivals.key(NOW))
    assert keys[-1] == keys[-2]


def test_the_twin_of_a_drawer_draws_the_same() -> None:
    draws = make_draws()
    twin = draws.clone()
    assert [draws.bytes(8) for _ in range(5)] == [twin.bytes(8) for _ in range(5)]


def test_packets_of_a_twin_carry_the_segments_of_its_twin() -> None:
    outbox = make_outbox()
    recovery = Recovery(DEFAULT_TIMING, 1000)
    recovery.sent(0, 100, [outbox.segments()[3]], NOW)
    twin_outbox = outbox.clone()
    twin = recovery.clone(twin_outbox.segments())
    (carried,) = twin.packets[0].segments
    assert carried is twin_outbox.segments()[3]
    assert recovery.packets[0].segments == [outbox.segments()[3]]


def test_messages_of_a_twin_outbox_have_the_same_fates() -> None:
    outbox = make_outbox()
    twin = outbox.clone()
    fates = []
    for one in (outbox, twin):
        one.grant(100_000)
        while one.fill([], 83):
            pass
        overdue = [message.ref for message in one.take_overdue(NOW + 100)]
        delivered = [message.ref for message in one.deliver(one.next_number)]
        assert one.is_empty
        fates.append((overdue, delivered, one.key(NOW)))
    assert fates[0] == fates[1]


def test_a_context_counts_on_its_own() -> None:
    context = Context()
    twin = context.clone()
    twin.counters.damaged += 1
    assert context.counters.damaged == 0
    assert (twin.timing, twin.limits) == (context.timing, context.limits)

"""Silence, patience and the rule of ticks, between two real endpoints (8.3, 10)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from pairs import DELAY, START, A, B, Pair, entropy, message

from palaver import (
    Abort,
    Closed,
    Delivered,
    Dial,
    Endpoint,
    Event,
    Finish,
    Leave,
    Opened,
    Overdue,
    Pause,
    Reason,
    Resume,
    Send,
    Side,
    Tick,
    Timing,
    Undelivered,
)
from palaver.link.states import State
from palaver.wire.frames import Close, Ping
from palaver.wire.packets import Kind


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


# Overdue, as in L-4


@pytest.mark.smoke
def test_a_message_is_overdue_after_ten_seconds_once_and_is_then_delivered() -> None:
    pair = Pair().open()
    pair.wire.lose_from(A)
    sent = pair.wire.now - pair.wire.start
    pair.a.send(b"1", b"2", ref=1)
    pair.wire.run(5)
    pair.a.send(b"3", ref=3)
    pair.wire.run(12)
    assert pair.a.notices(Overdue) == [Overdue(1, 1), Overdue(1, 2), Overdue(1, 3)]
    assert pair.a.times(Overdue) == [sent + 10, sent + 10, sent + 15]
    pair.wire.lose_from()
    pair.wire.run(10)
    assert pair.a.delivered == [1, 2, 3]
    assert len(pair.a.notices(Overdue)) == 3
    assert pair.b.received == [b"1", b"2", b"3"]


def test_what_is_delivered_in_time_is_not_overdue() -> None:
    pair = Pair().open()
    pair.a.send(b"1", ref=1)
    pair.wire.run(30)
    assert pair.a.notices(Overdue) == []


def test_a_message_that_waits_for_the_answer_to_the_call_becomes_overdue_too() -> None:
    pair = Pair()
    pair.wire.lose_from(A)
    pair.call()
    pair.wire.run(3)
    pair.a.send(b"1", ref=1)
    pair.wire.run(15)
    assert pair.a.times(Overdue) == [13]
    pair.wire.lose_from()
    pair.wire.run(20)
    assert pair.a.delivered == [1]


def test_a_message_that_a_paused_peer_holds_becomes_overdue() -> None:
    pair = Pair().open()
    pair.b.tell(Pause(1))
    pair.a.send(b"1", ref=1)
    pair.wire.run(20)
    assert pair.a.notices(Overdue) == [Overdue(1, 1)]
    pair.b.tell(Resume(1))
    pair.wire.run(1)
    assert pair.a.delivered == [1]


def test_a_message_without_a_ref_is_never_told_of() -> None:
    pair = Pair().open()
    pair.wire.remove(B)
    pair.a.send(b"1", ref=None)
    pair.wire.run(60)
    assert pair.a.notices(Overdue) == []
    assert pair.a.notices(Undelivered) == []
    assert pair.a.closed == Closed(1, 0, Reason.DEAD, Side.LOCAL)


# A dead peer, as in L-3


@pytest.mark.smoke
@pytest.mark.spec("L-3")
def test_a_silent_peer_is_dead_after_thirty_seconds_if_something_is_awaited() -> None:
    pair = Pair().open()
    pair.wire.run(3)
    pair.wire.remove(B)
    sent = pair.wire.now - pair.wire.start
    pair.a.send(b"1", b"2", ref=1)
    pair.wire.run(60)
    assert pair.a.times(Closed) == [sent + 30]
    assert pair.a.closed == Closed(1, 0, Reason.DEAD, Side.LOCAL)
    assert pair.a.notices(Undelivered) == [
        Undelivered(1, 1, Reason.DEAD),
        Undelivered(1, 2, Reason.DEAD),
    ]
    assert pair.a.machine.is_idle
    assert pair.wire.flights[-1].has(Close)


def test_a_peer_that_is_heard_is_not_dead_though_it_acknowledges_nothing_of_ours() -> None:
    pair = Pair().open()
    pair.wire.lose_from(A)
    pair.a.send(b"1", ref=1)
    for ref in range(7):
        pair.b.send(b"x", ref=ref)
        pair.wire.run(20)
        if pair.b.closed is not None:
            break
    # B, who hears nothing, has given up after 30 s; A has learnt that from its CLOSE.
    assert pair.b.closed == Closed(1, None, Reason.DEAD, Side.LOCAL)
    assert pair.a.closed == Closed(1, 0, Reason.DEAD, Side.PEER)


def test_without_anything_awaited_only_the_keepalive_finds_a_dead_peer() -> None:
    pair = Pair().open()
    last = pair.wire.flights[-1].time
    pair.wire.remove(B)
    pair.wire.run_until(lambda: pair.a.closed is not None)
    (ping,) = [flight for flight in pair.wire.flights if flight.time > last][:1]
    assert ping.has(Ping)
    assert 16 <= ping.time - last <= 24
    assert pair.wire.now == ping.time + 30
    assert pair.a.closed == Closed(1, 0, Reason.DEAD, Side.LOCAL)


def test_what_was_found_lost_by_time_is_not_awaited_any_more() -> None:
    pair = Pair().open()
    pair.wire.run(1)
    before = len(pair.wire.flights)
    pair.wire.lose = lambda flight: flight.has(Ping)
    pair.wire.run_until(lambda: any(one.has(Ping) for one in pair.wire.flights[before:]))
    one = pair.a if pair.wire.flights[-1].source == A else pair.b
    packets = one.link.channel.recovery.packets
    pair.wire.run(0.001)
    one.send(b"1", ref=1)
    # The ack of the message comes when the PING is not old enough yet to count as lost.
    pair.wire.run_until(lambda: one.delivered == [1])
    assert packets
    pair.wire.run_until(lambda: not packets, 1)
    pair.wire.lose_from(A, B)
    silent = pair.wire.now
    pair.wire.run_until(lambda: one.closed is not None, 100)
    # 30 s after the keepalive's PING: nothing before that has awaited an answer.
    assert pair.wire.now - silent > 30 + 15


def test_a_peer_that_comes_back_in_time_is_not_dead() -> None:
    pair = Pair().open()
    pair.wire.lose_from(B)
    pair.a.send(b"1", ref=1)
    pair.wire.run(26)  # a probe follows within 3 s
    pair.wire.lose_from()
    pair.wire.run(5)
    assert pair.a.delivered == [1]
    assert pair.b.received == [b"1"]
    assert pair.a.state is State.OPEN


def test_a_paused_peer_is_not_dead_however_long_it_pauses() -> None:
    pair = Pair().open()
    pair.b.tell(Pause(1))
    pair.a.send(*[bytes(60000)] * 6, ref=0)
    pair.wire.run(3600)
    assert pair.a.state is State.OPEN
    assert pair.a.delivered == []
    pair.b.tell(Resume(1))
    pair.wire.run(5)
    assert pair.a.delivered == list(range(6))


def test_probes_are_never_more_than_three_seconds_apart() -> None:
    pair = Pair().open()
    pair.wire.remove(B)
    pair.a.send(b"1", ref=1)
    pair.wire.run(60)
    times = sorted({flight.time for flight in pair.wire.sent_by(A, Kind.DATA)})
    assert max(gaps(times[1:])) <= 3 + 1e-9
    assert len(times) >= 10


# Keepalive, as in L-2


def test_an_idle_link_stays_up_by_a_ping_every_twenty_seconds_or_so() -> None:
    pair = Pair().open()
    opened = len(pair.wire.flights)
    pair.wire.run(3600)
    assert (pair.a.state, pair.b.state) == (State.OPEN, State.OPEN)
    # The side with the shorter interval pings; the other's acks count as sent.
    pings = [flight for flight in pair.wire.flights[opened:] if flight.has(Ping)]
    assert len({ping.source for ping in pings}) == 1
    times = [ping.time for ping in pings]
    assert 3600 / 24 - 1 <= len(times) <= 3600 / 16
    assert 16 <= min(gaps(times)) <= max(gaps(times)) <= 24
    assert max(gaps(times)) - min(gaps(times)) < 1e-6
    assert len(pair.wire.flights) - opened == 2 * len(pings)


def test_each_side_pings_by_itself() -> None:
    for silent, end in ((A, B), (B, A)):
        pair = Pair().open()
        last = pair.wire.sent_by(end)[-1].time
        pair.wire.remove(silent)
        pair.wire.run(24)
        first = next(flight for flight in pair.wire.sent_by(end) if flight.time > last)
        assert first.has(Ping)
        assert 16 <= first.time - last <= 24


def test_the_interval_differs_from_link_to_link_and_is_fixed_for_each() -> None:
    pings = set()
    for label in "abcdefgh":
        pair = Pair()
        pair.a.machine = Endpoint(entropy(label))
        pair.wire.add(A, pair.a.machine)
        pair.open()
        pair.wire.remove(B)
        last = pair.wire.sent_by(A)[-1].time
        pair.wire.run(30)
        pings.add(round(pair.wire.sent_by(A)[-1].time - last, 3))
        first = next(flight for flight in pair.wire.sent_by(A) if flight.time > last)
        assert 16 <= first.time - last <= 24
        pings.add(first.time - last)
    assert len(pings) >= 8


def test_without_jitter_the_keepalive_is_exact() -> None:
    timing = Timing(keepalive=5.0, keepalive_jitter=0.0)
    pair = Pair(timing=timing).open()
    pair.wire.remove(B)
    last = pair.wire.sent_by(A)[-1].time
    pair.wire.run(6)
    first = next(flight for flight in pair.wire.sent_by(A) if flight.time > last)
    assert first.time == last + 5


def test_who_talks_needs_no_keepalive() -> None:
    pair = Pair().open()
    for _ in range(20):
        pair.a.send(b"x", ref=None)
        pair.wire.run(10)
    sent = [flight for flight in pair.wire.sent_by(A)[2:] if flight.has(Ping)]
    assert sent == []


# The rule of ticks; the wire checks it after every tick, here for odd moments too


def busy_pair() -> Pair:
    pair = Pair().open()
    pair.a.send(bytes(3000), ref=1)
    pair.b.send(b"x", ref=1)
    pair.a.tell(Pause(1))
    pair.wire.run(0.01)
    return pair


@pytest.mark.parametrize("count", [1, 3])
def test_early_and_repeated_ticks_do_nothing(count: int) -> None:
    quiet, nervous = busy_pair(), busy_pair()
    for step in range(2000):
        at = START + 1.01 + step / 512
        quiet.wire.run_to(at)
        nervous.wire.run_to(at)
        for _ in range(count):
            for end in (nervous.a, nervous.b):
                deadline = end.machine.deadline
                assert end.machine.handle(Tick(), at) == []
                assert end.machine.deadline == deadline or deadline is None or deadline <= at
    assert [flight.data for flight in quiet.wire.flights] == [
        flight.data for flight in nervous.wire.flights
    ]


@pytest.mark.parametrize("late", [0.0, 1e-9, 0.1, 5.0, 100.0, 1e6])
@pytest.mark.parametrize(
    "state",
    ["calling", "half-open", "open", "unacked", "closing", "answering", "lingering", "buried"],
)
def test_a_late_tick_leaves_nothing_due(state: str, late: float) -> None:
    pair = Pair().call()
    machine = pair.b.machine if state in {"half-open", "answering"} else pair.a.machine
    if state == "calling":
        pair.wire.lose_from(A)
    elif state == "half-open":
        pair.wire.run(DELAY)
    else:
        pair.wire.run(1)
        pair.b.send(b"x", ref=1)
        if state == "answering":
            pair.wire.lose_from(B)
        if state != "open":
            pair.a.send(b"x", ref=1)
        if state in {"closing", "answering", "lingering"}:
            pair.a.tell(Leave(1))
        if state == "lingering":
            pair.wire.run_until(lambda: pair.a.state is State.LINGERING)
        elif state == "answering":
            pair.wire.run(DELAY)
        elif state == "buried":
            pair.a.tell(Abort(1))
    now = pair.wire.now
    for _ in range(200):
        deadline = machine.deadline
        if deadline is None:
            break
        now = max(now, deadline) + late
        machine.handle(Tick(), now)
        after = machine.deadline
        assert after is None or after > now, f"{state}, {late} s late: {after} at {now}"


def test_an_endpoint_that_has_nothing_to_do_wants_no_tick() -> None:
    machine = Endpoint(entropy("a"))
    assert machine.deadline is None
    assert machine.handle(Tick(), 5.0) == []
    assert machine.deadline is None
    pair = Pair().open()
    pair.a.tell(Leave(1))
    pair.wire.run(60)
    assert pair.a.machine.deadline is None
    assert pair.b.machine.deadline is None


@pytest.mark.parametrize("event", [Finish(1), Pause(1), Send(1, message(b"x"), 1), Abort(1)])
def test_a_command_makes_a_tick_due_at_once_or_leaves_the_deadline(event: Event) -> None:
    pair = Pair().open()
    before = pair.a.machine.deadline
    pair.a.machine.handle(event, pair.wire.now)
    after = pair.a.machine.deadline
    assert after is not None
    assert before is not None
    assert after <= pair.wire.now or after == before or isinstance(event, Abort)


@pytest.mark.parametrize("start", [0.0, -1000.0, 1e9])
def test_any_clock_will_do(start: float) -> None:
    pair = Pair()
    pair.wire.now = pair.wire.start = start
    pair.open()
    pair.a.send(b"x", ref=1)
    pair.wire.run(1)
    assert pair.a.delivered == [1]
    pair.wire.run(100)
    pair.a.tell(Leave(1))
    pair.wire.run(30)
    assert pair.a.machine.deadline is None


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.3, 1.0, 2.0, 4.0])
def test_long_ways_cost_time_and_nothing_else(delay: float) -> None:
    pair = Pair(delay=delay).call()
    pair.a.send(b"x" * 20000, ref=1)
    pair.wire.run(20 + 40 * delay)
    assert pair.a.delivered == [1]
    assert pair.a.times(Opened) == [pytest.approx(2 * delay)]
    pair.b.send(b"y" * 20000, ref=1)
    pair.wire.run(20 + 40 * delay)
    assert pair.b.delivered == [1]
    assert (pair.a.state, pair.b.state) == (State.OPEN, State.OPEN)


def test_links_of_one_endpoint_keep_their_own_time() -> None:
    pair = Pair()
    pair.wire.remove(B)
    for seconds in (3.0, 1.0, 2.0):
        pair.wire.tell(A, Dial(B, "test", timeout=seconds))
    pair.wire.run(5)
    closed = [
        (time - START, notice.link)
        for time, notice in pair.wire.told[A]
        if isinstance(notice, Closed)
    ]
    assert closed == [(1.0, 2), (2.0, 3), (3.0, 1)]


def test_acks_are_delayed_by_25_ms_at_most_and_every_second_packet_gets_one_at_once() -> None:
    pair = Pair().open()
    since = pair.wire.now - pair.wire.start
    pair.a.send(b"1", ref=1)
    pair.wire.run(1)
    assert pair.a.times(Delivered) == [pytest.approx(since + 2 * DELAY + 0.025)]
    since = pair.wire.now - pair.wire.start
    pair.a.send(b"2", ref=2)
    pair.a.send(b"3", ref=3)
    pair.wire.run(1)
    assert pair.a.times(Delivered)[1:] == [since + 2 * DELAY] * 2

"""Messages between two real endpoints: order, outcomes, credit, pauses, sizes (section 7)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from pairs import DELAY, A, B, Flight, Pair, message, unlucky

from palaver import (
    Abort,
    Closed,
    Datagram,
    Delivered,
    Finish,
    Finished,
    Leave,
    Limits,
    Overdue,
    Pause,
    Reason,
    Received,
    Resume,
    Send,
    Side,
    Timing,
    Undelivered,
    UsageError,
    WouldBlock,
    Writable,
)
from palaver.link.states import State
from palaver.timing import MAX_MESSAGE
from palaver.wire.frames import Ack, Ping, Segment
from palaver.wire.packets import Kind

SMALLEST = Limits(mtu=64)
SIZES = [1, 2, 39, 40, 41, 1175, 1176, 1177, 2352, 2353, 10_000, 65_535, 65_536]


def body(size: int) -> bytes:
    """Give a body that makes a message of `size` bytes, which is told from others of its size."""
    return bytes(index % 251 for index in range(size - 1))


def segments(flight: Flight) -> list[Segment]:
    return [frame for frame in flight.frames if isinstance(frame, Segment)]


# Sizes


@pytest.mark.smoke
@pytest.mark.parametrize("limits", [Limits(), SMALLEST], ids=["mtu1200", "mtu64"])
def test_messages_of_every_size_arrive_whole_and_in_order(limits: Limits) -> None:
    pair = Pair(limits=limits).open()
    bodies = [body(size) for size in SIZES]
    for ref, one in enumerate(bodies):
        pair.a.send(one, ref=ref)
        pair.b.send(one, ref=ref)
        pair.wire.run(20)
    assert pair.a.received == pair.b.received == bodies
    assert pair.a.delivered == pair.b.delivered == list(range(len(bodies)))


@pytest.mark.parametrize(("mtu_a", "mtu_b"), [(64, 1200), (1200, 64), (300, 301), (65507, 65507)])
def test_the_smaller_mtu_holds_for_both(mtu_a: int, mtu_b: int) -> None:
    pair = Pair(limits_a=Limits(mtu=mtu_a), limits_b=Limits(mtu=mtu_b)).open()
    pair.a.send(body(65536), ref=1)
    pair.b.send(body(65536), ref=1)
    pair.wire.run(60)
    assert pair.a.received == pair.b.received == [body(65536)]
    data = [flight for flight in pair.wire.flights if flight.kind is Kind.DATA]
    assert max(len(flight.data) for flight in data) == min(mtu_a, mtu_b)
    assert pair.a.stats["too_large"] == pair.b.stats["too_large"] == 0


@pytest.mark.parametrize("size", [0, MAX_MESSAGE + 1])
def test_a_message_that_is_empty_or_too_large_is_refused(size: int) -> None:
    pair = Pair().open()
    with pytest.raises(UsageError):
        pair.a.tell(Send(1, bytes((16,)) * size, 1))
    pair.a.send(b"x", ref=2)
    pair.wire.run(1)
    assert pair.b.received == [b"x"]
    assert pair.a.delivered == [2]


def test_a_message_beyond_the_peers_window_is_refused_before_it_is_queued() -> None:
    pair = Pair(limits_b=Limits(window=1024)).open()
    with pytest.raises(UsageError):
        pair.a.tell(Send(1, bytes((16,)) * (1024 - 64 + 1), 1))
    pair.a.tell(Send(1, bytes((16,)) * (1024 - 64), 2))
    pair.wire.run(1)
    assert pair.a.delivered == [2]


def test_a_message_that_was_queued_before_the_window_was_known_may_be_too_large() -> None:
    pair = Pair(limits_b=Limits(window=1024)).call()
    pair.a.tell(Send(1, message(bytes(2000)), 1), Send(1, message(b"small"), 2), Finish(1))
    pair.wire.run(1)
    assert pair.a.notices(Undelivered) == [Undelivered(1, 1, Reason.TOO_LARGE)]
    assert pair.a.delivered == [2]
    assert pair.b.received == [b"small"]
    pair.wire.run(30)
    assert pair.a.notices(Overdue) == []
    assert pair.a.state is State.OPEN


def test_large_messages_pass_a_small_window_one_after_the_other() -> None:
    pair = Pair(limits=Limits(mtu=64, window=1024)).open()
    bodies = [body(350) for _ in range(20)]
    pair.a.send(*bodies, ref=0)
    pair.wire.run(60)
    assert pair.b.received == bodies
    assert pair.a.delivered == list(range(20))


# Outcomes


@pytest.mark.smoke
@pytest.mark.parametrize("loss", [0.05, 0.3, 0.5])
def test_every_message_is_delivered_though_many_datagrams_are_lost(loss: float) -> None:
    pair = Pair().open()
    pair.wire.lose = unlucky(loss)
    bodies = [b"%d" % ref for ref in range(100)]
    for ref, one in enumerate(bodies):
        pair.a.send(one, ref=ref)
        pair.b.send(one, ref=ref)
        pair.wire.run(0.01)
    pair.wire.run(20)
    assert pair.a.received == pair.b.received == bodies
    assert pair.a.delivered == pair.b.delivered == list(range(100))


@pytest.mark.spec("L-8")
def test_exactly_the_messages_that_were_not_acknowledged_are_undelivered() -> None:
    pair = Pair().open()
    pair.a.send(b"1", b"2", ref=1)
    pair.wire.run(1)
    pair.wire.lose_from(A)
    pair.a.send(b"3", ref=3)
    pair.wire.run(0.1)
    pair.wire.lose_from(B)
    pair.a.send(b"4", ref=4)
    pair.wire.run(1)
    told = pair.a.tell(Send(1, message(b"5"), 5), Send(1, message(b"6"), None), Abort(1))
    assert told == [
        Undelivered(1, 3, Reason.ABORTED),
        Undelivered(1, 4, Reason.ABORTED),
        Undelivered(1, 5, Reason.ABORTED),
        Closed(1, 0, Reason.ABORTED, Side.LOCAL),
    ]
    assert pair.a.delivered == [1, 2]


def test_refs_may_repeat_and_each_use_has_its_own_outcome() -> None:
    pair = Pair().open()
    pair.a.tell(*[Send(1, message(b"%d" % n), 7) for n in range(3)])
    pair.wire.run(1)
    assert pair.a.delivered == [7, 7, 7]


def test_a_message_is_delivered_only_when_the_whole_of_it_has_come() -> None:
    pair = Pair().open()
    full = [
        flight for flight in pair.wire.flights if flight.source == A and flight.kind is Kind.DATA
    ]
    pair.a.send(body(3000), ref=1)
    sent = pair.wire.sent_by(A, Kind.DATA)[len(full) :]
    assert [len(segments(flight)) for flight in sent] == [1, 1, 1]
    assert [segments(flight)[0].last for flight in sent] == [False, False, True]
    pair.wire.inject(sent[0].data, A, B)
    pair.wire.inject(sent[2].data, A, B)
    assert pair.b.received == []
    assert pair.wire.inject(sent[1].data, A, B) == [Received(1, message(body(3000)))]


def test_a_duplicate_or_a_late_packet_changes_nothing() -> None:
    pair = Pair().open()
    pair.a.send(b"1", ref=1)
    packet = pair.wire.flights[-1].data
    pair.wire.run(1)
    key = pair.b.machine.state_key(pair.wire.now)
    sent = len(pair.wire.flights)
    for _ in range(5):
        assert pair.wire.inject(packet, A, B) == []
    assert pair.b.stats["duplicates"] == 5
    assert pair.b.machine.state_key(pair.wire.now) == key
    assert len(pair.wire.flights) == sent
    assert pair.b.received == [b"1"]


def test_what_is_older_than_the_replay_window_is_taken_for_a_duplicate() -> None:
    pair = Pair().open()
    lost = pair.a.forge(Ping())
    last_fresh = pair.a.forge(Ping())
    for _ in range(1024):
        pair.wire.inject(pair.a.forge(Ping()), A, B)
    before = pair.b.stats["duplicates"]
    pair.wire.inject(lost, A, B)
    assert pair.b.stats["duplicates"] == before + 1
    pair.wire.inject(last_fresh, A, B)
    assert pair.b.stats["duplicates"] == before + 2
    pair = Pair().open()
    last_fresh = pair.a.forge(Ping())
    for _ in range(1023):
        pair.wire.inject(pair.a.forge(Ping()), A, B)
    pair.wire.inject(last_fresh, A, B)
    assert pair.b.stats["duplicates"] == 0


@pytest.mark.parametrize("position", [0, 1, 9, 12, 13, 16, 20, -1])
@pytest.mark.parametrize("bit", [1, 128])
def test_a_damaged_packet_changes_nothing(position: int, bit: int) -> None:
    pair = Pair().open()
    packet = bytearray(pair.a.forge(Segment(0, message(b"never"), last=True)))
    packet[position] ^= bit
    key = pair.b.machine.state_key(pair.wire.now)
    sent = len(pair.wire.flights)
    assert pair.wire.inject(bytes(packet), A, B) == []
    stats = pair.b.stats
    assert stats["damaged"] + stats["unknown"] + stats["duplicates"] >= 1
    assert pair.b.machine.state_key(pair.wire.now) == key
    assert len(pair.wire.flights) == sent


def test_a_datagram_beyond_the_own_mtu_is_dropped() -> None:
    pair = Pair().open()
    packet = pair.a.forge(Segment(0, message(bytes(1200)), last=True))
    assert len(packet) > 1200
    assert pair.wire.inject(packet, A, B) == []
    assert pair.b.stats["too_large"] == 1
    assert pair.b.state is State.OPEN


def test_segments_in_any_order_make_the_same_messages() -> None:
    pair = Pair().open()
    parts = [
        Segment(0, message(b"one "), last=False),
        Segment(1, b"whole", last=True),
        Segment(2, message(b"two"), last=True),
        Segment(3, message(b"th"), last=False),
        Segment(4, b"r", last=False),
        Segment(5, b"ee", last=True),
    ]
    packets = [pair.a.forge(part) for part in parts]
    for index in (5, 3, 1, 2, 4, 0):
        assert pair.b.received == []
        pair.wire.inject(packets[index], A, B)
    assert pair.b.received == [b"one whole", b"two", b"three"]


def test_a_segment_that_has_arrived_is_never_sent_again() -> None:
    pair = Pair(limits=Limits(mtu=300)).open()
    pair.wire.lose = lossy = unlucky(0.3, seed=5)
    lost: list[Flight] = []

    def lose(flight: Flight) -> bool:
        if lossy(flight):
            lost.append(flight)
            return True
        return False

    pair.wire.lose = lose
    pair.b.tell(Pause(1))  # so that arrived and delivered are two things
    for ref in range(60):
        pair.a.send(bytes(40 + ref * 5), ref=ref)
        pair.wire.run(0.03)
    pair.wire.run(30)
    carried = {flight.number: segments(flight) for flight in pair.wire.sent_by(A, Kind.DATA)}
    arrived: set[int] = set()
    events = [(flight.time, False, flight) for flight in pair.wire.sent_by(A)]
    events += [
        (flight.time + DELAY, True, flight) for flight in pair.wire.sent_by(B) if flight not in lost
    ]
    for _, is_ack, flight in sorted(events, key=lambda event: (event[0], not event[1])):
        if not is_ack:
            assert not arrived & {part.number for part in segments(flight)}
            continue
        for frame in flight.frames:
            if isinstance(frame, Ack):
                bits = (frame.earlier << 1) | 1
                named = [frame.newest - bit for bit in range(65) if bits >> bit & 1]
                arrived |= {part.number for n in named for part in carried[n]}
    assert arrived == set(range(max(arrived) + 1))
    assert len(arrived) > 60
    assert pair.a.stats["segments_resent"] > 10
    assert pair.a.delivered == []


# Packing


@pytest.mark.smoke
def test_messages_that_are_sent_before_one_tick_share_packets() -> None:
    pair = Pair().open()
    before = len(pair.wire.flights)
    pair.a.send(*[b"%02d" % n for n in range(16)], ref=0)
    sent = pair.wire.flights[before:]
    assert len(sent) == 1
    assert len(segments(sent[0])) == 16
    pair.wire.run(1)
    assert pair.a.delivered == list(range(16))
    # One packet out, and one ack back.
    assert len(pair.wire.flights) == before + 2


@pytest.mark.spec("D-11")
@pytest.mark.parametrize(("mtu", "packets"), [(64, 10), (1200, 10), (1472, 10), (9000, 2)])
def test_no_more_is_in_flight_than_the_window_allows(mtu: int, packets: int) -> None:
    pair = Pair(limits=Limits(mtu=mtu)).open()
    seen = len(pair.wire.flights)
    pair.a.send(*[bytes(60000)] * 4, ref=0)
    first = pair.wire.flights[seen:]
    assert len(first) == packets
    assert {len(flight.data) for flight in first} == {mtu}
    pair.wire.run(60)
    assert pair.a.delivered == list(range(4))
    if mtu == 1200:  # it doubles with every round trip
        assert pair.a.times(Delivered)[-1] - 1 <= 6 * 2 * DELAY


def test_nothing_is_sent_before_the_tick() -> None:
    pair = Pair().open()
    sent = len(pair.wire.flights)
    assert pair.a.machine.handle(Send(1, message(b"x"), 1), pair.wire.now) == []
    assert pair.a.machine.handle(Send(1, message(b"y"), 2), pair.wire.now) == []
    packet = pair.b.forge(Ping())
    assert pair.a.machine.handle(Datagram(packet, B), pair.wire.now) == []
    assert len(pair.wire.flights) == sent
    pair.wire.ledgers[A].asked(Send(1, b"", 1))
    pair.wire.ledgers[A].asked(Send(1, b"", 2))
    pair.wire.tick(A)
    assert len(pair.wire.flights) == sent + 1


def test_acks_ride_with_what_goes_out_anyway() -> None:
    pair = Pair().open()
    pair.a.send(b"x", ref=1)
    pair.wire.run(DELAY)
    pair.b.send(b"y", ref=1)
    last = pair.wire.flights[-1]
    assert [type(frame) for frame in last.frames] == [Ack, Segment]


# Pausing, as in D-16


@pytest.mark.smoke
def test_what_is_held_back_is_delivered_when_it_is_handed_over() -> None:
    pair = Pair().open()
    pair.b.tell(Pause(1))
    pair.a.send(b"1", b"2", ref=1)
    pair.wire.run(5)
    assert pair.b.received == []
    assert pair.a.delivered == []
    told = pair.b.tell(Resume(1))
    assert told == [Received(1, message(b"1")), Received(1, message(b"2"))]
    pair.wire.run(DELAY)
    assert pair.a.delivered == [1, 2]
    assert pair.b.tell(Resume(1)) == []


def test_pausing_holds_back_finished_too() -> None:
    pair = Pair().open()
    pair.b.tell(Pause(1))
    pair.a.tell(Send(1, message(b"x"), 1), Finish(1))
    pair.wire.run(1)
    assert pair.b.notices(Finished) == []
    assert pair.b.tell(Resume(1)) == [Received(1, message(b"x")), Finished(1)]


@pytest.mark.parametrize("window", [1024, 20000])
def test_a_paused_receiver_holds_no_more_than_its_window(window: int) -> None:
    pair = Pair(limits_b=Limits(window=window)).open()
    pair.b.tell(Pause(1))
    bodies = [bytes((n,)) * 500 for n in range(200)]
    pair.a.send(*bodies, ref=0)
    pair.wire.run(60)
    taken = {part.number: len(part.data) + 64 for f in pair.wire.flights for part in segments(f)}
    assert 0 < sum(taken.values()) <= window
    assert sum(taken.values()) > window - 1000
    assert pair.a.delivered == []
    pair.b.tell(Resume(1))
    pair.wire.run(30)
    assert pair.b.received == bodies
    assert pair.a.delivered == list(range(200))


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_resumption_is_not_lost_with_its_packets(lost: int) -> None:
    pair = Pair().open()
    pair.b.tell(Pause(1))
    pair.a.send(b"x", ref=1)
    pair.wire.run(5)
    count = 0

    def lose(flight: Flight) -> bool:
        nonlocal count
        count += flight.source == B
        return flight.source == B and count <= lost

    pair.wire.lose = lose
    pair.b.tell(Resume(1))
    assert pair.wire.run_until(lambda: pair.a.delivered == [1]) < 8
    assert count > lost


def test_a_resumption_that_was_lost_among_other_packets_is_told_again() -> None:
    pair = Pair().open()
    pair.b.send(b"x", ref=100)
    pair.wire.run(1)
    pair.b.tell(Pause(1))
    pair.a.send(b"1", ref=1)
    pair.wire.run(1)
    pair.wire.lose_from(B)
    pair.b.tell(Resume(1))
    pair.wire.lose_from()
    # No probe is needed to find that it was lost: these are acknowledged.
    for ref in range(5):
        pair.b.send(b"y", ref=ref)
    assert pair.wire.run_until(lambda: pair.a.delivered == [1]) <= 4 * DELAY


def test_wanted_names_the_segment_after_the_last_message_that_was_handed_over() -> None:
    pair = Pair().open()
    pair.wire.lose_from(B)  # A knows nothing of what is said in its name

    def wanted() -> int:
        pair.wire.run(0.1)
        (ack,) = [one for one in pair.wire.sent_by(B)[-1].frames if isinstance(one, Ack)]
        return ack.wanted

    pair.wire.inject(pair.a.forge(Segment(0, message(b"1"), last=True)), A, B)
    assert wanted() == 1
    pair.wire.inject(pair.a.forge(Segment(1, message(b"2"), last=False)), A, B)
    assert wanted() == 1
    pair.b.tell(Pause(1))
    for part in (Segment(2, b"2", last=True), Segment(3, message(b"3"), last=False)):
        pair.wire.inject(pair.a.forge(part), A, B)
    assert wanted() == 1
    pair.b.tell(Resume(1))
    assert wanted() == 3
    pair.wire.inject(pair.a.forge(Segment(5, message(b"4"), last=True)), A, B)
    assert wanted() == 3
    pair.wire.inject(pair.a.forge(Segment(4, b"3", last=True)), A, B)
    assert wanted() == 6


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_blocked_sender_goes_on_though_the_credit_was_lost(lost: int) -> None:
    pair = Pair(limits_b=Limits(window=1024)).open()
    pair.b.tell(Pause(1))
    pair.a.send(*[bytes(800)] * 5, ref=0)
    pair.wire.run(5)
    count = 0

    def lose(flight: Flight) -> bool:
        nonlocal count
        count += flight.source == B
        return flight.source == B and count <= lost

    pair.wire.lose = lose
    pair.b.tell(Resume(1))
    pair.wire.run_until(lambda: pair.a.delivered == list(range(5)), 30)
    assert count > lost


def test_pausing_and_resuming_at_every_turn_loses_nothing() -> None:
    pair = Pair(limits_b=Limits(window=2048)).open()
    bodies = [bytes((n,)) * (n * 17 % 900) for n in range(100)]
    pair.a.send(*bodies, ref=0)
    for turn in range(600):
        pair.b.tell(Pause(1) if turn % 2 else Resume(1))
        pair.wire.run(DELAY / 3)
    pair.b.tell(Resume(1))
    pair.wire.run(10)
    assert pair.b.received == bodies
    assert pair.a.delivered == list(range(100))


# Credit, as in D-12


@pytest.mark.parametrize(("window", "mtu"), [(1024, 64), (1024, 1200), (5000, 300)])
@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_a_sender_never_exceeds_its_credit(window: int, mtu: int, loss: float) -> None:
    pair = Pair(limits=Limits(window=window, mtu=mtu)).open()
    credit = window
    spent = 0
    known: set[int] = set()
    pair.wire.lose = unlucky(loss)
    pair.a.send(*[bytes(300)] * 100, ref=0)
    seen = 0
    for _ in range(4000):
        pair.wire.run(DELAY / 2)
        for flight in pair.wire.flights[seen:]:
            if flight.source == A:
                for part in segments(flight):
                    if part.number not in known:
                        known.add(part.number)
                        spent += len(part.data) + 64
            for frame in flight.frames:
                if isinstance(frame, Ack) and flight.source == B:
                    credit = max(credit, frame.credit)
            assert spent <= credit
        seen = len(pair.wire.flights)
        if len(pair.a.delivered) == 100:
            break
    assert pair.a.delivered == list(range(100))
    assert spent == sum(len(p) for p in [bytes(301)] * 100) + 64 * len(known)


def test_goodbyes_need_no_credit() -> None:
    pair = Pair(limits=Limits(window=1024, mtu=64)).open()
    pair.b.tell(Pause(1))
    pair.a.send(bytes(383), ref=1)
    pair.wire.run(1)
    assert pair.a.link.channel.outbox.credit == pair.a.link.channel.outbox.spent
    pair.a.tell(Finish(1))
    pair.a.tell(Leave(1, 5, "x" * 120))
    pair.wire.run(1)
    pair.b.tell(Resume(1))
    pair.wire.run(1)
    assert pair.b.received == [bytes(383)]
    assert pair.b.closed == Closed(1, None, 5, Side.PEER, "x" * 120)


def test_the_credit_granted_is_what_was_handed_over_and_the_window() -> None:
    pair = Pair(limits_b=Limits(window=20000)).open()
    cost = 0
    for ref in range(1, 30):
        pair.a.send(bytes(ref * 100), ref=ref)
        cost += ref * 100 + 1 + 64 * -(-(ref * 100 + 1) // 1176)
        pair.wire.run(0.5)
        acks = [one for flight in pair.wire.sent_by(B) for one in flight.frames]
        assert isinstance(acks[-1], Ack)
        assert acks[-1].credit == 20000 + cost
    pair.b.tell(Pause(1))
    pair.a.send(b"x", ref=30)
    pair.wire.run(0.5)
    (held,) = pair.wire.sent_by(B)[-1].frames
    assert isinstance(held, Ack)
    assert held.credit == 20000 + cost


def test_credit_is_exact_to_the_last_byte() -> None:
    pair = Pair(limits_b=Limits(window=1024)).open()
    pair.b.tell(Pause(1))
    pair.a.tell(Send(1, bytes((16,)) * 448, 1), Send(1, bytes((16,)) * 448, 2))
    pair.wire.run(1)
    assert pair.a.link.channel.outbox.credit == pair.a.link.channel.outbox.spent == 1024
    pair.a.tell(Send(1, bytes((16,)), 3))
    pair.wire.run(1)
    numbers = {part.number for flight in pair.wire.flights for part in segments(flight)}
    assert numbers == {0, 1}
    pair.b.tell(Resume(1))
    pair.wire.run(5)
    assert pair.a.delivered == [1, 2, 3]


@pytest.mark.spec("D-10")
def test_a_blocked_sender_probes_every_three_seconds() -> None:
    pair = Pair(limits_b=Limits(window=1024)).open()
    pair.b.tell(Pause(1))
    pair.a.send(bytes(800), bytes(800), ref=1)
    pair.wire.run(1)
    since = pair.wire.now
    pair.wire.run(60)
    probes = [f.time for f in pair.wire.sent_by(A) if f.time > since and f.has(Ping)]
    assert 15 <= len(probes) <= 21
    assert max(later - earlier for earlier, later in pairwise(probes)) < 4


# The queue


def test_a_full_queue_blocks_and_says_when_it_is_writable() -> None:
    pair = Pair(limits=Limits(queue_messages=10)).open()
    pair.wire.remove(B)
    with pytest.raises(WouldBlock):
        pair.a.send(*[b"x"] * 11, ref=0)
    pair.wire.tick(A)
    assert pair.a.notices(Writable) == [Writable(1)]
    pair.a.send(b"y", ref=20)
    assert len(pair.a.notices(Writable)) == 1


def test_what_would_block_changes_nothing_but_that_writable_is_owed() -> None:
    pair = Pair(limits=Limits(queue_messages=3)).call()
    pair.wire.lose_from(A)
    pair.a.send(b"1", b"2", b"3", ref=1)
    for _ in range(3):
        with pytest.raises(WouldBlock):
            pair.a.send(b"4", ref=4)
    assert len(pair.a.link.channel.outbox.undelivered) == 3
    pair.wire.lose_from()
    pair.wire.run(1)
    assert pair.b.received == [b"1", b"2", b"3"]
    assert pair.a.delivered == [1, 2, 3]
    assert pair.a.notices(Writable) == [Writable(1)]


def test_the_queue_is_bounded_in_bytes_too_but_takes_one_message_of_any_size() -> None:
    pair = Pair(limits=Limits(queue_bytes=1000)).call()
    pair.wire.lose_from(A)
    pair.a.send(bytes(5000), ref=1)
    with pytest.raises(WouldBlock):
        pair.a.send(b"x", ref=2)
    pair.wire.lose_from()
    pair.wire.run(1)
    assert pair.a.delivered == [1]
    assert pair.a.notices(Writable) == [Writable(1)]


def test_a_program_that_obeys_writable_gets_everything_through() -> None:
    pair = Pair(limits=Limits(queue_messages=16)).open()
    pair.wire.lose = unlucky(0.25)
    known = 0

    def is_writable() -> bool:
        return len(pair.a.notices(Writable)) > known

    bodies = [b"%d" % ref * 300 for ref in range(200)]
    for ref, one in enumerate(bodies):
        try:
            pair.a.send(one, ref=ref)
        except WouldBlock:
            known = len(pair.a.notices(Writable))
            pair.wire.tick(A)
            pair.wire.run_until(is_writable)
            pair.a.send(one, ref=ref)
    pair.wire.run(20)
    assert known > 5
    assert pair.b.received == bodies


def test_writable_comes_when_half_is_sent_and_not_before() -> None:
    pair = Pair(limits=Limits(queue_messages=10), limits_b=Limits(window=1024)).open()
    pair.b.tell(Pause(1))
    with pytest.raises(WouldBlock):
        pair.a.send(*[bytes(800)] * 12, ref=0)
    pair.wire.tick(A)
    assert pair.a.notices(Writable) == []
    pair.wire.run(1)
    assert pair.a.notices(Writable) == []
    pair.b.tell(Resume(1))
    pair.wire.run(5)
    assert pair.a.notices(Writable) == [Writable(1)]


# Exhaustion, as in L-9


@pytest.mark.smoke
@pytest.mark.parametrize("ender", ["a", "b"])
@pytest.mark.spec("L-9")
def test_a_link_whose_numbers_run_out_says_goodbye_after_delivering_all(ender: str) -> None:
    small = Limits(last_number=400)
    pair = Pair(
        limits_a=small if ender == "a" else Limits(), limits_b=small if ender == "b" else Limits()
    ).open()
    end, other = (pair.a, pair.b) if ender == "a" else (pair.b, pair.a)
    sent = 0
    while end.state is State.OPEN:
        end.send(b"%d" % sent, ref=sent)
        sent += 1
        pair.wire.run(0.05)
    assert 100 < sent <= 400
    pair.wire.run(10)
    assert end.delivered == list(range(sent))
    assert other.received == [b"%d" % n for n in range(sent)]
    assert end.closed is not None
    assert (end.closed.reason, end.closed.by) == (Reason.EXHAUSTED, Side.LOCAL)
    assert other.closed is not None
    assert (other.closed.reason, other.closed.by) == (Reason.EXHAUSTED, Side.PEER)
    assert pair.a.machine.is_idle
    assert pair.b.machine.is_idle
    assert max(flight.number for flight in pair.wire.sent_by(end.address, Kind.DATA)) <= 400


@pytest.mark.spec("L-9")
def test_a_link_that_would_need_more_numbers_than_there_are_fails() -> None:
    pair = Pair(limits=Limits(mtu=64), limits_a=Limits(mtu=64, last_number=400)).open()
    pair.a.send(b"small", bytes(40 * 600), ref=1)
    pair.wire.run(10)
    assert pair.a.closed == Closed(1, 0, Reason.EXHAUSTED, Side.LOCAL)
    assert pair.b.closed == Closed(1, None, Reason.EXHAUSTED, Side.PEER)
    assert 2 in pair.a.undelivered
    assert pair.b.received in ([], [b"small"])


@pytest.mark.spec("P-5")
def test_packet_numbers_start_at_zero_and_rise_by_one() -> None:
    pair = Pair().open()
    pair.wire.lose = unlucky(0.3)
    for ref in range(50):
        pair.a.send(bytes(200), ref=ref)
        pair.b.send(bytes(300), ref=ref)
        pair.wire.run(0.02)
    pair.wire.run(5)
    for address in (A, B):
        numbers = [flight.number for flight in pair.wire.sent_by(address, Kind.DATA)]
        assert numbers == list(range(len(numbers)))


def test_a_segment_number_always_stands_for_the_same_data() -> None:
    pair = Pair().open()
    pair.wire.lose = unlucky(0.3)
    for ref in range(100):
        pair.a.send(b"%d" % ref * (ref % 50), ref=ref)
        pair.wire.run(0.01)
    pair.wire.run(10)
    data: dict[int, Segment] = {}
    repeats = 0
    for flight in pair.wire.sent_by(A):
        for part in segments(flight):
            repeats += part.number in data
            assert data.setdefault(part.number, part) == part
    assert repeats > 0
    assert sorted(data) == list(range(len(data)))
    assert pair.a.delivered == list(range(100))


@pytest.mark.spec("D-3")
def test_a_packet_that_only_acknowledges_is_not_acknowledged() -> None:
    pair = Pair().open()
    known = len(pair.wire.flights)
    pair.a.send(b"x", ref=1)
    pair.wire.run(15)
    sent = [[type(frame) for frame in flight.frames] for flight in pair.wire.flights[known:]]
    assert sent == [[Segment], [Ack]]


def test_delivered_comes_after_the_peer_had_it() -> None:
    pair = Pair().open()
    pair.wire.lose = unlucky(0.3)
    for ref in range(100):
        pair.a.send(b"%d" % ref, ref=ref)
        pair.wire.run(0.02)
    pair.wire.run(10)
    received, delivered = pair.b.times(Received), pair.a.times(Delivered)
    assert len(received) == len(delivered) == 100
    assert all(had < told for had, told in zip(received, delivered, strict=True))


@pytest.mark.parametrize("ending", [Abort(1), Leave(1)])
def test_the_counters_add_up(ending: Abort | Leave) -> None:
    pair = Pair().open()
    pair.wire.lose = unlucky(0.2)
    pair.a.send(*[b"x"] * 50, ref=0)
    pair.b.send(*[b"y"] * 20, ref=0)
    pair.wire.run(5)
    pair.wire.lose = lambda flight: False
    pair.a.tell(ending)
    assert pair.a.send(b"too late", ref=99)[-1:] == [Undelivered(1, 99, ending.reason)]
    pair.wire.run(5)
    stats_a, stats_b = pair.a.stats, pair.b.stats
    assert (stats_a["messages_sent"], stats_b["messages_sent"]) == (50, 20)
    assert stats_a["messages_delivered"] == 50
    assert stats_a["messages_undelivered"] == 1
    assert stats_b["messages_in"] == 50
    assert stats_a["messages_in"] == 20
    for end, other in ((pair.a, pair.b), (pair.b, pair.a)):
        assert end.stats["datagrams_out"] == len(pair.wire.sent_by(end.address))
        assert end.stats["datagrams_in"] <= len(pair.wire.sent_by(other.address))
    assert pair.a.machine.rtt(1) is None


def test_the_round_trip_time_is_measured() -> None:
    pair = Pair().open()
    for ref in range(20):
        pair.a.send(b"x", b"y", ref=ref * 2)
        pair.wire.run(0.5)
    rtt = pair.a.machine.rtt(1)
    assert rtt == pytest.approx(2 * DELAY, rel=0.2)
    assert pair.a.machine.rtt(77) is None


@pytest.mark.parametrize("bundling", [True, False])
def test_copies_go_along_unless_that_is_switched_off(bundling: bool) -> None:
    pair = Pair(timing=Timing(bundling=bundling), delay=0.1).open()
    for ref in range(4):
        pair.a.send(b"small", ref=ref)
        pair.wire.run(0.005)
    sent = [
        frame.number
        for flight in pair.wire.sent_by(A)
        if flight.kind is Kind.DATA
        for frame in flight.frames
        if isinstance(frame, Segment)
    ]
    assert len(sent) > len(set(sent)) if bundling else sent == list(range(4))

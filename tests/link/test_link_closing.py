"""How a link ends, between two real endpoints (PROTOCOL.md, sections 8.3 to 8.7)."""

from __future__ import annotations

from typing import TypeVar

import pytest
from pairs import DELAY, ROLE, STRANGER, A, B, C, End, Flight, Pair, entropy, message

from palaver import (
    Abort,
    Address,
    Closed,
    Datagram,
    Delivered,
    Dial,
    Endpoint,
    Event,
    Finish,
    Finished,
    Leave,
    Limits,
    Notice,
    Opened,
    Pause,
    Reason,
    Received,
    Resume,
    Send,
    Side,
    Timing,
    Undelivered,
)
from palaver.link.states import State
from palaver.sim import Bottleneck, Faults, Sim
from palaver.wire.frames import Ack, Close, Ping, Segment
from palaver.wire.packets import DATA_HEADER, Kind, Refuse, Reset
from palaver.wire.sealing import CLEAR

N = TypeVar("N", bound=Notice)
ROUND = 2 * DELAY
GRACEFUL = (State.CLOSING, State.ANSWERING, State.LAST_ACK, State.LINGERING)


def closes(pair: Pair, source: Address) -> list[Flight]:
    """Give the CLOSE packets that a side has sent."""
    return [flight for flight in pair.wire.sent_by(source) if flight.has(Close)]


def reset_for(end: End, number: int) -> bytes:
    """Give a RESET that makes `end` believe that its packet `number` met nobody."""
    return CLEAR.seal(Reset(end.link.channel.remote, number).encode())


# By agreement


@pytest.mark.smoke
def test_leaving_ends_the_link_for_both_within_one_and_a_half_round_trips() -> None:
    pair = Pair().open()
    start = pair.wire.now - pair.wire.start
    pair.a.tell(Leave(1, 130, "bye now"))
    pair.wire.run(5)
    assert pair.a.closed == Closed(1, 0, 130, Side.LOCAL, "bye now")
    assert pair.b.closed == Closed(1, None, 130, Side.PEER, "bye now")
    assert pair.b.times(Closed) == [start + DELAY]
    assert pair.a.times(Closed) == [start + 2 * DELAY]
    assert pair.a.machine.is_idle
    assert pair.b.machine.is_idle
    assert closes(pair, A) == closes(pair, B) == []


@pytest.mark.parametrize("leaver", ["a", "b"])
def test_everything_that_both_had_sent_is_delivered_before_the_end(leaver: str) -> None:
    pair = Pair().open()
    bodies = [bytes((n,)) * 700 for n in range(100)]
    pair.a.send(*bodies, ref=0)
    pair.b.send(*bodies, ref=0)
    pair.wire.tell(A if leaver == "a" else B, Leave(1))
    pair.wire.run(10)
    for end in (pair.a, pair.b):
        assert end.received == bodies
        assert end.delivered == list(range(100))
        assert end.closed is not None
        assert end.closed.clean
        assert end.machine.is_idle


def test_crossed_goodbyes_end_well_for_both_who_each_began() -> None:
    pair = Pair().open()
    pair.a.send(b"from a", ref=1)
    pair.b.send(b"from b", ref=1)
    pair.a.tell(Leave(1, 10, "a"))
    pair.b.tell(Leave(1, 20, "b"))
    assert (pair.a.state, pair.b.state) == (State.CLOSING, State.CLOSING)
    pair.wire.run(5)
    assert (pair.a.received, pair.b.received) == ([b"from b"], [b"from a"])
    assert pair.a.delivered == pair.b.delivered == [1]
    assert pair.a.closed == Closed(1, 0, 10, Side.LOCAL, "a")
    assert pair.b.closed == Closed(1, None, 20, Side.LOCAL, "b")
    assert pair.a.machine.is_idle
    assert pair.b.machine.is_idle


def test_the_states_of_a_graceful_end_are_passed_in_order() -> None:
    pair = Pair().open()
    seen: list[tuple[State, State]] = []

    def note() -> bool:
        now = (pair.a.state, pair.b.state)
        if not seen or seen[-1] != now:
            seen.append(now)
        return now == (State.CLOSED, State.CLOSED)

    pair.a.send(b"last", ref=1)
    pair.a.tell(Leave(1))
    pair.wire.run_until(note)
    assert seen == [
        (State.CLOSING, State.OPEN),
        (State.CLOSING, State.LAST_ACK),
        (State.LINGERING, State.LAST_ACK),
        (State.LINGERING, State.CLOSED),
        (State.CLOSED, State.CLOSED),
    ]


def test_the_answerer_delivers_what_it_had_sent_and_then_is_told_the_end() -> None:
    pair = Pair().open()
    pair.wire.lose_from(B)
    pair.b.send(b"one more thing", ref=1)
    pair.a.tell(Leave(1))
    pair.wire.run(0.1)
    assert pair.b.state is State.ANSWERING
    assert pair.b.notices(Closed) == []
    assert pair.b.tell(Send(1, message(b"too late"), 2)) == [Undelivered(1, 2, Reason.LEFT)]
    pair.wire.lose_from()
    pair.wire.run(3)
    assert pair.a.received == [b"one more thing"]
    told = [type(notice) for notice in (*pair.b.notices(Delivered), *pair.b.notices(Closed))]
    assert told == [Delivered, Closed]
    assert pair.b.closed == Closed(1, None, Reason.LEFT, Side.PEER)
    assert pair.a.machine.is_idle
    assert pair.b.machine.is_idle


def test_who_leaves_still_hears_what_the_peer_had_to_say() -> None:
    pair = Pair().open()
    pair.b.tell(Send(1, message(b"x"), 1), Finish(1))
    pair.a.tell(Leave(1))
    pair.wire.run(3)
    assert pair.a.received == [b"x"]
    assert pair.a.notices(Finished) == [Finished(1)]
    assert pair.b.delivered == [1]


def test_leaving_hands_over_what_a_pause_had_held_back() -> None:
    pair = Pair().open()
    pair.a.tell(Pause(1))
    pair.b.send(b"1", b"2", ref=1)
    pair.wire.run(1)
    assert pair.a.received == []
    told = pair.a.tell(Leave(1))
    assert told == [Received(1, message(b"1")), Received(1, message(b"2"))]
    pair.wire.run(3)
    assert pair.b.delivered == [1, 2]
    assert pair.a.closed is not None
    assert pair.a.closed.clean


def test_a_goodbye_that_both_held_back_is_heard_when_one_leaves() -> None:
    pair = Pair().open()
    pair.a.tell(Pause(1))
    pair.b.tell(Leave(1, 20, "b"))
    pair.wire.run(1)
    assert pair.a.notices(Closed) == []
    pair.a.tell(Leave(1, 10, "a"))
    pair.wire.run(3)
    assert pair.a.closed is not None
    assert pair.b.closed == Closed(1, None, 20, Side.LOCAL, "b")
    assert pair.a.machine.is_idle
    assert pair.b.machine.is_idle


def test_resuming_that_hands_over_a_goodbye_tells_of_the_end_at_once() -> None:
    pair = Pair().open()
    pair.b.tell(Pause(1))
    pair.a.send(b"x", ref=1)
    pair.a.tell(Leave(1))
    pair.wire.run(1)
    pair.wire.lose_from(A)
    told = pair.b.tell(Resume(1))
    assert told == [
        Received(1, message(b"x")),
        Closed(1, None, Reason.LEFT, Side.PEER),
    ]


def test_commands_while_a_link_closes_do_nothing_but_what_they_must() -> None:
    pair = Pair().open()
    pair.wire.lose_from(A)
    pair.a.tell(Leave(1, 5))
    for command in (Leave(1, 6), Finish(1), Pause(1), Resume(1)):
        assert pair.a.tell(command) == []
    assert pair.a.tell(Send(1, message(b"late"), 1)) == [Undelivered(1, 1, 5)]
    pair.wire.lose_from()
    pair.wire.run(3)
    assert pair.a.closed == Closed(1, 0, 5, Side.LOCAL)


def test_commands_after_the_end_do_nothing_while_the_link_lingers() -> None:
    pair = Pair().open()
    pair.a.tell(Leave(1, 5))
    pair.wire.run(4 * DELAY)
    assert pair.a.state is State.LINGERING
    for command in (Leave(1, 6), Abort(1), Finish(1), Pause(1), Resume(1)):
        assert pair.a.tell(command) == []
    assert pair.a.tell(Send(1, message(b"late"), 1)) == [Undelivered(1, 1, 5)]
    assert pair.a.state is State.LINGERING


@pytest.mark.spec("M-3")
def test_finishing_closes_one_direction_and_the_other_goes_on() -> None:
    pair = Pair().open()
    pair.a.send(b"last", ref=1)
    pair.a.tell(Finish(1))
    pair.wire.run(1)
    assert pair.b.received == [b"last"]
    assert pair.b.notices(Finished) == [Finished(1)]
    pair.b.send(b"still here", ref=1)
    pair.wire.run(1)
    assert pair.a.received == [b"still here"]
    pair.b.tell(Finish(1))
    pair.wire.run(60)
    assert (pair.a.state, pair.b.state) == (State.OPEN, State.OPEN)
    pair.b.tell(Leave(1))
    pair.wire.run(3)
    assert pair.a.closed == Closed(1, 0, Reason.LEFT, Side.PEER)
    assert pair.b.closed == Closed(1, None, Reason.LEFT, Side.LOCAL)


@pytest.mark.spec("L-6")
def test_the_initiator_lingers_and_acknowledges_repeats() -> None:
    pair = Pair().open()
    pair.b.send(b"x", ref=1)  # so that it knows the round-trip time
    pair.wire.run(1)
    pair.a.tell(Leave(1))
    goodbyes = len(pair.wire.sent_by(A))
    # Its first ack of the answerer's goodbye is lost.
    pair.wire.lose = lambda flight: flight.source == A and len(pair.wire.sent_by(A)) == goodbyes + 1
    pair.wire.run_until(lambda: pair.a.state is State.LINGERING)
    since = pair.wire.now
    pair.wire.run(DELAY)
    assert pair.b.state is State.LAST_ACK
    pair.wire.run_until(lambda: pair.b.state is State.CLOSED)
    assert pair.a.state is State.LINGERING
    pair.wire.run_until(lambda: pair.a.state is State.CLOSED)
    assert 0.5 <= pair.wire.now - since <= 2


def test_one_lost_ack_makes_no_message_of_the_answerer_undelivered() -> None:
    pair = Pair().open()
    lost: list[Flight] = []

    def lose(flight: Flight) -> bool:
        if flight.source == A and pair.a.state is State.LINGERING and not lost:
            lost.append(flight)
            return True
        return False

    pair.wire.lose = lose
    pair.a.tell(Leave(1))
    pair.b.send(b"my first and last", ref=1)  # it knows no round-trip time yet
    pair.wire.run(10)
    assert len(lost) == 1
    assert pair.a.received == [b"my first and last"]
    assert pair.b.delivered == [1]
    assert pair.b.closed == Closed(1, None, Reason.LEFT, Side.PEER)


@pytest.mark.parametrize(("delay", "least", "most"), [(0.001, 0.5, 0.5), (1.0, 2.0, 2.0)])
@pytest.mark.spec("L-6")
def test_lingering_is_bounded_both_ways(delay: float, least: float, most: float) -> None:
    pair = Pair(delay=delay).call()
    pair.wire.run_until(lambda: pair.a.state is State.OPEN)
    pair.wire.run(20 * delay)
    pair.a.tell(Leave(1))
    pair.wire.run_until(lambda: pair.a.state is State.LINGERING)
    stay = pair.wire.run_until(lambda: pair.a.state is State.CLOSED)
    assert least - 1e-9 <= stay <= most + 1e-9


def test_an_answerer_whose_goodbye_nobody_acknowledges_goes_after_the_flush_time() -> None:
    pair = Pair().open()
    pair.a.tell(Leave(1))
    pair.wire.run(DELAY)
    assert pair.b.state is State.LAST_ACK
    since = pair.wire.now
    pair.wire.remove(A)
    pair.wire.run_until(lambda: pair.b.machine.is_idle)
    assert pair.wire.now == since + 5
    assert pair.b.closed == Closed(1, None, Reason.LEFT, Side.PEER)
    assert closes(pair, B) == []


@pytest.mark.smoke
@pytest.mark.spec("L-7")
def test_a_close_that_can_not_be_flushed_is_reported_after_five_seconds() -> None:
    pair = Pair().open()
    pair.wire.remove(B)
    pair.a.send(b"1", b"2", ref=1)
    start = pair.wire.now
    pair.a.tell(Leave(1, 7, "text"))
    pair.wire.run(60)
    assert pair.a.times(Closed) == [start + 5 - pair.wire.start]
    assert pair.a.notices(Undelivered) == [
        Undelivered(1, 1, Reason.FLUSH_TIMEOUT),
        Undelivered(1, 2, Reason.FLUSH_TIMEOUT),
    ]
    assert pair.a.closed == Closed(1, 0, Reason.FLUSH_TIMEOUT, Side.LOCAL)
    assert pair.a.machine.is_idle
    assert len(closes(pair, A)) == 1


def slow_pair(bandwidth: float) -> Sim:
    """Let A have called B, and much wait to be sent to B."""
    sim = Sim(1, Faults(delay=0.02), Bottleneck(bandwidth, 16_000))
    for name in "ab":
        sim.add((name, 1), Endpoint(entropy(name), roles=(ROLE,)))
    sim.command(("a", 1), Dial(("b", 1), ROLE))
    sim.run_for(2)
    for ref in range(40):
        sim.command(("a", 1), Send(1, message(bytes(6000)), ref))
    return sim


def all_of(sim: Sim, name: str, kind: type[N]) -> list[tuple[float, N]]:
    return [(at, one) for at, one in sim.notices((name, 1)) if isinstance(one, kind)]


@pytest.mark.spec("L-7")
@pytest.mark.parametrize("leaver", ["a", "b"])
def test_a_close_that_gets_on_may_take_its_time(leaver: str) -> None:
    """Much waits to be sent by the one that leaves, or by the one that answers."""
    sim = slow_pair(20_000)
    began = sim.now
    sim.command((leaver, 1), Leave(1))
    sim.run_for(40)
    for name in "ab":
        ((at, closed),) = all_of(sim, name, Closed)
        assert closed.graceful, closed
        assert at > began + 10
    assert len(all_of(sim, "a", Delivered)) == 40


@pytest.mark.spec("L-7")
@pytest.mark.parametrize("leaver", ["a", "b"])
def test_a_close_does_not_take_for_ever_however_it_gets_on(leaver: str) -> None:
    sim = slow_pair(2_000)
    began = sim.now
    sim.command((leaver, 1), Leave(1))
    sim.run_for(100)
    ((at, closed),) = all_of(sim, leaver, Closed)
    assert closed.reason == Reason.FLUSH_TIMEOUT
    assert at == pytest.approx(began + 60, abs=1)
    assert all_of(sim, "a", Undelivered)


@pytest.mark.spec("L-7")
def test_an_answerer_that_can_not_be_flushed_reports_so_too() -> None:
    pair = Pair().open()
    pair.wire.lose_from(B)
    pair.b.send(b"1", ref=1)
    pair.a.tell(Leave(1))
    pair.wire.run(DELAY)
    assert pair.b.state is State.ANSWERING
    pair.wire.remove(A)
    pair.wire.run(10)
    assert pair.b.undelivered == [1]
    assert pair.b.closed == Closed(1, None, Reason.FLUSH_TIMEOUT, Side.LOCAL)


def test_closing_against_a_paused_reader_fails_after_the_flush_time() -> None:
    pair = Pair().open()
    pair.b.tell(Pause(1))
    pair.a.send(b"1", ref=1)
    pair.a.tell(Leave(1))
    start = pair.wire.now
    pair.wire.run(10)
    # The packet was acknowledged, and that was the last that happened.
    assert pair.a.times(Closed) == [start + ROUND + 5 - pair.wire.start]
    assert pair.a.undelivered == [1]
    assert pair.a.closed == Closed(1, 0, Reason.FLUSH_TIMEOUT, Side.LOCAL)
    assert pair.b.closed == Closed(1, None, Reason.FLUSH_TIMEOUT, Side.PEER)


@pytest.mark.parametrize("pause", [0.1, 1.0, 4.0])
def test_closing_against_a_reader_that_resumes_in_time_ends_well(pause: float) -> None:
    pair = Pair().open()
    pair.b.tell(Pause(1))
    pair.a.send(b"1", ref=1)
    pair.a.tell(Leave(1))
    pair.wire.run(pause)
    pair.b.tell(Resume(1))
    pair.wire.run(3)
    assert pair.b.received == [b"1"]
    assert pair.a.delivered == [1]
    assert pair.a.closed == Closed(1, 0, Reason.LEFT, Side.LOCAL)
    assert pair.b.closed == Closed(1, None, Reason.LEFT, Side.PEER)


@pytest.mark.spec("L-5")
def test_from_a_goodbye_on_every_packet_carries_an_ack() -> None:
    pair = Pair(limits=Limits(mtu=64)).open()
    pair.b.send(*(bytes(20 + n % 30) for n in range(40)), ref=0)
    pair.a.tell(Leave(1))
    pair.wire.run_until(lambda: pair.b.state is not State.OPEN)
    known = len(pair.wire.flights)
    pair.wire.run(5)
    after = [flight for flight in pair.wire.flights[known:] if flight.source == B]
    assert after
    for index, flight in enumerate(after):
        before = after[index - 1]
        if not flight.has(Ack):  # it had no room for one: that went ahead
            assert len(flight.data) > 64 - 29
            assert before.has(Ack)
            assert before.time == flight.time


def test_the_end_is_well_even_if_a_packet_that_only_acknowledges_is_lost() -> None:
    pair = Pair(limits=Limits(mtu=64)).open()
    lost: list[Flight] = []

    def lose(flight: Flight) -> bool:
        is_first = not lost and flight.source == B
        if is_first and [type(frame) for frame in flight.frames] == [Ack]:
            lost.append(flight)
            return True
        return False

    pair.wire.lose = lose
    pair.a.tell(Send(1, message(b"x"), 1), Leave(1))
    goodbye = pair.wire.flights[-1].data
    # The answerer says something in the batch in which the goodbye comes.
    pair.b.tell(Send(1, message(b"a last word of mine"), 1), Datagram(goodbye, A))
    pair.wire.run(10)
    assert len(lost) == 1
    assert pair.a.received == [b"a last word of mine"]
    assert pair.a.delivered == pair.b.delivered == [1]
    assert pair.a.closed == Closed(1, 0, Reason.LEFT, Side.LOCAL)


# At once


@pytest.mark.smoke
@pytest.mark.parametrize("reason", [1, 5, 63, 128, 255])
@pytest.mark.spec("L-8")
def test_aborting_ends_the_link_for_both_at_once(reason: int) -> None:
    pair = Pair().open()
    pair.wire.lose_from(A)
    pair.a.send(b"1", b"2", ref=1)
    pair.wire.lose_from()
    told = pair.a.tell(Abort(1, reason, "enough"))
    assert told == [
        Undelivered(1, 1, reason),
        Undelivered(1, 2, reason),
        Closed(1, 0, reason, Side.LOCAL, "enough"),
    ]
    assert pair.a.machine.is_idle
    pair.wire.run(DELAY)
    assert pair.b.closed == Closed(1, None, reason, Side.PEER, "enough")
    assert pair.b.machine.is_idle
    pair.wire.run(60)
    assert len(closes(pair, A)) == 1
    assert closes(pair, B) == []


def test_an_abort_settles_what_was_delivered() -> None:
    pair = Pair().open()
    pair.b.send(b"1", ref=1)
    pair.wire.lose = lambda flight: flight.source == A and not flight.has(Close)
    pair.wire.run(DELAY)
    assert pair.a.received == [b"1"]
    pair.b.send(b"2", ref=2)
    pair.a.tell(Abort(1))
    pair.wire.run(1)
    assert pair.b.delivered == [1]
    assert pair.b.undelivered == [2]


@pytest.mark.parametrize("state", [State.CLOSING, State.ANSWERING])
def test_a_graceful_end_can_be_cut_short(state: State) -> None:
    pair = Pair().open()
    if state is State.CLOSING:
        end, other = pair.a, pair.b
        pair.wire.lose_from(A)
        pair.a.send(b"x", ref=1)
        pair.a.tell(Leave(1))
    else:
        end, other = pair.b, pair.a
        pair.wire.lose_from(B)
        pair.b.send(b"x", ref=1)
        pair.a.tell(Leave(1))
        pair.wire.run(DELAY)
    assert end.state is state
    pair.wire.lose_from()
    end.tell(Abort(1, 33))
    assert end.undelivered == [1]
    assert end.closed is not None
    assert (end.closed.reason, end.closed.by) == (33, Side.LOCAL)
    pair.wire.run(1)
    assert other.closed is not None
    assert (other.closed.reason, other.closed.by) == (33, Side.PEER)


def test_the_text_of_an_abort_is_cut_to_what_fits_and_stays_text() -> None:
    pair = Pair(limits=Limits(mtu=64)).open()
    pair.a.tell(Abort(1, 1, "é" * 60))
    pair.wire.run(1)
    assert pair.b.closed is not None
    assert pair.b.closed.text
    assert set(pair.b.closed.text) == {"é"}
    assert len(closes(pair, A)[0].data) in {63, 64}


def test_a_lost_close_is_said_again_to_a_peer_that_goes_on_talking_at_most_eight_times() -> None:
    pair = Pair().open()
    pair.wire.lose_from(A)
    pair.a.tell(Abort(1, 9))
    (said,) = closes(pair, A)
    pair.b.send(b"hello?", ref=1)
    pair.wire.run(19)
    repeats = closes(pair, A)
    assert [flight.data for flight in repeats] == [said.data] * 9
    assert pair.wire.sent_by(A, Kind.RESET) == []
    pair.wire.run(30)
    assert pair.b.undelivered == [1]
    assert pair.b.closed == Closed(1, None, Reason.DEAD, Side.LOCAL)


def test_a_repeated_close_is_enough_to_end_the_link_of_the_peer() -> None:
    pair = Pair().open()
    pair.wire.lose_from(A)
    pair.a.tell(Abort(1, 9))
    pair.wire.lose_from()
    pair.b.send(b"hello?", ref=1)
    pair.wire.run(1)
    assert pair.b.closed == Closed(1, None, 9, Side.PEER)
    assert pair.b.undelivered == [1]


def test_a_close_is_repeated_to_the_address_of_the_link_only() -> None:
    pair = Pair().open()
    packet = pair.b.forge(Ping())
    pair.a.tell(Abort(1))
    seen = len(pair.wire.flights)
    for _ in range(5):
        pair.wire.inject(packet, STRANGER, A)
    assert len(pair.wire.flights) == seen


@pytest.mark.parametrize("how", ["by us", "by the peer", "by a refusal"])
def test_an_end_that_lost_something_is_never_clean_whatever_its_reason(how: str) -> None:
    pair = Pair()
    if how == "by a refusal":
        pair.wire.lose_from(A)
        pair.call()
        pair.a.send(b"x", ref=1)
        refusal = Refuse(pair.a.link.local, Reason.LEFT, (1,))
        pair.wire.inject(CLEAR.seal(refusal.encode()), B, A)
    else:
        pair.open()
        pair.wire.lose_from(A)
        pair.a.send(b"x", ref=1)
        if how == "by us":
            pair.a.tell(Abort(1, Reason.LEFT))
        else:
            pair.b.tell(Abort(1, Reason.LEFT))
            pair.wire.run(1)
    assert pair.a.undelivered == [1]
    assert pair.a.closed is not None
    assert not pair.a.closed.clean


# Tombstones


@pytest.mark.parametrize("how", [Leave(1), Abort(1)])
@pytest.mark.parametrize("ender", ["a", "b"])
def test_late_packets_neither_reopen_a_link_nor_draw_a_reset(how: Event, ender: str) -> None:
    pair = Pair().open()
    packets = {A: pair.a.forge(Ping()), B: pair.b.forge(Ping())}
    asked, welcomed = (flight.data for flight in pair.wire.flights[:2])
    pair.wire.tell(A if ender == "a" else B, how)
    pair.wire.run(3)
    assert pair.a.machine.is_idle
    assert pair.b.machine.is_idle
    told = {address: len(notices) for address, notices in pair.wire.told.items()}
    for _ in range(20):
        pair.wire.inject(asked, A, B)
        pair.wire.inject(welcomed, B, A)
        pair.wire.inject(packets[A], A, B)
        pair.wire.inject(packets[B], B, A)
        pair.wire.run(0.5)
    assert pair.a.machine.is_idle
    assert pair.b.machine.is_idle
    assert told == {address: len(notices) for address, notices in pair.wire.told.items()}
    late = [flight for flight in pair.wire.flights if flight.kind is Kind.RESET]
    assert late == []


def test_a_tombstone_stands_for_twenty_seconds() -> None:
    pair = Pair().open()
    asked = pair.wire.flights[0].data
    packet = pair.a.forge(Ping())
    pair.b.tell(Abort(1))
    ended = pair.wire.now
    pair.wire.run_to(ended + 19.99)
    pair.wire.nudge(B)
    assert pair.b.stats["tombstones"] == 1
    pair.wire.inject(asked, A, B)
    assert pair.b.machine.is_idle
    pair.wire.run_to(ended + 20)
    assert pair.b.stats["tombstones"] == 0
    assert pair.b.machine.deadline is None
    pair.wire.inject(packet, A, B)
    assert pair.wire.flights[-1].kind is Kind.RESET
    pair.wire.inject(asked, A, B)
    assert pair.b.stats["half_open"] == 1


def test_the_oldest_tombstone_makes_room() -> None:
    pair = Pair(limits_b=Limits(tombstones=2))
    for number in (1, 2, 3):
        pair.call()
        pair.wire.run(1)
        pair.wire.tell(B, Abort(number))
        pair.wire.run(1)
        assert pair.b.stats["tombstones"] == min(number, 2)
    hellos = pair.wire.sent_by(A, Kind.HELLO)
    pair.wire.inject(hellos[1].data, A, B)
    pair.wire.inject(hellos[2].data, A, B)
    assert pair.b.machine.is_idle
    pair.wire.inject(hellos[0].data, A, B)
    assert pair.b.stats["half_open"] == 1


def test_a_half_open_link_that_expires_leaves_no_tombstone() -> None:
    pair = Pair()
    pair.wire.lose_from(B)
    pair.call(timeout=1.0)
    pair.wire.run(15)
    assert pair.b.machine.is_idle
    assert pair.b.stats["tombstones"] == 0


def test_a_message_for_a_link_that_was_forgotten_is_undelivered_all_the_same() -> None:
    pair = Pair().open()
    pair.a.tell(Abort(1, 33))
    assert pair.a.tell(Send(1, message(b"x"), 1)) == [Undelivered(1, 1, 33)]
    pair.wire.run(30)
    assert pair.a.stats["tombstones"] == 0
    assert pair.a.tell(Send(1, message(b"x"), 2)) == [Undelivered(1, 2, Reason.LEFT)]


# RESET


@pytest.mark.smoke
def test_a_restarted_peer_resets_the_link_as_soon_as_something_is_said() -> None:
    pair = Pair().open()
    restarted = Endpoint(entropy("b again"), roles=(ROLE,))
    pair.wire.add(B, restarted)
    pair.a.send(b"1", b"2", ref=1)
    since = pair.wire.now
    pair.wire.run_until(lambda: pair.a.closed is not None)
    assert pair.wire.now - since == ROUND
    assert pair.a.notices(Undelivered) == [
        Undelivered(1, 1, Reason.RESET),
        Undelivered(1, 2, Reason.RESET),
    ]
    assert pair.a.closed == Closed(1, 0, Reason.RESET, Side.PEER)
    assert pair.a.machine.is_idle
    pair.call()
    pair.wire.run(1)
    assert pair.wire.told[A][-1][1] == Opened(2, 0, B, ROLE)


def test_a_reset_names_the_packet_and_is_not_longer() -> None:
    pair = Pair().open()
    packet = CLEAR.seal(DATA_HEADER.pack(Kind.DATA, 77, 123456) + Ping().encode())
    pair.wire.inject(packet, STRANGER, B)
    reset = pair.wire.flights[-1]
    assert reset.destination == STRANGER
    assert reset.packet == Reset(77, 123456)
    assert len(reset.data) == 17 <= len(packet)
    assert pair.b.stats["resets_sent"] == 1


@pytest.mark.parametrize("size", range(10))
def test_what_is_shorter_than_a_reset_gets_none(size: int) -> None:
    pair = Pair().open()
    seen = len(pair.wire.flights)
    whole = DATA_HEADER.pack(Kind.DATA, 77, 1)
    packet = CLEAR.seal(whole[: 4 + size])
    assert len(packet) < 18
    pair.wire.inject(packet, STRANGER, B)
    assert pair.wire.flights[seen:] == []


@pytest.mark.parametrize(
    "spoiled",
    [
        CLEAR.seal(Reset(77, 1).encode()),
        CLEAR.seal(DATA_HEADER.pack(Kind.DATA, 77, 1) + b"\x04\x00\x00")[:-1] + b"\x00",
        DATA_HEADER.pack(Kind.DATA, 77, 1) + b"\x04\x00\x00",
        b"\xfc" * 40,
        b"",
        b"\xfc",
        b"hello there, is this thing on?",
    ],
)
def test_what_is_no_valid_data_packet_gets_no_reset(spoiled: bytes) -> None:
    pair = Pair().open()
    seen = len(pair.wire.flights)
    pair.wire.inject(spoiled, STRANGER, B)
    pair.wire.inject(spoiled, A, B)
    pair.wire.run(1)
    assert len(pair.wire.flights) == seen
    assert pair.b.state is State.OPEN


def test_resets_and_refusals_share_a_budget() -> None:
    pair = Pair(limits_b=Limits(replies_per_second=10)).open()
    seen = len(pair.wire.flights)
    packets = [
        CLEAR.seal(DATA_HEADER.pack(Kind.DATA, 77, number) + Ping().encode())
        for number in range(100)
    ]
    for port, packet in enumerate(packets):
        pair.wire.inject(packet, (A[0], port), B)
    assert len(pair.wire.flights) - seen == 10
    # Other hosts have budgets of their own.
    pair.wire.inject(packets[0], STRANGER, B)
    assert len(pair.wire.flights) - seen == 11
    # REFUSE waits until there is a token again.
    pair.wire.tell(A, Dial(B, "elsewhere"))
    pair.wire.run(DELAY)
    assert pair.wire.sent_by(B, Kind.REFUSE) == []
    pair.wire.run(0.5)
    assert len(pair.wire.sent_by(B, Kind.REFUSE)) == 1
    pair.wire.run(15)
    seen = len(pair.wire.flights)
    for port, packet in enumerate(packets):
        pair.wire.inject(packet, (A[0], port), B)
    assert len(pair.wire.flights) - seen == 10


def test_the_hosts_that_were_answered_are_remembered_briefly_and_not_too_many() -> None:
    pair = Pair().open()
    packet = CLEAR.seal(DATA_HEADER.pack(Kind.DATA, 77, 1) + Ping().encode())
    for host in range(3000):
        pair.wire.inject(packet, (f"host-{host}", 1), B)
        assert pair.b.stats["hosts"] <= 1024
    pair.wire.run(1)
    assert pair.b.stats["hosts"] == 0


def test_a_reset_counts_only_for_a_packet_in_flight_from_the_address_of_the_link() -> None:
    pair = Pair().open()
    acked = pair.a.link.channel.number - 1
    pair.wire.lose_from(A)
    pair.a.send(b"x", ref=1)
    awaited = pair.a.link.channel.number - 1
    assert awaited == acked + 1
    key = pair.a.machine.state_key(pair.wire.now)
    for number in (0, acked, awaited + 1, 1 << 31):
        pair.wire.inject(reset_for(pair.a, number), B, A)
    pair.wire.inject(reset_for(pair.a, awaited), STRANGER, A)
    own = CLEAR.seal(Reset(pair.a.link.local, awaited).encode())
    pair.wire.inject(own, B, A)
    assert pair.a.state is State.OPEN
    assert pair.a.machine.state_key(pair.wire.now) == key
    pair.wire.inject(reset_for(pair.a, awaited), B, A)
    assert pair.a.closed == Closed(1, 0, Reason.RESET, Side.PEER)


def test_a_reset_is_ignored_while_a_call_is_not_answered() -> None:
    pair = Pair().call()
    for link in (1, pair.a.link.local):
        pair.wire.inject(CLEAR.seal(Reset(link, 0).encode()), B, A)
    assert pair.a.state is State.CALLING


@pytest.mark.parametrize("state", GRACEFUL)
def test_a_reset_ends_a_link_that_is_closing(state: State) -> None:
    timing = Timing(keepalive=0.125, keepalive_jitter=0.0)
    pair = Pair(timing=timing if state is State.LINGERING else Timing()).open()
    end = pair.b if state in {State.ANSWERING, State.LAST_ACK} else pair.a
    peer = A if end is pair.b else B
    if state is State.LINGERING:
        pair.a.tell(Leave(1))
        pair.wire.run_until(lambda: pair.a.state is State.LINGERING)
        pair.wire.run_until(lambda: bool(pair.a.link.channel.recovery.packets))
    else:
        pair.wire.lose_from(end.address)
        if state is State.ANSWERING:
            end.send(b"x", ref=1)
        pair.wire.tell(A, Leave(1))
        pair.wire.run_until(lambda: end.state is state)
    awaited = max(end.link.channel.recovery.packets)
    closed = end.closed
    pair.wire.inject(reset_for(end, awaited), peer, end.address)
    assert end.machine.is_idle
    if state in {State.LAST_ACK, State.LINGERING}:
        assert end.closed == closed
    else:
        assert end.closed is not None
        assert (end.closed.reason, end.closed.by) == (Reason.RESET, Side.PEER)


def test_a_late_packet_draws_one_last_word_and_that_draws_none() -> None:
    pair = Pair().open()
    late = pair.b.forge(Ping())
    pair.a.tell(Leave(1))
    pair.wire.run(5)
    seen = len(pair.wire.flights)
    pair.wire.inject(late, B, A)
    pair.wire.run(5)
    (word,) = pair.wire.flights[seen:]
    assert word.source == A
    assert [type(frame) for frame in word.frames] == [Ack]


def test_crossed_aborts_are_two_packets() -> None:
    pair = Pair().open()
    seen = len(pair.wire.flights)
    pair.a.tell(Abort(1))
    pair.b.tell(Abort(1))
    pair.wire.run(5)
    assert len(pair.wire.flights) - seen == 2


def test_two_endpoints_that_have_forgotten_each_other_exchange_no_endless_resets() -> None:
    pair = Pair().open()
    packet = pair.a.forge(Ping())
    pair.wire.add(A, Endpoint(entropy("a2"), roles=(ROLE,)))
    pair.wire.add(B, Endpoint(entropy("b2"), roles=(ROLE,)))
    seen = len(pair.wire.flights)
    pair.wire.inject(packet, A, B)
    pair.wire.run(100)
    assert [flight.kind for flight in pair.wire.flights[seen:]] == [Kind.RESET]


# All that came before the end is handed over


def test_what_came_before_a_close_in_the_same_packet_counts() -> None:
    pair = Pair().open()
    packet = pair.a.forge(
        Segment(0, message(b"last words"), last=True), Close(5, 0), Segment(1, message(), last=True)
    )
    told = pair.wire.inject(packet, A, B)
    assert told[0] == Received(1, message(b"last words"))
    assert told[-1] == Closed(1, None, 5, Side.PEER)


@pytest.mark.parametrize("how", ["close", "reset", "violation", "death"])
def test_what_a_pause_held_back_is_handed_over_before_the_end(how: str) -> None:
    pair = Pair().open()
    pair.b.tell(Pause(1))
    pair.a.send(b"1", b"2", ref=1)
    pair.wire.run(1)
    if how == "close":
        pair.a.tell(Abort(1))
        pair.wire.run(1)
    elif how == "reset":
        pair.wire.lose_from(B)
        pair.b.send(b"x", ref=1)
        (awaited,) = pair.b.link.channel.recovery.packets
        pair.wire.inject(reset_for(pair.b, awaited), A, B)
    elif how == "violation":
        pair.wire.inject(pair.a.forge(b"\x55\x00\x00"), A, B)
    else:
        pair.wire.remove(A)
        pair.b.send(b"x", ref=1)
        pair.wire.run(40)
    assert pair.b.closed is not None
    assert pair.b.received == [b"1", b"2"]


# Three parties


def test_the_end_of_one_link_does_not_touch_another() -> None:
    pair = Pair()
    pair.wire.add(C, Endpoint(entropy("c"), roles=(ROLE,)))
    pair.call()
    pair.wire.tell(C, Dial(B, ROLE))
    pair.wire.run(1)
    pair.wire.tell(A, Abort(1))
    pair.wire.run(1)
    pair.wire.tell(C, Send(1, message(b"still here"), 1))
    pair.wire.run(1)
    other = End(pair.wire, B, pair.b.machine, 2)
    assert other.received == [b"still here"]
    assert other.state is State.OPEN

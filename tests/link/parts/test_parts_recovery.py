"""Recovery: which packets have arrived, which are lost, and when to probe."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import acks

from palaver.link.outbox import Outgoing
from palaver.link.recovery import Recovery, SentPacket
from palaver.timing import DEFAULT_TIMING, Timing
from palaver.wire.frames import Ack

MTU = 1000
SIZE = 100
NEVER = float("inf")
# Powers of two, so that sums are exact.
TIMING = Timing(initial_rtt=0.25, ack_delay=0.0, probe_floor=0.0625, probe_cap=4.0)


def recovery() -> Recovery:
    return Recovery(TIMING, MTU)


def send(made: Recovery, *numbers: int, now: float = 0.0) -> None:
    for number in numbers:
        made.sent(number, SIZE, [], now)


def ack(newest: int, *earlier: int, delay: int = 0) -> Ack:
    bits = sum(1 << newest - 1 - number for number in earlier)
    return Ack(0, newest, bits, delay, 0)


def numbers(packets: list[SentPacket]) -> list[int]:
    return [packet.number for packet in packets]


def acknowledge(made: Recovery, what: Ack, now: float) -> tuple[list[int], list[int]]:
    acked, lost = made.acknowledge(what, now)
    return numbers(acked), numbers(lost)


def in_flight(made: Recovery) -> list[int]:
    return list(made.packets)


# Acks


def test_an_ack_tells_of_its_newest_and_of_the_packets_of_its_map() -> None:
    made = recovery()
    send(made, 0, 1, 2, 3)
    assert acknowledge(made, ack(3, 2, 0), 0.25) == ([0, 2, 3], [])
    assert in_flight(made) == [1]
    assert made.is_awaited(1)
    assert not made.is_awaited(2)


def test_the_map_reaches_64_packets_back_and_no_further() -> None:
    made = recovery()
    send(made, 0, 1, 65)
    acked, lost = acknowledge(made, Ack(0, 65, (1 << 64) - 1, 0, 0), 0.25)
    assert acked == [1, 65]
    assert lost == []
    assert in_flight(made) == [0]


def test_a_packet_is_acknowledged_once() -> None:
    made = recovery()
    send(made, 0, 1)
    assert acknowledge(made, ack(1, 0), 0.25) == ([0, 1], [])
    assert acknowledge(made, ack(1, 0), 0.5) == ([], [])
    assert made.congestion.in_flight == 0


@given(st.sets(st.integers(0, 200), max_size=20), acks, st.floats(0, 100))
def test_an_ack_of_packets_that_are_not_in_flight_changes_nothing(
    sent: set[int], what: Ack, now: float
) -> None:
    made = recovery()
    send(made, *sorted(sent))
    named = {what.newest} | {what.newest - 1 - bit for bit in range(64) if what.earlier >> bit & 1}
    before = made.key(now, 300)
    acked, lost = acknowledge(made, what, now)
    assert acked == sorted(sent & named)
    if not acked:
        assert lost == []
        assert made.key(now, 300) == before
    assert set(in_flight(made)) == sent - named - set(lost)


# Loss by the packets that came after


@pytest.mark.spec("D-8")
def test_a_packet_is_lost_when_three_sent_after_it_lead_up_to_an_acked_one() -> None:
    made = recovery()
    send(made, 0, 1, 2)
    assert acknowledge(made, ack(2), 0.0) == ([2], [])
    send(made, 3)
    assert acknowledge(made, ack(3, 2), 0.0) == ([3], [0])
    assert in_flight(made) == [1]


@pytest.mark.spec("D-8")
def test_only_packets_that_are_to_be_acknowledged_count_for_loss() -> None:
    made = recovery()
    send(made, 0, 10, 20)
    assert acknowledge(made, ack(20), 0.0) == ([20], [])
    send(made, 30)
    assert acknowledge(made, ack(30), 0.0) == ([30], [0])


def test_what_was_sent_after_the_newest_acked_is_not_lost() -> None:
    made = recovery()
    send(made, 0, 1, 2, 3, 4, 5, 6, 7)
    assert acknowledge(made, ack(3), 0.0) == ([3], [0])
    assert in_flight(made) == [1, 2, 4, 5, 6, 7]


def test_an_older_ack_does_not_make_more_packets_lost() -> None:
    made = recovery()
    send(made, 0, 1, 2, 3, 4, 5)
    assert acknowledge(made, ack(3), 0.0)[1] == [0]
    assert acknowledge(made, ack(2), 0.0) == ([2], [])
    assert acknowledge(made, ack(1), 0.0) == ([1], [])


def test_a_lost_packet_leaves_the_flight_and_the_window() -> None:
    made = recovery()
    send(made, 0, 1, 2, 3)
    acknowledge(made, ack(3, 2, 1), 0.0)
    assert not made.packets
    assert made.congestion.in_flight == 0
    assert made.congestion.window < 10 * MTU
    assert made.deadline == NEVER


# Loss by time


@pytest.mark.spec("D-8")
def test_a_packet_before_an_acked_one_is_lost_after_nine_eighths_of_a_round_trip() -> None:
    made = recovery()
    send(made, 0, now=0.0)
    send(made, 1, now=0.0)
    assert acknowledge(made, ack(1), 1.0) == ([1], [])
    assert made.deadline == 9 / 8
    assert made.expire(1.0) == []
    assert numbers(made.expire(9 / 8)) == [0]
    assert made.deadline == NEVER


def test_the_loss_timer_is_that_of_the_oldest_packet_that_is_missing() -> None:
    made = recovery()
    for number in range(3):
        send(made, number, now=number / 4)
    # The path is slow, and the newest was quick.
    made.rtt.sample(4.0, 0.0)
    acknowledge(made, ack(2), 1.0)
    assert in_flight(made) == [0, 1]
    assert made.deadline == made.rtt.loss_delay()


def test_an_ack_that_comes_late_finds_the_older_packet_lost() -> None:
    made = recovery()
    send(made, 0, now=0.0)
    send(made, 1, now=1.0)
    assert acknowledge(made, ack(1), 1.5) == ([1], [0])


def test_the_loss_timer_goes_before_the_probe_timer_and_starts_no_probe() -> None:
    made = recovery()
    send(made, 0, 1, now=0.0)
    send(made, 2, now=0.5)
    acknowledge(made, ack(1), 1.0)
    assert made.deadline == 9 / 8
    assert numbers(made.expire(9 / 8)) == [0]
    assert (made.probes, made.backoff) == (0, 0)
    assert made.deadline > 9 / 8


def test_the_loss_timer_stops_when_the_missing_ack_comes() -> None:
    made = recovery()
    send(made, 0, 1, now=0.0)
    acknowledge(made, ack(1), 1.0)
    assert acknowledge(made, ack(1, 0), 1.0625) == ([0], [])
    assert made.deadline == NEVER
    send(made, 2, now=2.0)
    assert made.deadline == 2.0 + made.rtt.probe_timeout()


# Probes


def test_with_nothing_in_flight_nothing_is_due() -> None:
    made = recovery()
    assert made.deadline == NEVER
    assert made.expire(1e6) == []
    assert (made.probes, made.backoff) == (0, 0)


@pytest.mark.spec("D-9")
def test_two_probes_are_due_a_probe_timeout_after_the_last_packet() -> None:
    made = recovery()
    send(made, 0, now=1.0)
    send(made, 1, now=2.0)
    assert made.deadline == 2.0 + 0.75
    assert made.expire(2.5) == []
    assert made.probes == 0
    assert made.expire(2.75) == []
    assert made.probes == 2
    assert in_flight(made) == [0, 1]


@pytest.mark.spec("D-9")
def test_probe_timeouts_double_up_to_the_cap_and_go_on() -> None:
    made = recovery()
    send(made, 0, now=0.0)
    waits = []
    for _ in range(40):
        due = made.deadline
        made.expire(due)
        waits.append(made.deadline - due)
    assert waits[:4] == [1.5, 3.0, 4.0, 4.0]
    assert set(waits[3:]) == {4.0}


def test_each_packet_sent_is_a_probe_less_to_send() -> None:
    made = recovery()
    send(made, 0)
    made.expire(100.0)
    send(made, 1, now=100.0)
    assert made.probes == 1
    send(made, 2, now=100.0)
    assert made.probes == 0
    send(made, 3, now=100.0)
    assert made.probes == 0


def test_a_probe_timeout_that_is_late_counts_once() -> None:
    made = recovery()
    send(made, 0)
    made.expire(1000.0)
    assert (made.probes, made.backoff) == (2, 1)
    assert made.deadline == 1000.0 + 1.5


def test_the_probes_of_each_timeout_begin_with_the_oldest_segment() -> None:
    made = recovery()
    send(made, 0)
    made.probed = 3
    made.expire(100.0)
    assert made.probed == 0


def test_an_ack_with_news_ends_probes_and_backoff_and_one_without_does_not() -> None:
    made = recovery()
    send(made, 0, 1)
    made.expire(100.0)
    made.expire(200.0)
    assert (made.probes, made.backoff) == (2, 2)
    acknowledge(made, ack(5), 200.0)
    assert (made.probes, made.backoff) == (2, 2)
    acknowledge(made, ack(0), 200.0)
    assert (made.probes, made.backoff) == (0, 0)


# Round-trip samples


def test_a_sample_is_from_sending_the_newest_to_its_ack_less_the_delay_of_the_peer() -> None:
    made = recovery()
    send(made, 0, now=0.0)
    acknowledge(made, ack(0), 0.5)
    assert made.rtt.latest == made.rtt.smoothed == 0.5
    send(made, 1, now=1.0)
    acknowledge(made, ack(1, delay=50000), 2.0)
    assert made.rtt.latest == 1.0
    assert made.rtt.smoothed == pytest.approx(0.5)


def test_there_is_no_sample_from_an_ack_whose_delay_is_not_known() -> None:
    made = recovery()
    send(made, 0)
    acknowledge(made, ack(0, delay=0xFFFF), 0.5)
    assert made.rtt.minimum is None
    send(made, 1)
    acknowledge(made, ack(1, delay=0xFFFE), 0.5)
    assert made.rtt.minimum == 0.5


def test_there_is_no_sample_from_an_ack_that_does_not_advance_the_newest() -> None:
    made = recovery()
    send(made, 0, 1, 2)
    acknowledge(made, ack(1), 0.5)
    acknowledge(made, ack(0), 5.0)
    assert made.rtt.latest == 0.5
    acknowledge(made, ack(2), 0.75)
    assert made.rtt.latest == 0.75


def test_there_is_no_sample_from_a_packet_that_is_not_the_newest_of_its_ack() -> None:
    made = recovery()
    send(made, 0, 1)
    # Packet 2 is not in flight: it was acknowledged before, or given up as lost.
    assert acknowledge(made, ack(2, 1), 0.25) == ([1], [])
    assert made.rtt.minimum is None
    assert acknowledge(made, ack(2, 0), 0.25) == ([0], [])
    assert made.rtt.minimum is None


# All together, against a model


@dataclass
class Flown:
    """A packet as the model knows it: its place among the ack-eliciting ones, and when it left."""

    place: int
    sent_at: float


class Model:
    """The rules of sections 7.4 and 7.5, written down as they are read."""

    def __init__(self) -> None:
        self.flight: dict[int, Flown] = {}
        self.places = 0
        self.newest: tuple[int, Flown] | None = None
        self.waits_since = 0.0
        self.timeouts = 0

    def send(self, number: int, now: float) -> None:
        self.flight[number] = Flown(self.places, now)
        self.places += 1
        self.waits_since = now

    def deadline(self, made: Recovery) -> float:
        newest = -1 if self.newest is None else self.newest[0]
        waiting = [flown.sent_at for number, flown in self.flight.items() if number < newest]
        if waiting:
            return min(waiting) + made.rtt.loss_delay()
        timeout = made.rtt.probe_timeout(self.timeouts)
        return self.waits_since + timeout if self.flight else NEVER

    def is_probe_due(self, now: float, made: Recovery) -> bool:
        if now < self.deadline(made):
            return False
        self.waits_since = now
        self.timeouts += 1
        return True

    def acknowledge(self, named: set[int]) -> list[int]:
        acked = sorted(named & set(self.flight))
        for number in acked:
            if self.newest is None or number > self.newest[0]:
                self.newest = (number, self.flight[number])
            del self.flight[number]
        if acked:
            self.timeouts = 0
        return acked

    def lose(self, now: float, loss_delay: float) -> list[int]:
        if self.newest is None:
            return []
        number, newest = self.newest
        lost = [
            one
            for one, flown in self.flight.items()
            if one < number
            and (newest.place - flown.place >= 3 or flown.sent_at + loss_delay <= now)
        ]
        for one in lost:
            del self.flight[one]
        return lost


steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 3)),
        st.tuples(st.just("ack"), st.integers(0, 2**20 - 1)),
        st.tuples(st.just("wait"), st.integers(1, 40)),
        st.tuples(st.just("due"), st.integers(0, 400)),
    ),
    max_size=60,
)


@pytest.mark.spec("D-8", "D-9")
@settings(max_examples=400)
@given(steps)
def test_every_packet_meets_the_fate_that_the_rules_say(script: list[tuple[str, int]]) -> None:
    made, model = recovery(), Model()
    now, number = 0.0, 0
    for what, choice in script:
        if what == "send":
            number += choice  # the numbers between were packets that need no ack
            send(made, number, now=now)
            model.send(number, now)
            number += 1
        elif what == "ack":
            newest = max(number - 1 - choice % 4, 0)
            earlier = [newest - 1 - bit for bit in range(18) if choice >> 2 + bit & 1]
            named = [one for one in earlier if one >= 0]
            acked, lost = acknowledge(made, ack(newest, *named), now)
            assert acked == model.acknowledge({newest, *named})
            assert lost == (model.lose(now, made.rtt.loss_delay()) if acked else [])
        else:
            due = made.deadline
            if what == "due" and due != NEVER:
                now = max(due, now)
            now += choice / 64
            lost = numbers(made.expire(now))
            assert lost == model.lose(now, made.rtt.loss_delay())
            if model.is_probe_due(now, made):
                assert made.probes == 2
            assert made.deadline > now
        assert made.backoff == model.timeouts
        assert in_flight(made) == list(model.flight)
        assert made.congestion.in_flight == SIZE * len(model.flight)
        assert made.deadline == model.deadline(made)


def test_a_late_loss_timer_leaves_no_probe_timer_that_has_passed() -> None:
    made = recovery()
    send(made, 0, 1, 2, now=0.0)
    acknowledge(made, ack(1), 1.0)
    assert numbers(made.expire(100.0)) == [0]
    assert made.probes == 2
    assert made.deadline > 100.0


# Another path


@pytest.mark.spec("L-19")
def test_on_another_path_all_in_flight_is_lost_without_being_a_sign_of_congestion() -> None:
    made = recovery()
    send(made, 0, 1, 2, 3)
    acknowledge(made, ack(1), 1.0)
    made.expire(100.0)
    assert in_flight(made) == [2, 3]
    assert numbers(made.start_afresh(500)) == [2, 3]
    assert made.congestion.in_flight == 0
    assert made.congestion.window == 10 * 500
    assert (made.backoff, made.probes, made.deadline) == (0, 0, NEVER)
    # What was known of the path is only a first guess now.
    assert made.rtt.minimum is None
    assert made.rtt.smoothed == 1.0
    assert made.rtt.variation == 0.5
    send(made, 4, now=100.0)
    acknowledge(made, ack(4), 100.25)
    assert made.rtt.smoothed == made.rtt.minimum == 0.25


def test_on_another_path_no_timer_of_the_old_one_is_left() -> None:
    made = recovery()
    send(made, 0, 1, now=0.0)
    acknowledge(made, ack(1), 0.5)
    assert made.deadline == 9 / 8 * 0.5
    made.start_afresh(500)
    send(made, 2, now=10.0)
    assert made.deadline == 10.0 + made.rtt.probe_timeout()


# What a packet carried


def test_acked_and_lost_packets_give_back_the_segments_that_they_carried() -> None:
    made = Recovery(DEFAULT_TIMING, MTU)
    carried = [Outgoing(number, b"frame", reserved=False) for number in range(5)]
    for number, segment in enumerate(carried):
        made.sent(number, SIZE, [segment, carried[0]], 0.0)
    acked, lost = made.acknowledge(ack(4, 2), 0.0)
    assert [packet.segments for packet in acked] == [
        [carried[2], carried[0]],
        [carried[4], carried[0]],
    ]
    assert [packet.segments for packet in lost] == [
        [carried[0], carried[0]],
        [carried[1], carried[0]],
    ]


def test_the_window_is_set_back_when_nothing_was_sent_for_a_probe_timeout() -> None:
    made = recovery()
    send(made, 0, now=1.0)
    made.congestion.window = 99 * MTU
    made.acknowledge(ack(0), 1.125)
    idle = made.rtt.probe_timeout()
    send(made, 1, now=1.0 + idle)
    assert made.congestion.window == 99 * MTU, "not longer than that"
    send(made, 2, now=1.0 + 9 * idle)
    assert made.congestion.window == 99 * MTU, "something is in flight"
    made.acknowledge(ack(2, 1), 1.0 + 9 * idle + 0.125)
    send(made, 3, now=1.0 + 18 * idle + 0.125)
    assert made.congestion.window < 99 * MTU

"""The congestion window: NewReno with whole packets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palaver.link.congestion import Congestion

MTU = 1000
QUEUE = 1.0


def fly(congestion: Congestion, packets: int, size: int = MTU) -> None:
    for _ in range(packets):
        congestion.in_flight += size


def land(congestion: Congestion, packets: int, sent_at: float, *, limited: bool = True) -> None:
    for _ in range(packets):
        ack(congestion, MTU, sent_at, limited=limited)


def ack(congestion: Congestion, size: int, sent_at: float, *, limited: bool) -> None:
    """Do what Recovery does with a packet that has arrived."""
    congestion.in_flight -= size
    if limited:
        congestion.grow(size, sent_at)


def test_ten_packets_may_be_in_flight_at_first() -> None:
    congestion = Congestion(MTU)
    seen = []
    for _ in range(12):
        seen.append(congestion.is_full)
        if not congestion.is_full:
            fly(congestion, 1)
    assert seen == [False] * 10 + [True] * 2
    assert congestion.in_flight == congestion.window == 10 * MTU


@pytest.mark.parametrize(
    ("mtu", "window"), [(64, 640), (1200, 12000), (1472, 14720), (1500, 14720), (65507, 131014)]
)
def test_the_first_window_is_ten_packets_within_what_the_internet_bears(
    mtu: int, window: int
) -> None:
    assert Congestion(mtu).window == window


def test_room_is_room_even_for_part_of_a_packet() -> None:
    congestion = Congestion(MTU)
    fly(congestion, 9)
    congestion.in_flight += MTU - 1
    assert not congestion.is_full
    congestion.in_flight += 1
    assert congestion.is_full


def test_before_any_loss_the_window_doubles_with_each_full_flight() -> None:
    congestion = Congestion(MTU)
    for flight in (10, 20, 40):
        assert congestion.window == flight * MTU
        fly(congestion, flight)
        land(congestion, flight, 1.0)
        assert congestion.in_flight == 0


def test_after_a_while_alone_the_window_is_what_it_was_at_first() -> None:
    congestion = Congestion(MTU)
    fly(congestion, 10)
    land(congestion, 10, 1.0)
    assert congestion.window == 20 * MTU
    congestion.restart()
    assert congestion.window == 10 * MTU
    congestion.lost(0, 2.0, 3.0, QUEUE)
    congestion.restart()
    assert congestion.window == 5 * MTU, "it does not grow by that"


def test_a_window_that_was_not_what_held_us_back_does_not_grow() -> None:
    congestion = Congestion(MTU)
    fly(congestion, 5)
    land(congestion, 5, 1.0, limited=False)
    assert congestion.window == 10 * MTU
    assert congestion.in_flight == 0


@pytest.mark.parametrize(("queued", "kept"), [(0.0, 8), (0.29, 8), (0.3, 5), (1.0, 5)])
def test_a_loss_costs_half_the_window_if_three_packets_wait_in_queues_and_else_a_fifth(
    queued: float, kept: int
) -> None:
    congestion = Congestion(MTU)
    fly(congestion, 10)
    congestion.lost(MTU, 1.0, 2.0, queued)
    assert congestion.window == kept * MTU


def test_losses_of_one_flight_reduce_the_window_once() -> None:
    congestion = Congestion(MTU)
    fly(congestion, 10)
    congestion.lost(MTU, 1.0, 2.0, QUEUE)
    assert congestion.window == 5 * MTU
    congestion.lost(MTU, 1.5, 2.125, QUEUE)
    congestion.lost(MTU, 2.0, 2.25, QUEUE)
    assert congestion.window == 5 * MTU
    assert congestion.in_flight == 7 * MTU


def test_a_loss_in_the_next_flight_reduces_it_again() -> None:
    congestion = Congestion(MTU)
    fly(congestion, 10)
    congestion.lost(MTU, 1.0, 2.0, QUEUE)
    congestion.lost(MTU, 2.5, 3.0, QUEUE)
    assert congestion.window == 10 * MTU // 4


@given(st.floats(0, 1))
def test_the_window_never_falls_below_two_packets(queued: float) -> None:
    congestion = Congestion(MTU)
    for flight in range(1, 20):
        congestion.in_flight += MTU
        congestion.lost(MTU, flight, flight + 0.5, queued)
        assert congestion.window >= 2 * MTU
    assert congestion.window < 3 * MTU


def test_acks_of_packets_from_before_the_loss_do_not_grow_the_window() -> None:
    congestion = Congestion(MTU)
    fly(congestion, 10)
    congestion.lost(MTU, 1.0, 2.0, QUEUE)
    land(congestion, 4, 2.0)
    assert congestion.window == 5 * MTU
    assert congestion.in_flight == 5 * MTU


def test_after_a_loss_a_full_flight_grows_the_window_by_about_one_packet() -> None:
    congestion = Congestion(MTU)
    fly(congestion, 1)
    congestion.lost(MTU, 1.0, 2.0, QUEUE)
    assert congestion.window == 5 * MTU
    fly(congestion, 5)
    land(congestion, 5, 3.0)
    assert 5.8 * MTU <= congestion.window <= 6 * MTU
    fly(congestion, 6)
    land(congestion, 6, 4.0)
    assert 6.6 * MTU <= congestion.window <= 7 * MTU


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(1, MTU), st.floats(0, 10), st.booleans()),
        max_size=40,
    )
)
def test_what_is_in_flight_is_what_was_sent_and_has_no_fate_yet(
    fates: list[tuple[bool, int, float, bool]],
) -> None:
    congestion = Congestion(MTU)
    for _, size, _, _ in fates:
        congestion.in_flight += size
    left = sum(size for _, size, _, _ in fates)
    for arrived, size, sent_at, limited in fates:
        assert congestion.in_flight == left
        assert congestion.is_full == (left >= congestion.window)
        before = congestion.window
        if arrived:
            ack(congestion, size, sent_at, limited=limited)
            assert before <= congestion.window <= before + size
        else:
            congestion.lost(size, sent_at, sent_at, QUEUE)
            assert max(before // 2, 2 * MTU) <= congestion.window <= before
        left -= size
    assert congestion.in_flight == 0

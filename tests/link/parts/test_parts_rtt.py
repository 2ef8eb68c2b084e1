"""The round-trip estimator: RFC 6298's formulas, and a probe timeout within its bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palaver.link.rtt import RttEstimator
from palaver.timing import DEFAULT_TIMING, Timing

NO_BOUNDS = Timing(probe_floor=1e-6, probe_cap=1e6, ack_delay=0.0)
round_trips = st.floats(0, 30)
delays = st.floats(0, 1)


def estimator(*samples: float, timing: Timing = NO_BOUNDS) -> RttEstimator:
    made = RttEstimator(timing)
    for rtt in samples:
        made.sample(rtt, 0.0)
    return made


def test_before_any_sample_the_probe_timeout_is_three_initial_round_trips_and_the_ack_delay() -> (
    None
):
    made = RttEstimator(Timing(initial_rtt=0.25, ack_delay=0.0625))
    assert made.probe_timeout() == 0.25 + 4 * 0.125 + 0.0625
    assert made.minimum is None


def test_the_first_sample_replaces_what_was_assumed() -> None:
    made = estimator(0.5)
    assert (made.smoothed, made.variation, made.latest, made.minimum) == (0.5, 0.25, 0.5, 0.5)
    assert made.probe_timeout() == 0.5 + 4 * 0.25


def test_the_first_sample_is_not_reduced_by_the_ack_delay() -> None:
    made = RttEstimator(NO_BOUNDS)
    made.sample(0.5, 0.25)
    assert made.smoothed == made.minimum == 0.5


def test_later_samples_move_the_average_by_an_eighth_and_the_variation_by_a_quarter() -> None:
    made = estimator(0.5, 1.0)
    assert made.variation == 0.25 + (0.5 - 0.25) / 4
    assert made.smoothed == 0.5 + 0.5 / 8
    made.sample(0.25, 0.0)
    assert made.variation == 0.3125 + (0.3125 - 0.3125) / 4
    assert made.smoothed == 0.5625 - 0.3125 / 8
    assert made.latest == made.minimum == 0.25


def test_the_ack_delay_is_taken_off_unless_that_goes_below_the_minimum() -> None:
    reduced = estimator(0.5)
    reduced.sample(1.0, 0.5)
    assert reduced.smoothed == 0.5
    too_much = estimator(0.5)
    too_much.sample(1.0, 0.75)
    assert too_much.smoothed == 0.5625
    assert reduced.minimum == too_much.minimum == 0.5


def test_a_new_minimum_is_the_sample_with_its_delay() -> None:
    made = estimator(1.0)
    made.sample(0.5, 0.25)
    assert made.minimum == 0.5


@given(st.lists(st.tuples(round_trips, delays), max_size=30), st.integers(0, 100))
def test_the_probe_timeout_keeps_its_floor_and_its_cap(
    samples: list[tuple[float, float]], backoff: int
) -> None:
    made = RttEstimator(DEFAULT_TIMING)
    for rtt, delay in samples:
        made.sample(rtt, delay)
    timeout = made.probe_timeout(backoff)
    assert DEFAULT_TIMING.probe_floor <= timeout <= DEFAULT_TIMING.probe_cap
    assert made.probe_timeout(backoff + 1) >= timeout
    assert made.probe_timeout(10**9) == DEFAULT_TIMING.probe_cap


@given(st.lists(st.tuples(round_trips, delays), min_size=1, max_size=30))
def test_the_average_is_between_the_least_and_the_most_and_the_minimum_is_the_least(
    samples: list[tuple[float, float]],
) -> None:
    made = RttEstimator(DEFAULT_TIMING)
    for rtt, delay in samples:
        made.sample(rtt, delay)
    trips = [rtt for rtt, _ in samples]
    assert made.minimum == min(trips)
    assert made.latest == trips[-1]
    assert min(trips) - 1e-9 <= made.smoothed <= max(trips) + 1e-9
    assert 0 <= made.variation <= max(trips)


@given(round_trips)
def test_on_a_steady_path_the_estimate_becomes_the_round_trip(rtt: float) -> None:
    made = estimator(*[rtt] * 80)
    assert made.smoothed == pytest.approx(rtt)
    assert made.variation == pytest.approx(0, abs=1e-6)
    # The clock's own step is allowed for.
    assert made.probe_timeout() >= rtt + 0.001


def test_backoff_doubles_until_the_cap() -> None:
    made = estimator(0.25, timing=Timing(probe_floor=0.001, probe_cap=100.0, ack_delay=0.0))
    assert [made.probe_timeout(count) for count in range(4)] == [0.75, 1.5, 3.0, 6.0]
    assert made.probe_timeout(8) == 100.0


def test_backoff_doubles_the_floor_too() -> None:
    made = estimator(*[0.0] * 50, timing=Timing(probe_floor=0.5, ack_delay=0.0))
    assert [made.probe_timeout(count) for count in range(3)] == [0.5, 1.0, 2.0]


def test_a_packet_counts_as_lost_after_nine_eighths_of_the_larger_of_average_and_latest() -> None:
    assert estimator(0.5).loss_delay() == 9 / 8 * 0.5
    assert estimator(0.5, 1.0).loss_delay() == 9 / 8 * 1.0
    assert estimator(1.0, 0.5).loss_delay() == 9 / 8 * (1.0 - 0.5 / 8)
    assert estimator(0.0).loss_delay() == 0.001


def test_what_is_above_the_least_round_trip_is_the_share_of_queues() -> None:
    assert RttEstimator(NO_BOUNDS).queued == 0
    assert estimator(0.5).queued == 0
    assert estimator(0.5, 4.5).queued == 0.5
    made = estimator(0.5)
    made.sample(0.5, 0.5)
    assert made.queued == 0


@given(st.lists(st.tuples(round_trips, delays), max_size=30))
def test_the_share_of_queues_is_from_0_to_1(samples: list[tuple[float, float]]) -> None:
    made = RttEstimator(DEFAULT_TIMING)
    for rtt, delay in samples:
        made.sample(rtt, delay)
    assert 0 <= made.queued <= 1


@pytest.mark.spec("L-19")
def test_on_another_path_the_average_is_a_first_guess_until_the_next_sample() -> None:
    made = estimator(0.5, 1.0)
    made.start_afresh()
    assert (made.smoothed, made.variation, made.minimum) == (0.5625, 0.28125, None)
    made.sample(2.0, 0.0)
    assert (made.smoothed, made.variation, made.minimum) == (2.0, 1.0, 2.0)

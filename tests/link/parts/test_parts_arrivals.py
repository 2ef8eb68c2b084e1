"""Arrivals: the replay window, and acknowledgements that say what is true, all of it, in time."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaver.link.arrivals import Arrivals
from palaver.timing import MAX_NUMBER
from palaver.wire.frames import Ack, decode_frames

DELAY = 0.03125


def record(arrivals: Arrivals, *numbers: int, now: float = 0.0, eliciting: bool = True) -> None:
    for number in numbers:
        arrivals.record(number, now, eliciting=eliciting)


def decode(frame: bytes) -> Ack:
    (ack,) = decode_frames(frame, 0)
    assert isinstance(ack, Ack)
    return ack


def named(ack: Ack) -> set[int]:
    below = {ack.newest - 1 - bit for bit in range(64) if ack.earlier >> bit & 1}
    return {ack.newest} | below


# The replay window


@pytest.mark.spec("L-1")
def test_a_number_is_fresh_once() -> None:
    arrivals = Arrivals(DELAY)
    for number in (0, 1, 5, 3, 1000):
        assert arrivals.is_fresh(number)
        record(arrivals, number)
        assert not arrivals.is_fresh(number)
    assert arrivals.is_fresh(2)
    assert arrivals.is_fresh(4)
    assert arrivals.highest == 1000


@pytest.mark.spec("L-1")
def test_what_is_1024_or_more_below_the_highest_is_too_old_to_tell() -> None:
    arrivals = Arrivals(DELAY)
    record(arrivals, 2000)
    assert arrivals.is_fresh(2000 - 1023)
    assert not arrivals.is_fresh(2000 - 1024)
    assert not arrivals.is_fresh(0)
    record(arrivals, 2000 - 1023)
    assert not arrivals.is_fresh(2000 - 1023)
    assert arrivals.is_fresh(2000 - 1022)


@pytest.mark.parametrize("jump", [1022, 1023, 1024, 1025])
def test_a_jump_about_as_long_as_the_window_forgets_no_more_than_it_must(jump: int) -> None:
    arrivals = Arrivals(DELAY)
    record(arrivals, 0, jump)
    assert not arrivals.is_fresh(0)
    for number in range(max(jump - 1023, 1), jump):
        assert arrivals.is_fresh(number)


def test_a_jump_over_all_numbers_takes_no_memory() -> None:
    arrivals = Arrivals(DELAY)
    record(arrivals, 0)
    tracemalloc.start()
    try:
        record(arrivals, MAX_NUMBER)
        frame = arrivals.older_frames(0, 0)
        ack = decode(arrivals.frame(0, 0, 0.0))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert frame == []
    assert named(ack) == {MAX_NUMBER}
    # The numbers that were jumped over would take 512 MiB, one bit each.
    assert peak < 100_000
    assert not arrivals.is_fresh(0)
    assert not arrivals.is_fresh(MAX_NUMBER)
    assert arrivals.is_fresh(MAX_NUMBER - 1023)
    assert not arrivals.is_fresh(MAX_NUMBER - 1024)


# What an ack says


def test_an_ack_carries_what_it_is_given() -> None:
    arrivals = Arrivals(DELAY)
    record(arrivals, 0)
    assert decode(arrivals.frame(7, 1 << 40, 0.0)) == Ack(7, 0, 0, 0, 1 << 40)


def test_the_newest_is_the_newest_that_is_to_be_acknowledged() -> None:
    arrivals = Arrivals(DELAY)
    record(arrivals, 0, eliciting=False)
    seen = [arrivals.can_ack]
    record(arrivals, 1)
    seen.append(arrivals.can_ack)
    record(arrivals, 2, 3, eliciting=False)
    assert [*seen, arrivals.can_ack] == [False, True, True]
    assert named(decode(arrivals.frame(0, 0, 0.0))) == {0, 1}
    record(arrivals, 5)
    assert named(decode(arrivals.frame(0, 0, 0.0))) == {0, 1, 2, 3, 5}


def test_the_delay_is_since_the_newest_came_in_units_of_10_microseconds() -> None:
    arrivals = Arrivals(DELAY)
    record(arrivals, 1, now=1.0)
    record(arrivals, 0, now=1.25)
    assert decode(arrivals.frame(0, 0, 1.500005)).delay == 50000
    assert decode(arrivals.frame(0, 0, 1.0)).delay == 0
    assert decode(arrivals.frame(0, 0, 1.000019)).delay == 1


@pytest.mark.parametrize("wait", [0.65536, 1.0, 1e9])
def test_a_delay_beyond_what_the_field_takes_is_told_as_unknown(wait: float) -> None:
    arrivals = Arrivals(DELAY)
    record(arrivals, 0, now=0.0)
    assert decode(arrivals.frame(0, 0, wait)).delay == 0xFFFF


moves = st.lists(
    st.tuples(
        st.one_of(
            st.integers(1, 3),
            st.integers(1, 3),
            st.integers(-80, 80),
            st.integers(-1030, 1030),
            st.sampled_from([-1024, -1023, 1023, 1024, 1025, 1 << 31]),
        ),
        st.booleans(),
        st.integers(0, 5).map(lambda chance: chance == 0),
    ),
    max_size=150,
)


@pytest.mark.smoke
@pytest.mark.spec("D-2", "L-1")
@settings(max_examples=400)
@given(moves)
def test_acks_name_what_has_arrived_and_nothing_else(
    script: list[tuple[int, bool, bool]],
) -> None:
    arrivals = Arrivals(DELAY)
    had: set[int] = set()
    highest, newest, told = -1, -1, -1
    for step, eliciting, ack_now in script:
        number = highest + step
        if not 0 <= number <= MAX_NUMBER:
            continue
        fresh = number not in had and highest - number < 1024
        assert arrivals.is_fresh(number) == fresh
        if not fresh:
            continue
        record(arrivals, number, eliciting=eliciting)
        had.add(number)
        highest = max(highest, number)
        newest = max(newest, number) if eliciting else newest
        assert arrivals.highest == highest
        assert arrivals.can_ack == (newest >= 0)
        if not ack_now or newest < 0:
            continue
        known = {one for one in had if one <= newest and highest - one < 1024}
        may_have_older = arrivals.has_older
        older = [decode(frame) for frame in arrivals.older_frames(9, 99)]
        assert may_have_older or not older
        last = decode(arrivals.frame(9, 99, 0.0))
        # The last covers its 65 numbers in full, those before it all that was not told yet.
        assert last.newest == newest
        assert named(last) == {newest} | {one for one in known if one >= newest - 64}
        told_now = named(last).union(*(named(ack) for ack in older))
        assert {one for one in known if one > told} <= told_now <= known | {newest}
        assert [ack.newest for ack in older] == sorted({ack.newest for ack in older} - {newest})
        assert all(ack.delay == 0xFFFF for ack in older)
        assert all((ack.wanted, ack.credit) == (9, 99) for ack in [*older, last])
        assert len(older) <= 1024 // 65
        told = newest


def test_no_older_ack_is_given_where_one_is_enough() -> None:
    arrivals = Arrivals(DELAY)
    record(arrivals, *range(65))
    assert arrivals.older_frames(0, 0) == []
    record(arrivals, 65)
    assert arrivals.has_older
    (older,) = arrivals.older_frames(0, 0)
    assert named(decode(older)) == {0}
    assert named(decode(arrivals.frame(0, 0, 0.0))) == set(range(1, 66))
    record(arrivals, *range(66, 130))
    assert arrivals.older_frames(0, 0) == []


# When an ack is due


def test_nothing_is_owed_for_packets_that_are_not_to_be_acknowledged() -> None:
    arrivals = Arrivals(DELAY)
    record(arrivals, 0, 1, 2, 7, eliciting=False)
    assert not arrivals.is_owed


@pytest.mark.spec("D-1")
def test_one_packet_in_order_is_acknowledged_after_the_delay_and_two_at_once() -> None:
    arrivals = Arrivals(DELAY)
    record(arrivals, 0, now=1.0)
    assert arrivals.ack_at == 1.0 + DELAY
    record(arrivals, 1, now=1.015625)
    assert arrivals.ack_at == 1.015625


@pytest.mark.spec("D-1")
def test_the_delay_runs_from_the_first_packet_and_is_not_put_off_by_others() -> None:
    arrivals = Arrivals(DELAY)
    record(arrivals, 0, now=1.0)
    record(arrivals, 1, now=1.015625, eliciting=False)
    assert arrivals.ack_at == 1.0 + DELAY


@pytest.mark.spec("D-1")
@pytest.mark.parametrize("numbers", [(1,), (0, 2), (5, 3), (0, 1, 2, 4)])
def test_a_packet_out_of_order_is_acknowledged_at_once(numbers: tuple[int, ...]) -> None:
    arrivals = Arrivals(DELAY)
    record(arrivals, *numbers[:-1], now=1.0)
    if arrivals.can_ack:
        arrivals.frame(0, 0, 1.0)
    record(arrivals, numbers[-1], now=2.0)
    assert arrivals.ack_at == 2.0


@pytest.mark.spec("D-1")
def test_a_missing_packet_that_needed_no_ack_is_a_gap_like_any_other() -> None:
    arrivals = Arrivals(DELAY)
    record(arrivals, 0, now=1.0)
    arrivals.frame(0, 0, 1.0)
    record(arrivals, 1, now=1.0, eliciting=False)
    record(arrivals, 2, now=2.0)
    assert arrivals.ack_at == 2.0 + DELAY
    record(arrivals, 4, now=2.0)
    assert arrivals.ack_at == 2.0


def acks(arrivals: Arrivals, numbers: range) -> int:
    """Let packets come in order, at one moment, and give how many acks that is worth."""
    count = 0
    for number in numbers:
        record(arrivals, number, now=2.0)
        if arrivals.ack_at <= 2.0:
            arrivals.frame(0, 0, 2.0)
            count += 1
    return count


@pytest.mark.spec("D-1")
def test_a_steady_flow_needs_fewer_acks() -> None:
    arrivals = Arrivals(DELAY, 65536)
    assert acks(arrivals, range(128)) == 64
    assert acks(arrivals, range(128, 256)) == 16
    record(arrivals, 256, now=2.0)
    assert arrivals.ack_at == 2.0 + DELAY


@pytest.mark.spec("D-1")
def test_a_gap_ends_the_steadiness_of_a_flow() -> None:
    arrivals = Arrivals(DELAY, 65536)
    acks(arrivals, range(200))
    assert acks(arrivals, range(201, 202)) == 1, "at once"
    assert acks(arrivals, range(202, 329)) == 63
    acks(arrivals, range(329, 400))
    arrivals.hurry(2.0)  # as for a segment that is missing
    arrivals.frame(0, 0, 2.0)
    assert acks(arrivals, range(400, 500)) == 50


@pytest.mark.spec("D-1")
def test_with_a_small_window_every_second_packet_is_acknowledged() -> None:
    arrivals = Arrivals(DELAY, 65535)
    assert acks(arrivals, range(1000)) == 500


@pytest.mark.spec("D-1")
@pytest.mark.parametrize(("mtu", "count"), [(1820, 64 + 16), (1821, 128)])
def test_where_few_packets_use_up_the_window_every_second_one_is_acknowledged(
    mtu: int, count: int
) -> None:
    arrivals = Arrivals(DELAY, 72 * 1820, mtu)
    assert acks(arrivals, range(256)) == count


@pytest.mark.spec("D-1")
def test_an_ack_that_was_given_settles_what_was_owed() -> None:
    arrivals = Arrivals(DELAY)
    record(arrivals, 0, 1, now=1.0)
    arrivals.frame(0, 0, 1.0)
    assert not arrivals.is_owed
    record(arrivals, 2, now=2.0)
    assert arrivals.ack_at == 2.0 + DELAY


@pytest.mark.spec("D-2")
def test_an_ack_goes_along_with_three_more_packets_in_case_it_was_lost() -> None:
    arrivals = Arrivals(DELAY)
    seen = [arrivals.repeats > 0]
    for count in (1, 2):
        record(arrivals, *range(count, 2 * count), now=1.0)
        for _ in range(5):
            arrivals.frame(0, 0, 2.0)
            seen.append(arrivals.repeats > 0)
    assert seen == [False] + 2 * [True, True, True, False, False]


def test_an_ack_can_be_hurried() -> None:
    arrivals = Arrivals(DELAY)
    record(arrivals, 0, now=1.0)
    arrivals.hurry(1.0078125)
    assert arrivals.ack_at == 1.0078125
    record(arrivals, 1, now=1.015625, eliciting=False)
    assert arrivals.ack_at == 1.0078125

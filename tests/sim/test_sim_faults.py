"""The fault injector: every fault happens, as often as asked for, and leaves a count."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise
from math import sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaver.machine import UsageError
from palaver.sim import NO_FAULTS, FaultInjector, Faults

MANY = 20_000

chances = st.sampled_from([0.0, 0.1, 0.5, 1.0]) | st.floats(0, 1)
times = st.sampled_from([0.0, 0.05]) | st.floats(0, 10)
all_faults = st.builds(
    Faults,
    loss=chances,
    duplicate=chances,
    reorder=chances,
    corrupt=chances,
    delay=times,
    jitter=times,
    reorder_delay=times,
)
datagrams = st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=40)), max_size=40)


def flipped(before: bytes, after: bytes) -> int:
    assert len(before) == len(after)
    return (int.from_bytes(before, "big") ^ int.from_bytes(after, "big")).bit_count()


def assert_about(count: int, trials: int, chance: float) -> None:
    assert count > 0
    assert abs(count - trials * chance) < 5 * sqrt(trials * chance * (1 - chance))


@pytest.mark.parametrize("field", [field.name for field in fields(Faults)])
@pytest.mark.parametrize("bad", [-0.01, float("nan"), float("inf")])
def test_bounds_are_checked(field: str, bad: float) -> None:
    with pytest.raises(UsageError, match=field):
        Faults(**{field: bad})


@pytest.mark.parametrize("field", ["loss", "duplicate", "reorder", "corrupt"])
def test_a_chance_is_not_above_one(field: str) -> None:
    Faults(**{field: 1.0})
    with pytest.raises(UsageError, match=field):
        Faults(**{field: 1.01})


def test_without_faults_everything_passes_at_once() -> None:
    injector = FaultInjector(NO_FAULTS, seed=1)
    assert injector.apply(b"abc", 5.0) == [(5.0, b"abc")]
    counts = injector.counters.as_dict()
    assert counts.pop("sent") == 1
    assert set(counts.values()) == {0}
    assert {"dropped", "bursts", "forged", "replayed", "truncated"} < counts.keys()


def test_each_fault_happens_as_often_as_asked_for() -> None:
    injector = FaultInjector(
        Faults(loss=0.2, duplicate=0.1, reorder=0.15, corrupt=0.05, delay=0.1, jitter=0.01), seed=4
    )
    copies = sum(len(injector.apply(b"datagram", i * 0.001)) for i in range(MANY))
    counters = injector.counters
    assert counters.sent == MANY
    assert_about(counters.dropped, MANY, 0.2)
    assert_about(counters.duplicated, MANY - counters.dropped, 0.1)
    assert_about(counters.reordered, copies, 0.15)
    assert_about(counters.corrupted, copies, 0.05)
    assert copies == MANY - counters.dropped + counters.duplicated


@pytest.mark.parametrize("size", [1, 2, 1200])
def test_corruption_flips_one_to_three_bits(size: int) -> None:
    injector = FaultInjector(Faults(corrupt=1), seed=5)
    data = bytes(size)
    copies = [injector.apply(data, 0)[0][1] for _ in range(200)]
    assert {flipped(data, copy) for copy in copies} == {1, 2, 3}
    assert len(set(copies)) > 8
    assert injector.counters.corrupted == 200


def test_every_bit_can_be_flipped() -> None:
    injector = FaultInjector(Faults(corrupt=1), seed=6)
    seen = 0
    for _ in range(500):
        seen |= int.from_bytes(injector.apply(bytes(8), 0)[0][1], "big")
    assert seen == 2**64 - 1


def test_nothing_can_be_flipped_in_an_empty_datagram() -> None:
    injector = FaultInjector(Faults(corrupt=1), seed=5)
    assert injector.apply(b"", 1.0) == [(1.0, b"")]
    assert injector.counters.corrupted == 0


def test_the_copies_of_a_datagram_have_their_own_faults() -> None:
    injector = FaultInjector(Faults(duplicate=1, corrupt=0.5, reorder=0.5), seed=8)
    fates = set()
    for _ in range(200):
        (first, one), (second, other) = injector.apply(b"data", 0.0)
        fates.add((one == b"data", other == b"data", first == 0, second >= 0.05))
    assert len(fates) == 16


def test_a_duplicate_follows_within_the_reorder_delay() -> None:
    injector = FaultInjector(Faults(duplicate=1, delay=1, reorder_delay=0.2), seed=9)
    gaps = []
    for _ in range(500):
        (first, one), (second, other) = injector.apply(b"data", 0.0)
        assert one == other == b"data"
        assert first == 1
        gaps.append(second - first)
    assert 0 <= min(gaps) < 0.01
    assert 0.19 < max(gaps) <= 0.2


def test_what_is_held_back_is_overtaken() -> None:
    injector = FaultInjector(Faults(reorder=0.2), seed=10)
    released = []
    for i in range(1000):
        [(release, _)] = injector.apply(b"", i * 0.02)
        released.append((release, i))
    order = [i for _, i in sorted(released)]
    overtaken = sum(1 for earlier, later in pairwise(order) if later < earlier)
    assert overtaken > injector.counters.reordered * 0.5
    assert injector.counters.reordered > 100


def test_jitter_spreads_delay_but_keeps_the_order() -> None:
    injector = FaultInjector(Faults(delay=0.1, jitter=0.05), seed=11)
    releases = []
    for i in range(1000):
        [(release, _)] = injector.apply(b"", i * 0.02)
        assert 0.1 <= release - i * 0.02 < 0.15 + 1e-9
        releases.append(release)
    assert releases == sorted(releases)
    assert len(set(releases)) > 500


@settings(deadline=None)
@given(all_faults, st.integers(), datagrams)
def test_what_comes_out_accounts_for_what_went_in(
    faults: Faults, seed: int, script: list[tuple[float, bytes]]
) -> None:
    injector = FaultInjector(faults, seed)
    now = 0.0
    out = changed = 0
    for gap, data in script:
        now += gap
        for release, copy in injector.apply(data, now):
            assert release >= now + faults.delay
            assert flipped(data, copy) <= 3
            out += 1
            changed += copy != data
    counters = injector.counters
    assert counters.sent == len(script)
    assert out == counters.sent - counters.dropped + counters.duplicated
    assert changed == counters.corrupted


@settings(deadline=None)
@given(all_faults, st.integers(), datagrams, datagrams)
def test_the_same_seed_and_a_clone_do_the_same(
    faults: Faults,
    seed: int,
    before: list[tuple[float, bytes]],
    after: list[tuple[float, bytes]],
) -> None:
    one, other = FaultInjector(faults, seed), FaultInjector(faults, seed)
    for time, data in sorted(before):
        assert one.apply(data, time) == other.apply(data, time)
    twin = one.clone()
    assert twin.counters.as_dict() == one.counters.as_dict()
    expected = [other.apply(data, time + 1) for time, data in sorted(after)]
    assert [twin.apply(data, time + 1) for time, data in sorted(after)] == expected
    assert one.counters.sent == len(before)
    assert [one.apply(data, time + 1) for time, data in sorted(after)] == expected


def test_faults_can_change_on_the_way() -> None:
    injector = FaultInjector(Faults(loss=1), seed=1)
    assert injector.apply(b"x", 0.0) == []
    injector.faults = NO_FAULTS
    assert injector.apply(b"x", 1.0) == [(1.0, b"x")]
    assert (injector.counters.sent, injector.counters.dropped) == (2, 1)

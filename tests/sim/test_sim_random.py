"""The seeded generator: known values, fair draws, independent and repeatable streams."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaver.machine import UsageError
from palaver.sim import SeededRandom

seeds = st.integers(-(2**70), 2**70)


def test_it_is_splitmix64() -> None:
    # Vigna's C program gives these for the seed 1234567.
    random = SeededRandom(1234567)
    assert [random.next_u64() for _ in range(5)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_streams_never_change() -> None:
    # Recorded runs and digests depend on these.
    random = SeededRandom(7)
    assert random.fork("a").next_u64() == 0x9844F9C1B568C80D
    assert random.bytes(5).hex() == "63cbe1e459"
    assert random.below(1000) == 804


@settings(deadline=None)
@given(seeds, st.integers(1, 2**64))
def test_draws_keep_their_bounds(seed: int, n: int) -> None:
    random = SeededRandom(seed)
    assert 0 <= random.next_u64() < 2**64
    assert 0 <= random.fraction() < 1
    assert 0 <= random.below(n) < n


@settings(deadline=None)
@given(seeds, st.integers(0, 100))
def test_bytes_are_as_many_as_asked_for(seed: int, n: int) -> None:
    assert len(SeededRandom(seed).bytes(n)) == n


def test_small_results_are_equally_likely() -> None:
    random = SeededRandom(1)
    counts = [0] * 6
    for _ in range(60_000):
        counts[random.below(6)] += 1
    assert all(abs(count - 10_000) < 500 for count in counts)  # over 5 standard deviations


def test_large_results_are_as_likely_as_small_ones() -> None:
    random = SeededRandom(1)  # 2**64 is not a multiple of n: some draws must be made again
    small = sum(random.below(3 << 62) < 1 << 62 for _ in range(9000))
    assert abs(small - 3000) < 230


def test_chances_come_true_as_often_as_they_should() -> None:
    random = SeededRandom(2)
    assert abs(sum(random.chance(0.3) for _ in range(50_000)) - 15_000) < 600


def test_certain_chances_draw_nothing() -> None:
    random = SeededRandom(3)
    before = random.key()
    assert not random.chance(0)
    assert random.chance(1)
    assert random.key() == before


@settings(deadline=None)
@given(seeds, st.integers(0, 20))
def test_a_clone_draws_the_same(seed: int, drawn: int) -> None:
    random = SeededRandom(seed)
    for _ in range(drawn):
        random.next_u64()
    twin = random.clone()
    assert twin.key() == random.key()
    assert twin.bytes(40) == random.bytes(40)
    assert twin.key() == random.key()
    twin.next_u64()
    assert twin.key() != random.key()


@settings(deadline=None)
@given(seeds, st.text(), st.text())
def test_forks_depend_on_their_label_only(seed: int, one: str, other: str) -> None:
    random = SeededRandom(seed)
    before = random.key()
    first, second = random.fork(one), random.fork(other)
    assert random.key() == before
    assert (first.key() == second.key()) == (one == other)
    assert first.key() == SeededRandom(seed).fork(one).key()


def test_misuse_is_said() -> None:
    random = SeededRandom(0)
    for n in (0, -1, 2**64 + 1):
        with pytest.raises(UsageError):
            random.below(n)
    with pytest.raises(UsageError):
        random.bytes(-1)

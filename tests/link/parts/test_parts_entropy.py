"""Draws: a stream of values from one seed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palaver.entropy import Draws
from palaver.machine import UsageError


def seeded(byte: int) -> Callable[[int], bytes]:
    return lambda size: bytes((byte,)) * size


def test_entropy_is_asked_once_for_32_bytes() -> None:
    asked: list[int] = []

    def entropy(size: int) -> bytes:
        asked.append(size)
        return bytes(size)

    draws = Draws(entropy)
    for _ in range(10):
        draws.bytes(8)
    assert asked == [32]


@pytest.mark.parametrize("size", [0, 31, 33])
def test_entropy_that_gives_another_number_of_bytes_is_refused(size: int) -> None:
    with pytest.raises(UsageError):
        Draws(lambda _: bytes(size))


@given(st.integers(1, 32), st.integers(0, 255))
def test_as_many_bytes_are_given_as_were_asked_for(size: int, seed: int) -> None:
    assert len(Draws(seeded(seed)).bytes(size)) == size


def test_the_same_seed_gives_the_same_and_another_seed_gives_others() -> None:
    first, same, other = Draws(seeded(1)), Draws(seeded(1)), Draws(seeded(2))
    drawn = [first.bytes(16) for _ in range(20)]
    assert drawn == [same.bytes(16) for _ in range(20)]
    others = [other.bytes(16) for _ in range(20)]
    assert len({*drawn, *others}) == 40


def test_no_value_comes_twice() -> None:
    draws = Draws(seeded(0))
    assert len({draws.bytes(8) for _ in range(1000)}) == 1000


def test_the_seed_can_not_be_seen_in_what_is_drawn() -> None:
    draws = Draws(lambda size: bytes(range(size)))
    assert draws.bytes(32) != bytes(range(32))

"""Links that have ended and are remembered for a while."""

from __future__ import annotations

import pytest

from palaver.link.context import Context
from palaver.link.link import Link
from palaver.link.tombstones import Tombstones
from palaver.wire.errors import Reason

HERE = ("host", 1)
ELSEWHERE = ("host", 2)


def ended(number: int, *, peer: int = 0, last_word: bytes | None = None, reason: int = 0) -> Link:
    """Give a link that receives under id `number` * 100."""
    link = Link(number, number * 100, "duo", HERE, Context(), bytes(32))
    link.channel.remote = peer
    link.farewell.last_word = last_word
    link.farewell.reason = reason
    return link


def test_an_ended_link_is_found_by_its_id_its_number_and_its_peer() -> None:
    tombstones = Tombstones(20.0, 10)
    tombstones.bury(ended(1, peer=7, reason=Reason.DEAD), 0.0)
    found = tombstones.find(100)
    assert found is not None
    assert (found.number, found.reason) == (1, Reason.DEAD)
    assert tombstones.reason(1) == Reason.DEAD
    assert tombstones.has_peer(HERE, 7)
    assert len(tombstones) == 1


def test_another_link_is_not_found() -> None:
    tombstones = Tombstones(20.0, 10)
    tombstones.bury(ended(1, peer=7), 0.0)
    assert tombstones.find(200) is None
    assert tombstones.find(7) is None
    assert not tombstones.has_peer(HERE, 8)
    assert not tombstones.has_peer(ELSEWHERE, 7)
    assert tombstones.reason(2) == Reason.LEFT


def test_a_call_that_was_never_answered_has_no_peer() -> None:
    tombstones = Tombstones(20.0, 10)
    tombstones.bury(ended(1), 0.0)
    assert not tombstones.has_peer(HERE, 0)
    tombstones.expire(100.0)
    assert len(tombstones) == 0


@pytest.mark.spec("L-15")
def test_a_link_is_forgotten_when_its_time_is_over() -> None:
    tombstones = Tombstones(20.0, 10)
    assert tombstones.deadline == float("inf")
    tombstones.bury(ended(1, peer=7), 1.0)
    tombstones.bury(ended(2, peer=8), 5.0)
    assert tombstones.deadline == 21.0
    tombstones.expire(20.75)
    assert len(tombstones) == 2
    tombstones.expire(21.0)
    assert tombstones.find(100) is None
    assert not tombstones.has_peer(HERE, 7)
    assert tombstones.find(200) is not None
    assert tombstones.deadline == 25.0
    tombstones.expire(1000.0)
    assert tombstones.deadline == float("inf")


@pytest.mark.spec("L-15")
def test_beyond_the_bound_the_oldest_goes() -> None:
    tombstones = Tombstones(20.0, 3)
    for number in range(1, 8):
        tombstones.bury(ended(number, peer=number), number)
        assert len(tombstones) == min(number, 3)
    assert [tombstones.find(number * 100) is not None for number in range(1, 8)] == [False] * 4 + [
        True
    ] * 3
    assert not tombstones.has_peer(HERE, 4)
    assert tombstones.has_peer(HERE, 5)


@pytest.mark.spec("L-15")
def test_a_last_word_is_repeated_eight_times_and_only_to_the_address_of_the_link() -> None:
    tombstones = Tombstones(20.0, 10)
    tombstones.bury(ended(1, last_word=b"close"), 0.0)
    tombstone = tombstones.find(100)
    assert tombstone is not None
    assert tombstone.take_last_word(ELSEWHERE) is None
    assert [tombstone.take_last_word(HERE) for _ in range(10)] == [b"close"] * 8 + [None] * 2


def test_a_link_without_a_last_word_has_none_to_repeat() -> None:
    tombstones = Tombstones(20.0, 10)
    tombstones.bury(ended(1), 0.0)
    tombstone = tombstones.find(100)
    assert tombstone is not None
    assert tombstone.take_last_word(HERE) is None


def test_a_peer_is_remembered_as_long_as_the_last_of_its_links() -> None:
    # A peer that uses an id again breaks a rule, but must not make us forget.
    tombstones = Tombstones(20.0, 10)
    tombstones.bury(ended(1, peer=7), 0.0)
    tombstones.bury(ended(2, peer=7), 10.0)
    tombstones.expire(20.0)
    assert tombstones.find(200) is not None
    assert tombstones.has_peer(HERE, 7)

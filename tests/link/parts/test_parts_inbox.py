"""The inbox: order, reassembly, and never more memory than was granted."""

from __future__ import annotations

from itertools import zip_longest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palaver.link.inbox import Inbox
from palaver.timing import CREDIT_RESERVE, MAX_MESSAGE, SEGMENT_CHARGE
from palaver.wire.errors import Reason
from palaver.wire.frames import Segment

WINDOW = 1 << 20


def cut(messages: list[bytes], payload: int, first: int = 0) -> list[Segment]:
    segments: list[Segment] = []
    for message in messages:
        for start in range(0, len(message), payload):
            piece = message[start : start + payload]
            last = start + payload >= len(message)
            segments.append(Segment(first + len(segments), piece, last))
    return segments


def cost(segments: list[Segment]) -> int:
    return sum(len(segment.data) + SEGMENT_CHARGE for segment in segments)


def take(inbox: Inbox, *segments: Segment) -> list[bytes]:
    """Give segments to an inbox as the link does, and return the messages handed over."""
    out: list[bytes] = []
    for segment in segments:
        if not inbox.has(segment.number):
            assert inbox.receive(segment, out) is None
    return out


messages_drawn = st.lists(st.binary(min_size=1, max_size=60), max_size=8)


# Order and reassembly


@pytest.mark.smoke
@pytest.mark.spec("D-15")
@given(messages_drawn, st.integers(1, 30), st.data())
def test_any_order_with_repeats_gives_each_message_once_and_in_order(
    messages: list[bytes], payload: int, data: st.DataObject
) -> None:
    segments = cut(messages, payload)
    repeats = data.draw(st.lists(st.sampled_from(segments), max_size=10)) if segments else []
    inbox = Inbox(WINDOW)
    handed: list[bytes] = []
    arrived: set[int] = set()
    for segment in data.draw(st.permutations(segments + repeats)):
        assert inbox.has(segment.number) == (segment.number in arrived)
        handed += take(inbox, segment)
        arrived.add(segment.number)
        gapless = next(n for n in range(len(segments) + 1) if n not in arrived)
        # Exactly the messages all of whose segments have come, and whose predecessors have.
        assert handed == messages[: sum(one.last for one in segments[:gapless])]
        assert inbox.has_gap == any(number > gapless for number in arrived)
        assert inbox.wanted == max((s.number + 1 for s in segments[:gapless] if s.last), default=0)
        assert inbox.credit == WINDOW + cost(segments[: inbox.wanted])
    assert handed == messages
    assert inbox.wanted == len(segments)


def test_a_message_waits_for_the_one_before_it() -> None:
    inbox = Inbox(WINDOW)
    first, second = cut([b"first", b"second"], 100)
    assert take(inbox, second) == []
    assert inbox.has_gap
    assert take(inbox, first) == [b"first", b"second"]
    assert not inbox.has_gap


def test_part_of_a_message_is_never_handed_over() -> None:
    inbox = Inbox(WINDOW)
    segments = cut([b"abcdef"], 2)
    assert take(inbox, segments[0], segments[1]) == []
    assert inbox.wanted == 0
    assert inbox.credit == WINDOW
    assert take(inbox, segments[2]) == [b"abcdef"]
    assert inbox.wanted == 3
    assert inbox.credit == WINDOW + 6 + 3 * SEGMENT_CHARGE


# Bounds


@pytest.mark.spec("D-14")
@pytest.mark.parametrize("number", [0, 1, 1 << 31])
def test_the_window_and_the_reserve_can_be_filled_and_not_a_byte_more(number: int) -> None:
    room = 1024 + CREDIT_RESERVE - SEGMENT_CHARGE
    full = Inbox(1024)
    assert full.receive(Segment(number, bytes(room), last=False), []) is None
    over = Inbox(1024)
    over_full = Segment(number, bytes(room + 1), last=False)
    assert over.receive(over_full, []) == Reason.CREDIT_EXCEEDED


@pytest.mark.spec("D-14")
@given(
    st.lists(
        st.tuples(st.integers(0, 40) | st.integers(0, (1 << 32) - 1), st.integers(1, 300)),
        max_size=60,
    ),
    st.booleans(),
    st.data(),
)
def test_whatever_arrives_no_more_is_held_than_the_window_and_the_reserve(
    arrivals: list[tuple[int, int]], paused: bool, data: st.DataObject
) -> None:
    inbox = Inbox(1024)
    if paused:
        inbox.pause()
    held = 0
    for number, size in arrivals:
        if inbox.has(number):
            continue
        before = inbox.consumed
        broken = inbox.receive(Segment(number, bytes(size), data.draw(st.booleans())), [])
        charge = size + SEGMENT_CHARGE
        if broken is not None:
            assert broken == Reason.CREDIT_EXCEEDED
            assert held + charge > 1024 + CREDIT_RESERVE
            assert not inbox.has(number)
            continue
        held += charge - (inbox.consumed - before)
        assert 0 <= held <= 1024 + CREDIT_RESERVE
        assert inbox.credit == inbox.consumed + 1024


def test_what_was_handed_over_makes_room() -> None:
    inbox = Inbox(1024)
    for number in range(50):
        assert take(inbox, Segment(number, bytes(900), last=True)) == [bytes(900)]
    assert inbox.credit == 1024 + 50 * 964


@pytest.mark.spec("D-15")
def test_a_message_of_64_kib_is_taken_and_one_byte_more_is_not() -> None:
    segments = cut([bytes(MAX_MESSAGE)], 1000)
    assert take(Inbox(WINDOW), *segments) == [bytes(MAX_MESSAGE)]
    inbox = Inbox(WINDOW)
    *before, last = cut([bytes(MAX_MESSAGE + 1)], 1000)
    assert take(inbox, *before) == []
    assert inbox.receive(last, []) == Reason.PROTOCOL_ERROR


def test_a_message_is_too_long_as_soon_as_its_pieces_are() -> None:
    inbox = Inbox(WINDOW)
    out: list[bytes] = []
    assert inbox.receive(Segment(0, bytes(60000), last=False), out) is None
    assert inbox.receive(Segment(1, bytes(5536), last=False), out) is None
    assert inbox.receive(Segment(2, b"x", last=False), out) == Reason.PROTOCOL_ERROR


def test_the_size_of_a_message_is_its_own_and_not_that_of_those_before_it() -> None:
    inbox = Inbox(WINDOW)
    for number in (0, 2, 4):
        half = [Segment(number, bytes(60000), last=False), Segment(number + 1, b"x", last=True)]
        assert len(take(inbox, *half)) == 1


def test_messages_before_a_broken_rule_are_handed_over() -> None:
    inbox = Inbox(WINDOW)
    out: list[bytes] = []
    assert inbox.receive(Segment(1, bytes(65000), last=False), out) is None
    assert inbox.receive(Segment(2, bytes(1000), last=True), out) is None
    assert inbox.receive(Segment(0, b"good", last=True), out) == Reason.PROTOCOL_ERROR
    assert out == [b"good"]


# Messages that were refused


@pytest.mark.parametrize("index", [0, 1, 2])
def test_what_was_refused_counts_as_not_handed_over(index: int) -> None:
    inbox = Inbox(WINDOW)
    first, *others = cut([b"first", bytes(40), b"third", b"last"], 20)
    inbox.begin()
    take(inbox, first)
    inbox.begin()
    assert len(take(inbox, *reversed(others))) == 3
    assert inbox.wanted == 5
    inbox.take_back(index)
    assert inbox.wanted == [1, 3, 4][index]


def test_what_was_refused_of_messages_that_waited_counts_as_not_handed_over() -> None:
    inbox = Inbox(WINDOW)
    take(inbox, *cut([b"zeroth"], 20))
    inbox.pause()
    take(inbox, *cut([b"first", bytes(40), b"third"], 20, first=1))
    assert len(inbox.resume()) == 3
    inbox.take_back(2)
    assert inbox.wanted == 4


# Pausing


@pytest.mark.spec("D-16")
def test_a_paused_inbox_holds_complete_messages_back_and_grants_nothing_for_them() -> None:
    inbox = Inbox(WINDOW)
    segments = cut([b"abcdef", b"x"], 4)
    inbox.pause()
    assert take(inbox, *segments) == []
    assert (bool(inbox._waiting), inbox.has_gap) == (True, False)
    assert (inbox.wanted, inbox.credit) == (0, WINDOW)
    assert all(inbox.has(segment.number) for segment in segments)
    assert inbox.resume() == [b"abcdef", b"x"]
    assert (bool(inbox._waiting), inbox.has_gap) == (False, False)
    assert (inbox.wanted, inbox.credit) == (3, WINDOW + cost(segments))
    assert inbox.resume() == []


@pytest.mark.spec("D-16")
@given(messages_drawn, st.integers(1, 30), st.lists(st.booleans(), max_size=80))
def test_messages_stay_in_order_however_often_one_pauses(
    messages: list[bytes], payload: int, pauses: list[bool]
) -> None:
    inbox = Inbox(WINDOW)
    handed: list[bytes] = []
    for segment, pause in zip_longest(cut(messages, payload), pauses):
        if segment is None:
            break
        if pause:
            inbox.pause()
        else:
            handed += inbox.resume()
        before = len(handed)
        handed += take(inbox, segment)
        assert len(handed) == before + (segment.last and not pause)
        assert handed == messages[: len(handed)]
    handed += inbox.resume()
    assert handed == messages
    assert not bool(inbox._waiting)


@pytest.mark.spec("D-14", "D-16")
def test_a_paused_inbox_is_bounded_too() -> None:
    inbox = Inbox(1024)
    inbox.pause()
    count = 0
    while inbox.receive(Segment(count, b"x", last=True), []) is None:
        count += 1
    assert count == (1024 + CREDIT_RESERVE) // (1 + SEGMENT_CHARGE)
    assert inbox.resume() == [b"x"] * count
    assert inbox.credit == 1024 + count * (1 + SEGMENT_CHARGE)

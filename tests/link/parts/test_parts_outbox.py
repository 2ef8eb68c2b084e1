"""The outbox: segments, credit, what is sent again, and the outcome of every message."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaver.link.inbox import Inbox
from palaver.link.outbox import Outbox, Outgoing, Pending
from palaver.machine import UsageError, WouldBlock
from palaver.timing import MAX_MESSAGE, SEGMENT_CHARGE, Limits
from palaver.wire.frames import Segment, decode_frames

MTU = 100
PAYLOAD = MTU - 24  # header and tag of the packet, header of the segment
HEADER = 7
ROOM = MTU - 17
PLENTY = 1 << 20
FIN = b"\0"


def cost(size: int, mtu: int) -> int:
    """Give the credit that a message costs: its size, and a charge for each of its segments."""
    return size + SEGMENT_CHARGE * -(-size // (mtu - 24))


def opened(*messages: bytes, credit: int = PLENTY, limits: Limits | None = None) -> Outbox:
    """Give an outbox that may send, with messages of refs 0, 1, ... that are due at 10, 11, ..."""
    outbox = Outbox(limits or Limits())
    outbox.open(MTU, credit)
    put(outbox, *messages)
    return outbox


def put(outbox: Outbox, *messages: bytes) -> None:
    for ref, message in enumerate(messages):
        outbox.check(message)
        outbox.put(message, ref, 10.0 + ref)


def accepted(outbox: Outbox, message: bytes) -> int:
    """Queue a message again and again until that blocks; tell how often it could be done."""
    for count in range(1000):
        try:
            outbox.check(message)
        except WouldBlock:
            return count
        outbox.put(message, None, 10.0)
    raise AssertionError("the queue never blocks")


def fill(outbox: Outbox, room: int = ROOM) -> tuple[list[Segment], list[Outgoing]]:
    """Give what goes into a packet, as the peer sees it and as the outbox does."""
    parts: list[bytes] = []
    carried = outbox.fill(parts, room)
    assert sum(map(len, parts)) <= room
    return decode(parts), carried


def decode(parts: list[bytes]) -> list[Segment]:
    frames = decode_frames(b"".join(parts), 0) if parts else []
    return [frame for frame in frames if isinstance(frame, Segment)]


def packets(outbox: Outbox, room: int = ROOM) -> list[list[Segment]]:
    """Fill packets until there is nothing more to send."""
    filled = []
    while segments := fill(outbox, room)[0]:
        filled.append(segments)
    return filled


def flat(filled: list[list[Segment]]) -> list[Segment]:
    return [segment for segments in filled for segment in segments]


def numbers(segments: list[Segment]) -> list[int]:
    return [segment.number for segment in segments]


def refs(messages: list[Pending]) -> list[int | None]:
    return [message.ref for message in messages]


# Segments


def test_a_message_that_fits_is_one_segment() -> None:
    ((segment,),) = packets(opened(b"hello"))
    assert segment == Segment(0, b"hello", last=True)


@pytest.mark.parametrize(
    ("size", "pieces"),
    [
        (PAYLOAD, [PAYLOAD]),
        (PAYLOAD + 1, [PAYLOAD, 1]),
        (2 * PAYLOAD, [PAYLOAD, PAYLOAD]),
        (2 * PAYLOAD + 1, [PAYLOAD, PAYLOAD, 1]),
    ],
)
def test_a_longer_message_is_cut_into_full_segments_and_a_rest(
    size: int, pieces: list[int]
) -> None:
    segments = flat(packets(opened(bytes(size))))
    assert [len(segment.data) for segment in segments] == pieces
    assert [segment.last for segment in segments] == [False] * (len(pieces) - 1) + [True]


@pytest.mark.spec("P-2", "D-5")
@given(
    st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=12),
    st.integers(64, 200),
    st.integers(0, 29),
)
def test_all_that_is_put_in_comes_out_in_order_without_gaps(
    messages: list[bytes], mtu: int, taken_by_others: int
) -> None:
    outbox = Outbox(Limits())
    outbox.open(mtu, PLENTY)
    put(outbox, *messages)
    full = mtu - 17
    segments: list[Segment] = []
    while outbox.has_more:
        filled = fill(outbox, full - taken_by_others)[0] or fill(outbox, full)[0]
        assert filled
        segments += filled
    assert numbers(segments) == list(range(len(segments)))
    assert outbox.next_number == len(segments)
    rebuilt, message = [], b""
    for segment in segments:
        message += segment.data
        if segment.last:
            rebuilt.append(message)
            message = b""
    assert rebuilt == messages


def test_messages_that_wait_share_a_packet_as_far_as_they_fit() -> None:
    outbox = opened(bytes(20), bytes(20), bytes(20), bytes(20))
    assert numbers(fill(outbox, 3 * (HEADER + 20))[0]) == [0, 1, 2]
    assert outbox.has_more
    assert numbers(fill(outbox, 3 * (HEADER + 20))[0]) == [3]
    assert not outbox.has_more


def test_what_does_not_fit_the_rest_of_a_packet_waits_for_the_next() -> None:
    outbox = opened(bytes(20), bytes(21), b"x")
    assert numbers(fill(outbox, 2 * HEADER + 40)[0]) == [0]
    assert numbers(fill(outbox, 2 * HEADER + 40)[0]) == [1, 2]


def test_an_outbox_that_was_not_opened_keeps_what_it_is_given() -> None:
    outbox = Outbox(Limits())
    outbox.put(b"early", 0, 10.0)
    assert outbox.has_more
    assert not outbox.is_empty
    assert outbox.open(MTU, PLENTY) == []
    assert packets(outbox) == [[Segment(0, b"early", last=True)]]


# Credit


@pytest.mark.spec("D-12")
def test_a_segment_costs_its_length_and_64() -> None:
    enough = 2 * (10 + SEGMENT_CHARGE)
    assert numbers(fill(opened(bytes(10), bytes(10), credit=enough))[0]) == [0, 1]
    assert numbers(fill(opened(bytes(10), bytes(10), credit=enough - 1))[0]) == [0]


@pytest.mark.spec("D-12")
@given(
    st.lists(st.integers(1, 200), min_size=1, max_size=20),
    st.lists(st.integers(0, 6000), max_size=10),
)
def test_the_credit_is_never_overdrawn_and_is_used_as_far_as_it_goes(
    sizes: list[int], grants: list[int]
) -> None:
    outbox = opened(*map(bytes, sizes), credit=1024)
    granted = 1024
    sent: list[Segment] = []
    for grant in [0, *grants]:
        outbox.grant(grant)
        granted = max(granted, grant)
        sent += flat(packets(outbox))
        spent = sum(len(segment.data) + SEGMENT_CHARGE for segment in sent)
        assert outbox.spent == spent <= granted
        assert not outbox.has_more or spent + PAYLOAD + SEGMENT_CHARGE > granted


def test_an_older_and_smaller_grant_changes_nothing() -> None:
    outbox = opened(bytes(10), credit=1024)
    outbox.grant(5000)
    outbox.grant(2000)
    assert outbox.credit == 5000


@pytest.mark.spec("D-12")
def test_fin_and_bye_go_beyond_the_credit_and_other_messages_do_not() -> None:
    outbox = opened(bytes(70), credit=70 + SEGMENT_CHARGE)
    outbox.put_reserved(FIN)
    outbox.put_reserved(b"\1\0" + bytes(120))
    segments = flat(packets(outbox))
    assert [len(segment.data) for segment in segments] == [70, 1, PAYLOAD, 122 - PAYLOAD]


def test_fin_does_not_overtake_what_waits_for_credit() -> None:
    outbox = opened(bytes(70), bytes(70), credit=70 + SEGMENT_CHARGE)
    outbox.put_reserved(FIN)
    assert numbers(flat(packets(outbox))) == [0]
    outbox.grant(2 * (70 + SEGMENT_CHARGE))
    assert numbers(flat(packets(outbox))) == [1, 2]


def test_what_is_sent_again_costs_nothing() -> None:
    outbox = opened(bytes(70), credit=70 + SEGMENT_CHARGE)
    _, carried = fill(outbox)
    outbox.lost(carried)
    assert numbers(fill(outbox)[0]) == [0]
    assert outbox.spent == 70 + SEGMENT_CHARGE


# Sending again


@pytest.mark.spec("D-6")
def test_lost_segments_are_sent_again_in_their_order_and_before_new_ones() -> None:
    outbox = opened(*[bytes(30)] * 6)
    carried = [fill(outbox, HEADER + 30)[1] for _ in range(4)]
    assert outbox.lost(carried[3]) == 1
    assert outbox.lost(carried[1]) == 1
    assert outbox.lost(carried[2]) == 1
    assert outbox.has_more
    assert [numbers(packet) for packet in packets(outbox)] == [[1, 2], [3, 4], [5]]


@pytest.mark.spec("D-5")
def test_a_segment_that_is_sent_again_is_the_same() -> None:
    outbox = opened(bytes(range(70)))
    first, carried = fill(outbox)
    outbox.lost(carried)
    assert fill(outbox)[0] == first


def test_a_lost_segment_that_does_not_fit_holds_new_ones_up() -> None:
    outbox = opened(bytes(60), b"x")
    outbox.lost(fill(outbox, HEADER + 60)[1])
    assert fill(outbox, 30) == ([], [])
    assert numbers(fill(outbox)[0]) == [0, 1]


@pytest.mark.spec("D-6")
def test_a_segment_that_another_packet_carries_is_not_sent_again() -> None:
    outbox = opened(b"hello")
    _, first = fill(outbox)
    again = outbox.fill_oldest([], ROOM, 0)
    assert outbox.lost(first) == 0
    assert not outbox.has_more
    assert outbox.lost(again) == 1
    assert numbers(fill(outbox)[0]) == [0]


@pytest.mark.spec("D-6")
def test_a_segment_that_has_arrived_is_not_sent_again() -> None:
    outbox = opened(b"hello")
    _, first = fill(outbox)
    again = outbox.fill_oldest([], ROOM, 0)
    outbox.acknowledged(again)
    assert outbox.lost(first) == 0
    assert not outbox.has_more
    assert outbox.fill_oldest([], ROOM, 0) == []
    assert not outbox.is_empty


def test_a_segment_that_was_delivered_need_not_be_acknowledged_too() -> None:
    outbox = opened(b"one")
    _, carried = fill(outbox)
    outbox.deliver(1)
    assert outbox.lost(carried) == 0
    assert not outbox.has_more


def test_a_lost_segment_that_just_fits_is_sent_again() -> None:
    outbox = opened(bytes(60))
    outbox.lost(fill(outbox)[1])
    assert numbers(fill(outbox, HEADER + 60)[0]) == [0]


def test_a_segment_that_was_delivered_while_it_waited_is_not_sent_again() -> None:
    outbox = opened(b"one", b"two")
    _, carried = fill(outbox)
    outbox.lost(carried)
    outbox.deliver(1)
    assert numbers(fill(outbox)[0]) == [1]
    assert not outbox.has_more


# Copies, for probes and as a precaution


@pytest.mark.spec("D-9")
def test_probes_repeat_the_oldest_segments_that_have_not_arrived() -> None:
    outbox = opened(*[bytes(30)] * 5)
    carried = [fill(outbox, HEADER + 30)[1] for _ in range(4)]
    outbox.acknowledged(carried[1])

    def probe(skip: int) -> list[int]:
        parts: list[bytes] = []
        taken = outbox.fill_oldest(parts, 2 * (HEADER + 30), skip)
        assert numbers(decode(parts)) == [segment.number for segment in taken]
        return numbers(decode(parts))

    assert probe(0) == [0, 2]
    assert probe(2) == [3]
    # No more than that are waiting, so it begins again.
    assert probe(3) == [0, 2]


def test_a_probe_takes_no_segment_that_was_never_sent() -> None:
    outbox = opened(b"hello")
    assert outbox.fill_oldest([], ROOM, 0) == []


def bundle(outbox: Outbox, before: int, room: int = 1000) -> list[int]:
    parts: list[bytes] = []
    taken = outbox.bundle(parts, room, before)
    assert sum(map(len, parts)) <= room
    assert [segment.number for segment in taken] == numbers(decode(parts))
    return numbers(decode(parts))


def test_a_bundle_has_the_four_latest_segments_before_one_that_have_not_arrived() -> None:
    outbox = opened(*[bytes(30)] * 8)
    carried = [fill(outbox, HEADER + 30)[1] for _ in range(8)]
    assert bundle(outbox, 7) == [6, 5, 4, 3]
    outbox.acknowledged(carried[5])
    assert bundle(outbox, 7) == [6, 4, 3]
    outbox.deliver(4)
    assert bundle(outbox, 7) == [6, 4]
    assert bundle(outbox, 0) == []
    assert bundle(outbox, 7, HEADER + 30) == [6]
    assert bundle(outbox, 7, HEADER + 29) == []


def test_a_segment_is_bundled_four_times_and_no_more() -> None:
    outbox = opened(b"a", b"b")
    fill(outbox)
    assert [bundle(outbox, 1) for _ in range(6)] == [[0]] * 4 + [[]] * 2


@pytest.mark.spec("D-6")
def test_a_bundled_segment_is_not_sent_again_while_its_copy_is_under_way() -> None:
    outbox = opened(b"a", b"b")
    _, first = fill(outbox, HEADER + 1)
    copy = outbox.bundle([], ROOM, 1)
    assert outbox.lost(first) == 0
    assert outbox.lost(copy) == 1
    assert numbers(fill(outbox)[0]) == [0, 1]


# Outcome


@pytest.mark.spec("D-7")
def test_a_message_is_delivered_when_its_last_segment_was_handed_over() -> None:
    outbox = opened(b"one", bytes(2 * PAYLOAD), b"three")
    packets(outbox)
    assert refs(outbox.deliver(1)) == [0]
    assert refs(outbox.deliver(2)) == []
    assert outbox.delivered == 2
    assert refs(outbox.deliver(4)) == [1, 2]
    assert outbox.is_empty


def test_a_message_that_has_arrived_is_not_delivered_yet() -> None:
    outbox = opened(b"one")
    _, carried = fill(outbox)
    outbox.acknowledged(carried)
    assert not outbox.is_empty
    assert refs(list(outbox.undelivered)) == [0]


@pytest.mark.spec("D-4")
def test_no_more_can_be_wanted_than_was_sent() -> None:
    outbox = opened(bytes(3 * PAYLOAD), b"next")
    assert outbox.wanted_bound == 0
    fill(outbox)
    assert outbox.wanted_bound == 1
    packets(outbox)
    assert outbox.wanted_bound == 4


def test_an_outbox_is_flushed_when_only_fin_and_bye_are_left() -> None:
    outbox = opened(b"one")
    outbox.put_reserved(FIN)
    packets(outbox)
    assert (outbox.is_flushed, outbox.is_empty) == (False, False)
    outbox.deliver(1)
    assert (outbox.is_flushed, outbox.is_empty) == (True, False)
    assert refs(outbox.deliver(2)) == [None]
    assert (outbox.is_flushed, outbox.is_empty) == (True, True)


@pytest.mark.spec("L-4")
def test_a_message_is_overdue_once_and_only_while_it_is_not_delivered() -> None:
    outbox = opened(b"zero", b"one", b"two")
    packets(outbox)
    assert outbox.overdue_at == 10.0
    assert outbox.take_overdue(9.75) == []
    outbox.deliver(1)
    assert outbox.overdue_at == 11.0
    assert refs(outbox.take_overdue(11.0)) == [1]
    assert outbox.take_overdue(11.0) == []
    assert refs(outbox.deliver(2)) == [1]
    assert refs(outbox.take_overdue(100.0)) == [2]
    assert outbox.overdue_at == float("inf")


@pytest.mark.spec("L-4")
def test_a_message_that_was_never_sent_becomes_overdue_too() -> None:
    outbox = Outbox(Limits())
    outbox.put(b"early", 5, 3.0)
    assert refs(outbox.take_overdue(3.0)) == [5]


def test_messages_of_which_nobody_wants_to_hear_are_never_overdue() -> None:
    outbox = opened()
    outbox.put(b"quiet", None, 1.0)
    outbox.put_reserved(FIN)
    assert outbox.overdue_at == float("inf")
    assert outbox.take_overdue(1e9) == []


# What a program may queue


@pytest.mark.parametrize("size", [0, MAX_MESSAGE + 1])
def test_a_message_has_1_to_65536_bytes(size: int) -> None:
    outbox = opened()
    with pytest.raises(UsageError):
        outbox.check(bytes(size))
    outbox.check(b"x")
    outbox.check(bytes(MAX_MESSAGE))


@pytest.mark.spec("D-13")
def test_a_message_must_fit_the_window_of_the_peer() -> None:
    # Two segments.
    fitting = 2 * PAYLOAD
    outbox = opened(credit=fitting + 2 * SEGMENT_CHARGE)
    outbox.check(bytes(fitting))
    with pytest.raises(UsageError):
        outbox.check(bytes(fitting + 1))
    outbox.grant(PLENTY)
    with pytest.raises(UsageError):
        outbox.check(bytes(fitting + 1))


@pytest.mark.spec("D-13")
@given(st.integers(1024, 5000), st.integers(64, 3000))
def test_the_largest_message_is_the_largest_whose_segments_the_window_can_take(
    credit: int, mtu: int
) -> None:
    outbox = Outbox(Limits())
    outbox.open(mtu, credit)
    fitting = [size for size in range(1, credit + 1) if cost(size, mtu) <= credit]
    outbox.check(bytes(fitting[-1]))
    with pytest.raises(UsageError):
        outbox.check(bytes(fitting[-1] + 1))


@pytest.mark.spec("D-13")
def test_opening_gives_back_what_is_too_large_for_the_peer_and_keeps_the_rest() -> None:
    outbox = Outbox(Limits(queue_messages=4))
    sizes = [10, 5000, 20, 6000]
    for ref, size in enumerate(sizes):
        outbox.check(bytes(size))
        outbox.put(bytes(size), ref, 10.0 + ref)
    with pytest.raises(WouldBlock):
        outbox.check(b"x")
    assert refs(outbox.open(MTU, 2000)) == [1, 3]
    assert refs(list(outbox.undelivered)) == [0, 2]
    assert outbox.take_writable()
    outbox.check(b"x")
    assert [segment.data for segment in fill(outbox)[0]] == [bytes(10), bytes(20)]
    assert refs(outbox.take_overdue(1e9)) == [0, 2]
    assert refs(outbox.deliver(2)) == [0, 2]


@pytest.mark.spec("D-13")
def test_opening_keeps_what_just_fits_the_window_of_the_peer() -> None:
    outbox = Outbox(Limits())
    put(outbox, bytes(2 * PAYLOAD), bytes(2 * PAYLOAD + 1))
    assert refs(outbox.open(MTU, 2 * (PAYLOAD + SEGMENT_CHARGE))) == [1]


def test_what_opening_gives_back_is_no_longer_awaited_nor_in_the_queue() -> None:
    outbox = Outbox(Limits(queue_messages=4, queue_bytes=10_000))
    put(outbox, bytes(5000), bytes(10), bytes(4000))
    assert outbox.overdue_at == 10.0
    outbox.open(MTU, 2000)
    assert outbox.overdue_at == 11.0
    assert accepted(outbox, bytes(1000)) == 3


def test_opening_gives_back_a_message_that_was_overdue_too() -> None:
    outbox = Outbox(Limits())
    put(outbox, bytes(10), bytes(5000))
    outbox.take_overdue(100.0)
    assert refs(outbox.open(MTU, 2000)) == [1]
    assert refs(list(outbox.undelivered)) == [0]


def test_the_queue_takes_so_many_messages_and_then_blocks() -> None:
    outbox = opened(*[b"x"] * 4, limits=Limits(queue_messages=4))
    before = outbox.key(0.0)
    with pytest.raises(WouldBlock):
        outbox.check(b"x")
    assert outbox.blocked
    outbox.blocked = False
    assert outbox.key(0.0) == before


def test_the_queue_takes_so_many_bytes_and_then_blocks() -> None:
    outbox = opened(bytes(60), limits=Limits(queue_bytes=100))
    outbox.check(bytes(40))
    with pytest.raises(WouldBlock):
        outbox.check(bytes(41))


def test_a_queue_that_has_drained_takes_as_much_as_before() -> None:
    for limits, count in (
        (Limits(queue_messages=4), 4),
        (Limits(queue_bytes=100), 3),
        (Limits(queue_bytes=90), 3),
    ):
        outbox = opened(limits=limits)
        for _ in range(4):
            assert accepted(outbox, bytes(30)) == count
            packets(outbox)


def test_one_message_is_taken_however_small_the_queue_is() -> None:
    outbox = opened(limits=Limits(queue_bytes=1, queue_messages=1))
    outbox.check(bytes(5000))
    put(outbox, bytes(5000))
    with pytest.raises(WouldBlock):
        outbox.check(b"x")


def test_a_queue_that_was_full_is_writable_once_when_it_has_drained_to_half() -> None:
    outbox = opened(*[bytes(30)] * 4, limits=Limits(queue_messages=4))
    with pytest.raises(WouldBlock):
        outbox.check(b"x")
    seen = []
    for _ in range(4):
        seen.append(outbox.take_writable())
        fill(outbox, HEADER + 30)
    # The next message leaves the queue as soon as it is cut up, one before it is sent.
    assert seen.count(True) == 1
    assert seen.index(True) in {1, 2}
    assert not outbox.take_writable()


def test_a_queue_that_is_full_of_bytes_is_writable_at_half_of_them() -> None:
    outbox = opened(bytes(60), bytes(60), b"x", limits=Limits(queue_bytes=130))
    with pytest.raises(WouldBlock):
        outbox.check(bytes(60))
    assert not outbox.take_writable()
    fill(outbox, HEADER + 60)
    assert outbox.take_writable()


def test_exactly_half_is_half() -> None:
    outbox = opened(*[bytes(30)] * 4, limits=Limits(queue_bytes=120))
    with pytest.raises(WouldBlock):
        outbox.check(b"x")
    # One is sent, and the next is cut up: half of them wait in the queue.
    fill(outbox, HEADER + 30)
    assert outbox.take_writable()


def test_a_queue_that_was_never_full_is_never_said_to_be_writable() -> None:
    outbox = opened(b"one", b"two")
    assert not outbox.take_writable()
    packets(outbox)
    assert not outbox.take_writable()


# Taking over


@pytest.mark.spec("H-20")
def test_the_queue_of_an_outbox_that_was_never_opened_can_be_taken_over() -> None:
    call = Outbox(Limits(queue_messages=3))
    for ref, size in enumerate((10, 5000, 20)):
        call.put(bytes((ref,)) * size, ref, 10.0 + ref)
    with pytest.raises(WouldBlock):
        call.check(b"x")
    outbox = opened(credit=2000, limits=Limits(queue_messages=3))
    assert refs(outbox.take_over(call)) == [1]
    assert [segment.data for segment in fill(outbox)[0]] == [bytes(10), b"\2" * 20]
    assert outbox.take_writable()
    assert refs(outbox.take_overdue(100.0)) == [0, 2]
    assert refs(outbox.deliver(2)) == [0, 2]
    assert outbox.is_empty


# Both halves together


script_steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["send", "send", "lose", "arrive", "arrive", "ack", "probe", "bundle", "pause", "old"]
        ),
        st.integers(0, 7),
    ),
    max_size=120,
)


@pytest.mark.smoke
@pytest.mark.spec("D-6", "D-7", "D-12", "D-15")
@settings(max_examples=300)
@given(
    st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=12),
    st.integers(64, 150),
    st.integers(1024, 3000),
    script_steps,
)
def test_whatever_the_wire_does_each_message_arrives_once_in_order_and_is_then_delivered(
    messages: list[bytes], mtu: int, window: int, script: list[tuple[str, int]]
) -> None:
    outbox, inbox = Outbox(Limits()), Inbox(window)
    outbox.open(mtu, window)
    sent = [message for message in messages if cost(len(message), mtu) <= window]
    put(outbox, *sent)
    outbox.put_reserved(FIN)
    flight: list[tuple[list[Segment], list[Outgoing]]] = []
    arrived: list[Outgoing] = []
    old_acks: list[tuple[int, int]] = []
    received: list[bytes] = []
    delivered: list[int | None] = []

    def launch(parts: list[bytes], carried: list[Outgoing]) -> None:
        if carried:
            flight.append((decode(parts), carried))

    def hear(wanted: int, credit: int) -> None:
        assert wanted <= outbox.wanted_bound
        outbox.grant(credit)
        if wanted > outbox.delivered:
            delivered.extend(refs(outbox.deliver(wanted)))
        # Only what the peer's program has is delivered, and in order.
        assert delivered == [*range(len(sent)), None][: len(delivered)]
        assert len(delivered) <= len(received)

    def step(what: str, choice: int) -> None:
        parts: list[bytes] = []
        if what == "send":
            carried = outbox.fill(parts, mtu - 17)
            if carried and choice % 2:
                room = mtu - 17 - sum(map(len, parts))
                carried += outbox.bundle(parts, room, carried[0].number)
            launch(parts, carried)
        elif what == "probe":
            launch(parts, outbox.fill_oldest(parts, mtu - 17, choice))
        elif what == "lose" and flight:
            outbox.lost(flight.pop(choice % len(flight))[1])
        elif what == "arrive" and flight:
            segments, carried = flight.pop(choice % len(flight))
            for segment in segments:
                if not inbox.has(segment.number):
                    assert inbox.receive(segment, received) is None
            arrived.extend(carried)
        elif what == "ack":
            outbox.acknowledged(arrived)
            arrived.clear()
            hear(inbox.wanted, inbox.credit)
            old_acks.append((inbox.wanted, inbox.credit))
        elif what == "old" and old_acks:
            hear(*old_acks[choice % len(old_acks)])
        elif what == "pause" and not inbox.paused:
            inbox.pause()
        elif what == "pause":
            received.extend(inbox.resume())

    for what, choice in script:
        step(what, choice)
        assert received == [*sent, FIN][: len(received)]
    received += inbox.resume()
    for _ in range(1000):
        if outbox.is_empty:
            break
        for what in ("send", "arrive", "ack"):
            step(what, 0)
    assert received == [*sent, FIN]
    assert delivered == [*range(len(sent)), None]
    assert not outbox.has_more

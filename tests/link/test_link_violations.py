"""A peer that breaks the rules: the link ends with the reason, and nothing is lost that was right.

The bad packets are made by hand, with the ids and numbers of a live link between real endpoints.
"""

from __future__ import annotations

import pytest
from pairs import DELAY, A, B, Pair, message

from palaver import (
    Closed,
    Delivered,
    Event,
    Finish,
    Finished,
    Leave,
    Limits,
    Opened,
    Pause,
    Reason,
    Received,
    Side,
    Undelivered,
)
from palaver.link.states import State
from palaver.timing import CREDIT_RESERVE, MAX_MESSAGE, SEGMENT_CHARGE
from palaver.wire.frames import (
    Ack,
    Close,
    Frame,
    PathResponse,
    Ping,
    Segment,
    Unknown,
)
from palaver.wire.messages import Bye
from palaver.wire.packets import Kind, Refuse
from palaver.wire.sealing import CLEAR

FIN = b"\x00"
BYE = Bye().encode()
FAR = 1 << 31


def segment(number: int, data: bytes) -> Segment:
    return Segment(number, data, last=True)


MALFORMED: dict[str, bytes] = {
    "a type that does not exist": b"\x00\x00\x00",
    "an unknown type below 128": b"\x08\x00\x00",
    "the highest unknown type below 128": b"\x7f\x00\x01x",
    "a frame cut off in its header": b"\x04\x00",
    "a frame cut off in its body": b"\x80\x00\x05abcd",
    "a segment without data": b"\x01\x00\x04\x00\x00\x00\x00",
    "a segment that is too short": b"\x01\x00\x03\x00\x00\x00",
    "a segment cut off": b"\x01\x00\x09\x00\x00\x00\x00\x10abc",
    "a fragment without data": b"\x02\x00\x04\x00\x00\x00\x00",
    "an ack that is too short": b"\x03\x00\x19" + bytes(25),
    "an ack that is too long": b"\x03\x00\x1b" + bytes(27),
    "an ack of a packet below 0": Ack(0, 0, 1, 0, 0).encode(),
    "a ping with a body": b"\x04\x00\x01x",
    "a short path token": b"\x05\x00\x07" + bytes(7),
    "a long path token": b"\x06\x00\x09" + bytes(9),
    "a close that is too short": b"\x07\x00\x04" + bytes(4),
    "a close with text that is none": b"\x07\x00\x06" + bytes(5) + b"\xff",
}


def test_the_bad_frames_are_refused_by_a_callee_that_has_just_welcomed_too() -> None:
    pair = Pair().call()
    pair.wire.lose = lambda flight: flight.kind is Kind.DATA and flight.source == A
    pair.wire.run(0.1)
    assert pair.b.state is State.WELCOMED
    told = pair.wire.inject(pair.a.forge(b"\x7f\x00\x00"), A, B)
    assert told == [
        Opened(1, None, A, "test"),
        Closed(1, None, Reason.PROTOCOL_ERROR, Side.LOCAL),
    ]


@pytest.mark.smoke
@pytest.mark.parametrize("frames", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("company", [False, True])
def test_a_malformed_packet_has_no_effect_but_that_it_ends_the_link(
    frames: bytes, company: bool
) -> None:
    pair = Pair().open()
    pair.a.send(b"before", ref=1)
    pair.wire.run(1)
    good = [segment(1, message(b"in the same packet"))] if company else []
    told = pair.wire.inject(pair.a.forge(*good, Ping(), frames), A, B)
    assert told == [Closed(1, None, Reason.PROTOCOL_ERROR, Side.LOCAL)]
    assert pair.b.received == [b"before"]
    pair.wire.run(DELAY)
    assert pair.a.closed == Closed(1, 0, Reason.PROTOCOL_ERROR, Side.PEER)
    assert pair.a.machine.is_idle
    assert pair.b.machine.is_idle


@pytest.mark.spec("P-6", "F-1")
def test_a_packet_without_frames_ends_the_link() -> None:
    pair = Pair().open()
    told = pair.wire.inject(pair.a.forge(), A, B)
    assert told == [Closed(1, None, Reason.PROTOCOL_ERROR, Side.LOCAL)]


BROKEN: dict[str, tuple[tuple[Frame, ...], Reason]] = {
    "an ack of a packet that was not sent": (
        (Ack(0, 1000, 0, 0, 262144),),
        Reason.PROTOCOL_ERROR,
    ),
    "an ack that wants what was not sent": (
        (Ack(1000, 0, 0, 0, 262144),),
        Reason.PROTOCOL_ERROR,
    ),
    "a message after fin": (
        (segment(1, FIN), segment(2, message(b"late"))),
        Reason.PROTOCOL_ERROR,
    ),
    "a second fin": ((segment(1, FIN), segment(2, FIN)), Reason.PROTOCOL_ERROR),
    "a fin with a body": ((segment(1, FIN + b"x"),), Reason.PROTOCOL_ERROR),
    "a bye that is too short": ((segment(1, b"\x01"),), Reason.PROTOCOL_ERROR),
    "a bye that is too long": (
        (segment(1, b"\x01\x00" + b"x" * 121),),
        Reason.PROTOCOL_ERROR,
    ),
    "a bye with text that is none": (
        (segment(1, b"\x01\x00\xff"),),
        Reason.PROTOCOL_ERROR,
    ),
    "kind 2 of the link": ((segment(1, b"\x02"),), Reason.UNSUPPORTED),
    "kind 15 of the link": ((segment(1, b"\x0fxyz"),), Reason.UNSUPPORTED),
    "more than the credit": (
        (segment(FAR, bytes(900)),),
        Reason.CREDIT_EXCEEDED,
    ),
}


@pytest.mark.smoke
@pytest.mark.parametrize(("frames", "reason"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("with_unacked", [False, True])
@pytest.mark.spec("M-1", "M-3")
def test_a_broken_rule_ends_the_link_for_both_with_its_reason(
    frames: tuple[Frame, ...], reason: Reason, with_unacked: bool
) -> None:
    pair = Pair(limits_b=Limits(window=1024)).open()
    pair.a.send(b"before", ref=1)
    pair.wire.run(1)
    pair.wire.lose_from(B)
    if with_unacked:
        pair.b.send(b"unacked", ref=5)
    pair.wire.lose_from()
    if reason is Reason.CREDIT_EXCEEDED:
        pair.wire.inject(pair.a.forge(segment(FAR + 7, bytes(900))), A, B)
        assert pair.b.state is State.OPEN
    packet = pair.a.forge(*frames)
    told = pair.wire.inject(packet, A, B)
    undelivered = [Undelivered(1, 5, reason)] if with_unacked else []
    closed = Closed(1, None, reason, Side.LOCAL)
    assert [one for one in told if not isinstance(one, Finished)] == [*undelivered, closed]
    assert pair.b.received == [b"before"]
    pair.wire.run(DELAY)
    assert pair.a.closed == Closed(1, 0, reason, Side.PEER)


@pytest.mark.spec("F-3")
def test_what_stands_before_the_broken_rule_in_the_same_packet_counts() -> None:
    pair = Pair().open()
    pair.wire.lose_from(B)
    pair.b.send(b"mine", ref=5)
    newest = pair.b.link.channel.number - 1
    packet = pair.a.forge(
        Ack(1, newest, 0, 0, 262144),
        segment(0, message(b"first")),
        segment(1, message(b"second")),
        segment(2, b"\x05"),
        segment(3, message(b"after")),
    )
    told = pair.wire.inject(packet, A, B)
    assert told == [
        Delivered(1, 5),
        Received(1, message(b"first")),
        Received(1, message(b"second")),
        Closed(1, None, Reason.UNSUPPORTED, Side.LOCAL),
    ]


def test_what_follows_a_broken_rule_is_not_settled_as_delivered() -> None:
    pair = Pair().open()
    packet = pair.a.forge(
        segment(0, message(b"good")), segment(1, b"\x05"), segment(2, message(b"after"))
    )
    pair.wire.inject(packet, A, B)
    assert pair.b.received == [b"good"]
    (close,) = pair.wire.flights[-1].frames
    assert isinstance(close, Close)
    assert close.wanted in {1, 2}


@pytest.mark.spec("F-3")
def test_frames_after_a_broken_rule_have_no_effect() -> None:
    pair = Pair().open()
    packet = pair.a.forge(
        segment(0, message(b"first")), Ack(99, 0, 0, 0, 0), segment(1, message(b"second"))
    )
    told = pair.wire.inject(packet, A, B)
    assert told == [
        Received(1, message(b"first")),
        Closed(1, None, Reason.PROTOCOL_ERROR, Side.LOCAL),
    ]


def test_segments_that_complete_a_bad_message_are_judged_in_order() -> None:
    pair = Pair().open()
    pair.wire.inject(pair.a.forge(segment(1, b"\x03"), segment(2, message(b"after"))), A, B)
    assert pair.b.state is State.OPEN
    told = pair.wire.inject(pair.a.forge(segment(0, message(b"before"))), A, B)
    assert told == [
        Received(1, message(b"before")),
        Closed(1, None, Reason.UNSUPPORTED, Side.LOCAL),
    ]


@pytest.mark.parametrize("size", [MAX_MESSAGE, MAX_MESSAGE + 1])
def test_a_message_may_have_65536_bytes_and_not_one_more(size: int) -> None:
    pair = Pair().open()
    data = bytes((16,)) * size
    pieces = [data[start : start + 1000] for start in range(0, size, 1000)]
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        pair.wire.inject(pair.a.forge(Segment(number, piece, last=last)), A, B)
    if size == MAX_MESSAGE:
        assert pair.b.notices(Received) == [Received(1, data)]
        assert pair.b.state is State.OPEN
    else:
        assert pair.b.received == []
        assert pair.b.closed == Closed(1, None, Reason.PROTOCOL_ERROR, Side.LOCAL)


def test_a_message_that_never_ends_is_stopped_by_its_size() -> None:
    pair = Pair().open()
    number = 0
    while pair.b.closed is None and number < 200:
        pair.wire.inject(pair.a.forge(Segment(number, bytes(1000), last=False)), A, B)
        number += 1
    assert number == 66
    assert pair.b.closed == Closed(1, None, Reason.PROTOCOL_ERROR, Side.LOCAL)


@pytest.mark.parametrize("beyond", [0, 1])
def test_an_ack_may_name_the_newest_packet_and_none_beyond(beyond: int) -> None:
    pair = Pair().open()
    pair.wire.lose_from(A)
    pair.a.send(b"x", ref=1)
    newest = pair.a.link.channel.number - 1
    pair.wire.inject(pair.b.forge(Ack(0, newest + beyond, 0, 0, 262144)), B, A)
    assert (pair.a.closed is not None) == bool(beyond)


@pytest.mark.parametrize("beyond", [0, 1])
def test_an_ack_may_want_the_segment_after_the_last_and_none_beyond(beyond: int) -> None:
    pair = Pair().open()
    pair.wire.lose_from(A)
    pair.a.send(b"x", b"y", ref=1)
    newest = pair.a.link.channel.number - 1
    pair.wire.inject(pair.b.forge(Ack(2 + beyond, newest, 0, 0, 262144)), B, A)
    assert pair.a.delivered == ([] if beyond else [1, 2])
    assert (pair.a.closed is not None) == bool(beyond)


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("beyond", [0, 1])
def test_the_bound_on_what_is_held_is_exact(early: bool, beyond: int) -> None:
    window = 2048
    pair = Pair(limits_b=Limits(window=window)).open()
    pair.b.tell(Pause(1))
    first = 1 if early else 0
    most = window + CREDIT_RESERVE
    whole, size = divmod(most, 500 + SEGMENT_CHARGE)
    sizes = [500] * whole + [size - SEGMENT_CHARGE + beyond]
    for number, size in enumerate(sizes, first):
        pair.wire.inject(pair.a.forge(segment(number, bytes((16,)) * size)), A, B)
    if not beyond:
        assert pair.b.is_in(State.OPEN)
        return
    assert pair.b.closed is not None
    assert pair.b.closed.reason == Reason.CREDIT_EXCEEDED
    # What was complete and in order is handed over all the same.
    assert len(pair.b.received) == (0 if early else whole)


@pytest.mark.parametrize("after", [FIN, BYE, message(b"x"), message(b"x", 200)])
@pytest.mark.spec("M-4")
def test_nothing_may_follow_a_goodbye(after: bytes) -> None:
    pair = Pair().open()
    pair.wire.lose_from(B)
    pair.b.send(b"unacked", ref=1)  # so that it stays in ANSWERING
    packet = pair.a.forge(segment(0, message(b"x")), segment(1, BYE), segment(2, after))
    told = pair.wire.inject(packet, A, B)
    assert told == [
        Received(1, message(b"x")),
        Undelivered(1, 1, Reason.PROTOCOL_ERROR),
        Closed(1, None, Reason.PROTOCOL_ERROR, Side.LOCAL),
    ]


def test_what_follows_a_goodbye_after_the_end_ends_the_lingering_silently() -> None:
    pair = Pair().open()
    pair.wire.lose_from(B)
    pair.wire.inject(pair.a.forge(segment(0, BYE)), A, B)
    assert pair.b.state is State.LAST_ACK
    assert pair.wire.inject(pair.a.forge(segment(1, message())), A, B) == []
    assert pair.b.machine.is_idle
    assert pair.b.closed == Closed(1, None, Reason.LEFT, Side.PEER)


@pytest.mark.parametrize("state", [State.CLOSING, State.ANSWERING])
def test_a_broken_rule_ends_a_link_that_is_closing(state: State) -> None:
    pair = Pair().open()
    pair.wire.lose_from(A, B)
    if state is State.CLOSING:
        pair.b.send(b"x", ref=1)
        pair.b.tell(Leave(1))
    else:
        pair.b.send(b"x", ref=1)
        pair.wire.inject(pair.a.forge(segment(0, BYE)), A, B)
    assert pair.b.state is state
    told = pair.wire.inject(pair.a.forge(b"\x7f\x00\x00"), A, B)
    assert told == [
        Undelivered(1, 1, Reason.PROTOCOL_ERROR),
        Closed(1, None, Reason.PROTOCOL_ERROR, Side.LOCAL),
    ]


# What is unusual and right


@pytest.mark.parametrize(
    "frame",
    [
        Unknown(0x80, b""),
        Unknown(0xFF, b"something of tomorrow"),
        PathResponse(b"12345678"),
        Ping(),
    ],
    ids=["80", "ff", "response", "ping"],
)
def test_a_frame_that_may_be_skipped_is_acknowledged_and_skipped(frame: Frame) -> None:
    pair = Pair().open()
    pair.wire.lose_from(B)  # A knows nothing of what is said in its name
    packet = pair.a.forge(frame, segment(0, message(b"x")), frame)
    number = pair.a.link.channel.number - 1
    assert pair.wire.inject(packet, A, B) == [Received(1, message(b"x"))]
    pair.wire.run(1)
    (answer,) = [flight for flight in pair.wire.flights if flight.time > pair.wire.now - 1]
    (only,) = answer.frames
    assert isinstance(only, Ack)
    assert only.newest == number
    # Alone, too.
    sent = len(pair.wire.flights)
    pair.wire.inject(pair.a.forge(frame), A, B)
    pair.wire.run(1)
    assert len(pair.wire.flights) == sent + 1
    assert pair.b.state is State.OPEN


@pytest.mark.parametrize("kind", [16, 127, 128, 255])
def test_all_kinds_of_the_role_reach_the_program(kind: int) -> None:
    pair = Pair().open()
    packet = pair.a.forge(segment(0, message(b"x", kind)))
    assert pair.wire.inject(packet, A, B) == [Received(1, message(b"x", kind))]


def test_old_acks_take_nothing_back() -> None:
    pair = Pair(limits_b=Limits(window=1024)).open()
    for ref in range(5):
        pair.a.send(bytes(500), ref=ref)
        pair.wire.run(1)
    assert pair.a.delivered == list(range(5))
    credit = pair.a.link.channel.outbox.credit
    stale = pair.b.forge(Ack(0, 0, 0, 0, 1024))
    assert pair.wire.inject(stale, B, A) == []
    assert pair.a.link.channel.outbox.credit == credit
    pair.a.send(bytes(500), ref=5)
    pair.wire.run(1)
    assert pair.a.delivered == list(range(6))


def test_a_repeated_segment_is_counted_and_skipped() -> None:
    pair = Pair().open()
    pair.wire.inject(pair.a.forge(segment(0, message(b"x"))), A, B)
    pair.wire.inject(pair.a.forge(segment(0, message(b"x"))), A, B)
    pair.wire.inject(pair.a.forge(segment(2, message(b"z"))), A, B)
    pair.wire.inject(pair.a.forge(segment(2, message(b"z"))), A, B)
    assert pair.b.received == [b"x"]
    assert pair.b.stats["segments_repeated"] == 2
    assert pair.b.link.channel.inbox.has_gap


def test_a_close_that_settles_what_was_never_sent_is_still_a_close() -> None:
    pair = Pair().open()
    told = pair.wire.inject(pair.a.forge(Close(7, 1000, "why not")), A, B)
    assert told == [Closed(1, None, 7, Side.PEER, "why not")]


@pytest.mark.spec("R-1")
@pytest.mark.parametrize("reason", [0, 13, 63, 128, 200, 255])
def test_a_reason_is_taken_as_it_comes(reason: int) -> None:
    pair = Pair().open()
    assert pair.wire.inject(pair.a.forge(Close(reason, 0)), A, B) == [
        Closed(1, None, reason, Side.PEER)
    ]
    pair = Pair().open()
    told = pair.wire.inject(pair.a.forge(segment(0, Bye(reason, "x").encode())), A, B)
    assert told == [Closed(1, None, reason, Side.PEER, "x")]


@pytest.mark.spec("R-1")
@pytest.mark.parametrize("reason", [64, 66, 127])
def test_a_reason_that_only_one_side_can_find_breaks_the_rules(reason: int) -> None:
    broken = Closed(1, None, Reason.PROTOCOL_ERROR, Side.LOCAL)
    pair = Pair().open()
    assert pair.wire.inject(pair.a.forge(Close(reason, 0)), A, B) == [broken]
    pair = Pair().open()
    assert pair.wire.inject(pair.a.forge(segment(0, Bye(reason).encode())), A, B) == [broken]
    pair = Pair()
    pair.wire.lose_from(A)
    pair.call()
    refuse = CLEAR.seal(Refuse(pair.a.link.local, reason, (1,)).encode())
    assert pair.wire.inject(refuse, B, A) == []
    assert pair.a.stats["malformed"] == 1


@pytest.mark.spec("R-1")
def test_the_text_of_a_reason_is_bounded() -> None:
    fitting, too_long = "x" * 120, "x" * 121
    pair = Pair().open()
    told = pair.wire.inject(pair.a.forge(Close(1, 0, fitting)), A, B)
    assert told == [Closed(1, None, 1, Side.PEER, fitting)]
    pair = Pair().open()
    told = pair.wire.inject(pair.a.forge(Close(1, 0, too_long)), A, B)
    assert told == [Closed(1, None, Reason.PROTOCOL_ERROR, Side.LOCAL)]


@pytest.mark.parametrize("ending", [Leave(1), Finish(1)])
def test_a_peer_that_answers_goodbye_by_fin_first_is_heard_out(ending: Event) -> None:
    pair = Pair().open()
    pair.wire.lose_from(B)
    pair.b.tell(ending)
    told = pair.wire.inject(pair.a.forge(segment(0, message(b"x")), segment(1, FIN)), A, B)
    assert told == [Received(1, message(b"x")), Finished(1)]


def test_acks_that_jump_about_do_not_confuse_the_sender() -> None:
    pair = Pair().open()
    pair.wire.lose_from(A)
    for ref in range(8):
        pair.a.send(bytes(1000), ref=ref)
    numbers = sorted(pair.a.link.channel.recovery.packets)
    # Acks arrive in an odd order, and name odd subsets, some of them twice.
    for newest, earlier in [(7, 0b1), (2, 0), (7, 0b1), (5, 0b101), (4, 0b1111)]:
        frame = Ack(0, numbers[0] + newest, earlier, 0xFFFF, 262144)
        assert pair.wire.inject(pair.b.forge(frame), B, A) == []
    assert pair.a.state is State.OPEN
    told = pair.wire.inject(pair.b.forge(Ack(8, numbers[-1], 0, 0xFFFF, 262144)), B, A)
    assert told == [Delivered(1, ref) for ref in range(8)]
    pair.wire.lose_from()
    pair.b.link.channel.inbox.wanted = 8  # the forged acks have lied for it
    pair.wire.run(0.01)
    assert pair.a.closed is None

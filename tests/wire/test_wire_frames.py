"""Frames: one encoding for each value, every bound, and a packet taken whole or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import frames, mutated, unknown_frames

from palaver.wire.errors import DecodeError
from palaver.wire.frames import (
    ACK_SIZE,
    Ack,
    Close,
    Frame,
    PathChallenge,
    PathResponse,
    Ping,
    Segment,
    Unknown,
    decode_frames,
    is_eliciting,
)

SEGMENT = Segment(7, b"\x10Ann", last=True)
some_frames = st.lists(frames, min_size=1, max_size=6)


def encode(parts: list[Frame]) -> bytes:
    return b"".join(part.encode() for part in parts)


def raw(kind: int, body: bytes, *, length: int | None = None) -> bytes:
    """Give a frame by hand; `length` may be a lie."""
    return bytes((kind,)) + (len(body) if length is None else length).to_bytes(2, "big") + body


def assert_canonical(data: bytes) -> None:
    try:
        decoded = decode_frames(data, 0)
    except DecodeError:
        return
    assert decoded
    assert encode(decoded) == data


def assert_rejected(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_frames(data, 0)


# One encoding for each value, one value for each encoding


@given(some_frames, st.binary(max_size=20))
def test_frames_decode_from_where_they_start_to_what_was_encoded(
    parts: list[Frame], header: bytes
) -> None:
    assert decode_frames(header + encode(parts), len(header)) == parts


@given(st.binary(max_size=100) | mutated(some_frames.map(encode)))
def test_any_bytes_are_frames_in_one_encoding_or_raise_decode_error(data: bytes) -> None:
    assert_canonical(data)


@given(
    st.lists(
        st.builds(
            raw,
            st.integers(0, 9) | st.integers(0x7E, 0x81) | st.integers(0, 255),
            st.binary(max_size=40),
            length=st.none() | st.integers(0, 45),
        ),
        min_size=1,
        max_size=4,
    ).map(b"".join)
)
def test_any_headers_and_bodies_are_frames_in_one_encoding_or_raise_decode_error(
    data: bytes,
) -> None:
    assert_canonical(data)


@given(some_frames)
def test_frames_cut_off_anywhere_but_between_them_are_rejected(parts: list[Frame]) -> None:
    data = encode(parts)
    ends = {len(encode(parts[:count])) for count in range(1, len(parts) + 1)}
    for size in range(len(data)):
        if size in ends:
            assert decode_frames(data[:size], 0) == parts[: len(decode_frames(data[:size], 0))]
        else:
            assert_rejected(data[:size])


@pytest.mark.spec("F-1")
@given(some_frames, st.integers(0, 6))
def test_one_malformed_frame_has_the_whole_packet_rejected(
    parts: list[Frame], position: int
) -> None:
    before, after = encode(parts[:position]), encode(parts[position:])
    for malformed in (raw(4, b"x"), raw(8, b""), raw(0, b""), raw(5, bytes(7))):
        assert_rejected(before + malformed + after)


# The bounds of every field, from both sides


@pytest.mark.spec("P-6")
def test_a_packet_without_frames_is_rejected() -> None:
    assert_rejected(b"")


@pytest.mark.parametrize(
    "frame",
    [
        Segment(0, b"x", last=True),
        Segment((1 << 32) - 1, b"x", last=False),
        Segment(1, bytes(65531), last=True),
        Ack(0, 0, 0, 0, 0),
        Ack((1 << 32) - 1, (1 << 32) - 1, (1 << 64) - 1, 0xFFFF, (1 << 64) - 1),
        Ack(0, 1, 1, 0, 0),
        Ack(0, 63, (1 << 63) - 1, 0, 0),
        Ack(0, 64, (1 << 64) - 1, 0, 0),
        Close(0, 0),
        Close(255, (1 << 32) - 1, "x" * 120),
        Close(1, 0, "\0 ü € 🙂"),
        Unknown(0x80, b""),
        Unknown(0xFF, bytes(65535)),
    ],
    ids=lambda frame: repr(frame)[:60],
)
def test_what_is_just_within_the_bounds_of_a_field_is_accepted(frame: Frame) -> None:
    assert decode_frames(frame.encode(), 0) == [frame]


@pytest.mark.spec("F-1", "F-4")
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(raw(0, b""), id="type 0"),
        pytest.param(raw(0, bytes(4) + b"x"), id="type 0 in the form of a segment"),
        pytest.param(raw(1, bytes(4)), id="segment without data"),
        pytest.param(raw(2, bytes(4)), id="fragment without data"),
        pytest.param(raw(1, bytes(3)), id="segment without all of its number"),
        pytest.param(raw(1, b""), id="segment without its number"),
        pytest.param(raw(1, bytes(5), length=6), id="segment cut off"),
        pytest.param(raw(1, bytes(8), length=0xFFFF), id="segment far too long"),
        pytest.param(raw(1, bytes(6), length=5), id="segment with a byte left over"),
        pytest.param(raw(3, bytes(25)), id="ack of 25"),
        pytest.param(raw(3, bytes(27)), id="ack of 27"),
        pytest.param(raw(3, b""), id="empty ack"),
        pytest.param(raw(3, bytes(25), length=26), id="ack cut off"),
        pytest.param(Ack(0, 0, 1, 0, 0).encode(), id="ack of -1"),
        pytest.param(Ack(0, 5, 1 << 5, 0, 0).encode(), id="ack of 5 and -1"),
        pytest.param(Ack(0, 5, 1 << 63, 0, 0).encode(), id="ack of 5 and -59"),
        pytest.param(Ack(0, 63, 1 << 63, 0, 0).encode(), id="ack of 63 and -1"),
        pytest.param(raw(4, b"x"), id="ping with a body"),
        pytest.param(raw(4, b"", length=1), id="ping cut off"),
        pytest.param(raw(5, bytes(7)), id="challenge of 7"),
        pytest.param(raw(5, bytes(9)), id="challenge of 9"),
        pytest.param(raw(6, bytes(7)), id="response of 7"),
        pytest.param(raw(6, bytes(9)), id="response of 9"),
        pytest.param(raw(7, bytes(4)), id="close of 4"),
        pytest.param(raw(7, b""), id="empty close"),
        pytest.param(raw(7, bytes(5) + b"\xff"), id="close with ff for text"),
        pytest.param(raw(7, bytes(5) + b"\xc3"), id="close with half a letter"),
        pytest.param(raw(7, bytes(5) + b"\xed\xa0\x80"), id="close with a surrogate"),
        pytest.param(raw(7, bytes(5) + b"\xc0\xaf"), id="close with an overlong letter"),
        pytest.param(raw(0x80, b"", length=1), id="unknown frame cut off"),
        pytest.param(b"\x04", id="a type alone"),
        pytest.param(b"\x04\x00", id="a type and half a length"),
        pytest.param(b"\x01\x00\x05\x00\x00\x00", id="a segment's header cut off"),
        pytest.param(b"\x80\x00", id="an unknown frame's header cut off"),
    ],
)
def test_what_is_malformed_is_rejected(data: bytes) -> None:
    assert_rejected(data)
    assert_rejected(SEGMENT.encode() + data)


@pytest.mark.spec("F-1")
@pytest.mark.parametrize("body", [b"", bytes(8), bytes(26)])
def test_unknown_frames_below_128_are_rejected(body: bytes) -> None:
    for kind in (0, *range(8, 0x80)):
        assert_rejected(raw(kind, body))


@pytest.mark.spec("F-2")
@pytest.mark.parametrize("body", [b"", bytes(8), b"\xff" * 26])
def test_unknown_frames_from_128_are_kept_as_they_are(body: bytes) -> None:
    for kind in range(0x80, 0x100):
        data = raw(kind, body) + SEGMENT.encode()
        assert decode_frames(data, 0) == [Unknown(kind, body), SEGMENT]


# What is said of frames


@pytest.mark.spec("F-2")
@given(unknown_frames)
def test_packets_with_anything_but_ack_and_close_are_to_be_acknowledged(unknown: Unknown) -> None:
    token = bytes(8)
    for frame in (SEGMENT, Ping(), PathChallenge(token), PathResponse(token), unknown):
        assert is_eliciting(frame)
    assert not is_eliciting(Ack(0, 0, 0, 0, 0))
    assert not is_eliciting(Close(0, 0))


def test_an_ack_has_29_bytes() -> None:
    assert len(Ack(0, 0, 0, 0, 0).encode()) == ACK_SIZE == 29

"""Two decoders, one text, continued: which names can be taken, and how a stream is cut up."""

from __future__ import annotations

import socket

import independent_messages as other
from hypothesis import example, given
from hypothesis import strategies as st
from independent_decoder import Malformed
from independent_group import may_be_admitted, same
from pairs import examples
from strategies import mutated

from palaver import UsageError
from palaver.wire.names import clean_name, fold_name, is_name, tidy
from palaver_io.connection import BrokenStreamError, Connection

# Names


words = st.text(max_size=12) | st.text(
    st.sampled_from("aA \u0131ß\u017fée\u0301\u1f80\u212b٣1\u0958"), max_size=30
)


@examples(500)
@given(words)
def test_both_take_the_same_names(name: str) -> None:
    try:
        clean_name(name)
        good = True
    except UsageError:
        good = False
    assert other.is_name(name) is good
    assert may_be_admitted(name) is is_name(tidy(name))


@examples(500)
@given(words, words)
@example("\u1f80", "\u1f88")
def test_both_say_which_names_are_the_same(one: str, two: str) -> None:
    for name in (one, two):
        assert other.folded(name) == fold_name(name)
    assert (same(tidy(one)) == same(tidy(two))) is (fold_name(one) == fold_name(two))


# Records


def cut_by_library(raw: bytes) -> list[bytes] | None:
    """Give the packets that the library finds in what a stream has brought, or None."""
    ours, theirs = socket.socketpair()
    records: list[bytes] = []
    with ours, theirs:
        ours.setblocking(False)
        connection = Connection(ours, ("a", 1), inbound=True)
        theirs.sendall(raw)
        try:
            connection.read(1 << 16, records)
        except BrokenStreamError:
            return None
    return records


def cut_by_other(raw: bytes, pieces: int) -> list[bytes] | None:
    records, found = other.Records(), []
    try:
        for start in range(0, len(raw), pieces):
            found += records.feed(raw[start : start + pieces])
    except Malformed:
        return None
    return found


def record(packet: bytes) -> bytes:
    return len(packet).to_bytes(2, "big") + packet


streams = st.lists(st.binary(max_size=20) | st.integers(2046, 2048).map(bytes), max_size=4).map(
    lambda found: b"".join(map(record, found))
)


@examples(150)
@given(streams | mutated(streams), st.integers(1, 4000))
@example(record(bytes(2047)), 1)
@example(record(bytes(2048)), 1)
def test_both_cut_streams_alike(raw: bytes, pieces: int) -> None:
    assert cut_by_library(raw) == cut_by_other(raw, pieces)

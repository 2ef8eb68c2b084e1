"""Bytes for decoders: the corpus of the fuzzers, and what Hypothesis draws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pairs import examples
from strategies import mutated, packets

from fuzz.decoders import DECODERS
from fuzz.support import replay
from fuzz.targets import run

each_target = pytest.mark.parametrize("target", DECODERS)


@each_target
def test_what_the_fuzzers_have_kept_shows_nothing(target: str) -> None:
    replay(target)


@each_target
@given(data=st.binary(max_size=80) | mutated(packets.map(lambda one: one.encode())))
@examples(200)
def test_bytes_are_a_value_in_one_encoding_or_raise_decode_error(target: str, data: bytes) -> None:
    run(target, data)


@given(
    st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6),
    st.binary(max_size=8),
    st.integers(0, 1),
)
@examples(100)
def test_records_are_the_same_wherever_their_stream_is_cut(
    records: list[bytes], cuts: bytes, closes: int
) -> None:
    stream = b"".join(len(one).to_bytes(2, "big") + one for one in records)
    run("record", bytes((len(cuts) % 8, *cuts[: len(cuts) % 8], closes)) + stream)

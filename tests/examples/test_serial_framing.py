"""The framing of the serial line: exact, bounded, and soon in step again."""

from __future__ import annotations

import os
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

if os.name != "posix":
    pytest.skip("pseudo-terminals are POSIX's", allow_module_level=True)

from serial_line import LOST, MTU, Station, Unslip, slip

# Mostly the bytes that SLIP has to escape, or that look like it.
tricky = st.lists(st.sampled_from([0xC0, 0xDB, 0xDC, 0xDD, 0x41]), min_size=1, max_size=MTU)
datagrams = st.binary(min_size=1, max_size=MTU) | tricky.map(bytes)


@given(st.lists(datagrams, max_size=8), st.lists(st.integers(0, 400), max_size=6))
def test_what_is_framed_comes_out_however_it_is_cut(sent: list[bytes], cuts: list[int]) -> None:
    line = b"".join(map(slip, sent))
    ends = [0, *sorted(min(cut, len(line)) for cut in cuts), len(line)]
    unslip = Unslip()
    came = []
    for start, end in pairwise(ends):
        came += unslip.feed(line[start:end])
    assert came == sent


@given(st.binary(max_size=1000), datagrams)
def test_after_any_noise_the_next_datagram_comes_out(noise: bytes, datagram: bytes) -> None:
    unslip = Unslip()
    for start in range(0, len(noise), 50):
        for taken in unslip.feed(noise[start : start + 50]):
            assert 0 < len(taken) <= MTU
        assert len(unslip.rest) <= 2 * MTU + 1
    assert unslip.feed(slip(datagram))[-1] == datagram


@pytest.mark.parametrize("byte", [b"A", b"\xdb\xdc", b"\xdb"])
def test_a_datagram_that_does_not_end_is_not_kept_and_never_taken(byte: bytes) -> None:
    unslip = Unslip()
    for _ in range(10_000):
        assert unslip.feed(byte) == []
        assert len(unslip.rest) <= 2 * MTU + 1
    assert unslip.feed(b"\xc0") == []


def test_the_line_loses_and_flips_about_as_many_bytes_as_it_says() -> None:
    station = Station("Ann", -1, Random(1))
    came = station.spoil(bytes(100_000))
    assert len(came) == 100_000 - station.lost
    assert sum(byte.bit_count() == 1 for byte in came) == station.flipped
    for count in (station.lost, station.flipped):
        assert LOST * 100_000 / 2 < count < LOST * 100_000 * 2

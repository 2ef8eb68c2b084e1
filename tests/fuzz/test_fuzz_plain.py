"""Scripts for the machines of plain text: the corpus of the fuzzers, and what Hypothesis draws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pairs import examples

from fuzz.support import replay, scripts
from fuzz.targets import run


def test_what_the_fuzzers_have_kept_shows_nothing() -> None:
    replay("plain")


@pytest.mark.parametrize("streams", [False, True], ids=["datagrams", "streams"])
@given(kind=st.integers(0, 3), script=scripts)
@examples(60)
def test_no_script_makes_a_machine_raise_stand_still_or_forget_its_bounds(
    streams: bool, kind: int, script: bytes
) -> None:
    run("plain", bytes((kind + 4 * streams,)) + script)

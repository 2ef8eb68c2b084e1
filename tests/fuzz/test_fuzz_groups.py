"""Scripts for whole machines: the corpus of the fuzzers, and what Hypothesis draws."""

from __future__ import annotations

import pytest
from hypothesis import given
from pairs import examples

from fuzz.support import replay, scripts
from fuzz.targets import run

each_target = pytest.mark.parametrize("target", ["hub", "member"])


@each_target
def test_what_the_fuzzers_have_kept_shows_nothing(target: str) -> None:
    replay(target)


@each_target
@given(script=scripts)
@examples(60)
def test_no_script_makes_a_machine_raise_stand_still_or_forget_its_bounds(
    target: str, script: bytes
) -> None:
    run(target, script)

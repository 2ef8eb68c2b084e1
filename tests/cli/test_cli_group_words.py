"""What a member is told about the end of its membership."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palaver import Closed, JoinRefused, Notice, Reason, Side
from palaver.wire.group import JoinRefusal
from palaver_io.cli.group_output import PlainGroupOutput
from palaver_io.cli.screen import Screen

if TYPE_CHECKING:
    import pytest


def tell(capsys: pytest.CaptureFixture[str], *notices: Notice) -> list[str]:
    output = PlainGroupOutput(Screen(), verbose=False, numbered=False)
    for notice in notices:
        if isinstance(notice, JoinRefused):
            output.refused(notice)
        elif isinstance(notice, Closed):
            output.closed("10.0.0.1:2209", notice, was_in=False)
    return capsys.readouterr().err.splitlines()


def test_a_hub_that_does_not_answer_is_not_passed_over_in_silence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    closed = Closed(1, 0, JoinRefusal.LATE, Side.LOCAL)
    assert tell(capsys, closed) == [
        "The hub at 10.0.0.1:2209 is there, but does not answer. Try again later."
    ]


def test_a_refusal_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    reason = JoinRefusal.NAME_TAKEN
    told = tell(capsys, JoinRefused(1, reason, "Ann-2"), Closed(1, 0, reason, Side.PEER))
    assert told == ["The hub refuses: somebody of that name is there already. Try: --name 'Ann-2'"]


def test_no_answer_says_what_to_look_at(capsys: pytest.CaptureFixture[str]) -> None:
    (told,) = tell(capsys, Closed(1, 0, Reason.NO_ANSWER, Side.LOCAL))
    assert "palaver hub" in told

"""What a member is told about the end of its membership."""

from __future__ import annotations

import pytest

from palaver import Closed, JoinRefused, Notice, Reason, Side
from palaver.wire.group import JoinRefusal
from palaver_io.cli import main
from palaver_io.cli.arguments import parse_arguments
from palaver_io.cli.group_arguments import JoinOptions
from palaver_io.cli.group_output import PlainGroupOutput
from palaver_io.cli.screen import Screen


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


def test_a_hub_that_takes_fewer_names_suggests_a_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (told,) = tell(capsys, JoinRefused(1, JoinRefusal.BAD_NAME, "B ob"))
    assert told.startswith("The hub refuses: that name can't be taken")
    assert told.endswith("Try: --name 'B ob'")


@pytest.mark.parametrize(
    "name", ["", " ", "\t", "B\u202eob", "B\x1b[31mob", "x" * 65, "\u00e9" * 33, "\ud800"]
)
def test_join_refuses_a_name_in_the_words_of_peer(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for command in ("join", "peer"):
        assert main([command, "--name", name]) == 2
        told.append(capsys.readouterr().err.replace(command, "COMMAND"))
    assert told[0] == told[1]
    assert "printable" in told[0] or "bytes; 64" in told[0] or "one character" in told[0]


@pytest.mark.parametrize(
    ("room", "what"),
    [("", "one character"), ("gar\tden", "printable"), ("y" * 33, "32 are allowed")],
)
def test_join_refuses_a_room_that_no_hub_can_make(
    room: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["join", "--name", "Ann", "--room", room]) == 2
    assert what in capsys.readouterr().err


def test_join_takes_every_other_name() -> None:
    for name, taken in (("4711", "4711"), (" Ann ", "Ann"), ("e\u0301", "\u00e9"), ("x" * 64,) * 2):
        options = parse_arguments(["join", "--name", name, "--room", name[:32]], "0")
        assert isinstance(options, JoinOptions)
        assert (options.name, options.room) == (taken, taken[:32])


def test_no_answer_says_what_to_look_at(capsys: pytest.CaptureFixture[str]) -> None:
    (told,) = tell(capsys, Closed(1, 0, Reason.NO_ANSWER, Side.LOCAL))
    assert "palaver hub" in told

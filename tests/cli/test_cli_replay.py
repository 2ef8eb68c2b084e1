"""What is past and what is now, for a member that is told what was said before it came."""

from __future__ import annotations

import pytest
from cli_support import running
from group_processes import Group

from palaver import Dialing, Notice, Reason
from palaver.roles.group.events import (
    CameIn,
    Entered,
    Interrupted,
    JoinRoom,
    PostHeard,
    WentOut,
)
from palaver.wire.group import Welcome
from palaver.wire.group_log import Coming, Going
from palaver_io.cli.group_json import JsonGroupOutput
from palaver_io.cli.group_output import PlainGroupOutput
from palaver_io.cli.join import JoinTalk
from palaver_io.cli.replay import LONGEST, QUIET, Replay
from palaver_io.cli.screen import Screen

HUB = ("10.0.0.1", 2209)


def entered(how: Welcome, number: int, *members: str) -> Entered:
    return Entered(1, 0, "lobby", "Bo", how, number, members)


def came(number: int, name: str, how: Coming = Coming.NEW) -> CameIn:
    return CameIn(1, number, name, how)


def went(number: int, name: str) -> WentOut:
    return WentOut(1, number, name, Going.LOST)


class Paper(Screen):
    """Keeps what is printed, in one order."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def out(self, line: str) -> None:
        self.lines.append(line)

    def note(self, line: str) -> None:
        self.lines.append(line)


class Member:
    """A member that is told notices, in virtual time."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *, backlog: int = 20, json: bool = False
    ) -> None:
        self.now = 0.0
        self._paper = Paper()
        output = (
            JsonGroupOutput(self._paper)
            if json
            else PlainGroupOutput(self._paper, verbose=False, numbered=False)
        )
        monkeypatch.setattr("palaver_io.cli.join.Replay", lambda: Replay(lambda: self.now))
        order = JoinRoom(HUB, "Bo", backlog=backlog)
        self.talk = JoinTalk(lambda _: None, output, order, wait=True, is_interactive=False)
        self.tell(Dialing(1, 0, HUB))

    def tell(self, *notices: Notice) -> list[str]:
        """Tell it; give what it prints."""
        for notice in notices:
            self.talk.take_notice(notice)
        return self._take()

    def wait(self, seconds: float) -> list[str]:
        """Let time pass, and what is due happen, as the session does."""
        self.now += seconds
        if self.talk.due <= self.now:
            self.talk.on_time()
        return self._take()

    def _take(self) -> list[str]:
        lines, self._paper.lines = self._paper.lines, []
        return lines


@pytest.fixture
def bo(monkeypatch: pytest.MonkeyPatch) -> Member:
    return Member(monkeypatch)


def test_a_newcomer_is_told_what_is_past_and_who_is_there_now(bo: Member) -> None:
    assert bo.tell(entered(Welcome.NEW, 3, "Ann")) == ["You are in lobby as Bo."]
    told = bo.tell(
        PostHeard(1, 4, "Ann", "hello"), came(5, "Cy"), came(6, "\u65e5\u672c"), went(7, "Ann")
    )
    assert told == ["Earlier:", "Ann: hello", "Cy came.", "\u65e5\u672c came.", "Ann was lost."]
    assert bo.wait(60) == []  # for our own coming, however long it takes
    assert bo.tell(came(8, "Bo")) == []
    assert bo.wait(QUIET / 2) == []
    assert bo.wait(QUIET) == ["Now here: Cy, \u65e5\u672c."]
    assert bo.tell(came(9, "Ann", Coming.BACK)) == ["Ann is here again."]
    assert bo.wait(60) == []


def test_nothing_was_said_before(bo: Member) -> None:
    bo.tell(entered(Welcome.NEW, 0), came(1, "Bo"))
    assert bo.wait(QUIET) == ["Nobody else is here."]


def test_somebody_who_had_our_name_before_does_not_end_the_past(bo: Member) -> None:
    bo.tell(entered(Welcome.NEW, 0), came(1, "Bo"))
    told = bo.tell(came(2, "Ann"), went(3, "Bo"), PostHeard(1, 4, "Ann", "who was that?"))
    assert told == ["Earlier:", "Ann came.", "Ann: who was that?"]
    assert bo.wait(60) == []
    bo.tell(came(5, "Bo"))
    assert bo.wait(QUIET) == ["Now here: Ann."]


def test_if_the_rest_of_the_past_comes_late_who_is_there_is_told_again(bo: Member) -> None:
    bo.tell(entered(Welcome.NEW, 0), came(1, "Bo"))
    assert bo.wait(QUIET) == ["Nobody else is here."]
    assert bo.tell(went(2, "Bo"), came(3, "Ann"), came(4, "Bo")) == ["Ann came."]
    assert bo.wait(QUIET) == ["Now here: Ann."]


def test_a_room_that_is_never_quiet_ends_the_past_too(bo: Member) -> None:
    bo.tell(entered(Welcome.NEW, 0, "Ann"), came(1, "Bo"))
    step = QUIET / 2
    for number in range(2, 100):
        bo.tell(PostHeard(1, number, "Ann", "and another thing"))
        if bo.wait(step):
            break
    assert bo.now == pytest.approx(LONGEST, abs=step)


def test_without_a_backlog_nothing_is_past(monkeypatch: pytest.MonkeyPatch) -> None:
    bo = Member(monkeypatch, backlog=0)
    told = bo.tell(entered(Welcome.NEW, 7, "Ann"), came(8, "Bo"), came(9, "Cy"))
    assert told == ["You are in lobby as Bo. Already here: Ann.", "Cy is here."]
    assert bo.wait(60) == []


def test_who_is_back_is_told_what_was_missed_and_who_is_there_now(bo: Member) -> None:
    bo.tell(entered(Welcome.NEW, 0, "Ann"), came(1, "Bo"))
    bo.wait(QUIET)
    bo.tell(Interrupted(1, Reason.DEAD))
    told = bo.tell(
        entered(Welcome.RESUMED, 1, "Ann", "Bo"), went(2, "Bo"), came(3, "Cy"), went(4, "Ann")
    )
    assert told == ["Back in lobby as Bo; what was missed follows.", "Cy came.", "Ann was lost."]
    assert bo.wait(60) == []
    bo.tell(came(5, "Bo", Coming.BACK))
    assert bo.wait(QUIET) == ["Now here: Cy."]


def test_who_is_back_before_it_was_missed_is_told_too(bo: Member) -> None:
    bo.tell(entered(Welcome.NEW, 0, "Ann"), came(1, "Bo"))
    bo.wait(QUIET)
    bo.tell(Interrupted(1, Reason.DEAD), entered(Welcome.RESUMED, 1, "Ann", "Bo"))
    assert bo.tell(came(2, "Cy")) == ["Cy came."]
    assert bo.wait(QUIET) == ["Now here: Ann, Cy."]


def test_a_hub_that_has_forgotten_us_says_who_is_there_at_once(bo: Member) -> None:
    bo.tell(entered(Welcome.NEW, 5, "Ann"), came(6, "Bo"))
    bo.wait(QUIET)
    told = bo.tell(Interrupted(1, Reason.RESET), entered(Welcome.NEW, 2, "Cy"), came(3, "Bo"))
    assert told[1:] == ["Back in lobby as Bo.", "Now here: Cy."]
    assert bo.wait(60) == []


def test_an_interruption_ends_the_telling(bo: Member) -> None:
    bo.tell(entered(Welcome.NEW, 0, "Ann"), came(1, "Bo"), Interrupted(1, Reason.DEAD))
    assert bo.wait(60) == []


def test_programs_are_told_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    bo = Member(monkeypatch, json=True)
    bo.tell(entered(Welcome.NEW, 3, "Ann"), came(4, "Cy"), came(5, "Bo"))
    (line,) = bo.wait(QUIET)
    assert line == '{"event": "caught-up", "link": 1, "number": 5, "members": ["Ann", "Cy"]}'


def test_a_newcomer_with_our_name_before_it_and_a_backlog_over_a_real_hub() -> None:
    with running() as processes:
        group = Group(processes, hub=("--backlog", "20"))
        ann = group.join("Ann", "--wait")
        first = group.join("Bo", "--wait")
        first.type("I'll be back", "exit")
        assert first.finish() == 0
        ann.wait_for_event("left")
        bo = processes.start("join", group.address, "--name", "Bo", "--backlog", "20")
        bo.wait_for_err("Now here: Ann.")
        assert bo.out == ["Bo: I'll be back"]
        told = [line for line in bo.err if not line.startswith(("Calling", "Type"))]
        # Before the post there was nothing that was not our own, or Ann's coming.
        assert told[0] == "You are in lobby as Bo."
        assert told[-1] == "Now here: Ann."
        assert "Earlier:" in told
        again = group.join("Cy", "--backlog", "20", "--wait")
        assert again.wait_for_event("caught-up")["members"] == ["Ann", "Bo"]

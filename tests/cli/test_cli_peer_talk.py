"""What `palaver peer` makes of notices, without processes: `palaver_io.cli.peer_talk`."""

from __future__ import annotations

import time

import pytest

from palaver import (
    CallEnded,
    Calling,
    CallOpened,
    Depart,
    Departed,
    Enlisted,
    Entry,
    Event,
    Outcome,
    Present,
    Reason,
    RegistryAway,
    Ringing,
    Say,
    Side,
    StillEnlisting,
    UsageError,
    Vanished,
    Who,
)
from palaver.roles.peer_events import Unanswered
from palaver_io.cli.lines import EndOfInput, Line
from palaver_io.cli.peer_output import PlainPeerOutput
from palaver_io.cli.peer_policy import PeerPolicy
from palaver_io.cli.peer_talk import PeerTalk
from palaver_io.cli.screen import Screen

BOB = Entry(2, "Bob", ("127.0.0.1", 4000), 0)


class Desk:
    """A talk whose machine takes everything, until its registry is away."""

    def __init__(
        self,
        capsys: pytest.CaptureFixture[str],
        *,
        wait: bool = True,
        is_interactive: bool = True,
        timeout: float | None = None,
    ) -> None:
        self.is_away = False
        self.asked: list[Event] = []
        self.said: list[Event] = []
        self._capsys = capsys
        self.output = output = PlainPeerOutput(Screen(), verbose=False, numbered=False)
        policy = PeerPolicy(
            registry=("127.0.0.1", 7070),
            name="Ann",
            accept="ask",
            timeout=timeout,
            wait=wait,
            is_interactive=is_interactive,
        )
        self.talk = PeerTalk(self._perform, output, policy)
        self.talk.begin(("127.0.0.1", 4001))

    def _perform(self, event: Event) -> None:
        if isinstance(event, Depart):
            self.talk.take_notice(Departed(acknowledged=False))
        if isinstance(event, Say):
            self.said.append(event)
        if isinstance(event, Who):
            if self.is_away:
                raise UsageError("the registry can't be asked now")
            self.asked.append(event)

    @property
    def printed(self) -> str:
        found = self._capsys.readouterr()
        return found.out + found.err


def test_who_was_there_before_us_has_a_name_when_it_goes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    desk = Desk(capsys)
    desk.talk.take_notice(Enlisted(3, "Ann", 0))
    (asked,) = desk.asked
    assert isinstance(asked, Who)
    desk.talk.take_notice(Present(asked.ref, (BOB,), more=False))
    assert "Bob" not in desk.printed  # nobody has asked
    desk.talk.take_notice(Vanished(2))
    assert "Bob (id 2) is not here any more." in desk.printed


def test_who_was_never_seen_here_is_not_missed(capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(capsys)
    desk.talk.take_notice(Enlisted(4, "Cy", 0))
    (asked,) = desk.asked
    assert isinstance(asked, Who)
    desk.talk.take_notice(Present(asked.ref, (BOB,), more=False))
    assert "You are Cy" in desk.printed
    desk.talk.take_notice(Vanished(3))  # who was killed, and whose name we have taken
    assert desk.printed == ""
    desk.talk.take_notice(Vanished(2))
    assert desk.printed == "Bob (id 2) is not here any more.\n"
    desk.talk.take_notice(Vanished(2))
    assert desk.printed == ""


def test_a_list_goes_on_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(capsys)
    desk.talk.take_input(Line(1, "list"))
    desk.talk.take_notice(Present(0, (BOB,), more=True))
    assert desk.asked == [Who(), Who(0, 2)]
    desk.talk.take_notice(Present(0, (), more=False))
    assert "went away" not in desk.printed


def test_a_registry_that_goes_away_amid_a_list_ends_the_list_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    desk = Desk(capsys)
    desk.talk.take_input(Line(1, "list"))
    # It is away when its page is looked at, and that it is will be told only then.
    desk.is_away = True
    desk.talk.take_notice(Present(0, (BOB,), more=True))
    desk.talk.take_notice(RegistryAway(4))
    assert desk.printed.count("went away before it could say who is there") == 1
    assert not desk.talk._is_waiting


def test_a_registry_that_goes_away_as_we_are_entered_does_no_harm(
    capsys: pytest.CaptureFixture[str],
) -> None:
    desk = Desk(capsys)
    desk.is_away = True
    desk.talk.take_notice(Enlisted(3, "Ann", 0))
    desk.talk.take_notice(Unanswered(1))
    assert "went away" not in desk.printed


def test_a_new_conversation_is_current_as_it_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The prompt is drawn anew after each line that is printed.
    desk = Desk(capsys)
    prompts: list[str] = []
    monkeypatch.setattr(desk.output, "opened", lambda _: prompts.append(desk.talk.prompt().text))
    for link, name in ((1, "Bob"), (2, "Cid")):
        desk.talk.take_notice(Calling(link, 0, name))
        desk.talk.take_notice(CallOpened(link, 0, link + 1, name, BOB.address, verified=True))
    assert prompts == ["Bob> ", "Cid> "]


def needless(link: int) -> CallEnded:
    return CallEnded(link, 0, Outcome.ALREADY, Side.LOCAL, Reason.LEFT)


def test_to_call_one_who_calls_is_to_accept_and_not_to_be_told_off(
    capsys: pytest.CaptureFixture[str],
) -> None:
    desk = Desk(capsys)
    desk.talk.take_notice(Ringing(1, 2, "Bob", BOB.address, verified=True))
    desk.talk.take_notice(Calling(2, 0, "bob"))
    desk.talk.take_notice(CallOpened(1, None, 2, "Bob", BOB.address, verified=True))
    desk.talk.take_notice(needless(2))
    printed = desk.printed
    assert "Connected to Bob" in printed
    assert "already" not in printed
    # And told when nothing comes of it.
    desk.talk.take_notice(Calling(3, 0, "bob"))
    desk.talk.take_notice(needless(3))
    assert "You are talking with bob already" in desk.printed


def test_to_call_oneself_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(capsys)
    desk.talk.take_notice(Enlisted(3, "Ann", 0))
    wishes: list[tuple[int, int | str]] = [(1, "ANN"), (2, 3)]
    for link, who in wishes:
        desk.talk.take_notice(Calling(link, 0, who))
        desk.talk.take_notice(needless(link))
        assert "That is you." in desk.printed


def test_a_text_without_a_command_is_not_said_but_how_to_say_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    desk = Desk(capsys)
    desk.talk.take_notice(Enlisted(3, "Ann", 0))
    desk.talk.take_input(Line(1, "hello, Bob"))
    printed = desk.printed
    assert 'there is no command "hello,": type "help"' in printed
    assert "send" not in printed  # nobody would hear it
    desk.talk.take_notice(Calling(1, 0, "Bob"))
    desk.talk.take_notice(CallOpened(1, 0, 2, "Bob", BOB.address, verified=True))
    desk.talk.take_input(Line(2, "hello, Bob"))
    assert 'type "help", or "send hello, Bob" to say it' in desk.printed
    desk.talk.take_input(Line(3, "x" * 4000))
    assert f'"send {"x" * 37}..." to say it' in desk.printed
    assert desk.said == []


def test_a_script_at_its_end_waits_so_long_to_be_entered_and_no_longer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    desk = Desk(capsys, wait=False, is_interactive=False, timeout=5)
    assert desk.talk.due == float("inf"), "nobody waits yet"
    before = time.monotonic()
    desk.talk.take_input(EndOfInput())
    assert before + 5 <= desk.talk.due <= time.monotonic() + 5
    assert not desk.talk.is_over
    desk.talk.on_time()
    assert (desk.talk.is_over, desk.talk.status) == (True, 1)
    assert "no answer from the registry at 127.0.0.1:7070 within 5 s" in desk.printed


def test_a_script_with_a_command_that_has_to_wait_does_not_wait_for_ever(
    capsys: pytest.CaptureFixture[str],
) -> None:
    desk = Desk(capsys, wait=False, is_interactive=False)
    desk.talk.take_input(Line(1, "list"))
    due = desk.talk.due
    assert time.monotonic() + 29 < due <= time.monotonic() + 30
    desk.talk.take_input(EndOfInput())
    assert desk.talk.due == due, "the end of input gives no more time"
    desk.talk.take_notice(Enlisted(1, "Ann", 0))
    assert desk.talk.due == float("inf")
    assert not desk.talk.is_over


@pytest.mark.parametrize("make", [{"is_interactive": True, "wait": False}, {"wait": True}], ids=str)
def test_a_person_and_who_is_told_to_wait_do_so_for_ever(
    capsys: pytest.CaptureFixture[str], make: dict[str, bool]
) -> None:
    desk = Desk(capsys, **{"is_interactive": False, **make})
    desk.talk.take_input(Line(1, "list"))
    if make["wait"]:
        desk.talk.take_input(EndOfInput())
    assert desk.talk.due == float("inf")


def test_that_the_registry_is_away_is_said_more_rarely_each_time_until_it_is_back(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    desk = Desk(capsys)

    def stay_away(seconds: int) -> int:
        for attempt in range(seconds):
            clock[0] += 1
            desk.talk.take_notice(StillEnlisting(attempt, unreachable=True))
        return desk.printed.count("Nothing seems to be at")

    assert stay_away(20) == 3  # after 1, 6 and 15 s
    assert 3 <= stay_away(600) <= 6
    assert 5 <= stay_away(3600) <= 7
    desk.talk.take_notice(Enlisted(1, "Ann", 0))
    assert stay_away(20) >= 2


def test_to_call_one_whom_we_are_calling_is_told_as_that(
    capsys: pytest.CaptureFixture[str],
) -> None:
    desk = Desk(capsys)
    desk.talk.take_notice(Calling(1, 0, "bob"))
    desk.talk.take_notice(Calling(2, 0, "Bob"))
    desk.talk.take_notice(needless(2))
    assert "You are calling Bob already" in desk.printed
    desk.talk.take_notice(CallOpened(1, 0, 2, "Bob", BOB.address, verified=True))
    desk.talk.take_notice(Calling(3, 0, "Bob"))
    desk.talk.take_notice(needless(3))
    assert "You are talking with Bob already" in desk.printed


@pytest.mark.parametrize("is_interactive", [True, False])
def test_what_comes_when_all_is_ended_is_refused(
    capsys: pytest.CaptureFixture[str], is_interactive: bool
) -> None:
    desk = Desk(capsys, is_interactive=is_interactive)
    desk.talk.take_notice(Enlisted(3, "Ann", 0))
    desk.talk.take_notice(Calling(1, 0, "bob"))
    desk.talk.take_notice(CallOpened(1, 0, 2, "Bob", BOB.address, verified=True))
    desk.talk.take_input(Line(1, "leave"))
    assert not desk.talk.is_over
    assert desk.talk.prompt().text == ""
    desk.talk.take_input(Line(2, "send hi"))
    assert not desk.said
    assert "too late: everything has been ended" in desk.printed
    assert desk.talk.status == (0 if is_interactive else 3)


def test_what_is_no_registry_is_given_up_unless_it_was_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    desk = Desk(capsys)
    desk.talk.take_notice(RegistryAway(Reason.WRONG_ROLE))
    assert "runs Palaver, but is no registry" in desk.printed
    assert desk.talk.is_over
    assert desk.talk.status == 1
    desk = Desk(capsys)
    desk.talk.take_notice(Enlisted(3, "Ann", 0))
    desk.talk.take_notice(RegistryAway(Reason.WRONG_ROLE))
    assert not desk.talk.is_over

"""What people and programs see while somebody is called who does not answer, and how often."""

from __future__ import annotations

import json
from itertools import pairwise
from types import SimpleNamespace

import pytest

from palaver import (
    Calling,
    CallOpened,
    Enlisted,
    StillCalling,
    StillDialing,
    StillEnlisting,
)
from palaver_io.cli.conversations import Conversation
from palaver_io.cli.group_json import JsonGroupOutput
from palaver_io.cli.group_output import PlainGroupOutput
from palaver_io.cli.output import JsonOutput, PlainOutput
from palaver_io.cli.parties import Party
from palaver_io.cli.peer_output import JsonPeerOutput, PlainPeerOutput
from palaver_io.cli.peer_policy import PeerPolicy
from palaver_io.cli.peer_talk import PeerTalk
from palaver_io.cli.screen import Screen

AT = "127.0.0.1:4000"


class Clock:
    """The time that the output of a peer sees."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        found = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr("palaver_io.cli.peer_output.time", found)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def plain_peer(*, verbose: bool = False) -> PlainPeerOutput:
    return PlainPeerOutput(Screen(), verbose=verbose, numbered=False)


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Give the lines for people since the last time; nothing of this belongs on stdout."""
    found = capsys.readouterr()
    assert found.out == ""
    return found.err.splitlines()


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def still(attempt: int, *, unreachable: bool = False, link: int = 1) -> StillCalling:
    return StillCalling(link, 0, attempt, unreachable)


def test_a_caller_is_told_soon_and_then_every_few_seconds_with_the_number_of_requests(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    output, bob = plain_peer(), Party(1, "Bob")
    output.calling(bob)
    assert told(capsys) == ["Calling Bob ..."]
    times: list[tuple[float, int]] = []
    for attempt in range(2, 102):  # a request every 0.2 s: who reads is not told of each
        clock.now = 100 + 0.2 * (attempt - 1)
        output.still_calling(bob, still(attempt))
        for line in told(capsys):
            assert line == (
                f'No answer from Bob yet: still trying (request {attempt}). "terminate" gives up.'
            )
            times.append((round(clock.now - 100, 1), attempt))
    assert times[0] == (0.8, 5)
    gaps = [later[0] - earlier[0] for earlier, later in pairwise(times)]
    assert len(gaps) == 4
    assert all(4.5 <= gap < 4.8 for gap in gaps)


def test_requests_that_are_ten_seconds_apart_are_each_told(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    output, bob = plain_peer(), Party(1, "Bob")
    output.calling(bob)
    told(capsys)
    for attempt in (2, 3, 4):
        clock.now += 10
        output.still_calling(bob, still(attempt))
        (line,) = told(capsys)
        assert f"(request {attempt})" in line


def test_who_wants_to_know_more_is_told_of_each_request(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    output, bob = plain_peer(verbose=True), Party(1, "Bob")
    output.calling(bob)
    told(capsys)
    for attempt in (2, 3, 4):
        clock.now += 0.01
        output.still_calling(bob, still(attempt))
        assert len(told(capsys)) == 1


def test_that_nothing_is_at_the_address_is_said(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    output, bob = plain_peer(), Party(1, "B\x1bb")
    output.calling(bob)
    told(capsys)
    clock.now += 1
    output.still_calling(bob, still(3, unreachable=True))
    (line,) = told(capsys)
    assert "nothing seems to be at that address: still trying (request 3)" in line
    assert "\x1b" not in line


def test_each_of_two_calls_has_a_patience_of_its_own(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    output, bob, cid = plain_peer(), Party(1, "Bob"), Party(2, "Cid")
    output.calling(bob)
    clock.now += 0.5
    output.calling(cid)
    told(capsys)
    clock.now += 0.3
    output.still_calling(bob, still(3))
    output.still_calling(cid, still(3, link=2))
    assert [line.split(" yet")[0] for line in told(capsys)] == ["No answer from Bob"]
    clock.now += 0.5
    output.still_calling(bob, still(4))
    output.still_calling(cid, still(4, link=2))
    assert [line.split(" yet")[0] for line in told(capsys)] == ["No answer from Cid"]


def test_a_talk_tells_of_a_call_until_it_is_answered(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = PeerPolicy(
        registry=("127.0.0.1", 7070),
        name="Ann",
        accept="ask",
        timeout=None,
        wait=True,
        is_interactive=True,
    )
    talk = PeerTalk(lambda _: None, plain_peer(), policy)
    talk.begin(("127.0.0.1", 4001))
    talk.take_notice(StillEnlisting(2, unreachable=False))
    assert "attempt 2" not in capsys.readouterr().err
    clock.now += 0.8
    talk.take_notice(StillEnlisting(3, unreachable=True))
    assert "Nothing seems to be at 127.0.0.1:7070 yet (attempt 3)" in capsys.readouterr().err
    talk.take_notice(Enlisted(3, "Ann", 0))
    talk.take_notice(Calling(1, 0, "Bob"))
    clock.now += 1
    told(capsys)
    talk.take_notice(still(2))
    (line,) = told(capsys)
    assert "No answer from Bob yet: still trying (request 2)" in line
    talk.take_notice(CallOpened(1, 0, 2, "Bob", ("127.0.0.1", 4000), verified=True))
    clock.now += 60
    assert len(told(capsys)) == 1


def test_programs_are_told_of_each_request(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    output, bob = JsonPeerOutput(Screen()), Party(7, "Bob")
    output.calling(bob)
    for attempt, unreachable in ((2, False), (3, True)):
        output.still_calling(bob, still(attempt, unreachable=unreachable, link=7))
    assert events(capsys) == [
        {"event": "calling", "link": 7, "to": "Bob"},
        {"event": "still-calling", "link": 7, "attempt": 2, "unreachable": False},
        {"event": "still-calling", "link": 7, "attempt": 3, "unreachable": True},
    ]


# The other commands: they are told attempts, and need no clock


def test_programs_are_told_of_each_attempt_of_a_call_and_a_join(
    capsys: pytest.CaptureFixture[str],
) -> None:
    call, join = JsonOutput(Screen()), JsonGroupOutput(Screen())
    call.still_dialing(Conversation(3, AT), 2, unreachable=False)
    join.still_dialing(AT, StillDialing(3, 0, 4, unreachable=True))
    assert events(capsys) == [
        {"event": "still-dialing", "link": 3, "attempt": 2, "unreachable": False},
        {"event": "still-dialing", "link": 3, "attempt": 4, "unreachable": True},
    ]


@pytest.mark.parametrize("command", ["call", "join"])
def test_people_are_told_once_that_nobody_answers_and_again_if_it_gets_worse(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    call = PlainOutput(Screen(), verbose=False, numbered=False)
    join = PlainGroupOutput(Screen(), verbose=False, numbered=False)

    def attempt(number: int, *, unreachable: bool) -> list[str]:
        if command == "call":
            call.still_dialing(Conversation(3, AT), number, unreachable=unreachable)
        else:
            join.still_dialing(AT, StillDialing(3, 0, number, unreachable=unreachable))
        return told(capsys)

    assert attempt(2, unreachable=False) == []
    found = [line for number in range(3, 12) for line in attempt(number, unreachable=False)]
    assert found == [f"No answer from {AT} yet. Still trying; Ctrl-C gives up."]
    found = [line for number in range(12, 20) for line in attempt(number, unreachable=True)]
    assert found == [f"Nothing seems to listen at {AT} yet. Still trying; Ctrl-C gives up."]
    assert attempt(20, unreachable=False) == []

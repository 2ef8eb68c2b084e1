"""What programs and people are told, and how fast."""

from __future__ import annotations

import json
from typing import Any

import pytest
from chat_support import Run, make_caller

from palaver import (
    Closed,
    ConversationOpened,
    Delivered,
    Dialing,
    Event,
    Finished,
    Notice,
    Overdue,
    Pause,
    Reason,
    Resume,
    Said,
    Side,
    StillDialing,
    Writable,
)
from palaver_io.cli.inbox import PAUSE_ABOVE, RESUME_BELOW, Inbox
from palaver_io.cli.outgoing import Policy

# Words for people


def test_json_events_and_their_keys() -> None:
    run = make_caller()
    run.tell(StillDialing(1, 0, 2, unreachable=True))
    run.open(1, "Ann", ref=0)
    run.type("one", "two")
    run.tell(Overdue(1, 1), Delivered(1, 1), Said(1, "hi"), Writable(1), Finished(1))
    run.tell(Closed(1, 0, Reason.RESET, Side.PEER, "bye"))
    link: dict[str, Any] = {"link": 1}
    peer = {"address": "10.0.0.1:5000", "name": "Ann"}
    assert [json.loads(line) for line in run.screen.lines] == [
        {"event": "dialing", **link, "address": "10.0.0.1:5000"},
        {"event": "still-dialing", **link, "attempt": 2, "unreachable": True},
        {"event": "opened", **link, **peer, "inbound": False},
        {"event": "overdue", **link, "line": 1},
        {"event": "delivered", **link, "line": 1},
        {"event": "message", **link, **peer, "text": "hi"},
        {"event": "writable", **link},
        {"event": "finished", **link},
        {"event": "undelivered", **link, "line": 2, "reason": "reset"},
        {
            "event": "closed",
            **link,
            "reason": "reset",
            "by": "peer",
            "text": "bye",
            "clean": False,
        },
    ]


def _hear(policy: Policy, *notices: Notice) -> list[str]:
    run = Run(policy, plain=True)
    run.tell(*notices)
    return run.screen.notes


@pytest.mark.parametrize(
    ("reason", "by", "words"),
    [
        (Reason.LEFT, Side.PEER, "Ann ended the conversation."),
        (Reason.LEFT, Side.LOCAL, "You ended the conversation with Ann."),
        (Reason.SHUTTING_DOWN, Side.PEER, "Ann shut down, which ended the conversation."),
        (Reason.ABORTED, Side.PEER, "Ann broke the conversation off."),
        (Reason.DEAD, Side.LOCAL, "Ann does not answer any more: the conversation is over."),
        (Reason.RESET, Side.PEER, "Ann was restarted: the conversation is over."),
        (200, Side.PEER, "The conversation with Ann was ended by the other side: reason-200."),
    ],
)
def test_people_are_told_who_ended_it_and_why(reason: int, by: Side, words: str) -> None:
    opened = ConversationOpened(1, None, ("10.0.0.1", 1), "Ann")
    assert _hear(Policy(is_caller=False), opened, Closed(1, None, reason, by))[-1] == words


def test_what_the_peer_says_at_the_end_is_escaped() -> None:
    opened = ConversationOpened(1, None, ("10.0.0.1", 1), "Ann")
    closed = Closed(1, None, Reason.LEFT, Side.PEER, "bye\x1b[2J")
    told = _hear(Policy(is_caller=False), opened, closed)
    assert told[-1] == r"Ann ended the conversation. (bye\x1b[2J)"


def test_a_call_that_takes_long_is_told_once_and_again_if_it_looks_worse() -> None:
    dialing = [Dialing(1, 0, ("10.0.0.1", 1))]
    attempts = [StillDialing(1, 0, attempt, attempt > 6) for attempt in range(2, 12)]
    told = _hear(Policy(is_caller=True), *dialing, *attempts)
    assert told == [
        "Calling 10.0.0.1:1 ...",
        "No answer from 10.0.0.1:1 yet. Still trying; Ctrl-C gives up.",
        "Nothing seems to listen at 10.0.0.1:1 yet. Still trying; Ctrl-C gives up.",
    ]


# The queue in front of it


def test_a_peer_that_says_more_than_is_printed_must_wait() -> None:
    inbox = Inbox((Said,))
    requests = [inbox.put_notice(Said(1, str(number))) for number in range(PAUSE_ABOVE + 3)]
    assert requests == [None] * PAUSE_ABOVE + [Pause(1), None, None]
    commands: list[Event] = []
    for number in range(PAUSE_ABOVE + 3):
        assert inbox.get(commands.append) == Said(1, str(number))
        assert commands == ([Resume(1)] if PAUSE_ABOVE + 2 - number < RESUME_BELOW else [])
    assert inbox.is_empty


def test_what_was_held_back_can_be_too_much_again() -> None:
    inbox = Inbox((Said,))
    for number in range(PAUSE_ABOVE + 1):
        inbox.put_notice(Said(1, str(number)))
    commands: list[Event] = []

    def perform(command: Event) -> None:
        commands.append(command)
        if isinstance(command, Resume):
            for _ in range(PAUSE_ABOVE):
                assert inbox.put_notice(Said(1, "held back")) is None

    for _ in range(PAUSE_ABOVE):
        inbox.get(perform)
        if commands:
            break
    assert commands == [Resume(1), Pause(1)]

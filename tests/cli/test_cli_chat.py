"""The logic of a chat: lines, ends of input, ends."""

from __future__ import annotations

import pytest
from chat_support import make_caller, make_listener

from palaver import (
    Closed,
    Delivered,
    Finish,
    Finished,
    Leave,
    Reason,
    Said,
    Say,
    Side,
    Undelivered,
    UsageError,
    WouldBlock,
    Writable,
)

# Lines


def test_nothing_is_lost_when_the_queue_is_full() -> None:
    run = make_caller()
    run.open(1, ref=0)
    run.refusals = [WouldBlock(), WouldBlock()]
    run.type("one", "two", "exit")
    assert run.take() == []
    assert not run.chat.wants_line
    run.tell(Said(1, "no room for anything else yet"))
    assert len(run.refusals) == 1
    run.tell(Writable(1))
    assert run.take() == []
    run.tell(Writable(1))
    assert run.take() == [Say(1, "one", 1), Say(1, "two", 2)]
    run.tell(Delivered(1, 1))
    assert run.take() == []
    run.tell(Delivered(1, 2))
    assert run.take() == [Leave(1)]
    run.close(1, by=Side.LOCAL)
    assert (run.chat.is_over, run.chat.status) == (True, 0)


def test_a_line_that_waits_for_room_is_for_nobody_else() -> None:
    run = make_listener(2, keep_open=True)
    run.open(1, "Ann")
    run.open(2, "Bob")
    run.tell(Said(1, "hi"))
    run.refusals = [WouldBlock()]
    run.type("for Ann")
    run.tell(Said(2, "me too"))
    run.tell(Writable(1))
    assert run.take() == [Say(1, "for Ann", 1)]
    run.refusals = [WouldBlock()]
    run.type("for Bob")
    run.close(2)
    assert run.take() == []
    assert run.events("unsent") == [
        {"event": "unsent", "line": 2, "problem": "the conversation is over"}
    ]
    assert run.chat.status == 3


def test_a_line_that_the_machine_refuses_is_told() -> None:
    run = make_caller()
    run.open(1, ref=0)
    run.refusals = [UsageError("too large for the peer")]
    run.type("big", "small")
    assert run.take() == [Say(1, "small", 2)]
    assert run.events("unsent")[0]["problem"] == "too large for the peer"
    assert run.chat.status == 3


def test_a_line_goes_to_whom_the_prompt_showed() -> None:
    run = make_listener(3, is_interactive=True)
    run.open(1, "Ann")
    run.open(2, "Bob")
    run.tell(Said(2, "hi"))
    run.type("for Ann", target=1)
    run.type("@Bob hi", target=1)
    assert run.take() == [Say(1, "for Ann", 1), Say(2, "hi", 2)]
    run.tell(Delivered(1, 1))
    run.close(1)
    run.type("too late", target=1)
    assert run.take() == []
    assert run.events("unsent")[0]["line"] == 3
    assert run.chat.status == 0  # a person sees it, and can say it again


def test_what_a_script_says_waits_for_the_next_caller() -> None:
    run = make_listener(keep_open=True)
    wanted = [run.chat.wants_line]
    run.open(1)
    wanted.append(run.chat.wants_line)
    run.type("one", "exit")
    wanted.append(run.chat.wants_line)
    assert wanted == [False, True, False]
    run.type("two")
    run.tell(Delivered(1, 1))
    assert run.take() == [Say(1, "one", 1), Leave(1)]
    run.close(1, by=Side.LOCAL)
    run.open(2)
    assert run.take() == [Say(2, "two", 3)]


def test_what_a_person_says_to_nobody_is_refused() -> None:
    run = make_listener(is_interactive=True)
    run.type("hello?")
    assert run.events("unsent")[0]["problem"] == "nobody is here"
    run.type("Exit")
    assert (run.chat.is_over, run.chat.status) == (True, 0)


def test_what_a_person_says_during_a_call_is_for_who_answers() -> None:
    run = make_caller(is_interactive=True)
    run.type("hello")
    assert run.take() == []
    run.open(1, ref=0)
    assert run.take() == [Say(1, "hello", 1)]


def test_what_waits_for_a_call_that_fails_is_told() -> None:
    run = make_caller(is_interactive=True)
    run.type("hello")
    run.close(1, Reason.NO_ANSWER, Side.LOCAL)
    assert run.events("unsent")[0]["line"] == 1
    assert (run.chat.is_over, run.chat.status) == (True, 3)


def test_exit_cancels_a_call() -> None:
    run = make_caller(is_interactive=True)
    run.type("exit")
    assert run.take() == [Leave(1)]
    run.close(1, Reason.CANCELLED, Side.LOCAL)
    assert (run.chat.is_over, run.chat.status) == (True, 0)


def test_exit_cancels_a_call_also_behind_lines_that_wait_for_its_answer() -> None:
    run = make_caller(is_interactive=True)
    run.type("hello", "exit")
    assert run.take() == [Leave(1)]
    run.close(1, Reason.CANCELLED, Side.LOCAL)
    assert [event["line"] for event in run.events("unsent")] == [1]
    assert (run.chat.is_over, run.chat.status) == (True, 3)


def test_exit_in_a_script_waits_for_the_answer_as_the_lines_before_it_do() -> None:
    run = make_caller()
    run.type("hello", "exit")
    assert run.take() == []
    run.open(1, ref=0)
    assert run.take() == [Say(1, "hello", 1)]
    run.tell(Delivered(1, 1))
    assert run.take() == [Leave(1)]


def test_a_person_who_exits_leaves_at_once() -> None:
    run = make_caller(is_interactive=True)
    run.open(1, ref=0)
    run.type("one", "exit", "too late")
    assert run.take() == [Say(1, "one", 1), Leave(1)]
    assert run.events("unsent")[0]["line"] == 3


# Ends of input


def test_a_caller_leaves_when_all_has_arrived() -> None:
    run = make_caller()
    run.open(1, ref=0)
    run.type("one")
    run.end_input()
    assert run.take() == [Say(1, "one", 1)]
    run.tell(Delivered(1, 1))
    assert run.take() == [Leave(1)]


def test_a_caller_with_nothing_to_say_leaves_when_it_is_answered() -> None:
    run = make_caller()
    run.end_input()
    assert run.take() == []
    run.open(1, ref=0)
    assert run.take() == [Leave(1)]


@pytest.mark.parametrize("finished_first", [True, False])
def test_a_waiting_caller_leaves_when_both_have_finished(finished_first: bool) -> None:
    run = make_caller(wait=True)
    run.open(1, ref=0)
    run.type("one")
    if finished_first:
        run.tell(Finished(1))
    run.end_input()
    assert run.take() == [Say(1, "one", 1), Finish(1)]
    run.tell(Delivered(1, 1))
    if not finished_first:
        assert run.take() == []
        run.tell(Finished(1))
    assert run.take() == [Leave(1)]


def test_a_listener_finishes_with_everybody_who_comes() -> None:
    run = make_listener(3)
    run.open(1)
    run.open(2)
    run.end_input()
    assert run.take() == [Finish(1), Finish(2)]
    run.open(3)
    assert run.take() == [Finish(3)]
    run.tell(Finished(1))
    assert run.take() == []


# Ends


@pytest.mark.parametrize(
    ("reason", "by", "status"),
    [
        (Reason.LEFT, Side.PEER, 0),
        (Reason.LEFT, Side.LOCAL, 0),
        (Reason.SHUTTING_DOWN, Side.PEER, 0),
        (Reason.DEAD, Side.LOCAL, 1),
        (Reason.RESET, Side.PEER, 1),
        (Reason.ABORTED, Side.PEER, 1),
        (Reason.PROTOCOL_ERROR, Side.LOCAL, 1),
        (200, Side.PEER, 1),
    ],
)
def test_how_it_ended_is_the_status(reason: int, by: Side, status: int) -> None:
    run = make_caller()
    run.open(1, ref=0)
    run.close(1, reason, by)
    assert (run.chat.is_over, run.chat.status) == (True, status)


@pytest.mark.parametrize("reason", [Reason.NO_ANSWER, Reason.BUSY, Reason.WRONG_ROLE])
def test_a_call_that_fails(reason: Reason) -> None:
    run = make_caller()
    run.close(1, reason)
    assert (run.chat.is_over, run.chat.status) == (True, 1)


def test_what_was_not_delivered_is_the_status_however_it_ended() -> None:
    run = make_caller()
    run.open(1, ref=0)
    run.type("one")
    run.tell(Undelivered(1, 1, Reason.DEAD))
    run.close(1, Reason.DEAD, Side.LOCAL)
    assert run.chat.status == 3
    assert run.events("undelivered") == [
        {"event": "undelivered", "link": 1, "line": 1, "reason": "dead"}
    ]


def test_a_line_said_after_an_end_of_which_nobody_knew_is_undelivered() -> None:
    run = make_caller()
    run.open(1, ref=0)
    run.type("too late")
    run.tell(Closed(1, None, Reason.LEFT, Side.PEER), Undelivered(1, 1, Reason.LEFT))
    assert [one["line"] for one in run.events("undelivered")] == [1]
    assert run.chat.status == 3


def test_a_line_that_was_read_too_late_counts() -> None:
    run = make_caller()
    run.open(1, ref=0)
    run.close(1)
    run.type("in flight")
    assert run.events("unsent")[0]["line"] == 1
    assert run.chat.status == 3


def test_stopping_leaves_everybody_and_turns_newcomers_away() -> None:
    run = make_listener(3, keep_open=True)
    run.open(1)
    run.open(2)
    run.chat.stop(130)
    assert run.take() == [Leave(1), Leave(2)]
    run.open(3)
    assert run.take() == [Leave(3, Reason.SHUTTING_DOWN)]
    run.close(1, by=Side.LOCAL)
    assert not run.chat.is_over
    run.close(2, by=Side.LOCAL)
    run.close(3, by=Side.LOCAL)
    assert (run.chat.is_over, run.chat.status) == (True, 130)
    assert [one["link"] for one in run.events("closed")] == [1, 2]

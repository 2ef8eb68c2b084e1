"""Two people in plain text: every state with every input, and the rules of appendix A."""

from __future__ import annotations

from typing import Any

import pytest

from palaver import (
    Abort,
    Action,
    Call,
    Closed,
    Datagram,
    Dialing,
    Disconnect,
    Event,
    Finish,
    Leave,
    Pause,
    Reason,
    Resume,
    Said,
    Say,
    Side,
    StillDialing,
    StreamEnded,
    Tick,
    Transmit,
    Undelivered,
    Unreachable,
    UsageError,
    WouldBlock,
    Writable,
)
from palaver.link.events import Send
from palaver.machine import Chunk, Hold, OpenStream, StreamBlocked, StreamOpened
from palaver.roles.plain.events import Missed, PlainOpened, Sent, Stalled, Unheard
from palaver.roles.plain.pair import PlainPair
from palaver.roles.plain.rules import PlainRules
from palaver.roles.plain.states import TALK_TABLE, TalkInput, TalkState
from palaver.wire.sealing import CLEAR

ANN, BOB, EVE = ("10.0.0.1", 1), ("10.0.0.2", 2), ("10.0.0.3", 3)
RULES = PlainRules()


class Run:
    """A machine, its time, and what it did."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - of the machine
        self.pair = PlainPair(**options)
        self.now = 0.0

    def do(self, event: Event) -> list[Action]:
        """Hand an event in, and tick as drivers do; give what came of it."""
        actions = self.pair.handle(event, self.now)
        while self.pair.deadline is not None and self.pair.deadline <= self.now:
            actions += self.pair.handle(Tick(), self.now)
        return actions

    def hear(self, data: bytes, source: tuple[str, int] = ANN) -> list[Action]:
        return self.do(Datagram(data, source))

    def wait(self, seconds: float) -> list[Action]:
        """Let time pass, as a driver does that sleeps until each deadline."""
        until, actions = self.now + seconds, []
        while self.pair.deadline is not None and self.pair.deadline <= until:
            self.now = max(self.now, self.pair.deadline)
            actions += self.pair.handle(Tick(), self.now)
        self.now = until
        return actions


def sent(actions: list[Action]) -> list[bytes]:
    return [one.data for one in actions if isinstance(one, Transmit)]


def only(actions: list[Action], kind: type[Action]) -> list[Any]:
    return [one for one in actions if isinstance(one, kind)]


# Every state with every input


def make(state: TalkState, *, streams: bool) -> Run:
    """Give a machine whose conversation -2 is in `state`; it has ended one before."""
    run = Run(streams=streams)
    run.pair._last = -1
    run.do(Call(ANN, 7, 60.0))
    if streams and state is not TalkState.CONNECTING:
        run.do(StreamOpened(ANN))
    if state is TalkState.HEARD:
        run.do(Chunk(b"hello\n", ANN) if streams else Datagram(b"hello", ANN))
    elif state is TalkState.PARTING:
        if streams:
            run.do(StreamBlocked(ANN, is_blocked=True))
        run.do(Leave(-2))
    assert run.pair._talks[-2].state is state
    return run


def cause(what: TalkInput, *, streams: bool) -> Event:
    return {
        TalkInput.OPENED: StreamOpened(ANN),
        TalkInput.TEXT: Chunk(b"text\n", ANN) if streams else Datagram(b"text", ANN),
        TalkInput.EXIT: Chunk(b"exit\n", ANN) if streams else Datagram(b"exit", ANN),
        TalkInput.SAY: Say(-2, "say", 9),
        TalkInput.LEAVE: Leave(-2),
        TalkInput.ABORT: Abort(-2),
        TalkInput.HINT: Unreachable(ANN),
        TalkInput.CUT: StreamEnded(ANN),
    }[what]


TIMED = {TalkInput.RETRY, TalkInput.LATE, TalkInput.SILENT, TalkInput.PARTED}
TOLD = {
    "open": PlainOpened,
    "hear": Said,
    "say": Sent,
    "refuse": Undelivered,
    "tell_hint": Unheard,
    "retry": OpenStream,
    "cancel": Closed,
    "give_up": Closed,
    "be_left": Closed,
    "be_cut": Closed,
    "break_off": Closed,
    "fade": Closed,
    "part": Closed,
}


@pytest.mark.parametrize("streams", [False, True], ids=["datagrams", "streams"])
@pytest.mark.parametrize("what", TalkInput, ids=lambda what: what.name)
@pytest.mark.parametrize("state", set(TalkState) - {TalkState.OVER}, ids=lambda state: state.name)
def test_every_input_in_every_state_does_what_the_table_says(
    state: TalkState, what: TalkInput, *, streams: bool
) -> None:
    if state is TalkState.CONNECTING and not streams:
        return
    run = make(state, streams=streams)
    talk = run.pair._talks[-2]
    odd = run.pair.counts["odd"]
    if what in TIMED:
        actions: list[Action] = []
        run.pair.step(talk, what, "", run.now, actions)
    else:
        if what is TalkInput.SAY and state is TalkState.CONNECTING:
            with pytest.raises(UsageError, match="wait for PlainOpened"):
                run.do(cause(what, streams=streams))
            return
        actions = run.do(cause(what, streams=streams))
    row = TALK_TABLE.get((state, what))
    if row is None:
        assert run.pair.counts["odd"] == odd + (what is not TalkInput.CUT or not run.pair.is_idle)
        assert not only(actions, Said)
        assert talk.state is state
        return
    action, after = row
    if action in TOLD:
        assert only(actions, TOLD[action]), actions
    if what is TalkInput.LEAVE and after is TalkState.PARTING:
        assert sent(actions) == ([b"exit\n"] if streams and state.name == "HEARD" else [b"exit"])
        # Who was heard, or has a stream, does not wait.
        assert run.pair.is_idle == (streams or state is TalkState.HEARD)
    else:
        assert talk.state is after
    assert run.pair.is_idle == (talk.state is TalkState.OVER)
    if talk.state is TalkState.OVER:
        assert run.do(Say(-2, "late", 3)) == [Undelivered(-2, 3, Reason.LEFT)]
        assert run.do(Leave(-2)) == run.do(Abort(-2)) == run.do(Finish(-2)) == []


def test_a_row_that_is_taken_out_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in list(TALK_TABLE):
        state, what = key
        for streams in (True, False):
            if state is TalkState.CONNECTING and not streams:
                continue
            with monkeypatch.context() as patch:
                patch.delitem(TALK_TABLE, key)
                run = make_without(state, streams=streams)
                if run is None:
                    continue
                before = run.pair.counts["odd"]
                out: list[Action] = []
                subject = Say(-2, "x") if what is TalkInput.SAY else Leave(-2)
                run.pair.step(run.pair._talks[-2], what, subject, 0.0, out)
                assert run.pair.counts["odd"] == before + 1
                assert not out


def make_without(state: TalkState, *, streams: bool) -> Run | None:
    run = Run(streams=streams)
    run.pair._last = -1
    run.do(Call(ANN, 7))
    run.pair._talks[-2].state = state
    return run


# A.1


@pytest.mark.smoke
@pytest.mark.spec("T-1", "T-4", "T-5")
def test_a_listener_and_a_caller_talk_and_exit_ends_it_for_both() -> None:
    bob, ann = Run(), Run(accept=False)
    assert ann.do(Call(BOB, 5)) == [Dialing(-1, 5, BOB), PlainOpened(-1, 5, BOB)]
    assert ann.do(Say(-1, "hello", 6)) == [Transmit(b"hello", BOB), Sent(-1, 6)]
    assert bob.hear(b"hello") == [PlainOpened(-1, None, ANN), Said(-1, "hello")]
    assert bob.do(Say(-1, "hi", 1)) == [Transmit(b"hi", ANN), Sent(-1, 1)]
    assert ann.hear(b"hi", BOB) == [Said(-1, "hi")]
    told = ann.do(Leave(-1))
    assert told == [Transmit(b"exit", BOB), Closed(-1, 5, Reason.LEFT, Side.LOCAL)]
    assert told[1].clean  # type: ignore[attr-defined]
    assert bob.hear(b"exit") == [Closed(-1, None, Reason.LEFT, Side.PEER)]
    assert ann.pair.is_idle
    assert bob.pair.is_idle


@pytest.mark.spec("T-4")
@pytest.mark.parametrize("word", [b"exit", b"EXIT\n", b"Exit\r\n", b" exit"])
def test_exit_is_not_answered_and_not_shown(word: bytes) -> None:
    run = Run()
    run.hear(b"hi\n")
    assert run.hear(word) == [Closed(-1, None, Reason.LEFT, Side.PEER)]
    assert run.wait(100) == []


@pytest.mark.spec("T-1")
@pytest.mark.parametrize("data", [b"\xff\xfe", b"\xfc too short", b"\x00", b"", b"\xe2\x82"])
def test_no_bytes_are_fatal(data: bytes) -> None:
    run = Run()
    assert only(run.hear(data), Said) == [Said(-1, data.decode(errors="replace"))]


@pytest.mark.spec("T-12")
def test_a_packet_of_palaver_is_no_text() -> None:
    run = Run()
    assert run.hear(CLEAR.seal(b"\xf8 and so on, until it is long enough")) == []
    assert run.pair.stats()["foreign"] == 1
    assert run.pair.is_idle


@pytest.mark.spec("T-2")
def test_texts_end_as_the_peer_ends_its_own() -> None:
    run = Run()
    run.hear(b"hi\n")
    assert sent(run.do(Say(-1, "a"))) == [b"a\n"]
    run.hear(b"hi")
    assert sent(run.do(Say(-1, "b"))) == [b"b"]
    run.hear(b"hi\r\n")
    assert sent(run.do(Leave(-1))) == [b"exit\n"]


@pytest.mark.spec("T-2")
def test_what_is_sent_to_somebody_who_has_said_nothing() -> None:
    run = Run()
    run.do(Call(ANN))
    assert sent(run.do(Say(-1, "a"))) == [b"a"]
    assert sent(run.do(Leave(-1))) == [b"exit"]
    run = Run(streams=True)
    run.do(Call(ANN))
    run.do(StreamOpened(ANN))
    assert sent(run.do(Say(-1, "a"))) == [b"a\n"]
    assert sent(run.do(Leave(-1))) == [b"exit"]


@pytest.mark.spec("T-3")
def test_a_text_that_does_not_fit_is_refused_before_anything_changes() -> None:
    run = Run()
    run.do(Call(ANN))
    key = run.pair.state_key(0.0)
    with pytest.raises(UsageError, match="1,025 bytes"):
        run.do(Say(-1, "x" * 1025))
    with pytest.raises(UsageError, match="surrogate"):
        run.do(Say(-1, "\ud800"))
    assert run.pair.state_key(0.0) == key
    assert sent(run.do(Say(-1, "x" * 1024))) == [b"x" * 1024]


def test_lines_on_a_stream_are_texts_and_so_is_a_rest_after_a_pause() -> None:
    run = Run(streams=True)
    assert run.do(StreamOpened(ANN)) == [PlainOpened(-1, None, ANN)]
    assert run.do(Chunk(b"one\ntwo\r\nthr", ANN)) == [Said(-1, "one"), Said(-1, "two")]
    assert run.wait(RULES.pause * 0.9) == []
    assert run.do(Chunk(b"ee", ANN)) == []
    assert run.wait(RULES.pause * 0.9) == []
    assert run.wait(RULES.pause * 0.2) == [Said(-1, "three")]
    assert run.wait(1000) == []


def test_a_character_that_is_cut_between_chunks_is_whole() -> None:
    run = Run(streams=True)
    run.do(StreamOpened(ANN))
    data = "€\n".encode()
    assert run.do(Chunk(data[:1], ANN)) == []
    assert run.do(Chunk(data[1:], ANN)) == [Said(-1, "€")]


def test_the_end_of_a_stream_ends_the_conversation_after_the_rest() -> None:
    run = Run(streams=True)
    run.do(StreamOpened(ANN))
    run.do(Chunk(b"bye", ANN))
    told = run.do(StreamEnded(ANN))
    assert only(told, Said) == [Said(-1, "bye")]
    assert only(told, Closed) == [Closed(-1, None, Reason.LEFT, Side.PEER)]


def test_a_very_long_line_comes_in_pieces_and_costs_no_more_memory() -> None:
    run = Run(streams=True)
    run.do(StreamOpened(ANN))
    said: list[str] = []
    text = "äb€" * 20000
    for place in range(0, len(text.encode()), 1000):
        told = run.do(Chunk(text.encode()[place : place + 1000], ANN))
        said += [one.text for one in only(told, Said)]
        splitter = run.pair._talks[-1].splitter
        assert splitter is not None
        assert len(splitter.key()) <= RULES.piece
    said += [one.text for one in only(run.do(Chunk(b"\n", ANN)), Said)]
    assert "".join(said) == text
    assert max(len(one.encode()) for one in said) <= RULES.piece


# A.2


@pytest.mark.spec("T-5")
def test_who_is_silent_makes_place_and_who_is_not_does_not() -> None:
    run = Run()
    run.hear(b"hi", ANN)
    run.now = RULES.yields_after - 1
    assert run.hear(b"hi", EVE) == []
    assert run.pair.stats()["busy"] == 1
    run.hear(b"hi again", ANN)
    run.now += RULES.yields_after
    assert run.hear(b"hi", EVE) == [
        PlainOpened(-2, None, EVE),
        Closed(-1, None, Reason.DEAD, Side.LOCAL),
        Said(-2, "hi"),
    ]


@pytest.mark.spec("T-5")
def test_who_is_unreachable_makes_place_at_once_and_who_speaks_again_does_not() -> None:
    run = Run()
    run.hear(b"hi", ANN)
    assert run.do(Unreachable(ANN)) == [Unheard(-1)]
    assert run.do(Unreachable(ANN)) == []
    run.hear(b"still here", ANN)
    assert run.hear(b"hi", EVE) == []
    run.do(Unreachable(ANN))
    assert only(run.hear(b"hi", EVE), PlainOpened) == [PlainOpened(-2, None, EVE)]
    assert run.pair.stats()["talks"] == 1


@pytest.mark.spec("T-5")
def test_who_is_silent_for_long_is_forgotten_but_not_whom_we_called() -> None:
    run = Run()
    run.hear(b"hi", ANN)
    assert run.wait(RULES.silence - 1) == []
    assert run.wait(2) == [Closed(-1, None, Reason.DEAD, Side.LOCAL)]
    run = Run()
    run.do(Call(ANN))
    run.hear(b"hi", ANN)
    assert run.wait(10 * RULES.silence) == []


@pytest.mark.spec("T-5")
def test_strangers_take_so_many_places_and_no_more() -> None:
    run = Run(max_conversations=3)
    for port in range(100):
        run.hear(b"hi", ("10.9.9.9", port))
    assert run.pair.stats()["talks"] == 3
    run = Run(accept=False)
    assert run.hear(b"hi", EVE) == []
    run = Run(streams=True)
    run.do(StreamOpened(ANN))
    run.now = 1000.0
    assert run.do(StreamOpened(EVE)) == [Disconnect(EVE)]


@pytest.mark.spec("T-5")
def test_who_is_being_left_keeps_its_place_until_that_is_done() -> None:
    run = Run()
    run.hear(b"x")
    for _ in range(RULES.answers + 1):
        run.do(Say(-1, "y"))
        run.wait(0.1)
    run.do(Leave(-1))
    run.do(Unreachable(ANN))
    assert run.hear(b"hi", EVE) == []
    run.wait(RULES.flush)
    assert only(run.hear(b"hi", EVE), Said)


@pytest.mark.spec("T-6")
def test_an_address_that_proves_nothing_is_sent_so_much_for_each_datagram() -> None:
    run = Run()
    run.hear(b"x")
    told: list[Action] = []
    for number in range(RULES.answers + 10):
        told += run.do(Say(-1, "y", number))
        told += run.wait(0.1)
    assert len(sent(told)) == RULES.answers
    assert only(told, Stalled) == [Stalled(-1)]
    assert run.wait(60) == []
    assert len(sent(run.hear(b"more"))) == 10
    told = run.do(Leave(-1))
    assert sent(told) == [b"exit"]


@pytest.mark.spec("T-6")
def test_exit_that_is_said_like_any_text_is_counted_and_the_last_one_is_not() -> None:
    run = Run()
    run.hear(b"x")
    told: list[Action] = []
    for number in range(RULES.answers + 10):
        told += run.do(Say(-1, "exit", number)) + run.wait(0.1)
    assert len(sent(told)) == RULES.answers
    assert only(told, Stalled) == [Stalled(-1)]
    run.hear(b"more")
    assert sent(run.do(Leave(-1))) == [b"exit"]


@pytest.mark.spec("T-6")
def test_the_bytes_are_bounded_too_and_nothing_is_saved_up_for_ever() -> None:
    run = Run()
    run.hear(b"x")
    told: list[Action] = []
    for _ in range(20):
        told += run.do(Say(-1, "y" * 1024)) + run.wait(0.1)
    assert sum(map(len, sent(told))) == RULES.answer_bytes
    run = Run()
    for _ in range(100):
        run.hear(b"x")
    told = []
    for _ in range(RULES.answers_kept * RULES.answers + RULES.queue):
        told += run.do(Say(-1, "y")) + run.wait(0.1)
    with pytest.raises(WouldBlock):
        run.do(Say(-1, "y"))
    assert len(sent(told)) == RULES.answers_kept * RULES.answers


@pytest.mark.spec("T-6")
def test_exit_can_be_said_when_nothing_else_can() -> None:
    run = Run()
    run.hear(b"x")
    for _ in range(RULES.answers):
        run.do(Say(-1, "y"))
        run.wait(0.1)
    assert sent(run.do(Leave(-1))) == [b"exit"]


def test_what_can_not_be_sent_in_time_is_told_when_we_leave() -> None:
    run = Run()
    run.hear(b"x")
    for _ in range(RULES.answers):
        run.do(Say(-1, "y"))
        run.wait(0.1)
    run.do(Say(-1, "z", 5))
    run.do(Leave(-1))
    told = run.wait(RULES.flush + 0.1)
    assert Undelivered(-1, 5, Reason.LEFT) in told
    (closed,) = only(told, Closed)
    assert not closed.clean


def test_texts_go_out_at_a_pace_and_a_full_queue_blocks_until_it_is_half_empty() -> None:
    run = Run()
    run.do(Call(ANN))
    told: list[Action] = []
    for number in range(RULES.pace_burst + RULES.queue):
        told += run.do(Say(-1, f"{number}", number))
    with pytest.raises(WouldBlock):
        run.do(Say(-1, "too much"))
    assert len(sent(told)) == RULES.pace_burst
    later = run.wait(1.0)
    assert only(later, Writable) == [Writable(-1)]
    assert sent(told) + sent(later) == [
        b"%d" % number for number in range(RULES.pace_burst + RULES.queue)
    ]


def test_a_stream_that_takes_nothing_blocks_and_is_not_lost() -> None:
    run = Run(streams=True)
    run.do(Call(ANN))
    run.do(StreamOpened(ANN))
    assert run.do(StreamBlocked(ANN, is_blocked=True)) == []
    for number in range(RULES.queue):
        assert run.do(Say(-1, f"{number}", number)) == []
    with pytest.raises(WouldBlock):
        run.do(Say(-1, "too much"))
    told = run.do(StreamBlocked(ANN, is_blocked=False))
    assert sent(told) == [b"%d\n" % number for number in range(RULES.queue)]
    assert told[-1] == Writable(-1)


def test_a_call_over_a_stream_is_tried_again_until_somebody_is_there() -> None:
    run = Run(streams=True, accept=False)
    assert run.do(Call(ANN, 3)) == [Dialing(-1, 3, ANN), OpenStream(ANN)]
    times = []
    for _ in range(12):
        run.do(Unreachable(ANN))
        run.do(StreamEnded(ANN))
        began = run.now
        assert run.pair.deadline is not None
        told = run.wait(run.pair.deadline - run.now)
        assert only(told, OpenStream) == [OpenStream(ANN)]
        assert only(told, StillDialing)[0].unreachable
        times.append(run.now - began)
    assert times[:3] == pytest.approx([0.25, 0.5, 1.0])
    assert times[-1] == RULES.retry_max
    assert run.do(StreamOpened(ANN)) == [PlainOpened(-1, 3, ANN)]


@pytest.mark.parametrize("streams", [False, True])
def test_a_call_that_is_not_answered_in_time_is_given_up(*, streams: bool) -> None:
    run = Run(streams=streams)
    run.do(Call(ANN, 3, 4.0))
    told = run.wait(4.1)
    assert only(told, Closed) == [Closed(-1, 3, Reason.NO_ANSWER, Side.LOCAL)]
    run = Run()
    run.do(Call(ANN, 3, 4.0))
    run.hear(b"here")
    assert run.wait(100) == []


def test_a_caller_waits_a_moment_for_word_that_nobody_was_there() -> None:
    run = Run()
    run.do(Call(ANN, 3))
    assert only(run.do(Leave(-1)), Closed) == []
    run.do(Unreachable(ANN))
    told = run.wait(RULES.farewell)
    assert told == [Closed(-1, 3, Reason.NO_ANSWER, Side.LOCAL)]
    run = Run()
    run.do(Call(ANN, 3))
    run.do(Leave(-1))
    assert run.wait(RULES.farewell) == [Closed(-1, 3, Reason.LEFT, Side.LOCAL)]


def test_who_was_heard_has_answered_even_if_it_is_unreachable_now() -> None:
    run = Run(accept=False)
    run.do(Call(ANN, 3))
    run.hear(b"hi")
    run.do(Unreachable(ANN))
    assert only(run.do(Leave(-1)), Closed) == [Closed(-1, 3, Reason.LEFT, Side.LOCAL)]


def test_a_paused_program_is_told_later_in_order_and_what_was_dropped() -> None:
    run = Run()
    run.hear(b"first")
    run.do(Pause(-1))
    for number in range(RULES.unread + 7):
        assert run.hear(b"%d" % number) == []
    assert run.hear(b"exit") == []
    told = run.do(Resume(-1))
    assert [one.text for one in only(told, Said)] == [f"{n}" for n in range(RULES.unread)]
    assert only(told, Missed) == [Missed(-1, 7)]
    assert isinstance(told[-1], Closed)


def test_while_the_program_has_paused_nothing_is_kept_behind_the_end() -> None:
    run = Run()
    run.hear(b"hi")
    run.do(Pause(-1))
    for _ in range(RULES.unread):
        assert run.hear(b"exit" + b" " * 60000) == []
        assert run.hear(b"more") == []
    assert run.pair.stats()["kept"] == 1
    (closed,) = run.do(Resume(-1))
    assert closed == Closed(-1, None, Reason.LEFT, Side.PEER, graceful=True)


def test_a_paused_program_has_its_stream_held_and_loses_nothing() -> None:
    run = Run(streams=True)
    run.do(StreamOpened(ANN))
    assert run.do(Pause(-1)) == [Hold(ANN, is_held=True)]
    assert run.do(Chunk(b"x\n" * 1000 + b"end", ANN)) == []
    assert run.do(StreamEnded(ANN)) == []
    told = run.do(Resume(-1))
    assert told[0] == Hold(ANN, is_held=False)
    assert [one.text for one in only(told, Said)] == ["x"] * 1000 + ["end"]
    assert isinstance(told[-1], Closed)


def test_a_line_that_is_cut_by_a_pause_of_the_program_is_whole() -> None:
    run = Run(streams=True)
    run.do(StreamOpened(ANN))
    assert run.do(Chunk(b"first\nsec", ANN)) == [Said(-1, "first")]
    run.do(Pause(-1))
    assert run.wait(10 * RULES.pause) == []
    assert run.do(Resume(-1)) == [Hold(ANN, is_held=False)]
    assert run.do(Chunk(b"ond\nthird", ANN)) == [Said(-1, "second")]
    run.do(Pause(-1))
    run.do(Resume(-1))
    assert run.wait(RULES.pause) == [Said(-1, "third")]


def test_texts_that_come_too_fast_are_dropped_and_counted() -> None:
    run = Run()
    said: list[Action] = []
    for _ in range(RULES.rate_burst + 50):
        said += run.hear(b"x")
    assert len(only(said, Said)) == RULES.rate_burst
    run.now += 1.0
    assert Missed(-1, 50) in run.hear(b"x")


def test_a_twin_counts_for_itself() -> None:
    run = Run()
    run.do(Call(ANN))
    twin = run.pair.clone()
    key = run.pair.state_key(0.0)
    for number in range(RULES.pace_burst):
        twin.handle(Say(-1, f"{number}"), 0.0)
        twin.handle(Datagram(b"x", ANN), 0.0)
        twin.handle(Tick(), 0.0)
    assert run.pair.state_key(0.0) == key
    assert twin.state_key(0.0) != key


# Misuse


@pytest.mark.parametrize(
    "event",
    [
        Say(-1, "x"),
        Say(1, "x"),
        Leave(5),
        Pause(-3),
        Call(ANN, 0, 0.0),
        Send(1, b"x"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_misuse_raises_before_anything_changes(event: Event) -> None:
    run = Run()
    key = run.pair.state_key(0.0)
    with pytest.raises(UsageError):
        run.do(event)
    assert run.pair.state_key(0.0) == key


def test_whom_one_talks_to_already_can_not_be_called() -> None:
    run = Run()
    run.hear(b"x", ANN)
    with pytest.raises(UsageError, match="already"):
        run.do(Call(ANN))
    with pytest.raises(UsageError, match="at least 1"):
        PlainPair(max_conversations=0)


@pytest.mark.parametrize(
    ("field", "number"), [("pause", 0.0), ("text", 63), ("text", 65001), ("retry", 6.0)]
)
def test_rules_that_can_not_work_are_refused(field: str, number: float) -> None:
    with pytest.raises(UsageError, match=field):
        PlainRules(**{field: number})  # type: ignore[arg-type]

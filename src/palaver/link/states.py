"""The states of a link as data (PROTOCOL.md, section 8; its tables are made from this file).

Two rules keep this honest:

1. Everything that changes the state of a link goes through `TABLE`, and nothing else does. A
   condition that matters ("all was delivered") is an input like any other.
2. A pair that has no row is ignored and counted. So a row is here only if it does something, and
   taking any row away breaks a test.
"""

from __future__ import annotations

from enum import IntEnum


class State(IntEnum):
    """Where a link is in its life."""

    __hash__ = int.__hash__  # the one of Enum is slow, and the table is asked for each packet

    CALLING = 0
    """The caller sends HELLO until it is answered."""
    WELCOMED = 1
    """The callee has answered and waits for the first packet; users don't see this."""
    OPEN = 2
    """Messages go both ways."""
    CLOSING = 3
    """We have said BYE and wait until all is delivered and the peer has said it too."""
    ANSWERING = 4
    """The peer has said BYE; we deliver what is left and have said BYE too."""
    LAST_ACK = 5
    """Both have said BYE; ours is not acknowledged yet. Over, as far as users see."""
    LINGERING = 6
    """All is acknowledged; we stay to acknowledge repeats. Over, as far as users see."""
    CLOSED = 7
    """The link is gone."""


class Input(IntEnum):
    """What can happen to a link."""

    __hash__ = int.__hash__

    # Commands of the program.
    SEND = 0
    FINISH = 1
    LEAVE = 2
    ABORT = 3
    PAUSE = 4
    RESUME = 5
    # Packets.
    HELLO = 6
    COOKIE = 7
    WELCOME = 8
    REFUSE = 9
    DATA = 10
    RESET = 11
    # What a DATA packet brought.
    FIN = 12
    BYE = 13
    CLOSE = 14
    VIOLATION = 15
    # Timers.
    HELLO_DUE = 16
    NO_ANSWER = 17
    EXPIRED = 18
    DEAD = 19
    FLUSH_TIMEOUT = 20
    LINGERED = 21
    # Conditions.
    FLUSHED = 22
    EXHAUSTED = 23
    CROWDED = 24
    CUT = 25


S, On = State, Input

TABLE: dict[tuple[State, Input], tuple[str, State]] = {
    (S.CALLING, On.SEND): ("queue", S.CALLING),
    (S.CALLING, On.FINISH): ("say_fin", S.CALLING),
    (S.CALLING, On.LEAVE): ("cancel", S.CLOSED),
    (S.CALLING, On.ABORT): ("cancel", S.CLOSED),
    (S.CALLING, On.PAUSE): ("pause", S.CALLING),
    (S.CALLING, On.RESUME): ("resume", S.CALLING),
    (S.CALLING, On.COOKIE): ("present_cookie", S.CALLING),
    (S.CALLING, On.WELCOME): ("be_welcomed", S.OPEN),
    (S.CALLING, On.REFUSE): ("be_refused", S.CLOSED),
    (S.CALLING, On.HELLO_DUE): ("send_hello", S.CALLING),
    (S.CALLING, On.NO_ANSWER): ("give_up", S.CLOSED),
    (S.WELCOMED, On.HELLO): ("repeat_welcome", S.WELCOMED),
    (S.WELCOMED, On.DATA): ("accept", S.OPEN),
    (S.WELCOMED, On.CROWDED): ("turn_away", S.CLOSED),
    (S.WELCOMED, On.EXPIRED): ("vanish", S.CLOSED),
    (S.WELCOMED, On.CUT): ("vanish", S.CLOSED),
    (S.OPEN, On.SEND): ("queue", S.OPEN),
    (S.OPEN, On.FINISH): ("say_fin", S.OPEN),
    (S.OPEN, On.LEAVE): ("say_bye", S.CLOSING),
    (S.OPEN, On.ABORT): ("abort", S.CLOSED),
    (S.OPEN, On.PAUSE): ("pause", S.OPEN),
    (S.OPEN, On.RESUME): ("resume", S.OPEN),
    (S.OPEN, On.HELLO): ("repeat_welcome", S.OPEN),
    (S.OPEN, On.DATA): ("receive", S.OPEN),
    (S.OPEN, On.RESET): ("be_reset", S.CLOSED),
    (S.OPEN, On.FIN): ("note_fin", S.OPEN),
    (S.OPEN, On.BYE): ("answer_bye", S.ANSWERING),
    (S.OPEN, On.CLOSE): ("be_closed", S.CLOSED),
    (S.OPEN, On.VIOLATION): ("fail", S.CLOSED),
    (S.OPEN, On.DEAD): ("fail", S.CLOSED),
    (S.OPEN, On.EXHAUSTED): ("say_bye", S.CLOSING),
    (S.OPEN, On.CUT): ("be_cut_off", S.CLOSED),
    (S.CLOSING, On.SEND): ("refuse_to_queue", S.CLOSING),
    (S.CLOSING, On.ABORT): ("abort", S.CLOSED),
    (S.CLOSING, On.HELLO): ("repeat_welcome", S.CLOSING),
    (S.CLOSING, On.DATA): ("receive", S.CLOSING),
    (S.CLOSING, On.RESET): ("be_reset", S.CLOSED),
    (S.CLOSING, On.FIN): ("note_fin", S.CLOSING),
    (S.CLOSING, On.BYE): ("note_bye", S.CLOSING),
    (S.CLOSING, On.CLOSE): ("be_closed", S.CLOSED),
    (S.CLOSING, On.VIOLATION): ("fail", S.CLOSED),
    (S.CLOSING, On.DEAD): ("fail", S.CLOSED),
    (S.CLOSING, On.FLUSH_TIMEOUT): ("fail", S.CLOSED),
    (S.CLOSING, On.FLUSHED): ("linger", S.LINGERING),
    (S.CLOSING, On.CUT): ("be_cut_off", S.CLOSED),
    (S.ANSWERING, On.SEND): ("refuse_to_queue", S.ANSWERING),
    (S.ANSWERING, On.ABORT): ("abort", S.CLOSED),
    (S.ANSWERING, On.HELLO): ("repeat_welcome", S.ANSWERING),
    (S.ANSWERING, On.DATA): ("receive", S.ANSWERING),
    (S.ANSWERING, On.RESET): ("be_reset", S.CLOSED),
    (S.ANSWERING, On.CLOSE): ("be_closed", S.CLOSED),
    (S.ANSWERING, On.VIOLATION): ("fail", S.CLOSED),
    (S.ANSWERING, On.DEAD): ("fail", S.CLOSED),
    (S.ANSWERING, On.FLUSH_TIMEOUT): ("fail", S.CLOSED),
    (S.ANSWERING, On.FLUSHED): ("tell_closed", S.LAST_ACK),
    (S.ANSWERING, On.CUT): ("be_cut_off", S.CLOSED),
    (S.LAST_ACK, On.SEND): ("refuse_to_queue", S.LAST_ACK),
    (S.LAST_ACK, On.HELLO): ("repeat_welcome", S.LAST_ACK),
    (S.LAST_ACK, On.DATA): ("receive", S.LAST_ACK),
    (S.LAST_ACK, On.RESET): ("vanish", S.CLOSED),
    (S.LAST_ACK, On.CLOSE): ("vanish", S.CLOSED),
    (S.LAST_ACK, On.VIOLATION): ("vanish", S.CLOSED),
    (S.LAST_ACK, On.DEAD): ("vanish", S.CLOSED),
    (S.LAST_ACK, On.LINGERED): ("rest", S.CLOSED),
    (S.LAST_ACK, On.FLUSHED): ("rest", S.CLOSED),
    (S.LAST_ACK, On.CUT): ("vanish", S.CLOSED),
    (S.LINGERING, On.SEND): ("refuse_to_queue", S.LINGERING),
    (S.LINGERING, On.HELLO): ("repeat_welcome", S.LINGERING),
    (S.LINGERING, On.DATA): ("receive", S.LINGERING),
    (S.LINGERING, On.RESET): ("vanish", S.CLOSED),
    (S.LINGERING, On.CLOSE): ("vanish", S.CLOSED),
    (S.LINGERING, On.VIOLATION): ("vanish", S.CLOSED),
    (S.LINGERING, On.DEAD): ("vanish", S.CLOSED),
    (S.LINGERING, On.LINGERED): ("rest", S.CLOSED),
    (S.LINGERING, On.CUT): ("vanish", S.CLOSED),
    (S.CLOSED, On.SEND): ("refuse_to_queue", S.CLOSED),
}
"""(state, input): (what is done, the state that follows)."""

STATE_TIMER: dict[State, Input] = {
    S.CALLING: On.NO_ANSWER,
    S.WELCOMED: On.EXPIRED,
    S.CLOSING: On.FLUSH_TIMEOUT,
    S.ANSWERING: On.FLUSH_TIMEOUT,
    S.LAST_ACK: On.LINGERED,
    S.LINGERING: On.LINGERED,
}
"""What the timer of a state, where it has one, is the input of."""

CONVERSING = frozenset({S.OPEN, S.CLOSING, S.ANSWERING})
"""The states in which the program knows the link as open, or as not ended yet."""

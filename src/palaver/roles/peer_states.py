"""The states of a call, and of a client at its registry, as data (PROTOCOL.md, section 6.5).

The two rules of `link/states.py` hold here too: all that changes a state goes through these
tables, and a pair that has no row is ignored and counted.
"""

from __future__ import annotations

from enum import IntEnum


class CallState(IntEnum):
    """Where a call is in its life."""

    LOOKING = 0
    """We want to call, and ask the registry where to."""
    CALLING = 1
    """Our request goes out until it is answered."""
    CHECKING = 2
    """Somebody calls; the registry is asked who. The program doesn't know yet."""
    RINGING = 3
    """Somebody calls, and the program was told."""
    OPEN = 4
    """Both want to talk."""
    LEAVING = 5
    """We have ended the conversation and wait to hear that the peer knows."""
    ENDING = 6
    """The outcome is settled; the link is being closed."""
    OVER = 7
    """The program was told the outcome."""


class CallInput(IntEnum):
    """What can happen to a call."""

    # Commands of the program.
    ACCEPT = 0
    REJECT = 1
    SAY = 2
    TERMINATE = 3
    # What the registry says.
    FOUND = 4
    INACTIVE = 5
    CHECKED = 6
    ABSENT = 7
    # Messages.
    ACCEPTED = 8
    REJECTED = 9
    CANCELLED = 10
    CHAT = 11
    TERMINATION = 12
    TERMINATED = 13
    # Timers.
    RING_DUE = 14
    TIMEOUT = 15
    # Conditions.
    CROSSED = 16
    FOLDED = 17
    LINK_LOST = 18


C, On = CallState, CallInput

CALLS: dict[tuple[CallState, CallInput], tuple[str, CallState]] = {
    (C.LOOKING, On.TERMINATE): ("cancel", C.OVER),
    (C.LOOKING, On.FOUND): ("call_up", C.CALLING),
    (C.LOOKING, On.INACTIVE): ("be_inactive", C.OVER),
    (C.LOOKING, On.TIMEOUT): ("stop_looking", C.OVER),
    (C.LOOKING, On.CROSSED): ("cross", C.OPEN),
    (C.LOOKING, On.FOLDED): ("be_needless", C.OVER),
    (C.CALLING, On.TERMINATE): ("withdraw", C.ENDING),
    (C.CALLING, On.ABSENT): ("withdraw", C.ENDING),
    (C.CALLING, On.ACCEPTED): ("be_accepted", C.OPEN),
    (C.CALLING, On.REJECTED): ("be_rejected", C.ENDING),
    (C.CALLING, On.RING_DUE): ("ring_again", C.CALLING),
    (C.CALLING, On.TIMEOUT): ("withdraw", C.ENDING),
    (C.CALLING, On.CROSSED): ("cross", C.OPEN),
    (C.CALLING, On.FOLDED): ("be_needless", C.OVER),
    (C.CALLING, On.LINK_LOST): ("end", C.OVER),
    (C.CHECKING, On.CHECKED): ("ring", C.RINGING),
    (C.CHECKING, On.CANCELLED): ("be_cancelled", C.ENDING),
    (C.CHECKING, On.TIMEOUT): ("ring", C.RINGING),
    (C.CHECKING, On.FOLDED): ("fold", C.OVER),
    (C.CHECKING, On.LINK_LOST): ("vanish", C.OVER),
    (C.CHECKING, On.TERMINATE): ("reject", C.ENDING),
    (C.RINGING, On.ACCEPT): ("accept", C.OPEN),
    (C.RINGING, On.REJECT): ("reject", C.ENDING),
    (C.RINGING, On.TERMINATE): ("reject", C.ENDING),
    (C.RINGING, On.CANCELLED): ("be_cancelled", C.ENDING),
    (C.RINGING, On.LINK_LOST): ("end", C.OVER),
    (C.OPEN, On.SAY): ("say", C.OPEN),
    (C.OPEN, On.TERMINATE): ("terminate", C.LEAVING),
    (C.OPEN, On.CANCELLED): ("be_cancelled", C.ENDING),
    (C.OPEN, On.CHAT): ("hear", C.OPEN),
    (C.OPEN, On.TERMINATION): ("be_terminated", C.ENDING),
    (C.OPEN, On.LINK_LOST): ("end", C.OVER),
    (C.LEAVING, On.SAY): ("refuse_to_say", C.LEAVING),
    (C.LEAVING, On.CHAT): ("hear", C.LEAVING),
    (C.LEAVING, On.CANCELLED): ("be_cancelled", C.ENDING),
    (C.LEAVING, On.TERMINATION): ("be_terminated", C.ENDING),
    (C.LEAVING, On.TERMINATED): ("hang_up", C.ENDING),
    (C.LEAVING, On.TIMEOUT): ("hang_up", C.ENDING),
    (C.LEAVING, On.LINK_LOST): ("end", C.OVER),
    (C.ENDING, On.ACCEPTED): ("be_accepted_late", C.ENDING),
    (C.ENDING, On.SAY): ("refuse_to_say", C.ENDING),
    (C.ENDING, On.CHAT): ("hear_late", C.ENDING),
    (C.ENDING, On.LINK_LOST): ("end", C.OVER),
}
"""(state, input): (what is done, the state that follows)."""

OUTGOING = frozenset({C.LOOKING, C.CALLING})
"""The states of a call of ours that is not answered."""


class ClientState(IntEnum):
    """Where a client is with its registry."""

    OUT = 0
    """We are not entered and don't try: not yet, not any more, or we were refused."""
    AWAY = 1
    """We want to be entered, and wait to try again."""
    ENLISTING = 2
    """We have dialled, and asked to be entered."""
    ENLISTED = 3
    """We are entered."""
    DEPARTING = 4
    """We have asked to be erased."""


class ClientInput(IntEnum):
    """What can happen to a client at its registry."""

    # Commands of the program.
    ENLIST = 0
    DEPART = 1
    # Messages.
    REGISTERED = 2
    REFUSED = 3
    ANSWER = 4
    NEWS = 5
    ERASED = 6
    # Timers.
    RETRY_DUE = 7
    TIMEOUT = 8
    # Conditions.
    LINK_LOST = 9
    REPLACED = 10


K, At = ClientState, ClientInput

CLIENT: dict[tuple[ClientState, ClientInput], tuple[str, ClientState]] = {
    (K.OUT, At.ENLIST): ("dial", K.ENLISTING),
    (K.OUT, At.DEPART): ("go", K.OUT),
    (K.AWAY, At.DEPART): ("go", K.OUT),
    (K.AWAY, At.RETRY_DUE): ("dial", K.ENLISTING),
    (K.ENLISTING, At.DEPART): ("go", K.OUT),
    (K.ENLISTING, At.REGISTERED): ("be_entered", K.ENLISTED),
    (K.ENLISTING, At.REFUSED): ("be_refused", K.OUT),
    (K.ENLISTING, At.LINK_LOST): ("lose", K.AWAY),
    (K.ENLISTED, At.DEPART): ("say_leave", K.DEPARTING),
    (K.ENLISTED, At.ANSWER): ("be_answered", K.ENLISTED),
    (K.ENLISTED, At.NEWS): ("pass_news", K.ENLISTED),
    (K.ENLISTED, At.LINK_LOST): ("lose", K.AWAY),
    (K.ENLISTED, At.REPLACED): ("be_replaced", K.OUT),
    (K.DEPARTING, At.ERASED): ("go", K.OUT),
    (K.DEPARTING, At.TIMEOUT): ("go", K.OUT),
    (K.DEPARTING, At.LINK_LOST): ("go", K.OUT),
}
"""(state, input): (what is done, the state that follows)."""

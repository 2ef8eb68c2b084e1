"""The states of a member, as its hub sees it and as it sees itself (PROTOCOL.md, section 6.6).

The rules that keep this honest are those of `palaver.link.states`: every change of state goes
through a table and nothing else; and a row is here only if it does something.
"""

from __future__ import annotations

from enum import IntEnum


class SeatState(IntEnum):
    """What somebody is to the hub."""

    WAITING = 0
    """It has a link and has not said yet where it wants to go."""
    CURRENT = 1
    """In the room; all entries were given to its link."""
    BEHIND = 2
    """In the room; its link takes no more for now, and the log keeps what it waits for."""
    ABSENT = 3
    """Lost or dropped; it may come back with its token."""
    GONE = 4
    """The hub knows nothing of it any more."""
    CONTENDING = 5
    """It asks for a name that a member has, who is asked for a sign of life (U-19)."""


class SeatInput(IntEnum):
    """What can happen to it."""

    JOIN = 0
    RETURN = 1
    REFUSE = 2
    LATE = 3
    POST = 4
    ACKNOWLEDGED = 5
    FULL = 6
    ROOM = 7
    OVERRUN = 8
    LEFT = 9
    LOST = 10
    FORGET = 11
    CONTEST = 12
    SILENT = 13


S, On = SeatState, SeatInput

HUB_TABLE: dict[tuple[SeatState, SeatInput], tuple[str, SeatState]] = {
    (S.WAITING, On.JOIN): ("admit", S.CURRENT),
    (S.WAITING, On.REFUSE): ("refuse", S.GONE),
    (S.WAITING, On.LATE): ("dismiss", S.GONE),
    (S.WAITING, On.LEFT): ("forget", S.GONE),
    (S.WAITING, On.LOST): ("forget", S.GONE),
    (S.WAITING, On.FORGET): ("forget", S.GONE),
    (S.WAITING, On.CONTEST): ("contest", S.CONTENDING),
    (S.CURRENT, On.RETURN): ("take_over", S.CURRENT),
    (S.CURRENT, On.POST): ("publish", S.CURRENT),
    (S.CURRENT, On.ACKNOWLEDGED): ("count", S.CURRENT),
    (S.CURRENT, On.FULL): ("fall_behind", S.BEHIND),
    (S.CURRENT, On.LEFT): ("see_off", S.GONE),
    (S.CURRENT, On.LOST): ("miss", S.ABSENT),
    (S.CURRENT, On.SILENT): ("bury", S.ABSENT),
    (S.BEHIND, On.RETURN): ("take_over", S.CURRENT),
    (S.BEHIND, On.POST): ("publish", S.BEHIND),
    (S.BEHIND, On.ACKNOWLEDGED): ("count", S.BEHIND),
    (S.BEHIND, On.ROOM): ("catch_up", S.CURRENT),
    (S.BEHIND, On.OVERRUN): ("drop", S.ABSENT),
    (S.BEHIND, On.LEFT): ("see_off", S.GONE),
    (S.BEHIND, On.LOST): ("miss", S.ABSENT),
    (S.BEHIND, On.SILENT): ("bury", S.ABSENT),
    (S.ABSENT, On.RETURN): ("readmit", S.CURRENT),
    (S.ABSENT, On.FORGET): ("forget", S.GONE),
    (S.CONTENDING, On.JOIN): ("admit", S.CURRENT),
    (S.CONTENDING, On.REFUSE): ("refuse", S.GONE),
    (S.CONTENDING, On.LEFT): ("forget", S.GONE),
    (S.CONTENDING, On.LOST): ("forget", S.GONE),
}
"""(state, input): (what is done, the state that follows)."""


class MemberState(IntEnum):
    """What a member is to itself."""

    JOINING = 0
    """It calls the hub, or waits for the answer to JOIN, for the first time."""
    ARRIVING = 1
    """It was admitted, and is told who else is there."""
    IN = 2
    """It is told what happens in the room, and what it posts goes to the hub."""
    REJOINING = 3
    """Its link has ended, and it tries to come back."""
    LEAVING = 4
    """The program is done; the hub has not taken all of its posts yet."""
    PARTING = 5
    """All is said; the link is closing."""
    OUT = 6
    """It is over."""


class MemberInput(IntEnum):
    """What can happen to a member."""

    # Commands of the program.
    POST = 0
    LEAVE = 1
    ABORT = 2
    # Messages of the hub.
    ADMITTED = 3
    REFUSED = 4
    MEMBERS = 5
    LOG = 6
    RECEIPT = 7
    # The end of the link.
    LOST = 8
    ENDED = 9
    # Timers.
    REDIAL = 10
    GIVE_UP = 11
    LATE = 12
    # Conditions.
    COMPLETE = 13
    DRAINED = 14


REDIAL, GIVE_UP, OVERDUE, LATE = range(4)
"""The timers of a member."""

M, At = MemberState, MemberInput

MEMBER_TABLE: dict[tuple[MemberState, MemberInput], tuple[str, MemberState]] = {
    (M.JOINING, At.POST): ("keep", M.JOINING),
    (M.JOINING, At.LEAVE): ("give_up", M.OUT),
    (M.JOINING, At.ABORT): ("give_up", M.OUT),
    (M.JOINING, At.ADMITTED): ("be_admitted", M.ARRIVING),
    (M.JOINING, At.REFUSED): ("be_refused", M.OUT),
    (M.JOINING, At.LATE): ("hang_up", M.JOINING),
    (M.JOINING, At.LOST): ("end", M.OUT),
    (M.JOINING, At.ENDED): ("end", M.OUT),
    (M.ARRIVING, At.POST): ("keep", M.ARRIVING),
    (M.ARRIVING, At.LEAVE): ("give_up", M.OUT),
    (M.ARRIVING, At.ABORT): ("give_up", M.OUT),
    (M.ARRIVING, At.MEMBERS): ("meet", M.ARRIVING),
    (M.ARRIVING, At.COMPLETE): ("enter", M.IN),
    (M.ARRIVING, At.LATE): ("hang_up", M.ARRIVING),
    (M.ARRIVING, At.LOST): ("lose", M.REJOINING),
    (M.ARRIVING, At.ENDED): ("end", M.OUT),
    (M.IN, At.POST): ("post", M.IN),
    (M.IN, At.LEAVE): ("finish", M.LEAVING),
    (M.IN, At.ABORT): ("give_up", M.OUT),
    (M.IN, At.LOG): ("follow", M.IN),
    (M.IN, At.RECEIPT): ("note_receipt", M.IN),
    (M.IN, At.LOST): ("lose", M.REJOINING),
    (M.IN, At.ENDED): ("end", M.OUT),
    (M.REJOINING, At.POST): ("keep", M.REJOINING),
    (M.REJOINING, At.LEAVE): ("give_up", M.OUT),
    (M.REJOINING, At.ABORT): ("give_up", M.OUT),
    (M.REJOINING, At.ADMITTED): ("be_admitted", M.ARRIVING),
    (M.REJOINING, At.REFUSED): ("be_refused", M.OUT),
    (M.REJOINING, At.LATE): ("hang_up", M.REJOINING),
    (M.REJOINING, At.LOST): ("wait", M.REJOINING),
    (M.REJOINING, At.ENDED): ("end", M.OUT),
    (M.REJOINING, At.REDIAL): ("redial", M.REJOINING),
    (M.REJOINING, At.GIVE_UP): ("give_up", M.OUT),
    (M.LEAVING, At.POST): ("refuse_post", M.LEAVING),
    (M.LEAVING, At.ABORT): ("give_up", M.OUT),
    (M.LEAVING, At.LOG): ("follow", M.LEAVING),
    (M.LEAVING, At.RECEIPT): ("note_receipt", M.LEAVING),
    (M.LEAVING, At.DRAINED): ("say_bye", M.PARTING),
    (M.LEAVING, At.LOST): ("end", M.OUT),
    (M.LEAVING, At.ENDED): ("end", M.OUT),
    (M.LEAVING, At.GIVE_UP): ("say_bye", M.PARTING),
    (M.PARTING, At.POST): ("refuse_post", M.PARTING),
    (M.PARTING, At.ABORT): ("give_up", M.OUT),
    (M.PARTING, At.LOG): ("follow", M.PARTING),
    (M.PARTING, At.RECEIPT): ("note_receipt", M.PARTING),
    (M.PARTING, At.LOST): ("end", M.OUT),
    (M.PARTING, At.ENDED): ("end", M.OUT),
}
"""(state, input): (what is done, the state that follows)."""

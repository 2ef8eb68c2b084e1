"""The states of a conversation in plain text (PROTOCOL.md, appendix A).

The rules that keep this honest are those of `palaver.link.states`: every change of state goes
through a table and nothing else; and a row is here only if it does something.
"""

from __future__ import annotations

from enum import IntEnum


class TalkState(IntEnum):
    """What a conversation is."""

    CONNECTING = 0
    """We call, and the stream does not stand yet."""
    UNHEARD = 1
    """The peer has said nothing yet; on datagrams it may not even be there."""
    HEARD = 2
    """The peer has said something."""
    PARTING = 3
    """We have said `exit`; it is on its way, or we wait for word that nobody was there."""
    OVER = 4
    """Forgotten."""


class TalkInput(IntEnum):
    """What can happen to it."""

    OPENED = 0
    TEXT = 1
    EXIT = 2
    SAY = 3
    LEAVE = 4
    ABORT = 5
    HINT = 6
    CUT = 7
    RETRY = 8
    LATE = 9
    SILENT = 10
    PARTED = 11


S, On = TalkState, TalkInput

TALK_TABLE: dict[tuple[TalkState, TalkInput], tuple[str, TalkState]] = {
    (S.CONNECTING, On.OPENED): ("open", S.UNHEARD),
    (S.CONNECTING, On.LEAVE): ("cancel", S.OVER),
    (S.CONNECTING, On.ABORT): ("cancel", S.OVER),
    (S.CONNECTING, On.HINT): ("note_hint", S.CONNECTING),
    (S.CONNECTING, On.CUT): ("plan_retry", S.CONNECTING),
    (S.CONNECTING, On.RETRY): ("retry", S.CONNECTING),
    (S.CONNECTING, On.LATE): ("give_up", S.OVER),
    (S.UNHEARD, On.TEXT): ("hear", S.HEARD),
    (S.UNHEARD, On.EXIT): ("be_left", S.OVER),
    (S.UNHEARD, On.SAY): ("say", S.UNHEARD),
    (S.UNHEARD, On.LEAVE): ("leave", S.PARTING),
    (S.UNHEARD, On.ABORT): ("break_off", S.OVER),
    (S.UNHEARD, On.HINT): ("tell_hint", S.UNHEARD),
    (S.UNHEARD, On.CUT): ("be_cut", S.OVER),
    (S.UNHEARD, On.LATE): ("give_up", S.OVER),
    (S.HEARD, On.TEXT): ("hear", S.HEARD),
    (S.HEARD, On.EXIT): ("be_left", S.OVER),
    (S.HEARD, On.SAY): ("say", S.HEARD),
    (S.HEARD, On.LEAVE): ("leave", S.PARTING),
    (S.HEARD, On.ABORT): ("break_off", S.OVER),
    (S.HEARD, On.HINT): ("tell_hint", S.HEARD),
    (S.HEARD, On.CUT): ("be_cut", S.OVER),
    (S.HEARD, On.SILENT): ("fade", S.OVER),
    (S.PARTING, On.EXIT): ("part", S.OVER),
    (S.PARTING, On.SAY): ("refuse", S.PARTING),
    (S.PARTING, On.ABORT): ("break_off", S.OVER),
    (S.PARTING, On.HINT): ("note_hint", S.PARTING),
    (S.PARTING, On.CUT): ("part", S.OVER),
    (S.PARTING, On.PARTED): ("part", S.OVER),
}
"""(state, input): (what is done, the state that follows)."""

"""What people and programs are told by `palaver hub` and `palaver join`."""
# ruff: noqa: ARG002 - both are told the same, and each leaves out what its readers don't need

from __future__ import annotations

from abc import abstractmethod
from typing import Final

from palaver import Closed, Dialing, Reason, Side, StillDialing
from palaver.roles.group.events import (
    LOBBY,
    CameIn,
    Entered,
    Gap,
    Interrupted,
    JoinRefused,
    MemberCame,
    MemberWent,
    PostHeard,
    PostRelayed,
    PostSpread,
    WentOut,
)
from palaver.wire.group import JoinRefusal, Welcome, ending_name
from palaver.wire.group_log import Coming, Going
from palaver_io.addresses import format_address

from .escape import escape, escape_text
from .screen import Screen
from .telling import PlainTeller, Teller

_PATIENCE = 4
"""The unanswered HELLO after which people are told: three quarters of a second."""


class GroupOutput(Teller):
    """Tells what happens at a hub, and at a member."""

    # At a hub

    @abstractmethod
    def listening(self, host: str, port: int, address: str, hints: list[str]) -> None:
        """Members can come to `address`."""

    @abstractmethod
    def came(self, notice: MemberCame) -> None:
        """Somebody has come into a room."""

    @abstractmethod
    def went(self, notice: MemberWent) -> None:
        """Somebody is gone from a room."""

    @abstractmethod
    def relayed(self, notice: PostRelayed) -> None:
        """Somebody has said something in a room."""

    # At a member

    @abstractmethod
    def dialing(self, notice: Dialing) -> None:
        """We call the hub."""

    @abstractmethod
    def still_dialing(self, address: str, notice: StillDialing) -> None:
        """It has not answered yet."""

    @abstractmethod
    def entered(self, notice: Entered, *, again: bool, past: bool) -> None:
        """We are in the room, perhaps again; with `past`, what comes next is of before."""

    @abstractmethod
    def caught_up(self, link: int, number: int, others: tuple[str, ...]) -> None:
        """All of before was told, up to entry `number`: these others are there now."""

    @abstractmethod
    def heard(self, notice: PostHeard) -> None:
        """Another member has said something."""

    @abstractmethod
    def joined(self, notice: CameIn, *, past: bool) -> None:
        """Another member has come in, now or in the past."""

    @abstractmethod
    def left(self, notice: WentOut) -> None:
        """Another member is gone."""

    @abstractmethod
    def taken(self, line: int, begin: str, number: int) -> None:
        """The hub has the line."""

    @abstractmethod
    def spread(self, notice: PostSpread) -> None:
        """So many of the others have the line."""

    @abstractmethod
    def overdue(self, line: int, begin: str) -> None:
        """The hub does not have the line yet, for an uncommonly long time."""

    @abstractmethod
    def undelivered(self, line: int, begin: str, reason: int) -> None:
        """The hub will not get the line any more, as far as one can know."""

    @abstractmethod
    def unsent(self, line: int, begin: str, problem: str) -> None:
        """The line was not sent."""

    @abstractmethod
    def interrupted(self, notice: Interrupted) -> None:
        """The link is gone; it is being made anew."""

    @abstractmethod
    def gap(self, notice: Gap) -> None:
        """Some of what was said won't be told."""

    @abstractmethod
    def refused(self, notice: JoinRefused) -> None:
        """The hub does not want us."""

    @abstractmethod
    def closed(self, address: str, notice: Closed, *, was_in: bool) -> None:
        """It is over."""


_GOING: Final = {
    Going.LEFT: "has left",
    Going.LOST: "was lost",
    Going.DROPPED: "was dropped: it took too little, too slowly",
}
_MISSED: Final = {
    Welcome.NEW: "",
    Welcome.RESUMED: "; what was missed follows",
    Welcome.GAP: "; the rest of what was missed follows",
}
_REFUSALS: Final = {
    JoinRefusal.NAME_TAKEN: "somebody of that name is there already.",
    JoinRefusal.BAD_NAME: "that name can't be taken: it must be printable.",
    JoinRefusal.BAD_ROOM: "there can be no room of that name: it must be printable.",
    JoinRefusal.ROOM_FULL: "the room is full. Try again later, or another room.",
    JoinRefusal.NO_MORE_ROOMS: "it has as many rooms as it takes. Join another one.",
}
_FAILURES: Final[dict[int, str]] = {
    JoinRefusal.LATE: "The hub at {} is there, but does not answer. Try again later.",
    Reason.NO_ANSWER: "No answer from {}. Is `palaver hub` running there, is the address right, "
    "and do both sides use --tcp, or neither? A firewall may also be in the way.",
    Reason.CANCELLED: "The call was given up.",
    Reason.BUSY: "The hub at {} is full. Try again later.",
    Reason.WRONG_ROLE: "{} runs Palaver, but is no hub.",
    Reason.SHUTTING_DOWN: "The hub at {} is shutting down.",
    Reason.NO_COMMON_VERSION: "{} speaks another version of Palaver; update the older of the two.",
}


class PlainGroupOutput(PlainTeller, GroupOutput):
    """What is said on stdout as `name: text`; everything else on stderr."""

    def __init__(self, screen: Screen, *, verbose: bool, numbered: bool) -> None:
        super().__init__(screen)
        self._verbose = verbose
        self._numbered = numbered
        self._unreachable: bool | None = None
        # What is to be said before the next entry.
        self._head = ""

    def listening(self, host: str, port: int, address: str, hints: list[str]) -> None:
        """Members can come to `address`."""
        self._note(f"The hub is at {address}.")
        for hint in hints:
            self._note(hint)

    def came(self, notice: MemberCame) -> None:
        """Somebody has come into a room."""
        again = " again" if notice.how is Coming.BACK else ""
        where = f" ({format_address(notice.address)})"
        self._note(f"{_where(notice.room)}{notice.name}{where} is here{again}.")

    def went(self, notice: MemberWent) -> None:
        """Somebody is gone from a room."""
        why = "" if notice.how is Going.LEFT else f" ({ending_name(notice.reason)})"
        self._note(f"{_where(notice.room)}{notice.name} {_GOING[notice.how]}{why}.")

    def relayed(self, notice: PostRelayed) -> None:
        """Somebody has said something in a room."""
        who = escape(f"{_where(notice.room)}{notice.name}")
        self._screen.out(f"{who}: {escape_text(notice.text)}")

    def dialing(self, notice: Dialing) -> None:
        """We call the hub."""
        self._note(f"Calling {format_address(notice.address)} ...")

    def still_dialing(self, address: str, notice: StillDialing) -> None:
        """It has not answered yet; tell people once, and again if it gets worse."""
        unreachable = notice.unreachable
        if notice.attempt < _PATIENCE or self._unreachable in {True, unreachable}:
            return
        self._unreachable = unreachable
        why = "Nothing seems to listen at" if unreachable else "No answer from"
        self._note(f"{why} {address} yet. Still trying; Ctrl-C gives up.")

    def entered(self, notice: Entered, *, again: bool, past: bool) -> None:
        """We are in the room, perhaps again; with `past`, what comes next is of before."""
        where = f"{notice.room} as {notice.name}"
        self._head = "" if again or not past else "Earlier:"
        if again:
            self._note(f"Back in {where}{_MISSED[notice.how]}.")
            if not past:
                self._note(_say_others(notice.members))
        elif past:
            self._note(f"You are in {where}.")
        else:
            self._note(
                f"You are in {where}. Already here: {', '.join(notice.members) or 'nobody'}."
            )

    def caught_up(self, link: int, number: int, others: tuple[str, ...]) -> None:
        """All of before was told, up to entry `number`: these others are there now."""
        self._head = ""
        self._note(_say_others(others))

    def heard(self, notice: PostHeard) -> None:
        """Another member has said something."""
        self._note_head()
        self._screen.out(f"{escape(notice.name)}: {escape_text(notice.text)}")

    def joined(self, notice: CameIn, *, past: bool) -> None:
        """Another member has come in, now or in the past."""
        self._note_head()
        is_here = "came" if past else "is here"  # perhaps it has gone since
        again = " again" if notice.how is Coming.BACK else ""
        self._note(f"{notice.name} {is_here}{again}.")

    def left(self, notice: WentOut) -> None:
        """Another member is gone."""
        self._note_head()
        self._note(f"{notice.name} {_GOING[notice.how]}.")

    def taken(self, line: int, begin: str, number: int) -> None:
        """The hub has the line."""
        if self._verbose:
            place = f" as number {number}" if number else ""
            self._note(f"Taken{place}: {self._line(line, begin)}")

    def spread(self, notice: PostSpread) -> None:
        """So many of the others have the line."""
        if self._verbose:
            of = notice.acknowledged + notice.awaited
            self._note(f"Line {notice.ref}: {notice.acknowledged} of {of} have it.")

    def overdue(self, line: int, begin: str) -> None:
        """The hub does not have the line yet, for an uncommonly long time."""
        self._note(f"The hub does not have it yet: {self._line(line, begin)} (still trying)")

    def undelivered(self, line: int, begin: str, reason: int) -> None:
        """The hub will not get the line any more, as far as one can know."""
        why = ending_name(reason)
        self._note(f"NOT taken by the hub, as far as is known ({why}): {self._line(line, begin)}")

    def unsent(self, line: int, begin: str, problem: str) -> None:
        """The line was not sent."""
        self._note(f"NOT sent: {self._line(line, begin)}: {problem}")

    def interrupted(self, notice: Interrupted) -> None:
        """The link is gone; it is being made anew."""
        self._note(f"The link to the hub is gone ({ending_name(notice.reason)}). Calling again ...")

    def gap(self, notice: Gap) -> None:
        """Some of what was said won't be told."""
        if notice.last:
            count = notice.last - notice.first + 1
            self._note(f"Too long away: {count} entries are missing here.")
        else:
            self._note("The hub does not know us any more: what was said meanwhile is missing.")

    def refused(self, notice: JoinRefused) -> None:
        """The hub does not want us."""
        known = notice.reason in JoinRefusal.__members__.values()
        why = _REFUSALS.get(JoinRefusal(notice.reason)) if known else None
        hint = f" Try: --name {notice.suggestion!r}" if notice.suggestion else ""
        self._note(f"The hub refuses: {why or ending_name(notice.reason)}{hint}")

    def closed(self, address: str, notice: Closed, *, was_in: bool) -> None:
        """It is over."""
        said = f" ({notice.text})" if notice.text else ""
        if notice.reason in _REFUSALS and not was_in:  # that was said already
            return
        if notice.clean and notice.by is Side.LOCAL:
            self._note("You have left.")
        elif was_in and notice.reason == Reason.SHUTTING_DOWN:
            self._note(f"The hub has shut down.{said}")
        elif was_in:
            self._note(f"It is over: {ending_name(notice.reason)}.{said}")
        elif notice.reason in _FAILURES:
            self._note(_FAILURES[notice.reason].format(address) + said)
        else:
            self._note(f"Joining at {address} failed: {ending_name(notice.reason)}.{said}")

    def _note_head(self) -> None:
        if self._head:
            self._note(self._head)
            self._head = ""

    def _line(self, line: int, begin: str) -> str:
        """Name a line of ours: by its number too, if it came from a file."""
        return f"line {line}, {begin}" if self._numbered else begin


def _say_others(others: tuple[str, ...]) -> str:
    return f"Now here: {', '.join(others)}." if others else "Nobody else is here."


def _where(room: str) -> str:
    return "" if room == LOBBY else f"[{room}] "

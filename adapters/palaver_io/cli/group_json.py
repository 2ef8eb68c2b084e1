"""What programs are told by `palaver hub` and `palaver join`."""
# ruff: noqa: ARG002 - people are told the same, and each leaves out what its readers don't need

from __future__ import annotations

from palaver import Closed, Dialing, StillDialing
from palaver.roles.group.events import (
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
from palaver.wire.group import ending_name
from palaver_io.addresses import format_address

from .group_output import GroupOutput
from .telling import JsonTeller


class JsonGroupOutput(JsonTeller, GroupOutput):
    """One JSON object a line on stdout; problems on stderr."""

    def listening(self, host: str, port: int, address: str, hints: list[str]) -> None:
        """Members can come to `address`."""
        self._write("listening", host=host, port=port, address=address)

    def came(self, notice: MemberCame) -> None:
        """Somebody has come into a room."""
        self._write(
            "joined",
            link=notice.link,
            room=notice.room,
            number=notice.number,
            name=notice.name,
            how=notice.how.name.lower(),
            address=format_address(notice.address),
            **_mark(plain=notice.plain),
        )

    def went(self, notice: MemberWent) -> None:
        """Somebody is gone from a room."""
        self._write(
            "left",
            link=notice.link,
            room=notice.room,
            number=notice.number,
            name=notice.name,
            how=notice.how.name.lower(),
            reason=ending_name(notice.reason),
            **_mark(plain=notice.plain),
        )

    def relayed(self, notice: PostRelayed) -> None:
        """Somebody has said something in a room."""
        self._write(
            "message",
            link=notice.link,
            room=notice.room,
            number=notice.number,
            name=notice.name,
            text=notice.text,
            **_mark(plain=notice.plain),
        )

    def dialing(self, notice: Dialing) -> None:
        """We call the hub."""
        self._write("dialing", link=notice.link, address=format_address(notice.address))

    def still_dialing(self, address: str, notice: StillDialing) -> None:
        """It has not answered yet."""
        self._write(
            "still-dialing",
            link=notice.link,
            attempt=notice.attempt,
            unreachable=notice.unreachable,
        )

    def entered(self, notice: Entered, *, again: bool, past: bool) -> None:
        """We are in the room, perhaps again; with `past`, what comes next is of before."""
        self._write(
            "entered",
            link=notice.link,
            room=notice.room,
            name=notice.name,
            how=notice.how.name.lower(),
            number=notice.number,
            members=notice.members,
        )

    def caught_up(self, link: int, number: int, others: tuple[str, ...]) -> None:
        """All of before was told, up to entry `number`: these others are there now."""
        self._write("caught-up", link=link, number=number, members=others)

    def heard(self, notice: PostHeard) -> None:
        """Another member has said something."""
        self._write(
            "message",
            link=notice.link,
            number=notice.number,
            name=notice.name,
            text=notice.text,
        )

    def joined(self, notice: CameIn, *, past: bool) -> None:
        """Another member has come in, now or in the past."""
        self._write(
            "joined",
            link=notice.link,
            number=notice.number,
            name=notice.name,
            how=notice.how.name.lower(),
        )

    def left(self, notice: WentOut) -> None:
        """Another member is gone."""
        self._write(
            "left",
            link=notice.link,
            number=notice.number,
            name=notice.name,
            how=notice.how.name.lower(),
        )

    def taken(self, line: int, begin: str, number: int) -> None:
        """The hub has the line."""
        self._write("taken", line=line, number=number)

    def spread(self, notice: PostSpread) -> None:
        """So many of the others have the line."""
        self._write(
            "spread",
            line=notice.ref,
            acknowledged=notice.acknowledged,
            awaited=notice.awaited,
        )

    def overdue(self, line: int, begin: str) -> None:
        """The hub does not have the line yet, for an uncommonly long time."""
        self._write("overdue", line=line)

    def undelivered(self, line: int, begin: str, reason: int) -> None:
        """The hub will not get the line any more, as far as one can know."""
        self._write("undelivered", line=line, reason=ending_name(reason))

    def unsent(self, line: int, begin: str, problem: str) -> None:
        """The line was not sent."""
        self._write("unsent", line=line, problem=problem)
        self.problem(f"line {line} was not sent: {problem}")

    def interrupted(self, notice: Interrupted) -> None:
        """The link is gone; it is being made anew."""
        self._write("interrupted", link=notice.link, reason=ending_name(notice.reason))

    def gap(self, notice: Gap) -> None:
        """Some of what was said won't be told."""
        self._write("gap", link=notice.link, first=notice.first, last=notice.last)

    def refused(self, notice: JoinRefused) -> None:
        """The hub does not want us."""
        self._write("refused", reason=ending_name(notice.reason), suggestion=notice.suggestion)

    def closed(self, address: str, notice: Closed, *, was_in: bool) -> None:
        """It is over."""
        self._write(
            "closed",
            link=notice.link,
            reason=ending_name(notice.reason),
            by=notice.by.value,
            text=notice.text,
            clean=notice.clean,
        )


def _mark(*, plain: bool) -> dict[str, bool]:
    """Give what is told, beside the rest, of somebody with plain text."""
    return {"plain": True} if plain else {}

"""Datagrams in flight, as numbers; and what their packet numbers mean to both ends."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from explore_story import Flight

from palaver.machine import Address
from palaver.wire.frames import ACK, MAP_BITS, decode_frames
from palaver.wire.packets import (
    DATA,
    DATA_HEADER,
    DATA_HEADER_SIZE,
    RESET,
    Hello,
    Kind,
    decode_unsealed,
)
from palaver.wire.sealing import CLEAR, TAG_SIZE


class Ends(NamedTuple):
    """What decides which packet numbers still matter, at one end of a link."""

    local: int
    remote: int
    awaited: tuple[int, ...]
    """The packets that this end has sent and that are neither acknowledged nor lost."""
    highest: int
    seen: int
    """What has arrived at this end: bit i is for packet `highest - i`."""
    spent: int
    """Of the credit that this end was granted."""
    credit: int


class Way(NamedTuple):
    """One direction of a link, towards the end that receives under one id."""

    awaited: dict[int, int]
    """Where each packet stands that the sender awaits an acknowledgement of."""
    highest: int
    seen: int
    spent: int
    credit: int
    back: int
    """The id under which the sender receives what the other end sends; 0 if there is no such end."""

    def has(self, number: int) -> bool:
        """Tell whether that packet has arrived."""
        age = self.highest - number
        return age >= 0 and bool(self.seen >> age & 1)


class _Numbered(NamedTuple):
    """A DATA or RESET packet: what numbers it bears, and all the rest of it."""

    link: int
    number: int
    acked: tuple[tuple[int, int, int], ...]
    """Of each ACK: the newest packet that it tells of, the map of those before, the credit."""
    rest: int


class Catalogue:
    """All datagrams that ever were in flight, numbered from 0."""

    def __init__(self) -> None:
        self.flights: list[Flight] = []
        self._idents: dict[Flight, int] = {}
        self._numbered: list[_Numbered | None] = []
        self._rests: dict[object, int] = {}
        self._likes: dict[object, int] = {}

    def enter(self, source: Address, destination: Address, data: bytes) -> int:
        """Give the number of a datagram."""
        flight = Flight(source, destination, data)
        ident = self._idents.get(flight)
        if ident is None:
            ident = self._idents[flight] = len(self.flights)
            self.flights.append(flight)
            self._numbered.append(self._look_into(flight))
        return ident

    def likes(self, idents: tuple[int, ...], ways: dict[int, Way]) -> list[int]:
        """Give for each datagram the number that it shares with all that mean the same.

        What a packet number does is this. Its receiver looks whether it was there before. Its
        sender looks in an ACK, and in a RESET, which of those it awaits are told of. So of each
        packet it matters where it stands among those awaited; of the others whether it was there
        before, and, if not, only which of the datagrams are the same packet: the order in which
        they stand has no meaning. Of an ACK it matters which of the awaited it tells of, and how
        much more may be spent then.
        """
        found: list[int] = []
        strays: dict[int, list[int]] | None = None
        known = self._likes
        for ident in idents:
            numbered = self._numbered[ident]
            if numbered is None:
                what: object = ident
            else:
                link, number, acked, rest = numbered
                way = ways.get(link)
                place = -1 if way is None else way.awaited.get(number, -1)
                if place >= 0:
                    pass
                elif way is not None and way.has(number):
                    place = -1
                else:
                    if strays is None:
                        strays = self._strays(idents, ways)
                    place = -2 - strays[link].index(number)
                if acked and way is not None:
                    back = ways.get(way.back)
                    told = [] if back is None else [_told(back, *one) for one in acked]
                    what = (rest, place, *told)
                else:
                    what = (rest, place)
            like = known.get(what)
            if like is None:
                like = known[what] = len(known)
            found.append(like)
        return found

    def _strays(self, idents: tuple[int, ...], ways: dict[int, Way]) -> dict[int, list[int]]:
        """Give by link the packets that nobody awaits and that have not been there yet."""
        strays: dict[int, set[int]] = {}
        for ident in idents:
            numbered = self._numbered[ident]
            if numbered is not None:
                way = ways.get(numbered.link)
                if way is None or not (
                    numbered.number in way.awaited or way.has(numbered.number)
                ):
                    strays.setdefault(numbered.link, set()).add(numbered.number)
        return {link: sorted(numbers) for link, numbers in strays.items()}

    def _look_into(self, flight: Flight) -> _Numbered | None:
        data = flight.data
        if not data or data[0] not in {DATA, RESET} or CLEAR.open(data) is None:
            return None
        kind, link, number = DATA_HEADER.unpack_from(data)
        at, end = DATA_HEADER_SIZE, len(data) - TAG_SIZE
        rest: list[object] = [flight.source, flight.destination, kind, link]
        acked = []
        while at < end:
            after = at + 3 + int.from_bytes(data[at + 1 : at + 3], "big")
            if data[at] == ACK:
                newest = int.from_bytes(data[at + 7 : at + 11], "big")
                earlier = int.from_bytes(data[at + 11 : at + 19], "big")
                acked.append((newest, earlier, int.from_bytes(data[after - 8 : after], "big")))
                rest.append((data[at : at + 7], data[at + 19 : after - 8]))
            else:
                rest.append(data[at:after])
            at = after
        return _Numbered(
            link, number, tuple(acked), self._rests.setdefault(tuple(rest), len(self._rests))
        )

    def describe(self, ident: int) -> str:
        """Say for people what a datagram is."""
        flight = self.flights[ident]
        way = f"{flight.source[0]} -> {flight.destination[0]}"
        opened = CLEAR.open(flight.data)
        if opened is None:
            return f"{way}: {flight.data.hex(' ')} (damaged)"
        if flight.data[0] != DATA:
            packet = decode_unsealed(opened)
            if isinstance(packet, Hello):
                # Padding tells nobody anything.
                packet = replace(packet, options=())
            return f"{way}: {packet}"
        _, link, number = DATA_HEADER.unpack_from(flight.data)
        frames = ", ".join(str(frame) for frame in decode_frames(opened, DATA_HEADER_SIZE))
        return f"{way}: {Kind.DATA.name} {number} to {link:016x}: {frames}"


def _told(back: Way, newest: int, earlier: int, credit: int) -> tuple[int, int]:
    """Give which of the packets that are awaited on the way back an ACK tells of, as bits.

    And how much may be spent there when it has come.
    """
    told = 0
    for number, place in back.awaited.items():
        distance = newest - number
        if distance == 0 or (0 < distance <= MAP_BITS and earlier >> (distance - 1) & 1):
            told |= 1 << place
    return told, max(credit, back.credit) - back.spent

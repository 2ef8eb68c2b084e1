"""Datagrams in flight, as numbers; and with their packet numbers taken relative to both ends'."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from explore_story import Flight

from palaver.machine import Address
from palaver.wire.frames import ACK, MAP_BITS, decode_frames
from palaver.wire.packets import DATA, DATA_HEADER, DATA_HEADER_SIZE, Hello, Kind, decode_unsealed
from palaver.wire.sealing import CLEAR, TAG_SIZE


class Ends(NamedTuple):
    """What packet numbers count from, of one link: the next it sends, the highest it has."""

    local: int
    remote: int
    number: int
    highest: int


class _Numbered(NamedTuple):
    """A DATA packet: where its numbers stand, and all the rest of it."""

    link: int
    number: int
    acked: tuple[int, ...]
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

    def like(self, ident: int, ends: dict[int, tuple[int, int]]) -> int:
        """Give the number that this datagram shares with all that mean the same in their worlds.

        `ends` has for each link id the next number that is sent to it, and that it sends.
        """
        numbered = self._numbered[ident]
        if numbered is None:
            what: object = ident
        else:
            link, number, acked, rest = numbered
            sent, sends = ends.get(link, (0, 0))
            what = (rest, sent - number, *[sends - one for one in acked])
        return self._likes.setdefault(what, len(self._likes))

    def _look_into(self, flight: Flight) -> _Numbered | None:
        data = flight.data
        if not data or data[0] != DATA or CLEAR.open(data) is None:
            return None
        _, link, number = DATA_HEADER.unpack_from(data)
        at, end = DATA_HEADER_SIZE, len(data) - TAG_SIZE
        rest: list[object] = [flight.source, flight.destination, link]
        acked = []
        while at < end:
            after = at + 3 + int.from_bytes(data[at + 1 : at + 3], "big")
            if data[at] == ACK:
                newest = int.from_bytes(data[at + 7 : at + 11], "big")
                earlier = int.from_bytes(data[at + 11 : at + 19], "big")
                acked.append(newest)
                rest.append((data[at : at + 7], ~earlier & ((1 << min(newest, MAP_BITS)) - 1)))
                rest.append(data[at + 19 : after])
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

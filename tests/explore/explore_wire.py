"""Datagrams in flight, as numbers; and what their packet numbers mean to both ends."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from explore_story import Flight

from palaver.machine import Address
from palaver.wire.frames import (
    ACK,
    ACK_FRAME,
    CLOSE,
    FRAGMENT,
    MAP_BITS,
    PING,
    SEGMENT,
    SEGMENT_HEADER,
    decode_frames,
)
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
    """One end of a link: what decides what packets still mean."""

    local: int
    remote: int
    awaited: tuple[int, ...]
    """The packets that this end has sent and that are neither acknowledged nor lost."""
    delivered: int
    """The other end is known to have handed over all segments before this one."""
    spent: int
    """Of the credit that this end was granted."""
    credit: int
    highest: int
    seen: int
    """What has arrived at this end: bit i is for packet `highest - i`."""
    wanted: int
    early: frozenset[int]
    """All segments before `wanted` are here, and these."""

    def has(self, number: int) -> bool:
        """Tell whether that packet has arrived."""
        age = self.highest - number
        return age >= 0 and bool(self.seen >> age & 1)


class Way(NamedTuple):
    """One direction of a link."""

    receiver: Ends | None
    """The end that receives, if it is there."""
    places: dict[int, int]
    """Where each packet stands that the sender awaits an acknowledgement of."""


class _Ack(NamedTuple):
    """An ACK frame."""

    wanted: int
    newest: int
    earlier: int
    credit: int


class _Numbered(NamedTuple):
    """A DATA or RESET packet."""

    head: tuple[object, ...]
    """Its kind, where it comes from, where it goes to."""
    link: int
    number: int
    asks: bool
    """Whether it asks for an acknowledgement."""
    frames: tuple[object, ...]
    """All frames but PINGs, of SEGMENTs each with its number."""


class Catalogue:
    """All datagrams that ever were in flight, numbered from 0."""

    def __init__(self) -> None:
        self.flights: list[Flight] = []
        self._idents: dict[Flight, int] = {}
        self._numbered: list[_Numbered | None] = []
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

    def likes(
        self, idents: tuple[int, ...], ways: dict[int, Way], known: dict[int, int | None]
    ) -> list[int]:
        """Give for each datagram the number that it shares with all that mean the same.

        What a packet number does is this. Its receiver looks whether it was there before. Its
        sender looks in an ACK, and in a RESET, which of those it awaits are told of. So it
        matters where a packet stands among those awaited; of the others whether it was there
        before, and, if not, only which datagrams are the same packet: their order has no meaning.
        `known` is kept by the caller with `ways`: what a datagram means wherever these are so.
        """
        found: list[int] = []
        strays: list[int] = []
        for at, ident in enumerate(idents):
            like = known.get(ident, -1)
            if like == -1:
                like = known[ident] = self._like(ident, ways)
            if like is None:
                strays.append(at)
                like = 0
            found.append(like)
        for at in strays:
            # What is there twice is named after the first of them.
            ident = idents[at]
            same = [self._of(idents[one]) for one in strays].index(self._of(ident))
            twins = sum(self._of(idents[one]) == self._of(ident) for one in strays)
            found[at] = self._number(self._meaning(ident, ways, -1 if twins == 1 else -2 - same))
        return found

    def _of(self, ident: int) -> tuple[int, int]:
        numbered = self._numbered[ident]
        assert numbered is not None
        return numbered.link, numbered.number

    def _number(self, what: object) -> int:
        return self._likes.setdefault(what, len(self._likes))

    def _like(self, ident: int, ways: dict[int, Way]) -> int | None:
        """Give the number of what a datagram means; None if that takes knowing the others."""
        numbered = self._numbered[ident]
        if numbered is None:
            return self._number(ident)
        way = ways.get(numbered.link, _NO_WAY)
        place = way.places.get(numbered.number, -1)
        was_there = way.receiver is not None and way.receiver.has(numbered.number)
        if place < 0 and not was_there:
            return None
        return self._number(self._meaning(ident, ways, place))

    def _meaning(self, ident: int, ways: dict[int, Way], place: int) -> object:
        """Give all of a packet that makes a difference to who gets it.

        Where the link has ended, or if the packet was there before: whether it asks for an
        acknowledgement, which may have it answered. Else what `_frames` gives.
        """
        numbered = self._numbered[ident]
        assert numbered is not None
        head, link, number, asks, frames = numbered
        way = ways.get(link, _NO_WAY)
        receiver = way.receiver
        if receiver is None or receiver.has(number):
            return (head, link, receiver is None, place, asks)
        back = ways.get(receiver.remote, _NO_WAY)
        return (head, link, place, asks, _told(frames, receiver, back))

    def _look_into(self, flight: Flight) -> _Numbered | None:
        data = flight.data
        if not data or data[0] not in {DATA, RESET} or CLEAR.open(data) is None:
            return None
        kind, link, number = DATA_HEADER.unpack_from(data)
        at, end = DATA_HEADER_SIZE, len(data) - TAG_SIZE
        frames: list[object] = []
        asks = False
        while at < end:
            kind_of_frame = data[at]
            after = at + 3 + int.from_bytes(data[at + 1 : at + 3], "big")
            if kind_of_frame == ACK:
                _, _, wanted, newest, earlier, _, credit = ACK_FRAME.unpack_from(data, at)
                frames.append(_Ack(wanted, newest, earlier, credit))
            elif kind_of_frame in {SEGMENT, FRAGMENT}:
                asks = True
                frames.append((SEGMENT_HEADER.unpack_from(data, at)[-1], data[at:after]))
            else:
                asks = asks or kind_of_frame != CLOSE
                if kind_of_frame != PING:
                    frames.append(data[at:after])
            at = after
        head = (kind, flight.source, flight.destination)
        return _Numbered(head, link, number, asks, tuple(frames))

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


_NO_WAY = Way(None, {})


def _told(frames: tuple[object, ...], receiver: Ends, back: Way) -> tuple[object, ...]:
    """Give what frames tell a receiver that it does not know; `back` is what it sends itself.

    - A SEGMENT that is here already asks for an acknowledgement, and does nothing else.
    - Of an ACK it matters which of the packets that are still awaited it tells of, how far it
      goes beyond what is known to be delivered, and how much may be spent when it has come.
    """
    news: list[object] = []
    for frame in frames:
        if type(frame) is _Ack:
            told = 0
            for number, place in back.places.items():
                distance = frame.newest - number
                if distance == 0 or (
                    0 < distance <= MAP_BITS and frame.earlier >> (distance - 1) & 1
                ):
                    told |= 1 << place
            credit = max(frame.credit, receiver.credit) - receiver.spent
            news.append((told, max(frame.wanted, receiver.delivered), credit))
        elif type(frame) is tuple:
            if frame[0] >= receiver.wanted and frame[0] not in receiver.early:
                news.append(frame)
        else:
            news.append(frame)
    return tuple(news)

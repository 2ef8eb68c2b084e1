"""Links that have ended and are remembered for a while (PROTOCOL.md, section 8.7)."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from palaver.machine import Address, copy_slots
from palaver.wire.errors import Reason

if TYPE_CHECKING:
    from .link import Link

REPEATS = 8


class Tombstone:
    """What is left of a link: who it was, and its last word for a peer that goes on talking."""

    __slots__ = ("address", "expires", "last_word", "local", "number", "peer", "reason", "repeats")

    def __init__(self, link: Link, expires: float) -> None:
        self.number = link.number
        self.local = link.local
        self.address = link.channel.address
        self.peer = link.channel.remote
        self.reason = link.farewell.reason
        self.last_word = link.farewell.last_word
        # How often the last word may still be said.
        self.repeats = REPEATS
        self.expires = expires

    def take_last_word(self, source: Address) -> bytes | None:
        """Give the packet to repeat to `source`, if there is one and it was not said enough."""
        if self.last_word is None or not self.repeats or source != self.address:
            return None
        self.repeats -= 1
        return self.last_word


class Tombstones:
    """The most recent ended links, for a stated time and up to a stated number."""

    __slots__ = ("_bound", "_by_local", "_by_number", "_by_peer", "_seconds")

    def __init__(self, seconds: float, bound: int) -> None:
        self._seconds = seconds
        self._bound = bound
        # In the order of their ends, which is that of their expiry.
        self._by_number: OrderedDict[int, Tombstone] = OrderedDict()
        self._by_local: dict[int, Tombstone] = {}
        self._by_peer: dict[tuple[Address, int], Tombstone] = {}

    def __len__(self) -> int:
        """Give how many there are."""
        return len(self._by_number)

    @property
    def deadline(self) -> float:
        """When the oldest expires."""
        for tombstone in self._by_number.values():
            return tombstone.expires
        return float("inf")

    def bury(self, link: Link, now: float) -> None:
        """Remember a link that has ended; the oldest makes room."""
        if len(self._by_number) >= self._bound:
            self._remove(next(iter(self._by_number.values())))
        tombstone = Tombstone(link, now + self._seconds)
        self._by_number[link.number] = tombstone
        self._by_local[link.local] = tombstone
        if tombstone.peer:
            self._by_peer[tombstone.address, tombstone.peer] = tombstone

    def find(self, local: int) -> Tombstone | None:
        """Give what is left of the link that received under id `local`."""
        return self._by_local.get(local)

    def has_peer(self, address: Address, peer: int) -> bool:
        """Tell whether a link with that peer's id at that address has ended lately."""
        return (address, peer) in self._by_peer

    def reason(self, number: int) -> int:
        """Give why link `number` has ended; LEFT if that was forgotten."""
        tombstone = self._by_number.get(number)
        return Reason.LEFT if tombstone is None else tombstone.reason

    def expire(self, now: float) -> None:
        """Forget those whose time is over."""
        while self._by_number:
            oldest = next(iter(self._by_number.values()))
            if oldest.expires > now:
                return
            self._remove(oldest)

    def _remove(self, tombstone: Tombstone) -> None:
        del self._by_number[tombstone.number]
        del self._by_local[tombstone.local]
        peer = (tombstone.address, tombstone.peer)
        if self._by_peer.get(peer) is tombstone:
            del self._by_peer[peer]

    def clone(self) -> Tombstones:
        """Give an independent twin."""
        twin = Tombstones(self._seconds, self._bound)
        for number, tombstone in self._by_number.items():
            copy = copy_slots(tombstone)
            twin._by_number[number] = copy
            twin._by_local[copy.local] = copy
            if copy.peer:
                twin._by_peer[copy.address, copy.peer] = copy
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return tuple(
            (
                one.number,
                one.local,
                one.address,
                one.peer,
                one.reason,
                one.last_word,
                one.repeats,
                one.expires - now,
            )
            for one in self._by_number.values()
        )

"""How many half-open links there are, in all and per host (PROTOCOL.md, section 8.5)."""

from __future__ import annotations

from palaver.machine import Address
from palaver.timing import Limits

from .hosts import host_of


class HalfOpen:
    """The links whose caller has not been heard on them: bounded, whatever arrives."""

    __slots__ = ("_hosts", "_limits", "_links")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # By link, oldest first: its host, and whether a cookie has proved its address.
        self._links: dict[int, tuple[str, bool]] = {}
        self._hosts: dict[str, int] = {}

    def __len__(self) -> int:
        """Give how many there are."""
        return len(self._links)

    def links(self) -> list[int]:
        """Give their numbers, oldest first."""
        return list(self._links)

    def has_room(self, address: Address) -> bool:
        """Tell whether a caller at `address` may have one more."""
        return (
            len(self._links) < self._limits.half_open
            and self._hosts.get(host_of(address), 0) < self._limits.half_open_per_host
        )

    def place_for(self, address: Address) -> int | None:
        """Give the link that should go for a proved caller at `address`; None for none.

        It is the oldest unproved one: of the same host, if that has as many as it may.
        """
        host = host_of(address)
        crowded = self._hosts.get(host, 0) >= self._limits.half_open_per_host
        for link, (its_host, proved) in self._links.items():
            if not proved and (its_host == host or not crowded):
                return link
        return None

    def add(self, link: int, address: Address, *, proved: bool) -> None:
        """Count a link."""
        host = host_of(address)
        self._links[link] = (host, proved)
        self._hosts[host] = self._hosts.get(host, 0) + 1

    def discard(self, link: int) -> None:
        """Stop counting a link, if it was counted."""
        found = self._links.pop(link, None)
        if found is None:
            return
        host, _ = found
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]

    def clone(self) -> HalfOpen:
        """Give an independent twin."""
        twin = HalfOpen(self._limits)
        twin._links = self._links.copy()
        twin._hosts = self._hosts.copy()
        return twin

    def key(self) -> tuple[object, ...]:
        """Give the state as a comparable value."""
        return tuple(self._links.items())

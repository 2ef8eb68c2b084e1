"""How many half-open links there are, in all and per host (PROTOCOL.md, section 8.5)."""

from __future__ import annotations

from palaver.machine import Address
from palaver.timing import Limits


class HalfOpen:
    """The links whose caller has not proved its address: bounded, whatever arrives."""

    __slots__ = ("_hosts", "_limits", "_links")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._links: dict[int, str] = {}
        self._hosts: dict[str, int] = {}

    def __len__(self) -> int:
        """Give how many there are."""
        return len(self._links)

    def has_room(self, address: Address) -> bool:
        """Tell whether a caller at `address` may have one more."""
        hosts = self._hosts.get(host_of(address), 0)
        return len(self._links) < self._limits.half_open and hosts < self._limits.half_open_per_host

    def add(self, link: int, address: Address) -> None:
        """Count a link."""
        host = host_of(address)
        self._links[link] = host
        self._hosts[host] = self._hosts.get(host, 0) + 1

    def discard(self, link: int) -> None:
        """Stop counting a link, if it was counted."""
        host = self._links.pop(link, None)
        if host is None:
            return
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


def host_of(address: Address) -> str:
    """Give what counts as one host: the host, or for IPv6 the /64 that it is in."""
    host = address[0]
    if host.count(":") < 2:
        return host
    if "." in host:
        # An IPv4 address in the clothes of IPv6.
        return host.rpartition(":")[2]
    head, gap, tail = host.partition("::")
    groups = head.split(":") if head else []
    if gap:
        tail_groups = tail.split(":") if tail else []
        groups += ["0"] * (8 - len(groups) - len(tail_groups)) + tail_groups
    return ":".join(group.lower().lstrip("0") or "0" for group in groups[:4])

"""The links of an endpoint, by all that they are looked up by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from palaver.machine import Address

from .context import Context
from .link import Link
from .states import State


class LinkTable:
    """Links by number, by local id, by the peer's address and id; and calls by address."""

    __slots__ = ("_by_remote", "_calls", "_inbound", "by_local", "by_number")

    def __init__(self) -> None:
        self.by_number: dict[int, Link] = {}
        # By the id that the link receives under.
        self.by_local: dict[int, Link] = {}
        self._by_remote: dict[tuple[Address, int], Link] = {}
        # Links that call and have not heard DATA yet, by the address that they call.
        self._calls: dict[Address, dict[int, Link]] = {}
        # Links that were called, told the program so, and are not over.
        self._inbound: dict[int, Link] = {}

    def __len__(self) -> int:
        """Give how many links there are."""
        return len(self.by_number)

    @property
    def inbound_count(self) -> int:
        """How many callers are being talked to."""
        return len(self._inbound)

    def inbound(self) -> Iterator[Link]:
        """Give the links to callers that are being talked to."""
        return iter(self._inbound.values())

    def by_remote(self, address: Address, remote: int) -> Link | None:
        """Give the link whose peer is at `address` and receives under id `remote`."""
        return self._by_remote.get((address, remote))

    def calls_to(self, address: Address, role: str) -> list[Link]:
        """Give the links that call `address` for a role and have not heard DATA from there yet."""
        return [link for link in self._calls.get(address, {}).values() if link.role == role]

    def has_any(self, numbers: Iterable[int], address: Address, role: str) -> bool:
        """Tell whether any of these links is one to `address` for a role."""
        links = map(self.by_number.get, numbers)
        return any(
            link is not None and link.channel.address == address and link.role == role
            for link in links
        )

    def note_unreachable(self, address: Address) -> None:
        """Tell the calls to an address that the network says nobody is there."""
        for link in self._calls.get(address, {}).values():
            link.note_unreachable()

    def add(self, link: Link) -> None:
        """Enter a link that calls or has answered."""
        self.by_number[link.number] = link
        self.by_local[link.local] = link
        address = link.channel.address
        if link.state is State.CALLING:
            self._calls.setdefault(address, {})[link.number] = link
        else:
            self._by_remote[address, link.channel.remote] = link

    def follow(self, link: Link) -> None:
        """Take note that a link was opened, has ended for the program, or is gone."""
        if link.state is State.CALLING:
            return
        number, address, remote = link.number, link.channel.address, link.channel.remote
        if link.is_conversing:
            self._by_remote[address, remote] = link
            if link.ref is None:
                self._inbound[number] = link
            return
        self._inbound.pop(number, None)
        self._forget_call(link)
        if link.state is State.CLOSED:
            self.by_number.pop(number, None)
            self.by_local.pop(link.local, None)
            # Only a peer that uses an id twice can have put another link there.
            if self._by_remote.get((address, remote)) is link:
                del self._by_remote[address, remote]

    def note_heard(self, link: Link) -> None:
        """Take note that DATA has come on a link for the first time."""
        self._forget_call(link)

    def move(self, link: Link, before: Address) -> None:
        """Take note that a link's peer has moved."""
        self._by_remote.pop((before, link.channel.remote), None)
        self._by_remote[link.channel.address, link.channel.remote] = link

    def replace(self, call: Link, link: Link, number: int) -> None:
        """Let `link`, so far entered as `number`, take the place of `call`."""
        self._forget_call(call)
        self.by_local.pop(call.local, None)
        del self.by_number[number]
        self.by_number[link.number] = link

    def _forget_call(self, link: Link) -> None:
        calls = self._calls.get(link.channel.address)
        if calls is not None and calls.pop(link.number, None) is not None and not calls:
            del self._calls[link.channel.address]

    def clone(self, context: Context) -> LinkTable:
        """Give an independent twin in another context."""
        twin = LinkTable()
        links = {number: link.clone(context) for number, link in self.by_number.items()}
        twin.by_number = links
        twin.by_local = {key: links[one.number] for key, one in self.by_local.items()}
        twin._by_remote = {key: links[one.number] for key, one in self._by_remote.items()}
        twin._calls = {
            address: {number: links[number] for number in calls}
            for address, calls in self._calls.items()
        }
        twin._inbound = {number: links[number] for number in self._inbound}
        return twin

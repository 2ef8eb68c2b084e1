"""Which links are on which stream (PROTOCOL.md, section 8.9)."""

from __future__ import annotations

from palaver.machine import Action, Address

from .link import Link
from .states import Input, State


class Streams:
    """The streams that have links, by address. A link stays on its stream until either ends."""

    __slots__ = ("_links",)

    def __init__(self) -> None:
        # By address, and by the link's own id.
        self._links: dict[Address, dict[int, Link]] = {}

    def __contains__(self, address: Address) -> bool:
        """Tell whether any link is on the stream."""
        return address in self._links

    def add(self, link: Link) -> None:
        """Take note of a link that begins."""
        self._links.setdefault(link.channel.address, {})[link.local] = link

    def leave(self, link: Link) -> bool:
        """Take note of a link that is gone; tell whether it was the last one on its stream."""
        address = link.channel.address
        links = self._links.get(address)
        if links is None or links.pop(link.local, None) is None or links:
            return False
        del self._links[address]
        return True

    def cut(self, address: Address, now: float, out: list[Action]) -> list[Link]:
        """Take note that a stream has ended; give the links that have ended with it.

        Calls go on: they will be made over another stream.
        """
        ended = []
        for link in self._links.pop(address, {}).values():
            if link.state is State.CALLING:
                self.add(link)
            else:
                link.step(Input.CUT, None, now, out)
                ended.append(link)
        return ended

    def clone(self, twins: dict[int, Link]) -> Streams:
        """Give an independent twin, for the twins of the links by their own ids."""
        twin = Streams()
        twin._links = {
            address: {local: twins[local] for local in links}
            for address, links in self._links.items()
        }
        return twin

"""Which links are on which stream (PROTOCOL.md, section 8.9)."""

from __future__ import annotations

from palaver.machine import Action, Address

from .link import Link
from .states import Input, State


class Streams:
    """The streams that have links, by address. A link stays on its stream until either ends."""

    __slots__ = ("_idle", "_links", "_patience")

    def __init__(self, patience: float) -> None:
        """Bear streams without links for `patience` seconds after their last HELLO."""
        self._patience = patience
        # By address, and by the link's own id.
        self._links: dict[Address, dict[int, Link]] = {}
        # Streams whose HELLO came to nothing so far, and when it came: the longest ago first.
        self._idle: dict[Address, float] = {}

    def __contains__(self, address: Address) -> bool:
        """Tell whether any link is on the stream."""
        return address in self._links

    def add(self, link: Link) -> None:
        """Take note of a link that begins."""
        address = link.channel.address
        self._links.setdefault(address, {})[link.local] = link
        self._idle.pop(address, None)

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
        self._idle.pop(address, None)
        ended = []
        for link in self._links.pop(address, {}).values():
            if link.state is State.CALLING:
                self.add(link)
            else:
                link.step(Input.CUT, None, now, out)
                ended.append(link)
        return ended

    def wait(self, address: Address, now: float) -> None:
        """Take note of a HELLO that came to nothing, on a stream without links."""
        self._idle.pop(address, None)
        self._idle[address] = now

    @property
    def deadline(self) -> float:
        """When `take_idle` is next due; infinity for never."""
        for since in self._idle.values():
            return since + self._patience
        return float("inf")

    def take_idle(self, now: float) -> list[Address]:
        """Forget the streams that have waited for too long, and give them."""
        late = [one for one, since in self._idle.items() if now >= since + self._patience]
        for address in late:
            del self._idle[address]
        return late

    def clone(self, twins: dict[int, Link]) -> Streams:
        """Give an independent twin, for the twins of the links by their own ids."""
        twin = Streams(self._patience)
        twin._idle = self._idle.copy()
        twin._links = {
            address: {local: twins[local] for local in links}
            for address, links in self._links.items()
        }
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give what the links don't tell as a comparable value, times relative to `now`."""
        return tuple((address, since - now) for address, since in self._idle.items())

"""Which links are to be ticked, and when."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

from .link import Link

_NEVER = float("inf")


class Agenda:
    """A lazy heap of deadlines: each link's earliest entry counts, the others are passed over.

    `links` are all there are, by number.
    """

    __slots__ = ("_links", "heap", "touched")

    def __init__(self, links: dict[int, Link]) -> None:
        self._links = links
        self.heap: list[tuple[float, int]] = []
        """When each link is next due, perhaps a little early; the first entry is the earliest."""
        self.touched: dict[int, Link] = {}
        """Links to tick at once, whatever their timers say."""

    def touch(self, link: Link) -> None:
        """Have a link ticked at once, if it is still there."""
        if self._links.get(link.number) is link:
            self.touched[link.number] = link

    def follow(self, link: Link) -> None:
        """Take note that a link may be gone."""
        if self._links.get(link.number) is not link:
            self.touched.pop(link.number, None)
            self._tidy()

    def let_rest(self, link: Link) -> None:
        """Have a link ticked at its deadline and not at once, unless it was touched before."""
        if link.number not in self.touched:
            link.is_dirty = False
            when = link.channel.deadline
            if when < link.scheduled:
                self._enter(link, when)

    def take_due(self, now: float) -> Iterable[Link]:
        """Give the links to tick now. Each must be given to `plan` when it was ticked."""
        due, self.touched = self.touched, {}
        heap = self.heap
        while heap and heap[0][0] <= now:
            when, number = heappop(heap)
            link = self._links.get(number)
            if link is not None and link.scheduled == when:
                link.scheduled = _NEVER
                due[number] = link
        return due.values()

    def plan(self, link: Link) -> None:
        """Enter a link's deadline, if it is earlier than what is entered."""
        when = link.deadline
        if when is not None and when < link.scheduled:
            self._enter(link, when)

    def _enter(self, link: Link, when: float) -> None:
        link.scheduled = when
        heappush(self.heap, (when, link.number))
        if len(self.heap) > 2 * len(self._links) + 64:
            self._tidy()

    def renumber(self, link: Link, before: int) -> None:
        """Take note that a link has another number now."""
        self.touched.pop(before, None)
        link.scheduled = _NEVER
        self.touch(link)

    def _tidy(self) -> None:
        """Drop entries that count no more, from the top and, if they abound, everywhere."""
        heap, links = self.heap, self._links
        while heap:
            when, number = heap[0]
            link = links.get(number)
            if link is not None and link.scheduled == when:
                break
            heappop(heap)
        if len(heap) > 2 * len(links) + 64:
            heap[:] = [
                (link.scheduled, number)
                for number, link in links.items()
                if link.scheduled < _NEVER
            ]
            heapify(heap)

    def clone(self, links: dict[int, Link]) -> Agenda:
        """Give an independent twin for the twins of the links."""
        twin = Agenda(links)
        twin.heap = self.heap.copy()
        twin.touched = {number: links[number] for number in self.touched}
        return twin

    def key(self) -> tuple[int, ...]:
        """Give the state as a comparable value."""
        return tuple(self.touched)

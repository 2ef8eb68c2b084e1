"""Which links are to be ticked, and when."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from .link import Link

_NEVER = float("inf")


class Agenda:
    """A lazy heap of deadlines: each link's earliest entry counts, the others are passed over.

    `links` are all there are, by number.
    """

    __slots__ = ("_heap", "_links", "_touched")

    def __init__(self, links: dict[int, Link]) -> None:
        self._links = links
        self._heap: list[tuple[float, int]] = []
        # Links to tick at once, whatever their timers say.
        self._touched: dict[int, Link] = {}

    @property
    def is_pressing(self) -> bool:
        """Whether a link is to be ticked at once."""
        return bool(self._touched)

    @property
    def deadline(self) -> float:
        """When the next timer is due, perhaps a little early; infinity for none."""
        return self._heap[0][0] if self._heap else _NEVER

    def touch(self, link: Link) -> None:
        """Have a link ticked at once, if it is still there."""
        if self._links.get(link.number) is link:
            self._touched[link.number] = link

    def follow(self, link: Link) -> None:
        """Take note that a link may be gone."""
        if self._links.get(link.number) is not link:
            self._touched.pop(link.number, None)

    def let_rest(self, link: Link) -> None:
        """Have a link ticked at its deadline and not at once, unless it was touched before."""
        if link.number not in self._touched:
            link.rest()
            self.plan(link)

    def take_due(self, now: float) -> list[Link]:
        """Give the links to tick now. Each must be given to `plan` when it was ticked."""
        due, self._touched = self._touched, {}
        heap, links = self._heap, self._links
        while heap and heap[0][0] <= now:
            when, number = heappop(heap)
            link = links.get(number)
            if link is not None and link.scheduled == when:
                link.scheduled = _NEVER
                due[number] = link
        return [link for number, link in due.items() if links.get(number) is link]

    def plan(self, link: Link) -> None:
        """Enter a link's deadline, if it is earlier than what is entered."""
        when = link.deadline
        if when is not None and when < link.scheduled:
            link.scheduled = when
            heappush(self._heap, (when, link.number))

    def renumber(self, link: Link) -> None:
        """Take note that a link has another number now."""
        link.scheduled = _NEVER
        self.touch(link)

    def tidy(self) -> None:
        """Drop entries that count no more, from the top and, if they abound, everywhere."""
        heap, links = self._heap, self._links
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
        twin._heap = self._heap.copy()
        twin._touched = {number: links[number] for number in self._touched}
        return twin

    def key(self) -> tuple[int, ...]:
        """Give the state as a comparable value."""
        return tuple(self._touched)

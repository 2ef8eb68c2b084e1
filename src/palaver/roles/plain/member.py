"""A member of a plain group, as `PlainRelay` keeps it (PROTOCOL.md, appendix A)."""

from __future__ import annotations

from palaver.machine import Address, copy_slots

from .allowance import Allowance
from .bucket import Bucket
from .rules import PlainRules
from .splitter import LineSplitter


class PlainMember:
    """Whoever has sent a text; `number` is below 0, and stands where others have a link."""

    __slots__ = (
        "address",
        "allowance",
        "ends_lines",
        "heard_at",
        "is_hushed",
        "name",
        "number",
        "posts",
        "shown",
    )

    def __init__(
        self, number: int, address: Address, rules: PlainRules, now: float, *, is_proven: bool
    ) -> None:
        self.number = number
        self.address = address
        # What stands in front of its texts, if anything does, and what it is called.
        self.name = ""
        self.shown = ""
        self.ends_lines = False
        self.heard_at = now
        self.posts = Bucket(rules.posts, rules.posts_burst, now)
        self.allowance = None if is_proven else Allowance(rules)
        # It was told that it must say something to hear more.
        self.is_hushed = False

    def encode(self, text: str) -> bytes:
        """Give a text as it seems to want it: with a line end if it uses them itself."""
        return text.encode() + b"\n" * self.ends_lines

    def clone(self) -> PlainMember:
        """Give an independent twin."""
        twin = copy_slots(self)
        twin.posts = self.posts.clone()
        twin.allowance = None if self.allowance is None else self.allowance.clone()
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return (
            *(self.number, self.address, self.name, self.shown, self.ends_lines),
            *(self.heard_at - now, self.posts.key(now), self.is_hushed),
            None if self.allowance is None else self.allowance.key(),
        )


class Streams:
    """The streams that stand, and what has come on each and is no whole text yet."""

    __slots__ = ("_by_address", "_piece")

    def __init__(self, piece: int) -> None:
        self._piece = piece
        self._by_address: dict[Address, tuple[LineSplitter, int]] = {}

    def __len__(self) -> int:
        """Give how many streams there are."""
        return len(self._by_address)

    def add(self, address: Address, number: int) -> None:
        """Take note of a stream; `number` names it among timers."""
        self._by_address[address] = (LineSplitter(self._piece), number)

    def get(self, address: Address) -> tuple[LineSplitter, int] | None:
        """Give what has come on a stream, and its number."""
        return self._by_address.get(address)

    def by_number(self, number: int) -> Address | None:
        """Find a stream by its number."""
        found = (address for address, (_, one) in self._by_address.items() if one == number)
        return next(found, None)

    def remove(self, address: Address) -> None:
        """Forget a stream."""
        self._by_address.pop(address, None)

    def addresses(self) -> list[Address]:
        """Give all streams."""
        return list(self._by_address)

    def clone(self) -> Streams:
        """Give an independent twin."""
        twin = Streams(self._piece)
        twin._by_address = {
            address: (splitter.clone(), number)
            for address, (splitter, number) in self._by_address.items()
        }
        return twin

    def key(self) -> tuple[object, ...]:
        """Give the state as a comparable value."""
        return tuple((a, splitter.key(), n) for a, (splitter, n) in self._by_address.items())

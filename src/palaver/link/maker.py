"""Making links: their numbers, ids and secrets (PROTOCOL.md, sections 3.4 and 4.9)."""

from __future__ import annotations

from collections.abc import Callable

from palaver.entropy import Draws
from palaver.machine import Address

from .context import Context
from .link import Link

_TOP_BIT = 1 << 63


class Maker:
    """Makes links whose ids nobody can foresee, and that are numbered from 1."""

    __slots__ = ("_context", "_draws", "last_number")

    def __init__(self, context: Context, draws: Draws) -> None:
        self._context = context
        self._draws = draws
        # Of the links so far.
        self.last_number = 0

    def make(self, local: int, role: str, address: Address) -> Link:
        """Make the next link."""
        self.last_number += 1
        secret = self._draws.bytes(16)
        return Link(self.last_number, local, role, address, self._context, secret)

    def draw_id(self, is_taken: Callable[[int], bool]) -> int:
        """Draw an id that is not taken."""
        while True:
            local = int.from_bytes(self._draws.bytes(8), "big")
            if local and not is_taken(local):
                return local

    def draw_calling_id(self, is_taken: Callable[[int], bool], *, high: bool) -> int:
        """Draw an id for a call: a `high` one is above all that are not."""
        while True:
            local = self.draw_id(is_taken)
            local = local | _TOP_BIT if high else local & ~_TOP_BIT
            if local and not is_taken(local):
                return local

    def clone(self, context: Context) -> Maker:
        """Give an independent twin that will draw the same ids."""
        twin = Maker(context, self._draws.clone())
        twin.last_number = self.last_number
        return twin

    def key(self) -> tuple[object, ...]:
        """Give the state as a comparable value."""
        return (self._draws.key(), self.last_number)

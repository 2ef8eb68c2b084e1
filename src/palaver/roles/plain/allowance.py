"""What may be sent to an address that proves nothing (PROTOCOL.md, appendix A)."""

from __future__ import annotations

from .rules import PlainRules


class Allowance:
    """Datagrams and bytes that each datagram from an address earns it, and that it has left."""

    __slots__ = ("_bytes", "_datagrams", "_rules")

    def __init__(self, rules: PlainRules) -> None:
        self._rules = rules
        self._datagrams = 0
        self._bytes = 0

    @property
    def datagrams(self) -> int:
        """How many are left."""
        return self._datagrams

    def earn(self) -> None:
        """Take note of a datagram that came."""
        rules = self._rules
        kept = rules.answers_kept
        self._datagrams = min(self._datagrams + rules.answers, kept * rules.answers)
        self._bytes = min(self._bytes + rules.answer_bytes, kept * rules.answer_bytes)

    def covers(self, datagrams: int, size: int) -> bool:
        """Tell whether so many datagrams with `size` bytes of text together may be sent."""
        return self._datagrams >= datagrams and self._bytes >= size

    def spend(self, size: int) -> bool:
        """Spend one datagram with `size` bytes of text, if there is as much."""
        if not self.covers(1, size):
            return False
        self._datagrams -= 1
        self._bytes -= size
        return True

    def clone(self) -> Allowance:
        """Give an independent twin."""
        twin = Allowance(self._rules)
        twin._datagrams, twin._bytes = self._datagrams, self._bytes
        return twin

    def key(self) -> tuple[int, int]:
        """Give the state as a comparable value."""
        return self._datagrams, self._bytes

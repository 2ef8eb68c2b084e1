"""How a link comes to its end: what was said, what was heard, and the outcome (section 8.4)."""

from __future__ import annotations

from palaver.machine import copy_slots
from palaver.wire.errors import Reason

from .events import Side


class Farewell:
    """FIN and BYE of either side, and why the link ends."""

    __slots__ = ("by", "bye_heard", "fin_heard", "fin_said", "last_word", "reason", "text", "until")

    def __init__(self) -> None:
        self.fin_said = False
        self.fin_heard = False
        self.bye_heard = False
        self.reason: int = Reason.LEFT
        self.by = Side.LOCAL
        self.text = ""
        # When a close by agreement must be over, however well it gets on.
        self.until = float("inf")
        # The packet to be repeated to a peer that goes on talking: a CLOSE, or the last ACK.
        self.last_word: bytes | None = None

    def settle(self, reason: int, by: Side, text: str = "") -> None:
        """Say why the link ends, and which side ends it."""
        self.reason, self.by, self.text = reason, by, text

    def clone(self) -> Farewell:
        """Give an independent twin."""
        return copy_slots(self)

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return (
            self.fin_said,
            self.fin_heard,
            self.bye_heard,
            self.reason,
            self.by,
            self.text,
            self.last_word,
            self.until - now,
        )

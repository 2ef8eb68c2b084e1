"""Packet numbers that have arrived: the replay window and the acks (sections 7.1 and 8.2)."""

from __future__ import annotations

from palaver.machine import copy_slots
from palaver.timing import REPLAY_WINDOW
from palaver.wire.frames import (
    ACK,
    ACK_FRAME,
    ACK_SIZE,
    DELAY_UNIT,
    FRAME_HEADER_SIZE,
    MAP_BITS,
    NO_DELAY,
)

_MASK = (1 << REPLAY_WINDOW) - 1
_MAP_MASK = (1 << 64) - 1
_ACK_BODY = ACK_SIZE - FRAME_HEADER_SIZE
ACK_EVERY = 2
REPEATS = 3


class Arrivals:
    """What has arrived, and when the peer must be told of it."""

    __slots__ = (
        "_ack_delay",
        "_highest",
        "_newest",
        "_newest_at",
        "_repeats",
        "_reported",
        "_seen",
        "_unacked",
        "ack_at",
    )

    def __init__(self, ack_delay: float) -> None:
        self._ack_delay = ack_delay
        self._highest = -1
        # Bit i: packet `highest - i` has arrived.
        self._seen = 0
        # The newest ack-eliciting packet, and when it came.
        self._newest = -1
        self._newest_at = 0.0
        # The newest that an ACK has told of.
        self._reported = -1
        self._unacked = 0
        # How many more packets should carry an ACK that is not owed, in case one was lost.
        self._repeats = 0
        self.ack_at: float | None = None
        """When an ack is due; a time in the past means with the next tick."""

    @property
    def highest(self) -> int:
        """The highest packet number that has arrived, -1 at first."""
        return self._highest

    @property
    def should_repeat(self) -> bool:
        """Whether an ACK should go along with a packet that has room for it, owed or not."""
        return self._repeats > 0

    @property
    def can_ack(self) -> bool:
        """Whether anything has come that can be acknowledged."""
        return self._newest >= 0

    def is_fresh(self, number: int) -> bool:
        """Tell whether packet `number` is new; False also if it is too old to know."""
        age = self._highest - number
        return age < 0 or (age < REPLAY_WINDOW and not self._seen >> age & 1)

    def record(self, number: int, now: float, *, eliciting: bool) -> None:
        """Take note of a fresh packet whose tag was right."""
        ahead = number - self._highest
        if ahead > 0:
            self._seen = (self._seen << ahead | 1) & _MASK if ahead < REPLAY_WINDOW else 1
            self._highest = number
        else:
            self._seen |= 1 << -ahead
        if not eliciting:
            return
        if number > self._newest:
            self._newest = number
            self._newest_at = now
        self._unacked += 1
        self._repeats = REPEATS
        if ahead != 1 or self._unacked >= ACK_EVERY:
            self.ack_at = now
        elif self.ack_at is None:
            self.ack_at = now + self._ack_delay

    def hurry(self, now: float) -> None:
        """Make the ack that is owed due at once."""
        self.ack_at = now

    def frame(self, wanted: int, credit: int, now: float) -> bytes:
        """Give an ACK frame for the newest arrivals; nothing is owed any more."""
        if self.ack_at is None and self._repeats:
            self._repeats -= 1
        self.ack_at = None
        self._unacked = 0
        self._reported = self._newest
        delay = int((now - self._newest_at) / DELAY_UNIT)
        return self._pack(wanted, self._newest, min(delay, NO_DELAY), credit)

    @property
    def has_older(self) -> bool:
        """Whether more has arrived since the last ACK than the next one can tell of."""
        return self._newest - self._reported > MAP_BITS + 1

    def older_frames(self, wanted: int, credit: int) -> list[bytes]:
        """Give ACK frames, oldest first, for what the next `frame` is too small to tell of."""
        older: list[bytes] = []
        bound = self._newest - MAP_BITS
        while bound > self._reported + 1:
            # The highest arrival below what the frame before has told of.
            unseen = self._seen >> (self._highest - bound + 1)
            newest = bound - (unseen & -unseen).bit_length()
            if not unseen or newest <= self._reported:
                break
            older.insert(0, self._pack(wanted, newest, NO_DELAY, credit))
            bound = newest - MAP_BITS
        return older

    def _pack(self, wanted: int, newest: int, delay: int, credit: int) -> bytes:
        earlier = self._seen >> (self._highest - newest + 1) & _MAP_MASK
        return ACK_FRAME.pack(ACK, _ACK_BODY, wanted, newest, earlier, delay, credit)

    def clone(self) -> Arrivals:
        """Give an independent twin."""
        return copy_slots(self)

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value: times and numbers relative."""
        return (
            self._highest - self._newest,
            self._highest - self._reported,
            self._seen,
            self._newest_at - now if self._newest >= 0 else None,
            self._unacked,
            self._repeats,
            None if self.ack_at is None else self.ack_at - now,
        )

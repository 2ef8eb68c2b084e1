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
_NEVER = float("inf")
_ACK_BODY = ACK_SIZE - FRAME_HEADER_SIZE
ACK_EVERY = 2
# In a flow that goes on and on without a gap fewer acks will do, and cost both sides less.
STEADY = 128
ACK_EVERY_STEADY = 8
# With less credit than this the sender might wait for them.
MIN_WINDOW_STEADY = 65536
# Nor may the packets that wait for one use it up: a packet costs at most 9 times its size.
MTUS_STEADY = 9 * ACK_EVERY_STEADY
REPEATS = 3
# Older than this an arrival is told of without its age; no age is below it by rounding.
_OLDEST = -2.0 * NO_DELAY * DELAY_UNIT


class Arrivals:
    """What has arrived, and when the peer must be told of it."""

    __slots__ = (
        "_ack_delay",
        "_in_order",
        "_may_save_acks",
        "_newest",
        "_newest_at",
        "_reported",
        "_seen",
        "_unacked",
        "ack_at",
        "highest",
        "repeats",
    )

    def __init__(self, ack_delay: float, window: int = 0, mtu: int = 0) -> None:
        """Acks may wait `ack_delay` seconds; `window` is the credit granted, in bytes.

        No packet has more than `mtu` bytes.
        """
        self._ack_delay = ack_delay
        self._may_save_acks = window >= max(MIN_WINDOW_STEADY, MTUS_STEADY * mtu)
        self.highest = -1
        """The highest packet number that has arrived, -1 at first."""
        # Bit i: packet `highest - i` has arrived.
        self._seen = 0
        # The newest ack-eliciting packet, and when it came.
        self._newest = -1
        self._newest_at = 0.0
        # The newest that an ACK has told of.
        self._reported = -1
        self._unacked = 0
        # How many of them have come in order, up to STEADY.
        self._in_order = 0
        self.repeats = 0
        """How many more packets should carry an ACK that is not owed, in case one was lost."""
        self.ack_at = _NEVER
        """When an ack is due, infinity for never; a time in the past means with the next tick."""

    @property
    def is_owed(self) -> bool:
        """Whether an ack is due, now or later."""
        return self.ack_at < _NEVER

    @property
    def can_ack(self) -> bool:
        """Whether anything has come that can be acknowledged."""
        return self._newest >= 0

    def is_fresh(self, number: int) -> bool:
        """Tell whether packet `number` is new; False also if it is too old to know."""
        age = self.highest - number
        return age < 0 or (age < REPLAY_WINDOW and not self._seen >> age & 1)

    def record(self, number: int, now: float, *, eliciting: bool) -> None:
        """Take note of a fresh packet whose tag was right."""
        ahead = number - self.highest
        if ahead == 1:
            if self._seen is not _MASK:
                seen = (self._seen << 1 | 1) & _MASK
                # As one object, all that can be seen needs no more to be computed.
                self._seen = _MASK if seen == _MASK else seen
            self.highest = number
        elif ahead > 0:
            self._seen = (self._seen << ahead | 1) & _MASK if ahead < REPLAY_WINDOW else 1
            self.highest = number
        else:
            self._seen |= 1 << -ahead
        if not eliciting:
            return
        if number > self._newest:
            self._newest = number
            self._newest_at = now
        self._unacked += 1
        self.repeats = REPEATS
        if ahead != 1:
            self.hurry(now)
        elif self._in_order < STEADY:
            self._in_order += self._may_save_acks
            if self._unacked >= ACK_EVERY:
                self.ack_at = now
        elif self._unacked >= ACK_EVERY_STEADY:
            self.ack_at = now
        if self.ack_at == _NEVER:
            self.ack_at = now + self._ack_delay

    def hurry(self, now: float) -> None:
        """Make an ack due at once; the flow isn't steady any more."""
        self.ack_at = now
        self._in_order = 0

    def frame(self, wanted: int, credit: int, now: float) -> bytes:
        """Give an ACK frame for the newest arrivals; nothing is owed any more."""
        if self.repeats and self.ack_at == _NEVER:
            self.repeats -= 1
        self.ack_at = _NEVER
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
            unseen = self._seen >> (self.highest - bound + 1)
            newest = bound - (unseen & -unseen).bit_length()
            if not unseen or newest <= self._reported:
                break
            older.insert(0, self._pack(wanted, newest, NO_DELAY, credit))
            bound = newest - MAP_BITS
        return older

    def _pack(self, wanted: int, newest: int, delay: int, credit: int) -> bytes:
        earlier = self._seen >> (self.highest - newest + 1) & _MAP_MASK
        return ACK_FRAME.pack(ACK, _ACK_BODY, wanted, newest, earlier, delay, credit)

    def clone(self) -> Arrivals:
        """Give an independent twin."""
        return copy_slots(self)

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value: times and numbers relative.

        Not what has arrived decides the future but what has not, and how long ago the newest
        came only as long as an ACK can tell.
        """
        known = min(self.highest + 1, REPLAY_WINDOW)
        return (
            self.highest - self._newest,
            self.highest - self._reported,
            ~self._seen & ((1 << known) - 1),
            max(self._newest_at - now, _OLDEST) if self._newest >= 0 else None,
            self._unacked,
            self._in_order,
            self.repeats,
            self.ack_at - now,
        )

"""Segments coming in: order, reassembly, credit and hand-over (PROTOCOL.md, section 7.7)."""

from __future__ import annotations

from palaver.machine import copy_slots
from palaver.timing import CREDIT_RESERVE, MAX_MESSAGE, SEGMENT_CHARGE
from palaver.wire.errors import Reason
from palaver.wire.frames import Segment


class Inbox:
    """The receiving half of the sequence of messages. Holds at most the window it granted."""

    __slots__ = (
        "_charged",
        "_early",
        "_partial",
        "_partial_charge",
        "_partial_size",
        "_starts",
        "_waiting",
        "consumed",
        "next",
        "paused",
        "wanted",
        "window",
    )

    def __init__(self, window: int) -> None:
        self.window = window
        # Everything before this segment was handed to the program.
        self.wanted = 0
        # Credit, in total since the link began, of what was handed over.
        self.consumed = 0
        self.paused = False
        # Everything before this segment is here.
        self.next = 0
        # Credit of what is held: early segments, a partial message, messages that wait.
        self._charged = 0
        self._early: dict[int, Segment] = {}
        self._partial: list[bytes] = []
        self._partial_size = 0
        self._partial_charge = 0
        # The first segments of the messages that were handed over together.
        self._starts: list[int] = []
        # Messages that wait while the program pauses: body, charge, the segment after the last.
        self._waiting: list[tuple[bytes, int, int]] = []

    @property
    def credit(self) -> int:
        """The total that the peer may spend."""
        return self.consumed + self.window

    @property
    def has_gap(self) -> bool:
        """Whether a segment is missing before one that is here."""
        return bool(self._early)

    def begin(self) -> None:
        """Take note that what is handed over from here on is handed over together."""
        self._starts.clear()

    def take_back(self, index: int) -> None:
        """Take note that of those messages this one and those after it were refused."""
        self.wanted = self._starts[index]

    def has(self, number: int) -> bool:
        """Tell whether segment `number` has been received before."""
        return number < self.next or number in self._early

    def receive(self, segment: Segment, out: list[bytes]) -> Reason | None:
        """Take a segment that is not here yet; append the messages it completes to `out`, in order.

        Gives None, or the rule that the peer broke.
        """
        number, early, data = segment.number, self._early, segment.data
        charge = len(data) + SEGMENT_CHARGE
        if self._charged + charge > self.window + CREDIT_RESERVE:
            return Reason.CREDIT_EXCEEDED
        if number == self.next and segment.last and not (self._charged or self.paused):
            # Nothing is held, and this is a whole message: as it nearly always is.
            self._starts.append(self.wanted)
            self.next = self.wanted = number + 1
            self.consumed += charge
            out.append(data)
            return None
        self._charged += charge
        if number != self.next:
            early[number] = segment
            return None
        while True:
            self.next += 1
            if not self._append(segment, out):
                return Reason.PROTOCOL_ERROR
            if self.next not in early:
                return None
            segment = early.pop(self.next)

    def _append(self, segment: Segment, out: list[bytes]) -> bool:
        data = segment.data
        self._partial_size += len(data)
        if self._partial_size > MAX_MESSAGE:
            return False
        self._partial_charge += len(data) + SEGMENT_CHARGE
        if not segment.last:
            self._partial.append(data)
            return True
        if self._partial:
            self._partial.append(data)
            data = b"".join(self._partial)
            self._partial.clear()
        charge = self._partial_charge
        self._partial_size = self._partial_charge = 0
        if self.paused:
            self._waiting.append((data, charge, self.next))
        else:
            out.append(data)
            self._hand_over(charge, self.next)
        return True

    def _hand_over(self, charge: int, wanted: int) -> None:
        self._starts.append(self.wanted)
        self._charged -= charge
        self.consumed += charge
        self.wanted = wanted

    def pause(self) -> None:
        """Hold complete messages back from now on."""
        self.paused = True

    def resume(self) -> list[bytes]:
        """Stop holding back; give the messages that waited."""
        self.paused = False
        self.begin()
        messages = []
        for body, charge, wanted in self._waiting:
            messages.append(body)
            self._hand_over(charge, wanted)
        self._waiting.clear()
        return messages

    def clone(self) -> Inbox:
        """Give an independent twin."""
        twin = copy_slots(self)
        twin._early = self._early.copy()
        twin._partial = self._partial.copy()
        twin._starts = self._starts.copy()
        twin._waiting = self._waiting.copy()
        return twin

    def key(self) -> tuple[object, ...]:
        """Give the state as a comparable value."""
        return (
            self.wanted,
            self.next,
            self.paused,
            self._charged,
            tuple(sorted((one.number, one.data, one.last) for one in self._early.values())),
            tuple(self._partial),
            tuple(self._waiting),
        )

"""Messages on their way out: queue, segments, credit and outcome (PROTOCOL.md, section 7)."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

from palaver.machine import UsageError, WouldBlock, copy_slots
from palaver.timing import MAX_MESSAGE, SEGMENT_CHARGE, Limits
from palaver.wire.frames import FRAGMENT, SEGMENT, SEGMENT_HEADER, SEGMENT_HEADER_SIZE
from palaver.wire.packets import DATA_HEADER_SIZE
from palaver.wire.sealing import TAG_SIZE

BUNDLED = 4
COPIES = 4
_NEVER = float("inf")
PACKET_OVERHEAD = DATA_HEADER_SIZE + TAG_SIZE


class Outgoing:
    """A segment until its message is delivered: its frame, and how many packets carry it."""

    __slots__ = ("acked", "carriers", "charge", "copies", "frame", "number", "reserved")

    def __init__(self, number: int, frame: bytes, charge: int, *, reserved: bool) -> None:
        self.number = number
        self.frame = frame
        self.charge = charge
        self.reserved = reserved
        # Packets that carry it and are not lost; at 0 it must be sent again.
        self.carriers = 0
        # How often it was sent along with later ones, as a precaution.
        self.copies = 0
        self.acked = False


class Pending:
    """A message until it is delivered. With `ref` None nobody is told of its fate."""

    __slots__ = ("body", "due", "last", "ref", "reserved", "size")

    def __init__(self, body: bytes, ref: int | None, due: float, *, reserved: bool) -> None:
        # FIN and BYE may go beyond the credit: the receiver keeps a reserve for them.
        self.reserved = reserved
        self.body = body
        self.size = len(body)
        self.ref = ref
        self.due = due
        # Its last segment's number, once it was cut into segments.
        self.last = -1


class Outbox:
    """The sending half of the sequence of messages."""

    __slots__ = (
        "_delivered",
        "_next",
        "_queue",
        "_queued_bytes",
        "_queued_messages",
        "_resend",
        "_sent",
        "_unsent",
        "blocked",
        "credit",
        "granted",
        "limits",
        "overdue_at",
        "payload",
        "spent",
        "undelivered",
    )

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.payload = 0
        # All credit is in total since the link began: what the peer granted, and what was spent.
        self.credit = 0
        self.granted = 0
        self.spent = 0
        # Whether WouldBlock was raised, so that Writable is owed.
        self.blocked = False
        self.undelivered: deque[Pending] = deque()
        self._queue: deque[Pending] = deque()
        self._queued_messages = 0
        self._queued_bytes = 0
        # Segments of one message, the first one last.
        self._unsent: list[Outgoing] = []
        self._sent: dict[int, Outgoing] = {}
        self._resend: list[int] = []
        # When the oldest message that was not reported yet becomes overdue; infinity for none.
        self.overdue_at = _NEVER
        self._next = 0
        self._delivered = 0

    # Getters

    @property
    def is_empty(self) -> bool:
        """Whether every message, FIN and BYE too, was delivered."""
        return not self.undelivered

    @property
    def is_flushed(self) -> bool:
        """Whether every message but FIN and BYE was delivered."""
        return all(message.reserved for message in self.undelivered)

    @property
    def has_more(self) -> bool:
        """Whether anything waits to be sent, for the first time or again."""
        return bool(self._unsent or self._queue or self._resend)

    @property
    def delivered(self) -> int:
        """The peer has handed over all before this segment."""
        return self._delivered

    @property
    def next_number(self) -> int:
        """The number that the next segment will have."""
        return self._next

    @property
    def wanted_bound(self) -> int:
        """The most that an ack can truthfully want: one more than the last segment sent."""
        return self._unsent[-1].number if self._unsent else self._next

    def check(self, message: bytes) -> None:
        """Raise UsageError or WouldBlock if `message` can't be queued; changes nothing else."""
        size = len(message)
        if not 0 < size <= MAX_MESSAGE:
            raise UsageError(f"a message has 1 to {MAX_MESSAGE} bytes, not {size}")
        if self.payload and self.cost(size) > self.granted:
            raise UsageError(f"the peer's window of {self.granted} can't take {size} bytes")
        if self._queued_messages and (
            self._queued_messages >= self.limits.queue_messages
            or self._queued_bytes + size > self.limits.queue_bytes
        ):
            self.blocked = True
            raise WouldBlock("the send queue of the link is full; wait for Writable")

    def cost(self, size: int) -> int:
        """Give the credit that a message of `size` bytes costs."""
        return size + SEGMENT_CHARGE * -(-size // self.payload)

    # Mutators

    def open(self, mtu: int, credit: int) -> list[Pending]:
        """Learn the peer's limits; give the queued messages that are too large for them."""
        self.payload = mtu - PACKET_OVERHEAD - SEGMENT_HEADER_SIZE
        self.credit = self.granted = credit
        return self._refuse_too_large()

    def take_over(self, other: Outbox) -> list[Pending]:
        """Take the queue of an outbox that was never opened; give what is too large."""
        for message in other.undelivered:
            self._put(message)
        self.blocked = other.blocked
        return self._refuse_too_large()

    def _refuse_too_large(self) -> list[Pending]:
        refused = [one for one in self._queue if self.cost(one.size) > self.granted]
        for message in refused:
            self._queue.remove(message)
            self.undelivered.remove(message)
            self._queued_messages -= 1
            self._queued_bytes -= message.size
        self._plan_overdue()
        return refused

    def put(self, body: bytes, ref: int | None, due: float) -> None:
        """Queue a message that was checked; it becomes overdue at `due`."""
        self._put(Pending(body, ref, due if ref is not None else _NEVER, reserved=False))

    def put_reserved(self, body: bytes) -> None:
        """Queue a FIN or a BYE."""
        self._put(Pending(body, None, _NEVER, reserved=True))

    def _put(self, message: Pending) -> None:
        self._queue.append(message)
        self.undelivered.append(message)
        self._queued_messages += 1
        self._queued_bytes += message.size
        self.overdue_at = min(self.overdue_at, message.due)

    def fill(self, parts: list[bytes], room: int) -> list[Outgoing]:
        """Append frames of up to `room` bytes to `parts`; give their segments.

        Lost segments come first, then new ones as far as credit goes.
        """
        taken: list[Outgoing] = []
        if self._resend:
            room = self._fill_again(parts, room, taken)
        while self._unsent or self._cut():
            segment = self._unsent[-1]
            frame = segment.frame
            room -= len(frame)
            if room < 0 or (self.spent + segment.charge > self.credit and not segment.reserved):
                break
            self._unsent.pop()
            self.spent += segment.charge
            self._sent[segment.number] = segment
            segment.carriers = 1
            parts.append(frame)
            taken.append(segment)
        return taken

    def fill_oldest(self, parts: list[bytes], room: int, skip: int) -> list[Outgoing]:
        """Append copies of segments that did not arrive yet, from the oldest but for `skip`.

        Where there are no more than `skip`, it starts again at the oldest.
        """
        waiting = [segment for segment in self._sent.values() if not segment.acked]
        taken: list[Outgoing] = []
        for segment in waiting[skip:] or waiting:
            room -= len(segment.frame)
            if room < 0:
                break
            segment.carriers += 1
            parts.append(segment.frame)
            taken.append(segment)
        return taken

    def bundle(self, parts: list[bytes], room: int, before: int) -> list[Outgoing]:
        """Append copies of the latest segments before segment `before` that did not arrive yet.

        So a loss is made good by the very next packet. Up to 4 segments, each up to 4 times.
        """
        taken: list[Outgoing] = []
        for number in range(before - 1, max(before - 1 - BUNDLED, self._delivered - 1), -1):
            segment = self._sent.get(number)
            if segment is None or segment.acked or segment.copies >= COPIES:
                continue
            room -= len(segment.frame)
            if room < 0:
                break
            segment.copies += 1
            segment.carriers += 1
            parts.append(segment.frame)
            taken.append(segment)
        return taken

    def acknowledged(self, segments: list[Outgoing]) -> None:
        """Take note of segments of a packet that arrived: the peer keeps them from now on."""
        for segment in segments:
            segment.acked = True
            segment.frame = b""

    def lost(self, segments: list[Outgoing]) -> int:
        """Take note of segments of a packet that was lost; give how many must be sent again."""
        again = 0
        for segment in segments:
            segment.carriers -= 1
            if not segment.carriers and not segment.acked:
                heappush(self._resend, segment.number)
                again += 1
        return again

    def deliver(self, wanted: int) -> list[Pending]:
        """Take note that all before segment `wanted` was handed over; give the messages."""
        sent = self._sent
        for number in range(self._delivered, wanted):
            segment = sent.pop(number)
            segment.acked = True
        self._delivered = wanted
        delivered = []
        undelivered = self.undelivered
        while undelivered and 0 <= undelivered[0].last < wanted:
            delivered.append(undelivered.popleft())
        if delivered:
            self._plan_overdue()
        return delivered

    def grant(self, credit: int) -> None:
        """Take the total of credit that the peer grants; an older, smaller one changes nothing."""
        self.credit = max(self.credit, credit)

    def take_overdue(self, now: float) -> list[Pending]:
        """Give the messages that became overdue, each once."""
        overdue = []
        for message in self.undelivered:
            if message.due <= now:
                message.due = _NEVER
                overdue.append(message)
        self._plan_overdue()
        return overdue

    def _plan_overdue(self) -> None:
        self.overdue_at = _NEVER
        for message in self.undelivered:
            # Those that were reported, or need not be, are never due.
            if message.due < _NEVER:
                self.overdue_at = message.due
                return

    def take_writable(self) -> bool:
        """Tell, once, that a queue that had been full has drained to half."""
        if not self.blocked:
            return False
        limits = self.limits
        if (
            self._queued_messages * 2 > limits.queue_messages
            or self._queued_bytes * 2 > limits.queue_bytes
        ):
            return False
        self.blocked = False
        return True

    def _cut(self) -> bool:
        """Cut the next queued message into segments; False if there is none."""
        if not self._queue:
            return False
        message = self._queue.popleft()
        self._queued_messages -= 1
        self._queued_bytes -= message.size
        body, payload, number = message.body, self.payload, self._next
        message.body = b""
        reserved = message.reserved
        segments = []
        for start in range(0, len(body), payload):
            piece = body[start : start + payload]
            last = start + payload >= len(body)
            header = SEGMENT_HEADER.pack(SEGMENT if last else FRAGMENT, 4 + len(piece), number)
            charge = len(piece) + SEGMENT_CHARGE
            segments.append(Outgoing(number, header + piece, charge, reserved=reserved))
            number += 1
        segments.reverse()
        self._unsent = segments
        self._next = number
        message.last = number - 1
        return True

    def _fill_again(self, parts: list[bytes], room: int, taken: list[Outgoing]) -> int:
        resend = self._resend
        while resend:
            segment = self._sent.get(resend[0])
            if segment is not None and not segment.acked and not segment.carriers:
                if len(segment.frame) > room:
                    return -1
                room -= len(segment.frame)
                segment.carriers = 1
                parts.append(segment.frame)
                taken.append(segment)
            heappop(resend)
        return room

    # Exploration

    def segments(self) -> dict[int, Outgoing]:
        """Give the segments that were sent and not delivered, by number."""
        return self._sent

    def clone(self) -> Outbox:
        """Give an independent twin."""
        twin = copy_slots(self)
        twins = {id(one): copy_slots(one) for one in self.undelivered}
        twin.undelivered = deque(twins.values())
        twin._queue = deque(twins[id(one)] for one in self._queue)
        twin._unsent = [copy_slots(one) for one in self._unsent]
        twin._sent = {number: copy_slots(one) for number, one in self._sent.items()}
        twin._resend = self._resend.copy()
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return (
            self._next,
            self._delivered,
            self.payload,
            self.credit - self.spent,
            self.granted,
            self.blocked,
            tuple((one.body, one.ref, one.last, one.due - now) for one in self.undelivered),
            len(self._queue),
            tuple(one.number for one in self._unsent),
            tuple(
                (number, one.carriers, one.copies, one.acked) for number, one in self._sent.items()
            ),
            tuple(sorted(self._resend)),
        )

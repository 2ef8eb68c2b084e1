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
# What a segment is charged, beyond the length of its frame.
_CHARGE = SEGMENT_CHARGE - SEGMENT_HEADER_SIZE
PACKET_OVERHEAD = DATA_HEADER_SIZE + TAG_SIZE


class Outgoing:
    """A segment until its message is delivered: its frame, and how many packets carry it."""

    __slots__ = ("carriers", "copies", "frame", "number", "reserved")

    def __init__(self, number: int, frame: bytes, reserved: bool) -> None:  # noqa: FBT001 - one is made for each message
        self.number = number
        # Empty when the peer has it.
        self.frame = frame
        self.reserved = reserved
        # Packets that carry it and are not lost, the first one to come among them; at 0 it must
        # be sent again.
        self.carriers = 1
        # How often it was sent along with later ones, as a precaution.
        self.copies = 0


class Pending:
    """A message until it is delivered. With `ref` None nobody is told of its fate."""

    __slots__ = ("body", "due", "last", "ref", "reserved")

    def __init__(self, body: bytes, ref: int | None, due: float, reserved: bool) -> None:  # noqa: FBT001
        # FIN and BYE may go beyond the credit: the receiver keeps a reserve for them.
        self.reserved = reserved
        self.body = body
        self.ref = ref
        self.due = due
        # Its last segment's number, once it was cut into segments.
        self.last = -1


class Outbox:
    """The sending half of the sequence of messages."""

    __slots__ = (
        "_delivered",
        "_largest",
        "_queued_bytes",
        "_queued_messages",
        "_resend",
        "_sent",
        "_unsent",
        "blocked",
        "credit",
        "granted",
        "limits",
        "next_number",
        "overdue_at",
        "payload",
        "spent",
        "undelivered",
    )

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.payload = 0
        # The largest message that the credit granted at first can take.
        self._largest = MAX_MESSAGE
        # All credit is in total since the link began: what the peer granted, and what was spent.
        self.credit = 0
        self.granted = 0
        self.spent = 0
        # Whether WouldBlock was raised, so that Writable is owed.
        self.blocked = False
        # All messages in order; the last of them, as many as are queued, were not cut yet.
        self.undelivered: deque[Pending] = deque()
        self._queued_messages = 0
        self._queued_bytes = 0
        # Segments of one message, the first one last.
        self._unsent: list[Outgoing] = []
        self._sent: dict[int, Outgoing] = {}
        self._resend: list[int] = []
        # When the oldest message that was not reported yet becomes overdue; infinity for none.
        self.overdue_at = _NEVER
        self.next_number = 0
        """The number that the next segment will have."""
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
        return bool(self._unsent or self._queued_messages or self._resend)

    @property
    def delivered(self) -> int:
        """The peer has handed over all before this segment."""
        return self._delivered

    @property
    def wanted_bound(self) -> int:
        """The most that an ack can truthfully want: one more than the last segment sent."""
        return self._unsent[-1].number if self._unsent else self.next_number

    def check(self, message: bytes) -> None:
        """Raise UsageError or WouldBlock if `message` can't be queued; changes nothing else."""
        size = len(message)
        if not 0 < size <= MAX_MESSAGE:
            raise UsageError(f"a message has 1 to {MAX_MESSAGE} bytes, not {size}")
        if size > self._largest:
            raise UsageError(f"the peer's window of {self.granted} can't take {size} bytes")
        if self._queued_messages and (
            self._queued_messages >= self.limits.queue_messages
            or self._queued_bytes + size > self.limits.queue_bytes
        ):
            self.blocked = True
            raise WouldBlock("the send queue of the link is full; wait for Writable")

    # Mutators

    def open(self, mtu: int, credit: int) -> list[Pending]:
        """Learn the peer's limits; give the queued messages that are too large for them."""
        self.payload = mtu - PACKET_OVERHEAD - SEGMENT_HEADER_SIZE
        self.credit = self.granted = credit
        # A message costs its size and SEGMENT_CHARGE for each of its segments.
        full, rest = divmod(credit, self.payload + SEGMENT_CHARGE)
        self._largest = full * self.payload + max(0, rest - SEGMENT_CHARGE)
        return self._refuse_too_large()

    def take_over(self, other: Outbox) -> list[Pending]:
        """Take the queue of an outbox that was never opened; give what is too large."""
        for one in other.undelivered:
            self.put(one.body, one.ref, one.due, reserved=one.reserved)
        self.blocked = other.blocked
        return self._refuse_too_large()

    def _refuse_too_large(self) -> list[Pending]:
        refused = [one for one in self.undelivered if len(one.body) > self._largest]
        for message in refused:
            self.undelivered.remove(message)
            self._queued_messages -= 1
            self._queued_bytes -= len(message.body)
        self._plan_overdue()
        return refused

    def put(self, body: bytes, ref: int | None, due: float, *, reserved: bool = False) -> None:
        """Queue a message that was checked; it becomes overdue at `due`.

        FIN and BYE are `reserved`.
        """
        if ref is None:
            due = _NEVER
        elif due < self.overdue_at:
            self.overdue_at = due
        self.undelivered.append(Pending(body, ref, due, reserved))
        self._queued_messages += 1
        self._queued_bytes += len(body)

    def put_reserved(self, body: bytes) -> None:
        """Queue a FIN or a BYE."""
        self.put(body, None, _NEVER, reserved=True)

    def fill(self, parts: list[bytes], room: int, *, copies: bool = False) -> list[Outgoing]:
        """Append frames of up to `room` bytes to `parts`; give their segments.

        Lost segments come first, then new ones as far as credit goes, then, with `copies`, those
        before them that did not arrive yet.
        """
        taken: list[Outgoing] = []
        if self._resend:
            room = self._fill_again(parts, room, taken)
        unsent, sent, size, spent = self._unsent, self._sent, 0, self.spent
        while unsent or self._queued_messages:
            if not unsent:
                self._cut()
            segment = unsent[-1]
            frame = segment.frame
            size = len(frame)
            cost = size + _CHARGE
            if size > room or (spent + cost > self.credit and not segment.reserved):
                break
            unsent.pop()
            room -= size
            spent += cost
            sent[segment.number] = segment
            parts.append(frame)
            taken.append(segment)
        self.spent = spent
        # Those before are about as large, most often.
        if copies and taken and room > size // 2:
            taken += self.bundle(parts, room, taken[0].number)
        return taken

    def fill_oldest(self, parts: list[bytes], room: int, skip: int) -> list[Outgoing]:
        """Append copies of segments that did not arrive yet, from the oldest but for `skip`.

        Where there are no more than `skip`, it starts again at the oldest.
        """
        waiting = [segment for segment in self._sent.values() if segment.frame]
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
            if segment is None or not segment.frame or segment.copies >= COPIES:
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
            segment.frame = b""

    def lost(self, segments: list[Outgoing]) -> int:
        """Take note of segments of a packet that was lost; give how many must be sent again."""
        again = 0
        for segment in segments:
            segment.carriers -= 1
            if not segment.carriers and segment.frame:
                heappush(self._resend, segment.number)
                again += 1
        return again

    def deliver(self, wanted: int) -> list[Pending]:
        """Take note that all before segment `wanted` was handed over; give the messages."""
        take = self._sent.pop
        for number in range(self._delivered, wanted):
            take(number).frame = b""
        self._delivered = wanted
        while self._resend and self._resend[0] < wanted:
            heappop(self._resend)
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

    def _cut(self) -> None:
        """Cut the next queued message into segments."""
        message = self.undelivered[-self._queued_messages]
        body, payload, number = message.body, self.payload, self.next_number
        self._queued_messages -= 1
        self._queued_bytes -= len(body)
        message.body = b""
        kind, end = SEGMENT, len(body)
        if end <= payload:
            # All in one segment, as it nearly always is.
            frame = SEGMENT_HEADER.pack(SEGMENT, 4 + end, number) + body
            self._unsent.append(Outgoing(number, frame, message.reserved))
            self.next_number = number + 1
            message.last = number
            return
        last = number + (end - 1) // payload
        for piece in range(last, number - 1, -1):
            start = (piece - number) * payload
            header = SEGMENT_HEADER.pack(kind, 4 + end - start, piece)
            self._unsent.append(Outgoing(piece, header + body[start:end], message.reserved))
            kind, end = FRAGMENT, start
        self.next_number = last + 1
        message.last = last

    def _fill_again(self, parts: list[bytes], room: int, taken: list[Outgoing]) -> int:
        resend = self._resend
        while resend:
            segment = self._sent.get(resend[0])
            if segment is not None and segment.frame and not segment.carriers:
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
        twin.undelivered = deque(map(copy_slots, self.undelivered))
        twin._unsent = [copy_slots(one) for one in self._unsent]
        twin._sent = {number: copy_slots(one) for number, one in self._sent.items()}
        twin._resend = self._resend.copy()
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return (
            self.next_number,
            self._delivered,
            self.payload,
            self.credit - self.spent,
            self.granted,
            self.blocked,
            tuple((one.body, one.ref, one.last, one.due - now) for one in self.undelivered),
            self._queued_messages,
            tuple(one.number for one in self._unsent),
            tuple(
                (number, one.carriers, one.copies, not one.frame)
                for number, one in self._sent.items()
            ),
            tuple(sorted(self._resend)),
        )

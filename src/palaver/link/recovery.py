"""Which packets are out, and which of them are lost (PROTOCOL.md, sections 7.2 to 7.5)."""

from __future__ import annotations

from palaver.machine import copy_slots
from palaver.timing import Timing
from palaver.wire.frames import DELAY_UNIT, MAP_BITS, NO_DELAY, Ack

from .congestion import Congestion
from .outbox import Outgoing
from .rtt import RttEstimator

PACKET_THRESHOLD = 3
PROBES = 2
_NEVER = float("inf")
_UNLIMITED = 1 << 62


class SentPacket:
    """A packet that is to be acknowledged, and the segments it carries. Never changed."""

    __slots__ = ("index", "number", "segments", "sent_at", "size")

    def __init__(
        self, number: int, index: int, sent_at: float, size: int, segments: list[Outgoing]
    ) -> None:
        self.number = number
        self.index = index
        self.sent_at = sent_at
        self.size = size
        self.segments = segments


class Recovery:
    """The packets in flight: acks, losses, round-trip samples and the probe timer.

    What happened is told by `sent`, `acknowledge`, `expire`.
    """

    __slots__ = (
        "_index",
        "_largest_acked",
        "_last_sent_at",
        "_loss_at",
        "_timing",
        "backoff",
        "congestion",
        "deadline",
        "limited",
        "packets",
        "probed",
        "probes",
        "reliable",
        "rtt",
    )

    def __init__(self, timing: Timing, mtu: int, *, reliable: bool = False) -> None:
        """Watch a path that takes packets of `mtu` bytes; on a `reliable` one none gets lost."""
        self._timing = timing
        self.reliable = reliable
        self.rtt = RttEstimator(timing)
        self.congestion = Congestion(mtu)
        if reliable:
            self.congestion.window = _UNLIMITED
        self.packets: dict[int, SentPacket] = {}
        # Probe packets that are due: they go out whatever the congestion window says.
        self.probes = 0
        # Segments that the probes of this timeout have carried.
        self.probed = 0
        # Probe timeouts since the last ack that brought news.
        self.backoff = 0
        # Whether the congestion window, and not a lack of things to say, ended the last flight.
        self.limited = False
        self._index = 0
        self._largest_acked: tuple[int, int, float] | None = None  # number, index, sent_at
        self._last_sent_at = 0.0
        self._loss_at: float | None = None
        self.deadline = _NEVER
        """When `expire` is next due; infinity for never."""

    def is_awaited(self, number: int) -> bool:
        """Tell whether packet `number` is in flight."""
        return number in self.packets

    def sent(self, number: int, size: int, segments: list[Outgoing], now: float) -> None:
        """Take note of a packet that is to be acknowledged."""
        if not self.packets and now - self._last_sent_at > self.rtt.timeout and not self.reliable:
            self.congestion.restart()
        self.packets[number] = SentPacket(number, self._index, now, size, segments)
        self._index += 1
        self._last_sent_at = now
        self.congestion.in_flight += size
        if self.probes:
            self.probes -= 1
        if self._loss_at is None and not self.reliable:
            rtt, backoff = self.rtt, self.backoff
            self.deadline = now + (rtt.probe_timeout(backoff) if backoff else rtt.timeout)

    def acknowledge(self, ack: Ack, now: float) -> tuple[list[SentPacket], list[SentPacket]]:
        """Give the packets that `ack` shows to have arrived, and those it shows to be lost."""
        acked = self._take_acked(ack)
        if not acked:
            return acked, []
        newest = acked[-1]
        largest = self._largest_acked
        if largest is None or newest.number > largest[0]:
            self._largest_acked = (newest.number, newest.index, newest.sent_at)
            if newest.number == ack.newest and ack.delay != NO_DELAY:
                self.rtt.sample(now - newest.sent_at, ack.delay * DELAY_UNIT)
        self.backoff = 0
        self.probes = 0
        congestion, limited = self.congestion, self.limited
        for packet in acked:
            congestion.in_flight -= packet.size
            if limited:
                congestion.grow(packet.size, packet.sent_at)
        lost = self._take_lost(now) if self.packets and not self.reliable else []
        self._plan()
        return acked, lost

    def expire(self, now: float) -> list[SentPacket]:
        """Act on deadlines that have passed: give the packets that are lost; set up probes."""
        lost = []
        if self._loss_at is not None and now >= self._loss_at:
            lost = self._take_lost(now)
            self._plan()
        if now >= self.deadline:
            self.backoff += 1
            self.probes = PROBES
            self.probed = 0
            self._last_sent_at = now
            self._plan()
        return lost

    def start_afresh(self, mtu: int) -> list[SentPacket]:
        """Forget all that was measured on the path; give the packets in flight as lost."""
        lost = list(self.packets.values())
        self.packets.clear()
        self.rtt.start_afresh()
        self.congestion = Congestion(mtu)
        self.backoff = self.probes = 0
        self._loss_at = None
        self.deadline = _NEVER
        return lost

    def _plan(self) -> None:
        if not self.packets or self.reliable:
            self._loss_at = None
            self.deadline = _NEVER
        elif self._loss_at is not None:
            self.deadline = self._loss_at
        else:
            self.deadline = self._last_sent_at + self.rtt.probe_timeout(self.backoff)

    def _take_acked(self, ack: Ack) -> list[SentPacket]:
        packets, newest, earlier = self.packets, ack.newest, ack.earlier
        acked = []
        for number, packet in packets.items():
            distance = newest - number
            if distance > 0:
                if distance <= MAP_BITS and earlier >> (distance - 1) & 1:
                    acked.append(packet)
            elif distance == 0:
                acked.append(packet)
                break
            else:
                break
        for packet in acked:
            del packets[packet.number]
        return acked

    def _take_lost(self, now: float) -> list[SentPacket]:
        """Remove what is lost and set the timer for what will be, if no ack comes."""
        self._loss_at = None
        largest = self._largest_acked
        if largest is None:
            return []
        number_acked, index_acked, _ = largest
        delay = self.rtt.loss_delay()
        lost = []
        for number, packet in self.packets.items():
            if number > number_acked:
                break
            if index_acked - packet.index >= PACKET_THRESHOLD or packet.sent_at + delay <= now:
                lost.append(packet)
            else:
                self._loss_at = packet.sent_at + delay
                break
        queued = self.rtt.queued
        for packet in lost:
            del self.packets[packet.number]
            self.congestion.lost(packet.size, packet.sent_at, now, queued)
        return lost

    def clone(self, twins: dict[int, Outgoing]) -> Recovery:
        """Give an independent twin whose packets carry the `twins` of our segments, by number."""
        twin = copy_slots(self)
        twin.rtt = self.rtt.clone()
        twin.congestion = self.congestion.clone()
        twin.packets = {
            number: SentPacket(
                number,
                packet.index,
                packet.sent_at,
                packet.size,
                [twins.get(segment.number, segment) for segment in packet.segments],
            )
            for number, packet in self.packets.items()
        }
        return twin

    def key(self, now: float, next_number: int) -> tuple[object, ...]:
        """Give the state as a comparable value: times and numbers relative."""
        largest = self._largest_acked
        return (
            tuple(
                (
                    next_number - packet.number,
                    self._index - packet.index,
                    packet.sent_at - now,
                    packet.size,
                    tuple(segment.number for segment in packet.segments),
                )
                for packet in self.packets.values()
            ),
            None if largest is None else (next_number - largest[0], self._index - largest[1]),
            None if not self.packets else self._last_sent_at - now,
            None if self._loss_at is None else self._loss_at - now,
            self.rtt.probe_timeout(self.backoff) if self.backoff else None,
            self.probes,
            self.probed,
            self.limited,
            self.rtt.key(),
            self.congestion.key(now),
        )

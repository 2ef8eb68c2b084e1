"""An established link's traffic: packets out, packets in, and their timers (section 7).

The channel composes the outbox, the inbox, the arrivals and the recovery. It knows nothing of
handshakes or closing: that is the state machine's in `link`.
"""

from __future__ import annotations

from palaver.machine import Action, Address, Transmit, copy_slots
from palaver.wire.errors import DecodeError, Reason
from palaver.wire.frames import (
    ACK_SIZE,
    PING_FRAME,
    Ack,
    Close,
    Frame,
    PathChallenge,
    PathResponse,
    Segment,
    decode_frames,
)
from palaver.wire.packets import DATA, DATA_HEADER, DATA_HEADER_SIZE
from palaver.wire.sealing import CLEAR, Protection

from .arrivals import Arrivals
from .context import Context
from .heard import Heard
from .inbox import Inbox
from .outbox import PACKET_OVERHEAD, Outbox, Outgoing, Pending
from .path import PathWatch
from .recovery import Recovery, SentPacket
from .vigil import Vigil

_UNTOLD = -1
_NEVER = float("inf")


class Channel:
    """Numbered packets both ways between two link ids."""

    __slots__ = (
        "_bundles",
        "_news",
        "_path",
        "_ping",
        "_room",
        "_timing",
        "address",
        "arrivals",
        "counters",
        "inbox",
        "mtu",
        "number",
        "outbox",
        "protection",
        "recovery",
        "remote",
        "repeat_ack",
        "vigil",
    )

    def __init__(self, address: Address, context: Context, secret: bytes) -> None:
        """Make a channel that can queue messages, and can send them once it was opened.

        `secret` is at least 16 unpredictable bytes: it spreads the keepalive and makes tokens.
        """
        jitter = int.from_bytes(secret[:4], "big") / (1 << 32)
        timing, limits = context.timing, context.limits
        self.address = address
        self.counters = context.counters
        self.remote = 0
        self.mtu = limits.mtu
        self.protection: Protection = CLEAR
        self.outbox = Outbox(limits)
        self.inbox = Inbox(limits.window)
        self.arrivals = Arrivals(timing.ack_delay, limits.window, limits.mtu)
        self.recovery = Recovery(timing, limits.mtu, reliable=context.streams)
        # The number of the next packet.
        self.number = 0
        # Put an ack into every packet, whether or not one is owed.
        self.repeat_ack = False
        self._timing = timing
        self._bundles = timing.bundling and not context.streams
        self.vigil = Vigil(timing, jitter)
        self._room = 0
        self._ping = False
        self._path = PathWatch(secret)
        # The packet that tells of a late hand-over, until it is acknowledged.
        self._news: int | None = None

    def open(self, remote: int, mtu: int, credit: int, now: float) -> list[Pending]:
        """Start to talk to link id `remote`; give the queued messages that are too large."""
        self.remote = remote
        self.mtu = min(self.mtu, mtu)
        self._room = self.mtu - PACKET_OVERHEAD
        self.vigil.start(now)
        self.recovery = Recovery(self._timing, self.mtu, reliable=self.recovery.reliable)
        return self.outbox.open(self.mtu, credit)

    def greet(self) -> None:
        """Make the next tick send a packet even if there is nothing to say."""
        self._ping = True

    def challenge(self, now: float) -> None:
        """Ask the peer for a sign of life; without one the link is soon dead."""
        self._ping = True
        self.vigil.suspect(now)

    # Getters

    @property
    def deadline(self) -> float:
        """When `tick` is next due."""
        due, ack_at, vigil_due = self.recovery.deadline, self.arrivals.ack_at, self.vigil.due
        if ack_at < due:
            due = ack_at
        if vigil_due < due:
            due = vigil_due
        if self.outbox.overdue_at < due:
            due = self.outbox.overdue_at
        return due if self._path.is_idle else min(due, self._path.due)

    def is_at_rest(self, now: float) -> bool:
        """Tell whether the next tick has nothing to do before the deadline."""
        outbox = self.outbox
        return (
            self.arrivals.ack_at > now
            and not (self._ping or outbox.has_more or outbox.blocked or self.recovery.probes)
            and self._path.is_idle
        )

    def is_dead(self, now: float) -> bool:
        """Tell whether the peer has been silent for too long while something was awaited."""
        return self.vigil.due <= now and self.vigil.is_dead(self._suspicion, now)

    @property
    def _suspicion(self) -> float:
        """How long a suspected peer has for a sign of life."""
        if not self.vigil.is_suspicious:
            return 0.0
        return max(self._timing.suspect, 3 * self.recovery.rtt.probe_timeout())

    # Packets in

    def receive(self, datagram: bytes, number: int, source: Address, now: float) -> Heard | None:
        """Take a DATA packet; None if it is damaged or was here before."""
        arrivals, inbox = self.arrivals, self.inbox
        if number <= arrivals.highest and not arrivals.is_fresh(number):
            self.counters.duplicates += 1
            return None
        packet = self.protection.open(datagram)
        if packet is None:
            self.counters.damaged += 1
            return None
        heard = Heard()
        if source != self.address or not self._path.is_idle:
            self._watch_path(number, source, len(datagram), now)
        self.vigil.hear(now)
        try:
            frames = decode_frames(packet, DATA_HEADER_SIZE)
        except DecodeError:
            arrivals.record(number, now, eliciting=False)
            heard.violation = Reason.PROTOCOL_ERROR
            return heard
        inbox.begin()
        eliciting = self._take_frames(frames, heard, source, now)
        arrivals.record(number, now, eliciting=eliciting)
        if eliciting and inbox.has_gap:
            arrivals.hurry(now)
        return heard

    def _take_frames(self, frames: list[Frame], heard: Heard, source: Address, now: float) -> bool:
        """Act on frames in their order, up to one that breaks a rule; tell whether to ack them."""
        eliciting = False
        inbox, messages = self.inbox, heard.messages
        violation: Reason | None = None
        for frame in frames:
            if type(frame) is Segment:
                eliciting = True
                if frame.number != inbox.next and inbox.has(frame.number):
                    self.counters.segments_repeated += 1
                else:
                    heard.progress = True
                    violation = inbox.receive(frame, messages)
            elif type(frame) is Ack:
                violation = self._acknowledge(frame, heard, now)
            elif type(frame) is Close:
                heard.close = frame
                violation = self._deliver(frame.wanted, heard)
            else:
                eliciting = True
                if type(frame) is PathChallenge:
                    self._path.ask(frame.token, source)
                elif type(frame) is PathResponse:
                    self._take_response(frame.token, source, now)
            if violation is not None:
                heard.violation = violation
                break
        return eliciting

    def _watch_path(self, number: int, source: Address, size: int, now: float) -> None:
        if number > self.arrivals.highest:
            self._path.see(source, size, now, here=source == self.address)
        else:
            self._path.credit(source, size)

    def _take_response(self, token: bytes, source: Address, now: float) -> None:
        proved = self._path.settle(token, source)
        if proved is None:
            return
        self.address = proved.address
        self.counters.moves += 1
        # What is on its way to the old address won't arrive.
        self._take_back(self.recovery.start_afresh(self.mtu), now)
        if proved.attempts == 1:
            self.recovery.rtt.sample(now - proved.sent_at, 0.0)

    def _acknowledge(self, ack: Ack, heard: Heard, now: float) -> Reason | None:
        if ack.newest >= self.number:
            return Reason.PROTOCOL_ERROR
        outbox = self.outbox
        acked, lost = self.recovery.acknowledge(ack, now)
        for packet in acked:
            if packet.segments:
                heard.progress = True
                outbox.acknowledged(packet.segments)
            if packet.number == self._news:
                self._news = None
        if lost:
            self._take_back(lost, now)
        if ack.credit > outbox.credit:
            outbox.grant(ack.credit)
        if acked:
            self._note_waiting(now)
        return self._deliver(ack.wanted, heard)

    def _take_back(self, lost: list[SentPacket], now: float) -> None:
        for packet in lost:
            self.counters.segments_resent += self.outbox.lost(packet.segments)
            if packet.number == self._news:
                self._tell_news(now)

    def _deliver(self, wanted: int, heard: Heard) -> Reason | None:
        outbox = self.outbox
        if wanted > outbox.delivered:
            if wanted > outbox.wanted_bound:
                return Reason.PROTOCOL_ERROR
            heard.delivered = [*heard.delivered, *outbox.deliver(wanted)]
        return None

    def resume(self, now: float) -> list[bytes]:
        """Hand over what was held back; the peer is told in a way that can't get lost."""
        messages = self.inbox.resume()
        if messages:
            self._tell_news(now)
        return messages

    def _tell_news(self, now: float) -> None:
        self._news = _UNTOLD
        self._ping = True
        self.arrivals.hurry(now)

    # Time and packets out

    def tick(self, now: float, out: list[Action]) -> None:
        """Act on the timers that are due and send all that may be sent."""
        recovery, vigil, outbox, arrivals = self.recovery, self.vigil, self.outbox, self.arrivals
        if recovery.deadline <= now:
            self._take_back(recovery.expire(now), now)
        if vigil.due <= now and vigil.wants_ping(now):
            self._ping = True
        if not self._path.is_idle:
            for frame, destination in self._path.packets(recovery.rtt.probe_timeout(), now):
                self._emit([frame], None, now, out, destination)
        if arrivals.ack_at < _NEVER and arrivals.has_older:
            for older in arrivals.older_frames(self.inbox.wanted, self.inbox.credit):
                self._emit([older], None, now, out)
        while self._ping or recovery.probes:
            self._send_urgent(now, out)
        while outbox.has_more and self._send_segments(now, out):
            pass
        if arrivals.ack_at <= now:
            self._emit([self._ack(now)], None, now, out)
        if not (vigil.awaits_ack and recovery.packets):
            self._note_waiting(now)
        if vigil.due <= now:
            vigil.plan(self._suspicion)

    def _note_waiting(self, now: float) -> None:
        """Take note of whether anything awaits an acknowledgement, or credit."""
        in_flight = bool(self.recovery.packets)
        self.vigil.note(now, in_flight=in_flight, more=self.outbox.has_more)

    def _send_segments(self, now: float, out: list[Action]) -> bool:
        """Send a packet of segments that wait, if there is one that may go now."""
        arrivals, recovery = self.arrivals, self.recovery
        congestion = recovery.congestion
        in_flight = congestion.in_flight
        recovery.limited = in_flight >= congestion.window
        if recovery.limited:
            return False
        # Where no queue on the path seems to mind, copies make good a loss at once.
        copies = in_flight > 0 and 2 * in_flight * recovery.rtt.queued < self.mtu and self._bundles
        owed = arrivals.ack_at < _NEVER or self.repeat_ack
        with_ack = owed or arrivals.repeats > 0
        frames: list[bytes] = []
        room = self._room - ACK_SIZE if with_ack else self._room
        segments = self.outbox.fill(frames, room, copies=copies)
        if with_ack and not segments:
            segments = self.outbox.fill(frames, self._room, copies=copies)
            if segments and owed:
                # A full-sized segment leaves no room for the ack: that goes ahead, alone.
                self._emit([self._ack(now)], None, now, out)
            with_ack = False
        if not segments:
            return False
        if with_ack:
            self._put_ack(frames, now)
        self._emit(frames, segments, now, out)
        return True

    def _send_urgent(self, now: float, out: list[Action]) -> None:
        """Send a PING or a probe, which repeats what did not arrive, and what else fits."""
        # It goes out when the peer may have missed something: also what was acknowledged.
        with_ack = self.arrivals.can_ack
        frames: list[bytes] = []
        room = self._room
        if self._ping:
            # Whatever else goes out in this packet, it asks for an acknowledgement.
            self._ping = False
            frames.append(PING_FRAME)
            room -= len(PING_FRAME)
        segments = self._gather(frames, room - ACK_SIZE if with_ack else room)
        if with_ack and not frames:
            segments = self._gather(frames, room)
            if segments:
                self._emit([self._ack(now)], None, now, out)
                with_ack = False
        if not frames:
            frames.append(PING_FRAME)
        if with_ack:
            self._put_ack(frames, now)
        self._emit(frames, segments, now, out)

    def _gather(self, frames: list[bytes], room: int) -> list[Outgoing]:
        """Append to `frames` the segments that an urgent packet should carry."""
        outbox, recovery = self.outbox, self.recovery
        recovery.limited = recovery.congestion.is_full and outbox.has_more
        segments = self._gather_probe(frames, room) if recovery.probes else []
        if not recovery.limited:
            room -= sum(len(segment.frame) for segment in segments)
            segments += outbox.fill(frames, room)
        return segments

    def _gather_probe(self, frames: list[bytes], room: int) -> list[Outgoing]:
        """Append to `frames` what the next probe repeats."""
        # The two probes carry different segments, as far as there are any.
        recovery = self.recovery
        segments = self.outbox.fill_oldest(frames, room, recovery.probed)
        recovery.probed += len(segments)
        self.counters.segments_resent += len(segments)
        return segments

    def _put_ack(self, frames: list[bytes], now: float) -> None:
        if self._news == _UNTOLD:
            self._news = self.number
        frames.insert(0, self._ack(now))

    def _ack(self, now: float) -> bytes:
        return self.arrivals.frame(self.inbox.wanted, self.inbox.credit, now)

    def _emit(
        self,
        frames: list[bytes],
        segments: list[Outgoing] | None,
        now: float,
        out: list[Action],
        destination: Address | None = None,
    ) -> bytes:
        """Send a packet, and give it; with `segments` None nobody waits for its acknowledgement."""
        number = self.number
        datagram = self._seal(frames)
        self.vigil.last_sent = now
        if segments is not None:
            self.recovery.sent(number, len(datagram), segments, now)
        self.counters.datagrams_out += 1
        out.append(Transmit(datagram, destination or self.address))
        return datagram

    def _seal(self, frames: list[bytes]) -> bytes:
        """Give the next packet, with these frames."""
        number = self.number
        self.number = number + 1
        header = DATA_HEADER.pack(DATA, self.remote, number)
        return self.protection.seal(b"".join((header, *frames)))

    def farewell(self, reason: int, text: str, now: float, out: list[Action]) -> bytes:
        """Send a CLOSE and give the datagram, to be repeated to whoever goes on talking."""
        allowed = max(self._room - len(Close(0, 0).encode()), 0)
        text = text.encode()[:allowed].decode(errors="ignore")
        return self._emit([Close(reason, self.inbox.wanted, text).encode()], None, now, out)

    def last_ack(self, now: float) -> bytes:
        """Give a datagram that acknowledges everything, to be repeated when the link is gone."""
        return self._seal([self._ack(now)])

    # Exploration

    def clone(self, context: Context) -> Channel:
        """Give an independent twin in another context."""
        twin = copy_slots(self)
        twin.counters = context.counters
        twin.outbox = self.outbox.clone()
        twin.inbox = self.inbox.clone()
        twin.arrivals = self.arrivals.clone()
        twin.vigil = self.vigil.clone()
        twin._path = self._path.clone()
        twin.recovery = self.recovery.clone(twin.outbox.segments())
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value: times and packet numbers relative."""
        return (
            self.address,
            self.remote,
            self._room,
            self.vigil.key(now),
            self._path.key(now),
            self._ping,
            None if self._news is None else self.number - self._news,
            self.repeat_ack,
            self.outbox.key(now),
            self.inbox.key(),
            self.arrivals.key(now),
            self.recovery.key(now, self.number),
        )

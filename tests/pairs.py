"""Machines and the wire between them, for tests that tell a story step by step.

    pair = Pair().open()
    pair.a.send(b"hello", ref=1)
    pair.wire.run(1)
    assert pair.b.received == [b"hello"]

`Wire` moves datagrams in virtual time, keeps all that was sent and told, and checks at every step
what always holds: the rule of ticks, that `deadline` is a pure getter, that no datagram is larger
than the mtu, that every message has exactly one outcome, and that nothing follows `Closed`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from heapq import heappop, heappush
from random import Random
from typing import TypeVar

from hypothesis import HealthCheck, Phase, settings

from palaver import (
    DEFAULT_LIMITS,
    DEFAULT_TIMING,
    Action,
    Address,
    Closed,
    ConversationOpened,
    Datagram,
    Delivered,
    Dial,
    Dialing,
    Disconnect,
    Endpoint,
    Entropy,
    Event,
    Finished,
    Limits,
    Machine,
    Notice,
    Opened,
    Overdue,
    Received,
    Said,
    Say,
    Send,
    StreamEndpoint,
    Tick,
    Timing,
    Transmit,
    Undelivered,
)
from palaver.link.link import Link
from palaver.link.states import State
from palaver.wire.frames import Frame, decode_frames
from palaver.wire.packets import (
    DATA_HEADER,
    DATA_HEADER_SIZE,
    Handshake,
    Kind,
    Reset,
    decode_unsealed,
)
from palaver.wire.sealing import CLEAR

A: Address = ("a.example", 1)
B: Address = ("b.example", 2)
C: Address = ("c.example", 3)
STRANGER: Address = ("stranger.example", 666)

ROLE = "test"
START = 1024.0
DELAY = 1 / 64
"""One way, in seconds: a power of two, so that sums of times are exact."""
MOST_STEPS = 200_000

N = TypeVar("N", bound=Notice)
Loss = Callable[["Flight"], bool]


def examples(count: int) -> settings:
    """Give the settings of a property: the same examples on every run, and what repeats them."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        print_blob=True,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def entropy(label: str) -> Entropy:
    """Give bytes that only the label determines."""
    return lambda size: blake2b(label.encode(), digest_size=size).digest()


def unlucky(chance: float, seed: int = 1) -> Loss:
    """Lose each datagram with this chance; the same ones for the same seed."""
    random = Random(seed)
    return lambda flight: random.random() < chance


def message(body: bytes = b"", kind: int = 16) -> bytes:
    """Give a message of a role's kind."""
    return bytes((kind,)) + body


@dataclass(frozen=True)
class Flight:
    """A datagram that was sent."""

    time: float
    source: Address
    destination: Address
    data: bytes

    @property
    def kind(self) -> Kind:
        """The kind of packet."""
        return Kind(self.data[0])

    @property
    def packet(self) -> Handshake | Reset:
        """The packet, if it is none of DATA."""
        opened = CLEAR.open(self.data)
        assert opened is not None
        return decode_unsealed(opened)

    @property
    def number(self) -> int:
        """The number of a DATA packet."""
        assert self.kind is Kind.DATA
        _, _, number = DATA_HEADER.unpack_from(self.data)
        return int(number)

    @property
    def frames(self) -> list[Frame]:
        """The frames of a DATA packet; none for any other."""
        if self.kind is not Kind.DATA:
            return []
        opened = CLEAR.open(self.data)
        assert opened is not None
        return decode_frames(opened, DATA_HEADER_SIZE)

    def has(self, frame: type[Frame]) -> bool:
        """Tell whether it carries such a frame."""
        return any(isinstance(one, frame) for one in self.frames)


class Ledger:
    """What one program asked for and was told: fails as soon as a promise is broken."""

    def __init__(self, who: object) -> None:
        self.who = who
        self.pending: Counter[tuple[int, int]] = Counter()
        self.overdue: set[tuple[int, int]] = set()
        self.opened: set[int] = set()
        self.finished: set[int] = set()
        self.closed: set[int] = set()

    def asked(self, event: Event) -> None:
        """Note a command that was taken, before what it caused."""
        if isinstance(event, (Send, Say)) and event.ref is not None:
            self.pending[event.link, event.ref] += 1

    def told(self, notice: Notice) -> None:
        """Note a notice."""
        link = getattr(notice, "link", None)
        assert isinstance(link, int), f"{self.who}: {notice} names no link"
        if isinstance(notice, (Delivered, Undelivered)):
            assert self.pending[link, notice.ref], f"{self.who}: no outcome was due: {notice}"
            self.pending[link, notice.ref] -= 1
            if isinstance(notice, Undelivered):
                return
        assert link not in self.closed, f"{self.who}: after Closed came {notice}"
        if isinstance(notice, (Opened, ConversationOpened)):
            assert link not in self.opened, f"{self.who}: opened twice: {notice}"
            self.opened.add(link)
        elif isinstance(notice, (Received, Said)):
            assert link in self.opened, f"{self.who}: before it was opened came {notice}"
            assert link not in self.finished, f"{self.who}: after Finished came {notice}"
        elif isinstance(notice, Finished):
            assert link in self.opened, f"{self.who}: before it was opened came {notice}"
            assert link not in self.finished, f"{self.who}: finished twice: {notice}"
            self.finished.add(link)
        elif isinstance(notice, Overdue):
            assert self.pending[link, notice.ref], f"{self.who}: not pending: {notice}"
            assert (link, notice.ref) not in self.overdue, f"{self.who}: twice: {notice}"
            self.overdue.add((link, notice.ref))
        elif isinstance(notice, Closed):
            left = [ref for (one, ref), count in self.pending.items() if one == link and count]
            assert not left, f"{self.who}: {notice} without an outcome of {left}"
            self.closed.add(link)


class Wire:
    """Machines in virtual time, and all that passes between them.

    `lose` says of each datagram whether it gets lost. Every datagram takes `delay` seconds. With
    `seen_at` a machine gets another address for the others, as behind a NAT.
    """

    def __init__(self, *, delay: float = DELAY, start: float = START) -> None:
        self.now = start
        self.start = start
        self.delay = delay
        self.mtu = DEFAULT_LIMITS.mtu
        self.machines: dict[Address, Machine] = {}
        self.flights: list[Flight] = []
        self.told: dict[Address, list[tuple[float, Notice]]] = {}
        self.ledgers: dict[Address, Ledger] = {}
        self.lose: Loss = lambda flight: False
        # Where a machine is seen by the others, if not at its own address.
        self.seen_at: dict[Address, Address] = {}
        # Streams that machines have ended: when, which machine, and to whom.
        self.disconnected: list[tuple[float, Address, Address]] = []
        self._air: list[tuple[float, int, Flight]] = []

    def add(self, address: Address, machine: Machine) -> None:
        """Put a machine at an address, instead of the one that was there."""
        self.machines[address] = machine
        self.told.setdefault(address, [])
        self.ledgers[address] = Ledger(address)

    def remove(self, address: Address) -> None:
        """Take the machine away; what arrives there is lost."""
        del self.machines[address]

    def lose_from(self, *sources: Address) -> None:
        """From now on lose all that these send; with none, lose nothing."""
        self.lose = lambda flight: flight.source in sources

    def tell(self, address: Address, *events: Event) -> list[Notice]:
        """Give events as one batch, tick, and give the notices that this caused."""
        seen = len(self.told[address])
        for event in events:
            self._handle(address, event)
        self.tick(address)
        return [notice for _, notice in self.told[address][seen:]]

    def inject(self, data: bytes, source: Address, destination: Address) -> list[Notice]:
        """Let a datagram arrive now, as if from `source`; give what is told."""
        return self.tell(destination, Datagram(data, source))

    def tick(self, address: Address) -> None:
        """Tick a machine if that is due; the rule of ticks must hold."""
        machine = self.machines[address]
        due = machine.deadline
        assert due == machine.deadline, f"{address}: deadline is not a pure getter"
        if due is None or due > self.now:
            return
        self._handle(address, Tick())
        after = machine.deadline
        assert after is None or after > self.now, (
            f"{address}: after the tick at {self.now}, due at {due}, the deadline is {after}"
        )

    def nudge(self, address: Address) -> None:
        """Tick a machine whether that is due or not; the rule of ticks must hold."""
        self._handle(address, Tick())
        after = self.machines[address].deadline
        assert after is None or after > self.now, (
            f"{address}: after the tick at {self.now}, the deadline is {after}"
        )

    def deliver(self) -> None:
        """Let arrive what should have arrived by now; tick nobody."""
        while self._air and self._air[0][0] <= self.now:
            _, _, flight = heappop(self._air)
            for address in list(self.machines):
                if flight.destination == self.seen_at.get(address, address):
                    self._handle(address, Datagram(flight.data, flight.source))

    def run(self, seconds: float) -> None:
        """Let that much time pass."""
        self.run_to(self.now + seconds)

    def run_to(self, end: float) -> None:
        """Let time pass up to and including `end`."""
        for _ in range(MOST_STEPS):
            if not self._step(end):
                self.now = end
                return
        raise AssertionError(f"more than {MOST_STEPS} steps: time stands still at {self.now}")

    def run_until(self, condition: Callable[[], bool], limit: float = 60.0) -> float:
        """Let time pass until the condition holds; give the time that this took."""
        since = self.now
        while not condition():
            assert self._step(since + limit), f"it did not come to hold in {limit} s"
        return self.now - since

    def sent_by(self, source: Address, kind: Kind | None = None) -> list[Flight]:
        """Give what a machine has sent, of one kind or of all."""
        return [one for one in self.flights if one.source == source and kind in {None, one.kind}]

    def _step(self, end: float) -> bool:
        due = [self._air[0][0]] if self._air else []
        deadlines = [machine.deadline for machine in self.machines.values()]
        due += [deadline for deadline in deadlines if deadline is not None]
        if not due or min(due) > end:
            return False
        self.now = max(self.now, min(due))
        self.deliver()
        for address in list(self.machines):
            self.tick(address)
        return True

    def _handle(self, address: Address, event: Event) -> None:
        actions = self.machines[address].handle(event, self.now)
        self.ledgers[address].asked(event)
        for action in actions:
            self._perform(address, action)

    def _perform(self, address: Address, action: Action) -> None:
        if isinstance(action, Notice):
            self.told[address].append((self.now, action))
            self.ledgers[address].told(action)
            return
        if isinstance(action, Disconnect):
            self.disconnected.append((self.now, address, action.address))
            return
        assert isinstance(action, Transmit)
        assert len(action.data) <= self.mtu, f"{len(action.data)} bytes: more than {self.mtu}"
        source = self.seen_at.get(address, address)
        flight = Flight(self.now, source, action.destination, action.data)
        assert flight.kind is not Kind.DATA or flight.frames, "a packet without frames"
        self.flights.append(flight)
        if not self.lose(flight):
            heappush(self._air, (self.now + self.delay, len(self.flights), flight))


@dataclass
class End:
    """One side of the link under test, and what it was told."""

    wire: Wire
    address: Address
    machine: Endpoint
    number: int = 1

    @property
    def link(self) -> Link:
        """The link itself, for looking at; KeyError if it is gone."""
        return self.machine.links[self.number]

    @property
    def state(self) -> State:
        """The state of the link, CLOSED if it is gone."""
        link = self.machine.links.get(self.number)
        return State.CLOSED if link is None else link.state

    def is_in(self, state: State) -> bool:
        """Tell whether the link is in a state (without making mypy believe that it stays there)."""
        return self.state is state

    @property
    def received(self) -> list[bytes]:
        """The bodies of the messages that were handed over."""
        return [notice.message[1:] for notice in self.notices(Received)]

    @property
    def delivered(self) -> list[int]:
        """The refs of what was reported as delivered."""
        return [notice.ref for notice in self.notices(Delivered)]

    @property
    def undelivered(self) -> list[int]:
        """The refs of what was reported as undelivered."""
        return [notice.ref for notice in self.notices(Undelivered)]

    @property
    def closed(self) -> Closed | None:
        """How the link has ended, if it has."""
        for notice in self.notices(Closed):
            return notice
        return None

    @property
    def stats(self) -> dict[str, int]:
        """The counts of the endpoint."""
        return self.machine.stats()

    def notices(self, kind: type[N]) -> list[N]:
        """Give the notices of one kind about the link."""
        told = self.wire.told[self.address]
        found = [notice for _, notice in told if isinstance(notice, kind)]
        return [notice for notice in found if getattr(notice, "link", None) == self.number]

    def times(self, kind: type[Notice]) -> list[float]:
        """Give when the notices of one kind about the link came, since the beginning."""
        return [
            time - self.wire.start
            for time, notice in self.wire.told[self.address]
            if isinstance(notice, kind) and getattr(notice, "link", None) == self.number
        ]

    def tell(self, *events: Event) -> list[Notice]:
        """Give events as one batch, tick, and give the notices that this caused."""
        return self.wire.tell(self.address, *events)

    def send(self, *bodies: bytes, ref: int | None = None) -> list[Notice]:
        """Send messages as one batch, with refs from `ref` on."""
        return self.tell(
            *(
                Send(self.number, message(body), None if ref is None else ref + index)
                for index, body in enumerate(bodies)
            )
        )

    def forge(self, *frames: Frame | bytes, number: int | None = None) -> bytes:
        """Give a DATA packet as this end would send it, with these frames and a fresh number."""
        channel = self.link.channel
        if number is None:
            number = channel.number
            channel.number += 1
        encoded = [frame if isinstance(frame, bytes) else frame.encode() for frame in frames]
        return CLEAR.seal(DATA_HEADER.pack(Kind.DATA, channel.remote, number) + b"".join(encoded))


class Pair:
    """Two endpoints: A, who calls, and B, who answers."""

    def __init__(
        self,
        *,
        timing: Timing = DEFAULT_TIMING,
        limits: Limits = DEFAULT_LIMITS,
        limits_a: Limits | None = None,
        limits_b: Limits | None = None,
        max_inbound: int = 65535,
        delay: float = DELAY,
        streams: bool = False,
    ) -> None:
        self.wire = Wire(delay=delay)
        limits_a, limits_b = limits_a or limits, limits_b or limits
        self.wire.mtu = max(limits_a.mtu, limits_b.mtu)
        kind = StreamEndpoint if streams else Endpoint
        caller = kind(entropy("a"), roles=(ROLE,), timing=timing, limits=limits_a)
        callee = kind(
            entropy("b"), roles=(ROLE,), max_inbound=max_inbound, timing=timing, limits=limits_b
        )
        self.wire.add(A, caller)
        self.wire.add(B, callee)
        self.a = End(self.wire, A, caller)
        self.b = End(self.wire, B, callee)

    def call(self, *, ref: int = 0, timeout: float | None = None) -> Pair:
        """Let A call B."""
        (dialing,) = self.a.tell(Dial(B, ROLE, ref, timeout))
        assert isinstance(dialing, Dialing)
        self.a.number = dialing.link
        return self

    def open(self) -> Pair:
        """Let A call B, and let both ends be open and silent."""
        self.call()
        self.wire.run(1)
        assert self.a.state is State.OPEN
        assert self.b.state is State.OPEN
        return self

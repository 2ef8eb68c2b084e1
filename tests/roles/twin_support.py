"""Two who call each other where neither sees the other's calls come from the address that it calls.

Every machine can be called at its own address; what it sends on links that it has dialled comes
from another one, `outside(address)`, as through many NATs, and as over TCP.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from typing import TypeVar

from pairs import DELAY, A, B, Flight, Wire, entropy

from palaver import (
    Action,
    Address,
    Call,
    Closed,
    ConversationOpened,
    Datagram,
    Delivered,
    Dialing,
    Disconnect,
    Duo,
    Event,
    Limits,
    Notice,
    Said,
    Say,
    StreamEnded,
    Timing,
    Transmit,
    Undelivered,
)
from palaver.wire.duo import Same, Twin, decode_duo
from palaver.wire.errors import DecodeError
from palaver.wire.frames import Segment

N = TypeVar("N", bound=Notice)
Fate = Callable[[Flight], list[float]]
"""Says after how many seconds copies of a datagram arrive; none, if it is lost."""

ANN, BOB = A, B


def outside(address: Address) -> Address:
    """Give the address that others see the calls of a machine come from."""
    return (f"nat of {address[0]}", address[1])


class NatWire(Wire):
    """A wire with a NAT before each machine; or with streams, one for each direction of calls."""

    def __init__(self, *, delay: float = DELAY) -> None:
        super().__init__(delay=delay)
        self.fate: Fate = lambda _: [self.delay]

    def source_for(self, address: Address, destination: Address) -> Address:
        """Give where what a machine sends to a destination seems to come from."""
        return outside(address) if destination in self.ledgers else address

    def deliver(self) -> None:
        """Let arrive what should have arrived by now; tick nobody."""
        while self._air and self._air[0][0] <= self.now:
            flight = self._air.pop(0)[2]
            for address in list(self.machines):
                if flight.destination in {address, outside(address)}:
                    if flight.data:
                        self._handle(address, Datagram(flight.data, flight.source))
                    else:
                        self._handle(address, StreamEnded(flight.source))

    def _perform(self, address: Address, action: Action) -> None:
        if isinstance(action, Transmit):
            assert len(action.data) <= 2047
            source = self.source_for(address, action.destination)
            flight = Flight(self.now, source, action.destination, action.data)
            self.flights.append(flight)
            for seconds in [] if self.lose(flight) else self.fate(flight):
                self._launch(flight, seconds)
        elif isinstance(action, Disconnect):
            self.disconnected.append((self.now, address, action.address))
            source = self.source_for(address, action.address)
            self._launch(Flight(self.now, source, action.address, b""), self.delay)
        else:
            super()._perform(address, action)

    def _launch(self, flight: Flight, seconds: float) -> None:
        self._launched = getattr(self, "_launched", 0) + 1
        heappush(self._air, (self.now + seconds, self._launched, flight))
        self._air.sort()

    def twins_sent(self, address: Address) -> list[Twin | Same]:
        """Give the TWINs and SAMEs that a machine has sent, repeats included."""
        found: list[Twin | Same] = []
        for flight in self.flights:
            if flight.source in {address, outside(address)}:
                for frame in flight.frames:
                    message = decode(frame.data) if isinstance(frame, Segment) else None
                    if isinstance(message, Twin | Same):
                        found.append(message)
        return found


def decode(data: bytes) -> object:
    try:
        return decode_duo(data)
    except DecodeError:
        return None


class People:
    """Some who call each other, and all that they say and are told."""

    def __init__(
        self,
        *,
        streams: bool = False,
        max_conversations: int = 1,
        seed: int = 0,
        delay: float = DELAY,
        limits: Limits | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.wire = NatWire(delay=delay)
        self.streams = streams
        self.seed = seed
        self.max_conversations = max_conversations
        self.limits = limits or Limits()
        self.timing = timing or Timing()
        # What each has said, by number, and how much of it the machine has taken.
        self.said: dict[tuple[Address, int], list[str]] = {}
        for address in (ANN, BOB):
            self.add(address)

    def add(self, address: Address, label: str = "", max_conversations: int | None = None) -> Duo:
        """Put somebody at an address."""
        duo = Duo(
            entropy(f"{address} {self.seed} {label}"),
            name=address[0],
            max_conversations=max_conversations or self.max_conversations,
            streams=self.streams,
            limits=self.limits,
            timing=self.timing,
        )
        self.wire.add(address, duo)
        self.wire.told[address] = []
        return duo

    def duo(self, address: Address) -> Duo:
        machine = self.wire.machines[address]
        assert isinstance(machine, Duo)
        return machine

    def tell(self, address: Address, *events: Event) -> list[Notice]:
        return self.wire.tell(address, *events)

    def call(self, caller: Address, callee: Address, ref: int = 0) -> int:
        """Let one call another; give the number of the conversation."""
        told = self.tell(caller, Call(callee, ref))
        (dialing,) = [one for one in told if isinstance(one, Dialing)]
        return dialing.link

    def say(self, who: Address, number: int, count: int = 1, size: int = 0) -> None:
        """Say numbered texts."""
        said = self.said.setdefault((who, number), [])
        for _ in range(count):
            text = f"{who[0]} {number} {len(said)} {'x' * size}"
            self.tell(who, Say(number, text, len(said)))
            said.append(text)

    def told(self, address: Address, kind: type[N]) -> list[N]:
        return [notice for _, notice in self.wire.told[address] if isinstance(notice, kind)]

    def texts(self, address: Address, number: int) -> list[str]:
        return [one.text for one in self.told(address, Said) if one.link == number]

    def check_one(self, ann: int, bob: int, refs: tuple[int, int] = (0, 0)) -> None:
        """Each finds itself in the one conversation that it called for, and all has arrived."""
        for who, number, ref, peer, theirs in (
            (ANN, ann, refs[0], BOB, bob),
            (BOB, bob, refs[1], ANN, ann),
        ):
            opened = [(one.link, one.ref) for one in self.told(who, ConversationOpened)]
            assert opened == [(number, ref)], f"{who}: {opened}"
            assert {one.link for one in self.told(who, Said)} <= {number}
            assert self.texts(who, number) == self.said.get((peer, theirs), []), who
            delivered = [(one.link, one.ref) for one in self.told(who, Delivered)]
            said = self.said.get((who, number), [])
            assert delivered == [(number, n) for n in range(len(said))], who
            assert not self.told(who, Undelivered)
            assert not self.told(who, Closed)
            assert self.duo(who).stats()["links"] == 1, f"{who}: the spare was not closed"

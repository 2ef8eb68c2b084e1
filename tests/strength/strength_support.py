"""What the tests of strength share: parties that can move, and chats that tell how they went.

    chat = Chat(seed=7)
    chat.run(1.0)
    chat.stage.move(chat.ann, ("ann.example", 1001))
    chat.run(1.0)
    chat.finish()               # everything arrived: once, in order, and both were told so
    assert chat.slowest < 0.3

All happens in virtual time, and is decided by the seed; what fails says the seed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TypeVar

from pairs import ROLE, Ledger, message

from palaver import (
    Action,
    Address,
    Closed,
    Datagram,
    Delivered,
    Dial,
    Endpoint,
    Event,
    Limits,
    Machine,
    Notice,
    Opened,
    Received,
    Send,
    Tick,
    Transmit,
)
from palaver.link.channel import Channel
from palaver.link.link import Link
from palaver.link.path import CHALLENGE_SIZE
from palaver.link.states import State
from palaver.sim import Faults, SeededRandom, Sim
from palaver.wire.frames import Frame, PathChallenge, decode_frames
from palaver.wire.packets import DATA_HEADER, DATA_HEADER_SIZE, Hello, Kind, pad
from palaver.wire.sealing import CLEAR, TAG_SIZE

ANN: Address = ("ann.example", 1000)
BOB: Address = ("bob.example", 2000)
CARL: Address = ("carl.example", 3000)
EVE: Address = ("eve.example", 666)

ONE_WAY = 0.025
RTT = 2 * ONE_WAY
QUIET = Faults(delay=ONE_WAY)
LOSSY = Faults(loss=0.2, delay=ONE_WAY)
TABLES = ("links", "half_open", "waiting", "hosts", "tombstones")
"""What an endpoint remembers, by its name in `stats()`."""

N = TypeVar("N", bound=Notice)


class Flight:
    """A datagram that a party has sent."""

    __slots__ = ("data", "destination", "source", "time")

    def __init__(self, time: float, source: Address, destination: Address, data: bytes) -> None:
        self.time = time
        self.source = source
        self.destination = destination
        self.data = data

    def __repr__(self) -> str:
        what = [type(frame).__name__ for frame in self.frames] or Kind(self.data[0]).name
        return f"<{self.time:.4f} {self.source} to {self.destination}: {what}>"

    @property
    def kind(self) -> Kind:
        return Kind(self.data[0])

    @property
    def frames(self) -> list[Frame]:
        """The frames of a DATA packet; none for any other."""
        if self.data[0] != Kind.DATA:
            return []
        return decode_frames(self.data[:-TAG_SIZE], DATA_HEADER_SIZE)

    @property
    def is_challenge(self) -> bool:
        return [type(frame) for frame in self.frames] == [PathChallenge]

    @property
    def token(self) -> bytes:
        """The token of a packet with a PATH CHALLENGE."""
        (frame,) = self.frames
        assert isinstance(frame, PathChallenge), self
        return frame.token


class Party:
    """A machine, wherever it is at the time, and all that it has sent and told.

    Checks at each step what always holds: the rule of ticks, and the promises to the program.
    """

    def __init__(self, machine: Machine, address: Address, label: str) -> None:
        self.machine = machine
        self.address = address
        self.label = label
        self.number = 1
        self.told: list[tuple[float, Notice]] = []
        self.sent: list[Flight] = []
        self._ledger = Ledger(label)

    # A machine, for the simulation

    @property
    def deadline(self) -> float | None:
        return self.machine.deadline

    def handle(self, event: Event, now: float) -> list[Action]:
        actions = self.machine.handle(event, now)
        self._ledger.asked(event)
        for action in actions:
            if isinstance(action, Transmit):
                self.sent.append(Flight(now, self.address, action.destination, action.data))
            elif isinstance(action, Notice):
                self.told.append((now, action))
                self._ledger.told(action)
        if isinstance(event, Tick):
            due = self.machine.deadline
            assert due is None or due > now, f"{self.label}: ticked at {now}, and due at {due}"
        elif isinstance(event, Datagram) and event.data[:1] == bytes((Kind.HELLO,)):
            replies = sum(len(one.data) for one in actions if isinstance(one, Transmit))
            assert replies <= len(event.data), f"{self.label}: {replies} bytes for a HELLO"
        return actions

    # What there is to know

    @property
    def endpoint(self) -> Endpoint:
        assert isinstance(self.machine, Endpoint)
        return self.machine

    @property
    def link(self) -> Link:
        """The link that the test is about, for looking at; KeyError if it is gone."""
        return self.endpoint.links[self.number]

    @property
    def state(self) -> State:
        """The state of the link, CLOSED if it is gone."""
        link = self.endpoint.links.get(self.number)
        return State.CLOSED if link is None else link.state

    @property
    def channel(self) -> Channel:
        return self.link.channel

    @property
    def stats(self) -> dict[str, int]:
        return self.endpoint.stats()

    @property
    def tables(self) -> dict[str, int]:
        """How much is remembered."""
        stats = self.stats
        return {name: stats[name] for name in TABLES}

    def notices(self, kind: type[N], link: int | None = None) -> list[N]:
        """Give the notices of one kind, of all links or of one."""
        found = [notice for _, notice in self.told if isinstance(notice, kind)]
        return [one for one in found if link is None or getattr(one, "link", None) == link]

    def to(self, destination: Address) -> list[Flight]:
        return [flight for flight in self.sent if flight.destination == destination]

    # Forging

    def reserve(self, count: int = 1) -> int:
        """Keep packet numbers back, and give the first of them."""
        channel = self.channel
        channel.number += count
        return channel.number - count

    def forge(self, *frames: Frame, size: int = 0, number: int | None = None) -> bytes:
        """Give a DATA packet as this party would send it, with the next or a reserved number.

        With `size` it is filled up to that many bytes, by a frame that is to be ignored.
        """
        if number is None:
            number = self.reserve()
        body = b"".join(frame.encode() for frame in frames)
        packet = DATA_HEADER.pack(Kind.DATA, self.channel.remote, number) + body
        missing = size - len(packet) - TAG_SIZE
        if missing > 0:
            packet += b"\x80" + (missing - 3).to_bytes(2, "big") + bytes(missing - 3)
        return CLEAR.seal(packet)


class Stage:
    """A simulation whose parties can change their addresses."""

    def __init__(self, seed: int, faults: Faults = QUIET) -> None:
        self.seed = seed
        self.sim = Sim(seed, faults, record=False)
        self.random = SeededRandom(seed).fork("stage")
        self._known: set[Address] = set()

    @property
    def now(self) -> float:
        return self.sim.now

    def add(self, address: Address, machine: Machine) -> Party:
        party = Party(machine, address, f"seed {self.seed}, {address[0]}")
        self.sim.add(address, party)
        self._known.add(address)
        return party

    def endpoint(
        self,
        address: Address,
        *,
        roles: tuple[str, ...] = (ROLE,),
        max_inbound: int = 65535,
        always_cookie: bool = False,
        limits: Limits | None = None,
    ) -> Party:
        """Add an endpoint, with entropy of its own."""
        machine = Endpoint(
            self.sim.entropy(str(address)),
            roles=roles,
            max_inbound=max_inbound,
            always_cookie=always_cookie,
            limits=limits or Limits(),
        )
        return self.add(address, machine)

    def move(self, party: Party, address: Address) -> None:
        """Give a party another address; what goes to the old one is lost from now on."""
        self.sim.crash(party.address)
        party.address = address
        if address in self._known:
            self.sim.restart(address, party)
        else:
            self.sim.add(address, party)
        self._known.add(address)

    def command(self, party: Party, *events: Event) -> list[Notice]:
        return self.sim.command(party.address, *events)

    def inject(self, party: Party, data: bytes, source: Address) -> None:
        """Let a datagram arrive at once, as if from `source`."""
        self.sim.inject(party.address, data, source)
        self.sim.run_for(0)

    def call(self, caller: Party, callee: Party, ref: int = 0) -> None:
        self.command(caller, Dial(callee.address, ROLE, ref))


class Chat:
    """Ann has called Bob, and now each says something now and again; all of it is numbered."""

    def __init__(
        self,
        seed: int,
        faults: Faults = QUIET,
        *,
        every: float = 0.02,
        size: int = 64,
        max_inbound: int = 65535,
        limits: Limits | None = None,
    ) -> None:
        self.stage = Stage(seed)
        self.seed = seed
        self.every = every
        self.size = size
        self.ann = self.stage.endpoint(ANN, limits=limits)
        self.bob = self.stage.endpoint(BOB, max_inbound=max_inbound, limits=limits)
        self.said: dict[str, list[float]] = {self.ann.label: [], self.bob.label: []}
        self.stage.call(self.ann, self.bob)
        self.stage.sim.run_for(0.5)
        # Until both know the round trip.
        for _ in range(10):
            self.say(self.ann)
            self.say(self.bob)
            self.stage.sim.run_for(0.1)
        self.stage.sim.set_faults(faults)

    @property
    def parties(self) -> tuple[Party, Party]:
        return self.ann, self.bob

    def say(self, party: Party) -> None:
        """Let a party say the next message."""
        said = self.said[party.label]
        body = len(said).to_bytes(self.size - 1, "big")
        self.stage.command(party, Send(party.number, message(body), len(said)))
        said.append(self.stage.now)

    def run(self, seconds: float, *talkers: Party) -> None:
        """Let both, or the talkers alone, go on for that long."""
        for _ in self.steps(seconds):
            for party in talkers or self.parties:
                self.say(party)

    def steps(self, seconds: float) -> Iterator[None]:
        """Let time pass from one message to the next, without saying any."""
        for _ in range(round(seconds / self.every)):
            yield
            self.stage.sim.run_for(self.every)

    def heard(self, party: Party) -> list[tuple[float, int]]:
        """Give when a party heard which messages."""
        return [
            (time, int.from_bytes(notice.message[1:], "big"))
            for time, notice in party.told
            if isinstance(notice, Received) and notice.link == party.number
        ]

    def delays(self, hearer: Party) -> list[float]:
        """Give the seconds from saying to hearing, for each message that a party has heard."""
        speaker = self.bob if hearer is self.ann else self.ann
        said = self.said[speaker.label]
        return [time - said[number] for time, number in self.heard(hearer)]

    @property
    def slowest(self) -> float:
        """The longest that any message took."""
        return max(*self.delays(self.ann), *self.delays(self.bob))

    def check_so_far(self) -> None:
        """All that was heard was said, in this order and without gaps; nothing has ended."""
        for party in self.parties:
            numbers = [number for _, number in self.heard(party)]
            assert numbers == list(range(len(numbers))), party.label
            ends = party.notices(Closed, party.number)
            assert not ends, f"{party.label}: {ends}"
            assert len(party.notices(Opened, party.number)) == 1, party.label

    def finish(self, patience: float = 10.0) -> None:
        """Let everything arrive: once, in order, and everybody is told so."""
        self.stage.sim.run_for(patience)
        self.check_so_far()
        for speaker, hearer in (self.parties, self.parties[::-1]):
            said = len(self.said[speaker.label])
            heard = len(self.heard(hearer))
            assert heard == said, f"{hearer.label}: {heard} of {said} messages"
            told = [notice.ref for notice in speaker.notices(Delivered, speaker.number)]
            assert told == list(range(said)), speaker.label


def forged_hello(caller: int, role: str = ROLE, cookie: bytes = b"", size: int = 64) -> bytes:
    """Give a HELLO as anybody could send it."""
    hello = Hello(caller, (1,), (0,), role, 1200, 262144, cookie)
    return CLEAR.seal(pad(hello, size).encode())


def weight(root: object) -> int:
    """Count all that a machine holds on to: its objects, and the entries of its containers."""
    seen: set[int] = set()
    total, stack = 0, [root]
    while stack:
        item = stack.pop()
        if item is None or id(item) in seen or isinstance(item, (str, bytes, int, float)):
            continue
        seen.add(id(item))
        if isinstance(item, dict):
            total += len(item)
            stack += [*item.keys(), *item.values()]
        elif isinstance(item, (list, tuple, set, frozenset, deque)):
            total += len(item)
            stack += list(item)
        elif type(item).__module__.startswith("palaver"):
            total += 1
            names = {name for base in type(item).__mro__ for name in getattr(base, "__slots__", ())}
            names |= set(getattr(item, "__dict__", ()))
            stack += [getattr(item, name) for name in names if hasattr(item, name)]
    return total


__all__ = [
    "ANN",
    "BOB",
    "CARL",
    "CHALLENGE_SIZE",
    "EVE",
    "LOSSY",
    "ONE_WAY",
    "QUIET",
    "ROLE",
    "RTT",
    "Chat",
    "Flight",
    "Party",
    "Stage",
    "forged_hello",
    "message",
    "weight",
]

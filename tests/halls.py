"""A registry and people who find each other there, in virtual time, for tests that tell a story.

    hall = Hall().enlist("ann", "bob")
    hall.tell("ann", Connect("bob", 1))
    hall.run(1)
    assert hall.told("bob", Ringing)

`Plain` is an endpoint without a role, for those who speak as they like.
"""

from __future__ import annotations

from collections import Counter
from typing import TypeVar

from palaver import (
    Accept,
    Action,
    Address,
    CallEnded,
    Calling,
    CallOpened,
    Closed,
    Connect,
    Delivered,
    Dial,
    Dialing,
    Endpoint,
    Enlist,
    Enlisted,
    Event,
    Heard,
    Limits,
    Notice,
    Opened,
    Peer,
    Received,
    Registry,
    Ringing,
    Say,
    Send,
    Tick,
    Timing,
    Undelivered,
)
from palaver.sim import Faults, Sim
from palaver.wire.peer import PeerMessage, decode_peer
from palaver.wire.registry import Register, RegistryMessage, decode_registry

N = TypeVar("N", bound=Notice)
V = TypeVar("V")

REGISTRY: Address = ("registry", 7070)
DELAY = 1 / 64


class Watched:
    """A machine of which every step is checked: the rule of ticks, and what a call may tell.

    A call rings once, opens once, ends once and last, after the outcome of all that was said in
    it; what is heard in it has rising numbers.
    """

    def __init__(self, machine: Peer | Registry) -> None:
        self.machine = machine
        self.begun: set[int] = set()
        self.open: set[int] = set()
        self.ended: set[int] = set()
        self.heard: dict[int, int] = {}
        self.pending: Counter[tuple[int, int]] = Counter()

    @property
    def deadline(self) -> float | None:
        due = self.machine.deadline
        assert self.machine.deadline == due, "deadline is not a pure getter"
        return due

    def handle(self, event: Event, now: float) -> list[Action]:
        due = self.machine.deadline
        actions = self.machine.handle(event, now)
        if isinstance(event, Say) and isinstance(self.machine, Peer):
            self.pending[event.link, event.ref] += 1
        for action in actions:
            if isinstance(action, Notice):
                self.check(action)
        if isinstance(event, Tick) and due is not None and due <= now:
            after = self.machine.deadline
            assert after is None or after > now, f"after the tick at {now} it is due at {after}"
        return actions

    def check(self, notice: Notice) -> None:
        link = getattr(notice, "link", None)
        if not isinstance(link, int):
            return
        if isinstance(notice, Delivered | Undelivered):
            assert self.pending[link, notice.ref], f"no outcome was due: {notice}"
            self.pending[link, notice.ref] -= 1
            if isinstance(notice, Undelivered):
                return
        assert link not in self.ended, f"after the end came {notice}"
        if isinstance(notice, Calling | Ringing):
            assert link not in self.begun, f"begun twice: {notice}"
            self.begun.add(link)
        assert link in self.begun, f"not begun: {notice}"
        if isinstance(notice, CallOpened):
            assert link not in self.open, f"opened twice: {notice}"
            self.open.add(link)
        elif isinstance(notice, Heard):
            assert link in self.open, f"not open: {notice}"
            assert notice.number > self.heard.get(link, 0), f"not new: {notice}"
            self.heard[link] = notice.number
        elif isinstance(notice, CallEnded):
            left = [ref for (one, ref), count in self.pending.items() if one == link and count]
            assert not left, f"{notice} without an outcome of {left}"
            self.ended.add(link)


class Hall:
    """The registry at `REGISTRY`, and a peer at (name, 1) for each name that a test mentions."""

    def __init__(
        self,
        faults: Faults | None = None,
        seed: int = 1,
        timing: Timing | None = None,
        limits: Limits | None = None,
        max_entries: int = 100,
    ) -> None:
        self.sim = Sim(seed, faults or Faults(delay=DELAY))
        self.timing = timing or Timing()
        self.limits = limits or Limits()
        self.max_entries = max_entries
        self.lives = 0
        self.sim.add(REGISTRY, Watched(self.new_registry()))

    # Machines

    def new_registry(self, snapshot: bytes | None = None) -> Registry:
        self.lives += 1
        return Registry(
            self.sim.entropy(f"registry {self.lives}"),
            max_entries=self.max_entries,
            snapshot=snapshot,
            timing=self.timing,
            limits=self.limits,
        )

    def new_peer(self, name: str) -> Peer:
        self.lives += 1
        return Peer(
            self.sim.entropy(f"{name} {self.lives}"),
            name=name,
            registry=REGISTRY,
            timing=self.timing,
            limits=self.limits,
        )

    @property
    def registry(self) -> Registry:
        machine = self.watched(REGISTRY).machine
        assert isinstance(machine, Registry)
        return machine

    def peer(self, name: str) -> Peer:
        machine = self.watched(self.at(name)).machine
        assert isinstance(machine, Peer)
        return machine

    def watched(self, address: Address) -> Watched:
        machine = self.sim._nodes[address].machine
        assert isinstance(machine, Watched)
        return machine

    @staticmethod
    def at(name: str) -> Address:
        return (name, 1)

    def restart_registry(self, snapshot: bytes | None = None) -> None:
        self.sim.restart(REGISTRY, Watched(self.new_registry(snapshot)))

    def restart_peer(self, name: str) -> None:
        """A new process at the same address, that knows nothing."""
        self.sim.restart(self.at(name), Watched(self.new_peer(name)))

    # What happens

    def add(self, *names: str) -> Hall:
        for name in names:
            self.sim.add(self.at(name), Watched(self.new_peer(name)))
        return self

    def enlist(self, *names: str) -> Hall:
        """Add peers, and wait until they are entered, one after the other."""
        for name in names:
            self.add(name)
            self.tell(name, Enlist())
            self.sim.run_until(lambda name=name: bool(self.told(name, Enlisted)))  # type: ignore[misc]
        return self

    def tell(self, name: str, *events: Event) -> list[Notice]:
        return self.sim.command(self.at(name), *events)

    def run(self, seconds: float) -> None:
        self.sim.run_for(seconds)

    def talk(self, caller: str, callee: str) -> tuple[int, int]:
        """Have two begin to talk; give the numbers that the call has for either."""
        calling = self.call(caller, callee)
        ringing = self.told(callee, Ringing)[-1].link
        self.tell(callee, Accept(ringing))
        self.sim.run_until(lambda: self.is_open(caller, calling))
        return calling, ringing

    def call(self, caller: str, callee: str) -> int:
        """Have one call another, until it rings there."""
        before = len(self.told(callee, Ringing))
        (calling,) = self.tell(caller, Connect(callee, 1))
        assert isinstance(calling, Calling)
        self.sim.run_until(lambda: len(self.told(callee, Ringing)) > before)
        return calling.link

    # What was told

    def told(self, name: str, kind: type[N]) -> list[N]:
        return [notice for _, notice in self.sim.notices(self.at(name)) if isinstance(notice, kind)]

    def times(self, name: str, kind: type[Notice]) -> list[float]:
        return [at for at, notice in self.sim.notices(self.at(name)) if isinstance(notice, kind)]

    def of_registry(self, kind: type[N]) -> list[N]:
        return [notice for _, notice in self.sim.notices(REGISTRY) if isinstance(notice, kind)]

    def is_open(self, name: str, call: int) -> bool:
        return any(one.link == call for one in self.told(name, CallOpened))

    def id(self, name: str) -> int:
        return self.told(name, Enlisted)[-1].id

    def end(self, name: str, call: int) -> CallEnded:
        (end,) = [one for one in self.told(name, CallEnded) if one.link == call]
        return end

    def texts(self, name: str) -> list[str]:
        return [one.text for one in self.told(name, Heard)]

    def names(self) -> list[str]:
        """Who is there, as the registry has it."""
        return [entry.name for entry in self.registry.entries(self.sim.now)]


class Plain:
    """An endpoint at (name, 1) of a hall that dials, answers and says what a test wants."""

    def __init__(self, hall: Hall, name: str = "rogue", roles: tuple[str, ...] = ()) -> None:
        self.hall = hall
        self.address = hall.at(name)
        endpoint = Endpoint(hall.sim.entropy(name), roles=roles, limits=hall.limits)
        hall.sim.add(self.address, endpoint)

    def dial(self, where: Address = REGISTRY, role: str = "registry") -> int:
        dialing, *_ = self.hall.sim.command(self.address, Dial(where, role))
        assert isinstance(dialing, Dialing)
        return dialing.link

    def say(self, link: int, *messages: RegistryMessage | PeerMessage | bytes) -> None:
        events = [
            Send(link, one if isinstance(one, bytes) else one.encode(), None) for one in messages
        ]
        self.hall.sim.command(self.address, *events)
        self.hall.run(4 * DELAY)

    def register(self, name: str) -> int:
        """Enter a name; give the link."""
        link = self.dial()
        self.say(link, Register(name))
        return link

    def told(self, kind: type[N]) -> list[N]:
        log = self.hall.sim.notices(self.address)
        return [notice for _, notice in log if isinstance(notice, kind)]

    def heard(self, kind: type[V]) -> list[V]:
        """What the registry and peers have said, decoded as the roles of the links demand."""
        roles = {one.link: one.role for one in self.told(Opened)}
        found = [
            (decode_registry if roles[one.link] == "registry" else decode_peer)(one.message)
            for one in self.told(Received)
        ]
        return [one for one in found if isinstance(one, kind)]

    def end(self, link: int) -> Closed | None:
        for one in self.told(Closed):
            if one.link == link:
                return one
        return None

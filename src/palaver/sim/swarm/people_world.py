"""A registry, and three who register there, call each other by name, talk, crash and move."""

from __future__ import annotations

from collections import Counter

from palaver.link.events import Pause, Resume
from palaver.machine import Address, Event
from palaver.roles.duo_events import Say
from palaver.roles.peer import Peer
from palaver.roles.peer_events import (
    Accept,
    Calling,
    Connect,
    Depart,
    Enlist,
    Reject,
    Ringing,
    Terminate,
    Who,
)
from palaver.roles.registry import Registry
from palaver.sim.verdict import Script
from palaver.timing import Limits
from palaver.wire.names import fold_name

from .observer import Observer
from .people_observers import Calls, CallTexts, Ownership
from .talk_observers import Outcomes, Prefixes
from .weather import Weather
from .world import SLACK, World

REGISTRY: Address = ("registry", 7070)
NAMES = ("ann", "bob", "cid")
LIMITS = Limits(calls=6, ringing=3, answered=50, queue_messages=16, half_open_per_host=32)
BOUNDS = {"links": 60, "half_open": 64, "tombstones": 4096, "calls": 6, "remembered": 50}
REGISTRY_BOUNDS = {"links": 60, "half_open": 64, "tombstones": 4096, "entries": 100}


class PeopleWorld(World):
    """The registry may be restarted with what it has stored or without; people without."""

    def __init__(self, seed: int, weather: Weather, script: Script | None = None) -> None:
        super().__init__(seed, weather, script)
        self.at: dict[str, Address] = {}
        self._peers: dict[str, Peer] = {}
        self._life_of: dict[str, int] = {}
        self._said: Counter[tuple[int, int]] = Counter()
        self._lives = 0
        self._crashes = 0
        self._refs = 0
        self.registry = self._make_registry(None)
        self.sim.add(REGISTRY, self.registry)
        for name in NAMES:
            self.at[name] = (name, 1)
            self.sim.add((name, 1), self._make(name))
            if self.random.chance(0.8):
                self.tell((name, 1), Enlist())

    def observers(self) -> list[Observer]:
        """Give those who judge calls and names."""
        return [Calls(SLACK), CallTexts(), Ownership(REGISTRY), Outcomes(), Prefixes()]

    def act(self) -> None:
        """Let one of them, or the world, do something."""
        name = self.pick(NAMES)
        what = self.pick(
            ("say",) * 8 + ("connect",) * 4 + ("answer",) * 4 + ("who",) * 2 + ("disturb",) * 2
            + ("enlist", "enlist", "depart", "end", "pause", "resume", "resume", "crash", "move")
        )  # fmt: skip
        self._refs += 1
        if what == "connect":
            to: str | int = self.pick(NAMES) if self.random.chance(0.8) else self.random.below(5)
            timeout = 1 + 25 * self.random.fraction()
            self.tell(self.at[name], Connect(to, self._refs, timeout))
        elif what == "enlist":
            self.tell(self.at[name], Enlist(self.pick((name, name, *NAMES))))
        elif what in {"who", "depart"}:
            self.tell(self.at[name], Who(self._refs) if what == "who" else Depart())
        elif what == "disturb":
            self.disturb(self.at[name], self.pick_address(name))
        elif what == "crash":
            self._crash(name)
        elif what == "move":
            self._move(name)
        else:
            able = [one for one in NAMES if self._calls(one)]
            if able:
                self._talk(self.pick(able), what)

    def pick_address(self, name: str) -> Address:
        """Give the registry, or somebody else than `name`."""
        others = [self.at[one] for one in NAMES if one != name]
        return [REGISTRY, *others][self.random.below(3)]

    def check(self) -> None:
        """Names are unique and nobody remembers more than it may."""
        names = [fold_name(entry.name) for entry in self.registry.entries(self.sim.now)]
        self.require(len(set(names)) == len(names), f"names are not unique: {names}")
        self.bound("the registry", self.registry.stats(), REGISTRY_BOUNDS)
        for name, peer in self._peers.items():
            self.bound(name, peer.stats(), BOUNDS)

    def drain(self) -> None:
        """Let everybody hear what there is to hear."""
        self.sim.run_for(SLACK)
        for name in NAMES:
            for call in self._calls(name):
                self.tell(self.at[name], Resume(call))
        self.sim.run_for(70)

    def part(self) -> None:
        """End the calls, depart, and wait until nobody is there."""
        for name in NAMES:
            for call in self._calls(name):
                self.tell(self.at[name], Terminate(call))
        self.sim.run_for(70)
        for name in NAMES:
            self.require(not self._calls(name), f"{name} still has calls")
            self.tell(self.at[name], Depart())
        self.sim.run_for(90)
        for name, peer in self._peers.items():
            self.require(peer.is_idle, f"{name} still has links")
        entries = list(self.registry.entries(self.sim.now))
        self.require(not entries, f"still there: {entries}")
        self.require(self.registry.is_idle, "the registry still has links")

    def _make(self, name: str) -> Peer:
        self._lives += 1
        entropy = self.sim.entropy(f"{name} {self._lives}")
        self._life_of[name] = self._lives
        self._peers[name] = Peer(entropy, name=name, registry=REGISTRY, limits=LIMITS)
        return self._peers[name]

    def _make_registry(self, snapshot: bytes | None) -> Registry:
        self._lives += 1
        entropy = self.sim.entropy(f"registry {self._lives}")
        return Registry(entropy, max_entries=100, snapshot=snapshot)

    def _crash(self, name: str) -> None:
        if self._crashes >= 3 or not self.random.chance(0.5):
            return
        self._crashes += 1
        if self.random.chance(0.6):
            self.witnesses["crash"] += 1
            self.sim.crash(self.at[name])
            self.sim.run_for(2 * self.random.fraction())
            self.sim.restart(self.at[name], self._make(name))
            self.tell(self.at[name], Enlist())
            return
        keeps = self.random.chance(0.5)
        self.witnesses[f"registry crash, {'with' if keeps else 'without'} storage"] += 1
        snapshot = self.registry.snapshot() if keeps else None
        self.sim.crash(REGISTRY)
        self.sim.run_for(2 * self.random.fraction())
        self.registry = self._make_registry(snapshot)
        self.sim.restart(REGISTRY, self.registry)

    def _move(self, name: str) -> None:
        if self.at[name][1] < 3:
            self.witnesses["move"] += 1
            to = (name, self.at[name][1] + 1)
            self.sim.rebind(self.at[name], to)
            self.at[name] = to

    def _talk(self, name: str, what: str) -> None:
        calls = self._calls(name)
        call = calls[self.random.below(len(calls))]
        if what != "say":
            events: dict[str, Event] = {
                "answer": Accept(call) if self.random.chance(0.7) else Reject(call, "no"),
                "end": Terminate(call),
                "pause": Pause(call),
                "resume": Resume(call),
            }
            self.tell(self.at[name], events[what])
            return
        for _ in range(1 + self.random.below(6)):
            key = (self._life_of[name], call)
            self._said[key] += 1
            ref = self._said[key]
            self.tell(self.at[name], Say(call, f"{name}/{self._lives}/{self._refs}/{ref}", ref))

    def _calls(self, name: str) -> list[int]:
        """Give the calls that the program knows of, and that are not over."""
        told = {
            notice.link
            for address in [(name, port) for port in range(1, self.at[name][1] + 1)]
            for _, notice in self.sim.notices(address)
            if isinstance(notice, Calling | Ringing)
        }
        return sorted(told & self._peers[name].calls.by_number.keys())

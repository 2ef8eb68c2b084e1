"""Two who call each other, talk, leave, crash and move."""

from __future__ import annotations

from collections import Counter

from palaver.link.events import Abort, Dialing, Finish, Leave, Pause, Resume
from palaver.machine import Address
from palaver.roles.duo import Duo
from palaver.roles.duo_events import Call, ConversationOpened, Say
from palaver.sim.trace import Began, Crashed, Noticed
from palaver.sim.verdict import Script
from palaver.timing import Limits

from .observer import Observer
from .talk_observers import Beginnings, Endings, Outcomes, Prefixes
from .weather import Weather
from .world import SLACK, World

HELD = 2.0
"""How many seconds a duo may hold back a caller, because it calls itself (PROTOCOL.md, 6.3)."""
LIMITS = Limits(window=4096, queue_messages=16)
BOUNDS = {"links": 40, "half_open": 8, "tombstones": 4096, "hosts": 1024}


class DuoWorld(World):
    """Ann and Bob, and two conversations at a time at most for each."""

    def __init__(self, seed: int, weather: Weather, script: Script | None = None) -> None:
        super().__init__(seed, weather, script)
        self.at: dict[str, Address] = {}
        self._machines: dict[str, Duo] = {}
        self._said: Counter[tuple[str, int]] = Counter()
        self._calls = 0
        self._lives = 0
        self._moves = 0
        for name in ("ann", "bob"):
            self.at[name] = (name, 1)
            self.sim.add((name, 1), self._make(name))

    def observers(self) -> list[Observer]:
        """Give those who judge a talk."""
        held = HELD + SLACK
        return [Prefixes(held), Outcomes(), Beginnings(SLACK), Endings(SLACK)]

    def act(self) -> None:
        """Let one of the two, or the world, do something."""
        name = self.pick(("ann", "bob"))
        other = "bob" if name == "ann" else "ann"
        what = self.pick(
            ("say",) * 8 + ("call",) * 3 + ("finish", "leave", "abort", "pause", "resume", "resume")
            + ("disturb",) * 2 + ("crash", "move")
        )  # fmt: skip
        if what == "call":
            self._calls += 1
            timeout = 1 + 20 * self.random.fraction()
            self.tell(self.at[name], Call(self.at[other], self._calls, timeout))
        elif what == "disturb":
            self.disturb(self.at[name], self.at[other])
        elif what == "crash":
            self._crash(name)
        elif what == "move":
            self._move(name)
        else:
            self._talk(name, what)

    def check(self) -> None:
        """Nobody remembers more than it may."""
        for name, machine in self._machines.items():
            self.bound(name, machine.stats(), BOUNDS)

    def drain(self) -> None:
        """Let everybody hear what there is to hear."""
        self.sim.run_for(SLACK)
        for name in self.at:
            for link in self._links(name):
                self.tell(self.at[name], Resume(link))
        self.sim.run_for(60)

    def part(self) -> None:
        """Leave, and wait until nothing is left but what a dead link needs."""
        for name in self.at:
            for link in self._links(name):
                self.tell(self.at[name], Leave(link))
        self.sim.run_for(90)
        for name, machine in self._machines.items():
            self.require(machine.is_idle, f"{name} still has links: {machine.stats()['links']}")

    def _make(self, name: str) -> Duo:
        self._lives += 1
        entropy = self.sim.entropy(f"{name} {self._lives}")
        self._machines[name] = duo = Duo(entropy, name=name, max_conversations=2, limits=LIMITS)
        return duo

    def _crash(self, name: str) -> None:
        """Let a machine be gone for a while, and begin anew without what it knew."""
        if self._lives < 4 and self.random.chance(0.5):
            self.witnesses["crash"] += 1
            self.sim.crash(self.at[name])
            self.sim.run_for(2 * self.random.fraction())
            self.sim.restart(self.at[name], self._make(name))

    def _move(self, name: str) -> None:
        if self._moves < 2:
            self._moves += 1
            self.witnesses["move"] += 1
            to = (name, self.at[name][1] + 1)
            self.sim.rebind(self.at[name], to)
            self.at[name] = to

    def _talk(self, name: str, what: str) -> None:
        links = self._links(name)
        if not links:
            return
        link = links[self.random.below(len(links))]
        if what == "say":
            for _ in range(1 + self.random.below(6)):
                self._said[name, link] += 1
                ref = self._said[name, link]
                size = (0, 10, 900, 3000)[self.random.below(4)]
                text = f"{name}/{self._lives}/{link}/{ref}/{'x' * size}"
                self.tell(self.at[name], Say(link, text, ref))
        else:
            kinds = {"finish": Finish, "leave": Leave, "abort": Abort, "pause": Pause}
            self.tell(self.at[name], kinds.get(what, Resume)(link))

    def _links(self, name: str) -> list[int]:
        """Give the conversations that the present machine has told of."""
        links: set[int] = set()
        for entry in self.sim.trace:
            if isinstance(entry, Began | Crashed) and entry.address[0] == name:
                links.clear()
            elif isinstance(entry, Noticed) and entry.address[0] == name:
                notice = entry.notice
                links |= (
                    {notice.link} if isinstance(notice, Dialing | ConversationOpened) else set()
                )
        return sorted(links)

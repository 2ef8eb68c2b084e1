"""A hub and four members of one room, who post, pause, leave, come back, crash and move."""

from __future__ import annotations

from palaver.link.events import Leave, Pause, Resume
from palaver.machine import Address, Event
from palaver.roles.group.events import JoinRoom, Post
from palaver.roles.group.hub import Hub
from palaver.roles.group.member import Member
from palaver.roles.group.rules import HubRules, MemberRules
from palaver.roles.group.states import MemberState
from palaver.sim.verdict import Script
from palaver.timing import Limits

from .group_observers import Posts, Rooms
from .observer import Observer
from .weather import Weather
from .world import SLACK, World

HUB: Address = ("hub", 2209)
NAMES = ("ann", "bob", "cy", "dan")
LIMITS = Limits(window=4096, queue_messages=4)
HUB_RULES = HubRules(log=12, backlog=6, absence=100.0)
MEMBER_RULES = MemberRules(posts=16)
HUB_BOUNDS = {"links": 80, "half_open": 64, "tombstones": 4096, "rooms": 64, "log": 12 + 6}
BOUNDS = {"links": 8, "half_open": 0, "tombstones": 4096, "kept": 16}


class GroupWorld(World):
    """The hub forgets all when it crashes, and so does a member."""

    def __init__(self, seed: int, weather: Weather, script: Script | None = None) -> None:
        super().__init__(seed, weather, script)
        self.at: dict[str, Address] = {}
        self._members: dict[str, Member] = {}
        self._last: dict[str, int] = {}  # the present membership of each
        self._lives = 0
        self._crashes = 0
        self._posts = 0
        self.hub = self._make_hub()
        self.sim.add(HUB, self.hub)
        for name in NAMES:
            self.at[name] = (name, 1)
            self.sim.add((name, 1), self._make(name))
            self._join(name)

    def observers(self) -> list[Observer]:
        """Give those who judge a room."""
        return [Rooms(HUB), Posts()]

    def act(self) -> None:
        """Let one of them, or the world, do something."""
        name = self.pick(NAMES)
        what = self.pick(
            ("post",) * 8 + ("leave", "join", "join", "pause", "resume", "resume")
            + ("disturb",) * 3 + ("crash", "move")
        )  # fmt: skip
        link = self._last[name]
        events: dict[str, Event] = {
            "leave": Leave(link), "pause": Pause(link), "resume": Resume(link)
        }  # fmt: skip
        if what == "post":
            for _ in range(1 + self.random.below(8)):
                self._posts += 1
                text = f"{self._posts} {'x' * (self._posts % 7 * 90)}"
                self.tell(self.at[name], Post(link, text, self._posts))
        elif what == "join":
            self._join(name)
        elif what == "disturb":
            self.disturb(self.at[name], HUB)
        elif what == "crash":
            self._crash(name)
        elif what == "move":
            self._move(name)
        else:
            self.tell(self.at[name], events[what])

    def check(self) -> None:
        """Nobody remembers more than it may."""
        self.bound("the hub", self.hub.stats(), HUB_BOUNDS)
        for name, member in self._members.items():
            self.bound(name, member.stats(), BOUNDS)

    def drain(self) -> None:
        """Let all come back and hear what there is to hear; they must agree then."""
        self.sim.run_for(SLACK)
        for name in NAMES:
            self.tell(self.at[name], Resume(self._last[name]))
        self.sim.run_for(200)
        present = set(self.hub.members("lobby"))
        for name, member in self._members.items():
            for link, one in member.memberships.items():
                if one.state is MemberState.IN and one.name in present:
                    self.witnesses["in at the end"] += 1
                    same = set(member.members(link)) == present
                    agree = same or self.weather.lasting.loss + self.weather.lasting.burst > 0
                    self.require(agree, f"{name} takes {member.members(link)} for {present}")

    def part(self) -> None:
        """All leave; the hub must forget them, and the room."""
        for name in NAMES:
            self.tell(self.at[name], Leave(self._last[name]))
        self.sim.run_for(240)
        for name, member in self._members.items():
            self.require(member.is_idle, f"{name} is still linked")
        self.require(self.hub.is_idle, "the hub still has links")
        stats = self.hub.stats()
        left = {what: stats[what] for what in ("members", "absent", "rooms", "log")}
        self.require(not any(left.values()), f"the hub still has {left}")

    def _join(self, name: str) -> None:
        if self._members[name].memberships:
            return
        # Now and then somebody asks for a name that another has (U-19).
        wanted = self.pick(NAMES) if self.random.chance(0.2) else name
        order = JoinRoom(HUB, wanted, backlog=self.random.below(8), timeout=60.0)
        if self.tell(self.at[name], order):
            self._last[name] += 1

    def _make(self, name: str) -> Member:
        self._lives += 1
        entropy = self.sim.entropy(f"{name} {self._lives}")
        self._members[name] = Member(entropy, rules=MEMBER_RULES, limits=LIMITS)
        self._last[name] = 0
        return self._members[name]

    def _make_hub(self) -> Hub:
        self._lives += 1
        return Hub(self.sim.entropy(f"hub {self._lives}"), rules=HUB_RULES, limits=LIMITS)

    def _crash(self, name: str) -> None:
        if self._crashes >= 3 or not self.random.chance(0.5):
            return
        self._crashes += 1
        is_hub = self.random.chance(0.3)
        self.witnesses["hub crash" if is_hub else "crash"] += 1
        address = HUB if is_hub else self.at[name]
        self.sim.crash(address)
        self.sim.run_for(8 * self.random.fraction())
        if is_hub:
            self.hub = self._make_hub()
            self.sim.restart(HUB, self.hub)
        else:
            self.sim.restart(address, self._make(name))
            self._join(name)

    def _move(self, name: str) -> None:
        if self.at[name][1] < 3:
            self.witnesses["move"] += 1
            to = (name, self.at[name][1] + 1)
            self.sim.rebind(self.at[name], to)
            self.at[name] = to

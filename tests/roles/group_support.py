"""A hub and its members in virtual time, and the check of what must always hold.

    party = Party(seed=1)
    party.join("ann", "bob")
    party.post("ann", "hello")
    party.check()

`check` compares what each member was told with what the hub's rooms hold: after each admission
everything, in order, once, but for its own posts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from palaver import Address, Closed, Limits, Notice, Timing, Undelivered
from palaver.link.events import Dialing, Leave
from palaver.roles.group.events import (
    CameIn,
    Entered,
    Gap,
    JoinRoom,
    MemberCame,
    MemberWent,
    Post,
    PostHeard,
    PostRelayed,
    PostTaken,
    WentOut,
)
from palaver.roles.group.hub import Hub
from palaver.roles.group.member import Member
from palaver.roles.group.rules import HubRules, MemberRules
from palaver.roles.group.states import MemberState
from palaver.sim import NO_FAULTS, Faults, Sim
from palaver.wire.group import Welcome

HUB: Address = ("hub", 1)
N = TypeVar("N", bound=Notice)
Line = tuple[str, ...]


def line_of(notice: Notice) -> Line | None:
    """Give what an entry says, however it is told; None for anything that is no entry."""
    if isinstance(notice, PostHeard | PostRelayed):
        return ("said", notice.name, notice.text)
    if isinstance(notice, CameIn | MemberCame):
        return ("came", notice.name, notice.how.name)
    if isinstance(notice, WentOut | MemberWent):
        return ("went", notice.name, notice.how.name)
    return None


@dataclass
class Follower:
    """What one membership was told, checked while it is read."""

    who: str
    room: str = ""
    last: int = 0
    told: dict[int, Line] = field(default_factory=dict)
    own: dict[int, int] = field(default_factory=dict)
    # What was told and taken in earlier lives of the room.
    past: list[tuple[dict[int, Line], dict[int, int]]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    outcome: dict[int, Notice] = field(default_factory=dict)
    # Own posts that were taken in a gap, as far as is known: they may still have a number.
    unplaced: int = 0
    members: set[str] = field(default_factory=set)
    over: bool = False

    def read(self, notice: Notice) -> None:
        assert not self.over or isinstance(notice, Undelivered), f"{self.who}: at the end {notice}"
        line = line_of(notice)
        if isinstance(notice, Entered):
            self.enter(notice)
        elif isinstance(notice, PostTaken | Undelivered):
            assert notice.ref not in self.outcome, f"{self.who}: a second outcome: {notice}"
            self.outcome[notice.ref] = notice
            if isinstance(notice, PostTaken) and notice.number:
                self.advance(notice.number)
                self.own[notice.number] = notice.ref
            elif isinstance(notice, PostTaken):
                self.unplaced += 1
        elif isinstance(notice, Gap):
            self.gaps.append(notice)
            if notice.last:
                self.last = notice.last
            else:
                self.past.append((self.told, self.own))
                self.told, self.own, self.last = {}, {}, 0
        elif isinstance(notice, Closed):
            self.over = True
        elif line is not None:
            number = getattr(notice, "number", 0)
            self.advance(number)
            self.told[number] = line
            if line[0] == "came":
                self.members.add(line[1])
            elif line[0] == "went":
                self.members.discard(line[1])

    def enter(self, notice: Entered) -> None:
        self.room = notice.room
        if notice.how is Welcome.RESUMED:
            assert notice.number == self.last
            assert set(notice.members) == self.members
        else:
            assert notice.number >= self.last
            self.last = notice.number
        self.members = set(notice.members)

    def advance(self, number: int) -> None:
        skipped = number - self.last - 1
        assert 0 <= skipped <= self.unplaced, f"{self.who}: {number} came after {self.last}"
        self.unplaced -= skipped
        self.last = number


def agrees(log: dict[int, Line], told: dict[int, Line], own: dict[int, int], name: str) -> bool:
    """Tell whether that was told of this log to the author of the posts in `own`."""
    return (
        all(log.get(number) == line for number, line in told.items())
        and all(log.get(number, ())[:2] == ("said", name) for number in own)
        and not told.keys() & own.keys()
    )


class Party:
    """A hub, and members by name, each at an address of its own."""

    def __init__(
        self,
        seed: int = 1,
        faults: Faults = NO_FAULTS,
        *,
        rules: HubRules | None = None,
        member_rules: MemberRules | None = None,
        limits: Limits | None = None,
        timing: Timing | None = None,
        record: bool = False,
    ) -> None:
        self.sim = Sim(seed, faults, record=record)
        self.rules = rules or HubRules()
        self.member_rules = member_rules or MemberRules()
        self.limits = limits or Limits()
        self.timing = timing or Timing()
        self.lives = 0
        self.hub = self.new_hub()
        self.sim.add(HUB, self.hub)
        self.at: dict[str, Member] = {}
        self.posts: dict[str, int] = {}
        # Where somebody is; and where its present machine was told something, and since when.
        self.where: dict[str, Address] = {}
        self.books: dict[str, list[tuple[Address, int]]] = {}

    # Machines

    def new_hub(self) -> Hub:
        self.lives += 1
        label = f"hub {self.lives}"
        entropy = self.sim.entropy(label)
        return Hub(entropy, rules=self.rules, limits=self.limits, timing=self.timing)

    def new_member(self, name: str, limits: Limits | None = None) -> Member:
        self.lives += 1
        return Member(
            self.sim.entropy(f"{name} {self.lives}"),
            rules=self.member_rules,
            limits=limits or self.limits,
            timing=self.timing,
        )

    def restart_hub(self) -> None:
        self.hub = self.new_hub()
        self.sim.restart(HUB, self.hub)

    def add(self, name: str, limits: Limits | None = None) -> Address:
        """Put a member at its address, or a new one in the place of one that crashed."""
        self.at[name] = self.new_member(name, limits)
        if name in self.where:
            address = self.where[name]
            self.books[name] = [(address, len(self.sim.notices(address)))]
            self.sim.restart(address, self.at[name])
        else:
            address = self.where[name] = (name, 1)
            self.books[name] = [(address, 0)]
            self.sim.add(address, self.at[name])
        return address

    def move(self, name: str) -> None:
        """Give somebody another address, as a NAT does that has forgotten it."""
        old = self.where[name]
        machine = self.sim.crash(old)
        address = self.where[name] = (name, old[1] + 1)
        self.books[name].append((address, 0))
        self.sim.add(address, machine)

    # What people do

    def join(self, *names: str, room: str = "lobby", backlog: int = 0, settle: float = 2.0) -> None:
        for name in names:
            if name not in self.at:
                self.add(name)
            self.sim.command(self.where[name], JoinRoom(HUB, name, room, backlog=backlog))
            if settle:
                self.sim.run_for(settle)

    def post(self, name: str, *texts: str, link: int = 1) -> None:
        for text in texts:
            ref = self.posts.get(name, 0)
            self.posts[name] = ref + 1
            self.sim.command(self.where[name], Post(link, text, ref))

    def leave(self, name: str, link: int = 1) -> None:
        self.sim.command(self.where[name], Leave(link))

    def cut(self, name: str) -> None:
        self.sim.partition(self.where[name], HUB)

    # What was told

    def notices(self, name: str) -> list[Notice]:
        """Give all that the present machine of somebody was told."""
        books = [(HUB, 0)] if name == "hub" else self.books[name]
        found = []
        for address, start in books:
            found += [notice for _, notice in self.sim.notices(address)[start:]]
        return found

    def told(self, name: str, kind: type[N]) -> list[N]:
        return [notice for notice in self.notices(name) if isinstance(notice, kind)]

    def heard(self, name: str) -> list[str]:
        return [one.text for one in self.told(name, PostHeard)]

    def follower(self, name: str, link: int = 1) -> Follower:
        follower = Follower(f"{name}/{link}")
        for notice in self.notices(name):
            if getattr(notice, "link", None) == link and not isinstance(notice, Dialing):
                follower.read(notice)
        return follower

    def rooms(self) -> dict[str, list[dict[int, Line]]]:
        """Give the logs of each room in all its lives, as the hubs have told of them."""
        rooms: dict[str, list[dict[int, Line]]] = {}
        for notice in self.notices("hub"):
            line = line_of(notice)
            number, room = getattr(notice, "number", 0), getattr(notice, "room", "")
            if line is None or not number:
                continue
            lives = rooms.setdefault(room, [])
            if number == 1:
                lives.append({})
            assert number == len(lives[-1]) + 1, f"the hub numbered {number}: {notice}"
            lives[-1][number] = line
        return rooms

    def check(self) -> dict[str, Follower]:
        """Check what every member was told; give it."""
        rooms = self.rooms()
        followers = {}
        for name, machine in self.at.items():
            for link in range(1, machine._last + 1):
                follower = self.follower(name, link)
                followers[f"{name}/{link}"] = follower
                lives = rooms.get(follower.room, [])
                for told, own in [*follower.past, (follower.told, follower.own)]:
                    if told or own:
                        assert any(agrees(log, told, own, name) for log in lives), (
                            f"{name} was told {told} and wrote {own}; the logs are {lives}"
                        )
        return followers

    def settle(self, seconds: float = 60.0) -> dict[str, Follower]:
        """Let all come to rest on a good network; then everybody who is in has everything."""
        self.sim.heal()
        self.sim.set_faults(Faults(delay=0.01))
        self.sim.run_for(seconds)
        followers = self.check()
        rooms = self.rooms()
        for name, machine in self.at.items():
            for link, one in machine.memberships.items():
                follower = followers[f"{name}/{link}"]
                log = rooms[follower.room][-1]
                assert one.state is MemberState.IN, f"{name} is {one.state.name}"
                assert one.last == len(log), f"{name} has {one.last} of {len(log)}"
                assert one.last - follower.last <= follower.unplaced
                assert not one.kept, f"{name}: {len(one.kept)} posts were not taken"
                present = set(self.hub.members(follower.room))
                assert set(machine.members(link)) == present == follower.members
        return followers

"""Stories of a room: a hub and three members, all of them whole machines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, NamedTuple

from explore_links import rehearse
from explore_story import FAR, Budget, Facts, Party, Story, entropy, still

from palaver.link.events import Closed, Leave, Undelivered
from palaver.machine import Address, Event, Notice
from palaver.roles.group.events import (
    CameIn,
    Entered,
    Gap,
    Interrupted,
    JoinRoom,
    Post,
    PostHeard,
    PostTaken,
    WentOut,
)
from palaver.roles.group.hub import Hub
from palaver.roles.group.member import Member
from palaver.roles.group.rules import HubRules, MemberRules
from palaver.timing import Limits, Timing

HUB: Address = ("hub", 1)
MEMBERS: tuple[Address, ...] = (("ann", 1), ("bob", 1), ("cat", 1))
H = 3
LINK = 1
"""The number of a member's only membership."""


class GroupTold(NamedTuple):
    """What a member's program did and was told."""

    name: str
    done: tuple[str, ...] = ()
    log: tuple[tuple[int, str], ...] = ()
    """What it was told of the room, by number; of its own posts what the hub took."""
    closed: bool = False

    @property
    def posted(self) -> int:
        """How many posts it made."""
        return sum(label.startswith("post") for label in self.done)

    @property
    def taken(self) -> int:
        """How many of them the hub has taken."""
        return sum(line.startswith(f"{self.name}: ") for _, line in self.log)


class Group(Story):
    """Two talk at the same time, and the third listens."""

    name = "group"
    about = "three members of a room, two of whom post at the same time"
    sometimes = frozenset({"all heard", "ann first", "bob first"})
    budget = Budget(losses=1, repeats=0, delays=0)
    most_in_flight = 4
    posts: ClassVar[tuple[int, ...]] = (1, 1, 0)
    leavers: ClassVar[frozenset[int]] = frozenset()
    late: ClassVar[frozenset[int]] = frozenset()
    """Who joins only while the story goes on."""

    def timing(self) -> Timing:
        return still(bundling=False)

    def begin(self) -> tuple[list[Party], float]:
        timing, limits = self.timing(), Limits(window=1 << 18)
        parties = [
            Party(
                address,
                Member(
                    entropy(address[0]),
                    rules=MemberRules(overdue=FAR, rejoin_for=FAR, leave_within=FAR),
                    timing=timing,
                    limits=limits,
                ),
                GroupTold(address[0]),
            )
            for address in MEMBERS
        ]
        rules = HubRules(receipt_interval=1.0, absence=FAR, join_within=FAR)
        hub = Hub(entropy("hub"), rules=rules, timing=timing, limits=limits)
        parties.append(Party(HUB, hub, ()))
        cues: list[tuple[Address, Event]] = [
            (address, JoinRoom(HUB, address[0]))
            for who, address in enumerate(MEMBERS)
            if who not in self.late
        ]
        return parties, rehearse(parties, cues, 1024.0, 64.0)

    def commands(self, who: int, memory: GroupTold, view: object) -> list[tuple[str, Event]]:
        if who == H or memory.closed or "leave" in memory.done:
            return []
        if who in self.late and "join" not in memory.done:
            return [("join", JoinRoom(HUB, memory.name))]
        wishes: list[tuple[str, Event]] = []
        if memory.posted < self.posts[who]:
            number = memory.posted + 1
            wishes.append((f"post {number}", Post(LINK, f"{number}", number)))
        if who in self.leavers:
            wishes.append(("leave", Leave(LINK)))
        return wishes

    def did(self, who: int, memory: GroupTold, label: str) -> GroupTold:
        return memory._replace(done=(*memory.done, label))

    def told(self, who: int, memory: GroupTold, notice: Notice) -> GroupTold:
        if who == H:
            return memory
        last = memory.log[-1][0] if memory.log else 0
        assert not isinstance(notice, Gap | Interrupted | Undelivered), notice
        if isinstance(notice, Closed):
            assert "leave" in memory.done, f"put out: {notice}"
            return memory._replace(closed=True)
        if isinstance(notice, PostHeard):
            assert notice.name != memory.name, "one's own echo"
            assert notice.number > last, f"told before: {notice}"
            line = notice.number, f"{notice.name}: {notice.text}"
        elif isinstance(notice, PostTaken):
            assert notice.number > last, f"told before: {notice}"
            line = notice.number, f"{memory.name}: {notice.ref}"
        elif isinstance(notice, CameIn | WentOut):
            assert notice.number > last, f"told before: {notice}"
            line = notice.number, f"{type(notice).__name__} {notice.name}"
        elif isinstance(notice, Entered) and notice.number:
            line = notice.number, "Entered"
        else:
            return memory
        return memory._replace(log=(*memory.log, line))

    def view(self, who: int, machine: Member | Hub) -> object:
        assert len(machine._endpoint.links) <= len(MEMBERS), "links abound"
        return ()

    def check(self, facts: Facts) -> None:
        room: dict[int, str] = {}
        for who, fact in enumerate(facts[:H]):
            numbers = [number for number, _ in fact.memory.log]
            if numbers:
                first = numbers[0]
                assert numbers == list(range(first, first + len(numbers))), "a gap in the log"
            for number, line in fact.memory.log:
                if line != "Entered":
                    assert room.setdefault(number, line) == line, "two orders of one room"
            for other in facts[:H]:
                mine = [line for _, line in fact.memory.log if line.startswith(other.memory.name)]
                said = [f"{other.memory.name}: {n + 1}" for n in range(other.memory.posted)]
                if who not in self.late:
                    assert mine == said[: len(mine)], "posts of one author in another order"

    def is_goal(self, facts: Facts) -> bool:
        here = [fact.memory for fact in facts[:H] if not fact.memory.closed]
        if any(memory.posted < count for memory, count in zip(here, self.posts, strict=False)):
            return False
        ends = {memory.log[-1][0] if memory.log else 0 for memory in here}
        return (
            len(ends) == 1
            and all(memory.taken == memory.posted for memory in here)
            and all("leave" not in memory.done for memory in here)
        )

    def witnessed(self, facts: Facts) -> Iterable[str]:
        if self.is_goal(facts):
            yield "all heard"
        lines = [line for _, line in facts[2].memory.log if ": " in line]
        if lines:
            yield f"{lines[0][:3]} first"
        if any(fact.memory.closed for fact in facts[:H]):
            yield "left"
        if any(line.startswith("WentOut") for _, line in facts[1].memory.log):
            yield "seen leaving"


class GroupComing(Group):
    """One posts while another joins and a third leaves."""

    name = "group-coming"
    about = "one member posts, one joins and one leaves, all at the same time"
    sometimes = frozenset({"all heard", "left", "seen leaving"})
    posts: ClassVar[tuple[int, ...]] = (1, 0, 0)
    leavers = frozenset({2})
    late = frozenset({1})
    budget = Budget(losses=0, repeats=0, delays=0)

    def is_goal(self, facts: Facts) -> bool:
        ann, bob, cat = (fact.memory for fact in facts[:H])
        return bool(ann.taken == 1 and bob.log and ann.log[-1][0] == bob.log[-1][0] and cat.closed)

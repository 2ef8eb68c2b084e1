"""Promises about a room: one order for all, nothing of one's own, and an outcome for each post."""

from __future__ import annotations

from collections import defaultdict
from typing import TypeAlias

from palaver.link.events import Closed, Undelivered
from palaver.machine import Address
from palaver.roles.group.events import (
    CameIn,
    Entered,
    Gap,
    JoinRefused,
    MemberCame,
    MemberWent,
    Post,
    PostHeard,
    PostRelayed,
    PostTaken,
    WentOut,
)
from palaver.sim.trace import Began
from palaver.wire.group import Welcome

from .observer import Fact, Observer

Line: TypeAlias = tuple[str, str, str]
Stay: TypeAlias = tuple[int, int]
"""A member's life, and its number for a membership."""


def line_of(item: object) -> Line | None:
    """Give what an entry of the log says; None for anything else."""
    if isinstance(item, PostHeard | PostRelayed):
        return ("said", item.name, item.text)
    if isinstance(item, CameIn | MemberCame):
        return ("came", item.name, item.how.name)
    if isinstance(item, WentOut | MemberWent):
        return ("went", item.name, item.how.name)
    return None


class _Told:
    """What one membership was told of one life of a room."""

    def __init__(self) -> None:
        self.last = 0
        self.lines: dict[int, Line] = {}
        self.own: dict[int, str] = {}  # posts that were taken


class Rooms(Observer):
    """All logs are parts of the hub's, in its order, without gaps that are not told, or echoes.

    Every text must be posted once only in the whole run, and there must be one room only.
    """

    def __init__(self, hub: Address) -> None:
        super().__init__()
        self._hub = hub
        self._hub_life = 0
        self._logs: list[dict[int, Line]] = []
        self._relayed: set[str] = set()
        self._posts: dict[tuple[int, int, int], str] = {}
        self._author: dict[str, Stay] = {}
        self._told: dict[Stay, list[_Told]] = defaultdict(lambda: [_Told()])
        self._unplaced: dict[Stay, int] = defaultdict(int)

    def see(self, fact: Fact) -> None:
        """Take what the hub says of its log, and what members are told of it."""
        item = fact.item
        if isinstance(item, Began) and item.address == self._hub:
            self._hub_life = fact.life
        elif isinstance(item, Post):
            self._posts[fact.life, item.link, item.ref] = item.text
            self._author[item.text] = (fact.life, item.link)
        elif isinstance(item, PostRelayed | MemberCame | MemberWent):
            self._log(fact, item)
        elif isinstance(item, Entered):
            told = self._told[fact.life, item.link][-1]
            self.witnesses[f"entered: {Welcome(item.how).name}"] += 1
            if item.number < told.last:
                self.blame(fact, f"entered before entry {told.last}, which it has")
            told.last = max(told.last, item.number)
        elif isinstance(item, Gap):
            self._skip(fact, item)
        elif isinstance(item, PostTaken):
            self._take(fact, item)
        elif isinstance(item, PostHeard | CameIn | WentOut):
            self._tell(fact, item)

    def _log(self, fact: Fact, item: PostRelayed | MemberCame | MemberWent) -> None:
        line = line_of(item)
        if not item.number or line is None:
            return
        if item.number == 1:
            self._logs.append({})
        if not self._logs or item.number != len(self._logs[-1]) + 1:
            self.blame(fact, "the hub does not count on from its last entry")
            return
        self._logs[-1][item.number] = line
        if isinstance(item, PostRelayed):
            self.witnesses["relayed"] += 1
            if item.text in self._relayed:
                self.blame(fact, "relayed twice")
            self._relayed.add(item.text)

    def _skip(self, fact: Fact, gap: Gap) -> None:
        self.witnesses["gap"] += 1
        stay = (fact.life, gap.link)
        if gap.last:
            self._told[stay][-1].last = gap.last
        else:
            self._told[stay].append(_Told())

    def _take(self, fact: Fact, taken: PostTaken) -> None:
        stay = (fact.life, taken.link)
        text = self._posts.get((*stay, taken.ref))
        self.witnesses["taken"] += 1
        if text is None or text not in self._relayed:
            self.blame(fact, "it is said to be taken, and is in no log")
        elif taken.number:
            self._advance(fact, stay, taken.number)
            self._told[stay][-1].own[taken.number] = text
        else:
            self._unplaced[stay] += 1

    def _tell(self, fact: Fact, item: PostHeard | CameIn | WentOut) -> None:
        stay = (fact.life, item.link)
        line = line_of(item)
        assert line is not None
        self._advance(fact, stay, item.number)
        self._told[stay][-1].lines[item.number] = line
        if isinstance(item, PostHeard):
            self.witnesses["heard"] += 1
            if self._author.get(item.text) == stay:
                self.blame(fact, "an echo of what it has said itself")

    def _advance(self, fact: Fact, stay: Stay, number: int) -> None:
        told = self._told[stay][-1]
        skipped = number - told.last - 1
        if not 0 <= skipped <= self._unplaced[stay]:
            self.blame(fact, f"entry {number} came after {told.last}")
        self._unplaced[stay] -= max(0, skipped)
        told.last = number

    def finish(self, _crashed: frozenset[int], /) -> None:
        """What everybody was told must be part of a log of the hub."""
        for stay, lives in self._told.items():
            for told in lives:
                if not any(self._agrees(log, told) for log in [{}, *self._logs]):
                    self.miss(f"{stay} was told what is in no log: {sorted(told.lines)[-3:]}")
        for log in self._logs:
            self._check_senders(log)

    @staticmethod
    def _agrees(log: dict[int, Line], told: _Told) -> bool:
        heard = all(log.get(number) == line for number, line in told.lines.items())
        own = all(log.get(number, ("",) * 3)[2] == text for number, text in told.own.items())
        return heard and own

    def _check_senders(self, log: dict[int, Line]) -> None:
        """The posts of one membership must stand in the order in which they were posted."""
        order = {text: place for place, text in enumerate(self._author)}
        last: dict[Stay, int] = {}
        for _, line in sorted(log.items()):
            stay = self._author.get(line[2])
            if line[0] != "said" or stay is None:
                continue
            if order[line[2]] < last.get(stay, -1):
                self.miss(f"the posts of {stay} are not in order: {line[2][:20]!r}")
            last[stay] = order[line[2]]


_TOLD = (Entered, PostHeard, CameIn, WentOut, Gap)


class Posts(Observer):
    """Every post has one outcome, and nothing but that comes after the end of a membership."""

    def __init__(self) -> None:
        super().__init__()
        self._pending: dict[tuple[int, int, int], float] = {}
        self._over: set[Stay] = set()

    def see(self, fact: Fact) -> None:
        """Take a post, and what becomes of it."""
        item = fact.item
        if isinstance(item, Post):
            self._pending[fact.life, item.link, item.ref] = fact.time
        elif isinstance(item, PostTaken | Undelivered):
            if self._pending.pop((fact.life, item.link, item.ref), None) is None:
                self.blame(fact, "no outcome was due")
            self.witnesses[type(item).__name__] += 1
        elif isinstance(item, Closed | JoinRefused):
            self.witnesses[type(item).__name__] += 1
            if isinstance(item, Closed):
                self._over.add((fact.life, item.link))
        elif isinstance(item, _TOLD) and (fact.life, item.link) in self._over:
            self.blame(fact, "it came after the end")

    def finish(self, crashed: frozenset[int], /) -> None:
        """Everybody who lives must know what became of its posts."""
        for (life, link, ref), time in self._pending.items():
            if life not in crashed:
                self.miss(f"nobody knows what became of post {ref} of {link} at {life}, {time:.3f}")

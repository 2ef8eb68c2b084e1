"""A hub and members on real sockets, each on a driver of its own, told in blocking calls."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from contract_support import Way, open_caller
from io_support import PATIENCE, STEADY, AnyDriver, make_driver

from palaver import Address, Dialing, Event, Limits, Notice, Timing, WouldBlock
from palaver.roles.group.events import (
    CameIn,
    Entered,
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
from palaver.roles.group.rules import DEFAULT_HUB_RULES, DEFAULT_MEMBER_RULES, HubRules, MemberRules
from palaver.sim import FaultInjector, Faults
from palaver_io.opening import Settings

N = TypeVar("N", bound=Notice)
Line = tuple[str, str, str]
Make = Callable[[Callable[[Notice], object]], AnyDriver]

DEFAULT_LIMITS = Limits()


class Player:
    """A machine on a driver, and all that it has told."""

    def __init__(self, driver: str, make: Make) -> None:
        self.told: list[Notice] = []
        self.driver = make(self.told.append)
        self.turns_itself = driver != "selectors"
        self.is_alive = True
        self.posts = 0

    @property
    def address(self) -> Address:
        return self.driver.address

    def all(self, kind: type[N], link: int = 0) -> list[N]:
        """Give all notices of a kind: of one membership, or of all."""
        found = [one for one in list(self.told) if isinstance(one, kind)]
        return [one for one in found if not link or getattr(one, "link", 0) == link]

    def turn(self) -> None:
        if self.is_alive and not self.turns_itself:
            self.driver.wait_until(lambda: False, 0)


class Hall:
    """Where a hub and its members meet; all that is started here is ended here."""

    def __init__(
        self,
        hub: Way,
        member: Way,
        *,
        rules: HubRules = DEFAULT_HUB_RULES,
        member_rules: MemberRules = DEFAULT_MEMBER_RULES,
        timing: Timing = STEADY,
        faults: Faults | None = None,
    ) -> None:
        self.way = hub
        self.member_way = member
        self.rules = rules
        self.member_rules = member_rules
        self.timing = timing
        self.faults = faults
        self.players: list[Player] = []
        self.hub = self.open_hub()

    @property
    def is_tcp(self) -> bool:
        return self.way.transport == "tcp"

    # Who plays

    def open_hub(self, port: int = 0) -> Player:
        machine = Hub(os.urandom, rules=self.rules, streams=self.is_tcp, timing=self.timing)
        where = Settings(tcp=self.is_tcp).open_listener("127.0.0.1", port)
        self.hub = self._start(
            self.way.driver,
            lambda told: make_driver(self.way.driver, machine, where, told, **self._spoiling()),
        )
        return self.hub

    def restart_hub(self) -> Player:
        """Open another hub where the old one was, which was killed."""
        return self.open_hub(self.hub.address[1])

    def add(self, limits: Limits = DEFAULT_LIMITS) -> Player:
        machine = Member(
            os.urandom,
            rules=self.member_rules,
            streams=self.is_tcp,
            timing=self.timing,
            limits=limits,
        )
        kind, port = self.member_way.driver, open_caller(self.member_way.transport)
        return self._start(
            kind, lambda told: make_driver(kind, machine, port, told, **self._spoiling())
        )

    def _start(self, driver: str, make: Make) -> Player:
        self.players.append(Player(driver, make))
        return self.players[-1]

    def _spoiling(self) -> dict[str, FaultInjector]:
        if self.faults is None:
            return {}
        return {"injector": FaultInjector(self.faults, 1 + len(self.players))}

    def kill(self, one: Player) -> None:
        """Take the socket away, as if the process were gone."""
        one.is_alive = False
        one.driver.close()

    def end(self) -> None:
        for one in self.players:
            one.driver.close()

    # What they do

    def ask(self, one: Player, name: str, room: str = "lobby", backlog: int = 0) -> int:
        """Have somebody join; give the number of the membership."""
        one.driver.perform(JoinRoom(self.hub.address, name, room, backlog=backlog))
        return one.all(Dialing)[-1].link

    def join(self, name: str, room: str = "lobby", *, backlog: int = 0) -> Player:
        """Have somebody new join, and wait until the hub has told of it."""
        one = self.add()
        link = self.ask(one, name, room, backlog)
        self.wait(lambda: one.all(Entered, link))
        self.wait(lambda: [came for came in self.hub.all(MemberCame) if came.name == name])
        return one

    def post(self, one: Player, *texts: str, link: int = 1) -> None:
        """Post, and wait where the machine says so; the `ref` of each is how many there were."""
        for text in texts:
            one.posts += 1
            self.perform(one, Post(link, text, one.posts))

    def perform(self, one: Player, event: Event) -> None:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                one.driver.perform(event)
            except WouldBlock:
                assert time.monotonic() < until
                self.turn()
            else:
                return

    def turn(self) -> None:
        """Let all go on that need somebody for it, and give the others time."""
        for one in self.players:
            one.turn()
        time.sleep(0.001)

    def wait(self, is_there: Callable[[], object], seconds: float = PATIENCE) -> None:
        until = time.monotonic() + seconds
        while not is_there():
            if time.monotonic() >= until:
                raise AssertionError(f"it did not happen; the last that was told:\n{self._last()}")
            self.turn()

    def _last(self) -> str:
        found = []
        for place, one in enumerate(self.players):
            found.append("hub" if one is self.hub else f"member {place}")
            found += [f"  {notice!r:.140}" for notice in one.told[-5:]]
        return "\n".join(found)

    # What was told

    def log(self, room: str = "lobby") -> dict[int, Line]:
        """Give what the hub has told of a room, by number."""
        found: dict[int, Line] = {}
        for notice in list(self.hub.told):
            line = line_of(notice)
            if line is not None and getattr(notice, "room", "") == room:
                found[getattr(notice, "number", 0)] = line
        found.pop(0, None)
        assert list(found) == list(range(1, len(found) + 1))
        return found

    def check(self, one: Player, last: int, link: int = 1, room: str = "lobby") -> None:
        """Wait until somebody has all up to entry `last`; check that against the hub's log."""
        name = one.all(Entered, link)[0].name
        start = one.all(Entered, link)[0].number

        def seen() -> dict[int, Line]:
            lines = [(getattr(it, "number", 0), line_of(it)) for it in one.all(Notice, link)]
            return {number: line for number, line in lines if line is not None and number <= last}

        def own() -> list[int]:
            return [it.number for it in one.all(PostTaken, link) if it.number <= last]

        self.wait(lambda: len(seen()) + len(own()) >= last - start)
        log = self.log(room)
        assert list(seen()) == sorted(seen())
        assert own() == sorted(set(own()))
        assert all(log[number][:2] == ("said", name) for number in own())
        assert seen() == {
            number: log[number] for number in range(start + 1, last + 1) if number not in own()
        }


def line_of(notice: Notice) -> Line | None:
    """Give what an entry says, however it is told; None for anything that is no entry."""
    if isinstance(notice, PostHeard | PostRelayed):
        return ("said", notice.name, notice.text)
    if isinstance(notice, CameIn | MemberCame):
        return ("came", notice.name, notice.how.name)
    if isinstance(notice, WentOut | MemberWent):
        return ("went", notice.name, notice.how.name)
    return None


@contextmanager
def hall(hub: Way, member: Way, **options: object) -> Iterator[Hall]:
    found = Hall(hub, member, **options)  # type: ignore[arg-type]
    try:
        yield found
    finally:
        found.end()

"""What becomes of a first HELLO (PROTOCOL.md, sections 4.2, 4.4, 4.5 and 8.5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from palaver.machine import Address, copy_slots
from palaver.timing import Limits
from palaver.wire.errors import Reason
from palaver.wire.packets import Cookie, Hello
from palaver.wire.sealing import CLEAR

from .cookies import CookieJar
from .halfopen import HalfOpen
from .handshake import find_fault, make_refuse
from .link import Link
from .replies import ReplyBudget
from .waiting import WaitingRoom


@dataclass(frozen=True)
class Decision:
    """What to do: to answer, after letting a link go; to reply; to see whether a link is alive."""

    answer: bool = False
    proved: bool = False
    evict: int | None = None
    reply: bytes | None = None
    check: int | None = None


DROP = Decision()

COOKIE_COST = 0.02
"""Of a reply: else who forges a host's address could use up its replies and keep it out."""


class Reception:
    """Decides, within its bounds, who gets in."""

    __slots__ = (
        "_always",
        "_cookies",
        "_limits",
        "_proved",
        "_roles",
        "budget",
        "half_open",
        "waiting",
    )

    def __init__(
        self,
        roles: frozenset[str],
        limits: Limits,
        secret: bytes,
        *,
        always_cookie: bool,
        proved: bool = False,
    ) -> None:
        """Answer calls for `roles`; with `proved`, nobody can call from a forged address."""
        self._roles = roles
        self._limits = limits
        self._cookies = CookieJar(secret)
        self._always = always_cookie and not proved
        self._proved = proved
        self.half_open = HalfOpen(limits)
        self.budget = ReplyBudget(limits.replies_per_second)
        self.waiting = WaitingRoom()

    def decide(
        self, hello: Hello, source: Address, now: float, inbound: Iterable[Link], places: float
    ) -> Decision:
        """Decide about the HELLO of a caller that has no link yet.

        `inbound` are the conversations of other callers, of which there may be `places`.
        """
        fault = find_fault(hello, self._roles)
        if fault is not None:
            return self._refuse(hello, source, now, fault)
        taken = list(inbound)
        is_full = len(taken) >= places
        proved = self._proved or self._cookies.is_good(source, hello, now)
        if not proved and (self._always or is_full or not self.half_open.has_room(source)):
            cookie = self._cookies.bake(source, hello, now)
            return self._reply(Cookie(hello.link, cookie).encode(), source, now, COOKIE_COST)
        if is_full:
            return self._let_wait(hello, source, now, taken)
        self.waiting.leave((source, hello.link))
        evict = None
        if not self.half_open.has_room(source):
            evict = self.half_open.place_for(source)
            if evict is None:
                return DROP
        return Decision(answer=True, proved=proved, evict=evict)

    @property
    def deadline(self) -> float:
        """When `expire` is next due; infinity for never."""
        return min(self.waiting.deadline, self.budget.deadline)

    def expire(self, now: float) -> None:
        """Forget what is out of date."""
        self.waiting.expire(now)
        self.budget.forget(now)

    def _let_wait(self, hello: Hello, source: Address, now: float, taken: list[Link]) -> Decision:
        """Turn a caller away if the conversation heard least lately has been heard since."""
        caller = (source, hello.link)
        wait = self.waiting.find(caller)
        if wait is None:
            if not taken:
                return self._refuse(hello, source, now, Reason.BUSY)
            stalest = min(taken, key=lambda link: link.channel.vigil.last_heard)
            self.waiting.seat(caller, now, stalest.number)
            return Decision(check=stalest.number)
        for link in taken:
            if link.number == wait.link:
                if link.channel.vigil.last_heard > wait.since:
                    return self._refuse(hello, source, now, Reason.BUSY)
                return Decision(check=link.number)
        # That one has ended, but somebody else was faster.
        self.waiting.leave(caller)
        return self._let_wait(hello, source, now, taken)

    def _refuse(self, hello: Hello, source: Address, now: float, reason: Reason) -> Decision:
        return self._reply(make_refuse(hello, reason), source, now)

    def _reply(self, packet: bytes, source: Address, now: float, cost: float = 1.0) -> Decision:
        if not self.budget.take(source, now, cost):
            return DROP
        return Decision(reply=CLEAR.seal(packet))

    def clone(self) -> Reception:
        """Give an independent twin."""
        twin = copy_slots(self)
        twin.half_open = self.half_open.clone()
        twin.budget = self.budget.clone()
        twin.waiting = self.waiting.clone()
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return (self.half_open.key(), self.budget.key(now), self.waiting.key(now))

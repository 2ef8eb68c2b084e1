"""Stories of two who want a link: one calls, both call, with a cookie, with a stranger about."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import ClassVar

from explore_links import ANN, BOB, ROLE, A, B, Seen, Told, TwoEnds
from explore_story import Budget, Facts, Flight, entropy, still

from palaver.link.endpoint import Endpoint
from palaver.link.events import Dial
from palaver.link.handshake import make_hello
from palaver.link.states import State
from palaver.machine import Event
from palaver.timing import DEFAULT_LIMITS, Timing
from palaver.wire.errors import Reason
from palaver.wire.packets import DATA, DATA_HEADER, HELLO, Refuse, Reset, Welcome
from palaver.wire.sealing import CLEAR


class Handshake(TwoEnds):
    """Ann calls Bob and says something; then Bob does."""

    name = "handshake"
    about = "one calls, and each says something"
    sometimes = frozenset({"both up", "one up", "two HELLOs out", "all said"})
    budget = Budget(losses=2, repeats=1, delays=2)
    callers: ClassVar[tuple[int, ...]] = (A,)

    def timing(self) -> Timing:
        return still()

    def commands(self, who: int, memory: Told, view: Seen) -> list[tuple[str, Event]]:
        if not memory.done and not memory.opened and who in self.callers:
            return [("dial", Dial(BOB if who == A else ANN, ROLE))]
        if memory.opened and not memory.sent and State.OPEN in view.states:
            return [self.send(who, view)]
        return []

    def heard(self, who: int, datagram: bytes, sent: list[bytes]) -> None:
        if datagram[0] == HELLO:
            replies = [one for one in sent if one[0] not in {HELLO, DATA}]
            assert sum(map(len, replies)) <= len(datagram), "more is said than was heard"

    def check(self, facts: Facts) -> None:
        super().check(facts)
        for memory, view in facts:
            assert memory.closed is None, f"closed: {memory.closed}"
            assert view.states.count(State.OPEN) <= 1, "two links for one conversation"

    def is_goal(self, facts: Facts) -> bool:
        return all(len(fact.memory.delivered) == 1 for fact in facts)

    def witnessed(self, facts: Facts) -> Iterable[str]:
        up = [fact.memory.opened for fact in facts]
        if all(up):
            yield "both up"
        elif any(up):
            yield "one up"
        if any(State.CALLING in fact.view.states for fact in facts) and facts[B].view.half_open:
            yield "two HELLOs out"
        if self.is_goal(facts):
            yield "all said"


class Crossed(Handshake):
    """Both call at the same time: they get one link."""

    name = "crossed"
    about = "both call at once, and get one link"
    sometimes = frozenset({"both up", "one up", "all said"})
    budget = Budget(losses=1, repeats=1, delays=1)
    callers: ClassVar[tuple[int, ...]] = (A, B)
    most_in_flight = 4


class WithCookie(Handshake):
    """Bob makes all callers prove their address."""

    name = "cookie"
    about = "the callee has the caller prove its address"
    sometimes = frozenset({"both up", "one up", "all said"})
    budget = Budget(losses=2, repeats=1, delays=1)

    def endpoint(self, label: str) -> Endpoint:
        return Endpoint(
            entropy(label),
            roles=[ROLE],
            timing=self.timing(),
            limits=self.limits,
            always_cookie=label == "bob",
        )

    def clock(self, who: int, now: float) -> Hashable:
        # A cookie is good for a period of the clock.
        return now if who == B else None


class Stranger(Handshake):
    """Somebody who can't read the wire sends what would harm, if ids could be guessed."""

    name = "stranger"
    about = "a handshake, with two of five forged datagrams put on the wire at any time"
    budget = Budget(losses=1, repeats=0, delays=1, forgeries=2)
    most_half_open = 2  # one of them for the forged HELLO

    def forged(self) -> list[Flight]:
        spoofed = make_hello(0x1111, ROLE, DEFAULT_LIMITS)
        return [
            Flight(ANN, BOB, CLEAR.seal(spoofed.encode())),
            Flight(BOB, ANN, CLEAR.seal(Refuse(0x2222, Reason.BUSY, (1,)).encode())),
            Flight(BOB, ANN, CLEAR.seal(Reset(0x3333, 0).encode())),
            Flight(BOB, ANN, CLEAR.seal(Welcome(0x4444, 5, 1, 0, 1200, 1024).encode())),
            Flight(ANN, BOB, CLEAR.seal(DATA_HEADER.pack(DATA, 0x5555, 0) + bytes((4, 0, 0)))),
        ]

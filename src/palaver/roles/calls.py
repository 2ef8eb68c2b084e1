"""The calls of a peer, and those that are over and must not ring again (section 6.5)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from palaver.link.events import Side
from palaver.machine import Address, copy_slots
from palaver.values import value
from palaver.wire.errors import Reason
from palaver.wire.names import fold_name
from palaver.wire.peer import Ring
from palaver.wire.registry import Entry

from .peer_events import Outcome
from .peer_states import OUTGOING, CallState

_FOREVER = float("inf")
_NOWHERE: Address = ("", 0)


@value
class Crossing:
    """A call of the peer's, on its link, that has crossed ours; and where one calls the peer."""

    ring: Ring
    link: int
    address: Address


class Call:
    """One call, from the wish or the ring to its outcome.

    `number` names it to the program, `id` (8 bytes) on the wire, and `link` is what it goes by, 0
    for none. `us` and `peer` are the ids that the two have in this call.
    """

    __slots__ = (
        "address",
        "asked",
        "attempts",
        "by",
        "era",
        "heard",
        "id",
        "is_ring_unheard",
        "link",
        "name",
        "number",
        "outcome",
        "peer",
        "reason",
        "ref",
        "request",
        "ring_at",
        "rival",
        "said",
        "state",
        "taken_up",
        "talked",
        "text",
        "until",
        "us",
        "verified",
        "wanted",
        "was_told",
    )

    def __init__(self, number: int, call_id: bytes, state: CallState) -> None:
        self.number = number
        self.id = call_id
        self.state = state
        # Whether the program was told that both want to talk.
        self.talked = False
        # Whether the callee has accepted while we gave up.
        self.taken_up = False
        self.ref: int | None = None
        self.link = 0
        # What the ids are worth: those that a registry gave before it forgot all are another era's.
        self.era = 0
        self.us = 0
        self.peer = 0
        self.name = ""
        self.address = _NOWHERE
        self.verified = False
        # What the program wants to call, and whether the registry was asked for it.
        self.wanted: int | str = 0
        self.asked = False
        # The RING, how often it went out, when it is due again, and whether the last one awaits
        # its acknowledgement.
        self.request = b""
        self.attempts = 0
        self.ring_at = _FOREVER
        self.is_ring_unheard = False
        # The peer's call that has crossed ours and lost.
        self.rival: Crossing | None = None
        # The numbers of the last messages.
        self.said = 0
        self.heard = 0
        # The timer of the state.
        self.until = _FOREVER
        # Whether the program knows of it; what became of it.
        self.was_told = False
        self.outcome: Outcome | None = None
        self.by = Side.PEER
        self.reason: int = Reason.LEFT
        self.text = ""

    @property
    def due(self) -> float:
        """When one of its timers is due."""
        return min(self.until, self.ring_at)

    def settle(self, outcome: Outcome, by: Side, reason: int = Reason.LEFT, text: str = "") -> None:
        """Say what became of it, unless that is settled already."""
        if self.outcome is None:
            self.outcome, self.by, self.reason, self.text = outcome, by, reason, text

    def is_with(self, entry: Entry, era: int) -> bool:
        """Tell whether the peer of the call is the one of this entry, which is of this era."""
        return self.address == entry.address and (self.peer == entry.id or self.era != era)

    def is_to(self, entry: Entry, era: int) -> bool:
        """Tell whether it is a call of ours, unanswered, to the one of this entry."""
        if self.state not in OUTGOING:
            return False
        if self.state is CallState.LOOKING and isinstance(self.wanted, str):
            return fold_name(self.wanted) == fold_name(entry.name)
        return (
            self.peer == entry.id if self.state is CallState.LOOKING else self.is_with(entry, era)
        )

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        times = (self.until - now, self.ring_at - now)
        values = [getattr(self, name) for name in self.__slots__ if name not in _TIMES]
        return (*times, *values)


_TIMES = {"until", "ring_at"}


class Calls:
    """The calls that are not over, by number, id and link; and the ids of those that are.

    `remember` seconds and `most` bound the memory of the latter.
    """

    __slots__ = ("_by_id", "_by_link", "_most", "_over", "_remember", "by_number", "last_number")

    def __init__(self, remember: float, most: int) -> None:
        self.by_number: dict[int, Call] = {}
        self.last_number = 0
        self._by_id: dict[bytes, Call] = {}
        self._by_link: dict[int, Call] = {}
        # Until when, and with what code, the oldest first.
        self._over: OrderedDict[bytes, tuple[float, int]] = OrderedDict()
        self._remember = remember
        self._most = most

    def __len__(self) -> int:
        """Give how many calls there are."""
        return len(self.by_number)

    def __iter__(self) -> Iterator[Call]:
        """Give the calls, as they are now."""
        return iter(list(self.by_number.values()))

    def by_id(self, call_id: bytes) -> Call | None:
        """Give the call that has an id on the wire."""
        return self._by_id.get(call_id)

    def by_link(self, link: int) -> Call | None:
        """Give the call that goes by a link."""
        return self._by_link.get(link)

    def count(self, *states: CallState) -> int:
        """Give how many calls are in one of these states."""
        return sum(call.state in states for call in self.by_number.values())

    def add(self, call_id: bytes, state: CallState) -> Call:
        """Begin a call, and give it its number."""
        self.last_number += 1
        call = Call(self.last_number, call_id, state)
        self.by_number[call.number] = call
        self._by_id[call_id] = call
        return call

    def bind(self, call: Call, link: int) -> None:
        """Let a call go by a link, and by no other."""
        self._by_link.pop(call.link, None)
        call.link = link
        self._by_link[link] = call

    def rename(self, call: Call, call_id: bytes) -> None:
        """Give a call another id on the wire."""
        self._by_id.pop(call.id, None)
        call.id = call_id
        self._by_id[call_id] = call

    def drop(self, call: Call) -> None:
        """Forget a call that is over, or one that has become another."""
        del self.by_number[call.number]
        if self._by_id.get(call.id) is call:
            del self._by_id[call.id]
        if self._by_link.get(call.link) is call:
            del self._by_link[call.link]

    def remember(self, call_id: bytes, code: int, now: float) -> None:
        """Remember that a call is over, so that it never rings again."""
        self._over.pop(call_id, None)
        self._over[call_id] = (now + self._remember, code)
        while len(self._over) > self._most or next(iter(self._over.values()))[0] <= now:
            self._over.popitem(last=False)

    def recall(self, call_id: bytes, now: float) -> int | None:
        """Give the code of a call that is over; None if it is not, or forgotten."""
        until, code = self._over.get(call_id, (0.0, 0))
        return code if until > now else None

    @property
    def remembered(self) -> int:
        """How many calls that are over are remembered."""
        return len(self._over)

    def clone(self) -> Calls:
        """Give an independent twin."""
        twin = Calls(self._remember, self._most)
        twin.by_number = {number: copy_slots(call) for number, call in self.by_number.items()}
        twin.last_number = self.last_number
        twin._by_id = {key: twin.by_number[call.number] for key, call in self._by_id.items()}
        twin._by_link = {key: twin.by_number[call.number] for key, call in self._by_link.items()}
        twin._over = self._over.copy()
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        over = tuple((key, max(until - now, 0.0), c) for key, (until, c) in self._over.items())
        return (self.last_number, tuple(call.key(now) for call in self), over)

"""A group in plain text (PROTOCOL.md, appendix A): what one says, all others are sent as it came.

An address proves nothing: whoever can forge one makes somebody a member who knows nothing of it. So
everything here has a bound, above all what a member is sent for what came from it.
"""

from __future__ import annotations

from collections import deque

from palaver.link.events import Pause, Resume
from palaver.link.hosts import host_of
from palaver.machine import (
    Action,
    Address,
    Chunk,
    Datagram,
    Disconnect,
    Event,
    StateMachine,
    StreamBlocked,
    StreamEnded,
    StreamOpened,
    Tick,
    Transmit,
    Unreachable,
    copy_slots,
)
from palaver.roles.group.events import LOBBY, Disband, MemberCame, MemberWent, PostRelayed
from palaver.roles.timers import Timers
from palaver.wire.errors import Reason
from palaver.wire.group_log import Coming, Going
from palaver.wire.names import fold_name, suggest
from palaver.wire.plain import (
    EXIT,
    MARK,
    PAST_TEXT,
    decode,
    ends_line,
    harmless,
    is_exit,
    name_of,
    with_name,
    without_name,
)
from palaver.wire.sealing import CLEAR

from .bucket import Bucket
from .events import Expel, Spread
from .member import PlainMember, Streams
from .rules import DEFAULT_PLAIN_RULES, PlainRules

HUSHED = "* That is all for now: say something to hear more."
"""What a member is told before it is sent nothing more."""

SILENT, REST = range(2)
"""Timers: of a member, and of a stream; their key is (timer, number)."""


class PlainRelay(StateMachine):
    """A group at one address.

    Takes `Spread`, to say something to all, `Expel`, `Disband`, and `Pause` and `Resume`, which do
    nothing; and with `streams` `Chunk`, `StreamOpened`, `StreamBlocked` and `StreamEnded`. Tells
    `MemberCame`, `PostRelayed` and `MemberWent`, all with `plain` and links below 0.
    """

    __slots__ = (
        "_blocked",
        "_by_address",
        "_by_number",
        "_disbanded",
        "_last",
        "_newcomers",
        "_posts",
        "_streams",
        "_wire",
        "counts",
        "is_held",
        "places",
        "rules",
        "streams",
        "timers",
    )

    def __init__(self, *, streams: bool = False, rules: PlainRules = DEFAULT_PLAIN_RULES) -> None:
        """Make a group without members: who says something becomes one."""
        super().__init__()
        self.rules = rules
        self.streams = streams
        self.timers: Timers[tuple[int, int]] = Timers()
        self.counts = dict.fromkeys(
            ("posts", "sent", "too_fast", "turned_down", "withheld", "dropped", "foreign"), 0
        )
        # Beside a hub: how many more its room takes, and whether that drops posts for now (T-13).
        # Whoever has put the relay there keeps both up to date.
        self.places: float = float("inf")
        self.is_held = False
        self._by_address: dict[Address, PlainMember] = {}
        self._by_number: dict[int, PlainMember] = {}
        self._streams = Streams(rules.piece)
        # Streams that take nothing more for now.
        self._blocked: set[Address] = set()
        # What the next tick sends, and ends.
        self._wire: deque[Action] = deque()
        self._newcomers: Bucket | None = None
        self._posts: Bucket | None = None
        self._last = 0
        self._disbanded = False

    # Getters

    @property
    def deadline(self) -> float | None:
        """When a tick is next due."""
        if self._wire:
            return self._now
        due = self.timers.deadline
        return None if due == float("inf") else due

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to be sent to members, or there are none."""
        return not self._by_address and not self._wire

    def stats(self) -> dict[str, int]:
        """Give what was counted, and how many are there now."""
        return {
            **self.counts,
            "members": len(self._by_address),
            "streams": len(self._streams),
            "waiting": len(self._wire),
        }

    def members(self) -> list[str]:
        """Give the names of those who are there."""
        return [member.shown for member in self._by_address.values()]

    # Events

    def _take(self, event: Event, now: float, out: list[Action], /) -> None:
        if isinstance(event, Tick):
            self._tick(now, out)
        elif isinstance(event, Datagram):
            if event.data and event.data[0] >= PAST_TEXT and CLEAR.open(event.data) is not None:
                self.counts["foreign"] += 1  # somebody speaks Palaver here
            else:
                self._hear(event.source, event.data, now, out)
        elif isinstance(event, Chunk | StreamOpened | StreamBlocked | StreamEnded):
            self._take_stream(event, now, out)
        elif isinstance(event, Unreachable):
            # Nobody is there, or no more: an address that was forged is mostly found out so.
            self._part(event.address, Going.LOST, Reason.DISCONNECTED, out)
        elif isinstance(event, Spread):
            self._spread(with_name(event.name, event.text), None)
        elif isinstance(event, Expel):
            member = self._by_number.get(event.link)
            if member is not None:
                self._part(member.address, Going.DROPPED, Reason.OVERWHELMED, out)
        elif isinstance(event, Disband):
            self._disband(out)
        elif not isinstance(event, Pause | Resume):
            super()._take(event, now, out)

    def _take_stream(
        self,
        event: Chunk | StreamOpened | StreamBlocked | StreamEnded,
        now: float,
        out: list[Action],
    ) -> None:
        if isinstance(event, Chunk):
            known = self._streams.get(event.source)
            if known is not None:
                splitter, number = known
                for line in splitter.feed(event.data):
                    self._hear(event.source, line, now, out)
                    if self._streams.get(event.source) is None:
                        return  # that was `exit`, and whatever follows is nobody's
                if splitter.has_rest:
                    self.timers.set((REST, number), now + self.rules.pause)
                else:
                    self.timers.clear((REST, number))
        elif isinstance(event, StreamOpened):
            self._last -= 1
            self._streams.add(event.address, self._last)
        elif isinstance(event, StreamBlocked):
            # Of a stream that the relay has ended this may still be told: it is about nobody.
            if event.is_blocked and self._streams.get(event.address) is not None:
                self._blocked.add(event.address)
            else:
                self._blocked.discard(event.address)
        else:
            self._take_rest(event.address, now, out)
            self._drop_stream(event.address)
            self._part(event.address, Going.LEFT, Reason.LEFT, out)

    def _take_rest(self, address: Address, now: float, out: list[Action]) -> None:
        """Take what has come on a stream without a line end."""
        known = self._streams.get(address)
        if known is not None and known[0].has_rest:
            self._hear(address, known[0].finish(), now, out)

    def _end_stream(self, address: Address) -> None:
        """Have a stream ended, if one is there."""
        if self._streams.get(address) is not None:
            self._drop_stream(address)
            self._wire.append(Disconnect(address))

    def _drop_stream(self, address: Address) -> None:
        known = self._streams.get(address)
        if known is not None:
            self.timers.clear((REST, known[1]))
        self._streams.remove(address)
        self._blocked.discard(address)

    # What members say

    def _hear(self, address: Address, data: bytes, now: float, out: list[Action]) -> None:
        """Take a text: of a datagram, or of a line."""
        text = decode(data)
        member = self._by_address.get(address)
        if is_exit(text):
            self._part(address, Going.LEFT, Reason.LEFT, out)
            self._end_stream(address)  # of somebody who was never a member
            return
        if member is None:
            member = self._admit(address, text, now, out)
            if member is None:
                self.counts["turned_down"] += 1
                if self.places < 1:
                    self._end_stream(address)
                return
        member.heard_at = now
        member.ends_lines = ends_line(data)
        member.is_hushed = False
        if member.allowance is not None:
            member.allowance.earn()
        if not self.streams:
            self.timers.set((SILENT, member.number), now + self.rules.silence)
        if self._posts is None:
            self._posts = Bucket(self.rules.posts_of_all, self.rules.posts_of_all_burst, now)
        if not member.posts.take(now) or not self._posts.take(now):
            self.counts["too_fast"] += 1
            return
        if self.is_held:
            self.counts["dropped"] += 1
            return
        self.counts["posts"] += 1
        said = without_name(text, member.name) if member.name else text
        out.append(PostRelayed(member.number, LOBBY, 0, member.shown, said, plain=True))
        self._spread(text, member)

    def _admit(
        self, address: Address, text: str, now: float, out: list[Action]
    ) -> PlainMember | None:
        """Make somebody a member, if there is a place."""
        rules = self.rules
        if self._newcomers is None:
            self._newcomers = Bucket(rules.newcomers, rules.newcomers_burst, now)
        host = host_of(address)
        neighbours = sum(host_of(one) == host for one in self._by_address)
        if self._disbanded or self.places < 1 or neighbours >= rules.members_per_host:
            return None
        silent = None
        if len(self._by_address) >= rules.members:
            silent = min(self._by_address.values(), key=lambda one: one.heard_at)
            if now - silent.heard_at < rules.yields_after:
                return None
        if not self._newcomers.take(now):
            return None
        if silent is not None:
            self._part(silent.address, Going.LOST, Reason.DEAD, out)
        self._last -= 1
        self.places -= 1
        member = PlainMember(self._last, address, rules, now, is_proven=self.streams)
        member.name = name_of(text)
        taken = {fold_name(one.shown) for one in self._by_address.values()}
        shown = member.name or _write(address)
        member.shown = suggest(shown + MARK, taken)
        self._by_address[address] = self._by_number[member.number] = member
        out.append(
            MemberCame(member.number, LOBBY, 0, member.shown, Coming.NEW, address, plain=True)
        )
        return member

    def _spread(self, text: str, author: PlainMember | None) -> None:
        """Have a text sent to all but its author."""
        text = harmless(text, self.rules.text)
        for member in self._by_address.values():
            if member is not author:
                self._send(member, text)

    def _send(self, member: PlainMember, text: str) -> None:
        data = member.encode(text)
        if member.address in self._blocked:
            self.counts["withheld"] += 1
            return
        allowance = member.allowance
        if allowance is not None:
            if member.is_hushed:
                self.counts["withheld"] += 1
                return
            hushed = member.encode(HUSHED)
            if not allowance.covers(2, len(data) + len(hushed)):
                member.is_hushed = True
                self.counts["withheld"] += 1
                data = hushed
            if not allowance.spend(len(data)):
                return
        self.counts["sent"] += 1
        self._wire.append(Transmit(data, member.address))

    # Going

    def _part(self, address: Address, how: Going, reason: Reason, out: list[Action]) -> None:
        """Forget a member, if there is one at this address."""
        member = self._by_address.pop(address, None)
        if member is None:
            return
        del self._by_number[member.number]
        self.timers.clear((SILENT, member.number))
        out.append(MemberWent(member.number, LOBBY, 0, member.shown, how, reason, plain=True))
        if self.streams:
            self._drop_stream(address)
            self._wire.append(Disconnect(address))

    def _disband(self, out: list[Action]) -> None:
        """Say `exit` to all, and forget them."""
        self._disbanded = True
        for member in list(self._by_address.values()):
            self._wire.append(Transmit(member.encode(EXIT), member.address))
            self._part(member.address, Going.LEFT, Reason.SHUTTING_DOWN, out)
        self._wire.extend(Disconnect(address) for address in self._streams.addresses())
        for address in self._streams.addresses():
            self._drop_stream(address)

    # Time

    def _tick(self, now: float, out: list[Action]) -> None:
        for timer, number in self.timers.take(now):
            if timer == REST:
                address = self._streams.by_number(number)
                if address is not None:
                    self._take_rest(address, now, out)
            else:
                member = self._by_number[number]
                self._part(member.address, Going.LOST, Reason.DEAD, out)
        out.extend(self._wire)
        self._wire.clear()

    # Exploration

    def clone(self) -> PlainRelay:
        """Give an independent twin."""
        twin = copy_slots(self)
        twin.timers = self.timers.clone()
        twin.counts = self.counts.copy()
        twin._by_number = {number: one.clone() for number, one in self._by_number.items()}
        twin._by_address = {
            address: twin._by_number[one.number] for address, one in self._by_address.items()
        }
        twin._streams = self._streams.clone()
        twin._blocked = self._blocked.copy()
        twin._wire = self._wire.copy()
        twin._newcomers = None if self._newcomers is None else self._newcomers.clone()
        twin._posts = None if self._posts is None else self._posts.clone()
        return twin

    def state_key(self, now: float) -> tuple[object, ...]:
        """Give all that decides the future as one comparable value, times relative to `now`."""
        return (
            tuple(member.key(now) for member in self._by_address.values()),
            self._streams.key(),
            tuple(sorted(self._blocked)),
            tuple(self._wire),
            self.timers.key(now),
            None if self._newcomers is None else self._newcomers.key(now),
            None if self._posts is None else self._posts.key(now),
            (self._last, self._disbanded),
        )


def _write(address: Address) -> str:
    """Write an address as people do."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

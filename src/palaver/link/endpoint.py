"""Many links behind one address (PROTOCOL.md, sections 3.4 and 8.5 to 8.7)."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

from palaver.entropy import Draws, Entropy
from palaver.machine import (
    Action,
    Address,
    Datagram,
    Event,
    StateMachine,
    Tick,
    Transmit,
    Unreachable,
    UsageError,
    copy_slots,
)
from palaver.timing import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from palaver.wire.packets import (
    COOKIE,
    DATA,
    DATA_HEADER,
    RESET_SIZE,
    Handshake,
    Hello,
    Reset,
    check_role,
)
from palaver.wire.sealing import CLEAR

from .context import Context
from .counters import Counters
from .demux import link_id_of, open_packet
from .events import Dial, Dialing, Send, Undelivered
from .handshake import MIN_HELLO, make_hello
from .link import Link
from .reception import Decision, Reception
from .states import Input, State
from .tombstones import Tombstones

_FOREVER = float("inf")


class Endpoint(StateMachine):
    """All the links of one program at one address: it demultiplexes, bounds and remembers.

    `roles` are those for which it answers calls; with none it only calls. `max_inbound` bounds
    the calls that it has answered and that are not over: more are told that it is busy. With
    `always_cookie` callers must prove their address even while there is room.
    """

    __slots__ = (
        "_by_local",
        "_by_remote",
        "_context",
        "_dirty",
        "_draws",
        "_heap",
        "_inbound",
        "_last_number",
        "_links",
        "_reception",
        "_tombstones",
        "max_inbound",
    )

    def __init__(
        self,
        entropy: Entropy,
        *,
        roles: Iterable[str] = (),
        max_inbound: int = 65535,
        always_cookie: bool = False,
        timing: Timing = DEFAULT_TIMING,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Make an endpoint without links. Raises UsageError for a bad role or bound."""
        super().__init__()
        answered = frozenset(roles)
        for role in answered:
            check_role(role)
        if max_inbound < 0:
            raise UsageError(f"max_inbound must not be negative, as {max_inbound} is")
        self.max_inbound = max_inbound
        self._context = Context(timing, limits)
        self._draws = Draws(entropy)
        self._last_number = 0
        self._links: dict[int, Link] = {}
        self._by_local: dict[int, Link] = {}
        self._by_remote: dict[tuple[Address, int], Link] = {}
        self._reception = Reception(
            answered, limits, self._draws.bytes(32), always_cookie=always_cookie
        )
        # Links that were called, told the program so, and are not over.
        self._inbound: set[int] = set()
        # Links to tick, whatever their timers say.
        self._dirty: dict[int, Link] = {}
        # (time, link): lazy, each link's earliest entry counts and the others are passed over.
        self._heap: list[tuple[float, int]] = []
        self._tombstones = Tombstones(timing.tombstone, limits.tombstones)

    # Getters

    @property
    def counters(self) -> Counters:
        """The counts since the beginning."""
        return self._context.counters

    @property
    def deadline(self) -> float | None:
        """When a tick is next due; it may be a little early."""
        if self._dirty:
            return self._now
        due = _FOREVER
        for other in (self._tombstones.deadline, self._reception.deadline):
            if other is not None and other < due:
                due = other
        if self._heap and self._heap[0][0] < due:
            due = self._heap[0][0]
        return None if due == _FOREVER else due

    @property
    def is_idle(self) -> bool:
        """Whether no link is left, lingering ones included: the socket may be closed."""
        return not self._links

    @property
    def links(self) -> dict[int, Link]:
        """The links by number, for looking at only."""
        return self._links

    def stats(self) -> dict[str, int]:
        """Give the counts since the beginning, and how much is remembered now."""
        return {
            **self.counters.as_dict(),
            "links": len(self._links),
            "half_open": len(self._reception.half_open),
            "waiting": len(self._reception.waiting),
            "hosts": len(self._reception.budget),
            "tombstones": len(self._tombstones),
        }

    def rtt(self, link: int) -> float | None:
        """Give the smoothed round-trip time of a link in seconds; None if it is not known."""
        found = self._links.get(link)
        if found is None or found.channel.recovery.rtt.minimum is None:
            return None
        return found.channel.recovery.rtt.smoothed

    # Events

    def _take(self, event: Event, now: float, out: list[Action]) -> None:
        if isinstance(event, Datagram):
            self._take_datagram(event, now, out)
        elif isinstance(event, Tick):
            self._tick(now, out)
        elif isinstance(event, Dial):
            self._dial(event, now, out)
        elif isinstance(event, Unreachable):
            self._take_hint(event)
        else:
            self._take_command(event, now, out)

    def _take_datagram(self, event: Datagram, now: float, out: list[Action]) -> None:
        data, counters = event.data, self.counters
        counters.datagrams_in += 1
        if len(data) > self._context.limits.mtu:
            counters.too_large += 1
        elif len(data) > RESET_SIZE and data[0] == DATA:
            self._take_data(data, event.source, now, out)
        else:
            packet = open_packet(data, counters)
            if packet is not None:
                self._take_packet(packet, len(data), event.source, now, out)

    def _take_data(self, data: bytes, source: Address, now: float, out: list[Action]) -> None:
        _, local, number = DATA_HEADER.unpack_from(data)
        link = self._by_local.get(local)
        if link is None:
            self._answer_unknown(data, local, number, source, now, out)
        else:
            before, address = link.state, link.channel.address
            has_room = len(self._inbound) < self.max_inbound
            if before is State.WELCOMED:
                link.crossed = self._crossing_call(link)
            link.datagram(data, number, source, now, out, has_room=has_room)
            if link.crossed is not None:
                self._merge(link)
            self._dirty[link.number] = link
            if link.channel.address != address:
                self._by_remote.pop((address, link.channel.remote), None)
                self._by_remote[link.channel.address, link.channel.remote] = link
            if link.state is not before:
                self._follow(link, now)

    def _crossing_call(self, answered: Link) -> Link | None:
        """Give a call of ours to the caller that we have answered, if it has crossed."""
        for link in self._calls_to(answered.channel.address, answered.role):
            if link.local > answered.channel.remote:
                return link
        return None

    def _calls_to(self, address: Address, role: str) -> list[Link]:
        return [
            link
            for link in self._links.values()
            if link.state is State.CALLING and link.channel.address == address and link.role == role
        ]

    def _merge(self, link: Link) -> None:
        """Let a link that has taken over a crossed call have its place in the tables."""
        call, link.crossed = link.crossed, None
        if call is None or link.number != call.number:
            return
        for number in [number for number, one in self._links.items() if one is link]:
            del self._links[number]
            self._dirty.pop(number, None)
            self._reception.half_open.discard(number)
        self._by_local.pop(call.local, None)
        self._links[link.number] = link
        link.scheduled = _FOREVER

    def _answer_unknown(
        self, data: bytes, local: int, number: int, source: Address, now: float, out: list[Action]
    ) -> None:
        """Answer a DATA packet for a link that is not here."""
        if local == 0:
            self.counters.malformed += 1
            return
        self.counters.unknown += 1
        buried = self._tombstones.find(local)
        if CLEAR.open(data) is None:
            self.counters.damaged += 1
        elif buried is not None:
            last_word = buried.take_last_word(source)
            if last_word is not None:
                self._reply(last_word, source, out)
        elif self._reception.budget.take(source, now):
            self.counters.resets_sent += 1
            self._reply(CLEAR.seal(Reset(local, number).encode()), source, out)

    def _take_packet(
        self, packet: Handshake | Reset, size: int, source: Address, now: float, out: list[Action]
    ) -> None:
        wanted = link_id_of(packet)
        by_peer = isinstance(packet, Hello | Reset)
        link = self._by_remote.get((source, wanted)) if by_peer else self._by_local.get(wanted)
        if link is not None and link.channel.address == source:
            link.packet(packet, now, out)
            self._dirty[link.number] = link
            self._follow(link, now)
        elif isinstance(packet, Hello) and size >= MIN_HELLO:
            self._meet(packet, source, now, out)
        else:
            self.counters.unknown += 1

    def _meet(self, hello: Hello, source: Address, now: float, out: list[Action]) -> None:
        """Answer the first HELLO of a caller."""
        calls = self._calls_to(source, hello.role)
        if self._tombstones.has_peer(source, hello.link) or any(
            # Our calls have crossed, and the lower one is to be answered: ours.
            call.local < hello.link
            for call in calls
        ):
            self.counters.ignored += 1
            return
        inbound = (self._links[number] for number in self._inbound)
        decision = self._reception.decide(hello, source, now, inbound, self.max_inbound)
        if decision.reply is not None:
            if decision.reply[0] == COOKIE:
                self.counters.cookies_sent += 1
            else:
                self.counters.refused += 1
            self._reply(decision.reply, source, out)
        elif decision.check is not None:
            checked = self._links[decision.check]
            checked.channel.challenge(now)
            self._dirty[checked.number] = checked
        elif not decision.answer or len(self._links) >= self._context.limits.links:
            self.counters.unwanted += 1
        else:
            self._answer(hello, source, decision, now, out)

    def _answer(
        self, hello: Hello, source: Address, decision: Decision, now: float, out: list[Action]
    ) -> None:
        if decision.evict is not None:
            evicted = self._links[decision.evict]
            evicted.step(Input.EXPIRED, None, now, out)
            self._follow(evicted, now)
        link = self._new_link(self._new_id(), hello.role, source)
        link.answer(hello, now)
        self._by_remote[source, hello.link] = link
        self._reception.half_open.add(link.number, source, proved=decision.proved)
        link.packet(hello, now, out)

    def _dial(self, dial: Dial, now: float, out: list[Action]) -> None:
        check_role(dial.role)
        if dial.timeout is not None and not dial.timeout > 0:
            raise UsageError(f"the timeout of a call must be above 0, not {dial.timeout}")
        if len(self._links) >= self._context.limits.links:
            raise UsageError(f"there are {self._context.limits.links} links already; end one first")
        hello = make_hello(self._calling_id(dial), dial.role, self._context.limits)
        if len(CLEAR.seal(hello.encode())) > self._context.limits.mtu:
            raise UsageError(f"a HELLO for role {dial.role!r} does not fit the mtu")
        link = self._new_link(hello.link, dial.role, dial.address)
        link.call(hello, dial.ref, dial.timeout, now)
        out.append(Dialing(link.number, dial.ref, dial.address))

    def _take_hint(self, hint: Unreachable) -> None:
        self.counters.unreachable += 1
        for link in self._links.values():
            if link.channel.address == hint.address:
                link.note_unreachable()

    def _take_command(self, event: Event, now: float, out: list[Action]) -> None:
        number = getattr(event, "link", None)
        if not isinstance(number, int):
            raise UsageError(f"an endpoint does not take {type(event).__name__}")
        link = self._links.get(number)
        if link is None or link.state is State.WELCOMED:
            if not 0 < number <= self._last_number or link is not None:
                raise UsageError(f"there is no link {number}")
            if isinstance(event, Send) and event.ref is not None:
                self.counters.messages_undelivered += 1
                out.append(Undelivered(number, event.ref, self._tombstones.reason(number)))
            return
        link.check(event)
        link.command(event, now, out)
        self._dirty[number] = link
        self._follow(link, now)

    # Time

    def _tick(self, now: float, out: list[Action]) -> None:
        heap, links = self._heap, self._links
        dirty, self._dirty = self._dirty, {}
        while heap and heap[0][0] <= now:
            due, number = heappop(heap)
            link = links.get(number)
            if link is not None and link.scheduled == due:
                link.scheduled = _FOREVER
                dirty[number] = link
        for link in dirty.values():
            if link.number not in links:
                continue
            before = link.state
            link.tick(now, out)
            if link.state is not before:
                self._follow(link, now)
            wanted = link.deadline
            if wanted is not None and wanted < link.scheduled:
                link.scheduled = wanted
                heappush(heap, (wanted, link.number))
        self._tombstones.expire(now)
        self._reception.expire(now)
        self._tidy_heap()

    def _tidy_heap(self) -> None:
        """Drop entries that count no more, from the top and, if they abound, everywhere."""
        heap, links = self._heap, self._links
        while heap:
            due, number = heap[0]
            link = links.get(number)
            if link is not None and link.scheduled == due:
                break
            heappop(heap)
        if len(heap) > 2 * len(links) + 64:
            heap[:] = [
                (link.scheduled, number)
                for number, link in links.items()
                if link.scheduled < _FOREVER
            ]
            heapify(heap)

    # Tables

    def _new_link(self, local: int, role: str, address: Address) -> Link:
        self._last_number += 1
        number = self._last_number
        link = Link(number, local, role, address, self._context, self._draws.bytes(16))
        self._links[number] = link
        self._by_local[local] = link
        self._dirty[number] = link
        return link

    def _new_id(self) -> int:
        while True:
            local = int.from_bytes(self._draws.bytes(8), "big")
            if local and local not in self._by_local and self._tombstones.find(local) is None:
                return local

    def _calling_id(self, dial: Dial) -> int:
        """Give the id for a call: above that of a caller there whom we have answered already."""
        answered = [
            link.channel.remote
            for link in self._links.values()
            if link.state is State.WELCOMED and link.channel.address == dial.address
        ]
        local = self._new_id()
        for _ in range(64):
            if local > max(answered, default=0):
                break
            local = self._new_id()
        return local

    def _follow(self, link: Link, now: float) -> None:
        """Bring the tables in line with the state of a link."""
        if link.state is State.WELCOMED:
            return
        number, channel = link.number, link.channel
        self._reception.half_open.discard(number)
        if link.is_conversing:
            self._by_remote[channel.address, channel.remote] = link
            if link.ref is None:
                self._inbound.add(number)
            return
        self._inbound.discard(number)
        if link.state is not State.CLOSED or self._links.pop(number, None) is None:
            return
        self._by_local.pop(link.local, None)
        self._dirty.pop(number, None)
        if channel.remote:
            self._by_remote.pop((channel.address, channel.remote), None)
        if link.was_announced or link.farewell.last_word is not None:
            self._tombstones.bury(link, now)

    def _reply(self, data: bytes, destination: Address, out: list[Action]) -> None:
        self.counters.datagrams_out += 1
        out.append(Transmit(data, destination))

    # Exploration

    def clone(self) -> Endpoint:
        """Give an independent twin that will draw the same random values."""
        twin = copy_slots(self)
        twin._context = self._context.clone()
        twin._draws = self._draws.clone()
        twin._links = {number: link.clone(twin._context) for number, link in self._links.items()}
        twin._by_local = {key: twin._links[link.number] for key, link in self._by_local.items()}
        twin._by_remote = {key: twin._links[link.number] for key, link in self._by_remote.items()}
        twin._dirty = {number: twin._links[number] for number in self._dirty}
        twin._reception = self._reception.clone()
        twin._inbound = self._inbound.copy()
        twin._heap = self._heap.copy()
        twin._tombstones = self._tombstones.clone()
        return twin

    def state_key(self, now: float) -> tuple[object, ...]:
        """Give all that decides the future as one comparable value, times relative to `now`."""
        return (
            tuple(link.key(now) for link in self._links.values()),
            tuple(self._dirty),
            self._tombstones.key(now),
            self._reception.key(now),
            self._draws.key(),
            self._last_number,
        )

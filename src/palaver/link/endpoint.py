"""Many links behind one address (PROTOCOL.md, sections 3.4 and 8.5 to 8.7)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

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

from .agenda import Agenda
from .context import Context
from .counters import Counters
from .demux import asks_for_ack, link_id_of, open_packet
from .events import Alive, Command, Dial, Dialing, Probe, Send, Undelivered
from .handshake import MIN_HELLO, check_callable, make_hello
from .link import Link
from .maker import Maker
from .reception import Decision, Reception
from .states import Input, State
from .table import LinkTable
from .tombstones import Tombstones

if TYPE_CHECKING:
    from typing_extensions import Self

_FOREVER = float("inf")
# Looking up a member of an Enum takes its time, where it is done for each packet.
_WELCOMED, _OPEN = State.WELCOMED, State.OPEN


class Endpoint(StateMachine):
    """All the links of one program at one address: it demultiplexes, bounds and remembers.

    `roles` are those for which it answers calls; with none it only calls. `max_inbound` bounds
    the calls that it has answered and that are not over: more are told that it is busy. With
    `always_cookie` callers must prove their address even while there is room.

    Takes `Dial`, `Send`, `Finish`, `Leave`, `Abort`, `Pause`, `Resume` and `Probe`. Tells
    `Dialing`, `StillDialing`, `Opened`, `Received`, `Delivered`, `Overdue`, `Undelivered`,
    `Writable`, `Alive`, `Finished` and, once and last for each link, `Closed`.
    """

    _STREAMS: ClassVar[bool] = False

    __slots__ = (
        "_agenda",
        "_context",
        "_links",
        "_maker",
        "_probed",
        "_reception",
        "_sweep_at",
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
        self._context = Context(timing, limits, streams=self._STREAMS)
        draws = Draws(entropy)
        self._maker = Maker(self._context, draws)
        self._links = LinkTable()
        self._agenda = Agenda(self._links.by_number)
        self._reception = Reception(
            answered, limits, draws.bytes(32), always_cookie=always_cookie, proved=self._STREAMS
        )
        self._tombstones = Tombstones(timing.tombstone, limits.tombstones)
        # Links that were probed and on which nothing has come since.
        self._probed: set[int] = set()
        self._sweep_at = _FOREVER

    # Getters

    @property
    def counters(self) -> Counters:
        """The counts since the beginning."""
        return self._context.counters

    @property
    def deadline(self) -> float | None:
        """When a tick is next due; it may be a little early."""
        agenda = self._agenda
        if agenda.touched:
            return self._now
        due = agenda.heap[0][0] if agenda.heap else _FOREVER
        if self._sweep_at < due:
            due = self._sweep_at
        return None if due == _FOREVER else due

    @property
    def is_idle(self) -> bool:
        """Whether no link is left, lingering ones included: the socket may be closed."""
        return not self._links

    @property
    def links(self) -> dict[int, Link]:
        """The links by number, for looking at only."""
        return self._links.by_number

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
        found = self._links.by_number.get(link)
        if found is None or found.channel.recovery.rtt.minimum is None:
            return None
        return found.channel.recovery.rtt.smoothed

    # Events

    def _take(self, event: Event, now: float, out: list[Action]) -> None:
        if type(event) is Send:
            self._send(event, now, out)
        elif type(event) is Datagram:
            self._take_datagram(event, now, out)
        elif type(event) is Tick:
            self._tick(now, out)
        elif isinstance(event, Dial):
            self._dial(event, now, out)
        elif isinstance(event, Unreachable):
            self.counters.unreachable += 1
            self._links.note_unreachable(event.address)
        else:
            self._take_command(event, now, out)

    def _take_datagram(self, event: Datagram, now: float, out: list[Action]) -> bool:
        """Take a datagram; tell whether it made sense."""
        data, context = event.data, self._context
        counters = context.counters
        counters.datagrams_in += 1
        if len(data) > context.limits.mtu:
            counters.too_large += 1
            return False
        if len(data) >= RESET_SIZE and data[0] == DATA:
            return self._take_data(data, event.source, now, out)
        packet = open_packet(data, counters)
        if packet is None:
            return False
        return self._take_packet(packet, len(data), event.source, now, out)

    def _take_data(self, data: bytes, source: Address, now: float, out: list[Action]) -> bool:
        _, local, number = DATA_HEADER.unpack_from(data)
        link = self._links.by_local.get(local)
        if link is None:
            self._answer_unknown(data, local, number, source, now, out)
            return self._may_be_late(source)
        channel = link.channel
        before, address, unheard = link.state, channel.address, link.is_unheard
        if before is _WELCOMED:
            sound = self._open(link, data, number, source, now, out)
        else:
            sound = link.datagram(data, number, source, now, out)
        if self._probed and sound and link.number in self._probed:
            self._probed.discard(link.number)
            if link.is_conversing:
                out.append(Alive(link.number))
        if channel.address is not address:
            self._links.move(link, address)
        if unheard and not link.is_unheard:
            self._links.note_heard(link)
        if link.state is not before:
            self._follow(link, now, out)
        elif before is _OPEN and channel.is_at_rest(now):
            self._agenda.let_rest(link)
            return sound
        self._agenda.touch(link)
        return sound

    def _open(
        self, link: Link, data: bytes, number: int, source: Address, now: float, out: list[Action]
    ) -> bool:
        """Give a half-open link what may be its first packet."""
        half_open = link.number
        channel = link.channel
        for call in self._links.calls_to(channel.address, link.role):
            if call.state is State.CALLING and call.local > channel.remote:
                # Our call and the peer's have crossed, and this link is to serve both.
                link.crossed = call
        channel.inbox.paused = link.crossed is not None and link.crossed.channel.inbox.paused
        # The link of a call of ours takes nobody's place.
        has_room = link.crossed is not None or self._links.inbound_count < self.max_inbound
        sound = link.datagram(data, number, source, now, out, has_room=has_room)
        if link.crossed is not None and link.number != half_open:
            self._note_gone(link.crossed, out)
            self._reception.half_open.discard(half_open)
            self._links.replace(link.crossed, link, half_open)
            self._agenda.renumber(link, half_open)
        link.crossed = None
        return sound

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
            last_word = buried.take_last_word(source) if asks_for_ack(data) else None
            if last_word is not None:
                self._reply(last_word, source, out)
        elif asks_for_ack(data) and self._reception.budget.take(source, now):
            self._plan_sweep()
            self.counters.resets_sent += 1
            self._reply(CLEAR.seal(Reset(local, number).encode()), source, out)

    def _take_packet(
        self, packet: Handshake | Reset, size: int, source: Address, now: float, out: list[Action]
    ) -> bool:
        wanted = link_id_of(packet)
        by_peer = isinstance(packet, Hello | Reset)
        if isinstance(packet, Hello) and size < MIN_HELLO:
            self.counters.malformed += 1
            return False
        links = self._links
        link = links.by_remote(source, wanted) if by_peer else links.by_local.get(wanted)
        if link is not None and link.channel.address == source:
            link.packet(packet, now, out)
            self._agenda.touch(link)
            self._follow(link, now, out)
        elif isinstance(packet, Hello):
            self._meet(packet, source, now, out)
        else:
            self.counters.unknown += 1
            return self._may_be_late(source)
        return True

    def _may_be_late(self, _: Address) -> bool:
        """Tell whether packets for links that are not here can be late ones from there."""
        return True

    def _meet(self, hello: Hello, source: Address, now: float, out: list[Action]) -> None:
        """Answer the first HELLO of a caller."""
        # If our calls have crossed, the lower one is to be answered. Ours may have been already.
        calls = self._links.calls_to(source, hello.role)
        answers_us = any(call.local < hello.link for call in calls)
        if answers_us or self._tombstones.has_peer(source, hello.link):
            self.counters.ignored += 1
            return
        places = self.max_inbound if not calls else _FOREVER
        decision = self._reception.decide(hello, source, now, self._links.inbound(), places)
        self._plan_sweep()
        if decision.reply is not None:
            if decision.reply[0] == COOKIE:
                self.counters.cookies_sent += 1
            else:
                self.counters.refused += 1
            self._reply(decision.reply, source, out)
        elif decision.check is not None:
            checked = self._links.by_number[decision.check]
            checked.channel.challenge(now)
            self._agenda.touch(checked)
        elif not decision.answer or len(self._links) >= self._context.limits.links:
            self.counters.unwanted += 1
        else:
            self._answer(hello, source, decision, now, out)

    def _answer(
        self, hello: Hello, source: Address, decision: Decision, now: float, out: list[Action]
    ) -> None:
        if decision.evict is not None:
            evicted = self._links.by_number[decision.evict]
            evicted.step(Input.EXPIRED, None, now, out)
            self._follow(evicted, now, out)
        link = self._maker.make(self._maker.draw_id(self._is_taken), hello.role, source)
        link.answer(hello, now)
        self._enter(link)
        self._reception.half_open.add(link.number, source, proved=decision.proved)
        link.packet(hello, now, out)

    def _dial(self, dial: Dial, now: float, out: list[Action]) -> None:
        check_callable(dial.role, self._context.limits)
        if dial.timeout is not None and not dial.timeout > 0:
            raise UsageError(f"the timeout of a call must be above 0, not {dial.timeout}")
        if len(self._links) >= self._context.limits.links:
            raise UsageError(f"there are {self._context.limits.links} links already; end one first")
        hello = make_hello(self._calling_id(dial), dial.role, self._context.limits)
        link = self._maker.make(hello.link, dial.role, dial.address)
        link.call(hello, dial.ref, dial.timeout, now)
        self._enter(link)
        out.append(Dialing(link.number, dial.ref, dial.address))

    def _send(self, send: Send, now: float, out: list[Action]) -> None:
        link = self._links.by_number.get(send.link)
        if link is not None and link.state is not _WELCOMED:
            link.send(send, now, out)
            self._agenda.touched[link.number] = link
        elif not 0 < send.link <= self._maker.last_number or link is not None:
            raise UsageError(f"there is no link {send.link}")
        elif send.ref is not None:
            self.counters.messages_undelivered += 1
            out.append(Undelivered(send.link, send.ref, self._tombstones.reason(send.link)))

    def _take_command(self, event: Event, now: float, out: list[Action]) -> None:
        if not isinstance(event, Command | Probe):
            raise UsageError(f"an endpoint does not take {type(event).__name__}")
        number = event.link
        link = self._links.by_number.get(number)
        if link is None and 0 < number <= self._maker.last_number:
            return
        if link is None or link.state is _WELCOMED:
            raise UsageError(f"there is no link {number}")
        before = link.state
        if not isinstance(event, Probe):
            link.check(event)
            link.command(event, now, out)
        elif link.is_conversing:
            self._probed.add(number)
            link.channel.greet()
        self._agenda.touch(link)
        if link.state is not before:
            self._follow(link, now, out)

    # Time

    def _tick(self, now: float, out: list[Action]) -> None:
        agenda = self._agenda
        for link in agenda.take_due(now):
            before = link.state
            link.tick(now, out)
            if link.state is not before:
                self._follow(link, now, out)
            agenda.plan(link)
        if self._sweep_at <= now:
            self._sweep(now, out)
            self._plan_sweep()

    def _sweep(self, now: float, _: list[Action]) -> None:
        """Forget what is out of date."""
        self._tombstones.expire(now)
        self._reception.expire(now)

    def _plan_sweep(self) -> None:
        """See when something remembered about strangers or ended links is to be forgotten."""
        self._sweep_at = min(self._tombstones.deadline, self._reception.deadline)

    # Tables

    def _enter(self, link: Link) -> None:
        self._links.add(link)
        self._agenda.touch(link)

    def _is_taken(self, local: int) -> bool:
        return local in self._links.by_local or self._tombstones.find(local) is not None

    def _calling_id(self, dial: Dial) -> int:
        """Give the id for a call: above that of a caller there whom we have answered already."""
        half_open = self._reception.half_open.links()
        is_answer = self._links.has_any(half_open, dial.address, dial.role)
        return self._maker.draw_calling_id(self._is_taken, high=is_answer)

    def _follow(self, link: Link, now: float, out: list[Action]) -> None:
        """Bring the tables in line with the state of a link."""
        if link.state is State.WELCOMED:
            return
        self._reception.half_open.discard(link.number)
        known = self._links.by_number.get(link.number) is link
        self._links.follow(link)
        self._agenda.follow(link)
        if link.state is State.CLOSED:
            self._probed.discard(link.number)
            if known and (link.was_announced or link.farewell.last_word is not None):
                self._tombstones.bury(link, now)
                self._plan_sweep()
            self._note_gone(link, out)

    def _note_gone(self, link: Link, out: list[Action]) -> None:
        """Take note that a link is no more; for those who keep tables of their own."""

    def _reply(self, data: bytes, destination: Address, out: list[Action]) -> None:
        self.counters.datagrams_out += 1
        out.append(Transmit(data, destination))

    # Exploration

    def clone(self) -> Self:
        """Give an independent twin that will draw the same random values."""
        twin = copy_slots(self)
        twin._context = self._context.clone()
        twin._maker = self._maker.clone(twin._context)
        twin._links = self._links.clone(twin._context)
        twin._agenda = self._agenda.clone(twin._links.by_number)
        twin._reception = self._reception.clone()
        twin._tombstones = self._tombstones.clone()
        twin._probed = self._probed.copy()
        return twin

    def state_key(self, now: float) -> tuple[object, ...]:
        """Give all that decides the future as one comparable value, times relative to `now`."""
        return (
            tuple(link.key(now) for link in self._links.by_number.values()),
            self._agenda.key(),
            self._tombstones.key(now),
            self._reception.key(now),
            self._maker.key(),
            tuple(sorted(self._probed)),
        )

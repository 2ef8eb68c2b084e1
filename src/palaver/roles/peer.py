"""People who find each other at a registry, and call each other (PROTOCOL.md, section 6.5).

A peer is a client of one registry and answers and makes calls, all at one address. `Enlist` begins;
`Connect` calls; `Depart` ends. What happens to a call is in `peer_states.CALLS` and what is done
about it in `call_actions`; what happens at the registry is in `membership`.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2s
from typing import TYPE_CHECKING

from palaver.entropy import Draws, Entropy
from palaver.link.events import (
    Closed,
    Delivered,
    Dialing,
    Opened,
    Overdue,
    Pause,
    Resume,
    StillDialing,
    Undelivered,
    Writable,
)
from palaver.machine import Action, Address, Event, Notice, UsageError
from palaver.timing import DEFAULT_LIMITS, DEFAULT_TIMING
from palaver.wire import registry
from palaver.wire.errors import Reason
from palaver.wire.messages import check_reason
from palaver.wire.names import clean_name
from palaver.wire.peer import (
    CALL_SIZE,
    ROLE,
    Accepted,
    Cancelled,
    Chat,
    PeerMessage,
    Rejected,
    Rejection,
    Ring,
    Terminate,
    Terminated,
    check_chat,
    decode_peer,
)
from palaver.wire.registry import MAX_PORT, Entry, RegistryMessage, decode_registry

from . import peer_events as told
from .being_called import be_rung, check, is_left_over, recognise
from .call_actions import ACTIONS, RING_REF
from .calls import Call, Calls
from .duo_events import Say
from .membership import Membership, Purpose, Request, register_message
from .peer_states import CALLS, CLIENT, CallInput, CallState, ClientInput
from .role import Options, Role

if TYPE_CHECKING:
    from typing_extensions import Unpack

_FOREVER = float("inf")
_SPARE_LINKS = 16
"""Callers beyond the bound on calls, so that they can be told that it is reached."""


class Peer(Role[PeerMessage | RegistryMessage]):
    """A client of the registry at `registry`, called `name`, that makes and takes calls.

    With `streams`, `port` is where it takes them, which others learn from the registry: who calls
    by a stream comes from a port that nobody can call.

    Takes `Enlist`, `Depart`, `Who`, `Connect`, `Accept`, `Reject`, `Terminate`, `Say`, `Pause` and
    `Resume`. Tells what is in `peer_events`, and `Delivered`, `Overdue`, `Undelivered`, `Writable`.
    """

    __slots__ = ("_draws", "_limits", "_silent", "calls", "client", "ignored", "timing")

    def __init__(
        self,
        entropy: Entropy,
        *,
        name: str,
        registry: Address,
        port: int = 0,
        **options: Unpack[Options],
    ) -> None:
        """Make a peer that does nothing yet.

        Raises UsageError for a name that can't be had, and for a port without streams or streams
        without a port.
        """
        name = clean_name(name)
        if not (0 < port <= MAX_PORT if options.get("streams", False) else port == 0):
            raise UsageError("a peer has a port of its own, from 1 to 65535, on streams only")
        self._limits = options.get("limits", DEFAULT_LIMITS)
        most = self._limits.calls + _SPARE_LINKS
        super().__init__(entropy, answers=(ROLE,), max_inbound=most, **options)
        self.timing = options.get("timing", DEFAULT_TIMING)
        self._draws = Draws(lambda size: blake2s(entropy(size), person=b"calls").digest())
        self.client = Membership(registry, name, self.timing, port)
        self.calls = Calls(self.timing.answered, self._limits.answered)
        # Links of callers without a call, and until when that may last, soonest first.
        self._silent: OrderedDict[int, float] = OrderedDict()
        self.ignored = 0

    # Getters

    @property
    def id(self) -> int:
        """Our id, as the registry last gave it; 0 if it never did."""
        return self.client.id

    def stats(self) -> dict[str, int]:
        """Give the counts of the endpoint, and of calls."""
        return {
            **super().stats(),
            "calls": len(self.calls),
            "remembered": self.calls.remembered,
            "out_of_place": self.ignored,
        }

    @property
    def has_room(self) -> bool:
        """Whether one more call may ring."""
        ringing = self.calls.count(CallState.CHECKING, CallState.RINGING)
        return (
            self.client.wants_in
            and ringing < self._limits.ringing
            and len(self.calls) < self._limits.calls
        )

    def rtt(self, link: int) -> float | None:
        """Give the round-trip time of a call in seconds; None if it is not known."""
        call = self.calls.by_number.get(link)
        return None if call is None else self._endpoint.rtt(call.link)

    # Commands

    def _do(self, event: Event, now: float, out: list[Action], /) -> None:
        if isinstance(event, Say):
            check_chat(event.text)
            self._command(event, CallInput.SAY, now, out)
        elif isinstance(event, told.Accept):
            self._command(event, CallInput.ACCEPT, now, out)
        elif isinstance(event, told.Reject):
            check_reason(0, event.text)
            self._command(event, CallInput.REJECT, now, out)
        elif isinstance(event, told.Terminate):
            self._command(event, CallInput.TERMINATE, now, out)
        elif isinstance(event, Pause | Resume):
            self._pause(event, now, out)
        elif isinstance(event, told.Connect):
            self._connect(event, now, out)
        else:
            self._do_at_registry(event, now, out)

    def _do_at_registry(self, event: Event, now: float, out: list[Action]) -> None:
        client = self.client
        if isinstance(event, told.Enlist):
            name = client.name if event.name is None else clean_name(event.name)
            if (client.state, ClientInput.ENLIST) not in CLIENT:
                raise UsageError("we are entered at the registry, or about to be: depart first")
            client.rename(name)
            client.step(self, ClientInput.ENLIST, None, now, out)
        elif isinstance(event, told.Depart):
            if (client.state, ClientInput.DEPART) not in CLIENT:
                raise UsageError("we are departing already")
            for call in self.calls:
                self.step(call, CallInput.TERMINATE, None, now, out)
            client.step(self, ClientInput.DEPART, None, now, out)
        elif isinstance(event, told.Who):
            if not 0 <= event.after <= registry.MAX_ID:
                raise UsageError(f"an id is from 1 to {registry.MAX_ID}, not {event.after}")
            if not client.can_ask:
                raise UsageError("the registry can't be asked now: it is away, or was asked much")
            request = Request(Purpose.LIST, event.ref, event.after)
            client.ask(self, request, event.after, now, out)
        else:
            raise UsageError(f"a Peer does not take {type(event).__name__}")

    def _connect(self, wish: told.Connect, now: float, out: list[Action]) -> None:
        to = wish.to
        if isinstance(to, str):
            to = clean_name(to)
        elif not isinstance(to, int):
            raise UsageError(f"whom to call is an id or a name, not {type(to).__name__}")
        elif not 0 < to <= registry.MAX_ID:
            raise UsageError(f"an id is from 1 to {registry.MAX_ID}, not {to}")
        if wish.timeout is not None and not wish.timeout > 0:
            raise UsageError(f"the timeout of a call must be above 0, not {wish.timeout}")
        if not self.client.wants_in:
            raise UsageError("we are not at the registry: enlist first")
        if len(self.calls) >= self._limits.calls:
            raise UsageError(f"there are {self._limits.calls} calls already; end one first")
        call = self.calls.add(self._draws.bytes(CALL_SIZE), CallState.LOOKING)
        call.wanted, call.ref, call.was_told = to, wish.ref, True
        call.peer = to if isinstance(to, int) else 0
        call.until = _FOREVER if wish.timeout is None else now + wish.timeout
        out.append(told.Calling(call.number, wish.ref, to))
        self._ask_waiting(now, out)

    def _command(
        self,
        event: Say | told.Accept | told.Reject | told.Terminate,
        what: CallInput,
        now: float,
        out: list[Action],
    ) -> None:
        call = self.calls.by_number.get(event.link)
        if call is None or not call.was_told:
            if not 0 < event.link <= self.calls.last_number:
                raise UsageError(f"there is no call {event.link}")
            if isinstance(event, Say):
                out.append(Undelivered(event.link, event.ref, Reason.LEFT))
            return
        if (call.state, what) in CALLS:
            self.step(call, what, event, now, out)
        elif call.state is not CallState.ENDING and what is not CallInput.TERMINATE:
            raise UsageError(f"call {event.link} is {call.state.name.lower()}: not now")

    def _pause(self, event: Pause | Resume, now: float, out: list[Action]) -> None:
        call = self.calls.by_number.get(event.link)
        if call is not None and call.state in _TALKING:
            self._pass_on(type(event)(call.link), now, out)
        elif not 0 < event.link <= self.calls.last_number:
            raise UsageError(f"there is no call {event.link}")
        elif call is not None and call.state < CallState.OPEN:
            raise UsageError(f"call {event.link} is not open yet")

    # Time

    @property
    def _due(self) -> float:
        due = min(self.client.until, next(iter(self._silent.values()), _FOREVER))
        for call in self.calls.by_number.values():
            due = min(due, call.due)
        return due

    def _on_time(self, now: float, out: list[Action], /) -> None:
        if self.client.until <= now:
            self.client.on_time(self, now, out)
        for call in self.calls:
            if call.until <= now and call.state is CallState.CHECKING and is_left_over(self, call):
                call.until = now + self.timing.verify
            elif call.until <= now:
                call.until = _FOREVER
                # Of the calls with a time that is over only one's own have had no answer.
                self.step(call, CallInput.TIMEOUT, told.Outcome.NO_ANSWER, now, out)
            if call.ring_at <= now:
                self.step(call, CallInput.RING_DUE, None, now, out)
        for link, until in list(self._silent.items()):
            if until > now:
                break
            del self._silent[link]
            self._give_up(link, Reason.PROTOCOL_ERROR, now, out)

    def step(
        self, call: Call, what: CallInput, subject: object, now: float, out: list[Action]
    ) -> None:
        """Dispatch an input to a call through the table."""
        row = CALLS.get((call.state, what))
        if row is None:
            self.ignored += 1
            return
        action, call.state = row
        ACTIONS[action](self, call, subject, now, out)

    def expect(self, link: int, until: float | None) -> None:
        """Give a link without a call until `until` to have one; None if it has, or needs none."""
        self._silent.pop(link, None)
        if until is not None:
            self._silent[link] = until

    # What the links tell

    def _decode(self, role: str, message: bytes, /) -> PeerMessage | RegistryMessage | None:
        return decode_peer(message) if role == ROLE else decode_registry(message)

    def _dialing(self, dialing: Dialing, role: str, now: float, out: list[Action], /) -> None:
        if role != ROLE and dialing.link == self.client.link:
            self._tell(dialing.link, register_message(self.client), now, out)

    def _opened(self, opened: Opened, now: float, _: list[Action], /) -> None:
        if opened.inbound:
            self.expect(opened.link, now + self.timing.introduce)

    def _closed(self, closed: Closed, _: Opened | None, now: float, out: list[Action], /) -> None:
        self.expect(closed.link, None)
        call = self.calls.by_link(closed.link)
        if call is not None:
            self.step(call, CallInput.LINK_LOST, closed, now, out)
        elif closed.link == self.client.link:
            self.client.lost(self, closed, now, out)

    def _heard(
        self,
        opened: Opened,
        message: PeerMessage | RegistryMessage,
        now: float,
        out: list[Action],
        /,
    ) -> None:
        if isinstance(message, Ring):
            be_rung(self, opened.link, message, now, out)
        elif isinstance(message, _CALL_MESSAGES):
            self._be_told(opened, message, now, out)
        elif opened.link == self.client.link:
            self.client.heard(self, message, now, out)

    def _be_told(
        self, opened: Opened, message: _CallMessage, now: float, out: list[Action]
    ) -> None:
        call = self.calls.by_id(message.call)
        if call is None or call.link != opened.link:
            # It is about a call that is over.
            self.ignored += 1
            return
        is_stranger = isinstance(message, Rejected) and message.code == Rejection.NOT_ME
        if message.sender != call.peer and not is_stranger:
            self._give_up(opened.link, Reason.PROTOCOL_ERROR, now, out)
            return
        self.step(call, _INPUTS[type(message)], message, now, out)

    def _told(self, notice: Notice, _: float, out: list[Action], /) -> None:
        link = getattr(notice, "link", 0)
        call = self.calls.by_link(link)
        if call is None:
            if isinstance(notice, StillDialing) and link == self.client.link:
                out.append(told.StillEnlisting(notice.attempt, notice.unreachable))
        elif isinstance(notice, StillDialing):
            call.attempts = notice.attempt
            ref = call.ref or 0
            out.append(told.StillCalling(call.number, ref, notice.attempt, notice.unreachable))
        elif isinstance(notice, Writable):
            out.append(Writable(call.number))
        elif isinstance(notice, Delivered | Overdue | Undelivered):
            self._told_of_message(call, notice, out)

    def _told_of_message(
        self, call: Call, notice: Delivered | Overdue | Undelivered, out: list[Action]
    ) -> None:
        if notice.ref == RING_REF:
            if not isinstance(notice, Overdue):
                call.is_ring_unheard = False
        elif isinstance(notice, Undelivered):
            out.append(Undelivered(call.number, notice.ref >> 1, notice.reason))
        else:
            out.append(type(notice)(call.number, notice.ref >> 1))

    # What the registry says

    def _learn(self, request: Request, entry: Entry | None, now: float, out: list[Action]) -> None:
        """Take the answer to what was asked about a call."""
        call = self.calls.by_number.get(request.subject)
        if call is None:
            return
        if request.purpose is Purpose.CHECK:
            check(self, call, entry, now, out)
        elif entry is None:
            self.step(call, CallInput.INACTIVE, None, now, out)
        else:
            self._call_up(call, entry, now, out)

    def _call_up(self, call: Call, entry: Entry, now: float, out: list[Action]) -> None:
        recognise(self, entry, now, out)
        if call.state is not CallState.LOOKING:
            # It is over, or has crossed one of theirs, now or before.
            self.ignored += 1
            return
        era = self.client.era
        same = [one for one in self.calls if one is not call and one.is_with(entry, era)]
        for one in same:
            if one.state is CallState.RINGING and one.verified:
                # We want to talk to somebody who is calling us.
                self.step(one, CallInput.ACCEPT, None, now, out)
        is_needless = any(one.state in _ALIVE for one in same) or entry.id == self.client.id
        what = CallInput.FOLDED if is_needless else CallInput.FOUND
        self.step(call, what, entry, now, out)

    def _do_without(self, request: Request, now: float, out: list[Action]) -> None:
        """Go on without the answer to what was asked about a call."""
        call = self.calls.by_number.get(request.subject)
        if call is not None:
            call.asked = False
            if request.purpose is Purpose.CHECK:
                self.step(call, CallInput.CHECKED, None, now, out)

    def _ask_waiting(self, now: float, out: list[Action]) -> None:
        """Ask where to call, for all that still need to know."""
        for call in self.calls:
            if call.state is CallState.LOOKING and not call.asked:
                request = Request(Purpose.CALL, call.number)
                call.asked = self.client.ask(self, request, call.wanted, now, out)

    def _miss(self, number: int, now: float, out: list[Action]) -> None:
        """Give up the calls that never reached one who is not there any more."""
        for call in self.calls:
            if (
                call.state is CallState.CALLING
                and (call.peer, call.era) == (number, self.client.era)
                and not self._is_open(call.link)
            ):
                self.step(call, CallInput.ABSENT, told.Outcome.GONE, now, out)

    def _is_open(self, link: int) -> bool:
        return link in self._open

    # Exploration

    def clone(self) -> Peer:
        """Give an independent twin that will draw the same random values."""
        twin = self._twin()
        twin._draws = self._draws.clone()
        twin.client = self.client.clone()
        twin.calls = self.calls.clone()
        twin._silent = self._silent.copy()
        return twin

    def state_key(self, now: float) -> tuple[object, ...]:
        """Give all that decides the future as one comparable value, times relative to `now`."""
        return (
            *super().state_key(now),
            self._draws.key(),
            self.client.key(now),
            self.calls.key(now),
            tuple((link, until - now) for link, until in self._silent.items()),
        )


_CallMessage = Accepted | Rejected | Cancelled | Chat | Terminate | Terminated
_CALL_MESSAGES = (Accepted, Rejected, Cancelled, Chat, Terminate, Terminated)
_ALIVE = frozenset({CallState.CALLING, CallState.OPEN})
_TALKING = frozenset({CallState.OPEN, CallState.LEAVING})

_INPUTS: dict[type[_CallMessage], CallInput] = {
    Accepted: CallInput.ACCEPTED,
    Rejected: CallInput.REJECTED,
    Cancelled: CallInput.CANCELLED,
    Chat: CallInput.CHAT,
    Terminate: CallInput.TERMINATION,
    Terminated: CallInput.TERMINATED,
}

"""One link between two parties: a state machine around a channel (PROTOCOL.md, section 8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from palaver.machine import (
    Action,
    Address,
    Event,
    StateMachine,
    Tick,
    Transmit,
    UsageError,
    copy_slots,
)
from palaver.wire.errors import DecodeError, Reason
from palaver.wire.frames import Close
from palaver.wire.messages import (
    BYE,
    FIN,
    FIN_MESSAGE,
    FIRST_ROLE_KIND,
    Bye,
    check_reason,
    decode_bye,
)
from palaver.wire.packets import Cookie, Handshake, Hello, Refuse, Reset, Welcome

from .callee import Callee
from .caller import Caller
from .channel import Channel, Heard
from .context import Context
from .events import (
    Abort,
    Closed,
    Delivered,
    Finish,
    Finished,
    Leave,
    Opened,
    Overdue,
    Pause,
    Received,
    Resume,
    Send,
    Side,
    StillDialing,
    Undelivered,
    Writable,
)
from .farewell import Farewell
from .handshake import is_acceptable
from .states import CONVERSING, STATE_TIMER, TABLE, Input, State

_FOREVER = float("inf")
_LAST_NUMBERS = 1 << 16


class Link(StateMachine):
    """A link, from HELLO to the last acknowledgement. The endpoint makes it and feeds it.

    `number` names it to the program, `local` on the wire. Getters: `state`, `deadline`,
    `is_conversing`, `was_announced`. Inputs: `command`, `datagram`, `packet`, `tick`.
    """

    __slots__ = (
        "_context",
        "_dirty",
        "_until",
        "callee",
        "caller",
        "channel",
        "farewell",
        "local",
        "number",
        "ref",
        "role",
        "scheduled",
        "state",
        "was_announced",
    )

    def __init__(
        self, number: int, local: int, role: str, address: Address, context: Context, jitter: float
    ) -> None:
        """Make a link that neither calls nor answers yet; `jitter`, below 1, is for keepalives."""
        super().__init__()
        self.number = number
        self.local = local
        self.role = role
        self.state = State.CLOSED
        self.channel = Channel(address, context, jitter)
        self.caller: Caller | None = None
        self.callee: Callee | None = None
        self.farewell = Farewell()
        # The caller's number for its wish; None at the callee.
        self.ref: int | None = None
        # Whether the program knows of the link.
        self.was_announced = False
        # For the endpoint: the time of the link's live entry in its heap.
        self.scheduled = _FOREVER
        self._context = context
        self._dirty = True
        # The timer of the state: STATE_TIMER says what it means.
        self._until: float | None = None

    def call(self, hello: Hello, ref: int, timeout: float | None, now: float) -> None:
        """Be the caller; the first tick sends the HELLO."""
        self.state = State.CALLING
        self.ref = ref
        self.was_announced = True
        self.caller = Caller(hello, now, self._context.timing)
        self._until = None if timeout is None else now + timeout

    def answer(self, hello: Hello, now: float) -> None:
        """Be the callee, half-open; giving the HELLO to `packet` sends the WELCOME."""
        context = self._context
        self.state = State.WELCOMED
        self.callee = Callee(hello, self.local, now, context.timing, context.limits)
        self.channel.open(hello.link, hello.mtu, hello.credit, now)

    # Getters

    @property
    def deadline(self) -> float | None:
        """When `tick` is next due."""
        if self._dirty:
            return self._now
        due = _FOREVER if self._until is None else self._until
        if self.state is State.CALLING and self.caller is not None:
            due = min(due, self.caller.hello_at, self.channel.outbox.overdue_at)
        elif self.state in CONVERSING or self.state >= State.LAST_ACK:
            due = min(due, self.channel.deadline)
        return None if self.state is State.CLOSED else due

    @property
    def is_conversing(self) -> bool:
        """Whether the program has been told that the link is open, and not that it has ended."""
        return self.state in CONVERSING

    # Inputs

    def check(self, command: Event) -> None:
        """Raise UsageError or WouldBlock if `command` can't be carried out; change nothing."""
        if isinstance(command, Send):
            if self.state > State.OPEN:
                return
            if self.farewell.fin_said:
                raise UsageError(f"link {self.number} has finished: nothing more can be sent")
            if not command.message or command.message[0] < FIRST_ROLE_KIND:
                raise UsageError(f"a message begins with its kind, {FIRST_ROLE_KIND} to 255")
            self.channel.outbox.check(command.message)
        elif isinstance(command, Leave | Abort):
            check_reason(command.reason, command.text)

    def command(self, command: Event, now: float, out: list[Action]) -> None:
        """Carry out a command that was checked."""
        self._step(_COMMANDS[type(command)], command, now, out)

    def datagram(
        self, data: bytes, number: int, now: float, out: list[Action], *, has_room: bool = True
    ) -> None:
        """Take DATA packet `number`. Without room for one more, a half-open link is turned away."""
        self._now = now
        if (self.state, Input.DATA) not in TABLE:
            self.channel.counters.ignored += 1
            return
        heard = self.channel.receive(data, number, now)
        if heard is not None:
            crowded = self.state is State.WELCOMED and not has_room
            self._step(Input.CROWDED if crowded else Input.DATA, heard, now, out)

    def packet(self, packet: Handshake | Reset, now: float, out: list[Action]) -> None:
        """Take any packet but DATA that is for this link and from its address."""
        if isinstance(packet, Welcome):
            if self.caller is not None and not is_acceptable(self.caller.hello, packet):
                self.channel.counters.malformed += 1
                return
        elif isinstance(packet, Reset) and not self.channel.recovery.is_awaited(packet.number):
            self.channel.counters.ignored += 1
            return
        self._step(_PACKETS[type(packet)], packet, now, out)

    def tick(self, now: float, out: list[Action]) -> None:
        """Act on the timers that are due, and send what there is to send."""
        self._now = now
        if self._until is not None and now >= self._until:
            what = STATE_TIMER[self.state]
            self._until = None
            self._step(what, Reason.FLUSH_TIMEOUT, now, out)
        if self.state is State.CALLING:
            if self.caller is not None and now >= self.caller.hello_at:
                self._step(Input.HELLO_DUE, None, now, out)
        elif self.state is not State.WELCOMED and self.state is not State.CLOSED:
            if self.channel.is_dead(now):
                self._step(Input.DEAD, Reason.DEAD, now, out)
            else:
                self._tick_channel(now, out)
        if self.state is not State.CLOSED and self.channel.outbox.overdue_at <= now:
            for message in self.channel.outbox.take_overdue(now):
                assert message.ref is not None
                out.append(Overdue(self.number, message.ref))
        self._dirty = False

    def _tick_channel(self, now: float, out: list[Action]) -> None:
        channel = self.channel
        channel.tick(now, out)
        outbox = channel.outbox
        if outbox.blocked and outbox.take_writable() and self.state is State.OPEN:
            out.append(Writable(self.number))
        last = self._context.limits.last_number
        left = last - max(channel.number, outbox.next_number)
        # The last numbers are kept for delivering what is queued and for the BYE; the very last
        # for what one tick can send.
        if left < min(last // 8, _LAST_NUMBERS):
            self._step(Input.VIOLATION, Reason.EXHAUSTED, now, out)
        elif left < min(last // 4, 2 * _LAST_NUMBERS) and self.state is State.OPEN:
            self._step(Input.EXHAUSTED, Leave(self.number, Reason.EXHAUSTED), now, out)
            channel.tick(now, out)

    def note_unreachable(self) -> None:
        """Take the network's hint that nothing listens at the address."""
        if self.caller is not None:
            self.caller.unreachable = True

    def _step(self, what: Input, subject: object, now: float, out: list[Action]) -> None:
        """Dispatch an input through the table."""
        self._now = now
        row = TABLE.get((self.state, what))
        if row is None:
            self.channel.counters.ignored += 1
            return
        self._dirty = True
        action, self.state = row
        _ACTIONS[action](self, subject, now, out)

    def _take(self, event: Event, now: float, out: list[Action]) -> None:
        """Be a machine of its own for ticks and commands; datagrams come through an endpoint."""
        if isinstance(event, Tick):
            self.tick(now, out)
        elif type(event) in _COMMANDS:
            self.check(event)
            self.command(event, now, out)
        else:
            super()._take(event, now, out)

    def _transmit(self, data: bytes, out: list[Action]) -> None:
        self.channel.counters.datagrams_out += 1
        out.append(Transmit(data, self.channel.address))

    # Actions of a caller

    def _send_hello(self, _: None, now: float, out: list[Action]) -> None:
        caller, ref = self.caller, self.ref
        assert caller is not None
        assert ref is not None
        if caller.attempts:
            attempt = caller.attempts + 1
            out.append(StillDialing(self.number, ref, attempt, caller.unreachable))
        self._transmit(caller.next_hello(now), out)

    def _present_cookie(self, packet: Cookie, now: float, _: list[Action]) -> None:
        assert self.caller is not None
        self.caller.present(packet.cookie, now)

    def _open(self, welcome: Welcome, now: float, out: list[Action]) -> None:
        assert self.caller is not None
        channel = self.channel
        self._until = None
        refused = channel.open(welcome.link, welcome.mtu, welcome.credit, now)
        rtt = self.caller.rtt(now)
        if rtt is not None:
            channel.recovery.rtt.sample(rtt, 0.0)
        self.caller = None
        if not channel.outbox.has_more:
            # The callee's end is up only when it has heard from us.
            channel.greet()
        out.append(Opened(self.number, self.ref, channel.address, self.role))
        for message in refused:
            if message.ref is not None:
                channel.counters.messages_undelivered += 1
                out.append(Undelivered(self.number, message.ref, Reason.TOO_LARGE))

    def _be_refused(self, refuse: Refuse, _: float, out: list[Action]) -> None:
        self._end(refuse.reason, Side.PEER, "", out)

    def _give_up(self, _: object, __: float, out: list[Action]) -> None:
        self._end(Reason.NO_ANSWER, Side.LOCAL, "", out)

    def _cancel(self, _: object, __: float, out: list[Action]) -> None:
        self._end(Reason.CANCELLED, Side.LOCAL, "", out)

    # Actions of a callee

    def _repeat_welcome(self, _: object, now: float, out: list[Action]) -> None:
        if self.callee is None:
            return
        if self.state is State.WELCOMED:
            self._until = self.callee.expiry(now)
        self._transmit(self.callee.welcome, out)

    def _accept(self, heard: Heard, now: float, out: list[Action]) -> None:
        self._until = None
        self.was_announced = True
        out.append(Opened(self.number, None, self.channel.address, self.role))
        self._receive(heard, now, out)

    def _turn_away(self, _: Heard, now: float, out: list[Action]) -> None:
        self._until = None
        self.farewell.settle(Reason.BUSY, Side.LOCAL)
        self.farewell.close = self.channel.farewell(Reason.BUSY, "", now, out)

    def _vanish(self, _: object, __: float, ___: list[Action]) -> None:
        self._until = None

    # Actions of an open link

    def _queue(self, send: Send, now: float, _: list[Action]) -> None:
        if send.ref is not None:
            self.channel.counters.messages_sent += 1
        self.channel.outbox.put(send.message, send.ref, now + self._context.timing.overdue)

    def _refuse_to_queue(self, send: Send, _: float, out: list[Action]) -> None:
        if send.ref is not None:
            self.channel.counters.messages_undelivered += 1
            out.append(Undelivered(self.number, send.ref, self.farewell.reason))

    def _say_fin(self, _: Finish, __: float, ___: list[Action]) -> None:
        if not self.farewell.fin_said:
            self.farewell.fin_said = True
            self.channel.outbox.put_reserved(FIN_MESSAGE)

    def _pause(self, _: Pause, __: float, ___: list[Action]) -> None:
        self.channel.inbox.pause()

    def _resume(self, _: object, now: float, out: list[Action]) -> None:
        self._hand_over(self.channel.resume(now), now, out)

    def _receive(self, heard: Heard, now: float, out: list[Action]) -> None:
        for message in heard.delivered:
            if message.ref is not None:
                self.channel.counters.messages_delivered += 1
                out.append(Delivered(self.number, message.ref))
        if heard.messages:
            self._hand_over(heard.messages, now, out)
        if heard.close is not None:
            self._step(Input.CLOSE, heard.close, now, out)
        elif heard.violation is not None:
            self._step(Input.VIOLATION, heard.violation, now, out)
        if self.state is not State.OPEN:
            self._check_flushed(now, out)

    def _hand_over(self, messages: list[bytes], now: float, out: list[Action]) -> None:
        farewell = self.farewell
        for message in messages:
            if message[0] >= FIRST_ROLE_KIND and not farewell.fin_heard:
                self.channel.counters.messages_in += 1
                out.append(Received(self.number, message))
                continue
            self._hear_link_message(message, now, out)
            if self.state is State.CLOSED:
                return

    def _hear_link_message(self, message: bytes, now: float, out: list[Action]) -> None:
        kind = message[0]
        if self.farewell.bye_heard or (self.farewell.fin_heard and kind != BYE):
            self._step(Input.VIOLATION, Reason.PROTOCOL_ERROR, now, out)
        elif kind == FIN and len(message) == 1:
            self._step(Input.FIN, None, now, out)
        elif kind == BYE:
            try:
                self._step(Input.BYE, decode_bye(message), now, out)
            except DecodeError:
                self._step(Input.VIOLATION, Reason.PROTOCOL_ERROR, now, out)
        else:
            reason = Reason.PROTOCOL_ERROR if kind == FIN else Reason.UNSUPPORTED
            self._step(Input.VIOLATION, reason, now, out)

    def _note_fin(self, _: None, __: float, out: list[Action]) -> None:
        self.farewell.fin_heard = True
        out.append(Finished(self.number))

    # Actions that end a link

    def _say_bye(self, leave: Leave, now: float, out: list[Action]) -> None:
        self.farewell.settle(leave.reason, Side.LOCAL, leave.text)
        self._until = now + self._context.timing.close_flush
        self.channel.outbox.put_reserved(Bye(leave.reason, leave.text).encode())
        # Nobody will ask for what is held back any more.
        self._resume(None, now, out)

    def _answer_bye(self, bye: Bye, now: float, _: list[Action]) -> None:
        self.farewell.settle(bye.reason, Side.PEER, bye.text)
        self._until = now + self._context.timing.close_flush
        self.channel.outbox.put_reserved(Bye().encode())
        self._note_bye(bye, now, _)

    def _note_bye(self, _: Bye, now: float, __: list[Action]) -> None:
        # From here on every packet says that the BYE came, so that the peer can't miss it.
        self.farewell.bye_heard = self.farewell.fin_heard = True
        self.channel.repeat_ack = True
        self.channel.arrivals.hurry(now)

    def _check_flushed(self, now: float, out: list[Action]) -> None:
        outbox = self.channel.outbox
        if self.state is State.CLOSING and outbox.is_empty and self.farewell.bye_heard:
            self._step(Input.FLUSHED, None, now, out)
        if self.state is State.ANSWERING and outbox.is_flushed:
            self._step(Input.FLUSHED, None, now, out)
        if self.state is State.LAST_ACK and outbox.is_empty:
            self._step(Input.FLUSHED, None, now, out)

    def _linger(self, _: None, now: float, out: list[Action]) -> None:
        timing = self._context.timing
        stay = 3 * self.channel.recovery.rtt.probe_timeout()
        self._until = now + min(max(stay, timing.linger_min), timing.linger_max)
        self._tell_closed(None, now, out)

    def _tell_closed(self, _: None, __: float, out: list[Action]) -> None:
        end = self.farewell
        out.append(Closed(self.number, self.ref, end.reason, end.by, end.text))

    def _abort(self, abort: Abort, now: float, out: list[Action]) -> None:
        self.farewell.close = self.channel.farewell(abort.reason, abort.text, now, out)
        self._end(abort.reason, Side.LOCAL, abort.text, out)

    def _fail(self, reason: Reason, now: float, out: list[Action]) -> None:
        self.farewell.close = self.channel.farewell(reason, "", now, out)
        self._end(reason, Side.LOCAL, "", out)

    def _be_closed(self, close: Close, _: float, out: list[Action]) -> None:
        self._end(close.reason, Side.PEER, close.text, out)

    def _be_reset(self, _: Reset, __: float, out: list[Action]) -> None:
        self._end(Reason.RESET, Side.PEER, "", out)

    def _end(self, reason: int, by: Side, text: str, out: list[Action]) -> None:
        self._until = None
        self.farewell.settle(reason, by, text)
        for message in self.channel.outbox.undelivered:
            if message.ref is not None:
                self.channel.counters.messages_undelivered += 1
                out.append(Undelivered(self.number, message.ref, reason))
        self._tell_closed(None, 0.0, out)

    # Exploration

    def clone(self, context: Context) -> Link:
        """Give an independent twin in another context."""
        twin = copy_slots(self)
        twin._context = context
        twin.channel = self.channel.clone(context)
        twin.farewell = self.farewell.clone()
        twin.caller = None if self.caller is None else self.caller.clone()
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return (
            self.state,
            self.number,
            self.local,
            self.ref,
            self._dirty,
            None if self._until is None else self._until - now,
            None if self.caller is None else self.caller.key(now),
            None if self.callee is None else self.callee.key(),
            self.farewell.key(),
            self.channel.key(now),
        )


_COMMANDS: dict[type[Event], Input] = {
    Send: Input.SEND,
    Finish: Input.FINISH,
    Leave: Input.LEAVE,
    Abort: Input.ABORT,
    Pause: Input.PAUSE,
    Resume: Input.RESUME,
}

_PACKETS: dict[type[Handshake | Reset], Input] = {
    Hello: Input.HELLO,
    Cookie: Input.COOKIE,
    Welcome: Input.WELCOME,
    Refuse: Input.REFUSE,
    Reset: Input.RESET,
}

_Action: TypeAlias = Callable[[Link, Any, float, list[Action]], None]

_ACTIONS: dict[str, _Action] = {
    name: getattr(Link, f"_{name}") for name in {action for action, _ in TABLE.values()}
}

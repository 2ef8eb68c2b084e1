"""One link between two parties: a state machine around a channel (PROTOCOL.md, section 8)."""

from __future__ import annotations

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
from palaver.wire.errors import Reason
from palaver.wire.messages import (
    FIRST_ROLE_KIND,
    check_reason,
)
from palaver.wire.packets import Cookie, Handshake, Hello, Refuse, Reset, Welcome

from . import ending, opening, talking
from .callee import Callee
from .caller import Caller
from .channel import Channel
from .context import Context
from .events import (
    Abort,
    Finish,
    Leave,
    Overdue,
    Pause,
    Resume,
    Send,
    Writable,
)
from .farewell import Farewell
from .handshake import is_acceptable
from .states import CONVERSING, STATE_TIMER, TABLE, Input, State

_FOREVER = float("inf")
_LAST_NUMBERS = 1 << 16
# Looking up a member of an Enum takes its time, where it is done for each packet.
_OPEN, _SEND, _DATA = State.OPEN, Input.SEND, Input.DATA
# The states in which packets go out, and in which the peer may move.
_TALKING = CONVERSING | {State.LAST_ACK, State.LINGERING}


class Link(StateMachine):
    """A link, from HELLO to the last acknowledgement. The endpoint makes it and feeds it.

    `number` names it to the program, `local` on the wire. Getters: `state`, `deadline`,
    `is_conversing`, `was_announced`. Inputs: `command`, `datagram`, `packet`, `tick`.
    """

    __slots__ = (
        "_numbers_end",
        "callee",
        "caller",
        "channel",
        "context",
        "crossed",
        "farewell",
        "is_dirty",
        "is_unheard",
        "local",
        "number",
        "ref",
        "role",
        "scheduled",
        "state",
        "until",
        "was_announced",
    )

    def __init__(
        self, number: int, local: int, role: str, address: Address, context: Context, secret: bytes
    ) -> None:
        """Make a link that neither calls nor answers yet; `secret` as for Channel."""
        super().__init__()
        self.number = number
        self.local = local
        self.role = role
        self.state = State.CLOSED
        self.channel = Channel(address, context, secret)
        self.caller: Caller | None = None
        self.callee: Callee | None = None
        # A call of ours to the very caller that we answer, which this link is to take over.
        self.crossed: Link | None = None
        self.farewell = Farewell()
        # The caller's number for its wish; None at the callee.
        self.ref: int | None = None
        # Whether no DATA has come on it yet.
        self.is_unheard = True
        # Whether the program knows of the link.
        self.was_announced = False
        # For the endpoint: the time of the link's live entry in its heap.
        self.scheduled = _FOREVER
        self.context = context
        # Whether a tick is due at once.
        self.is_dirty = True
        # From here on numbers are running out.
        last = context.limits.last_number
        self._numbers_end = last - min(last // 4, 2 * _LAST_NUMBERS)
        # The timer of the state: STATE_TIMER says what it means.
        self.until: float | None = None

    def call(self, hello: Hello, ref: int, timeout: float | None, now: float) -> None:
        """Be the caller; the first tick sends the HELLO."""
        self.state = State.CALLING
        self.ref = ref
        self.was_announced = True
        self.caller = Caller(hello, now, self.context.timing)
        self.until = None if timeout is None else now + timeout

    def answer(self, hello: Hello, now: float) -> None:
        """Be the callee, half-open; giving the HELLO to `packet` sends the WELCOME."""
        context = self.context
        self.state = State.WELCOMED
        self.callee = Callee(hello, self.local, now, context.timing, context.limits)
        self.channel.open(hello.link, hello.mtu, hello.credit, now)

    # Getters

    @property
    def deadline(self) -> float | None:
        """When `tick` is next due."""
        if self.is_dirty:
            return self._now
        if self.state is _OPEN:
            return self.channel.deadline
        due = _FOREVER if self.until is None else self.until
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
        """Raise UsageError if `command` can't be carried out; change nothing."""
        if isinstance(command, Leave | Abort):
            check_reason(command.reason, command.text)

    def send(self, send: Send, now: float, out: list[Action]) -> None:
        """Queue a message, or tell that it is too late. Raises UsageError and WouldBlock."""
        if self.state <= _OPEN:
            message = send.message
            if self.farewell.fin_said:
                raise UsageError(f"link {self.number} has finished: nothing more can be sent")
            if not isinstance(message, bytes):
                raise UsageError(f"a message has to be bytes, not {type(message).__name__}")
            if not message or message[0] < FIRST_ROLE_KIND:
                raise UsageError(f"a message begins with its kind, {FIRST_ROLE_KIND} to 255")
            self.channel.outbox.check(message)
        self.step(_SEND, send, now, out)

    def command(self, command: Event, now: float, out: list[Action]) -> None:
        """Carry out a command that was checked; a Send, of which `send` sees to that itself."""
        if isinstance(command, Send):
            self.send(command, now, out)
        else:
            self.step(_COMMANDS[type(command)], command, now, out)

    def datagram(
        self,
        data: bytes,
        number: int,
        source: Address,
        now: float,
        out: list[Action],
        *,
        has_room: bool = True,
    ) -> bool:
        """Take DATA packet `number`; tell whether it was fresh, whole, and from the right place.

        Without room for one more, a half-open link is turned away.
        """
        self._now = now
        channel = self.channel
        if self.state is not _OPEN and (self.state, _DATA) not in TABLE:
            channel.counters.ignored += 1
            return False
        if source != channel.address and (self.context.streams or self.state not in _TALKING):
            channel.counters.foreign += 1
            return False
        heard = channel.receive(data, number, source, now)
        if heard is None:
            return False
        self.is_unheard = False
        crowded = not has_room and self.state is State.WELCOMED
        self.step(Input.CROWDED if crowded else _DATA, heard, now, out)
        return True

    def packet(self, packet: Handshake | Reset, now: float, out: list[Action]) -> None:
        """Take any packet but DATA that is for this link and from its address."""
        if isinstance(packet, Welcome):
            if self.caller is not None and not is_acceptable(self.caller.hello, packet):
                self.channel.counters.malformed += 1
                return
        elif isinstance(packet, Reset) and not self.channel.recovery.is_awaited(packet.number):
            self.channel.counters.ignored += 1
            return
        self.step(_PACKETS[type(packet)], packet, now, out)

    def tick(self, now: float, out: list[Action]) -> None:
        """Act on the timers that are due, and send what there is to send."""
        self._now = now
        if self.until is not None and now >= self.until:
            what = STATE_TIMER[self.state]
            self.until = None
            self.step(what, Reason.FLUSH_TIMEOUT, now, out)
        state, channel = self.state, self.channel
        if state in _TALKING:
            if channel.vigil.due <= now and channel.is_dead(now):
                self.step(Input.DEAD, Reason.DEAD, now, out)
            else:
                channel.tick(now, out)
                outbox = channel.outbox
                if outbox.blocked and outbox.take_writable() and self.state is _OPEN:
                    out.append(Writable(self.number))
                if channel.number > self._numbers_end or outbox.next_number > self._numbers_end:
                    self._run_out(now, out)
        elif state is State.CALLING and self.caller is not None and now >= self.caller.hello_at:
            self.step(Input.HELLO_DUE, None, now, out)
        if channel.outbox.overdue_at <= now and self.state is not State.CLOSED:
            for message in channel.outbox.take_overdue(now):
                assert message.ref is not None
                out.append(Overdue(self.number, message.ref))
        self.is_dirty = False

    def _run_out(self, now: float, out: list[Action]) -> None:
        """Close while there are numbers left to close with."""
        last = self.context.limits.last_number
        channel = self.channel
        # The last numbers are kept for delivering what is queued and for the BYE; the very last
        # for what one tick can send.
        if last - max(channel.number, channel.outbox.next_number) < min(last // 8, _LAST_NUMBERS):
            self.step(Input.VIOLATION, Reason.EXHAUSTED, now, out)
        elif self.state is State.OPEN:
            self.step(Input.EXHAUSTED, Leave(self.number, Reason.EXHAUSTED), now, out)
            channel.tick(now, out)

    def note_unreachable(self) -> None:
        """Take the network's hint that nothing listens at the address."""
        if self.caller is not None:
            self.caller.unreachable = True

    def step(self, what: Input, subject: object, now: float, out: list[Action]) -> None:
        """Dispatch an input through the table."""
        self._now = now
        row = TABLE.get((self.state, what))
        if row is None:
            self.channel.counters.ignored += 1
            return
        self.is_dirty = True
        action, self.state = row
        _ACTIONS[action](self, subject, now, out)

    def _take(self, event: Event, now: float, out: list[Action]) -> None:
        """Be a machine of its own for ticks and commands; datagrams come through an endpoint."""
        if isinstance(event, Tick):
            self.tick(now, out)
        elif type(event) is Send or type(event) in _COMMANDS:
            self.check(event)
            self.command(event, now, out)
        else:
            super()._take(event, now, out)

    def transmit(self, data: bytes, out: list[Action]) -> None:
        """Send a handshake packet to the peer."""
        self.channel.counters.datagrams_out += 1
        out.append(Transmit(data, self.channel.address))

    # Exploration

    def clone(self, context: Context) -> Link:
        """Give an independent twin in another context."""
        twin = copy_slots(self)
        twin.context = context
        twin.channel = self.channel.clone(context)
        twin.farewell = self.farewell.clone()
        twin.caller = None if self.caller is None else self.caller.clone()
        twin.callee = None if self.callee is None else self.callee.clone()
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return (
            self.state,
            self.number,
            self.local,
            self.role,
            self.ref,
            self.is_dirty,
            self.is_unheard,
            None if self.until is None else self.until - now,
            None if self.caller is None else self.caller.key(now),
            None if self.callee is None else self.callee.key(),
            self.farewell.key(now),
            self.channel.key(now),
        )


_COMMANDS: dict[type[Event], Input] = {
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

_ACTIONS = {**opening.ACTIONS, **talking.ACTIONS, **ending.ACTIONS}

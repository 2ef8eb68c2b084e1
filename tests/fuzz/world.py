"""A machine among honest and hostile peers, and the script of what happens to it.

    World(cast, reader).play(OPERATIONS)

Bytes are read as a list of what happens (see `happenings`): datagrams delivered, lost, repeated,
forged and damaged, commands, messages of hostile peers, time. At each step is checked what must
always hold: only a command may raise, and then nothing has changed; timers move on; what is sent is
a valid packet within the mtu; memory and replies are bounded; a twin does what the original does;
and what the book of the machine says (`ledgers`).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from strategies import decode_datagram

from palaver import (
    Action,
    Address,
    Chunk,
    Closed,
    Datagram,
    DecodeError,
    Dial,
    Dialing,
    Disconnect,
    Endpoint,
    Event,
    Limits,
    Notice,
    Opened,
    PlainPair,
    PlainRelay,
    Received,
    StreamBlocked,
    StreamEnded,
    StreamOpened,
    Tick,
    Transmit,
    Unreachable,
    UsageError,
    WouldBlock,
)
from palaver.wire.packets import DATA

from .bounds import check
from .forge import DECODERS, Known
from .ledgers import Book
from .reader import Reader

SUBJECT: Address = ("subject", 1)
HOSTILE: tuple[Address, ...] = (("host-1", 1), ("host-2", 2))
SPOOFED: tuple[Address, ...] = (("host-9", 9), ("2001:db8::1", 9))
START = 1024.0
DELAY = 1 / 64
STEPS = 20_000  # of all machines while time passes; a machine that wants more is busy for nothing
MOST_HAPPENINGS = 300
REMEMBERED = 64  # datagrams that can be repeated and changed
MOST_WORDS = 280  # characters of an event or a packet in a story
AFTERWARDS = 45.0  # seconds in which all is delivered, at the end
LIMITS = Limits(
    window=4096,
    queue_messages=8,
    links=12,
    half_open=4,
    half_open_per_host=2,
    tombstones=4,
    calls=4,
    ringing=2,
    answered=6,
    replies_per_second=4,
)


HAPPENS = Chunk | Datagram | StreamBlocked | StreamEnded | StreamOpened | Tick | Unreachable
"""Events that no program gives: none of them may raise."""


class Subject(Protocol):
    """A machine that can be fuzzed: a `Machine` that can be cloned, compared and counted."""

    def handle(self, event: Event, now: float) -> list[Action]: ...
    @property
    def deadline(self) -> float | None: ...
    def clone(self) -> Subject: ...
    def state_key(self, now: float) -> tuple[object, ...]: ...
    def stats(self) -> dict[str, int]: ...


Command: TypeAlias = Callable[[Reader, int], Event]
"""Makes a command, for a link of that number if it is for one."""


@dataclass
class Cast:
    """The subject of a script, and who is there with it.

    `roles` are what the hostile speak; `friend` is one who keeps the rules, and its commands;
    `plain` is that of the subject which speaks plain text.
    """

    subject: Subject
    book: Book
    endpoint: Endpoint | None
    command: Command
    roles: tuple[str, ...]
    others: dict[Address, Subject] = field(default_factory=dict)
    begin: tuple[tuple[Address, Event], ...] = ()
    streams: bool = False
    friend: tuple[Address, Command] | None = None
    limits: Limits = LIMITS
    plain: PlainPair | PlainRelay | None = None


@dataclass(frozen=True)
class Flight:
    """A datagram under way."""

    data: bytes
    source: Address
    destination: Address


class World:
    """All machines of a script, and the datagrams between them."""

    def __init__(self, cast: Cast, reader: Reader) -> None:
        self.cast = cast
        self.reader = reader
        self.now = START
        self._story: list[tuple[float, str, object]] = []
        self.machines: dict[Address, Subject] = {SUBJECT: cast.subject, **cast.others}
        self.known = Known()
        self.air: deque[Flight] = deque()
        self.seen: deque[Flight] = deque(maxlen=REMEMBERED)
        self.twin: Subject | None = None
        # Of each hostile endpoint the links that it has, with their roles.
        self.links: dict[Address, dict[int, str]] = {address: {} for address in HOSTILE}
        self.quiet = False
        self.refs = 0
        # What links, calls or memberships were told of, by who was told, the latest last.
        self.numbers: dict[Address, list[int]] = {address: [] for address in self.machines}
        # Bytes that came from, less those that went to, addresses that have proved nothing.
        self.balance: Counter[Address] = Counter()
        self.proved: set[Address] = set()

    # The script

    def play(self, operations: Sequence[Callable[[World], None]]) -> None:
        """Play the whole script, and let time pass afterwards."""
        for address, event in self.cast.begin:
            self.give(address, event)
        if self.reader.u8() % 4:
            self.perform_for_other(HOSTILE[1], Dial(SUBJECT, self.cast.roles[0]))
        self.settle()
        for _ in range(MOST_HAPPENINGS):
            if self.reader.is_empty:
                break
            self.reader.pick(operations)(self)
            if self.quiet:
                self.quiet = False
            else:
                self.settle()
            self.check()
        self.note("at last all is delivered")
        self.settle()
        self.pass_time(AFTERWARDS, delivering=True)
        self.check()
        if self.twin is not None:
            same = self.twin.state_key(self.now) == self.cast.subject.state_key(self.now)
            assert same, "the twin is in another state"

    def check(self) -> None:
        """Check what must hold of the tables of the subject."""
        if self.cast.endpoint is not None:
            check(self.cast.subject, self.cast.endpoint, self.cast.limits)

    def note(self, what: str, about: object = "") -> None:
        """Add a line to the story; `about` is put into words only if somebody wants to read it."""
        self._story.append((self.now, what, about))

    @property
    def story(self) -> list[str]:
        """What has happened, for people."""
        return [f"{now - START:10.4f}  {what}{words_for(it)}" for now, what, it in self._story]

    @property
    def told(self) -> list[Notice]:
        """What the subject has told its program."""
        return [about for _, _, about in self._story if isinstance(about, Notice)]

    # Giving events, and taking what they cause

    def give(self, address: Address, event: Event) -> None:
        """Give a machine an event, and perform what it causes."""
        if address != SUBJECT:
            self.perform_for_other(address, event)
            return
        if not isinstance(event, Tick):
            self.note("subject: ", event)
        subject, before = self.cast.subject, None
        is_command = not isinstance(event, HAPPENS)
        if is_command:
            before = subject.state_key(self.now)
        due = subject.deadline
        assert due == subject.deadline, "deadline is not a pure getter"
        actions, raised = attempt(subject, event, self.now)
        if raised is None:
            self.cast.book.asked(event)
        else:
            assert is_command, f"{raised!r} for what a peer does"
            self.note("    raises ", raised)
            if isinstance(raised, UsageError):
                assert subject.state_key(self.now) == before, "it raised and changed something"
        if isinstance(event, Tick) and due is not None and due <= self.now:
            after = subject.deadline
            assert after is None or after > self.now, f"after the tick at {self.now}: {after}"
        self.check_twin(event, actions, raised)
        for action in actions:
            self.perform(action)

    def check_twin(self, event: Event, actions: list[Action], raised: Exception | None) -> None:
        """Give the twin, if there is one, the same event: it must do the same."""
        if self.twin is None:
            return
        theirs, exc = attempt(self.twin, event, self.now)
        same = (type(exc), str(exc)) == (type(raised), str(raised))
        assert same, f"the original raises {raised!r}, the twin {exc!r}"
        assert theirs == actions, f"the twin does {theirs} and not {actions}"
        assert self.twin.deadline == self.cast.subject.deadline, "the twin is due at another time"

    def perform(self, action: Action) -> None:
        """Perform an action of the subject."""
        if isinstance(action, Transmit):
            assert isinstance(action.data, bytes), action
            most = 2047 if self.cast.streams else self.cast.limits.mtu
            assert 0 < len(action.data) <= most, f"{len(action.data)} bytes"
            self.note("    sends ", action)
            decode_datagram(action.data)  # it is a valid packet
            self.balance[action.destination] -= len(action.data)
            if action.destination in SPOOFED and action.destination not in self.proved:
                assert self.balance[action.destination] >= 0, "more went there than came from there"
            self.fly(Flight(action.data, SUBJECT, action.destination))
        elif isinstance(action, Disconnect):
            assert self.cast.streams, "a datagram endpoint has no streams"
            self.note("    ends the stream to ", action.address)
            if action.address in self.machines:
                self.perform_for_other(action.address, StreamEnded(SUBJECT))
        else:
            assert isinstance(action, Notice), action
            self.note("    tells ", action)
            self.count(SUBJECT, action)
            self.cast.book.told(action)

    def perform_for_other(self, address: Address, event: Event) -> None:
        """Give another machine an event; a hostile one learns from what it is told."""
        try:
            actions = self.machines[address].handle(event, self.now)
        except (UsageError, WouldBlock):
            return
        links = self.links.get(address)
        for action in actions:
            if isinstance(action, Transmit):
                if len(action.data) <= 4096:
                    self.fly(Flight(action.data, address, action.destination))
            elif isinstance(action, Disconnect):
                self.give(SUBJECT, StreamEnded(address))
            elif isinstance(action, Notice):
                self.count(address, action)
                if links is not None:
                    self.learn(links, action)

    def count(self, address: Address, notice: Notice) -> None:
        """Take note of what a machine has been told of."""
        number, numbers = getattr(notice, "link", 0), self.numbers[address]
        if number and number not in numbers[-3:]:
            numbers.append(number)

    def number(self, address: Address) -> int:
        """Give one of what a machine was told of lately, most often; or a small number."""
        return self.reader.pick((*self.numbers[address][:-4:-1], 1, 2))

    def learn(self, links: dict[int, str], notice: Action) -> None:
        """Take note of what a hostile endpoint is told."""
        if isinstance(notice, Opened):
            links[notice.link] = notice.role
        elif isinstance(notice, Dialing):
            links.setdefault(notice.link, self.cast.roles[0])
        elif isinstance(notice, Closed):
            links.pop(notice.link, None)
        elif isinstance(notice, Received):
            decode = DECODERS.get(links.get(notice.link, ""))
            if decode is not None:
                try:
                    self.known.learn(decode(notice.message))
                except DecodeError as exc:
                    raise AssertionError(f"sent what is not valid: {exc}") from exc

    # The network

    def fly(self, flight: Flight) -> None:
        """Put a datagram on its way."""
        self.air.append(flight)
        self.seen.append(flight)

    def arrive(self, flight: Flight) -> None:
        """Hand a datagram to the machine at its destination, if there is one."""
        if flight.destination == SUBJECT:
            self.balance[flight.source] += len(flight.data)
            if flight.data[:1] == bytes((DATA,)):
                self.proved.add(flight.source)
        if flight.destination in self.machines:
            self.give(flight.destination, Datagram(flight.data, flight.source))

    def settle(self) -> None:
        """Tick all machines that are due: once is enough for the subject, by the rule of ticks."""
        for address, machine in list(self.machines.items()):
            due = machine.deadline
            if due is not None and due <= self.now:
                self.give(address, Tick())

    def pass_time(self, seconds: float, *, delivering: bool) -> None:
        """Let time pass; with `delivering` every datagram takes `DELAY`, else all stays put."""
        end = self.now + seconds
        for _ in range(STEPS):
            if delivering and self.air and self.now < end:
                self.now = min(self.now + DELAY, end)
                for _ in range(len(self.air)):
                    self.arrive(self.air.popleft())
            else:
                dues = [machine.deadline for machine in self.machines.values()]
                due = min((one for one in dues if one is not None), default=end)
                if due >= end:
                    break
                self.now = max(self.now, due)
            self.settle()
        else:
            raise AssertionError(f"more than {STEPS} steps in {seconds} s: time stands still")
        self.now = end
        self.settle()


def attempt(
    machine: Subject, event: Event, now: float
) -> tuple[list[Action], UsageError | WouldBlock | None]:
    """Give a machine an event; give what it causes, or what it raises that a program may cause."""
    try:
        return machine.handle(event, now), None
    except (UsageError, WouldBlock) as exc:
        return [], exc


def words_for(what: object) -> str:
    """Say what something is, on one line."""
    if isinstance(what, Transmit | Flight):
        return f"{describe(what.data)} to {what.destination[0]}"
    if isinstance(what, Datagram):
        return f"Datagram from {what.source[0]}: {describe(what.data)}"
    text = repr(what) if isinstance(what, Exception) else str(what)
    return text if len(text) <= MOST_WORDS else f"{text[:MOST_WORDS]}… ({len(text)} characters)"


def describe(data: bytes) -> str:
    """Say what a datagram is, on one line."""
    try:
        packet = decode_datagram(data)
    except DecodeError as exc:
        return f"{data.hex()} ({exc})"
    text = str(packet)
    return text if len(text) <= MOST_WORDS else f"{text[:MOST_WORDS]}… ({len(data)} bytes)"

"""A machine for plain text, alone or beside one of Palaver's, and strangers who send anything.

What must hold of it is appendix A of PROTOCOL.md. Beside what `World` checks, an address that
proves nothing gets no more than it has earned (T-6, T-10); what is passed on is harmless (T-7); who
comes and speaks is bounded (T-9); and where text alone is spoken a packet does nothing (T-12).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from unicodedata import bidirectional, category

from palaver import (
    Action,
    Address,
    Chunk,
    Closed,
    Datagram,
    Disconnect,
    Event,
    Hold,
    MemberCame,
    OpenStream,
    PlainOpened,
    PlainPair,
    PlainRelay,
    PlainRules,
    PostRelayed,
    StreamBlocked,
    StreamEnded,
    StreamOpened,
    Tick,
    Transmit,
    Unreachable,
)
from palaver.roles.group.events import LOBBY
from palaver.roles.plain.either import EitherHub, EitherPair
from palaver.wire.names import fold_name
from palaver.wire.plain import PAST_TEXT, ends_line, is_text
from palaver.wire.sealing import CLEAR

from .bounds import check_pair, check_relay
from .happenings import OPERATIONS as EVERYWHERE
from .happenings import command, copy, damage, dial, hint, hold, spout, tick, wait, wait_in_silence
from .reader import Reader
from .world import START, SUBJECT, Cast, Flight, World

RULES = PlainRules(
    text=64, piece=64, queue=3, pace=20, pace_burst=3, rate=50, rate_burst=5, unread=2,
    members=4, members_per_host=2, newcomers=1, newcomers_burst=3, posts=5, posts_burst=3,
    posts_of_all=10, posts_of_all_burst=6, answers=4, answer_bytes=200, answers_kept=2,
    silence=40.0, yields_after=5.0,
)  # fmt: skip
PLACES = 2
STRANGERS: tuple[Address, ...] = (
    *(("10.0.0.1", 1), ("10.0.0.1", 2), ("10.0.0.1", 3), ("10.0.0.2", 1)),
    *(("::1", 7), ("fe80::1%eth0", 1), ("10.0.0.9", 9)),
)
LINES = (
    *(b"hi", b"hi\n", b"exit", b" EXIT\r\n", b"Ann : hi", b"Bob : x\n", b"Ann : exit", b"", b"\n"),
    *(b"a\x1b[2Jb\n", b"\xc2\x9b31m", b"\xe2\x80\xaeback", b"\xff\xfe", b"x" * 70, b"y" * 200),
    *(b"a\0b\tc\nd", b"one\nexit\ntwo\n", b"hi\n" * 8),
)
SAID = ("hi", "exit", "x" * 64, "y" * 65, "\u00e9" * 32, "", "a\nb")
# That change the direction of what follows, but for the marks below, which have a direction.
_TURNS = frozenset(("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"))
_MARKS = "\u061c\u200e\u200f"


@dataclass
class Credit:
    """What an address may be sent, at most: datagrams, bytes of text, and the word `exit`."""

    datagrams: int = 0
    size: int = 0
    words: int = 0
    ends_lines: bool = False

    def earn(self, data: bytes) -> None:
        """Take note of a text that came from there."""
        self.datagrams += RULES.answers
        self.size += RULES.answer_bytes
        self.words = 1
        self.ends_lines |= ends_line(data)

    def spend(self, data: bytes) -> None:
        """Spend a text that goes there."""
        if self.words and data.strip() == b"exit":
            self.words = 0
            return
        self.datagrams -= 1
        self.size -= len(data)

    def forget(self) -> None:
        """Forget what is more than may be kept: only between batches, when all has gone out."""
        self.datagrams = min(self.datagrams, RULES.answers_kept * RULES.answers)
        self.size = min(self.size, RULES.answers_kept * RULES.answer_bytes)


class PlainWorld(World):
    """All machines of a script, and the streams of those who have no machine."""

    def __init__(self, cast: Cast, reader: Reader) -> None:
        super().__init__(cast, reader)
        assert cast.plain is not None
        self.plain: PlainPair | PlainRelay = cast.plain
        self.has_both = isinstance(cast.subject, EitherHub | EitherPair)
        # Streams that stand, that are to be opened, and that are not read.
        self.standing: set[Address] = set()
        self.opening: set[Address] = set()
        self.held: set[Address] = set()
        self.credit: dict[Address, Credit] = {}
        # Those whom our program has called, by link.
        self._called: dict[int, Address] = {}
        # What has happened since the last tick, and who was sent something for that.
        self._batch: list[Event] = []
        self._sent: Counter[Address] = Counter()
        self._performed = 0
        self._came = 0
        self._posts: Counter[int] = Counter()
        self._since: dict[int, float] = {}

    @property
    def operations(self) -> tuple[Callable[[World], None], ...]:
        """What can happen."""
        return BESIDE if self.has_both else ALONE

    def check(self) -> None:
        """Check what must hold of the tables of the subject."""
        super().check()
        if isinstance(self.plain, PlainRelay):
            check_relay(self.plain)
        else:
            check_pair(self.plain, PLACES)

    def arrive(self, flight: Flight) -> None:
        """Hand a datagram to its machine: where there are streams of text alone none comes."""
        if flight.destination != SUBJECT or self.has_both or not self.cast.streams:
            super().arrive(flight)

    def give(self, address: Address, event: Event) -> None:
        """Give a machine an event; of the subject, count what it may lead to."""
        if address != SUBJECT:
            super().give(address, event)
            return
        is_foreign = False
        if isinstance(event, Datagram) and not self.cast.streams:
            data = event.data
            is_foreign = bool(data) and data[0] >= PAST_TEXT and CLEAR.open(data) is not None
            if is_text(data) if self.has_both else not is_foreign:
                self.credit.setdefault(event.source, Credit()).earn(data)
        self._batch.append(event)
        before = self._performed
        super().give(address, event)
        if is_foreign and not self.has_both:
            assert self._performed == before, "a packet is taken for text (T-12)"
        if isinstance(event, Tick):
            self._batch.clear()
            self._sent.clear()
            for one in self.credit.values():
                one.forget()

    def perform(self, action: Action) -> None:
        """Perform an action of the subject."""
        self._performed += 1
        if isinstance(action, Transmit) and self._is_to_stranger(action):
            self.note("    says ", action)
            self._check_text(action.data, action.destination)
        elif isinstance(action, OpenStream | Hold):
            self.note("    wants ", action)
            assert self.cast.streams, "there are no streams"
            if isinstance(action, OpenStream):
                assert action.address not in self.standing | self.opening, "it has one already"
                self.opening.add(action.address)
            else:
                (self.held.add if action.is_held else self.held.discard)(action.address)
        else:
            if isinstance(action, Disconnect):
                self.drop_stream(action.address)
            super().perform(action)
            self._count_notice(action)

    def drop_stream(self, address: Address) -> None:
        """Forget a stream."""
        for streams in (self.standing, self.opening, self.held):
            streams.discard(address)

    def _is_to_stranger(self, action: Transmit) -> bool:
        if self.cast.streams and self.has_both:
            return action.destination in STRANGERS
        return is_text(action.data) or not self.has_both

    def _check_text(self, data: bytes, to: Address) -> None:
        """Check a text that goes out, and whether its address has earned it."""
        is_relayed = isinstance(self.plain, PlainRelay)
        if is_relayed:
            check_harmless(data)
        if self.cast.streams:
            return
        assert len(data) <= RULES.text + 1, "a text is too long (T-3)"
        if to in self._called.values():
            return
        assert to in self.credit, "somebody who has said nothing gets a text"
        credit = self.credit[to]
        credit.spend(data)
        assert credit.datagrams >= 0, "more texts than were earned (T-6, T-10)"
        assert credit.size >= 0, "more text than was earned (T-6, T-10)"
        if is_relayed:
            assert credit.ends_lines or not data.endswith(b"\n"), "it has no line ends (T-2)"
        self._sent[to] += 1
        if is_relayed and not self.has_both and len(self._batch) == 2:
            one = self._batch[0]
            if isinstance(one, Datagram):
                assert to != one.source, "it hears itself (T-7)"
                assert self._sent[to] == 1, "it hears one text twice (T-7)"

    def _count_notice(self, action: Action) -> None:
        """Count who comes and speaks in plain text."""
        if isinstance(action, PlainOpened) and action.ref is not None:
            self._called[action.link] = action.address
        elif isinstance(action, Closed):
            self._called.pop(action.link, None)
        elif isinstance(action, MemberCame) and action.link < 0:
            self._came += 1
            self._since[action.link] = self.now
            bound(self._came, RULES.newcomers, RULES.newcomers_burst, self._elapsed)
            self._check_places()
        elif isinstance(action, PostRelayed) and action.link < 0:
            self._posts[action.link] += 1
            seconds = self.now - self._since[action.link]
            bound(self._posts[action.link], RULES.posts, RULES.posts_burst, seconds)
            total = sum(self._posts.values())
            bound(total, RULES.posts_of_all, RULES.posts_of_all_burst, self._elapsed)

    @property
    def _elapsed(self) -> float:
        return self.now - START

    def _check_places(self) -> None:
        """Check that somebody who came with text has found a place in the lobby (T-13)."""
        if isinstance(self.cast.subject, EitherHub):
            hub = self.cast.subject.hub
            for room in hub.rooms.values():
                here = len(room.present) + len(room.guests)
                assert fold_name(room.name) == LOBBY or not room.guests, "a guest in another room"
                assert not room.guests or here <= hub.rules.members, "a guest without a place"


def bound(count: int, rate: float, burst: float, seconds: float) -> None:
    """Check that something did not happen too often (T-9)."""
    assert count <= burst + rate * seconds + 1e-6, f"{count} in {seconds} s"


def check_harmless(data: bytes) -> None:
    """Check a text that is passed on (T-3, T-7), without the help of the code that makes it so."""
    text = data.decode().removesuffix("\n")
    assert len(text.encode()) <= RULES.text, "a text is too long (T-3)"
    for one in text:
        assert category(one) not in {"Cc", "Zl", "Zp"}, f"a control character goes on: {data!r}"
        assert bidirectional(one) not in _TURNS, f"a text turns round: {data!r}"
        assert one not in _MARKS, f"a text turns round: {data!r}"


# What can happen


def write(world: World) -> None:
    """A stranger says something, on a stream if there are such."""
    assert isinstance(world, PlainWorld)
    reader = world.reader
    address = reader.pick((*STRANGERS[:1] * 3, *STRANGERS))
    choice = reader.u8()
    data = LINES[choice % len(LINES)] if choice < 200 else reader.take(choice - 199)
    if not world.cast.streams:
        world.arrive(Flight(data, address, SUBJECT))
        return
    if address not in world.standing:
        stand(world, address)
    if data and address in world.standing - world.held:
        world.give(SUBJECT, Chunk(data, address))


def stand(world: PlainWorld, address: Address) -> None:
    """A stream stands, whoever has opened it."""
    world.opening.discard(address)
    world.standing.add(address)
    world.give(SUBJECT, StreamOpened(address))


def change_stream(world: World) -> None:
    """Something happens to a stream; without streams, somebody is said to be unreachable."""
    assert isinstance(world, PlainWorld)
    address = world.reader.pick((*sorted(world.opening), *STRANGERS))
    kind = world.reader.u8() % 6
    if not world.cast.streams:
        world.give(SUBJECT, Unreachable(address))
    elif kind <= 1:
        # What was said of a stream may come when the machine has ended it already.
        world.give(SUBJECT, StreamBlocked(address, is_blocked=not kind))
    elif kind == 2 and address not in world.standing:
        stand(world, address)
    elif address in world.standing | world.opening:
        world.drop_stream(address)
        if kind == 3:
            world.give(SUBJECT, Unreachable(address))
        world.give(SUBJECT, StreamEnded(address))


ALONE: tuple[Callable[[World], None], ...] = (
    *(*[write] * 9, *[command] * 5, *[wait] * 3, change_stream, change_stream),
    *(wait_in_silence, copy, hold, hold, hint, spout, tick, dial, damage),
)
"""What can happen where text alone is spoken."""
BESIDE: tuple[Callable[[World], None], ...] = (
    *(*EVERYWHERE, *[write] * 6, command, wait, change_stream, change_stream),
)
"""What can happen where both are."""

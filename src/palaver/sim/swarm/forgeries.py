"""Forged, replayed, truncated and spoofed datagrams at a listener, a registry and hubs.

One of the hubs takes plain text too, and is sent forged texts as well. What goes out as plain text
has bounds of its own: those of appendix A.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from palaver.machine import Action, Address, Event, Notice, Tick
from palaver.roles.duo import Duo
from palaver.roles.duo_events import Call, ConversationOpened, Said, Say
from palaver.roles.group.events import Entered, JoinRoom, Post, PostHeard
from palaver.roles.group.hub import Hub
from palaver.roles.group.member import Member
from palaver.roles.peer import Peer
from palaver.roles.peer_events import Enlist, Enlisted, Present, Who
from palaver.roles.plain.either import EitherHub
from palaver.roles.plain.rules import DEFAULT_PLAIN_RULES
from palaver.roles.registry import Registry
from palaver.sim.faults import Faults, flip_bits
from palaver.sim.network import Sim
from palaver.sim.random import SeededRandom
from palaver.sim.trace import Arrived, Sent
from palaver.timing import DEFAULT_LIMITS
from palaver.wire.packets import DATA_HEADER, Hello, Kind, pad
from palaver.wire.plain import MARK, is_text, with_name
from palaver.wire.sealing import CLEAR

VICTIM: Address = ("victim", 1)
OLD, NEW = ("old", 1), ("new", 1)
BATCH = 100
"""Datagrams that arrive at once, in every 20 ms."""
HOSTS = 2000
TARGETS = ("listener", "registry", "hub", "hub with plain text")
KINDS = ("forged HELLO", "forged DATA", "rubbish", "replayed", "truncated", "flipped", "spoofed")
TEXT = "forged text"
"""A kind that is poured only where plain text is spoken."""
STATES = ("links", "half_open", "waiting", "hosts", "tombstones", "plain_members")


@dataclass
class Siege:
    """What came of an attack on one machine."""

    target: str
    sent: Counter[str] = field(default_factory=Counter)
    peaks: Counter[str] = field(default_factory=Counter)
    ticks: int = 0
    """How often the victim wanted to be ticked."""
    answers: int = 0
    """Datagrams that went to addresses of the attacker."""
    most_per_byte: float = 0.0
    """The most bytes of Palaver that one host got for each that came from it: at most 1."""
    texts: int = 0
    """Datagrams of plain text that the victim sent."""
    most_texts: float = 0.0
    """The most of them that one address got for each text that came from it: at most 64."""
    most_text_bytes: float = 0.0
    """And the most bytes of them: at most 16,384."""
    waited: float = 0.0
    """How long the one who came in the middle of it took to get in, in seconds; 0: longer."""
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


class _Counted:
    """A victim, and how often it was ticked."""

    def __init__(self, machine: Duo | Registry | Hub | EitherHub) -> None:
        self._machine = machine
        self.ticks = 0
        self.stats = machine.stats

    @property
    def deadline(self) -> float | None:
        """When the victim wants to be ticked."""
        return self._machine.deadline

    def handle(self, event: Event, now: float) -> list[Action]:
        """Let the victim take an event."""
        self.ticks += isinstance(event, Tick)
        return self._machine.handle(event, now)


def besiege(target: str, datagrams: int, seed: int = 1) -> Siege:
    """Attack one of the `TARGETS` while honest people use it.

    Raises KeyError for another target.
    """
    siege = Siege(target)
    sim = Sim(seed, Faults(delay=0.02))
    victim = _Counted(_make_victim(target, sim))
    sim.add(VICTIM, victim)
    _arrive(target, sim, OLD)
    sim.run_for(2)
    _check(siege, _is_in(target, sim, OLD), "the one who was there first is not in")
    attacker = _Attacker(sim, siege)
    for turn in range(datagrams // BATCH):
        if turn == datagrams // BATCH // 2:
            _arrive(target, sim, NEW)
        if turn % 10 == 0:
            _speak(target, sim, OLD, turn)
        attacker.pour(BATCH)
        sim.run_for(0.02)
        attacker.account()
        for name in STATES:
            if name in victim.stats():
                siege.peaks[name] = max(siege.peaks[name], victim.stats()[name])
        if not siege.waited and _is_in(target, sim, NEW):
            siege.waited = 0.02 * (turn + 1 - datagrams // BATCH // 2)
    siege.seconds, siege.ticks = sim.now, victim.ticks
    sim.run_for(2)
    _check(siege, _is_in(target, sim, NEW), "who came under attack did not get in")
    sim.run_for(60)
    _speak(target, sim, NEW, -1)
    sim.run_for(2)
    _check(siege, _was_served(target, sim), "honest traffic did not complete")
    stats = victim.stats()
    _check(siege, stats["half_open"] == stats["waiting"] == 0, "half-open links are left")
    _check(siege, stats["links"] == 2, f"{stats['links']} links are left, not 2")
    _check(siege, siege.peaks["half_open"] <= DEFAULT_LIMITS.half_open, "too many are half open")
    _check(siege, siege.peaks["tombstones"] <= DEFAULT_LIMITS.tombstones, "too many tombstones")
    _check(siege, siege.peaks["links"] <= DEFAULT_LIMITS.half_open + 2, "too many links")
    _check(siege, siege.ticks <= siege.seconds * 200, "too many ticks")
    _check(siege, siege.most_per_byte <= 1, "an answer was larger than what it answered")
    _check_plain(siege)
    return siege


def _check_plain(siege: Siege) -> None:
    """Look at what appendix A bounds: [T-9] and [T-10]."""
    rules = DEFAULT_PLAIN_RULES
    _check(siege, siege.peaks["plain_members"] <= rules.members, "too many members with text")
    _check(siege, siege.most_texts <= rules.answers, "too many texts for one that came")
    _check(siege, siege.most_text_bytes <= rules.answer_bytes, "too much text for one that came")


def _check(siege: Siege, truth: object, problem: str) -> None:
    if not truth:
        siege.problems.append(problem)


def _make_victim(target: str, sim: Sim) -> Duo | Registry | Hub | EitherHub:
    entropy = sim.entropy(target)
    if target == "listener":
        return Duo(entropy, name="victim", max_conversations=8)
    if target == "registry":
        return Registry(entropy)
    if target == "hub":
        return Hub(entropy)
    if target == "hub with plain text":
        return EitherHub(entropy)
    raise KeyError(target)


def _arrive(target: str, sim: Sim, who: Address) -> None:
    """Let somebody honest come in."""
    entropy = sim.entropy(who[0])
    if target == "listener":
        sim.add(who, Duo(entropy, name=who[0]))
        sim.command(who, Call(VICTIM))
    elif target == "registry":
        sim.add(who, Peer(entropy, name=who[0], registry=VICTIM))
        sim.command(who, Enlist())
    else:
        sim.add(who, Member(entropy))
        sim.command(who, JoinRoom(VICTIM, who[0]))


def _speak(target: str, sim: Sim, who: Address, number: int) -> None:
    """Let somebody use what the victim is for."""
    if target == "listener":
        sim.command(who, Say(1, f"text {number}", number))
    elif target == "registry":
        sim.command(who, Who(number & 0xFFFF))
    else:
        sim.command(who, Post(1, f"text {number}", number))


def _told(sim: Sim, who: Address, kind: type[Notice]) -> list[Notice]:
    return [notice for _, notice in sim.notices(who) if isinstance(notice, kind)]


def _is_in(target: str, sim: Sim, who: Address) -> bool:
    kind = {"listener": ConversationOpened, "registry": Enlisted}.get(target, Entered)
    return who in sim.addresses() and len(_told(sim, who, kind)) == 1


def _was_served(target: str, sim: Sim) -> bool:
    """Say whether all that was said was heard, once and in order, and all answered."""
    if target == "listener":
        texts = [one.text for one in _told(sim, VICTIM, Said) if isinstance(one, Said)]
        numbers = [int(text.split()[1]) for text in texts]
        return numbers[-1] == -1 and numbers[:-1] == list(range(0, 10 * len(numbers) - 10, 10))
    if target == "registry":
        last = _told(sim, NEW, Present)[-1]
        return isinstance(last, Present) and {one.name for one in last.entries} == {"old", "new"}
    heard = _heard(sim, NEW)
    numbers = [int(text.split()[1]) for text in heard]
    own = _heard(sim, OLD)
    # Of what was posted before it was in, the newcomer has nothing; then it misses nothing.
    return own == ["text -1"] and numbers == list(range(*_span(numbers), 10))


def _heard(sim: Sim, who: Address) -> list[str]:
    """Give what somebody has heard from those with Palaver."""
    posts = [one for one in _told(sim, who, PostHeard) if isinstance(one, PostHeard)]
    return [one.text for one in posts if MARK not in one.name]


def _span(numbers: list[int]) -> tuple[int, int]:
    return (numbers[0], numbers[-1] + 1) if numbers else (0, 0)


class _Attacker:
    """Somebody who sees all datagrams and can forge any source, but holds none up."""

    def __init__(self, sim: Sim, siege: Siege) -> None:
        self._sim = sim
        self._siege = siege
        self._random = SeededRandom(7).fork(siege.target)
        self._seen = [one.data for one in sim.trace if isinstance(one, Sent)]
        self._role = {"listener": "duo", "registry": "registry"}.get(siege.target, "group")
        self._is_plain = siege.target == "hub with plain text"
        self._kinds = (*KINDS, TEXT) if self._is_plain else KINDS
        self._came: Counter[str] = Counter()
        self._went: Counter[str] = Counter()
        # Plain text, by address: how often it came, how often and with what size it went.
        self._texts_came: Counter[Address] = Counter()
        self._texts_went: Counter[Address] = Counter()
        self._text_bytes: Counter[Address] = Counter()
        sim.trace.clear()

    def pour(self, datagrams: int) -> None:
        """Let so many arrive at once."""
        for _ in range(datagrams):
            kind = self._kinds[self._random.below(len(self._kinds))]
            n = self._random.below(HOSTS)
            source = (f"10.0.{n >> 8}.{n & 255}", 1024 + n)
            if kind == "spoofed":  # something that was seen, or was not, as if from a friend
                source = (OLD, NEW)[self._random.below(2)]
            self._siege.sent[kind] += 1
            self._sim.inject(VICTIM, self._make(kind), source)

    def account(self) -> None:
        """Look at what has come back, and forget it."""
        for entry in self._sim.trace:
            if isinstance(entry, Arrived) and entry.destination == VICTIM:
                if self._is_plain and is_text(entry.data):
                    self._texts_came[entry.source] += 1
                else:
                    self._came[entry.source[0]] += len(entry.data)
            elif isinstance(entry, Sent):
                if self._is_plain and entry.source == VICTIM and is_text(entry.data):
                    self._count_text(entry)
                elif entry.source == VICTIM and entry.destination[0].startswith("10."):
                    self._siege.answers += 1
                    self._went[entry.destination[0]] += len(entry.data)
                elif len(self._seen) < 5000:
                    self._seen.append(entry.data)
        for host, size in self._went.items():
            self._siege.most_per_byte = max(self._siege.most_per_byte, size / self._came[host])
        self._sim.trace.clear()

    def _count_text(self, sent: Sent) -> None:
        """Take note of plain text that the victim sends; one to whom nobody spoke costs all."""
        to = sent.destination
        self._texts_went[to] += 1
        self._text_bytes[to] += len(sent.data)
        came = self._texts_came[to] or 1 / 1e9
        siege = self._siege
        siege.texts += 1
        siege.most_texts = max(siege.most_texts, self._texts_went[to] / came)
        siege.most_text_bytes = max(siege.most_text_bytes, self._text_bytes[to] / came)
        if len(self._seen) < 5000:
            self._seen.append(sent.data)

    def _hello(self) -> bytes:
        hello = Hello(1 + self._random.below(2**64 - 1), (1,), (0,), self._role, 1200, 262144, b"")
        return CLEAR.seal(pad(hello, 64).encode())

    def _make(self, kind: str) -> bytes:
        random = self._random
        if kind == TEXT:
            name = ("", f"name {random.below(40)}")[random.below(2)]
            text = "x" * (1 + random.below(1200)) + "\x1b\n" * random.below(2)
            return (with_name(name, text) if name else text).encode()
        seen = self._seen[random.below(len(self._seen))]
        if kind == "forged HELLO":
            return self._hello()
        if kind == "forged DATA":
            number = DATA_HEADER.pack(Kind.DATA, 1 + random.below(2**64 - 1), random.below(99))
            return CLEAR.seal(number + b"\x04\0\0")
        if kind == "rubbish":
            return random.bytes(random.below(1300))
        if kind == "truncated":
            return seen[: random.below(len(seen))]
        if kind == "flipped":
            return flip_bits(seen, 1 + random.below(3), random)
        if kind == "spoofed" and random.chance(0.5):
            return self._hello()
        return seen

"""Forged, replayed and overtaking packets on real sockets (PROTOCOL.md, section 8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from random import Random
from threading import Event

import pytest
from io_support import ON_LINUX, PATIENCE, leaving_nothing_behind
from real_support import TALK, Chat, Relay, station_of, stats_of, tables_of, weight_of
from spoof_support import Spoofer
from strength_support import forged_hello

from palaver import Address, Reason
from palaver.sim import SeededRandom
from palaver.sim.faults import flip_bits
from palaver.wire.duo import ROLE
from palaver.wire.frames import Close, Frame, PathChallenge, PathResponse, Ping, Segment
from palaver.wire.packets import (
    DATA_HEADER,
    DATA_HEADER_SIZE,
    Cookie,
    Kind,
    Refuse,
    Reset,
    Welcome,
)
from palaver.wire.sealing import CLEAR
from palaver_io import BlockingDriver, Conversation, connect, listen

FORGED = 100_000
BURST = 200
HOSTS = ["127.0.0.1", *(f"127.6.{n}.{n + 1}" for n in range(39))]

pytestmark = pytest.mark.skipif(not ON_LINUX, reason="only there all of 127.0.0.0/8 is this host")


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


class Forger:
    """Makes packets for one side of a link out of those that were overheard on their way there.

    None of them is what a link may follow, or believe: it is no fresh packet with a valid tag, and
    does not come from the link's address. Fresh ones are `Attack.overtake`'s.
    """

    def __init__(self, overheard: list[bytes], answered: list[bytes], seed: int) -> None:
        """Take what goes to that side, and what it sends itself: both lists go on growing."""
        self.random = Random(seed)
        self._bits = SeededRandom(seed)
        self._overheard = overheard
        self._answered = answered
        # Of the DATA packets, as long as all that is in them has arrived.
        self._header = next(one for one in overheard if one[0] == Kind.DATA)[:DATA_HEADER_SIZE]
        self.link = int.from_bytes(self._header[1:9], "big")
        self._ways = (
            self._replay,
            self._flip,
            self._lie,
            self._rewrite,
            self._stray,
            self._handshake,
        )

    def make(self) -> bytes:
        return self.random.choice(self._ways)()

    def rewrite(self, *frames: Frame) -> bytes:
        """Give a valid packet with the number of one that has arrived."""
        return CLEAR.seal(self._header + b"".join(one.encode() for one in frames))

    def _replay(self) -> bytes:
        return self.random.choice(self._overheard)

    def _flip(self) -> bytes:
        return flip_bits(self._replay(), self.random.randint(1, 3), self._bits)

    def _lie(self) -> bytes:
        """Give noise for the right link, under a number that could be the next."""
        number = len(self._overheard) + self.random.randrange(100)
        body = self.random.randbytes(self.random.randrange(4, 100))
        return DATA_HEADER.pack(Kind.DATA, self.link, number) + body

    def _rewrite(self) -> bytes:
        lie = Segment(0, b"\x11lies", last=True)
        frames = (Close(Reason.ABORTED, 0), Ping(), lie, PathResponse(bytes(8)))
        return self.rewrite(self.random.choice(frames))

    def _stray(self) -> bytes:
        """Give a valid packet for a link that is not there."""
        link = self.random.randrange(1, 1 << 64)
        return CLEAR.seal(DATA_HEADER.pack(Kind.DATA, link, 0) + Ping().encode())

    def _handshake(self) -> bytes:
        """Give what would end the link or turn it aside, if it came from the right address."""
        link = self.link
        _, peer, number = DATA_HEADER.unpack_from(self._answered[-1])
        packets = (
            Reset(peer, number - self.random.randrange(4)),
            Refuse(link, Reason.BUSY, (1,)),
            Welcome(link, 7, 1, 0, 1200, 262144),
            Cookie(link, b"cookie"),
        )
        if self.random.randrange(5) == 0:
            return forged_hello(self.random.choice((link, self.random.randrange(1, 1 << 63))), ROLE)
        return CLEAR.seal(self.random.choice(packets).encode())


class Victim:
    """One end of the conversation under attack."""

    def __init__(self, end: Conversation, relay: Relay, *, is_caller: bool, seed: int) -> None:
        self.end = end
        self.station = station_of(end)
        driver = self.station.driver
        assert isinstance(driver, BlockingDriver)
        self.driver = driver
        self.address: Address = ("127.0.0.1", self.station.driver.address[1])
        self._relay = relay
        self._is_caller = is_caller
        self.overheard, sent = relay.from_callee, relay.from_caller
        if not is_caller:
            self.overheard, sent = sent, self.overheard
        self.forger = Forger(self.overheard, sent, seed)
        # How many of the overheard packets were sent on ahead.
        self.overtaken = len(self.overheard)
        self.attacks = 0
        self.dropped = 0

    def is_through(self) -> bool:
        """Tell whether all that was sent here has been taken by the machine; under its lock."""
        taken = self.station._machine.stats()["datagrams_in"]
        return taken - self._relay.passed_on(to_caller=self._is_caller) >= self.attacks

    def forgive(self) -> None:
        """Wait no more for what the system has dropped on a busy machine; under the lock."""
        taken = self.station._machine.stats()["datagrams_in"]
        arrived = taken - self._relay.passed_on(to_caller=self._is_caller)
        self.dropped += self.attacks - arrived
        self.attacks = arrived

    def is_settled(self) -> bool:
        """Tell whether it asks nobody any more whether that is the peer; under the lock."""
        (link,) = self.station._machine._endpoint.links.values()
        return link.channel._path.is_idle

    @property
    def hosts(self) -> int:
        """How many hosts it remembers to have answered; under the lock."""
        return self.station._machine.stats()["hosts"]

    @property
    def weight(self) -> int:
        return self.station.driver.inspect(lambda: weight_of(self.station._machine._endpoint))


class Attack:
    """Many hosts that send to both ends of a conversation, and count what they get for it."""

    def __init__(self, seed: int, victims: tuple[Victim, ...], spoofer: Spoofer) -> None:
        self.victims = victims
        self.replies: Counter[str] = Counter()
        self._random = Random(seed)
        self._spoofer = spoofer

    @property
    def sent(self) -> int:
        return sum(victim.attacks for victim in self.victims)

    def pour(self, datagrams: int) -> None:
        """Send to both, wait until all of it has been taken, and look at what comes back."""
        for victim in self.victims:
            for _ in range(datagrams // len(self.victims)):
                self._send(victim, self._random.choice(HOSTS), victim.forger.make())
        self.overtake(iter(lambda: self._random.choice(HOSTS), ""))
        for victim in self.victims:
            if not victim.driver.wait_until(victim.is_through, 3):
                victim.driver.inspect(victim.forgive)
                assert victim.dropped <= FORGED // 100, "too much of it got lost"
            now = tables_of(victim.end)
            assert now.pop("hosts") <= len(HOSTS)
            assert now == {"links": 1, "half_open": 0, "waiting": 0, "tombstones": 0}
        self.listen()

    def overtake(self, hosts: Iterator[str]) -> None:
        """Send what is under way on ahead, as if its sender had moved to a host."""
        for victim in self.victims:
            seen = len(victim.overheard)
            for data in victim.overheard[victim.overtaken : seen]:
                self._send(victim, next(hosts), data)
            victim.overtaken = seen

    def listen(self) -> None:
        """Take the replies; to challenges send what one can who is not the peer."""
        for host, source, data in self._spoofer.read():
            self.replies[Kind(data[0]).name] += 1
            victim = next(one for one in self.victims if one.address == source)
            token = data[-12:-4]
            if data[DATA_HEADER_SIZE:-4] == PathChallenge(token).encode():
                self._send(victim, host, victim.forger.rewrite(PathResponse(token)))

    def _send(self, victim: Victim, host: str, data: bytes) -> None:
        self._spoofer.send(host, data, victim.address)
        victim.attacks += 1


class Scene:
    """Ann talks to Bob through a relay that overhears them."""

    def __init__(self, stack: ExitStack, seed: int) -> None:
        listener = listen("127.0.0.1", 0, timing=TALK)
        stack.callback(listener.abort)
        relay = Relay(listener.address, seed)
        stack.callback(relay.close)
        ann = connect(*relay.address, timeout=PATIENCE, timing=TALK)
        stack.callback(ann.abort)
        bob = listener.accept(PATIENCE)
        spoofer = Spoofer()
        stack.callback(spoofer.close)
        self.chat = Chat(f"seed {seed}", ann, bob)
        self.chat.say_until(lambda: all(len(one.heard) >= 20 for one in self.chat.hearers))
        for one in (ann, bob):
            one.flush(PATIENCE)
        self.victims = (
            Victim(ann, relay, is_caller=True, seed=2 * seed),
            Victim(bob, relay, is_caller=False, seed=2 * seed + 1),
        )
        self.attack = Attack(seed, self.victims, spoofer)

    def check(self) -> None:
        """All that was said was heard; both ends are where they were, and nobody else has a say."""
        self.chat.finish()
        self.attack.listen()
        for victim in self.victims:
            assert stats_of(victim.end)["moves"] == 0
            assert victim.end.closed is None


@pytest.mark.spec("L-1", "L-12", "L-13", "L-14", "L-16", "L-18")
def test_100_000_forged_and_replayed_packets_move_nothing_end_nothing_and_leave_nothing() -> None:
    with ExitStack() as stack:
        scene = Scene(stack, seed=1)
        attack, victims = scene.attack, scene.victims
        held = [victim.weight for victim in victims]
        for _ in range(FORGED // BURST):
            scene.chat.say()
            attack.pour(BURST)
        scene.check()
        assert attack.sent >= FORGED
        delays = scene.chat.delays()
        assert delays[len(delays) // 2] < 0.25
        assert delays[-1] < 2.0
        # They had all kinds of fates, and some were answered.
        assert set(attack.replies) == {"RESET", "COOKIE", "REFUSE", "DATA"}
        for victim in victims:
            stats = stats_of(victim.end)
            assert min(stats[one] for one in ("damaged", "duplicates", "unknown")) > FORGED / 20
        # What was answered is forgotten a second later, and then there is nothing left of it all.
        for victim, weight_before in zip(victims, held, strict=True):
            assert victim.driver.wait_until(lambda end=victim: end.hosts == 0, PATIENCE)  # type: ignore[misc]
            assert victim.weight <= weight_before + 10


@pytest.mark.spec("L-16", "L-17")
def test_hosts_that_overtake_one_packet_each_get_no_more_bytes_than_were_in_it() -> None:
    with ExitStack() as stack:
        scene = Scene(stack, seed=2)
        attack, victims = scene.attack, scene.victims
        hosts = (f"127.7.{n >> 8}.{n & 255}" for n in count(1))
        pacer = Event()
        for _ in range(4):
            # Then they fall silent: nobody else says where they are, and all challenges go out.
            scene.chat.say()
            for _ in range(20):
                pacer.wait(0.004)
                attack.overtake(hosts)
            for victim in victims:
                assert victim.driver.wait_until(victim.is_settled, PATIENCE)
            attack.listen()
        scene.check()
        assert attack.replies["DATA"] > 8

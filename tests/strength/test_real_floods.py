"""HELLOs from more than a thousand hosts, on real sockets (PROTOCOL.md, section 8.5)."""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from random import Random
from time import monotonic
from zlib import crc32

import pytest
from io_support import ON_LINUX, PATIENCE, leaving_nothing_behind
from real_support import TABLES, TALK, Hearer
from spoof_support import Spoofer
from strength_support import forged_hello, weight

from palaver import (
    Action,
    Address,
    Closed,
    ConversationOpened,
    Datagram,
    Duo,
    Endpoint,
    Event,
    Limits,
    Notice,
    Said,
    Say,
    Tick,
)
from palaver.wire.duo import ROLE
from palaver.wire.packets import Kind
from palaver_io import BlockingDriver, Conversation, UdpPort, connect, open_udp_socket

SOURCES = 1100  # more hosts than are remembered
HELLOS = 100  # from each
BURST = 100
HOME = "127.0.0.1"
NEIGHBOURS = 10  # of the sources, that are other ports of the host where the honest callers are

pytestmark = pytest.mark.skipif(not ON_LINUX, reason="only there all of 127.0.0.0/8 is this host")


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


class Watched(Duo):
    """A listener that counts what comes from some ports."""

    __slots__ = ("ports", "strangers")

    def __init__(self) -> None:
        super().__init__(os.urandom, name="Bob", max_conversations=10, timing=TALK)
        self.ports: set[int] = set()
        self.strangers = 0

    def _take(self, event: Event, now: float, out: list[Action]) -> None:
        if isinstance(event, Datagram) and event.source[1] in self.ports:
            self.strangers += 1
        super()._take(event, now, out)


class Bob:
    """Answers calls, says back what he is told, and lives by a clock that can be put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0
        # By name, the link.
        self.opened: dict[str, int] = {}
        self.closed: list[Closed] = []
        self.machine = Watched()
        self.driver = BlockingDriver(
            self.machine, UdpPort(open_udp_socket(HOME, 0)), self._hear, clock=self._clock
        )
        self.address: Address = self.driver.address

    def _clock(self) -> float:
        return monotonic() + self.ahead

    def _hear(self, notice: Notice) -> None:
        if isinstance(notice, Said):
            self.driver.post(Say(notice.link, notice.text))
        elif isinstance(notice, ConversationOpened):
            self.opened[notice.name] = notice.link
        elif isinstance(notice, Closed):
            self.closed.append(notice)

    @property
    def endpoint(self) -> Endpoint:
        return self.machine._endpoint

    def is_content(self) -> bool:
        """Tell whether all that he said is known to have arrived; under the lock."""
        stats = self.machine.stats()
        return stats["messages_sent"] == stats["messages_delivered"]

    @property
    def tables(self) -> dict[str, int]:
        stats = self.driver.inspect(self.machine.stats)
        return {name: stats[name] for name in TABLES}

    @property
    def weight(self) -> int:
        return self.driver.inspect(lambda: weight(self.endpoint))

    def put_forward(self, seconds: float) -> None:
        """Let that much time pass for him alone."""
        self.ahead += seconds
        self.driver.perform(Tick())


class Flood:
    """HELLOs, each for a link of its own, from many hosts that never follow them up."""

    def __init__(self, stack: ExitStack, bob: Bob, seed: int) -> None:
        self.bob = bob
        self.sent = 0
        self.peaks: Counter[str] = Counter()
        self.replies: Counter[str] = Counter()
        self._random = Random(seed)
        self._spoofers = [Spoofer() for _ in range(1 + NEIGHBOURS)]
        for spoofer in self._spoofers:
            stack.callback(spoofer.close)
        far, *near = self._spoofers
        self.neighbours = [(spoofer, HOME) for spoofer in near] * HELLOS
        hosts = [f"127.{1 + n % 9}.{n >> 8}.{n & 255}" for n in range(SOURCES - NEIGHBOURS)]
        self.strangers = [(far, host) for host in hosts] * HELLOS
        self._random.shuffle(self.strangers)
        bob.machine.ports |= {spoofer.port for spoofer in self._spoofers}
        hello = forged_hello(1, ROLE)
        self._head, self._tail = hello[:9], hello[17:-4]

    def next_burst(self) -> list[tuple[Spoofer, str]]:
        """Give who is to send next: strangers, and a neighbour among them as long as there are."""
        burst = [self.neighbours.pop()] if self.neighbours else []
        while self.strangers and len(burst) < BURST:
            burst.append(self.strangers.pop())
        return burst

    def pour(self, sources: list[tuple[Spoofer, str]]) -> None:
        """Send a HELLO from each, wait until all have been taken, and look at what comes back."""
        for spoofer, host in sources:
            link = struct.pack(">Q", self._random.getrandbits(63) | 1)
            packet = self._head + link + self._tail
            data = packet + struct.pack(">I", crc32(packet))
            spoofer.send(host, data, self.bob.address)
        self.sent += len(sources)
        machine = self.bob.machine
        all_taken = self.bob.driver.wait_until(lambda: machine.strangers >= self.sent, PATIENCE)
        assert all_taken, f"{self.sent - machine.strangers} got lost"
        for name, size in self.bob.tables.items():
            self.peaks[name] = max(self.peaks[name], size)
        for spoofer in self._spoofers:
            self.replies.update(Kind(data[0]).name for _, _, data in spoofer.read())


def get_in(flood: Flood) -> tuple[Conversation, float, int]:
    """Call Bob; give the conversation, how long that took, and how much had been poured by then."""
    began = monotonic()
    carl = connect(*flood.bob.address, name="Carl", timeout=PATIENCE, timing=TALK)
    return carl, monotonic() - began, flood.sent


@pytest.mark.spec("H-3", "H-17", "L-10", "L-11", "L-14")
def test_a_thousand_hosts_with_100_hellos_each_disturb_nobody_and_leave_nothing() -> None:
    with ExitStack() as stack:
        bob = Bob()
        stack.callback(bob.driver.close)
        ann = connect(*bob.address, name="Ann", timeout=PATIENCE, timing=TALK)
        stack.callback(ann.abort)
        hearer = Hearer(ann, "Ann")
        assert bob.driver.wait_until(bob.is_content, PATIENCE)
        before, held = bob.tables, bob.weight
        flood = Flood(stack, bob, seed=1)
        # First from one host only.
        flood.pour(flood.neighbours[-BURST:])
        assert flood.peaks["half_open"] == Limits().half_open_per_host
        del flood.neighbours[-BURST:]
        # Then from all of them, while Ann goes on talking and Carl calls from that same host.
        pool = stack.enter_context(ThreadPoolExecutor(1))
        carl: Future[tuple[Conversation, float, int]] | None = None
        said: list[float] = []
        while flood.strangers:
            said.append(monotonic())
            ann.send(f"{len(said) - 1}", timeout=PATIENCE)
            if len(said) == 200:
                carl = pool.submit(get_in, flood)
            flood.pour(flood.next_burst())
        assert flood.sent == SOURCES * HELLOS
        assert carl is not None
        conversation, took, seen = carl.result(PATIENCE)
        stack.callback(conversation.abort)
        assert took < 2.0
        assert seen < flood.sent, "it was over before Carl got in"
        # Ann has heard all that she said, and soon.
        ann.flush(PATIENCE)
        assert bob.driver.wait_until(bob.is_content, PATIENCE)
        ann.finish()
        conversation.send("hello")
        assert conversation.receive(PATIENCE) == "hello"
        delays = sorted(time - said[int(text)] for time, text in hearer.heard)
        assert [int(text) for _, text in hearer.heard] == list(range(len(said)))
        assert delays[len(delays) // 2] < 0.25
        assert delays[-1] < 2.0
        # Nobody took more than there is to take, and when it is forgotten nothing is left.
        limits = Limits()
        assert flood.peaks["half_open"] == limits.half_open
        assert flood.peaks["links"] <= limits.half_open + 2
        assert flood.peaks["hosts"] <= 1024
        assert flood.peaks["waiting"] == flood.peaks["tombstones"] == 0
        assert set(flood.replies) == {"WELCOME", "COOKIE"}
        assert flood.replies["WELCOME"] <= limits.half_open + 1  # Carl's place, when he was in
        assert bob.driver.wait_until(bob.is_content, PATIENCE)
        bob.put_forward(10.0)
        assert bob.tables == before | {"links": 2}
        assert (set(bob.opened), bob.closed) == ({"Ann", "Carl"}, [])
        carls = bob.driver.inspect(lambda: weight(bob.endpoint.links[bob.opened["Carl"]]))
        assert bob.weight <= held + carls + 10

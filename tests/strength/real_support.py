"""What the tests of strength on real sockets share: a NAT that loses, and a chat through it.

    relay = Relay(listener.address, seed=7, faults=LOSSY)
    ann = connect(*relay.address)
    relay.move_caller()     # the listener sees Ann under another port from now on
    relay.move_callee()     # and Ann sees the listener under another

All is on loopback, and nothing is left behind by `close`.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import pairwise
from time import monotonic

from io_support import PATIENCE
from strength_support import weight

from palaver import Address, Endpoint, Timing
from palaver.sim import FaultInjector, Faults
from palaver_io import Conversation
from palaver_io.station import Station

ONE_WAY = 0.015
RTT = 2 * ONE_WAY
QUIET = Faults(delay=ONE_WAY)
LOSSY = Faults(loss=0.2, delay=ONE_WAY)
TALK = Timing(linger_min=0.05, linger_max=0.2)
"""The default, but for the end of a test: nobody needs to stay for long."""

TABLES = ("links", "half_open", "waiting", "hosts", "tombstones")
"""What a machine remembers, by its name in `stats()`."""

_DOORS = 16  # ports that each side of a relay can show in its life


def open_socket(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """Open a UDP socket that doesn't wait and has room for a burst."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.setblocking(False)
    sock.bind((host, port))
    return sock


def read_all(sock: socket.socket) -> list[tuple[bytes, Address]]:
    """Give what has arrived at a socket, and from where."""
    found: list[tuple[bytes, Address]] = []
    while True:
        try:
            found.append(sock.recvfrom(65536))
        except BlockingIOError:
            return found
        except ConnectionError:  # somebody has closed a socket: no matter
            continue


class Side:
    """One side of a relay: the doors that the party there sees, one of which is in use."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self.doors = [open_socket() for _ in range(_DOORS)]
        self.open = 0
        # Where the party is; None until it has sent something.
        self.party: Address | None = None
        # What becomes of what the party sends, and all of it that came to the open door.
        self.injector = FaultInjector(faults, seed)
        self.overheard: list[bytes] = []
        # How many datagrams were passed on to the party.
        self.passed_on = 0

    @property
    def door(self) -> socket.socket:
        """The door in use: what goes to another one is lost."""
        return self.doors[self.open]


class Relay:
    """Stands between a caller and `target` like a NAT on either side, with a bad network between.

    Has one thread. `strays` counts the datagrams that came to a port which was no longer in use.
    """

    def __init__(self, target: Address, seed: int, faults: Faults = QUIET) -> None:
        self.strays = 0
        self._caller = Side(faults, 2 * seed)
        self._callee = Side(faults, 2 * seed + 1)
        self._callee.party = target
        self.address: Address = self._caller.door.getsockname()
        """What the caller is to call."""
        # Under way: release, a number to keep the order, bytes, and whether to the callee.
        self._air: list[tuple[float, int, bytes, bool]] = []
        self._count = 0
        self._wake_out, self._wake_in = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake_out, selectors.EVENT_READ)
        for side in (self._caller, self._callee):
            for door in side.doors:
                self._selector.register(door, selectors.EVENT_READ, side)
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    # Getters

    @property
    def from_caller(self) -> list[bytes]:
        """All that the caller has sent to a port in use, also what was lost or is under way."""
        return self._caller.overheard

    @property
    def from_callee(self) -> list[bytes]:
        return self._callee.overheard

    @property
    def lost(self) -> tuple[int, int]:
        """How many datagrams of the caller and of the callee the network has lost."""
        return self._caller.injector.counters.dropped, self._callee.injector.counters.dropped

    def passed_on(self, *, to_caller: bool) -> int:
        """Give how many datagrams were passed on to one of them, or are about to be."""
        return (self._caller if to_caller else self._callee).passed_on

    # Verbs

    def move_caller(self) -> None:
        """Show the caller to the callee under another port."""
        self._callee.open += 1

    def move_callee(self) -> None:
        self._caller.open += 1

    def close(self) -> None:
        self._wake_in.close()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    # The thread

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        finally:
            self._selector.close()
            self._wake_out.close()
            for door in (*self._caller.doors, *self._callee.doors):
                door.close()

    def _turn(self) -> bool:
        wait = max(0.0, self._air[0][0] - monotonic()) if self._air else None
        for key, _ in self._selector.select(wait):
            if key.fileobj is self._wake_out:
                return False
            assert isinstance(key.fileobj, socket.socket)
            self._take(key.data, key.fileobj)
        while self._air and self._air[0][0] <= monotonic():
            _, _, data, to_callee = heappop(self._air)
            side = self._callee if to_callee else self._caller
            if side.party is not None:
                side.passed_on += 1
                side.door.sendto(data, side.party)
        return True

    def _take(self, side: Side, door: socket.socket) -> None:
        for data, source in read_all(door):
            if door is not side.door:
                self.strays += 1
                continue
            if side is self._caller:
                side.party = source
            side.overheard.append(data)
            for release, copy in side.injector.apply(data, monotonic()):
                self._count += 1
                heappush(self._air, (release, self._count, copy, side is self._caller))


class Hearer:
    """Writes down when a conversation has heard what, in a thread of its own."""

    def __init__(self, conversation: Conversation, who: str) -> None:
        self.conversation = conversation
        self.who = who
        self.heard: list[tuple[float, str]] = []
        self.trouble: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=who, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for text in self.conversation:
                self.heard.append((monotonic(), text))
        except Exception as exc:  # noqa: BLE001 - for the test to see
            self.trouble = exc

    def join(self) -> None:
        self._thread.join(PATIENCE)
        assert self.trouble is None, f"{self.who}: {self.trouble!r}"
        assert not self._thread.is_alive(), f"{self.who} still waits for the end"

    def abort(self) -> None:
        """End the conversation and the thread."""
        self.conversation.abort()
        self._thread.join(PATIENCE)


class Chat:
    """Two ends of a conversation; each says numbered texts, and each writes down what it hears."""

    def __init__(self, label: str, ann: Conversation, bob: Conversation) -> None:
        self.label = label
        self.ann = Hearer(ann, f"{label}: Ann")
        self.bob = Hearer(bob, f"{label}: Bob")
        # When each number was said, by both at the same time.
        self.said: list[float] = []

    @property
    def hearers(self) -> tuple[Hearer, Hearer]:
        return self.ann, self.bob

    def say(self) -> None:
        """Let both say the next text, of 64 bytes."""
        text = f"{len(self.said):064}"
        self.said.append(monotonic())
        for hearer in self.hearers:
            hearer.conversation.send(text, timeout=PATIENCE)

    def say_until(self, condition: Callable[[], bool], every: float = 0.01) -> None:
        """Let both talk, every so many seconds, until something holds."""
        pacer, until = threading.Event(), monotonic() + PATIENCE
        while not condition():
            assert monotonic() < until, f"{self.label}: it never came"
            for hearer in self.hearers:
                assert hearer.trouble is None, f"{hearer.who}: {hearer.trouble!r}"
            self.say()
            pacer.wait(every)

    def is_heard_since(self, moment: float) -> bool:
        """Tell whether both have heard something that was said after `moment`."""
        return all(one.heard and self.said[int(one.heard[-1][1])] > moment for one in self.hearers)

    def longest_pause(self, since: float) -> float:
        """Give the longest time that either heard nothing, of those that ended after `since`."""
        longest = 0.0
        for hearer in self.hearers:
            times = [time for time, _ in hearer.heard]
            for before, after in pairwise(times):
                if after > since:
                    longest = max(longest, after - before)
        return longest

    def delays(self) -> list[float]:
        """Give the seconds from saying to hearing, of all that was heard, shortest first."""
        return sorted(
            time - self.said[int(text)] for one in self.hearers for time, text in one.heard
        )

    def finish(self) -> None:
        """Let all arrive: once, in order, and everybody is told so."""
        for hearer in self.hearers:
            hearer.conversation.finish()
        for hearer in self.hearers:
            hearer.join()
            hearer.conversation.flush(PATIENCE)
            numbers = [int(text) for _, text in hearer.heard]
            assert numbers == list(range(len(self.said))), hearer.who
            assert hearer.conversation.closed is None, hearer.who


def station_of(conversation: Conversation) -> Station:
    """Give what runs a conversation, for looking at."""
    return conversation._dialogue.station


def stats_of(conversation: Conversation) -> dict[str, int]:
    """Give the counts of the machine that a conversation is in."""
    station = station_of(conversation)
    return station.driver.inspect(station._machine.stats)


def tables_of(conversation: Conversation) -> dict[str, int]:
    """Give how much the machine of a conversation remembers."""
    stats = stats_of(conversation)
    return {name: stats[name] for name in TABLES}


def weight_of(endpoint: Endpoint) -> int:
    """Count all that an endpoint holds on to, but for its timers; under the lock.

    Timers that were put off stay on a heap until they come to its top: how many there are is a
    matter of luck, up to a bound.
    """
    heap = endpoint._agenda.heap
    assert len(heap) <= 2 * len(endpoint.links) + 64, f"{len(heap)} timers"
    return weight(endpoint) - weight(heap)

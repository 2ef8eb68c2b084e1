"""What a message costs: two links in one process, no sockets.

    python benchmarks/link_cost.py

Prints the processor time per message, both ends and all acknowledgements included, and the memory
of an idle link. The time includes what a driver does anyway: making events, ticking, looking at
actions. Beside each figure stands the same in units of the machine itself: the time that Python
needs here to compute a CRC-32 of 1 KiB and to make a small object, so that figures of different
machines can be compared.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
import tracemalloc
from pathlib import Path
from zlib import crc32

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from palaver import (
    Datagram,
    Delivered,
    Dial,
    Endpoint,
    Event,
    Received,
    Send,
    Tick,
    Transmit,
    WouldBlock,
)

CALLER, CALLEE = ("caller", 1), ("callee", 2)
ROLE = "bench"
TICK = Tick()


class Side:
    """An endpoint, what it was told, and the datagrams that are on their way to it."""

    __slots__ = ("address", "arriving", "delivered", "machine", "peer", "received")

    def __init__(self, address: tuple[str, int], machine: Endpoint) -> None:
        self.address = address
        self.machine = machine
        self.peer = self
        self.arriving: list[bytes] = []
        self.received = self.delivered = 0

    def feed(self, event: Event, now: float) -> None:
        """Handle one event, and what it leads to."""
        for action in self.machine.handle(event, now):
            kind = type(action)
            if kind is Transmit:
                self.peer.arriving.append(action.data)
            elif kind is Received:
                self.received += 1
            elif kind is Delivered:
                self.delivered += 1

    def tick(self, now: float) -> None:
        """End a batch, as a driver does."""
        machine = self.machine
        while (deadline := machine.deadline) is not None and deadline <= now:
            self.feed(TICK, now)


class Pair:
    """Two endpoints, and the wire between them."""

    def __init__(self) -> None:
        """Make them; `open` lets one call the other."""
        self.now = 0.0
        self.caller = Side(CALLER, Endpoint(os.urandom))
        self.callee = Side(CALLEE, Endpoint(os.urandom, roles=[ROLE]))
        self.caller.peer, self.callee.peer = self.callee, self.caller

    def tick(self) -> None:
        """End a batch on both sides."""
        self.caller.tick(self.now)
        self.callee.tick(self.now)

    def settle(self) -> None:
        """Carry datagrams until nothing is in flight, a little later each time."""
        caller, callee = self.caller, self.callee
        while callee.arriving or caller.arriving:
            self.now += 0.0001
            for side in (callee, caller):
                if side.arriving:
                    batch, side.arriving = side.arriving, []
                    for data in batch:
                        side.feed(Datagram(data, side.peer.address), self.now)
            self.tick()

    def call(self) -> None:
        """Open one more link."""
        self.caller.feed(Dial(CALLEE, ROLE), self.now)
        self.tick()
        self.settle()

    def let_acks_go(self) -> None:
        """Wait until no acknowledgement is owed."""
        self.now += 0.05
        self.tick()
        self.settle()


def microseconds_per_message(size: int, burst: int, messages: int) -> float:
    """Send `messages` in bursts, each burst before one tick, and give the cost of one."""
    pair = Pair()
    pair.call()
    caller = pair.caller
    body = bytes((16,)) + bytes(size - 1)
    started = time.process_time()
    sent = 0
    while sent < messages:
        for _ in range(burst):
            try:
                caller.feed(Send(1, body, sent), pair.now)
            except WouldBlock:
                break
            sent += 1
        caller.tick(pair.now)
        pair.settle()
    pair.let_acks_go()
    spent = time.process_time() - started
    received, delivered = pair.callee.received, caller.delivered
    if not received == delivered == sent:
        raise SystemExit(f"sent {sent}, received {received}, delivered {delivered}")
    return spent / sent * 1e6


def bytes_per_idle_link(links: int) -> float:
    """Open links, let them fall silent, and give the memory of one end of one."""
    pair = Pair()
    pair.call()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(links):
        pair.call()
    pair.let_acks_go()
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (after - before) / links / 2


class _Small:
    __slots__ = ("a", "b")

    def __init__(self, a: int, b: int) -> None:
        self.a = a
        self.b = b


def unit() -> float:
    """Give the microseconds of this machine's unit of work."""
    kilobyte, rounds = bytes(1024), 200_000
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        for number in range(rounds):
            crc32(kilobyte)
            _Small(number, number)
        best = min(best, (time.process_time() - started) / rounds * 1e6)
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What a message costs, without sockets.")
    parser.add_argument("--messages", type=int, default=20_000, help="per measurement")
    parser.add_argument("--links", type=int, default=1_000, help="idle links to weigh")
    options = parser.parse_args()
    one = unit()
    print(f"unit of this machine: {one:.2f} µs (a CRC-32 of 1 KiB and a small object)")
    print(f"{'message':>10} {'burst':>6} {'µs/message':>11} {'units':>6}")
    for size, burst in ((1024, 1), (1024, 16), (64, 1), (64, 64)):
        cost = min(microseconds_per_message(size, burst, options.messages) for _ in range(3))
        print(f"{size:>8} B {burst:>6} {cost:>11.1f} {cost / one:>6.1f}")
    print(f"memory of an idle link: {bytes_per_idle_link(options.links):,.0f} bytes at each end")


if __name__ == "__main__":
    main()

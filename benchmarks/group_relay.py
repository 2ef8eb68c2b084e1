"""What it costs a hub to relay posts: without sockets, and beside bare UDP and TCP relays.

    python benchmarks/group_relay.py

First without sockets: the hub's processor time per delivery (one post, at one of the others, all
acknowledgements and receipts included), for rooms of different sizes. Then with real sockets on
this computer: a hub on the asyncio driver, a relay of bare UDP datagrams and one over TCP, each
in a process of its own, do the same for 100 members; the figures are those of that process. The
bare relays give each member what comes from another, and nothing else: no order for all, no
delivery in spite of loss, no names. Each round waits until all have all posts of the one before,
and a "burst" is how many posts a round has.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "adapters"))

from palaver import Address, Datagram, Event, Notice, Tick, Transmit, WouldBlock
from palaver.roles.group.events import Entered, JoinRoom, Post, PostHeard
from palaver.roles.group.hub import Hub
from palaver.roles.group.member import Member
from palaver_io.addresses import open_udp_socket
from palaver_io.asyncio_driver import AsyncioDriver
from palaver_io.udp import UdpPort

HUB: Address = ("hub", 1)
TEXT = "x" * 64
TOGETHER = 50
"""Members that join at a time."""


# Without sockets


class Room:
    """A hub and members; what they send is handed over by a function call."""

    def __init__(self, members: int) -> None:
        """Let them all come in, and fall silent."""
        self.now = 0.0
        self.hub = Hub(os.urandom)
        self.members = {(f"10.{n >> 8}.{n & 255}.1", 1): Member(os.urandom) for n in range(members)}
        self.on_wire: list[tuple[Transmit, Address]] = []
        self.seconds = 0.0
        self.heard = 0
        waiting = list(self.members)
        while waiting:
            for address in waiting[:TOGETHER]:
                self.feed(address, JoinRoom(HUB, address[0]))
                self.tick(address)
            del waiting[:TOGETHER]
            self.settle()
        self.rest(1.0)

    def machine(self, address: Address) -> Hub | Member:
        """Give who is at an address."""
        return self.hub if address == HUB else self.members[address]

    def feed(self, address: Address, event: Event) -> None:
        """Handle one event, and put aside what is sent."""
        machine = self.machine(address)
        started = time.process_time()
        actions = machine.handle(event, self.now)
        if machine is self.hub:
            self.seconds += time.process_time() - started
        for action in actions:
            if type(action) is Transmit:
                self.on_wire.append((action, address))
            elif type(action) is PostHeard:
                self.heard += 1

    def tick(self, address: Address) -> None:
        """End a batch, as a driver does."""
        machine = self.machine(address)
        while (deadline := machine.deadline) is not None and deadline <= self.now:
            self.feed(address, Tick())

    def settle(self) -> None:
        """Carry datagrams until none is on its way, a little later each time."""
        while self.on_wire:
            self.now += 0.0005
            batch, self.on_wire = self.on_wire, []
            for transmit, source in batch:
                self.feed(transmit.destination, Datagram(transmit.data, source))
            for address in {transmit.destination for transmit, _ in batch}:
                self.tick(address)

    def rest(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while self.now < until:
            self.now += 0.025
            for address in (HUB, *self.members):
                self.tick(address)
            self.settle()

    def cost(self, burst: int, deliveries: int) -> float:
        """Give the hub's microseconds per delivery."""
        author = next(iter(self.members))
        self.seconds, self.heard = 0.0, 0
        rounds = max(3, deliveries // (burst * (len(self.members) - 1)))
        for _ in range(rounds):
            for number in range(burst):
                self.feed(author, Post(1, TEXT, number))
            self.tick(author)
            self.settle()
            self.rest(0.05)
        if self.heard != rounds * burst * (len(self.members) - 1):
            raise SystemExit(f"{self.heard} deliveries in {rounds} rounds of {burst}")
        return self.seconds / self.heard * 1e6


def memory_of_hub(members: int) -> int:
    """Give the bytes that a silent hub holds."""
    gc.collect()
    tracemalloc.start()
    room = Room(members)
    gc.collect()
    with_hub = tracemalloc.get_traced_memory()[0]
    del room.hub
    gc.collect()
    held = with_hub - tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return held


def print_growth(sizes: list[int], deliveries: int) -> None:
    """Print the costs for rooms of these sizes."""
    print("without sockets: the hub's µs per delivery, and its memory per member")
    print(f"{'members':>8} {'1 post at a time':>17} {'bursts of 20':>13} {'KiB':>6}")
    for size in sizes:
        room = Room(size)
        memory = memory_of_hub(size) / size / 1024
        one, many = room.cost(1, deliveries), room.cost(20, deliveries)
        print(f"{size:>8} {one:>17.1f} {many:>13.1f} {memory:>6.1f}")


# The relays, each in a process of its own


def serve_palaver(ready: Any) -> None:  # noqa: ANN401
    """Be a hub on the asyncio driver."""

    async def run() -> None:
        sock = open_udp_socket("127.0.0.1", 0)
        driver = AsyncioDriver(Hub(os.urandom), UdpPort(sock), lambda _: None)
        ready(driver.address[1])
        await driver.wait_until(lambda: False)

    asyncio.run(run())


def serve_udp(ready: Any) -> None:  # noqa: ANN401
    """Be a relay of bare datagrams: whoever has sent one is a member."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    sock.bind(("127.0.0.1", 0))
    ready(sock.getsockname()[1])
    members: set[Any] = set()
    while True:
        data, source = sock.recvfrom(2048)
        members.add(source)
        if data:
            for member in members:
                if member != source:
                    sock.sendto(data, member)


def serve_tcp(ready: Any) -> None:  # noqa: ANN401
    """Be a relay of lines."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    ready(listener.getsockname()[1])
    members: list[socket.socket] = []
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            if sock is listener:
                member, _ = listener.accept()
                member.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                members.append(member)
                selector.register(member, selectors.EVENT_READ)
                continue
            data = sock.recv(65536)
            if not data:
                return
            for member in members:
                if member is not sock:
                    member.sendall(data)


SERVERS = {"palaver": serve_palaver, "udp": serve_udp, "tcp": serve_tcp}


def serve(kind: str) -> None:
    """Be a relay that says where it is, and, when asked, how much processor time it has used."""

    def answer() -> None:
        for _ in sys.stdin:
            print(time.process_time(), flush=True)
        os._exit(0)

    threading.Thread(target=answer, daemon=True).start()
    SERVERS[kind](lambda port: print(port, flush=True))


class Relay:
    """A relay in a process of its own."""

    def __init__(self, kind: str) -> None:
        """Start it."""
        arguments = [sys.executable, __file__, "--serve", kind]
        self._process = subprocess.Popen(  # noqa: S603 - this very program
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.address = ("127.0.0.1", int(self._process.stdout.readline()))

    def processor_time(self) -> float:
        """Give the seconds that it has used."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


class Figures:
    """Deliveries per second, and the relay's microseconds for each."""

    def __init__(self, relay: Relay) -> None:
        """Begin to measure."""
        self._relay = relay
        self._began, self._used = time.perf_counter(), relay.processor_time()

    def per(self, deliveries: int) -> tuple[float, float]:
        """Give both."""
        used = self._relay.processor_time() - self._used
        return deliveries / (time.perf_counter() - self._began), used / deliveries * 1e6


async def measure_palaver(members: int, burst: int, rounds: int) -> tuple[float, float]:
    """Let members of a real hub talk."""
    relay = Relay("palaver")
    heard = entered = 0
    news = asyncio.Event()

    def note(notice: Notice) -> None:
        nonlocal heard, entered
        heard += type(notice) is PostHeard
        entered += type(notice) is Entered
        news.set()

    async def wait_until(predicate: Callable[[], bool]) -> None:
        while not predicate():
            news.clear()
            await news.wait()

    drivers = [
        AsyncioDriver(Member(os.urandom), UdpPort(open_udp_socket("127.0.0.1", 0)), note)
        for _ in range(members)
    ]
    try:
        for number, driver in enumerate(drivers):
            driver.perform(JoinRoom(relay.address, f"member {number}"))
            await wait_until(lambda number=number: entered > number)  # type: ignore[misc]
        await asyncio.sleep(1.0)
        figures = Figures(relay)
        wanted = heard
        for _ in range(rounds):
            for number in range(burst):
                with suppress(WouldBlock):
                    drivers[0].post(Post(1, TEXT, number))
                    wanted += members - 1
            await wait_until(lambda wanted=wanted: heard >= wanted)  # type: ignore[misc]
        # With what it owes to the round: acknowledgements and receipts.
        await asyncio.sleep(0.3)
        rate, cost = figures.per(rounds * burst * (members - 1))
        return rate, cost
    finally:
        for driver in drivers:
            driver.close()
        relay.close()


def measure_bare(kind: str, members: int, burst: int, rounds: int) -> tuple[float, float]:
    """Let plain sockets talk through a bare relay."""
    relay = Relay(kind)
    tcp = kind == "tcp"
    socks = []
    for _ in range(members):
        if tcp:
            sock = socket.create_connection(relay.address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            sock.connect(relay.address)
            sock.send(b"")
        sock.settimeout(0)
        socks.append(sock)
    time.sleep(0.5)
    selector = selectors.DefaultSelector()
    for sock in socks:
        selector.register(sock, selectors.EVENT_READ)
    line = TEXT.encode()
    try:
        figures = Figures(relay)
        for _ in range(rounds):
            for _ in range(burst):
                socks[0].send(line)
            missing = burst * (members - 1) * len(line)
            while missing:
                ready = selector.select(5.0)
                if not ready:
                    raise SystemExit(f"{kind}: {missing} bytes were lost")
                for key, _ in ready:
                    assert isinstance(key.fileobj, socket.socket)
                    with suppress(BlockingIOError):
                        while missing:
                            missing -= len(key.fileobj.recv(65536))
        return figures.per(rounds * burst * (members - 1))
    finally:
        selector.close()
        for sock in socks:
            sock.close()
        relay.close()


def print_beside(members: int, rounds: int) -> None:
    """Print the three relays beside each other."""
    print(f"\nwith sockets, {members} members: µs of the relay's processor time per delivery,")
    print("deliveries per second as seen by all members in one other process, and ratios to UDP")
    print(f"{'relay':>8} {'burst':>6} {'µs':>7} {'ratio':>6} {'per second':>11}")
    for burst in (1, 20):
        several = max(4, rounds // burst)
        found = {
            "udp": measure_bare("udp", members, burst, several),
            "tcp": measure_bare("tcp", members, burst, several),
            "palaver": asyncio.run(measure_palaver(members, burst, several)),
        }
        for kind, (rate, cost) in found.items():
            ratio = cost / found["udp"][1]
            print(f"{kind:>8} {burst:>6} {cost:>7.1f} {ratio:>6.1f} {rate:>11,.0f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What it costs a hub to relay posts.")
    parser.add_argument("--serve", choices=SERVERS, help=argparse.SUPPRESS)
    parser.add_argument("--members", type=int, default=100, help="with sockets")
    parser.add_argument("--rounds", type=int, default=200, help="posts per measurement")
    parser.add_argument("--deliveries", type=int, default=20_000, help="without sockets")
    parser.add_argument(
        "--sizes", type=int, nargs="*", default=[10, 30, 100, 300, 1000], help="of rooms"
    )
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    print_growth(options.sizes, options.deliveries)
    print_beside(options.members, options.rounds)


if __name__ == "__main__":
    main()

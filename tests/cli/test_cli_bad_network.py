"""Chats over a network that loses, repeats, reorders and makes things up."""

from __future__ import annotations

import random
import socket
import subprocess
import threading
import time

from cli_support import Process, assert_same, running


def _texts(process: Process) -> list[str]:
    return [line.partition(": ")[2] for line in process.out]


def test_500_lines_each_way_arrive_once_and_in_order() -> None:
    faults = ("--loss", "30%", "--dup", "20%", "--reorder", "0.2", "--seed")
    ours, theirs = ([f"{name} {number}" for number in range(500)] for name in ("ours", "theirs"))
    with running() as processes:
        ann, address = processes.listen("--name", "Ann", *faults, "1")
        bob = processes.call(address, "--name", "Bob", "--wait", *faults, "2")
        for process, lines in ((ann, theirs), (bob, ours)):
            process.type(*lines)
            process.end_input()
        assert (bob.finish(120.0), ann.finish()) == (0, 0), (ann, bob)
        assert_same(_texts(ann), ours)
        assert_same(_texts(bob), theirs)


def test_large_lines_over_a_corrupting_network() -> None:
    faults = ("--loss", "5%", "--corrupt", "10%")
    lines = [str(number) * 30_000 for number in range(5)]
    with running() as processes:
        ann, address = processes.listen("--name", "Ann", *faults, stdin=subprocess.DEVNULL)
        bob = processes.call(address, "--name", "Bob", *faults)
        bob.type(*lines)
        bob.end_input()
        assert (bob.finish(60.0), ann.finish()) == (0, 0), (ann, bob)
        assert_same(_texts(ann), lines)


def test_more_is_sent_than_fits_into_any_queue() -> None:
    lines = [f"{number} {'~' * 1000}" for number in range(3000)]
    with running() as processes:
        ann, address = processes.listen("--json", stdin=subprocess.DEVNULL)
        bob = processes.call(address, "--json")
        bob.type(*lines)
        bob.end_input()
        assert (bob.finish(120.0), ann.finish()) == (0, 0), (ann, bob)
        assert_same([one["text"] for one in ann.events("message")], lines)
        assert_same([one["line"] for one in bob.events("delivered")], range(1, 3001))


class _Relay:
    """Stands between two processes, passes everything on, and remembers it."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.seen: list[bytes] = []
        self._target = target
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._caller: tuple[str, int] | None = None
        for sock in (self._front, self._back):
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(0.1)
        self.address = f"127.0.0.1:{self._front.getsockname()[1]}"
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._pass, args=(sock,), daemon=True)
            for sock in (self._front, self._back)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stopping = True
        for thread in self._threads:
            thread.join()
        self._front.close()
        self._back.close()

    def _pass(self, sock: socket.socket) -> None:
        while not self._stopping:
            try:
                data, source = sock.recvfrom(65536)
            except TimeoutError:
                continue
            self.seen.append(data)
            if sock is self._front:
                self._caller = source
                self._back.sendto(data, self._target)
            elif self._caller is not None:
                self._front.sendto(data, self._caller)


def _make_garbage(seen: list[bytes], rng: random.Random) -> bytes:
    real = rng.choice(seen)
    match rng.randrange(4):
        case 0:
            return rng.randbytes(rng.randrange(1400))
        case 1:
            return real[: rng.randrange(len(real))]
        case 2:
            return real[:1] + rng.randbytes(rng.randrange(100))
        case _:
            place = rng.randrange(len(real))
            return real[:place] + bytes([real[place] ^ (1 << rng.randrange(8))]) + real[place + 1 :]


def test_garbage_does_not_disturb_a_chat() -> None:
    rng = random.Random(7)
    with running() as processes:
        ann, address = processes.listen("--name", "Ann")
        host, _, port = address.partition(":")
        relay = _Relay((host, int(port)))
        try:
            bob = processes.call(relay.address, "--name", "Bob")
            ann.wait_for_err("Bob (")
            bob.type("before")
            ann.wait_for_out("Bob: before")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
                for number in range(10_000):
                    attacker.sendto(_make_garbage(relay.seen, rng), (host, int(port)))
                    if number % 100 == 0:
                        bob.type(f"bob {number}")
                        ann.type(f"ann {number}")
                        time.sleep(0.005)
            bob.type("after")
            ann.wait_for_out("Bob: after")
            ann.wait_for(lambda: len(bob.out) == 100)
            bob.type("exit")
            assert (bob.finish(), ann.finish()) == (0, 0)
        finally:
            relay.close()
        numbers = range(0, 10_000, 100)
        assert_same(_texts(ann), ["before", *(f"bob {number}" for number in numbers), "after"])
        assert_same(_texts(bob), [f"ann {number}" for number in numbers])

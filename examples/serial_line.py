"""Two machines on the ends of a serial line that loses and garbles bytes.

    PYTHONPATH=src python3 examples/serial_line.py [SEED]

The line is a pseudo-terminal, so this needs a POSIX system; with a real serial port only
`open_line` would differ. A line carries bytes, not datagrams: SLIP (RFC 1055) marks where each of
those begins and ends. Of 1,000 bytes about two get lost and two get another value. A datagram that
has suffered is too long or fails its checksum, and what it carried is sent again: the conversation
is exact all the same.
"""

from __future__ import annotations

import os
import pty
import selectors
import sys
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random

from palaver import (
    Address,
    Call,
    Closed,
    ConversationOpened,
    Datagram,
    Duo,
    Event,
    Leave,
    Limits,
    Said,
    Say,
    Tick,
    Transmit,
)

MTU = 64  # bytes of a datagram: a short one is soon repeated, and less is likely to hit it
FAR: Address = ("line", 0)  # on a line there is nobody but the other end
LOST = FLIPPED = 0.002  # of all bytes
PATIENCE = 60.0  # seconds until something must have gone wrong
MOST_UNSENT = 4096  # bytes that wait for a slow line; datagrams beyond are dropped

END, ESC, ESC_END, ESC_ESC = b"\xc0", b"\xdb", b"\xdb\xdc", b"\xdb\xdd"


def slip(datagram: bytes) -> bytes:
    """Frame a datagram: END on both sides, and none within."""
    return END + datagram.replace(ESC, ESC_ESC).replace(END, ESC_END) + END


class Unslip:
    """Takes bytes as they come and gives the datagrams in them, however damaged."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Give the datagrams that are complete now."""
        *frames, self.rest = (self.rest + data).split(END)
        self.rest = self.rest[: 2 * MTU + 1]  # what is longer never was a datagram of ours
        plain = [one.replace(ESC_END, END).replace(ESC_ESC, ESC) for one in frames]
        return [datagram for datagram in plain if 0 < len(datagram) <= MTU]


class Station:
    """One end of the line, with its machine."""

    def __init__(self, name: str, line: int, random: Random) -> None:
        self.name = name
        self.line = line
        self.random = random
        self.machine = Duo(random.randbytes, name=name, limits=Limits(mtu=MTU))
        self.unslip = Unslip()
        self.unsent = b""
        self.lost = self.flipped = 0  # bytes
        self.link = 0  # its number, once the conversation is open
        self.heard: list[str] = []

    def feed(self, event: Event) -> None:
        """Hand an event to the machine, and do everything that it asks for, in order."""
        for action in self.machine.handle(event, time.monotonic()):
            if isinstance(action, Transmit):
                if len(self.unsent) < MOST_UNSENT:  # a whole frame or none
                    self.unsent += self.spoil(slip(action.data))
            elif isinstance(action, ConversationOpened):
                self.link = action.link
            elif isinstance(action, Said):
                self.heard.append(action.text)
            elif isinstance(action, Closed):
                print(f"{self.name} is done: {action.describe()}")

    def read(self) -> None:
        """Take what has come down the line."""
        for datagram in self.unslip.feed(os.read(self.line, 4096)):
            self.feed(Datagram(datagram, FAR))

    def settle(self) -> None:
        """End a batch: tick, and write what the line takes."""
        while (deadline := self.machine.deadline) is not None and deadline <= time.monotonic():
            self.feed(Tick())
        with suppress(BlockingIOError):
            while self.unsent:
                self.unsent = self.unsent[os.write(self.line, self.unsent) :]

    def spoil(self, data: bytes) -> bytes:
        """Do to bytes what a bad line does."""
        spoiled = bytearray()
        for byte in data:
            chance = self.random.random()
            if chance < LOST:
                self.lost += 1
            elif chance < LOST + FLIPPED:
                self.flipped += 1
                spoiled.append(byte ^ 1 << self.random.randrange(8))
            else:
                spoiled.append(byte)
        return bytes(spoiled)


@contextmanager
def open_line() -> Iterator[tuple[int, int]]:
    """Open both ends of a line that leaves bytes as they are."""
    ends = pty.openpty()
    try:
        for end in ends:
            tty.setraw(end)
            os.set_blocking(end, False)
        yield ends
    finally:
        for end in ends:
            os.close(end)


def run(stations: list[Station], until: Callable[[], object]) -> None:
    """Wait for bytes, for room for bytes or for a deadline; handle; repeat."""
    give_up = time.monotonic() + PATIENCE
    with selectors.DefaultSelector() as selector:
        for one in stations:
            selector.register(one.line, selectors.EVENT_READ, one)
        while True:
            for one in stations:
                one.settle()
                writes = selectors.EVENT_WRITE if one.unsent else 0
                selector.modify(one.line, selectors.EVENT_READ | writes, one)
            if until():
                return
            if time.monotonic() > give_up:
                raise TimeoutError(f"not done after {PATIENCE} s")
            deadlines = [one.machine.deadline for one in stations]
            until_when = min([give_up, *(one for one in deadlines if one is not None)])
            for key, events in selector.select(max(0, until_when - time.monotonic())):
                if events & selectors.EVENT_READ:
                    key.data.read()


def main(seed: int) -> None:
    """Let Ann and Bob tell each other twenty things, and compare."""
    random = Random(seed)
    told = [random.randbytes(random.randrange(120)).hex() for _ in range(20)]
    with open_line() as (left, right):
        ann, bob = Station("Ann", left, random), Station("Bob", right, random)
        ann.feed(Call(FAR))
        run([ann, bob], lambda: ann.link and bob.link)
        for text in told:
            ann.feed(Say(ann.link, text))
            bob.feed(Say(bob.link, text))
        run([ann, bob], lambda: len(ann.heard) == len(bob.heard) == len(told))
        ann.feed(Leave(ann.link))
        run([ann, bob], lambda: ann.machine.is_idle and bob.machine.is_idle)
    for one in (ann, bob):
        refused = one.machine.stats()["damaged"]
        print(f"What {one.name} sent: {one.lost} bytes were lost, {one.flipped} got another value.")
        print(f"{one.name} refused {refused} datagrams, and heard all: {one.heard == told}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)

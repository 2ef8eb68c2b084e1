"""A conversation over a serial line: datagrams of 64 bytes, framed with SLIP (RFC 1055).

    python examples/serial_line.py                      # both ends, over a pseudo-terminal
    python examples/serial_line.py listen /dev/ttyUSB0  # one end of a real line, set to raw
    python examples/serial_line.py call /dev/ttyUSB1

The line may lose and spoil bytes: SLIP finds the next frame, the tag of a packet tells what was
spoiled, and the link repeats it. An address means nothing here; there is one peer.
"""

from __future__ import annotations

import os
import selectors
import sys
import time
import tty
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from palaver import (
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

END, ESC, ESC_END, ESC_ESC = b"\xc0", b"\xdb", b"\xdb\xdc", b"\xdb\xdd"
PEER = ("line", 0)
LONGEST = 2 * 64 + 2  # bytes of a frame in which every byte is escaped


class Line:
    """One end of the line, with the machine at it."""

    def __init__(self, descriptor: int, name: str) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self.name = name
        self.machine = Duo(os.urandom, name=name, limits=Limits(mtu=64))
        self.is_over = False
        self._buffer = b""

    def feed(self, event: Event) -> None:
        """Hand an event in, and do what the machine asks for."""
        for action in self.machine.handle(event, time.monotonic()):
            if isinstance(action, Transmit):
                self._write(action.data)
            elif isinstance(action, ConversationOpened):
                self.feed(Say(action.link, f"this is {self.name}, over a wire " + "~" * 500))
            elif isinstance(action, Said):
                print(f"{self.name} hears: {action.text.rstrip('~')}", flush=True)
                self.feed(Leave(action.link))
            elif isinstance(action, Closed):
                print(f"{self.name}: {action.describe()}", flush=True)
                self.is_over = True

    def read(self) -> None:
        """Hand in the datagrams that have come."""
        for data in self._frames():
            self.feed(Datagram(data, PEER))

    def settle(self) -> float:
        """End a batch: tick while something is due. Give the seconds until something will be."""
        while (due := self.machine.deadline) is not None and due <= time.monotonic():
            self.feed(Tick())
        return 3600.0 if due is None else max(0.0, due - time.monotonic())

    def _write(self, data: bytes) -> None:
        frame = END + data.replace(ESC, ESC_ESC).replace(END, ESC_END) + END
        try:
            os.write(self.descriptor, frame)  # what does not fit is lost, and sent again
        except BlockingIOError:
            return

    def _frames(self) -> Iterator[bytes]:
        try:
            self._buffer += os.read(self.descriptor, 4096)
        except BlockingIOError:
            return
        *frames, rest = self._buffer.split(END)
        self._buffer = rest[-LONGEST:]
        for frame in frames:
            if frame:
                yield frame.replace(ESC_END, END).replace(ESC_ESC, ESC)


def run(*lines: Line) -> None:
    """Run these ends of lines until their conversations are over."""
    with selectors.DefaultSelector() as selector:
        for line in lines:
            selector.register(line.descriptor, selectors.EVENT_READ, line)
        while not all(line.is_over and line.machine.is_idle for line in lines):
            wait = min(line.settle() for line in lines)
            for key, _ in selector.select(wait):
                key.data.read()


def main() -> None:
    """Run one end, or both."""
    if len(sys.argv) == 3:
        descriptor = os.open(sys.argv[2], os.O_RDWR | os.O_NOCTTY)
        tty.setraw(descriptor)
        line = Line(descriptor, sys.argv[1])
        if sys.argv[1] == "call":
            line.feed(Call(PEER))
        run(line)
    else:
        one, other = os.openpty()
        tty.setraw(other)
        ann, bob = Line(one, "Ann"), Line(other, "Bob")
        ann.feed(Call(PEER))
        run(ann, bob)


if __name__ == "__main__":
    main()

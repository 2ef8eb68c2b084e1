"""Two machines joined by two queues: no sockets, no threads, no clock.

    python examples/two_machines.py

All of Palaver is here but the wire: whatever carries bytes can take the place of the queues. Time
is a number that jumps to the next deadline, so a whole conversation takes a moment.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from palaver import (
    Address,
    Call,
    ConversationOpened,
    Datagram,
    Duo,
    Event,
    Leave,
    Said,
    Say,
    Tick,
    Transmit,
)


class End:
    """A machine, and what is on its way to it."""

    def __init__(self, name: str) -> None:
        self.address: Address = (name, 0)
        self.machine = Duo(os.urandom, name=name)
        self.arriving: deque[Datagram] = deque()


def feed(end: End, peer: End, event: Event, now: float) -> None:
    """Hand an event in, and do what the machine asks for."""
    for action in end.machine.handle(event, now):
        if isinstance(action, Transmit):
            peer.arriving.append(Datagram(action.data, source=end.address))
            continue
        print(f"{now:6.3f} s  {end.address[0]}: {action}")
        # Commands come after the notices, and never from within `handle`; here that is now.
        if isinstance(action, ConversationOpened) and action.inbound:
            feed(end, peer, Say(action.link, "hello, whoever you are"), now)
        elif isinstance(action, Said) and end.address[0] == "ann":
            feed(end, peer, Leave(action.link), now)


def main() -> None:
    """Let Ann call Bob, hear him, and leave."""
    ann, bob = End("ann"), End("bob")
    now = 0.0
    feed(ann, bob, Call(bob.address), now)
    while True:
        for end, peer in ((ann, bob), (bob, ann)):
            while end.arriving:
                feed(end, peer, end.arriving.popleft(), now)
            # The end of a batch: only ticks send.
            while end.machine.deadline is not None and end.machine.deadline <= now:
                feed(end, peer, Tick(), now)
        if ann.arriving or bob.arriving:
            continue
        deadlines = [one.machine.deadline for one in (ann, bob)]
        if ann.machine.is_idle and bob.machine.is_idle:
            return
        now = max(now, min(due for due in deadlines if due is not None))


if __name__ == "__main__":
    main()

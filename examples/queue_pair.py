"""Two machines with a queue between them: no socket, no clock, no waiting.

    PYTHONPATH=src python3 examples/queue_pair.py [SEED]

Time is only a number here, and jumps from one happening to the next: a datagram arrives, or a
deadline comes. The queue loses a third of what it is given. All of that follows from the seed, so a
run can be repeated exactly.
"""

from __future__ import annotations

import sys
from heapq import heappop, heappush
from random import Random

from palaver import (
    Address,
    Call,
    Closed,
    ConversationOpened,
    Datagram,
    Delivered,
    Duo,
    Event,
    Leave,
    Notice,
    Said,
    Say,
    Tick,
    Transmit,
)

ANN, BOB = ("ann", 0), ("bob", 0)  # addresses are whatever you like, as long as they are yours
DELAY = 0.05  # seconds that a datagram takes
LOSS = 1 / 3


class World:
    """Both machines, the queue, and the time."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 0.0
        # Entropy comes in from outside too: here from the seed, in earnest from os.urandom.
        self.machines = {
            ANN: Duo(self.random.randbytes, name="Ann"),
            BOB: Duo(self.random.randbytes, name="Bob"),
        }
        # When it arrives, a number that keeps the order, where, and what.
        self.queue: list[tuple[float, int, Address, Datagram]] = []
        self.sent = 0

    def feed(self, who: Address, event: Event) -> None:
        """Hand an event to a machine, and do everything that it asks for, in order."""
        for action in self.machines[who].handle(event, self.now):
            if isinstance(action, Transmit):
                self.transmit(action, who)
            elif isinstance(action, Notice):
                self.take(who, action)

    def transmit(self, action: Transmit, who: Address) -> None:
        """Put a datagram into the queue, or lose it."""
        self.sent += 1
        if self.random.random() < LOSS:
            self.tell(who, f"... a datagram of {len(action.data)} bytes is lost")
        else:
            datagram = Datagram(action.data, source=who)
            heappush(self.queue, (self.now + DELAY, self.sent, action.destination, datagram))

    def take(self, who: Address, notice: Notice) -> None:
        """Say what a machine has told its program."""
        if isinstance(notice, ConversationOpened):
            self.tell(who, f"talks with {notice.name}")
        elif isinstance(notice, Said):
            self.tell(who, f"hears: {notice.text}")
        elif isinstance(notice, Delivered):
            self.tell(who, f"knows that number {notice.ref} has arrived")
        elif isinstance(notice, Closed):
            self.tell(who, f"is done: {notice.describe()}")

    def tell(self, who: Address, what: str) -> None:
        """Print one line, with the time."""
        print(f"{self.now:6.3f} {who[0]} {what}")

    def tick(self) -> None:
        """End a batch: nothing goes out before, and messages that wait together travel together."""
        for who, machine in self.machines.items():
            while machine.deadline is not None and machine.deadline <= self.now:
                self.feed(who, Tick())

    def run(self, until: float) -> None:
        """Let time pass, from one happening to the next."""
        self.tick()
        while (due := self.next()) is not None and due <= until:
            self.now = max(self.now, due)
            while self.queue and self.queue[0][0] <= self.now:
                _, _, destination, datagram = heappop(self.queue)
                self.feed(destination, datagram)
            self.tick()
        self.now = until

    def next(self) -> float | None:
        """Give when something happens next; None if never."""
        times = [machine.deadline for machine in self.machines.values()]
        times += [arrival for arrival, *_ in self.queue[:1]]
        return min((time for time in times if time is not None), default=None)


def main(seed: int) -> None:
    """Let Ann call Bob, talk and leave."""
    world = World(seed)
    world.feed(ANN, Call(BOB))
    for number, text in enumerate(["no socket was opened", "no clock was read", "goodbye"], 1):
        world.feed(ANN, Say(link=1, text=text, ref=number))  # waits until the link is up
    world.run(until=5.0)
    world.feed(BOB, Say(link=1, text="and yet it arrived"))
    world.feed(BOB, Leave(link=1))
    world.run(until=60.0)
    assert all(machine.is_idle for machine in world.machines.values())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)

"""Palaver in trio: a driver in forty lines, and two who talk by it.

    python examples/trio_talk.py

It needs trio (`pip install trio`). The engine and the port are those of the other drivers; what is
new is how to wait: for the socket, at most until the deadline, which trio lets one move.
"""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "adapters"))

from palaver import (
    Call,
    Closed,
    ConversationOpened,
    Duo,
    Event,
    Leave,
    Machine,
    Notice,
    Said,
    Say,
)
from palaver_io import UdpPort, open_udp_socket
from palaver_io.engine import Engine

BATCH = 256  # datagrams that are read before the tick that answers them


class TrioDriver:
    """Runs `machine` on a UDP socket of this host, for as long as `run` runs."""

    def __init__(self, machine: Machine) -> None:
        self._sock = open_udp_socket("127.0.0.1", 0)
        self._port = UdpPort(self._sock)
        self.address = self._port.address
        # The machine bounds what it tells: a peer has a window, and is asked to wait beyond.
        self._tell, self.notices = trio.open_memory_channel[Notice](math.inf)
        self._engine = Engine(machine, self._port, self._tell.send_nowait, None, trio.current_time)
        self._scope = trio.CancelScope()

    def perform(self, event: Event) -> None:
        """Hand a command to the machine, and do all that it causes."""
        self._engine.command(event)
        # A deadline that was moved forward moves the end of the waiting.
        self._scope.deadline = min(self._scope.deadline, self._due())

    async def run(self) -> None:
        """Drive the machine until cancelled; then close the socket."""
        try:
            while True:
                with trio.CancelScope(deadline=self._due()) as self._scope:
                    await trio.lowlevel.wait_readable(self._sock)
                self._engine.handle(self._port.receive(BATCH))
        finally:
            self._port.close()

    def _due(self) -> float:
        return math.inf if self._engine.deadline is None else self._engine.deadline


async def listen(driver: TrioDriver) -> None:
    """Answer what is said, until the other has left."""
    async for notice in driver.notices:
        if isinstance(notice, Said):
            driver.perform(Say(notice.link, f"{notice.text} yourself"))
        elif isinstance(notice, Closed):
            return


async def talk(driver: TrioDriver) -> None:
    """Say hello, hear the answer, and leave."""
    async for notice in driver.notices:
        print(notice)
        if isinstance(notice, ConversationOpened):
            driver.perform(Say(notice.link, "hello"))
        elif isinstance(notice, Said):
            driver.perform(Leave(notice.link))
        elif isinstance(notice, Closed):
            return


async def main() -> None:
    """Let Ann call Bob."""
    bob = TrioDriver(Duo(os.urandom, name="Bob"))
    ann = TrioDriver(Duo(os.urandom, name="Ann", accept=False))
    async with trio.open_nursery() as drivers:
        drivers.start_soon(bob.run)
        drivers.start_soon(ann.run)
        async with trio.open_nursery() as people:
            people.start_soon(listen, bob)
            people.start_soon(talk, ann)
            ann.perform(Call(bob.address))
        drivers.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)

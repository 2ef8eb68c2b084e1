"""A registry and two people on real sockets, in your own program, by commands and notices.

    PYTHONPATH=src:adapters python3 examples/people.py          # over UDP
    PYTHONPATH=src:adapters python3 examples/people.py --tcp

The roles registry and peer have no facade: `perform` gives a machine a command, and a function of
yours gets every notice. With `SelectorsDriver` or `palaver_io.aio.AsyncioDriver` it is the same.
"""

from __future__ import annotations

import os
import sys
from queue import SimpleQueue
from typing import TypeVar

from palaver import (
    Accept,
    Address,
    CallEnded,
    CallOpened,
    Connect,
    Delivered,
    Depart,
    Departed,
    Enlist,
    Enlisted,
    Heard,
    Notice,
    Peer,
    Registry,
    Ringing,
    Say,
    Terminate,
)
from palaver_io import BlockingDriver, TcpPort, UdpPort, open_tcp_socket, open_udp_socket

N = TypeVar("N", bound=Notice)


def open_port(*, tcp: bool) -> TcpPort | UdpPort:
    """Open a socket at any free port; a peer on TCP must listen, or nobody could call it."""
    if tcp:
        return TcpPort(open_tcp_socket("127.0.0.1", 0))
    return UdpPort(open_udp_socket("127.0.0.1", 0))


class Person:
    """A peer, entered at the registry."""

    def __init__(self, name: str, registry: Address, *, tcp: bool) -> None:
        port = open_port(tcp=tcp)
        listening = port.address[1] if tcp else 0
        peer = Peer(os.urandom, name=name, registry=registry, port=listening, streams=tcp)
        # Called in the driver's thread, so it must be quick: a queue is.
        self._notices: SimpleQueue[Notice] = SimpleQueue()
        self.driver = BlockingDriver(peer, port, self._notices.put)
        self.driver.perform(Enlist())
        print(f"{name} has id {self.wait_for(Enlisted).id}")

    def wait_for(self, kind: type[N]) -> N:
        """Give the next notice of a kind, dropping others that came before."""
        while True:
            notice = self._notices.get(timeout=10)
            if isinstance(notice, kind):
                return notice


def main() -> None:
    """Have Ann find Bob by name, and talk to him."""
    tcp = "--tcp" in sys.argv[1:]
    registry = BlockingDriver(Registry(os.urandom, streams=tcp), open_port(tcp=tcp), lambda _: None)
    with registry:
        ann = Person("Ann", registry.address, tcp=tcp)
        bob = Person("Bob", registry.address, tcp=tcp)
        ann.driver.perform(Connect("bob", ref=1))
        ringing = bob.wait_for(Ringing)
        print(f"{ringing.name} calls; verified: {ringing.verified}")
        bob.driver.perform(Accept(ringing.link))
        call = ann.wait_for(CallOpened)
        ann.driver.perform(Say(call.link, "hello", ref=2))
        print(f"Bob hears: {bob.wait_for(Heard).text}")
        ann.wait_for(Delivered)
        bob.driver.perform(Terminate(ringing.link))
        print(f"The call was {ann.wait_for(CallEnded).outcome.value}")
        for person in (ann, bob):
            person.driver.perform(Depart())
            person.wait_for(Departed)  # only now may the socket be closed
            person.driver.close()


if __name__ == "__main__":
    main()

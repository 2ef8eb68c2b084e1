"""What every driver needs to know of the sockets, and the sockets of the driver.

A *port* is one or more sockets: a source of events and a sink of datagrams. It never waits. A
*watcher* is how it says what is to be waited for; each kind of driver has its own.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeAlias

from palaver.machine import Address, Event

Ready: TypeAlias = tuple[socket.socket, int]
"""A socket, and what it is ready for: `selectors.EVENT_READ`, `EVENT_WRITE` or both."""


class Watcher(Protocol):
    """Waits for sockets on behalf of a port."""

    def watch(self, sock: socket.socket, events: int) -> None:
        """Wait for these `events` of `sock` from now on, and for no others."""

    def discard(self, sock: socket.socket) -> None:
        """Wait for nothing more of `sock`, and close it as soon as nobody waits for it."""


class Port(Protocol):
    """One or more sockets. Whatever the network does to them is an event or a count, no error."""

    @property
    def is_lossy(self) -> bool:
        """Whether the wire may lose what is sent: only then may faults be injected."""

    @property
    def address(self) -> Address:
        """Where it can be reached."""

    @property
    def traffic(self) -> dict[str, int]:
        """Datagrams so far: sent, received, dropped for want of room, failed otherwise."""

    @property
    def is_idle(self) -> bool:
        """Whether no connection is being closed: the port may be closed without loss."""

    @property
    def deadline(self) -> float | None:
        """When `settle` is next due, if ever."""

    def start(self, watcher: Watcher, clock: Callable[[], float]) -> None:
        """Begin: have the sockets watched by `watcher`. `clock` is in seconds."""

    def take(self, ready: Iterable[Ready], most: int) -> list[Event]:
        """Give what has come on these sockets, about `most` datagrams; what is left comes next."""

    def send(self, data: bytes, destination: Address) -> Sequence[Event]:
        """Send, keep or drop `data`; give what that told about addresses."""

    def disconnect(self, address: Address) -> Sequence[Event]:
        """End the connection with `address`, if there is one, after what was sent before."""

    def open_stream(self, address: Address) -> Sequence[Event]:
        """Open a connection to `address`, if the port has those and there is none."""

    def hold(self, address: Address, *, is_held: bool) -> None:
        """Read nothing more from the connection with `address`, or read again."""

    def settle(self, now: float) -> Sequence[Event]:
        """End a batch: send what was kept, end what has lasted too long; give what that told."""

    def close(self) -> None:
        """Close all sockets, once the watcher waits no more; doing so twice does nothing."""

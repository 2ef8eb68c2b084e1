"""Conversations over UDP in blocking calls: `connect` to somebody, or `listen` for callers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from palaver import (
    DEFAULT_LIMITS,
    DEFAULT_TIMING,
    Address,
    Duo,
    Limits,
    Reason,
    Timing,
    reason_name,
)
from palaver.sim import Faults

from .addresses import DEFAULT_HOST, DEFAULT_PORT, open_udp_socket, resolve_peer
from .conversation import Conversation
from .errors import ConnectFailed, DriverFailed, ListenerClosed, NotDelivered
from .mailbox import Mailbox
from .station import Station

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_GRACE = 1.0  # seconds beyond the timeout of a call, for a peer that answers but says no name


def connect(
    host: str,
    port: int = DEFAULT_PORT,
    *,
    name: str = "",
    timeout: float | None = 10.0,
    timing: Timing = DEFAULT_TIMING,
    limits: Limits = DEFAULT_LIMITS,
    faults: Faults | None = None,
    seed: int | None = None,
) -> Conversation:
    """Call whoever listens at `host` and `port`, and return when the conversation is open.

    `host` is a name or an address; of a name's addresses an IPv4 one is called. `name` is told to
    the peer. `timeout` is in seconds; None calls on and on. `faults` spoil what is sent, each time
    the same way for the same `seed`.

    Raises ConnectFailed with the reason; OSError if the host is not known or there is no socket
    to be had; ValueError for an address that nobody can have; UsageError for a bad name or timeout.
    """
    address = resolve_peer(host, port)
    machine = Duo(os.urandom, name=name, accept=False, timing=timing, limits=limits)
    sock = open_udp_socket("::" if ":" in address[0] else "0.0.0.0", 0)  # noqa: S104 - a caller
    station = _start(sock, machine, timing, faults, seed)
    box: Mailbox | None = None
    try:
        box = station.call(address, timeout)
        _wait_for_answer(box, timeout)
    except BaseException:
        if box is not None:
            with suppress(DriverFailed):
                Conversation(station, box).abort()
        with suppress(DriverFailed):
            station.close()
        raise
    return Conversation(station, box, station.close)


def _start(
    sock: socket.socket, machine: Duo, timing: Timing, faults: Faults | None, seed: int | None
) -> Station:
    try:
        return Station(sock, machine, timing, faults, seed)
    except BaseException:
        sock.close()
        raise


def _wait_for_answer(box: Mailbox, timeout: float | None) -> None:
    with box.changed:
        # The machine itself gives up after `timeout`, and knows better why.
        patience = None if timeout is None else timeout + _GRACE
        box.changed.wait_for(lambda: box.opened or box.ended, patience)
        if box.opened:
            return
        reason, text = int(Reason.NO_ANSWER), reason_name(Reason.NO_ANSWER)
        if box.closed is not None:
            reason, text = box.closed.reason, box.closed.describe()
        else:
            box.raise_end()
        raise ConnectFailed(box.address, reason, text, unreachable=box.unreachable)


def listen(
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    *,
    name: str = "",
    max_conversations: int = 1,
    timing: Timing = DEFAULT_TIMING,
    limits: Limits = DEFAULT_LIMITS,
    faults: Faults | None = None,
    seed: int | None = None,
) -> Listener:
    """Take calls at `host` and `port`, up to `max_conversations` at a time; others hear "busy".

    `host` "0.0.0.0" takes calls at every IPv4 address of this machine, "::" also at every IPv6
    one; port 0 takes a free one. The others are as in `connect`.

    Raises OSError if the address can't be had; ValueError for a port out of range; UsageError for
    a bad name or number.
    """
    machine = Duo(
        os.urandom,
        name=name,
        max_conversations=max_conversations,
        timing=timing,
        limits=limits,
    )
    return Listener(_start(open_udp_socket(host, port), machine, timing, faults, seed))


class Listener:
    """Takes calls. Made by `listen`.

        with listen("0.0.0.0", 65432, name="Bob", max_conversations=10) as listener:
            for conversation in listener:
                threading.Thread(target=talk, args=(conversation,)).start()

    Any method may be called from any thread. Its conversations share its socket, so closing it
    ends all of them, but closing a conversation only makes room for the next caller.

    Leaving a `with` block closes it; leaving it by an exception aborts all conversations.
    """

    def __init__(self, station: Station) -> None:
        """For `listen`."""
        self._station = station

    @property
    def address(self) -> Address:
        """Where it takes calls."""
        return self._station.driver.address

    def accept(self, timeout: float | None = None) -> Conversation:
        """Wait for the next caller, and give the conversation with it.

        It may have ended already; what was said can still be read. `timeout` is in seconds.
        Raises TimeoutError, ListenerClosed and DriverFailed.
        """
        station = self._station
        with station.lock:
            station.arrived.wait_for(
                lambda: station.waiting or station.closing or station.failure, timeout
            )
            if station.failure is not None:
                raise DriverFailed(
                    f"the driver has stopped: {station.failure!r}"
                ) from station.failure
            if station.closing:
                raise ListenerClosed("the listener is closed")
            if not station.waiting:
                raise TimeoutError(f"nobody has called within {timeout} s")
            return Conversation(station, station.waiting.popleft())

    def __iter__(self) -> Iterator[Conversation]:
        """Give each conversation as it comes, until the listener is closed."""
        with suppress(ListenerClosed):
            while True:
                yield self.accept()

    def close(self, timeout: float | None = None) -> None:
        """Take no more calls, close all conversations as their own `close` does, and end.

        `timeout`, in seconds, is for all of them together. Closing again does nothing. Raises
        NotDelivered, with all that was lost in the conversations that were still going on.
        """
        until = None if timeout is None else monotonic() + timeout
        lost: list[tuple[int, str]] = []
        boxes = self._stop()
        try:
            # All at once, and only then wait for each.
            for box in boxes:
                self._station.leave(box)
            for box in boxes:
                rest = None if until is None else max(0.0, until - monotonic())
                try:
                    Conversation(self._station, box).close(rest)
                except NotDelivered as exc:
                    lost += exc.messages
        finally:
            self._station.close()
        if lost:
            raise NotDelivered("not acknowledged when the listener was closed", lost)

    def abort(self) -> None:
        """Take no more calls, abort all conversations, and end."""
        try:
            for box in self._stop():
                Conversation(self._station, box).abort()
        finally:
            self._station.close()

    def _stop(self) -> list[Mailbox]:
        """Refuse further callers; give the conversations that have not ended."""
        with self._station.lock:
            self._station.closing = True
            self._station.arrived.notify_all()
        return self._station.boxes()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if exc is None:
            self.close()
        else:
            with suppress(DriverFailed):
                self.abort()

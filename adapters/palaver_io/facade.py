"""Conversations in blocking calls: `connect` to somebody, or `listen` for callers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from palaver import (
    DEFAULT_LIMITS,
    DEFAULT_TIMING,
    Address,
    Limits,
    PalaverError,
    Timing,
    UsageError,
)
from palaver.sim import Faults

from .addresses import DEFAULT_HOST, DEFAULT_PORT, resolve_peer
from .blocking import BlockingDriver
from .conversation import Conversation
from .dialogue import Reception, dial, run
from .driver import Driver
from .errors import DriverFailed, ListenerClosed
from .opening import Settings
from .station import Station

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


def connect(
    host: str,
    port: int = DEFAULT_PORT,
    *,
    name: str = "",
    timeout: float | None = 10.0,
    tcp: bool = False,
    timing: Timing = DEFAULT_TIMING,
    limits: Limits = DEFAULT_LIMITS,
    faults: Faults | None = None,
    seed: int | None = None,
) -> Conversation:
    """Call whoever listens at `host` and `port`, and return when the conversation is open.

    `host` is a name or an address; of a name's addresses an IPv4 one is called. `name` is told to
    the peer. `timeout` is in seconds; None calls on and on. `tcp` is for a listener that was told
    the same. `faults` spoil what is sent over UDP, each time the same way for the same `seed`.

    Raises ConnectFailed with the reason; OSError if the host is not known or there is no socket
    to be had; ValueError for an address that nobody can have; UsageError for a bad name or timeout,
    and for faults with TCP.
    """
    settings = Settings(name, tcp, timing=timing, limits=limits, faults=faults, seed=seed)
    return connect_on(BlockingDriver, settings, host, port, timeout)


def connect_on(
    start: Callable[..., Driver], settings: Settings, host: str, port: int, timeout: float | None
) -> Conversation:
    """Do as `connect`, on the driver that `start` makes, which must wait in calls that block."""
    address = resolve_peer(host, port)
    machine = settings.make_machine(accept=False)
    station = Station(start, settings, machine, settings.open_caller(address))
    return Conversation(run(dial(station, address, timeout)))


def listen(
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    *,
    name: str = "",
    tcp: bool = False,
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
    a bad name or number, and for faults with TCP.
    """
    settings = Settings(name, tcp, max_conversations, timing, limits, faults, seed)
    return listen_on(BlockingDriver, settings, host, port)


def listen_on(start: Callable[..., Driver], settings: Settings, host: str, port: int) -> Listener:
    """Do as `listen`, on the driver that `start` makes, which must wait in calls that block."""
    machine = settings.make_machine(accept=True)
    station = Station(start, settings, machine, settings.open_listener(host, port))
    return Listener(Reception(station))


class Listener:
    """Takes calls. Made by `listen`.

        with listen("0.0.0.0", 65432, name="Bob", max_conversations=10) as listener:
            listener.serve(talk)  # a thread for each conversation

    Its conversations share its socket, so closing it ends all of them, but closing a conversation
    only makes room for the next caller. Threads may use it as they may a conversation.

    Leaving a `with` block closes it; leaving it by an exception aborts all conversations.
    """

    def __init__(self, reception: Reception) -> None:
        """For `listen`."""
        self._reception = reception

    @property
    def address(self) -> Address:
        """Where it takes calls."""
        return self._reception.station.driver.address

    def accept(self, timeout: float | None = None) -> Conversation:
        """Wait for the next caller, and give the conversation with it.

        It may have ended already; what was said can still be read. `timeout` is in seconds.
        Raises TimeoutError, ListenerClosed and DriverFailed.
        """
        return Conversation(run(self._reception.accept(timeout)))

    def serve(self, talk: Callable[[Conversation], object]) -> None:
        """Run `talk` in a thread for each conversation, and close that at its end, until closed.

        An exception of a `talk` aborts its conversation only, and goes to `threading.excepthook`,
        unless it is a PalaverError: a conversation that has ended. Returns when the listener was
        closed and all threads have ended. Raises UsageError where there is only one thread, from
        `palaver_io.selecting`: iterate over the listener there, or use `SelectorsDriver`.
        """
        if not self._reception.station.driver.takes_threads:
            raise UsageError("one thread can't serve several: iterate over the listener instead")
        threads: list[threading.Thread] = []
        for conversation in self:
            threads = [one for one in threads if one.is_alive()]
            threads.append(threading.Thread(target=_attend, args=(talk, conversation)))
            threads[-1].start()
        for thread in threads:
            thread.join()

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
        run(self._reception.close(timeout))

    def abort(self) -> None:
        """Take no more calls, abort all conversations, and end."""
        run(self._reception.abort())

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


def _attend(talk: Callable[[Conversation], object], conversation: Conversation) -> None:
    with suppress(PalaverError), conversation:
        talk(conversation)

"""Watchers on a selector, and how to wake one up from another thread.

Why a pair of sockets to wake up by, and not simply a datagram from a socket to itself: that fails
just when the network does, when the address of the socket has left the host, when a firewall
minds, when the receive buffer is full. A pair always works, on every system.
"""

from __future__ import annotations

import selectors
import socket
from collections import deque
from contextlib import suppress
from typing import Final

from .port import Ready

_LONGEST_WAIT: Final = 86400.0  # seconds; some systems can't wait for a month at once


class SelectorWatcher:
    """Watches sockets for one thread; only `wake` may be called from others.

    A program's own selector can be kept in step: sockets are registered there too, with `data`.
    """

    def __init__(
        self, mirror: selectors.BaseSelector | None = None, data: object | None = None
    ) -> None:
        self._mirror = mirror
        self._data = data
        self._wake_out, self._wake_in = socket.socketpair()
        try:
            self._selector = selectors.DefaultSelector()
        except BaseException:
            self._wake_out.close()
            self._wake_in.close()
            raise
        self._wake_out.settimeout(0)
        self._wake_in.settimeout(0)
        self.watch(self._wake_out, selectors.EVENT_READ)

    def watch(self, sock: socket.socket, events: int) -> None:
        """Wait for these `events` of `sock` from now on, and for no others."""
        _register(self._selector, sock, events, None)
        if self._mirror is not None:
            _register(self._mirror, sock, events, self._data)

    def discard(self, sock: socket.socket) -> None:
        """Wait for nothing more of `sock`, and close it."""
        self.watch(sock, 0)
        sock.close()

    def wake(self) -> None:
        """Let the thread that waits, or the next that would, look again."""
        # If there is no room for another byte, the thread will wake up anyway.
        with suppress(OSError):
            self._wake_in.send(b"\0")

    def sift(self, ready: list[Ready]) -> list[Ready]:
        """Take out what was only to wake somebody up."""
        for place, (sock, _) in enumerate(ready):
            if sock is self._wake_out:
                with suppress(OSError):
                    sock.recv(4096)
                return ready[:place] + ready[place + 1 :]
        return ready

    def select(self, timeout: float | None) -> list[Ready]:
        """Wait at most `timeout` seconds, in any case not for ever; give what is ready."""
        wait = _LONGEST_WAIT if timeout is None else max(0.0, min(timeout, _LONGEST_WAIT))
        ready = self._selector.select(wait)
        return self.sift([(key.fileobj, events) for key, events in ready])  # type: ignore[misc]

    def close(self) -> None:
        """Wait for nothing any more. The sockets of the port stay open."""
        if self._mirror is not None and self._selector.get_map() is not None:
            for key in list(self._selector.get_map().values()):
                _register(self._mirror, key.fileobj, 0, None)  # type: ignore[arg-type]
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()


class DeferredWatcher(SelectorWatcher):
    """Watches for one thread what others ask for; they must not do so at the same time.

    Python's selectors can't be changed while somebody waits, so changes are kept until then.
    """

    def __init__(self) -> None:
        self._changes: deque[tuple[socket.socket, int | None]] = deque()
        super().__init__()
        self._apply()

    def watch(self, sock: socket.socket, events: int) -> None:
        """Wait for these `events` of `sock` from now on, and for no others."""
        self._changes.append((sock, events))
        self.wake()

    def discard(self, sock: socket.socket) -> None:
        """Wait for nothing more of `sock`, and close it as soon as nobody waits for it."""
        self._changes.append((sock, None))
        self.wake()

    def select(self, timeout: float | None) -> list[Ready]:
        """Wait at most `timeout` seconds, in any case not for ever; give what is ready."""
        self._apply()
        return super().select(timeout)

    def close(self) -> None:
        """Wait for nothing any more. The sockets of the port stay open, but for discarded ones."""
        self._apply()
        super().close()

    def _apply(self) -> None:
        while self._changes:
            sock, events = self._changes.popleft()
            if events is None:
                super().discard(sock)
            else:
                super().watch(sock, events)


def _register(
    selector: selectors.BaseSelector, sock: socket.socket, events: int, data: object
) -> None:
    # A selector that is closed has no map, whatever its type says.
    known = sock in (selector.get_map() or ())
    if not events:
        if known:
            selector.unregister(sock)
    elif known:
        selector.modify(sock, events, data)
    else:
        selector.register(sock, events, data)

"""What has an event loop say when sockets are ready.

Where the loop can't watch sockets, such as the default one on Windows, a thread waits for it.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import threading
from collections.abc import Callable

from .port import Ready
from .watching import DeferredWatcher


class LoopWatcher:
    """Has the loop call `take` when sockets are ready."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, take: Callable[[list[Ready]], object]
    ) -> None:
        self._loop = loop
        self._take = take
        self._watched: dict[socket.socket, int] = {}
        self._thread: _WatchingThread | None = None

    def watch(self, sock: socket.socket, events: int) -> None:
        """Wait for these `events` of `sock` from now on, and for no others."""
        if self._thread is None:
            try:
                self._change(sock, events)
            except NotImplementedError:  # the loop of Windows that can also run processes
                self._thread = _WatchingThread(self._loop, self._take)
        if self._thread is not None:
            self._thread.watcher.watch(sock, events)

    def discard(self, sock: socket.socket) -> None:
        """Wait for nothing more of `sock`, and close it as soon as nobody waits for it."""
        if self._thread is not None:
            self._thread.watcher.discard(sock)
        else:
            self._change(sock, 0)
            sock.close()

    def close(self) -> None:
        """Wait for nothing any more. The sockets of the port stay open."""
        if self._thread is not None:
            self._thread.close()
        for sock in list(self._watched):
            self._change(sock, 0)

    def _change(self, sock: socket.socket, events: int) -> None:
        changed = events ^ self._watched.pop(sock, 0)
        for event, add, remove in (
            (selectors.EVENT_READ, self._loop.add_reader, self._loop.remove_reader),
            (selectors.EVENT_WRITE, self._loop.add_writer, self._loop.remove_writer),
        ):
            if changed & event & events:
                add(sock, self._take, [(sock, event)])
            elif changed & event:
                remove(sock)
        if events:
            self._watched[sock] = events


class _WatchingThread:
    """Waits in a thread, for a loop that can't watch sockets, and has it call `take`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, take: Callable[[list[Ready]], object]
    ) -> None:
        self.watcher = DeferredWatcher()
        self._loop = loop
        self._take = take
        self._closing = False
        # Released when what was ready has been taken: until then it would be found again.
        self._taken = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name="palaver-watcher", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End, and wait for that."""
        self._closing = True
        self._taken.release()
        self.watcher.wake()
        self._thread.join()
        self.watcher.close()

    def _run(self) -> None:
        while not self._closing:
            ready = self.watcher.select(None)
            if ready:
                try:
                    self._loop.call_soon_threadsafe(self._hand_over, ready)
                except RuntimeError:  # the loop is closed
                    return
                self._taken.acquire()

    def _hand_over(self, ready: list[Ready]) -> None:
        try:
            if not self._closing:
                self._take(ready)
        finally:
            self._taken.release()

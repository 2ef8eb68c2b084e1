"""What waits for the main thread: notices, lines, keys and signals, in one queue."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final, TypeAlias

from palaver import Event, Notice, Pause, Resume

from .lines import EndOfInput, Line
from .signals import Redraw, Signal
from .terminal import Keys

PAUSE_ABOVE: Final = 64  # messages that wait to be printed, per conversation
RESUME_BELOW: Final = 16

Item: TypeAlias = Notice | Line | EndOfInput | Keys | Signal | Redraw


class Inbox:
    """A queue that asks a peer to wait when messages come faster than they can be printed.

    Only the main thread gets. Notices come under the lock of the driver, so the lock in here is
    never held while the driver is asked for something.
    """

    def __init__(self, messages: tuple[type[Notice], ...]) -> None:
        """Notices of the types `messages` are printed and belong to a `link`."""
        self.on_put: Callable[[], object] = lambda: None
        """Called when something was put in from outside of the driver."""
        self._messages = messages
        self._queue: SimpleQueue[Item] = SimpleQueue()
        self._lock = threading.Lock()
        self._unprinted: Counter[int] = Counter()
        self._paused: set[int] = set()

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return self._queue.empty()

    def put(self, item: Item) -> None:
        """Put in anything but a notice."""
        self._queue.put(item)
        self.on_put()

    def put_notice(self, notice: Notice) -> Event | None:
        """Put in what the driver tells; give what is to be asked of it, if anything."""
        self._queue.put(notice)
        if isinstance(notice, self._messages):
            link: int = getattr(notice, "link")  # noqa: B009 - the type checker can't know it
            with self._lock:
                self._unprinted[link] += 1
                if self._note_pause(link):
                    return Pause(link)
        return None

    def get(self, perform: Callable[[Event], object]) -> Item:
        """Wait for the next item; `perform` is the driver's."""
        item = self._queue.get()
        if isinstance(item, self._messages):
            self._take_off(getattr(item, "link"), perform)  # noqa: B009 - as above
        return item

    def _take_off(self, link: int, perform: Callable[[Event], object]) -> None:
        with self._lock:
            self._unprinted[link] -= 1
            resumes = link in self._paused and self._unprinted[link] < RESUME_BELOW
            if not self._unprinted[link]:
                del self._unprinted[link]
        if not resumes:
            return
        # What was held back arrives within this, and must not ask to pause again before it is over.
        perform(Resume(link))
        with self._lock:
            self._paused.discard(link)
            pauses = self._note_pause(link)
        if pauses:
            perform(Pause(link))

    def _note_pause(self, link: int) -> bool:
        """Under the lock: whether the peer must wait now, and did not before."""
        if self._unprinted[link] <= PAUSE_ABOVE or link in self._paused:
            return False
        self._paused.add(link)
        return True

"""Signals as items of a queue: nothing is interrupted halfway."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final

from .status import EXIT_SIGNAL

_ENDING: Final = ("SIGINT", "SIGTERM", "SIGHUP")
_REDRAWING: Final = ("SIGCONT", "SIGWINCH")


@dataclass(frozen=True)
class Signal:
    """The user, or the system, asks us to end."""

    number: int


@dataclass(frozen=True)
class Redraw:
    """The terminal was taken from us for a while, or has another size."""


@contextmanager
def queued_signals(
    put: Callable[[Signal | Redraw], None], restore: Callable[[], None]
) -> Iterator[None]:
    """Put signals on a queue meanwhile; a second request to end calls `restore` and ends at once.

    A thread waits for them, because a handler in Python runs only when the main thread gets to
    it: not if the signal came right before that began to wait, or hit another thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may ask for signals
        return
    reader, writer = socket.socketpair()
    writer.settimeout(0)
    watcher = threading.Thread(
        target=_watch, args=(reader, put, restore), name="palaver-signals", daemon=True
    )
    before = {}
    descriptor_before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        watcher.start()
        for name in (*_ENDING, *_REDRAWING):
            number = getattr(signal, name, None)  # Windows has few of them
            if number is not None and not _is_under_nohup(number):
                before[number] = signal.signal(number, _leave_to_watcher)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(descriptor_before)
        writer.close()
        watcher.join()
        reader.close()


def _watch(
    reader: socket.socket, put: Callable[[Signal | Redraw], None], restore: Callable[[], None]
) -> None:
    """Read the numbers of signals, which Python writes to the other end, until that is closed."""
    ending = _find_numbers(_ENDING)
    redrawing = _find_numbers(_REDRAWING)
    asked = False
    while numbers := reader.recv(64):
        for number in numbers:
            if number in redrawing:
                put(Redraw())
            elif number in ending and asked:
                restore()
                os._exit(EXIT_SIGNAL + number)
            elif number in ending:
                asked = True
                put(Signal(number))


def _find_numbers(names: tuple[str, ...]) -> set[int]:
    return {int(getattr(signal, name)) for name in names if hasattr(signal, name)}


def _leave_to_watcher(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: that there is a handler makes Python write the number."""


def _is_under_nohup(number: int) -> bool:
    hangup: int | None = getattr(signal, "SIGHUP", None)
    return number == hangup and signal.getsignal(number) is signal.SIG_IGN

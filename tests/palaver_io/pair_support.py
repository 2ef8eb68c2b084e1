"""Two ends of a conversation, for the tests of the facade."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from io_support import FAST, PATIENCE

from palaver import Limits, Timing, UsageError
from palaver.sim import Faults
from palaver_io import DriverFailed, connect, listen


class Pair:
    """A listener, and a conversation from both ends."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        timing: Timing = FAST,
        limits: Limits | None = None,
        faults: Faults | None = None,
    ) -> None:
        limits = limits or Limits()
        self.listener = listen(
            host, 0, name="Bob", timing=timing, limits=limits, faults=faults, seed=1
        )
        self.ann = connect(
            *self.listener.address,
            name="Ann",
            timeout=PATIENCE,
            timing=timing,
            limits=limits,
            faults=faults,
            seed=2,
        )
        self.bob = self.listener.accept(PATIENCE)

    def end(self) -> None:
        for end in (self.ann.abort, self.listener.abort):
            with suppress(DriverFailed, UsageError):
                end()


def in_thread(work: Callable[..., object], *args: object) -> threading.Thread:
    thread = threading.Thread(target=work, args=args)
    thread.start()
    return thread

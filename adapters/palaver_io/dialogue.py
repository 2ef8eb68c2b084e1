"""What conversations and listeners do, written once for all ways of waiting.

Everything here that may wait is a coroutine, and waits on a bell of its driver and on nothing
else. With asyncio that suspends the task. With the other drivers it blocks, or turns the driver,
within the call: such a coroutine never suspends, and `run` takes it to its end.

Cancelling, with asyncio: a verb changes something only when it need not wait any more, and then
returns without waiting again. So a verb that was cancelled while it waited has done nothing. The
exceptions are the ends, `close` and `abort`: they are hurried up, and leave nothing open.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from time import monotonic
from typing import Any, TypeVar

from palaver import (
    Abort,
    Address,
    Finish,
    Reason,
    Resume,
    Say,
    Undelivered,
    WouldBlock,
    reason_name,
)

from .errors import ConnectFailed, DriverFailed, ListenerClosed, NotDelivered
from .mailbox import Mailbox
from .station import Station

_GRACE = 1.0  # seconds beyond the timeout of a call, for a peer that answers but says no name

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to its end what waits only in calls that block."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("a coroutine for blocking calls has suspended")


class Patience:
    """How long one may still wait."""

    __slots__ = ("_until",)

    def __init__(self, timeout: float | None) -> None:
        self._until = None if timeout is None else monotonic() + timeout

    @property
    def left(self) -> float | None:
        """Seconds, 0 or more; None for as long as it takes."""
        return None if self._until is None else max(0.0, self._until - monotonic())


class Dialogue:
    """One conversation; its verbs are described in `palaver_io.Conversation`."""

    __slots__ = ("_owns_station", "box", "station")

    def __init__(self, station: Station, box: Mailbox, *, owns_station: bool = False) -> None:
        """With `owns_station` the end of the conversation is the end of the station too."""
        self.station = station
        self.box = box
        self._owns_station = owns_station

    def __repr__(self) -> str:
        how = "open" if self.box.closed is None else self.box.closed.describe()
        return f"<Conversation with {self.box.peer}: {how}>"

    # Sending

    async def send(self, text: str, timeout: float | None, *, wait: bool) -> int:
        """Wait for room, unless told not to, and send."""
        box, patience = self.box, Patience(timeout)
        while True:
            with self.station.guard:
                box.raise_end()
                before = box.writables
                try:
                    return self._say(text)
                except WouldBlock:
                    if not wait:
                        raise
            await self._wait(
                lambda: box.ended or box.writables != before,  # noqa: B023 - it is waited for here
                patience,
                "the send queue is full",
            )

    def _say(self, text: str) -> int:
        box, ref = self.box, self.station.next_ref()
        for notice in self.station.perform(Say(box.link, text, ref)):
            if isinstance(notice, Undelivered) and notice.ref == ref:
                raise box.make_end(notice.reason)
        box.pending[ref] = text
        return ref

    async def flush(self, timeout: float | None) -> None:
        """Wait until all was delivered, or raise what was not."""
        box = self.box
        await self._wait(
            lambda: box.ended or not box.pending, Patience(timeout), "not all was acknowledged"
        )
        with self.station.guard:
            box.raise_loss()

    def finish(self) -> None:
        """Tell the peer that no more will come."""
        self.station.ask(self.box, Finish(self.box.link))

    # Receiving

    async def receive(self, timeout: float | None) -> str:
        """Wait for a text, and take it."""
        box, patience = self.box, Patience(timeout)
        while (text := self._read()) is None:
            if not await box.bell.wait_until(lambda: box.readable, patience.left):
                raise TimeoutError(f"no message from {box.peer} within {timeout} s")
        return text

    def _read(self) -> str | None:
        """Take a text, if there is one; raise if there will be none."""
        box = self.box
        with self.station.guard:
            if not box.readable:
                return None
            text, resumes = box.read()
            if resumes:
                self.station.ask(box, Resume(box.link))
            return text

    # Ending

    async def close(self, timeout: float | None) -> None:
        """Leave, wait for the end, and raise what was lost."""
        box = self.box
        try:
            self.station.leave(box)
            await box.bell.wait_until(lambda: box.ended, timeout)
        except BaseException:
            self._hurry()
            raise
        await self._end()
        with self.station.guard:
            if not box.loss_told:
                box.raise_loss()

    async def abort(self) -> None:
        """End now, whatever becomes of what was sent."""
        self.box.loss_told = True
        await self._end()

    async def _end(self) -> None:
        try:
            self.station.ask(self.box, Abort(self.box.link))
        finally:
            if self._owns_station:
                await self.station.close()

    def _hurry(self) -> None:
        """End without waiting for anything."""
        with suppress(DriverFailed):
            try:
                self.station.ask(self.box, Abort(self.box.link))
            finally:
                if self._owns_station:
                    self.station.stop()

    async def _wait(self, ready: Callable[[], bool], patience: Patience, trouble: str) -> None:
        if not await self.box.bell.wait_until(ready, patience.left):
            raise TimeoutError(f"{trouble}, and the time is out (peer: {self.box.peer})")


async def dial(station: Station, address: Address, timeout: float | None) -> Dialogue:
    """Call `address`; give the conversation when it is open. The station ends with it."""
    try:
        box = station.call(address, timeout)
    except BaseException:
        with suppress(DriverFailed):
            station.stop()
        raise
    dialogue = Dialogue(station, box, owns_station=True)
    try:
        # The machine itself gives up after `timeout`, and knows better why.
        patience = None if timeout is None else timeout + _GRACE
        await box.bell.wait_until(lambda: box.opened or box.ended, patience)
    except BaseException:
        dialogue._hurry()
        raise
    if box.opened:
        return dialogue
    try:
        raise _explain(box)
    finally:
        with suppress(DriverFailed):
            await dialogue.abort()


def _explain(box: Mailbox) -> Exception:
    """Give the exception for a call that came to nothing."""
    if box.failure is not None:
        return box.make_failure()
    reason, text = int(Reason.NO_ANSWER), reason_name(Reason.NO_ANSWER)
    if box.closed is not None:
        reason, text = box.closed.reason, box.closed.describe()
    return ConnectFailed(box.address, reason, text, unreachable=box.unreachable)


class Reception:
    """Takes calls; its verbs are described in `palaver_io.Listener`."""

    __slots__ = ("station",)

    def __init__(self, station: Station) -> None:
        self.station = station

    async def accept(self, timeout: float | None) -> Dialogue:
        """Wait for the next caller."""
        station, patience = self.station, Patience(timeout)
        while True:
            with station.guard:
                station.raise_failure()
                if station.closing:
                    raise ListenerClosed("the listener is closed")
                if station.waiting:
                    return Dialogue(station, station.waiting.popleft())
            if not await station.arrived.wait_until(self._is_due, patience.left):
                raise TimeoutError(f"nobody has called within {timeout} s")

    def _is_due(self) -> bool:
        station = self.station
        return bool(station.waiting) or station.closing or station.failure is not None

    async def close(self, timeout: float | None) -> None:
        """Close all conversations, and end."""
        station, patience = self.station, Patience(timeout)
        lost: list[tuple[int, str]] = []
        dialogues = self._stop()
        try:
            # All at once, and only then wait for each.
            for dialogue in dialogues:
                station.leave(dialogue.box)
            for dialogue in dialogues:
                try:
                    await dialogue.close(patience.left)
                except NotDelivered as exc:
                    lost += exc.messages
        except BaseException:
            self._hurry(dialogues)
            raise
        await station.close()
        if lost:
            raise NotDelivered("not acknowledged when the listener was closed", lost)

    async def abort(self) -> None:
        """Abort all conversations, and end."""
        try:
            for dialogue in self._stop():
                await dialogue.abort()
        finally:
            await self.station.close()

    def _stop(self) -> list[Dialogue]:
        return [Dialogue(self.station, box) for box in self.station.refuse_callers()]

    def _hurry(self, dialogues: list[Dialogue]) -> None:
        with suppress(DriverFailed):
            for dialogue in dialogues:
                dialogue._hurry()
            self.station.stop()

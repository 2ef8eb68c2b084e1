"""A conversation with one peer, in blocking calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from palaver import (
    Abort,
    Address,
    Closed,
    Finish,
    Resume,
    Say,
    Undelivered,
    WouldBlock,
)

from .errors import ConversationOver, DriverFailed
from .mailbox import Mailbox
from .station import Station

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


class Conversation:
    """Texts to and from one peer. Made by `connect` and by `Listener.accept`.

        with connect("127.0.0.1", 65432, name="Ann") as conversation:
            conversation.send("hello")
            for text in conversation:
                print(text)

    Any method may be called from any thread, and by several at a time; of several readers each
    text goes to one. Timeouts are in seconds; None waits as long as it takes, and when time is out
    Python's TimeoutError is raised. Any method raises DriverFailed if a bug has stopped the driver.

    A program that doesn't read makes its peer wait: beyond 64 unread texts only those still come
    that were on their way, at most the window of `Limits`.

    Leaving a `with` block closes the conversation; leaving it by an exception aborts it.
    """

    def __init__(
        self, station: Station, mailbox: Mailbox, on_closed: Callable[[], object] = lambda: None
    ) -> None:
        """For `connect` and `Listener`. `on_closed` is called after each `close` or `abort`."""
        self._station = station
        self._box = mailbox
        self._on_closed = on_closed

    # Getters

    @property
    def address(self) -> Address:
        """The peer's address."""
        return self._box.address

    @property
    def peer_name(self) -> str:
        """What the peer calls itself; it may be empty, and proves nothing."""
        return self._box.name

    @property
    def closed(self) -> Closed | None:
        """How the conversation has ended, or None. Texts that came before may still be unread."""
        return self._box.closed

    @property
    def undelivered(self) -> list[tuple[int, str]]:
        """What was sent and will never be known to be delivered: numbers and texts, oldest first.

        Such texts may have arrived all the same. Empty while the conversation goes on.
        """
        with self._box.changed:
            return sorted(self._box.lost.items())

    # Sending

    def send(self, text: str, *, timeout: float | None = None) -> int:
        """Send `text`, at most 65,535 bytes in UTF-8; give its number.

        Waits while the send queue is full; otherwise the text is on its way, or queued, at once.
        Raises TimeoutError, UsageError (the text can't be sent, or `finish` was called),
        ConversationOver or ConversationLost (the conversation has ended). Nothing was sent then.
        """
        box = self._box
        until = None if timeout is None else monotonic() + timeout
        ref = self._station.next_ref()
        with box.changed:
            box.raise_end()
            box.pending[ref] = text
        try:
            while not self._try_to_send(text, ref, until):
                pass
        except BaseException:
            with box.changed:
                box.withdraw(ref)
            raise
        return ref

    def _try_to_send(self, text: str, ref: int, until: float | None) -> bool:
        """Give False if the queue was full, when there is room again."""
        box = self._box
        # Counted before trying: room that comes between trying and waiting must not be missed.
        before = box.writables
        try:
            notices = self._station.perform(Say(box.link, text, ref))
        except WouldBlock:
            self._wait(
                lambda: box.ended or box.writables != before, until, "the send queue is full"
            )
            with box.changed:
                box.raise_end()
            return False
        for notice in notices:
            if isinstance(notice, Undelivered) and notice.ref == ref:
                raise box.make_end(notice.reason)
        return True

    def flush(self, timeout: float | None = None) -> None:
        """Wait until all that was sent has been handed to the peer's program.

        Raises NotDelivered, which names what was not, if the conversation ends before; and
        TimeoutError.
        """
        box = self._box
        until = None if timeout is None else monotonic() + timeout
        self._wait(lambda: box.ended or not box.pending, until, "not all was acknowledged")
        with box.changed:
            box.raise_loss()

    def finish(self) -> None:
        """Tell the peer that no more texts will come, and go on receiving. Twice does no harm."""
        self._station.ask(self._box, Finish(self._box.link))

    # Receiving

    def receive(self, timeout: float | None = None) -> str:
        """Wait for the next text, and give it.

        Raises ConversationOver if there will be none because the peer has finished or the
        conversation was closed; ConversationLost, with the reason, if it has ended otherwise;
        TimeoutError. What arrived before that can be read first.
        """
        box = self._box
        with box.changed:
            if not box.changed.wait_for(lambda: box.readable, timeout):
                raise TimeoutError(f"no message from {box.peer} within {timeout} s")
            text, resumes = box.read()
        if resumes:
            self._station.ask(box, Resume(box.link))
        return text

    def __iter__(self) -> Iterator[str]:
        """Give each text as it comes, until the peer finishes or the conversation is closed.

        Raises ConversationLost if it ends otherwise.
        """
        with suppress(ConversationOver):
            while True:
                yield self.receive()

    # Ending

    def close(self, timeout: float | None = None) -> None:
        """Leave when all that was sent is delivered; return when the conversation has ended.

        That takes at most `Timing.close_flush` (5 s) or `timeout`, if that is shorter; then the
        conversation is aborted. A conversation made by `connect` also gives up its socket, for
        which it waits a moment longer, to answer the peer's last packets. Texts that arrive from
        now on are discarded. Closing again does nothing.

        Raises NotDelivered if something was lost and `flush` has not told so before.
        """
        box = self._box
        try:
            self._station.leave(box)
            with box.changed:
                box.changed.wait_for(lambda: box.ended, timeout)
        finally:
            self._end()
        with box.changed:
            if not box.loss_told:
                box.raise_loss()

    def abort(self) -> None:
        """End the conversation now, whatever becomes of what was sent. The peer is told, once."""
        with self._box.changed:
            self._box.loss_told = True
        self._end()

    def _end(self) -> None:
        try:
            self._station.ask(self._box, Abort(self._box.link))
        finally:
            self._on_closed()

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

    def __repr__(self) -> str:
        how = "open" if self._box.closed is None else self._box.closed.describe()
        return f"<Conversation with {self._box.peer}: {how}>"

    # Helpers

    def _wait(self, ready: Callable[[], bool], until: float | None, trouble: str) -> None:
        changed = self._box.changed
        with changed:
            timeout = None if until is None else max(0.0, until - monotonic())
            if not changed.wait_for(ready, timeout):
                raise TimeoutError(f"{trouble}, and the time is out (peer: {self._box.peer})")

"""A conversation with one peer, in blocking calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from palaver import Address, Closed

from .dialogue import Dialogue, run
from .errors import ConversationOver, DriverFailed

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


class Conversation:
    """Texts to and from one peer. Made by `connect` and by `Listener.accept`.

        with connect("127.0.0.1", 65432, name="Ann") as conversation:
            conversation.send("hello")
            for text in conversation:
                print(text)

    Timeouts are in seconds; None waits as long as it takes, and when time is out Python's
    TimeoutError is raised. Any method raises DriverFailed if a bug has stopped the driver.

    From `palaver_io.connect` and `listen`, any method may be called from any thread, and by several
    at a time; of several readers each text goes to one. From `palaver_io.selecting`, methods may be
    called from one thread only, and the conversation goes on only while one of them waits.

    A program that doesn't read makes its peer wait: beyond 64 unread texts only those still come
    that were on their way, at most the window of `Limits`.

    Leaving a `with` block closes the conversation; leaving it by an exception aborts it.
    """

    def __init__(self, dialogue: Dialogue) -> None:
        """For `connect` and `Listener`."""
        self._dialogue = dialogue

    # Getters

    @property
    def address(self) -> Address:
        """The peer's address."""
        return self._dialogue.box.address

    @property
    def peer_name(self) -> str:
        """What the peer calls itself; it may be empty, and proves nothing."""
        return self._dialogue.box.name

    @property
    def closed(self) -> Closed | None:
        """How the conversation has ended, or None. Texts that came before may still be unread."""
        return self._dialogue.box.closed

    @property
    def undelivered(self) -> list[tuple[int, str]]:
        """What was sent and will never be known to be delivered: numbers and texts, oldest first.

        Such texts may have arrived all the same. Empty while the conversation goes on.
        """
        with self._dialogue.station.guard:
            return sorted(self._dialogue.box.lost.items())

    # Sending

    def send(self, text: str, *, timeout: float | None = None, wait: bool = True) -> int:
        """Send `text`, at most 65,535 bytes in UTF-8; give its number.

        Waits while the send queue is full, or, with `wait` False, raises WouldBlock at once;
        otherwise the text is on its way, or queued, when this returns. Raises TimeoutError,
        UsageError (the text can't be sent, or `finish` was called), ConversationOver or
        ConversationLost (the conversation has ended). Whatever is raised, nothing was sent.
        """
        return run(self._dialogue.send(text, timeout, wait=wait))

    def flush(self, timeout: float | None = None) -> None:
        """Wait until all that was sent has been handed to the peer's program.

        Raises NotDelivered, which names what was not, if the conversation ends before; and
        TimeoutError.
        """
        run(self._dialogue.flush(timeout))

    def finish(self) -> None:
        """Tell the peer that no more texts will come, and go on receiving. Twice does no harm."""
        self._dialogue.finish()

    # Receiving

    def receive(self, timeout: float | None = None) -> str:
        """Wait for the next text, and give it.

        Raises ConversationOver if there will be none because the peer has finished or the
        conversation was closed; ConversationLost, with the reason, if it has ended otherwise;
        TimeoutError. What arrived before that can be read first.
        """
        return run(self._dialogue.receive(timeout))

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

        It is aborted when nothing more gets through for `Timing.close_flush` (5 s), or after
        `Timing.close_flush_max` (60 s) in all, or `timeout` seconds, if that is shorter. A
        conversation made by `connect` also gives up its socket, for which it waits a moment
        longer, to answer the peer's last packets. Texts that arrive from now on are discarded.
        Closing again does nothing.

        Raises NotDelivered if something was lost and `flush` has not told so before.
        """
        run(self._dialogue.close(timeout))

    def abort(self) -> None:
        """End the conversation now, whatever becomes of what was sent. The peer is told, once."""
        run(self._dialogue.abort())

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
        return repr(self._dialogue)

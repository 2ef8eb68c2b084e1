"""What one conversation of a facade has heard and is waiting for.

A driver's notices fill it; verbs look at it under the driver's guard, and wait on its bell.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from palaver import (
    Address,
    Closed,
    ConversationOpened,
    Delivered,
    Event,
    Finished,
    Notice,
    Pause,
    Reason,
    Said,
    StillDialing,
    Undelivered,
    Writable,
    reason_name,
)

from .addresses import format_address
from .driver import Bell
from .errors import ConversationLost, ConversationOver, DriverFailed, NotDelivered

PAUSE_ABOVE: Final = 64  # unread messages; more stay with the peer, but for what is on its way
RESUME_BELOW: Final = 16  # unread messages


class Mailbox:
    """One conversation, as the notices tell it."""

    __slots__ = (
        "address",
        "bell",
        "closed",
        "discarding",
        "failure",
        "finished",
        "link",
        "loss_told",
        "lost",
        "name",
        "opened",
        "paused",
        "pending",
        "texts",
        "unreachable",
        "writables",
    )

    def __init__(self, bell: Bell, link: int, address: Address) -> None:
        self.bell = bell
        self.link = link
        self.address = address
        self.name = ""
        self.opened = False
        self.unreachable = False
        # Received and not yet read; whether the peer was asked to wait; whether nobody will read.
        self.texts: deque[str] = deque()
        self.paused = False
        self.discarding = False
        # Sent, by number: not yet known to be delivered, and known not to be.
        self.pending: dict[int, str] = {}
        self.lost: dict[int, str] = {}
        # Whether somebody was told of the loss, or has accepted it by aborting.
        self.loss_told = False
        # How many Writable notices there were.
        self.writables = 0
        self.finished = False
        self.closed: Closed | None = None
        self.failure: BaseException | None = None

    # Getters

    @property
    def ended(self) -> bool:
        """Whether no more notices will come."""
        return self.closed is not None or self.failure is not None

    @property
    def readable(self) -> bool:
        """Whether a reader need not wait: there is a message, or there never will be one."""
        return bool(self.texts) or self.finished or self.ended

    @property
    def peer(self) -> str:
        """Name the peer for people."""
        where = format_address(self.address)
        return f"{self.name} ({where})" if self.name else where

    def raise_end(self) -> None:
        """Raise why nothing more can be received or sent; nothing if the conversation goes on."""
        if self.failure is not None:
            raise self.make_failure()
        if self.closed is not None:
            raise self.make_end(self.closed.reason, self.closed.describe())

    def make_failure(self) -> DriverFailed:
        """Make the exception for a driver that has stopped."""
        failure = DriverFailed(f"the driver has stopped: {self.failure!r}")
        failure.__cause__ = self.failure
        return failure

    def make_end(self, reason: int, text: str = "") -> ConversationOver | ConversationLost:
        """Make the exception for a conversation that has ended for `reason`."""
        if reason == Reason.LEFT:
            return ConversationOver(f"the conversation with {self.peer} is over")
        text = text or reason_name(reason)
        return ConversationLost(f"the conversation with {self.peer} was lost: {text}", reason)

    def raise_loss(self) -> None:
        """Raise NotDelivered if anything was lost, and what `raise_end` does for a driver's bug."""
        if self.failure is not None:
            self.raise_end()
        if self.lost:
            self.loss_told = True
            raise NotDelivered(f"not acknowledged by {self.peer}", sorted(self.lost.items()))

    # Mutators

    def take(self, notice: Notice) -> Event | None:
        """Take a notice of this conversation; give what is to be asked of the machine, if anything.

        Whoever waits is woken up.
        """
        kind = type(notice)
        if isinstance(notice, Said):
            if not self.discarding:
                self.texts.append(notice.text)
        elif isinstance(notice, Delivered):
            self.pending.pop(notice.ref, None)
        elif isinstance(notice, Undelivered):
            text = self.pending.pop(notice.ref, None)
            if text is not None:
                self.lost[notice.ref] = text
        elif isinstance(notice, ConversationOpened):
            self.name = notice.name
            self.opened = True
        elif isinstance(notice, StillDialing):
            self.unreachable = notice.unreachable
        elif isinstance(notice, Closed):
            self.closed = notice
        elif kind is Finished:
            self.finished = True
        elif kind is Writable:
            self.writables += 1
        self.bell.ring()
        if len(self.texts) > PAUSE_ABOVE and not self.paused:
            self.paused = True
            return Pause(self.link)
        return None

    def read(self) -> tuple[str, bool]:
        """Take the next message; tell also whether the peer may go on now.

        Raises what `raise_end` does, and ConversationOver if the peer has said that it was all.
        """
        if not self.texts:
            if self.finished:
                raise ConversationOver(f"{self.peer} has nothing more to say")
            self.raise_end()
        text = self.texts.popleft()
        resumes = self.paused and len(self.texts) < RESUME_BELOW
        if resumes:
            self.paused = False
        return text, resumes

    def fail(self, exc: BaseException) -> None:
        """Take note that the driver has stopped."""
        self.failure = exc
        self.lost.update(self.pending)
        self.pending.clear()
        self.bell.ring()

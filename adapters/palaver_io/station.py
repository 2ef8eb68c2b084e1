"""What the facade's conversations share: one machine, one driver, and who gets which notice."""

from __future__ import annotations

import os
import socket
import threading
from collections import deque
from itertools import count

from palaver import (
    Abort,
    Address,
    Call,
    Closed,
    ConversationOpened,
    Dialing,
    Duo,
    Event,
    Leave,
    Notice,
    Reason,
    Timing,
    UsageError,
)
from palaver.sim import FaultInjector, Faults

from .blocking import BlockingDriver
from .mailbox import Mailbox
from .udp import UdpPort

_UNACCEPTED = 64  # conversations that may wait for accept(); further callers are sent away


class Station:
    """A `Duo` on a blocking driver. Its lock is never held while the driver is asked for something.

    The driver's lock is taken before the station's: notices come under both.
    """

    def __init__(
        self,
        sock: socket.socket,
        machine: Duo,
        timing: Timing,
        faults: Faults | None,
        seed: int | None,
    ) -> None:
        """Start on `sock`, which is taken over."""
        self.lock = threading.Lock()
        # Conversations that called us and were not accepted yet; whether more may come.
        self.waiting: deque[Mailbox] = deque()
        self.arrived = threading.Condition(self.lock)
        self.closing = False
        self.failure: BaseException | None = None
        # What has not ended, by link.
        self._boxes: dict[int, Mailbox] = {}
        self._machine = machine
        # How long a link may live after the program has left it.
        self._patience = timing.close_flush + timing.linger_max
        self._refs = count(1)
        # Calls whose conversation is not in the hands of the caller yet, by ref.
        self._dialled: dict[int, Mailbox] = {}
        injector = None
        if faults is not None:
            drawn = int.from_bytes(os.urandom(8), "big") if seed is None else seed
            injector = FaultInjector(faults, drawn)
        # Locked, so that no notice comes before the driver can be told what to do about it.
        with self.lock:
            self.driver = BlockingDriver(
                machine,
                UdpPort(sock),
                self._on_notice,
                injector=injector,
                on_failure=self._on_failure,
            )

    # Getters

    def boxes(self) -> list[Mailbox]:
        """Give the conversations that have not ended."""
        with self.lock:
            return list(self._boxes.values())

    def next_ref(self) -> int:
        """Give a number that no other message has."""
        return next(self._refs)

    # Verbs

    def perform(self, event: Event) -> list[Notice]:
        """Hand `event` to the machine; as the driver's `perform`."""
        return self.driver.perform(event)

    def call(self, address: Address, timeout: float | None) -> Mailbox:
        """Call `address`; give the conversation to be, which may end before it opens."""
        ref = self.next_ref()
        self.perform(Call(address, ref, timeout))
        with self.lock:
            return self._dialled.pop(ref)

    def ask(self, box: Mailbox, command: Event) -> None:
        """Hand a command to the machine that has no meaning when the conversation has ended."""
        if not box.ended:
            try:
                self.perform(command)
            except UsageError:
                # The driver of an ended conversation may be closed.
                if not box.ended:
                    raise

    def leave(self, box: Mailbox) -> None:
        """Begin to close a conversation: nobody will read what comes now."""
        with self.lock:
            box.discarding = True
        self.ask(box, Leave(box.link))

    def close(self) -> None:
        """Wait until the ended links need not answer their peers any more, then stop the driver.

        Gives up when no link can rightly last any longer.
        """
        try:
            self.driver.wait_until(lambda: self._machine.is_idle, self._patience)
        finally:
            self.driver.close()

    # Notices, under the driver's lock

    def _on_notice(self, notice: Notice) -> None:
        with self.lock:
            if isinstance(notice, Dialing):
                box = Mailbox(self.lock, notice.link, notice.address)
                self._boxes[notice.link] = self._dialled[notice.ref] = box
                return
            if isinstance(notice, ConversationOpened) and notice.inbound:
                self._admit(notice)
            link = getattr(notice, "link", 0)
            if link not in self._boxes:
                return
            request = self._boxes[link].take(notice)
            if request is not None:
                self.driver.post(request)
            if isinstance(notice, Closed):
                del self._boxes[link]

    def _admit(self, notice: ConversationOpened) -> None:
        if self.closing or len(self.waiting) >= _UNACCEPTED:
            self.driver.post(Abort(notice.link, Reason.SHUTTING_DOWN))
            return
        box = Mailbox(self.lock, notice.link, notice.address)
        self._boxes[notice.link] = box
        self.waiting.append(box)
        self.arrived.notify()

    def _on_failure(self, exc: BaseException) -> None:
        with self.lock:
            self.failure = exc
            for box in self._boxes.values():
                box.fail(exc)
            self._boxes.clear()
            self.arrived.notify_all()

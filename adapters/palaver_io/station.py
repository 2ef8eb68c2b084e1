"""What the facade's conversations share: one machine, one driver, and who gets which notice."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
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
    UsageError,
)

from .driver import Driver
from .errors import DriverFailed
from .mailbox import Mailbox
from .opening import Settings
from .port import Port

_UNACCEPTED = 1024  # conversations that may wait for accept(); further callers are sent away


class Station:
    """A `Duo` on a driver of any kind."""

    def __init__(
        self, start: Callable[..., Driver], settings: Settings, machine: Duo, port: Port
    ) -> None:
        """Start `machine` on `port`, which is taken over, with the driver that `start` makes."""
        # Conversations that called us and were not accepted yet; whether more may come.
        self.waiting: deque[Mailbox] = deque()
        self.closing = False
        self.failure: BaseException | None = None
        # What has not ended, by link.
        self._boxes: dict[int, Mailbox] = {}
        self._machine = machine
        # How long what nobody waits for may take to end, when all conversations have ended.
        self._patience = settings.timing.close_flush + settings.timing.linger_max
        self._refs = count(1)
        # Calls whose conversation is not in the hands of the caller yet, by ref.
        self._dialled: dict[int, Mailbox] = {}
        # The driver's thread may have notices before we have the driver.
        self._started = threading.Event()
        try:
            injector = settings.make_injector()
        except BaseException:
            port.close()
            raise
        self.driver = start(
            machine, port, self._on_notice, injector=injector, on_failure=self._on_failure
        )
        self.guard = self.driver.guard
        self.arrived = self.driver.make_bell()
        self._started.set()

    # Getters

    def boxes(self) -> list[Mailbox]:
        """Give the conversations that have not ended."""
        with self.guard:
            return list(self._boxes.values())

    def next_ref(self) -> int:
        """Give a number that no other message has."""
        return next(self._refs)

    def raise_failure(self) -> None:
        """Raise DriverFailed if the driver has failed."""
        if self.failure is not None:
            raise DriverFailed(f"the driver has stopped: {self.failure!r}") from self.failure

    # Verbs

    def perform(self, event: Event) -> list[Notice]:
        """Hand `event` to the machine; as the driver's `perform`."""
        return self.driver.perform(event)

    def call(self, address: Address, timeout: float | None) -> Mailbox:
        """Call `address`; give the conversation to be, which may end before it opens."""
        ref = self.next_ref()
        with self.guard:
            self.perform(Call(address, ref, timeout))
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
        box.discarding = True
        self.ask(box, Leave(box.link))

    def refuse_callers(self) -> list[Mailbox]:
        """Send further callers away; give the conversations that have not ended."""
        with self.guard:
            self.closing = True
            self.arrived.ring()
            return list(self._boxes.values())

    async def close(self) -> None:
        """Wait until the ended links need not answer their peers any more, then stop the driver.

        Connections end by then too. Gives up on what takes longer than a peer that is there would.
        """
        try:
            driver, machine = self.driver, self._machine
            await driver.progress.wait_until(
                lambda: driver.is_closed or (machine.is_idle and driver.is_idle), self._patience
            )
        finally:
            self.stop()
        self.raise_failure()

    def stop(self) -> None:
        """Stop the driver now; doing so twice does nothing."""
        self.driver.close()

    # Notices, within the driver

    def _on_notice(self, notice: Notice) -> None:
        if not self._started.is_set():
            self._started.wait()
        if isinstance(notice, Dialing):
            box = Mailbox(self.driver.make_bell(), notice.link, notice.address)
            self._boxes[notice.link] = self._dialled[notice.ref] = box
            return
        if isinstance(notice, ConversationOpened) and notice.inbound:
            self._admit(notice)
        link = getattr(notice, "link", 0)
        box_or_none = self._boxes.get(link)
        if box_or_none is None:
            return
        request = box_or_none.take(notice)
        if request is not None:
            self.driver.post(request)
        if isinstance(notice, Closed):
            del self._boxes[link]

    def _admit(self, notice: ConversationOpened) -> None:
        if self.closing or len(self.waiting) >= _UNACCEPTED:
            self.driver.post(Abort(notice.link, Reason.SHUTTING_DOWN))
            return
        box = Mailbox(self.driver.make_bell(), notice.link, notice.address)
        self._boxes[notice.link] = box
        self.waiting.append(box)
        self.arrived.ring()

    def _on_failure(self, exc: BaseException) -> None:
        self.failure = exc
        for box in self._boxes.values():
            box.fail(exc)
        self._boxes.clear()
        self.arrived.ring()

"""What every role is built on: the links of one endpoint, and what is said on them (section 6).

A role owns an endpoint and says what its links mean. It gives events on, and is told of each
notice through one of the methods below "What a role says for itself", in the order in which the
endpoint told them. What it does there (send, dial, give up) takes effect at once; what that leads
to is told after what was told before.

    class Echo(Role[bytes]):
        def _decode(self, role, message):
            return message if message[0] == 16 else None

        def _heard(self, opened, message, now, out):
            self._tell(opened.link, message, now, out)

What a peer does never raises: a message that is not valid, or not understood, or that could not be
queued for a peer that takes nothing, ends its link and no other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Generic, TypedDict, TypeVar

from palaver.entropy import Entropy
from palaver.link.endpoint import Endpoint
from palaver.link.events import (
    Abort,
    Closed,
    Command,
    Delivered,
    Dial,
    Dialing,
    Finished,
    Opened,
    Received,
    Send,
    Side,
    Undelivered,
)
from palaver.link.stream_endpoint import StreamEndpoint
from palaver.machine import (
    Action,
    Address,
    Datagram,
    Event,
    Notice,
    StateMachine,
    StreamEnded,
    Tick,
    Unreachable,
    UsageError,
    WouldBlock,
    copy_slots,
)
from palaver.timing import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from palaver.wire.errors import DecodeError, Reason
from palaver.wire.messages import FIRST_SKIPPABLE_KIND

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

M = TypeVar("M")

_FOREVER = float("inf")
_TICK = Tick()
_FROM_OUTSIDE = (Datagram, Unreachable, StreamEnded)
_OUTCOMES = (Delivered, Undelivered)


class Options(TypedDict, total=False):
    """What a role hands to its endpoint: see `Endpoint`, and with `streams` `StreamEndpoint`."""

    always_cookie: bool
    streams: bool
    timing: Timing
    limits: Limits


def make_endpoint(
    entropy: Entropy, answers: Iterable[str], max_inbound: int, options: Options
) -> Endpoint:
    """Make the endpoint that `options` ask for. Raises UsageError as it does."""
    timing = options.get("timing", DEFAULT_TIMING)
    limits = options.get("limits", DEFAULT_LIMITS)
    if options.get("streams", False):
        return StreamEndpoint(
            entropy, roles=answers, max_inbound=max_inbound, timing=timing, limits=limits
        )
    return Endpoint(
        entropy,
        roles=answers,
        max_inbound=max_inbound,
        always_cookie=options.get("always_cookie", False),
        timing=timing,
        limits=limits,
    )


class Role(StateMachine, Generic[M]):
    """A machine over an endpoint, for messages of type `M`.

    `answers` are the roles for which it answers calls, `max_inbound` how many callers at a time.
    """

    __slots__ = ("_calling", "_endpoint", "_given_up", "_open", "_untold")

    def __init__(
        self,
        entropy: Entropy,
        *,
        answers: Iterable[str],
        max_inbound: int = 65535,
        **options: Unpack[Options],
    ) -> None:
        """Make a role without links. Raises UsageError as `Endpoint` does."""
        super().__init__()
        self._endpoint = make_endpoint(entropy, answers, max_inbound, options)
        # Links that we dialled and that are not open yet, with their roles; and those open.
        self._calling: dict[int, str] = {}
        self._open: dict[int, Opened] = {}
        # Links that were given up and whose end is still to be told, and why.
        self._given_up: dict[int, int] = {}
        # What the endpoint has told and was not looked at yet; empty between events.
        self._untold: deque[Notice] = deque()

    # Getters

    @property
    def deadline(self) -> float | None:
        """When a tick is next due."""
        due, own = self._endpoint.deadline, self._due
        if due is not None and due <= own:
            return due
        return None if own == _FOREVER else own

    @property
    def is_idle(self) -> bool:
        """Whether no link is left, lingering ones included: the socket may be closed."""
        return self._endpoint.is_idle

    def stats(self) -> dict[str, int]:
        """Give the counts of the endpoint."""
        return self._endpoint.stats()

    def rtt(self, link: int) -> float | None:
        """Give the round-trip time of a link in seconds; None if it is not known."""
        return self._endpoint.rtt(link)

    # What a role says for itself

    @property
    def _due(self) -> float:
        """When the role's own timers want `_on_time`; infinity for never."""
        return _FOREVER

    def _on_time(self, now: float, out: list[Action], /) -> None:
        """Act on the role's own timers; afterwards `_due` must be later than `now`."""

    def _do(self, event: Event, now: float, out: list[Action], /) -> None:
        """Carry out a command of the program. Raises UsageError before anything has changed."""
        if not isinstance(event, Command) or isinstance(event, Send):
            raise UsageError(f"a {type(self).__name__} does not take {type(event).__name__}")
        self._pass_on(event, now, out)

    def _decode(self, role: str, message: bytes, /) -> M | None:
        """Decode a message of `role`; None for a kind that it does not have.

        Raises DecodeError, for which the link ends.
        """
        raise NotImplementedError

    def _heard(self, opened: Opened, message: M, now: float, out: list[Action], /) -> None:
        """Act on a message that came on the link that was `opened`."""
        raise NotImplementedError

    def _dialing(self, dialing: Dialing, role: str, now: float, out: list[Action], /) -> None:
        """Act on a link of ours that begins: messages may be sent on it already."""

    def _opened(self, opened: Opened, now: float, out: list[Action], /) -> None:
        """Act on a link that is open."""

    def _finished(self, opened: Opened, now: float, out: list[Action], /) -> None:
        """Act on the peer's word that it will send no more; without it the link is given up."""
        self._give_up(opened.link, Reason.PROTOCOL_ERROR, now, out)

    def _closed(
        self, closed: Closed, opened: Opened | None, now: float, out: list[Action], /
    ) -> None:
        """Act on the end of a link; `opened` is None if it was never open."""

    def _told(self, notice: Notice, _now: float, out: list[Action], /) -> None:
        """Act on any other notice: what became of a message, how dialling goes, or `Writable`."""
        out.append(notice)

    # What a role can do

    def _pass_on(self, event: Event, now: float, out: list[Action]) -> None:
        """Give the endpoint an event; what it tells is looked at later. Raises as it does."""
        for action in self._endpoint.handle(event, now):
            if isinstance(action, Notice):
                self._untold.append(action)
            else:
                out.append(action)

    def _dial(self, dial: Dial, now: float, out: list[Action]) -> int:
        """Dial, and give the number of the link. Raises UsageError."""
        self._pass_on(dial, now, out)
        dialing = self._untold[-1]
        assert isinstance(dialing, Dialing)
        self._calling[dialing.link] = dial.role
        return dialing.link

    def _tell(self, link: int, message: bytes, now: float, out: list[Action]) -> None:
        """Send a message of the role's own: nothing is told of it, and it never raises.

        A link that can't queue it, because its peer takes nothing or has too small a window, is
        given up. The last word to a link that has ended is lost.
        """
        if link in self._given_up:
            return
        try:
            self._pass_on(Send(link, message, None), now, out)
        except (WouldBlock, UsageError):
            self._give_up(link, Reason.OVERWHELMED, now, out)

    def _give_up(self, link: int, reason: int, now: float, out: list[Action]) -> None:
        """End a link now. Of what it still tells, only outcomes and the end are looked at."""
        if link in self._given_up or not (link in self._open or link in self._calling):
            return
        self._given_up[link] = reason
        self._pass_on(Abort(link, reason), now, out)

    def _address_of(self, link: int) -> Address | None:
        """Give where a link's peer is now: it may have moved. None if the link is gone."""
        found = self._endpoint.links.get(link)
        return None if found is None else found.channel.address

    # Events

    def _take(self, event: Event, now: float, out: list[Action]) -> None:
        if isinstance(event, _FROM_OUTSIDE):
            self._pass_on(event, now, out)
        elif isinstance(event, Tick):
            self._tick(now, out)
        else:
            self._do(event, now, out)
        self._look(now, out)

    def _tick(self, now: float, out: list[Action]) -> None:
        """Tick the role and then the endpoint, again if the role has something to say to that."""
        while True:
            if self._due <= now:
                self._on_time(now, out)
            self._look(now, out)
            self._pass_on(_TICK, now, out)
            self._look(now, out)
            due = self.deadline
            if due is None or due > now:
                return

    def _look(self, now: float, out: list[Action]) -> None:
        """Look at all that the endpoint has told, in its order."""
        untold = self._untold
        while untold:
            self._look_at(untold.popleft(), now, out)

    def _look_at(self, notice: Notice, now: float, out: list[Action]) -> None:
        if type(notice) is Received:
            if notice.link not in self._given_up:
                self._hear(notice, now, out)
        elif isinstance(notice, Closed):
            link = notice.link
            given_up = self._given_up.pop(link, None)
            if given_up is not None:
                notice = Closed(link, notice.ref, given_up, Side.LOCAL)
            self._calling.pop(link, None)
            self._closed(notice, self._open.pop(link, None), now, out)
        elif isinstance(notice, _OUTCOMES):
            self._told(notice, now, out)
        elif getattr(notice, "link", None) not in self._given_up:
            self._look_at_other(notice, now, out)

    def _look_at_other(self, notice: Notice, now: float, out: list[Action]) -> None:
        if isinstance(notice, Opened):
            self._calling.pop(notice.link, None)
            self._open[notice.link] = notice
            self._opened(notice, now, out)
        elif isinstance(notice, Dialing):
            self._dialing(notice, self._calling[notice.link], now, out)
        elif isinstance(notice, Finished):
            self._finished(self._open[notice.link], now, out)
        else:
            self._told(notice, now, out)

    def _hear(self, received: Received, now: float, out: list[Action]) -> None:
        opened = self._open[received.link]
        try:
            message = self._decode(opened.role, received.message)
        except DecodeError:
            self._give_up(opened.link, Reason.PROTOCOL_ERROR, now, out)
            return
        if message is not None:
            self._heard(opened, message, now, out)
        elif received.message[0] < FIRST_SKIPPABLE_KIND:
            self._give_up(opened.link, Reason.UNSUPPORTED, now, out)

    # Exploration

    def _twin(self) -> Self:
        """Give a twin; a subclass copies what it has itself and can be changed."""
        twin = copy_slots(self)
        twin._endpoint = self._endpoint.clone()
        twin._calling = self._calling.copy()
        twin._open = self._open.copy()
        twin._given_up = self._given_up.copy()
        twin._untold = self._untold.copy()
        return twin

    def state_key(self, now: float) -> tuple[object, ...]:
        """Give all that decides the future as one comparable value, times relative to `now`."""
        return (
            self._endpoint.state_key(now),
            tuple(sorted(self._calling)),
            tuple(sorted(self._open)),
            tuple(sorted(self._given_up.items())),
        )

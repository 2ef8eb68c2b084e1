"""Two people talk: a listener, a caller, or both at once (PROTOCOL.md, section 6.3).

One machine holds many conversations; `max_conversations` is how many callers it takes at a time.
"""

from __future__ import annotations

from palaver.entropy import Entropy
from palaver.link.endpoint import Endpoint
from palaver.link.events import Abort, Closed, Dial, Dialing, Finished, Opened, Received, Send, Side
from palaver.machine import Action, Address, Event, Notice, StateMachine, UsageError, copy_slots
from palaver.timing import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from palaver.values import value
from palaver.wire.duo import ROLE, Introduce, Text, check_name, decode_duo, encode_text
from palaver.wire.errors import DecodeError, Reason
from palaver.wire.messages import FIRST_SKIPPABLE_KIND


@value
class Call(Event):
    """Call whoever is at `address`; give up after `timeout` seconds, if any."""

    address: Address
    ref: int = 0
    timeout: float | None = None


@value
class Say(Event):
    """Say `text`, at most 65,535 bytes in UTF-8, in the conversation `link`."""

    link: int
    text: str
    ref: int = 0


@value
class ConversationOpened(Notice):
    """The peer has introduced itself as `name`, which may be empty and proves nothing."""

    link: int
    ref: int | None
    address: Address
    name: str

    @property
    def inbound(self) -> bool:
        """Whether the peer called."""
        return self.ref is None


@value
class Said(Notice):
    """The peer has said `text`."""

    link: int
    text: str


class Duo(StateMachine):
    """One-to-one conversations at one address.

    Takes `Call` and `Say`, and the link's own `Finish`, `Leave`, `Abort`, `Pause` and `Resume`.
    Tells `Dialing`, `StillDialing`, `ConversationOpened`, `Said`, `Delivered`, `Overdue`,
    `Undelivered`, `Writable`, `Finished` and `Closed`.
    """

    __slots__ = ("_endpoint", "_given_up", "_introduced", "_met", "name")

    def __init__(
        self,
        entropy: Entropy,
        *,
        name: str = "",
        accept: bool = True,
        max_conversations: int = 1,
        timing: Timing = DEFAULT_TIMING,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Make a machine that answers calls, if `accept`, and can make them.

        `name` is told to each peer: at most 64 bytes of UTF-8. Raises UsageError.
        """
        super().__init__()
        check_name(name)
        if max_conversations < 1:
            raise UsageError(f"max_conversations must be at least 1, not {max_conversations}")
        self.name = name
        self._endpoint = Endpoint(
            entropy,
            roles=(ROLE,) if accept else (),
            max_inbound=max_conversations,
            timing=timing,
            limits=limits,
        )
        # Links that were opened, and of those the ones whose peer has introduced itself.
        self._met: dict[int, Opened] = {}
        self._introduced: set[int] = set()
        # Links that were given up while the notices of one event are looked at, and why.
        self._given_up: dict[int, Reason] = {}

    # Getters

    @property
    def deadline(self) -> float | None:
        """When a tick is next due."""
        return self._endpoint.deadline

    @property
    def is_idle(self) -> bool:
        """Whether no link is left, lingering ones included: the socket may be closed."""
        return self._endpoint.is_idle

    def stats(self) -> dict[str, int]:
        """Give the counts of the endpoint."""
        return self._endpoint.stats()

    def rtt(self, link: int) -> float | None:
        """Give the round-trip time of a conversation in seconds; None if it is not known."""
        return self._endpoint.rtt(link)

    # Events

    def _take(self, event: Event, now: float, out: list[Action]) -> None:
        if type(event) is Say:
            event = Send(event.link, encode_text(event.text), event.ref)
        elif isinstance(event, Call):
            event = Dial(event.address, ROLE, event.ref, event.timeout)
        elif isinstance(event, Send | Dial):
            raise UsageError(f"use Say and Call, not {type(event).__name__}")
        self._given_up.clear()
        self._pass_on(event, now, out)

    def _pass_on(self, event: Event, now: float, out: list[Action]) -> None:
        for action in self._endpoint.handle(event, now):
            if isinstance(action, Notice):
                self._translate(action, now, out)
            else:
                out.append(action)

    def _introduce(self, link: int, now: float, out: list[Action]) -> None:
        self._pass_on(Send(link, Introduce(self.name).encode(), None), now, out)

    def _translate(self, notice: Notice, now: float, out: list[Action]) -> None:
        link = getattr(notice, "link", None)
        if link in self._given_up:
            # Only its end is still to be told, if that has not been done.
            if not (isinstance(notice, Closed) and link in self._met):
                return
            notice = Closed(link, notice.ref, self._given_up[link], Side.LOCAL)
        if type(notice) is Received:
            self._hear(notice, now, out)
        elif isinstance(notice, Finished) and notice.link not in self._introduced:
            self._give_up(notice.link, Reason.PROTOCOL_ERROR, now, out)
        elif isinstance(notice, Dialing):
            out.append(notice)
            self._introduce(notice.link, now, out)
        elif isinstance(notice, Opened):
            self._met[notice.link] = notice
            if notice.inbound:
                self._introduce(notice.link, now, out)
        elif isinstance(notice, Closed):
            met = self._met.pop(notice.link, None)
            known = notice.link in self._introduced
            self._introduced.discard(notice.link)
            # A caller that never introduced itself was never announced.
            if known or met is None or not met.inbound:
                out.append(notice)
        else:
            out.append(notice)

    def _hear(self, received: Received, now: float, out: list[Action]) -> None:
        link = received.link
        try:
            message = decode_duo(received.message)
        except DecodeError:
            self._give_up(link, Reason.PROTOCOL_ERROR, now, out)
            return
        introduced = link in self._introduced
        if type(message) is Text and introduced:
            out.append(Said(link, message.text))
        elif isinstance(message, Introduce) and not introduced:
            self._introduced.add(link)
            opened = self._met[link]
            out.append(ConversationOpened(link, opened.ref, opened.address, message.name))
        elif message is not None:
            self._give_up(link, Reason.PROTOCOL_ERROR, now, out)
        elif received.message[0] < FIRST_SKIPPABLE_KIND:
            self._give_up(link, Reason.UNSUPPORTED, now, out)

    def _give_up(self, link: int, reason: Reason, now: float, out: list[Action]) -> None:
        self._pass_on(Abort(link, reason), now, out)
        self._given_up[link] = reason

    # Exploration

    def clone(self) -> Duo:
        """Give an independent twin that will draw the same random values."""
        twin = copy_slots(self)
        twin._endpoint = self._endpoint.clone()
        twin._met = self._met.copy()
        twin._introduced = self._introduced.copy()
        twin._given_up = self._given_up.copy()
        return twin

    def state_key(self, now: float) -> tuple[object, ...]:
        """Give all that decides the future as one comparable value, times relative to `now`."""
        return (
            self._endpoint.state_key(now),
            tuple(sorted(self._met)),
            tuple(sorted(self._introduced)),
        )

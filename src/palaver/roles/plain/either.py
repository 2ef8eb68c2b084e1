"""One port for both: people with Palaver, and people with plain text (PROTOCOL.md, appendix A).

Two machines stand side by side, each as it is alone; what is here looks at the first byte of what
comes, and hands it to one of them. On streams whoever reads them has looked already: a record comes
as `Datagram`, bare bytes as `Chunk`. Links above 0 are Palaver's, those below 0 are not.
"""

from __future__ import annotations

from collections.abc import Iterable

from palaver.entropy import Entropy
from palaver.machine import (
    Action,
    Chunk,
    Datagram,
    Event,
    StateMachine,
    StreamBlocked,
    StreamEnded,
    StreamOpened,
    Tick,
    Unreachable,
    UsageError,
    copy_slots,
)
from palaver.roles.duo import Duo
from palaver.roles.group import guests
from palaver.roles.group.events import (
    LOBBY,
    AdmitGuest,
    Disband,
    DismissGuest,
    GuestPost,
    MemberCame,
    MemberWent,
    PostRelayed,
)
from palaver.roles.group.hub import Hub
from palaver.roles.group.rules import DEFAULT_HUB_RULES, HubRules
from palaver.timing import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from palaver.wire.names import fold_name
from palaver.wire.plain import is_text, shorten

from .events import Expel, Spread
from .pair import PlainPair
from .relay import PlainRelay
from .rules import DEFAULT_PLAIN_RULES, PlainRules


class _Either(StateMachine):
    """What the two below share: whom an event is for."""

    __slots__ = ()

    @property
    def _machines(self) -> tuple[Duo | Hub, PlainPair | PlainRelay]:
        raise NotImplementedError

    @property
    def deadline(self) -> float | None:
        """When a tick is next due."""
        both = (machine.deadline for machine in self._machines)
        return min((due for due in both if due is not None), default=None)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left, on either side."""
        return all(machine.is_idle for machine in self._machines)

    def stats(self) -> dict[str, int]:
        """Give the counts of both; those of plain text begin with `plain_`."""
        ours, plain = self._machines
        return {**ours.stats(), **{f"plain_{key}": n for key, n in plain.stats().items()}}

    def _is_plain(self, event: Event) -> bool:
        """Tell whom an event is for that is not for both."""
        if isinstance(event, Datagram):
            return not self._machines[1].streams and is_text(event.data)
        if isinstance(event, Chunk | StreamOpened | StreamBlocked):
            return True
        link = getattr(event, "link", 0)
        return isinstance(link, int) and link < 0

    @staticmethod
    def _is_for_both(event: Event) -> bool:
        return isinstance(event, Tick | Unreachable | StreamEnded | Disband)

    def state_key(self, now: float) -> tuple[object, ...]:
        """Give all that decides the future as one comparable value, times relative to `now`."""
        ours, plain = self._machines
        return (ours.state_key(now), plain.state_key(now))


class EitherPair(_Either):
    """Answers calls as `Duo` does, and takes up what strangers say in plain text.

    Takes and tells what both do, each up to `max_conversations` at a time. It does not call.
    """

    __slots__ = ("duo", "plain")

    def __init__(
        self,
        entropy: Entropy,
        *,
        name: str = "",
        max_conversations: int = 1,
        streams: bool = False,
        timing: Timing = DEFAULT_TIMING,
        limits: Limits = DEFAULT_LIMITS,
        rules: PlainRules = DEFAULT_PLAIN_RULES,
    ) -> None:
        """Make a machine that answers. Raises UsageError as `Duo` does."""
        super().__init__()
        self.duo = Duo(
            entropy,
            name=name,
            max_conversations=max_conversations,
            streams=streams,
            timing=timing,
            limits=limits,
        )
        self.plain = PlainPair(max_conversations=max_conversations, streams=streams, rules=rules)

    @property
    def _machines(self) -> tuple[Duo, PlainPair]:
        return self.duo, self.plain

    def _take(self, event: Event, now: float, out: list[Action], /) -> None:
        if self._is_for_both(event):
            out += self.duo.handle(event, now)
            out += self.plain.handle(event, now)
        elif self._is_plain(event):
            out += self.plain.handle(event, now)
        else:
            out += self.duo.handle(event, now)

    def clone(self) -> EitherPair:
        """Give an independent twin that will draw the same random values."""
        twin = copy_slots(self)
        twin.duo, twin.plain = self.duo.clone(), self.plain.clone()
        return twin


class EitherHub(_Either):
    """A hub in whose lobby those with plain text take part, as guests of the hub.

    Takes and tells what `Hub` does.
    """

    __slots__ = ("hub", "plain")

    def __init__(
        self,
        entropy: Entropy,
        *,
        rules: HubRules = DEFAULT_HUB_RULES,
        streams: bool = False,
        timing: Timing = DEFAULT_TIMING,
        limits: Limits = DEFAULT_LIMITS,
        plain_rules: PlainRules = DEFAULT_PLAIN_RULES,
    ) -> None:
        """Make a hub without rooms or guests."""
        super().__init__()
        self.hub = Hub(entropy, rules=rules, streams=streams, timing=timing, limits=limits)
        self.plain = PlainRelay(streams=streams, rules=plain_rules)

    @property
    def _machines(self) -> tuple[Hub, PlainRelay]:
        return self.hub, self.plain

    def _take(self, event: Event, now: float, out: list[Action], /) -> None:
        if isinstance(event, Tick):
            self._tick(event, now, out)
        elif self._is_for_both(event):
            # Those with plain text first: the log tells of their going before it is closed.
            self._take_plain(event, now, out)
            self._take_hub(event, now, out)
        elif self._is_plain(event):
            self._take_plain(event, now, out)
        else:
            self._take_hub(event, now, out)

    def _tick(self, tick: Tick, now: float, out: list[Action]) -> None:
        """Tick both, again if one has led to something that the other is to send."""
        while True:
            self._take_plain(tick, now, out)
            self._take_hub(tick, now, out)
            due = self.deadline
            if due is None or due > now:
                return

    def _take_hub(self, event: Event, now: float, out: list[Action]) -> None:
        """Have the hub take an event, and pass on to plain text what is said in the lobby."""
        actions = self.hub.handle(event, now)
        out += actions
        for action in actions:
            if isinstance(action, PostRelayed) and _is_lobby(action.room):
                self._take_plain(Spread(action.name, action.text), now, out)

    def _take_plain(self, event: Event, now: float, out: list[Action]) -> None:
        """Have the relay take an event, and tell the hub of its guests."""
        self.plain.places = guests.places(self.hub, LOBBY)
        self.plain.is_held = guests.is_held(self.hub, LOBBY)
        self._translate(self.plain.handle(event, now), now, out)

    def _translate(self, actions: Iterable[Action], now: float, out: list[Action]) -> None:
        refused: set[int] = set()
        for action in actions:
            if isinstance(action, MemberCame):
                guest = AdmitGuest(action.link, action.name, action.address)
                try:
                    out += self.hub.handle(guest, now)
                except UsageError:  # there is no name that it could have
                    refused.add(action.link)
            elif isinstance(action, PostRelayed):
                if action.link not in refused:
                    text = shorten(action.text, self.plain.rules.text)
                    out += self.hub.handle(GuestPost(action.link, text), now)
            elif isinstance(action, MemberWent):
                out += self.hub.handle(DismissGuest(action.link, action.how, action.reason), now)
            else:
                out.append(action)
        for link in refused:
            self._translate(self.plain.handle(Expel(link), now), now, out)

    def clone(self) -> EitherHub:
        """Give an independent twin that will draw the same random values."""
        twin = copy_slots(self)
        twin.hub, twin.plain = self.hub.clone(), self.plain.clone()
        return twin


def _is_lobby(room: str) -> bool:
    return fold_name(room) == LOBBY

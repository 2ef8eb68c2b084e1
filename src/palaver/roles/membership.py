"""A client at its registry (PROTOCOL.md, section 6.4): entered, away, asking, leaving."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

from palaver.link.events import Closed, Dial, Leave
from palaver.machine import Action, Address, UsageError, copy_slots
from palaver.timing import Timing
from palaver.values import value
from palaver.wire.errors import Reason
from palaver.wire.names import fold_name
from palaver.wire.registry import (
    MAX_REQUESTS,
    NO_TOKEN,
    REPLACED,
    ROLE,
    Entry,
    Erased,
    Found,
    Inactive,
    List,
    Lookup,
    Page,
    Refused,
    Register,
    Registered,
    RegistryMessage,
    RollCall,
    Roster,
    Stale,
    Unregister,
)

from .peer_events import (
    Appeared,
    Departed,
    Enlisted,
    EnlistRefused,
    NewsMissed,
    Present,
    RegistryAway,
    Replaced,
    Unanswered,
    Vanished,
)
from .peer_states import CLIENT, ClientInput, ClientState

if TYPE_CHECKING:
    from .peer import Peer

_FOREVER = float("inf")
_LAST_REQUEST = (1 << 32) - 1


class Purpose(Enum):
    """What a request to the registry is for."""

    CALL = "call"
    """To learn where to call; the subject is the call's number."""
    CHECK = "check"
    """To learn who calls; the subject is the call's number."""
    LIST = "list"
    """For the program; the subject is its ref."""


@value
class Request:
    """What is done with the answer to a request."""

    purpose: Purpose
    subject: int
    after: int = 0
    """The id above which a list was asked for."""


class Membership:
    """Where we are with the registry, what we have asked it, and what proves who we are."""

    __slots__ = (
        "_last_request",
        "_timing",
        "_wait",
        "address",
        "era",
        "id",
        "link",
        "name",
        "port",
        "requests",
        "state",
        "token",
        "until",
    )

    def __init__(self, address: Address, name: str, timing: Timing, port: int = 0) -> None:
        self.address = address
        self.name = name
        # Where we take calls, if they come by streams; else 0.
        self.port = port
        self.state = ClientState.OUT
        self.link = 0
        # Our id and what proves it, as the registry last gave them; 0 if it never did.
        self.id = 0
        self.token = NO_TOKEN
        # Counts the times that the registry had forgotten us, and with us what its ids meant.
        self.era = 0
        # The timer of the state.
        self.until = _FOREVER
        # What was asked and is not answered yet.
        self.requests: dict[int, Request] = {}
        self._last_request = 0
        self._wait = timing.registry_wait
        self._timing = timing

    @property
    def is_entered(self) -> bool:
        """Whether the registry has us, as far as we know."""
        return self.state is ClientState.ENLISTED

    @property
    def wants_in(self) -> bool:
        """Whether we are entered, or go on trying to be."""
        return self.state not in {ClientState.OUT, ClientState.DEPARTING}

    @property
    def can_ask(self) -> bool:
        """Whether one more request can be made now."""
        return self.is_entered and len(self.requests) < MAX_REQUESTS

    def is_from(self, seen: Address | None, known: Address) -> bool:
        """Tell whether who is seen at one address may be the one who is called at the other.

        Of a stream only the host says something about who has opened it.
        """
        if seen is None or not self.port:
            return seen == known
        return seen[0] == known[0]

    def rename(self, name: str) -> None:
        """Go by another name; what proved the old one is worth nothing for it."""
        if fold_name(name) != fold_name(self.name):
            self.token = NO_TOKEN
        self.name = name

    def step(
        self, peer: Peer, what: ClientInput, subject: object, now: float, out: list[Action]
    ) -> None:
        """Dispatch an input through the table."""
        row = CLIENT.get((self.state, what))
        if row is None:
            peer.ignored += 1
            return
        action, self.state = row
        _ACTIONS[action](self, peer, subject, now, out)

    # Asking

    def ask(
        self, peer: Peer, request: Request, about: int | str, now: float, out: list[Action]
    ) -> bool:
        """Ask for an id or a name, or list from an id on; tell whether that could be asked now."""
        if not self.can_ask:
            return False
        number = self._last_request = self._last_request % _LAST_REQUEST + 1
        self.requests[number] = request
        message: List | Lookup
        if request.purpose is Purpose.LIST:
            assert isinstance(about, int)
            message = List(number, about)
        else:
            message = Lookup(number, about) if isinstance(about, int) else Lookup(number, 0, about)
        peer._tell(self.link, message.encode(), now, out)
        return True

    # Links, messages and time

    def heard(self, peer: Peer, message: RegistryMessage, now: float, out: list[Action]) -> None:
        """Take a message from the registry."""
        what = _MESSAGES.get(type(message))
        if what is None:
            # A RollCall wants nothing but to be acknowledged; the others are a client's.
            if not isinstance(message, RollCall):
                peer._give_up(self.link, Reason.PROTOCOL_ERROR, now, out)
            return
        self.step(peer, what, message, now, out)

    def lost(self, peer: Peer, closed: Closed, now: float, out: list[Action]) -> None:
        """Take the end of the link to the registry."""
        self.link = 0
        was_replaced = closed.reason == REPLACED and self.is_entered
        what = ClientInput.REPLACED if was_replaced else ClientInput.LINK_LOST
        self.step(peer, what, closed, now, out)

    def on_time(self, peer: Peer, now: float, out: list[Action]) -> None:
        """Act on the timer."""
        self.until = _FOREVER
        is_away = self.state is ClientState.AWAY
        what = ClientInput.RETRY_DUE if is_away else ClientInput.TIMEOUT
        self.step(peer, what, None, now, out)

    # Actions

    def _dial(self, peer: Peer, _: object, now: float, out: list[Action]) -> None:
        self.until = _FOREVER
        try:
            self.link = peer._dial(Dial(self.address, ROLE), now, out)
        except UsageError:
            # Our links are all taken: as if it had been turned away.
            self.state = ClientState.AWAY
            self._retry(now)

    def _be_entered(self, peer: Peer, got: Registered, now: float, out: list[Action]) -> None:
        if got.token != self.token:
            self.era += 1
        previous, self.id, self.token = self.id, got.id, got.token
        self._wait = self._timing.registry_wait
        out.append(Enlisted(got.id, self.name, previous))
        peer._ask_waiting(now, out)

    def _be_refused(self, peer: Peer, refused: Refused, now: float, out: list[Action]) -> None:
        self._hang_up(peer, now, out)
        out.append(EnlistRefused(refused.code))

    def _be_answered(
        self, peer: Peer, answer: Found | Inactive | Page, now: float, out: list[Action]
    ) -> None:
        request = self.requests.get(answer.request)
        if request is None or not _fits(answer, request):
            # What was asked stays so, until the end of the link is told.
            peer._give_up(self.link, Reason.PROTOCOL_ERROR, now, out)
            return
        del self.requests[answer.request]
        if isinstance(answer, Page):
            out.append(Present(request.subject, answer.entries, answer.more))
        else:
            entry = answer.entry if isinstance(answer, Found) else None
            peer._learn(request, entry, now, out)
        peer._ask_waiting(now, out)

    def _pass_news(self, peer: Peer, news: Roster | Stale, now: float, out: list[Action]) -> None:
        if isinstance(news, Stale):
            out.append(NewsMissed())
            return
        for change in news.changes:
            if isinstance(change, Entry):
                if change.id != self.id:
                    out.append(Appeared(change))
            else:
                out.append(Vanished(change))
                peer._miss(change, now, out)

    def _lose(self, peer: Peer, closed: Closed, now: float, out: list[Action]) -> None:
        out.append(RegistryAway(closed.reason))
        self._retry(now)
        self._drop_requests(peer, now, out)

    def _be_replaced(self, peer: Peer, _: Closed, now: float, out: list[Action]) -> None:
        self.token = NO_TOKEN
        out.append(Replaced())
        self._drop_requests(peer, now, out)

    def _say_leave(self, peer: Peer, _: object, now: float, out: list[Action]) -> None:
        self.until = now + self._timing.close_flush
        self._drop_requests(peer, now, out)
        peer._tell(self.link, Unregister().encode(), now, out)

    def _go(self, peer: Peer, why: object, now: float, out: list[Action]) -> None:
        self._hang_up(peer, now, out)
        out.append(Departed(acknowledged=isinstance(why, Erased)))

    def _hang_up(self, peer: Peer, now: float, out: list[Action]) -> None:
        self.until = _FOREVER
        link, self.link = self.link, 0
        if link:
            peer._pass_on(Leave(link), now, out)

    def _retry(self, now: float) -> None:
        self.until = now + self._wait
        self._wait = min(self._wait * 2, self._timing.registry_wait_max)

    def _drop_requests(self, peer: Peer, now: float, out: list[Action]) -> None:
        requests, self.requests = self.requests, {}
        for request in requests.values():
            if request.purpose is Purpose.LIST:
                out.append(Unanswered(request.subject))
            else:
                peer._do_without(request, now, out)

    # Exploration

    def clone(self) -> Membership:
        """Give an independent twin."""
        twin = copy_slots(self)
        twin.requests = self.requests.copy()
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return (
            self.state,
            self.link,
            self.id,
            self.token,
            self.era,
            self.name,
            self.until - now,
            tuple(self.requests.items()),
            self._last_request,
            self._wait,
        )


def _fits(answer: Found | Inactive | Page, request: Request) -> bool:
    """Tell whether this is an answer to that."""
    if not isinstance(answer, Page):
        return request.purpose is not Purpose.LIST
    is_above = not answer.entries or answer.entries[0].id > request.after
    return request.purpose is Purpose.LIST and is_above


_MESSAGES: dict[type[RegistryMessage], ClientInput] = {
    Registered: ClientInput.REGISTERED,
    Refused: ClientInput.REFUSED,
    Found: ClientInput.ANSWER,
    Inactive: ClientInput.ANSWER,
    Page: ClientInput.ANSWER,
    Roster: ClientInput.NEWS,
    Stale: ClientInput.NEWS,
    Erased: ClientInput.ERASED,
}

_ACTIONS: dict[str, Callable[[Membership, Peer, Any, float, list[Action]], None]] = {
    "dial": Membership._dial,
    "be_entered": Membership._be_entered,
    "be_refused": Membership._be_refused,
    "be_answered": Membership._be_answered,
    "pass_news": Membership._pass_news,
    "lose": Membership._lose,
    "be_replaced": Membership._be_replaced,
    "say_leave": Membership._say_leave,
    "go": Membership._go,
}


def register_message(client: Membership) -> bytes:
    """Give the REGISTER with which the link to the registry begins."""
    number = client.id if client.token != NO_TOKEN else 0
    return Register(client.name, number, client.token, client.port).encode()

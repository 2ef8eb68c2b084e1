"""What a peer is told, and what it tells (PROTOCOL.md, section 6.5).

In all of these `link` is the number of a call, given by `Calling` or `Ringing`; so it is in the
`Delivered`, `Overdue`, `Undelivered` and `Writable` that a peer tells, and in the `Say`, `Pause`
and `Resume` that it takes.
"""

from __future__ import annotations

from enum import Enum

from palaver.link.events import Side
from palaver.machine import Address, Event, Notice
from palaver.values import value
from palaver.wire.registry import Entry


class Outcome(Enum):
    """How a call has ended. Each has one."""

    INACTIVE = "inactive"
    """The registry knows nobody who is there by that id or name."""
    ALREADY = "already"
    """There is a call with that peer, or it is oneself."""
    REJECTED = "rejected"
    """Whoever was called said no."""
    CANCELLED = "cancelled"
    """The caller gave it up before it was answered."""
    NO_ANSWER = "no-answer"
    """Nobody answered in the time that the caller allowed."""
    TERMINATED = "terminated"
    """One side ended the conversation."""
    GONE = "gone"
    """The link has ended without a word, or could not be had: the reason says more."""


# Commands


@value
class Enlist(Event):
    """Register at the registry, as `name` if it is not None; go on trying until that is done."""

    name: str | None = None


@value
class Depart(Event):
    """End all calls, and have the registry erase us: `Departed` says when the socket may close."""


@value
class Who(Event):
    """Ask who is there: those with ids above `after`, 0 to 2^32 - 1, as many as fit a page."""

    ref: int = 0
    after: int = 0


@value
class Connect(Event):
    """Call whoever has this id or name; give up after `timeout` seconds, if any."""

    to: int | str
    ref: int = 0
    timeout: float | None = None


@value
class Accept(Event):
    """Take the call that rings."""

    link: int


@value
class Reject(Event):
    """Turn down the call that rings; `text`, at most 120 bytes, is for the caller."""

    link: int
    text: str = ""


@value
class Terminate(Event):
    """End a call, whatever its state: a conversation, one's own call, or one that rings."""

    link: int


# Notices about the registry


@value
class Enlisted(Notice):
    """The registry has us as `id`; before, if ever, we were `previous`."""

    id: int
    name: str
    previous: int

    @property
    def is_new(self) -> bool:
        """Whether others have to learn this id."""
        return self.id != self.previous


@value
class StillEnlisting(Notice):
    """Try number `attempt` (from 2) to reach the registry; its host may say `unreachable`."""

    attempt: int
    unreachable: bool


@value
class RegistryAway(Notice):
    """The link to the registry has ended for `reason`; calls go on, and we try to come back."""

    reason: int


@value
class EnlistRefused(Notice):
    """The registry does not take us, for `code` (a `Refusal`); `Enlist` tries again."""

    code: int


@value
class Replaced(Notice):
    """Our owner has registered on another link: we are not entered any more, and don't try."""


@value
class Departed(Notice):
    """We are not entered any more; `acknowledged` if the registry said so."""

    acknowledged: bool


@value
class Present(Notice):
    """An answer to `Who`: some who are there, and whether there are `more` with higher ids."""

    ref: int
    entries: tuple[Entry, ...]
    more: bool


@value
class Unanswered(Notice):
    """The registry went away before it answered this `Who`."""

    ref: int


@value
class Appeared(Notice):
    """Somebody is there, or has another address."""

    entry: Entry


@value
class Vanished(Notice):
    """Whoever had this id is not there any more."""

    id: int


@value
class NewsMissed(Notice):
    """More has changed than was told: ask `Who`, to know."""


# Notices about calls


@value
class Calling(Notice):
    """The command `ref` to connect has become the call `link`."""

    link: int
    ref: int
    to: int | str


@value
class StillCalling(Notice):
    """The call is not answered yet; so far it was asked `attempt` times."""

    link: int
    ref: int
    attempt: int
    unreachable: bool


@value
class Ringing(Notice):
    """Somebody calls.

    If `verified`, the registry's address for this id is the one that the call comes from, and
    `name` is the registry's; else both are what the caller claims.
    """

    link: int
    peer: int
    name: str
    address: Address
    verified: bool


@value
class CallOpened(Notice):
    """Both want to talk. `ref` is that of `Connect`, or None if the peer called."""

    link: int
    ref: int | None
    peer: int
    name: str
    address: Address
    verified: bool


@value
class Heard(Notice):
    """The peer with this id has said `text`: its message `number`."""

    link: int
    peer: int
    number: int
    text: str


@value
class CallEnded(Notice):
    """The call is over: nothing follows for it.

    `reason` is a `Rejection` for REJECTED and that of the link for GONE; else it means nothing.
    """

    link: int
    ref: int | None
    outcome: Outcome
    by: Side
    reason: int
    text: str = ""

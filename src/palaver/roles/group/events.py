"""What a hub and a member are told, and what they tell (PROTOCOL.md, section 6.6).

At a member, `link` names the membership from `JoinRoom` on; the links that carry it come and go.
At a hub it names the link.
"""

from __future__ import annotations

from palaver.machine import Address, Event, Notice
from palaver.values import value
from palaver.wire.group import Welcome
from palaver.wire.group_log import Coming, Going

LOBBY = "lobby"

# At a member


@value
class JoinRoom(Event):
    """Join a room of the hub at `address` as `name`, and ask for its last `backlog` posts.

    Give up after `timeout` seconds without an answer, if any. `Dialing` tells the membership's
    number.
    """

    address: Address
    name: str
    room: str = LOBBY
    ref: int = 0
    backlog: int = 0
    timeout: float | None = None


@value
class Post(Event):
    """Tell all others in the room: at most 65,000 bytes in UTF-8."""

    link: int
    text: str
    ref: int = 0


@value
class Entered(Notice):
    """We are in the room, as `name`; entries after number `number` follow.

    `members` are those who were there after that entry (when we resume, it is what we knew).
    """

    link: int
    ref: int
    room: str
    name: str
    how: Welcome
    number: int
    members: tuple[str, ...]


@value
class PostHeard(Notice):
    """Another member has said `text`; `number` is the place in the room's order."""

    link: int
    number: int
    name: str
    text: str


@value
class CameIn(Notice):
    """Somebody has come in: also ourselves."""

    link: int
    number: int
    name: str
    how: Coming


@value
class WentOut(Notice):
    """Somebody is gone: also ourselves, if we have come back since."""

    link: int
    number: int
    name: str
    how: Going


@value
class PostTaken(Notice):
    """The hub has the post of command `ref`, and its place in the room's order.

    `number` is 0 where that is not known: the hub took it, and there is a gap.
    """

    link: int
    ref: int
    number: int


@value
class PostSpread(Notice):
    """So many of the others have acknowledged the post of command `ref`, and `awaited` may yet."""

    link: int
    ref: int
    acknowledged: int
    awaited: int


@value
class Gap(Notice):
    """Entries from `first` to `last` won't be told: we were away for too long.

    With `last` 0 it is not known how many there were: the hub does not know us any more.
    """

    link: int
    first: int
    last: int


@value
class Interrupted(Notice):
    """The link has ended, with `reason`; we try to come back. What is posted waits."""

    link: int
    reason: int


@value
class JoinRefused(Notice):
    """The hub does not admit us; `suggestion` is a name that it would take, or empty."""

    link: int
    reason: int
    suggestion: str


# At a hub


@value
class Disband(Event):
    """End all links, and take no more: the hub is going away."""


@value
class PostRelayed(Notice):
    """A member has said `text` in a room: a `plain` one in plain text (appendix A)."""

    link: int
    room: str
    number: int
    name: str
    text: str
    plain: bool = False


@value
class MemberCame(Notice):
    """Somebody has come into a room, or back on another link that nobody noticed (`number` 0)."""

    link: int
    room: str
    number: int
    name: str
    how: Coming
    address: Address
    plain: bool = False


@value
class MemberWent(Notice):
    """Somebody is gone from a room; `reason` is that of its link."""

    link: int
    room: str
    number: int
    name: str
    how: Going
    reason: int
    plain: bool = False


@value
class AdmitGuest(Event):
    """Let somebody take part who has no link, and for whom the program answers.

    `guest` is a number below 0 that no other guest has; what the others call it is told by
    `MemberCame`. Posts and goings come by `GuestPost` and `DismissGuest`; what others say is for
    the program to pass on. Raises UsageError if the room has no place.
    """

    guest: int
    name: str
    address: Address
    room: str = LOBBY


@value
class GuestPost(Event):
    """A guest says `text`: at most 65,000 bytes in UTF-8. It is dropped while a room is held."""

    guest: int
    text: str


@value
class DismissGuest(Event):
    """A guest is gone, or never was one."""

    guest: int
    how: Going
    reason: int

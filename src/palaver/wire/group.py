"""The vocabulary of role "group": a hub, and members of its rooms (PROTOCOL.md, section 6.6).

JOIN and POST go to the hub, all others to a member. What happens in a room is a log of numbered
entries; LOG carries entries in the order of their numbers. `encode()` trusts the program;
`decode_group` trusts nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from struct import Struct, error
from typing import TypeAlias

from palaver.machine import UsageError
from palaver.values import value

from .errors import DecodeError, Reason
from .fields import decode_name, short, take_short
from .group_log import LAST_NUMBER, LOG, MAX_TEXT, Log, decode_log
from .messages import decode_text
from .names import MAX_NAME
from .texts import to_utf8

ROLE = "group"

JOIN = 16
POST = 17
ADMITTED = 18
REFUSED = 19
MEMBERS = 20
RECEIPT = 22

TOKEN_SIZE = 16
MAX_ROOM = 32
"""Bytes of a room's name."""
MAX_RUNS = 64
"""Runs of a RECEIPT."""

_JOIN = Struct(">BHQ")
_POST = Struct(">BQ")
_ADMITTED = Struct(f">BB{TOKEN_SIZE}sQQH")
_RUN = Struct(">QHHH")


class Welcome(IntEnum):
    """How a member was admitted."""

    NEW = 0
    """As somebody whom the hub does not know."""
    RESUMED = 1
    """It goes on where it was: all that it has missed follows."""
    GAP = 2
    """It goes on, but the hub does not have all any more that it has missed."""


class JoinRefusal(IntEnum):
    """Why somebody was not admitted, or not kept: reasons of this role (section 9.1)."""

    NAME_TAKEN = 128
    """Somebody of that name is in the room."""
    BAD_NAME = 129
    """The name can't be taken: it has what does not print, or is too long in normal form C."""
    BAD_ROOM = 130
    """There can be no room of that name."""
    ROOM_FULL = 131
    """The room has as many members as it takes."""
    NO_MORE_ROOMS = 132
    """The hub has as many rooms as it takes."""
    TAKEN_OVER = 133
    """The member came back on another link."""
    LATE = 134
    """No JOIN came in time, or no answer to it."""


def ending_name(code: int) -> str:
    """Name the reason of the end of a membership for people: "name-taken"."""
    for names in (Reason, JoinRefusal):
        if code in names.__members__.values():
            return names(code).name.lower().replace("_", "-")
    return f"reason-{code}"


# To the hub


@value
class Join:
    """The first message: who wants to be in which room, and what it has had of that room.

    `token` is empty, or that of an earlier ADMITTED; then `last` is the number of the last entry
    that came. Somebody new may ask for the last `backlog` posts.
    """

    name: str
    room: str
    backlog: int = 0
    token: bytes = b""
    last: int = 0

    def encode(self) -> bytes:
        """Give the message."""
        head = _JOIN.pack(JOIN, self.backlog, self.last)
        return head + b"".join(
            short(part) for part in (self.token, self.room.encode(), self.name.encode())
        )


@value
class Post:
    """Something to tell the others. `id` is higher than that of the post before."""

    id: int
    text: str

    def encode(self) -> bytes:
        """Give the message."""
        return encode_post(self.id, self.text)


# To a member


@value
class Admitted:
    """The answer to JOIN: the entries that come next are those after number `number`.

    `taken`: the highest id of the posts that the hub has had from this member. `members`: how many
    names MEMBERS will tell. `name`: what the member is called in the room.
    """

    how: int
    token: bytes
    number: int
    taken: int
    members: int
    name: str

    def encode(self) -> bytes:
        """Give the message."""
        head = _ADMITTED.pack(ADMITTED, self.how, self.token, self.number, self.taken, self.members)
        return head + self.name.encode()


@value
class Refused:
    """The other answer to JOIN; `suggestion` is a name that could be taken, or empty."""

    reason: int
    suggestion: str = ""

    def encode(self) -> bytes:
        """Give the message."""
        return bytes((REFUSED, self.reason)) + self.suggestion.encode()


@value
class Members:
    """Names of those who were in the room after the entry that ADMITTED names."""

    names: tuple[str, ...]

    def encode(self) -> bytes:
        """Give the message."""
        return bytes((MEMBERS,)) + b"".join(short(name.encode()) for name in self.names)


@value
class Run:
    """How far `count` posts have come, with ids from `first` on.

    `acknowledged` of the others have them; of `awaited` more it is not known.
    """

    first: int
    count: int
    acknowledged: int
    awaited: int


@value
class Receipt:
    """What became of posts of the member that is told; 1 to 64 runs."""

    runs: tuple[Run, ...]

    def encode(self) -> bytes:
        """Give the message."""
        packed = [_RUN.pack(r.first, r.count, r.acknowledged, r.awaited) for r in self.runs]
        return bytes((RECEIPT,)) + b"".join(packed)


GroupMessage: TypeAlias = Join | Post | Admitted | Refused | Members | Log | Receipt


def encode_post(post_id: int, text: str) -> bytes:
    """Give the POST of a text that was checked."""
    return _POST.pack(POST, post_id) + text.encode()


def check_post(text: str) -> None:
    """Raise UsageError unless `text` can be posted."""
    size = len(to_utf8(text, "the text"))
    if size > MAX_TEXT:
        raise UsageError(f"the text has {size} bytes; {MAX_TEXT} are allowed")


def check_names(name: str, room: str) -> None:
    """Raise UsageError unless the two fit into a JOIN; the hub may still refuse them."""
    for what, text, most in (("name", name, MAX_NAME), ("name of the room", room, MAX_ROOM)):
        size = len(to_utf8(text, f"the {what}"))
        if not 0 < size <= most:
            raise UsageError(f"the {what} has {size} bytes; 1 to {most} are allowed")


# Decoding


def decode_group(message: bytes) -> GroupMessage | None:
    """Decode a message of this role; None for a kind that it does not have.

    Raises DecodeError for a body that is not valid, and for an unknown entry below 128.
    """
    if not message:
        raise DecodeError("a message has at least its kind")
    decode = _DECODERS.get(message[0])
    if decode is None:
        return None
    try:
        return decode(message)
    except error:
        raise DecodeError("the message is cut off") from None


def _decode_join(message: bytes) -> Join:
    _, backlog, last = _JOIN.unpack_from(message)
    token, at = take_short(message, _JOIN.size)
    room, at = take_short(message, at)
    name, at = take_short(message, at)
    if at != len(message):
        raise DecodeError("there is more than a JOIN")
    if len(token) not in {0, TOKEN_SIZE}:
        raise DecodeError(f"a token of {len(token)} bytes")
    if last and not token:
        raise DecodeError("entries that came, but no token")
    return Join(decode_name(name), decode_name(room, MAX_ROOM), backlog, token, last)


def _decode_post(message: bytes) -> Post:
    _, number = _POST.unpack_from(message)
    if not number:
        raise DecodeError("the ids of posts begin at 1")
    if len(message) > _POST.size + MAX_TEXT:
        raise DecodeError(f"a post of {len(message) - _POST.size} bytes")
    return Post(number, decode_text(message, _POST.size))


def _decode_admitted(message: bytes) -> Admitted:
    _, how, token, number, taken, members = _ADMITTED.unpack_from(message)
    if how > Welcome.GAP:
        raise DecodeError(f"admitted in way {how}")
    if how == Welcome.RESUMED and members:
        raise DecodeError("who has missed nothing has the names already")
    return Admitted(how, token, number, taken, members, decode_name(message[_ADMITTED.size :]))


def _decode_refused(message: bytes) -> Refused:
    if len(message) < 2:
        raise DecodeError("refused without a reason")
    if len(message) > 2 + MAX_NAME:
        raise DecodeError("the suggestion is too long")
    return Refused(message[1], decode_text(message, 2))


def _decode_members(message: bytes) -> Members:
    names, at = [], 1
    while at < len(message):
        name, at = take_short(message, at)
        names.append(decode_name(name))
    if not names:
        raise DecodeError("no names")
    return Members(tuple(names))


def _decode_receipt(message: bytes) -> Receipt:
    if len(message) == 1:
        raise DecodeError("a receipt for nothing")
    if len(message) > 1 + MAX_RUNS * _RUN.size:
        raise DecodeError("too many runs")
    runs = tuple(Run(*_RUN.unpack_from(message, at)) for at in range(1, len(message), _RUN.size))
    for run in runs:
        if not run.first or not run.count or run.first - 1 > LAST_NUMBER - run.count:
            raise DecodeError("a run of posts that there can't be")
    return Receipt(runs)


_DECODERS: dict[int, Callable[[bytes], GroupMessage]] = {
    JOIN: _decode_join,
    POST: _decode_post,
    ADMITTED: _decode_admitted,
    REFUSED: _decode_refused,
    MEMBERS: _decode_members,
    LOG: decode_log,
    RECEIPT: _decode_receipt,
}

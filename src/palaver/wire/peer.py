"""The vocabulary of role "peer": calls between people (PROTOCOL.md, section 6.5)."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import ClassVar, TypeAlias

from palaver.machine import UsageError
from palaver.timing import MAX_MESSAGE
from palaver.values import value

from .errors import MAX_REASON_TEXT, DecodeError
from .messages import decode_text
from .names import MAX_NAME
from .texts import to_utf8

ROLE = "peer"
CALL_SIZE = 8

_BY = Struct("!B8sI")
_TWO = Struct("!B8sII")
_REJECT = Struct("!B8sIB")
MAX_CHAT = MAX_MESSAGE - _TWO.size
"""Bytes of text that one CHAT holds."""


class Rejection(IntEnum):
    """Why a call is not taken."""

    DECLINED = 0
    """The person who was called, or their program, said no."""
    BUSY = 1
    """The person who was called has as many calls as they take."""
    NOT_ME = 2
    """Whoever is at that address has another id: ask the registry again."""
    OVER = 3
    """This call has had its outcome."""


@value
class Ring:
    """Caller: will you talk? Said again until it is answered; `call` names it."""

    KIND: ClassVar[int] = 16
    call: bytes
    caller: int
    callee: int
    name: str

    def encode(self) -> bytes:
        """Give the message."""
        return _TWO.pack(self.KIND, self.call, self.caller, self.callee) + self.name.encode()


@value
class Accepted:
    """Callee: yes."""

    KIND: ClassVar[int] = 17
    call: bytes
    sender: int

    def encode(self) -> bytes:
        """Give the message."""
        return _BY.pack(self.KIND, self.call, self.sender)


@value
class Rejected:
    """Callee: no, for this reason; `text` is for people."""

    KIND: ClassVar[int] = 18
    call: bytes
    sender: int
    code: int
    text: str = ""

    def encode(self) -> bytes:
        """Give the message."""
        head = _REJECT.pack(self.KIND, self.call, self.sender, self.code)
        return head + self.text.encode()


@value
class Cancelled:
    """Caller: I don't want the call any more."""

    KIND: ClassVar[int] = 19
    call: bytes
    sender: int

    def encode(self) -> bytes:
        """Give the message."""
        return _BY.pack(self.KIND, self.call, self.sender)


@value
class Chat:
    """Either: something said, with a number that rises by one from 1."""

    KIND: ClassVar[int] = 20
    call: bytes
    sender: int
    number: int
    text: str

    def encode(self) -> bytes:
        """Give the message."""
        return _TWO.pack(self.KIND, self.call, self.sender, self.number) + self.text.encode()


@value
class Terminate:
    """Either: I end the conversation."""

    KIND: ClassVar[int] = 21
    call: bytes
    sender: int

    def encode(self) -> bytes:
        """Give the message."""
        return _BY.pack(self.KIND, self.call, self.sender)


@value
class Terminated:
    """Either: I know that you have ended the conversation."""

    KIND: ClassVar[int] = 22
    call: bytes
    sender: int

    def encode(self) -> bytes:
        """Give the message."""
        return _BY.pack(self.KIND, self.call, self.sender)


PeerMessage: TypeAlias = Ring | Accepted | Rejected | Cancelled | Chat | Terminate | Terminated


def decode_peer(message: bytes) -> PeerMessage | None:
    """Decode a message of this role; None for a kind that it does not have.

    Raises DecodeError for a body that is not valid.
    """
    if not message:
        raise DecodeError("a message has at least its kind")
    kind, size = message[0], len(message)
    if kind == Chat.KIND and size >= _TWO.size:
        _, call, sender, number = _TWO.unpack_from(message)
        if number == 0:
            raise DecodeError("the numbers of CHAT begin with 1")
        return Chat(call, _check_id(sender), number, decode_text(message, _TWO.size))
    if kind == Ring.KIND and _TWO.size <= size <= _TWO.size + MAX_NAME:
        _, call, caller, callee = _TWO.unpack_from(message)
        name = decode_text(message, _TWO.size)
        return Ring(call, _check_id(caller), _check_id(callee), name)
    if kind == Rejected.KIND and _REJECT.size <= size <= _REJECT.size + MAX_REASON_TEXT:
        _, call, sender, code = _REJECT.unpack_from(message)
        return Rejected(call, _check_id(sender), code, decode_text(message, _REJECT.size))
    if kind in _SHORT and size == _BY.size:
        _, call, sender = _BY.unpack_from(message)
        return _SHORT[kind](call, _check_id(sender))
    if Ring.KIND <= kind <= Terminated.KIND:
        raise DecodeError("a message is too short or too long")
    return None


_SHORT: dict[int, type[Accepted | Cancelled | Terminate | Terminated]] = {
    Accepted.KIND: Accepted,
    Cancelled.KIND: Cancelled,
    Terminate.KIND: Terminate,
    Terminated.KIND: Terminated,
}


def _check_id(number: int) -> int:
    if number == 0:
        raise DecodeError("0 is nobody's id")
    return number


def check_chat(text: str) -> None:
    """Raise UsageError unless one CHAT can hold `text`."""
    size = len(to_utf8(text, "the text"))
    if size > MAX_CHAT:
        raise UsageError(f"the text has {size} bytes; {MAX_CHAT} are allowed")

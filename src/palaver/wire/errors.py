"""What the decoders raise, and the reasons that a link can end for."""

from __future__ import annotations

from enum import IntEnum

from palaver.machine import PalaverError


class DecodeError(PalaverError):
    """The bytes are not a valid encoding. Decoders raise this and nothing else."""


class Reason(IntEnum):
    """Why a link was refused or has ended (PROTOCOL.md, section 9.1).

    Codes below 64 may cross the wire in REFUSE, CLOSE and BYE; those from 64 to 127 are findings
    of one side alone; 128 to 255 belong to the role and have no name here.
    """

    LEFT = 0
    """The other program, or this one, was done."""
    ABORTED = 1
    """A program gave the link up without waiting."""
    PROTOCOL_ERROR = 2
    """A packet with a valid tag broke the rules."""
    UNSUPPORTED = 3
    """A message of a kind that must be understood was not."""
    BUSY = 4
    """The callee has as many conversations as it takes."""
    WRONG_ROLE = 5
    """The callee does not answer for the role that was asked for."""
    NO_COMMON_VERSION = 6
    """No version of the protocol is known to both."""
    NO_COMMON_PROFILE = 7
    """No protection profile is known to both."""
    CREDIT_EXCEEDED = 8
    """More was sent than had been granted."""
    EXHAUSTED = 9
    """The link ran out of numbers."""
    FLUSH_TIMEOUT = 10
    """A graceful close could not get everything acknowledged in time."""
    DEAD = 11
    """Nothing came from the peer while something awaited an acknowledgement."""
    SHUTTING_DOWN = 12
    """The endpoint is going away."""
    OVERWHELMED = 13
    """The peer took too little, too slowly: what it was to be told piled up."""
    NO_ANSWER = 64
    """The call was given up: nothing answered in the time that the caller allowed."""
    CANCELLED = 65
    """The caller gave the call up before it was answered."""
    RESET = 66
    """The peer does not know the link any more: it was restarted."""
    TOO_LARGE = 67
    """A message queued before the link was open is larger than the peer's window."""
    DISCONNECTED = 68
    """The stream that the link was on has ended."""


FIRST_LOCAL_REASON = 64
FIRST_ROLE_REASON = 128
LAST_REASON = 255
MAX_REASON_TEXT = 120  # bytes


def decode_reason(code: int) -> int:
    """Give a code from the wire. Raises DecodeError for one that nobody may send (rule R-1)."""
    if FIRST_LOCAL_REASON <= code < FIRST_ROLE_REASON:
        raise DecodeError(f"{code} is not a reason that may be sent")
    return code


def decode_reason_text(data: bytes) -> str:
    """Give the text that goes with a reason. Raises DecodeError unless it is short and UTF-8."""
    if len(data) > MAX_REASON_TEXT:
        raise DecodeError(f"a reason's text of {len(data)} bytes; {MAX_REASON_TEXT} are allowed")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise DecodeError("the text of a reason is not UTF-8") from None


def reason_name(code: int) -> str:
    """Name a reason for people: "no-answer", or "reason-200" for a code without a name."""
    try:
        return Reason(code).name.lower().replace("_", "-")
    except ValueError:
        return f"reason-{code}"

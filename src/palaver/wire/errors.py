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


def reason_name(code: int) -> str:
    """Name a reason for people: "no-answer", or "reason-200" for a code without a name."""
    try:
        return Reason(code).name.lower().replace("_", "-")
    except ValueError:
        return f"reason-{code}"

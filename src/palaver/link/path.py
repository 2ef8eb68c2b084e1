"""Whether the peer has moved to another address (PROTOCOL.md, section 8.8)."""

from __future__ import annotations

from hashlib import blake2s

from palaver.machine import Address, copy_slots
from palaver.wire.frames import PATH_FRAME_SIZE, PATH_TOKEN_SIZE, PathChallenge, PathResponse

from .outbox import PACKET_OVERHEAD

CHALLENGES = 3
ANSWERS = 4  # challenges that are remembered until they are answered
CHALLENGE_SIZE = PACKET_OVERHEAD + PATH_FRAME_SIZE


class Candidate:
    """An address that the newest packet came from, until it has proved itself or has not."""

    __slots__ = (
        "_received",
        "_sent",
        "_token",
        "_withheld",
        "address",
        "attempts",
        "due",
        "sent_at",
    )

    def __init__(self, address: Address, secret: bytes, now: float) -> None:
        self.address = address
        # When the next challenge is due, or, after the last one, the end of patience.
        self.due = now
        self.attempts = 0
        self.sent_at = now
        # Bytes that came from there and went there: never more than came.
        self._received = 0
        self._sent = 0
        # Whether the last challenge could not be sent for want of bytes that came from there.
        self._withheld = False
        # Always the same for an address: a response that comes after the candidate was forgotten is
        # a newest packet from there, names it anew, and proves it in the same breath.
        tag = repr(address).encode()
        self._token = blake2s(tag, key=secret, digest_size=PATH_TOKEN_SIZE).digest()

    @property
    def has_failed(self) -> bool:
        """Whether all challenges were sent; when `due` has come too, it is over."""
        return self.attempts >= CHALLENGES

    def credit(self, size: int) -> None:
        """Count bytes that came from there."""
        self._received += size
        if self._withheld:
            # It was none, then: it goes out now.
            self._withheld = False
            self.attempts -= 1
            self.due = float("-inf")

    def spend(self) -> bool:
        """Count a packet that is to go there; False if too little has come from there."""
        if self._sent + CHALLENGE_SIZE > self._received:
            return False
        self._sent += CHALLENGE_SIZE
        return True

    def challenge(self, wait: float, now: float) -> bytes | None:
        """Give the frame of the next challenge, if it may be sent; `wait` until the one after."""
        self.due = now + wait
        self.attempts += 1
        self._withheld = not self.spend()
        if self._withheld:
            return None
        self.sent_at = now
        return PathChallenge(self._token).encode()

    def is_proved_by(self, token: bytes, source: Address) -> bool:
        """Tell whether a response proves the address."""
        return token == self._token and source == self.address

    def clone(self) -> Candidate:
        """Give an independent twin."""
        return copy_slots(self)

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return (
            self.address,
            self.due - now,
            self.attempts,
            self.sent_at - now,
            self._received - self._sent,
            self._withheld,
            self._token,
        )


class PathWatch:
    """Sees whether the peer moves, and proves to the peer that we have."""

    __slots__ = ("_asked", "_candidate", "_secret", "is_idle")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._candidate: Candidate | None = None
        # Challenges of the peer's, to be answered: token, and where it came from.
        self._asked: tuple[tuple[bytes, Address], ...] = ()
        self.is_idle = True
        """Whether there is nothing to watch and nothing to answer."""

    @property
    def due(self) -> float:
        """When `packets` is next due; a time in the past means at once, infinity never."""
        if self._asked:
            return float("-inf")
        return float("inf") if self._candidate is None else self._candidate.due

    def see(self, source: Address, size: int, now: float, *, here: bool) -> None:
        """Take note of a packet newer than all before; `here` if it came from where it should."""
        if here:
            self._candidate = None
        elif self._candidate is None or self._candidate.address != source:
            self._candidate = Candidate(source, self._secret, now)
        self._note_idle()
        self.credit(source, size)

    def credit(self, source: Address, size: int) -> None:
        """Count bytes that came from an address."""
        if self._candidate is not None and self._candidate.address == source:
            self._candidate.credit(size)

    def ask(self, token: bytes, source: Address) -> None:
        """Take note of a challenge of the peer's."""
        self._asked = (*self._asked, (token, source))[-ANSWERS:]
        self.is_idle = False

    def settle(self, token: bytes, source: Address) -> Candidate | None:
        """Give the candidate that a response proves, if it does."""
        candidate = self._candidate
        if candidate is None or not candidate.is_proved_by(token, source):
            return None
        self._candidate = None
        self._note_idle()
        return candidate

    def _note_idle(self) -> None:
        self.is_idle = self._candidate is None and not self._asked

    def packets(self, wait: float, now: float) -> list[tuple[bytes, Address]]:
        """Give the frames to send now, each in a packet of its own, and where to.

        `wait` is the probe timeout in seconds.
        """
        packets = []
        candidate = self._candidate
        for token, source in self._asked:
            if candidate is None or candidate.address != source or candidate.spend():
                packets.append((PathResponse(token).encode(), source))
        self._asked = ()
        if candidate is not None and now >= candidate.due:
            if candidate.has_failed:
                self._candidate = None
            else:
                frame = candidate.challenge(wait, now)
                if frame is not None:
                    packets.append((frame, candidate.address))
        self._note_idle()
        return packets

    def clone(self) -> PathWatch:
        """Give an independent twin."""
        twin = copy_slots(self)
        twin._candidate = None if self._candidate is None else self._candidate.clone()
        return twin

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return (self._asked, None if self._candidate is None else self._candidate.key(now))

"""The caller's part of a handshake: when to say HELLO, and which (PROTOCOL.md, section 4.3)."""

from __future__ import annotations

from palaver.machine import copy_slots
from palaver.timing import Timing
from palaver.wire.packets import Hello
from palaver.wire.sealing import CLEAR

from .handshake import with_cookie


class Caller:
    """The HELLO and its schedule."""

    __slots__ = (
        "_follow_at",
        "_sent_at",
        "_timing",
        "attempts",
        "hello",
        "hello_at",
        "is_answering",
        "unreachable",
    )

    def __init__(self, hello: Hello, now: float, timing: Timing) -> None:
        self.hello = hello
        self.hello_at = now
        self.attempts = 0
        # Whether the next HELLO is an answer to a COOKIE: somebody is there.
        self.is_answering = False
        # Whether the network said, since the last HELLO, that nothing listens there.
        self.unreachable = False
        self._sent_at = now
        # When the next COOKIE may be followed: a storm of them leads to no storm of HELLOs.
        self._follow_at = now
        self._timing = timing

    def next_hello(self, now: float) -> bytes:
        """Give the HELLO to send now; the next follows at `hello_at`."""
        self.attempts += 1
        self.is_answering = False
        self._sent_at = now
        self.hello_at = now + self._timing.hello_wait(self.attempts)
        self.unreachable = False
        return CLEAR.seal(self.hello.encode())

    def rtt(self, now: float) -> float | None:
        """Give the round-trip time if the answer comes now; None if that can't be told."""
        return now - self._sent_at if self.attempts == 1 else None

    def present(self, cookie: bytes, now: float) -> None:
        """Send HELLO again, at once, with the cookie that was asked for."""
        if cookie != self.hello.cookie and now >= self._follow_at:
            self._follow_at = now + self._timing.hello_interval
            self.hello = with_cookie(self.hello, cookie)
            self.hello_at = now
            self.is_answering = True

    @property
    def _phase(self) -> int:
        """How many HELLOs were sent, or -1 when all waits that follow are the same."""
        settled = self.attempts > 1 and (
            self._timing.hello_wait(self.attempts) >= self._timing.hello_interval_max
        )
        return -1 if settled else self.attempts

    def clone(self) -> Caller:
        """Give an independent twin."""
        return copy_slots(self)

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value, times relative to `now`."""
        return (
            self.hello,
            self.hello_at - now,
            max(self._follow_at - now, 0.0),
            self._phase,
            self.is_answering,
            self.unreachable,
        )

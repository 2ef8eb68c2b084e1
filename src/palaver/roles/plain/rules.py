"""What is allowed to those who speak plain text, in one place (PROTOCOL.md, appendix A)."""

from __future__ import annotations

from dataclasses import dataclass, fields

from palaver.machine import UsageError


@dataclass(frozen=True)
class PlainRules:
    """Bounds and times; seconds and bytes unless the name says otherwise."""

    text: int = 1024
    """A text in a datagram, and a text that is passed on: what such programs take at a time."""
    piece: int = 8192
    """A line on a stream that is longer comes in pieces."""
    pause: float = 0.2
    """What came on a stream without a line end is a text after this long without more."""
    silence: float = 600.0
    """Who has said nothing for this long is forgotten."""
    yields_after: float = 30.0
    """When all places are taken, who has said nothing for this long makes place for a newcomer."""
    farewell: float = 0.2
    """How long a caller who was never answered waits, after its `exit`, for word that nobody is
    there."""
    flush: float = 5.0
    """What waits to be sent when a conversation is left has this long."""
    retry: float = 0.25
    """From the failure of a stream that is to be opened to the next attempt; it doubles."""
    retry_max: float = 5.0
    """The longest such wait."""
    pace: int = 200
    """Datagrams per second that are sent to one address, in a conversation of two."""
    pace_burst: int = 50
    """And so many of them at once."""
    queue: int = 64
    """Texts that wait for that, or for room in a stream, before `WouldBlock`."""
    rate: int = 500
    """Texts per second that are taken from one address, in a conversation of two."""
    rate_burst: int = 1000
    """And so many of them at once."""
    unread: int = 256
    """Datagrams that are kept for a program that has paused; further ones are dropped."""
    members: int = 64
    """Members of a group: so many datagrams, less one, one datagram makes at most."""
    members_per_host: int = 16
    """And of one host, or /64 of IPv6."""
    newcomers: int = 2
    """Members per second who may come into a group."""
    newcomers_burst: int = 64
    """And so many of them at once."""
    posts: int = 20
    """Texts per second that a group takes from one member."""
    posts_burst: int = 40
    """And so many of them at once."""
    posts_of_all: int = 200
    """Texts per second that it takes from all members together."""
    posts_of_all_burst: int = 400
    """And so many of them at once."""
    answers: int = 64
    """Datagrams that a member may be sent for each datagram that came from its address: which
    proves nothing, for it may be forged."""
    answer_bytes: int = 16384
    """And their bytes of text."""
    answers_kept: int = 4
    """Of so many datagrams what they allow is kept, if it was not used."""

    def __post_init__(self) -> None:
        """Raise UsageError for a rule that can't work."""
        for field in fields(self):
            number = getattr(self, field.name)
            if not 0 < number < 1e9:
                raise UsageError(f"PlainRules.{field.name} must be above 0, not {number}")
        if not 64 <= self.text <= 65000:
            raise UsageError(f"PlainRules.text must be from 64 to 65000, not {self.text}")
        if self.retry > self.retry_max:
            raise UsageError("PlainRules.retry must not be above retry_max")


DEFAULT_PLAIN_RULES = PlainRules()

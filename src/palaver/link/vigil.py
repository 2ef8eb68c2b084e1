"""Whether the peer is still there: keepalive, silence, suspicion (PROTOCOL.md, section 8.3)."""

from __future__ import annotations

from palaver.machine import copy_slots
from palaver.timing import Timing

_NEVER = float("inf")


class Vigil:
    """When a sign of life is to be given or asked for, and when its lack means death.

    `suspicion`, where a method takes it, is how long a suspect has for a sign of life, in seconds.
    """

    __slots__ = (
        "_credit_probe_at",
        "_interval",
        "_keepalive",
        "_suspect_since",
        "_timing",
        "_waiting_since",
        "awaits_ack",
        "due",
        "last_heard",
        "last_sent",
    )

    def __init__(self, timing: Timing, jitter: float) -> None:
        """Make the vigil of one link; `jitter`, from 0 up to 1, spreads the keepalive."""
        self._timing = timing
        self._keepalive = timing.keepalive * (1 + timing.keepalive_jitter * (2 * jitter - 1))
        # A PING is sent when nothing was sent for this long.
        self._interval = self._keepalive
        self.last_heard = 0.0
        self.last_sent = 0.0
        # Since when something awaits an acknowledgement, or credit.
        self._waiting_since: float | None = None
        # Since when the peer has been asked for a sign of life.
        self._suspect_since: float | None = None
        # When to ask for credit.
        self._credit_probe_at: float | None = None
        self.awaits_ack = False
        """Whether it is known that something awaits an acknowledgement."""
        self.due = _NEVER
        """Before this `is_dead` and `wants_ping` are false; `plan` brings it up to date."""

    def start(self, now: float) -> None:
        """Begin now."""
        self.last_heard = self.last_sent = now
        self.due = now + self._interval

    def hasten(self, interval: float | None) -> None:
        """Have a PING sent when nothing was sent for `interval` seconds; None for the usual."""
        self._interval = self._keepalive if interval is None else min(interval, self._keepalive)
        self.due = min(self.due, self.last_sent + self._interval)

    @property
    def is_suspicious(self) -> bool:
        """Whether the peer has been asked for a sign of life and has given none yet."""
        return self._suspect_since is not None

    def plan(self, suspicion: float) -> None:
        """Reckon anew when `wants_ping` or `is_dead` may next be true.

        What was heard and sent meanwhile has only put it off.
        """
        due = self.last_sent + self._interval
        since = self._waiting_since
        if since is not None:
            due = min(due, max(since, self.last_heard) + self._timing.dead_peer)
            if self._credit_probe_at is not None:
                due = min(due, self._credit_probe_at)
        if self._suspect_since is not None:
            due = min(due, self._suspect_since + suspicion)
        self.due = due

    def is_dead(self, suspicion: float, now: float) -> bool:
        """Tell whether the peer has been silent for too long while something was awaited."""
        since, suspect = self._waiting_since, self._suspect_since
        if suspect is not None and now >= suspect + suspicion:
            return True
        return since is not None and now >= max(since, self.last_heard) + self._timing.dead_peer

    def hear(self, now: float) -> None:
        """Take note of a valid packet."""
        self.last_heard = now
        self._suspect_since = None

    def suspect(self, now: float) -> None:
        """Give the peer a limited time for a sign of life."""
        if self._suspect_since is None:
            self._suspect_since = self.due = now

    def wants_ping(self, now: float) -> bool:
        """Tell whether a PING is due; that for credit is told of once."""
        if self._credit_probe_at is not None and now >= self._credit_probe_at:
            self._credit_probe_at = None
            return True
        return now >= self.last_sent + self._interval

    def note(self, now: float, *, in_flight: bool, more: bool) -> None:
        """Take note of whether packets are in flight, and whether there is more to send."""
        self.awaits_ack = in_flight
        if not in_flight and not more:
            self._waiting_since = self._credit_probe_at = None
            return
        if self._waiting_since is None:
            self._waiting_since = now
            self.due = min(self.due, now + self._timing.dead_peer)
        if in_flight:
            self._credit_probe_at = None
        elif self._credit_probe_at is None:
            self._credit_probe_at = now + self._timing.probe_cap
            self.due = min(self.due, self._credit_probe_at)

    def clone(self) -> Vigil:
        """Give an independent twin."""
        return copy_slots(self)

    def key(self, now: float) -> tuple[object, ...]:
        """Give the state as a comparable value: when each thing is due, relative to `now`."""
        since, suspect, probe = self._waiting_since, self._suspect_since, self._credit_probe_at
        dead_peer = self._timing.dead_peer
        return (
            self._keepalive,
            self._interval,
            self.last_heard + dead_peer - now,
            self.last_sent + self._interval - now,
            None if since is None else since + dead_peer - now,
            None if suspect is None else suspect - now,
            None if probe is None else probe - now,
        )

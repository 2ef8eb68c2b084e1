"""Every timer and limit, in one place, with its unit and its reason (PROTOCOL.md, section 10).

All of them are parameters: give a machine its own `Timing` or `Limits`. Those marked *wire* are
part of the protocol and are the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from .machine import UsageError

# Wire constants.
VERSION = 1
MIN_MTU = 64  # bytes: the smallest datagram every peer must take, and the smallest HELLO
MAX_MTU = 65507  # bytes: the largest payload of a UDP datagram over IPv4
MAX_MESSAGE = 65536  # bytes: kind and body of one message
SEGMENT_CHARGE = 64  # bytes of credit that a segment costs beyond its length
CREDIT_RESERVE = 512  # bytes of credit beyond the limit, for FIN and BYE only
MIN_CREDIT = 1024  # bytes: the least that a peer may grant
REPLAY_WINDOW = 1024  # packet numbers that are remembered
MAX_RECORD = 2047  # bytes: the largest packet on a stream
MAX_NUMBER = (1 << 32) - 1  # the last packet number and the last segment number


# Fields that may be 0, or are no time.
_NOT_POSITIVE = {"ack_delay", "bundling", "keepalive_jitter"}


@dataclass(frozen=True)
class Timing:
    """Timers, in seconds unless the name says otherwise."""

    hello_interval: float = 0.25
    """Between the first HELLOs: at 20 % loss each way and a round trip of 50 ms a first message
    arrives within 1.5 s (p99)."""
    hello_fast_tries: int = 8
    """HELLOs at that interval; afterwards it doubles, so that a dead address is left in peace."""
    hello_interval_max: float = 10.0
    """The longest wait between HELLOs."""
    half_open: float = 10.0
    """A half-open link goes this long after its last HELLO: the longest HELLO interval."""
    half_open_max: float = 30.0
    """A half-open link goes this long after its first HELLO, whatever keeps arriving."""
    initial_rtt: float = 0.2
    """Assumed until measured. RFC 9002 has 0.333; but a conversation begins with a packet or two,
    and people wait for those. Above a round trip of 0.6 s the first is sent twice for it."""
    probe_floor: float = 0.05
    """The shortest probe timeout; below it, a peer's scheduling delays look like loss."""
    probe_cap: float = 3.0
    """The longest wait between probes; more would take a live link for dead at 50 % loss."""
    ack_delay: float = 0.025
    """An ack waits this long for company (RFC 9000, section 18.2)."""
    bundling: bool = True
    """Whether packets with room repeat what did not arrive yet (7.2): repairs a loss at once."""
    overdue: float = 10.0
    """A message not acknowledged for this long is reported as overdue."""
    dead_peer: float = 30.0
    """Nothing valid for this long while something awaits an ack: the peer is gone."""
    keepalive: float = 20.0
    """A PING goes out when nothing was sent for this long (RFC 8085 asks for 15 or more)."""
    keepalive_jitter: float = 0.2
    """As a fraction of `keepalive`, either way, so that many links don't ping in step."""
    suspect: float = 1.5
    """Who stands in a new caller's way must show life in this time: then it gets in within 3 s."""
    close_flush: float = 5.0
    """A graceful close has failed when nothing new has come or was acknowledged for this long."""
    close_flush_max: float = 60.0
    """And one that has taken this long in all."""
    close_ping: float = 1.0
    """Who waits for the other's BYE sends a PING when it has sent nothing for this long: from where
    it is now, so that the other finds it there."""
    linger_min: float = 0.5
    """The initiator of a close stays 3 probe timeouts to acknowledge repeats, at least this."""
    linger_max: float = 2.0
    """And at most this."""
    tombstone: float = 20.0
    """How long an ended link is remembered, so that late packets are not taken for new."""
    ring: float = 10.0
    """Between the requests of a call, until it is answered: people take their time."""
    answered: float = 600.0
    """How long a call that is over is remembered, so that a late request never rings again."""
    verify: float = 2.0
    """How long a call waits for the registry to say who calls, before it rings all the same."""
    introduce: float = 10.0
    """How long a link may be open before it has said what it is for: a call, or a name."""
    contest: float = 5.0
    """Who has a name that another claims must show life in this time."""
    keep_name: float = 60.0
    """A registry that was restarted keeps a name so long for the owner it had before."""
    roster: float = 0.25
    """The least time between two announcements of who is there, so that crowds share them."""
    registry_wait: float = 0.25
    """Before a client that its registry turned away tries again; doubled each time."""
    registry_wait_max: float = 10.0
    """The longest such wait."""
    twin_young: float = 5.0
    """A call may have a twin so long after it was made, or opened (6.3): lost HELLOs are many."""
    twin_hold: float = 2.0
    """A caller who may be the one we call is held this long: at 20 % loss 98 % are known then."""
    twin_drain: float = 3.0
    """When texts still go by the spare of two links after this, they stop until it is empty."""

    def __post_init__(self) -> None:
        """Raise UsageError for a timer that can't work."""
        for field in fields(self):
            seconds = getattr(self, field.name)
            if not 0 < seconds < 1e9 and field.name not in _NOT_POSITIVE:
                raise UsageError(f"Timing.{field.name} must be above 0, not {seconds}")
        if not 0 <= self.ack_delay < self.probe_cap:
            raise UsageError("Timing.ack_delay must be from 0 to below probe_cap")
        if not 0 <= self.keepalive_jitter < 1:
            raise UsageError("Timing.keepalive_jitter must be from 0 to below 1")
        if not self.probe_floor <= self.probe_cap:
            raise UsageError("Timing.probe_floor must not be above probe_cap")
        if not self.close_flush <= self.close_flush_max:
            raise UsageError("Timing.close_flush must not be above close_flush_max")
        if not self.linger_min <= self.linger_max:
            raise UsageError("Timing.linger_min must not be above linger_max")

    @classmethod
    def seed003(cls) -> Timing:
        """Give timers that ask for everything exactly every 10 s: to show it, not to use it."""
        return cls(
            hello_interval=10.0,
            hello_fast_tries=1,
            half_open=25.0,
            half_open_max=60.0,
            probe_floor=10.0,
            probe_cap=10.0,
            bundling=False,
            dead_peer=60.0,
            close_flush=30.0,
            linger_max=30.0,
            tombstone=60.0,
            introduce=60.0,
            contest=30.0,
        )

    def hello_wait(self, sent: int) -> float:
        """Give the seconds from HELLO number `sent` (from 1) to the next (section 4.3)."""
        doublings = sent - self.hello_fast_tries
        if doublings < 0:
            return min(self.hello_interval, self.hello_interval_max)
        # Past 40 doublings any interval is at its maximum.
        return min(self.hello_interval * 2.0 ** min(doublings + 1, 40), self.hello_interval_max)


@dataclass(frozen=True)
class Limits:
    """Bounds on memory and size, in bytes unless the name says otherwise."""

    mtu: int = 1200
    """The largest datagram sent or taken; 1,200 fits every IPv6 path and nearly every other."""
    window: int = 262144
    """Credit granted: what may be received and not yet handed to the program, per link."""
    queue_messages: int = 256
    """Messages that wait for their first transmission, per link, before `WouldBlock`."""
    queue_bytes: int = 1048576
    """And their bytes."""
    links: int = 65535
    """Links per endpoint."""
    half_open: int = 64
    """Half-open links per endpoint: what unproven addresses can make it remember."""
    half_open_per_host: int = 8
    """Half-open links per host: one source can't take all of them."""
    tombstones: int = 4096
    """Ended links that are remembered; beyond, the oldest goes."""
    calls: int = 64
    """Calls of one peer at a time, open or not."""
    ringing: int = 16
    """Of those, the ones that may ring at a time; more are told that the callee is busy."""
    answered: int = 4096
    """Calls that are over and remembered; beyond, the oldest goes."""
    replies_per_second: int = 20
    """REFUSE, COOKIE and RESET sent to one host per second, in bursts of at most this."""
    last_number: int = MAX_NUMBER
    """The last packet or segment number that a link uses; tests lower it."""

    def __post_init__(self) -> None:
        """Raise UsageError for a limit that can't work."""
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise UsageError(f"Limits.{field.name} must be at least 1")
        if not MIN_MTU <= self.mtu <= MAX_MTU:
            raise UsageError(f"Limits.mtu must be from {MIN_MTU} to {MAX_MTU}, not {self.mtu}")
        if not MIN_CREDIT <= self.window <= MAX_NUMBER:
            raise UsageError(
                f"Limits.window must be from {MIN_CREDIT} to {MAX_NUMBER}, not {self.window}"
            )
        if self.last_number > MAX_NUMBER:
            raise UsageError(f"Limits.last_number must be at most {MAX_NUMBER}")


DEFAULT_TIMING = Timing()
DEFAULT_LIMITS = Limits()

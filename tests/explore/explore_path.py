"""A path whose round-trip time is known and that no congestion control looks after.

Neither is the subject of an exploration, and both would make each world unlike all others. On such
a path much of a machine's state has no say in what it does any more; the keys here leave that out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from palaver.link import arrivals, recovery
from palaver.link.arrivals import STEADY, Arrivals
from palaver.link.channel import Channel
from palaver.link.congestion import Congestion
from palaver.link.farewell import Farewell
from palaver.link.recovery import PACKET_THRESHOLD, Recovery
from palaver.link.rtt import RttEstimator
from palaver.link.tombstones import Tombstones
from palaver.roles import registry
from palaver.roles.registry_table import RegistryTable


class KnownRtt(RttEstimator):
    """The round-trip time that `Timing` assumes at first, for ever."""

    __slots__ = ()

    def sample(self, rtt: float, ack_delay: float) -> None:
        """Learn nothing."""


class WideRoad(Congestion):
    """A window that nothing fills and nothing changes."""

    __slots__ = ()

    def __init__(self, mtu: int) -> None:
        super().__init__(mtu)
        self.window = 1 << 40

    def restart(self) -> None:
        """Change nothing."""

    def acked(self, size: int, sent_at: float, *, was_limited: bool) -> None:
        """Count what is in flight, and change nothing else."""
        self.in_flight -= size

    def lost(self, size: int, sent_at: float, now: float, queued: float) -> None:
        """Count what is in flight, and change nothing else."""
        self.in_flight -= size


@contextmanager
def known_path() -> Iterator[None]:
    """Let links have such a path and such keys, until the context is left."""
    with ExitStack() as stack:
        for what, name, value in (
            (recovery, "RttEstimator", KnownRtt),
            (recovery, "Congestion", WideRoad),
            # An ACK says how long it was held back only for the round-trip time's sake.
            (arrivals, "NO_DELAY", 0),
            # And for how long somebody has been there is told for people to read.
            (registry, "_MAX_AGE", 0),
            (Channel, "key", channel_key),
            (Farewell, "key", farewell_key),
            (Tombstones, "key", tombstones_key),
            (RegistryTable, "key", table_key),
        ):
            stack.enter_context(patch.object(what, name, value))
        yield


# What keys leave out. Which packet numbers have arrived and which are awaited is not in them at
# all: `explore_worlds` has it, in as far as anything in flight can still tell the difference.


def channel_key(channel: Channel, now: float) -> tuple[object, ...]:
    """Give the state of a channel, all packet numbers apart."""
    news = channel._news
    awaited = list(channel.recovery.packets)
    return (
        channel.address,
        channel.remote,
        channel._room,
        channel.vigil.key(now),
        channel._path.key(now),
        channel._ping,
        awaited.index(news) if news in awaited else news is not None,
        channel.repeat_ack,
        channel.outbox.key(now),
        channel.inbox.key(),
        arrivals_key(channel.arrivals, now),
        recovery_key(channel.recovery, now),
    )


def arrivals_key(what: Arrivals, now: float) -> tuple[object, ...]:
    """Give what decides when the next ACK goes out.

    Without a delay of acks each arrival that asks for one has it with the next tick, in order or
    not; so how many have come, and how many of them in order, decides nothing.
    """
    assert what._ack_delay == 0.0, "acks are delayed: when they are due is more than the key says"
    assert what._in_order < STEADY, "so many packets in order that fewer acks would do"
    assert not what.has_older, "more arrivals than an ACK can tell of"
    return (what.can_ack, what.repeats, what.ack_at - now)


def recovery_key(what: Recovery, now: float) -> tuple[object, ...]:
    """Give what decides when which packet in flight counts as lost.

    - Nothing counts the bytes in flight, so the sizes don't matter.
    - A packet is lost if one was acknowledged that was sent three or more later: so of two that
      were sent one after the other it matters whether there were 0, 1, 2 or more between them.
    - The largest number that was acknowledged is asked for only if a packet below it is in flight.
    - A packet older than what makes a loss is as good as one that is exactly that old.
    """
    packets, largest = what.packets.values(), what._largest_acked
    below = 0 if largest is None else sum(packet.number < largest[0] for packet in packets)
    sent = [packet.index for packet in packets]
    if largest is not None and below:
        sent.insert(below, largest[1])
    gaps = [
        min(later - index, PACKET_THRESHOLD)
        for index, later in zip(sent, [*sent[1:], what._index], strict=False)
    ]
    oldest = -what.rtt.loss_delay()
    return (
        tuple(max(packet.sent_at - now, oldest) for packet in packets),
        tuple(tuple(segment.number for segment in packet.segments) for packet in packets),
        tuple(gaps),
        below,
        what._last_sent_at - now if packets else None,
        None if what._loss_at is None else what._loss_at - now,
        what.rtt.probe_timeout(what.backoff),
        (what.probes, what.probed) if what.probes else None,
        what.limited,
        what.rtt.key(),
    )


def farewell_key(what: Farewell, now: float) -> tuple[object, ...]:
    """Give how a link ends; its last word is a packet, and `explore_worlds` looks into it."""
    return (
        what.fin_said,
        what.fin_heard,
        what.bye_heard,
        what.reason,
        what.by,
        what.text,
        what.last_word is not None,
        what.until - now,
    )


def tombstones_key(what: Tombstones, now: float) -> tuple[object, ...]:
    """Give what is remembered of links that have ended, but for the last words."""
    return tuple(
        (
            one.number,
            one.local,
            one.address,
            one.peer,
            one.reason,
            one.last_word is not None,
            one.repeats,
            one.expires - now,
        )
        for one in what._by_number.values()
    )


def table_key(what: RegistryTable, now: float) -> tuple[object, ...]:
    """Give who is there, but not since when: that was only for people to read."""
    entries = sorted((one.id, one.name, one.address, one.link) for one in what._by_id.values())
    kept = tuple((number, until - now) for number, until in what._kept.items())
    return (what._secret, what.next_id, tuple(entries), kept)

"""What must hold of the tables of a machine at any time, whatever its peers do."""

from __future__ import annotations

from collections import Counter

from palaver import Hub, Member, Peer, PlainPair, PlainRelay, Registry
from palaver.link.endpoint import Endpoint
from palaver.link.hosts import host_of
from palaver.link.states import State
from palaver.roles.group.hub import ABSENCE
from palaver.roles.group.states import SeatState
from palaver.roles.peer_states import CallState
from palaver.roles.plain.either import EitherHub
from palaver.roles.plain.pair import PACE, PARTED, SILENT
from palaver.roles.plain.relay import SILENT as SILENT_MEMBER
from palaver.roles.plain.states import TalkState
from palaver.roles.plain.talk import Talk
from palaver.timing import CREDIT_RESERVE, Limits
from palaver.wire.names import fold_name
from palaver.wire.plain import MARK
from palaver.wire.registry import MAX_REQUESTS

HOSTS = 1024
WAITING = 64


def check(subject: object, endpoint: Endpoint, limits: Limits) -> None:
    """Check a machine, and the endpoint that it is or is built on."""
    check_endpoint(endpoint, limits)
    if isinstance(subject, EitherHub):
        check_hub(subject.hub, endpoint)
        check_guests(subject)
    elif isinstance(subject, Registry):
        check_registry(subject)
    elif isinstance(subject, Peer):
        check_peer(subject, limits)
    elif isinstance(subject, Hub):
        check_hub(subject, endpoint)
    elif isinstance(subject, Member):
        for one in subject.memberships.values():
            assert len(one.kept) <= subject.rules.posts, "more posts are kept than may be"
            assert len(one.refs) <= subject.rules.receipts, "more receipts are awaited than may be"
            assert one.sent <= len(one.kept), "more was sent than there is"


def check_endpoint(endpoint: Endpoint, limits: Limits) -> None:
    """Check that no more is held, spent and remembered than may be."""
    stats = endpoint.stats()
    assert stats["half_open"] <= limits.half_open, stats
    assert stats["tombstones"] <= limits.tombstones, stats
    assert stats["links"] <= limits.links, stats
    assert stats["waiting"] <= WAITING, stats
    assert stats["hosts"] <= HOSTS, stats
    for link in endpoint.links.values():
        inbox, outbox = link.channel.inbox, link.channel.outbox
        assert inbox._charged <= inbox.window + CREDIT_RESERVE, "more is held than was granted"
        assert outbox.spent <= outbox.credit + CREDIT_RESERVE, "more was spent than was granted"
        assert outbox._queued_messages <= limits.queue_messages + 8, "the queue is too long"


def check_registry(registry: Registry) -> None:
    """Check that each entry has an open link of its own, and a name of its own."""
    rows = list(registry._table._by_id.values())
    assert len(rows) <= registry.max_entries, "there are more entries than may be"
    assert len({fold_name(row.name) for row in rows}) == len(rows), "a name is there twice"
    entered = {row.link: row.id for row in rows if row.link}
    assert registry._entered == entered, "an entry without its link, or a link without its entry"
    assert entered.keys() <= registry._open.keys(), "an entry whose link has ended"


def check_peer(peer: Peer, limits: Limits) -> None:
    """Check that calls and requests are bounded, and that each call that talks has a link."""
    calls = list(peer.calls)
    assert len(calls) <= limits.calls, "there are more calls than may be"
    assert peer.calls.count(CallState.CHECKING, CallState.RINGING) <= limits.ringing
    assert peer.calls.remembered <= limits.answered, "more calls are remembered than may be"
    assert len(peer.client.requests) <= MAX_REQUESTS, "more was asked than may be"
    talking = [call.link for call in calls if call.state in {CallState.RINGING, CallState.OPEN}]
    assert len(set(talking)) == len(talking), "two calls on one link"
    assert set(talking) <= peer._open.keys(), "a call that talks on no link"


def check_hub(hub: Hub, endpoint: Endpoint) -> None:
    """Check that rooms are bounded, names differ, and each member has one link."""
    rules = hub.rules
    assert len(hub.rooms) <= rules.rooms, "there are more rooms than may be"
    linked = []
    for room in hub.rooms.values():
        present = list(room.present.values())
        assert len(present) <= rules.members, "there are more members than may be"
        assert len(room.absent) <= rules.absent, "more are remembered than may be"
        assert len(room.log) <= rules.log, "the log is too long"
        here = [*present, *room.guests.values()]
        names = {fold_name(seat.name) for seat in here}
        assert names == room.names.keys(), "a name is there twice"
        assert all((ABSENCE, seat.number) in hub.timers for seat in room.absent.values())
        assert all(seat.state is SeatState.ABSENT for seat in room.absent.values())
        linked += [seat.link for seat in present]
    assert len(set(linked)) == len(linked), "two members on one link"
    for number, link in endpoint.links.items():
        if link.state is State.OPEN:
            assert number in hub.by_link, f"link {number} belongs to nobody"


# Plain text


def check_guests(either: EitherHub) -> None:
    """Check that the guests of a hub are the members of its relay."""
    guests = {number for room in either.hub.rooms.values() for number in room.guests}
    assert guests == either.plain._by_number.keys(), "who is there with text is no guest"


def check_relay(relay: PlainRelay) -> None:
    """Check that members, streams and timers are bounded, and names differ (T-9)."""
    rules, members = relay.rules, list(relay._by_address.values())
    assert len(members) <= rules.members, "there are more members than may be"
    hosts = Counter(host_of(one.address) for one in members)
    assert max(hosts.values(), default=0) <= rules.members_per_host, f"one host has many: {hosts}"
    assert len({fold_name(one.shown) for one in members}) == len(members), "a name is there twice"
    assert all(MARK in one.shown for one in members), "somebody with text is not marked (T-14)"
    assert {one.number: one for one in members} == relay._by_number, "a member without its number"
    streams = relay._streams.addresses()
    assert not relay._blocked - set(streams), "a stream that has ended is still blocked"
    for address in streams:
        known = relay._streams.get(address)
        assert known is not None
        assert len(known[0]._rest) <= rules.piece, "more of a line is kept than may be"
    if relay.streams:
        assert set(relay._by_address) <= set(streams), "a member without a stream"
    else:
        numbers = {number for timer, number in relay.timers._set if timer == SILENT_MEMBER}
        assert numbers == relay._by_number.keys(), "a member that is never forgotten"
    assert len(relay.timers._set) <= len(members) + len(streams), "there are timers of nobody"


def check_pair(pair: PlainPair, most: int) -> None:
    """Check that conversations and what they keep are bounded, and that none stands still."""
    talks = list(pair._talks.values())
    assert sum(talk.ref is None for talk in talks) <= most, "more strangers than may be (T-5)"
    assert {talk.address: talk for talk in talks} == pair._by_address, "a talk without its address"
    assert {number for _, number in pair.timers._set} <= pair._talks.keys(), "timers of nobody"
    for talk in talks:
        assert len(talk.queue) <= pair.rules.queue + 1, "the queue is too long"
        assert pair.streams or len(talk.kept) <= pair.rules.unread + 1, "more is kept than may be"
        if talk.state is TalkState.PARTING:
            assert (PARTED, talk.number) in pair.timers, "it would part for ever"
        elif talk.ref is None and not pair.streams:
            assert (SILENT, talk.number) in pair.timers, "it is never forgotten"
        check_queue(pair, talk)


def check_queue(pair: PlainPair, talk: Talk) -> None:
    """Check that what waits to be sent waits for something."""
    if talk.queue and not talk.is_blocked and talk.number not in pair._pending:
        assert not pair.streams, "it waits for nothing"
        size = len(talk.encode(talk.queue[0][0]))
        is_spent = talk.allowance is not None and not talk.allowance.covers(1, size)
        assert is_spent or (PACE, talk.number) in pair.timers, "it waits for nothing"

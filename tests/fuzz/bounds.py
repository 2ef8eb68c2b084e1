"""What must hold of the tables of a machine at any time, whatever its peers do."""

from __future__ import annotations

from palaver import Hub, Member, Peer, Registry
from palaver.link.endpoint import Endpoint
from palaver.link.states import State
from palaver.roles.group.hub import ABSENCE
from palaver.roles.group.states import SeatState
from palaver.roles.peer_states import CallState
from palaver.timing import CREDIT_RESERVE, Limits
from palaver.wire.names import fold_name
from palaver.wire.registry import MAX_REQUESTS

HOSTS = 1024
WAITING = 64


def check(subject: object, endpoint: Endpoint, limits: Limits) -> None:
    """Check a machine, and the endpoint that it is or is built on."""
    check_endpoint(endpoint, limits)
    if isinstance(subject, Registry):
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
        names = {fold_name(seat.name) for seat in present}
        assert names == room.names.keys(), "a name is there twice"
        assert all((ABSENCE, seat.number) in hub.timers for seat in room.absent.values())
        assert all(seat.state is SeatState.ABSENT for seat in room.absent.values())
        linked += [seat.link for seat in present]
    assert len(set(linked)) == len(linked), "two members on one link"
    for number, link in endpoint.links.items():
        if link.state is State.OPEN:
            assert number in hub.by_link, f"link {number} belongs to nobody"

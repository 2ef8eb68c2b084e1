"""Valid messages of the roles "registry", "peer" and "group" for Hypothesis to draw."""

from __future__ import annotations

from hypothesis import strategies as st

from palaver.wire.group import Admitted, GroupMessage, Join, Members, Post, Receipt, Run
from palaver.wire.group import Refused as NotAdmitted
from palaver.wire.group_log import Joined, Left, Log, Posted, Skipped, Taken
from palaver.wire.names import MAX_NAME
from palaver.wire.peer import (
    Accepted,
    Cancelled,
    Chat,
    PeerMessage,
    Rejected,
    Ring,
    Terminate,
    Terminated,
)
from palaver.wire.registry import (
    Entry,
    Erased,
    Found,
    Inactive,
    List,
    Lookup,
    Page,
    Refused,
    Register,
    Registered,
    RegistryMessage,
    RollCall,
    Roster,
    Stale,
    Unregister,
)

# The registry, and peers

ids = st.integers(1, (1 << 32) - 1)
counts = st.integers(0, (1 << 32) - 1)
tokens = st.binary(min_size=16, max_size=16)
call_ids = st.binary(min_size=8, max_size=8)
short = st.text(max_size=20).filter(lambda text: len(text.encode()) <= 64)
some = short.filter(bool)
addresses = st.tuples(some, st.integers(0, 65535))
entries = st.builds(Entry, ids, some, addresses, counts)
pages = st.lists(entries, max_size=5, unique_by=lambda entry: entry.id).map(
    lambda found: tuple(sorted(found, key=lambda entry: entry.id))
)

registry_messages: st.SearchStrategy[RegistryMessage] = st.one_of(
    st.builds(Register, short, counts, tokens, st.integers(0, 65535)),
    st.builds(Lookup, counts, ids),
    st.builds(Lookup, counts, st.just(0), some),
    st.builds(List, counts, counts),
    st.builds(Registered, ids, tokens),
    st.builds(Refused, st.integers(0, 255)),
    st.builds(Found, counts, entries),
    st.builds(Inactive, counts),
    st.builds(Page, counts, st.just(False), pages),
    st.builds(Page, counts, st.just(True), pages.filter(bool)),
    st.builds(Roster, st.lists(entries | ids, min_size=1, max_size=5).map(tuple)),
    st.sampled_from([Unregister(), Stale(), Erased(), RollCall()]),
)
peer_messages: st.SearchStrategy[PeerMessage] = st.one_of(
    st.builds(Ring, call_ids, ids, ids, short),
    st.builds(Accepted, call_ids, ids),
    st.builds(Rejected, call_ids, ids, st.integers(0, 255), st.text(max_size=30)),
    st.builds(Cancelled, call_ids, ids),
    st.builds(Chat, call_ids, ids, ids, st.text()),
    st.builds(Terminate, call_ids, ids),
    st.builds(Terminated, call_ids, ids),
)


# The group

u16 = st.integers(0, 0xFFFF)
u64 = st.integers(0, (1 << 64) - 1)
wide_ids = st.integers(1, (1 << 64) - 1)
utf8 = st.text(st.characters(codec="utf-8"), max_size=40)
names = utf8.filter(lambda text: 0 < len(text.encode()) <= MAX_NAME)
rooms = utf8.filter(lambda text: 0 < len(text.encode()) <= 32)

joins = st.builds(Join, names, rooms, u16) | st.builds(Join, names, rooms, u16, tokens, u64)
log_entries = st.one_of(
    st.builds(Posted, names, utf8),
    st.builds(Joined, st.integers(0, 1), names),
    st.builds(Left, st.integers(0, 2), names),
    st.builds(Taken, wide_ids),
    st.builds(Skipped, st.integers(128, 255), st.binary(max_size=20)),
)
logs = st.builds(
    Log, st.integers(1, 1 << 63), st.lists(log_entries, min_size=1, max_size=6).map(tuple)
)
runs = st.builds(Run, st.integers(1, 1 << 63), st.integers(1, 0xFFFF), u16, u16)
group_messages: st.SearchStrategy[GroupMessage] = st.one_of(
    joins,
    st.builds(Post, wide_ids, utf8),
    st.builds(Admitted, st.sampled_from([0, 2]), tokens, u64, u64, u16, names),
    st.builds(Admitted, st.just(1), tokens, u64, u64, st.just(0), names),
    st.builds(NotAdmitted, st.integers(0, 255), st.just("") | names),
    st.builds(Members, st.lists(names, min_size=1, max_size=5).map(tuple)),
    logs,
    st.builds(Receipt, st.lists(runs, min_size=1, max_size=5).map(tuple)),
)

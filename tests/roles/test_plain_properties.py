"""What must hold for the machines of plain text, whatever comes, in whatever order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palaver import (
    Abort,
    Action,
    Address,
    Call,
    Closed,
    Datagram,
    Disband,
    Event,
    Finish,
    Leave,
    MemberCame,
    MemberWent,
    Pause,
    PostRelayed,
    Resume,
    Said,
    Say,
    StreamEnded,
    Tick,
    Transmit,
    Undelivered,
    Unreachable,
    UsageError,
    WouldBlock,
)
from palaver.machine import Chunk, StreamBlocked, StreamOpened
from palaver.roles.plain.either import EitherHub, EitherPair
from palaver.roles.plain.events import Expel, PlainOpened, Sent, Spread
from palaver.roles.plain.pair import PlainPair
from palaver.roles.plain.relay import PlainRelay
from palaver.roles.plain.rules import PlainRules
from palaver.roles.plain.splitter import LineSplitter
from palaver.sim.random import SeededRandom

RULES = PlainRules(
    queue=3, pace=20, pace_burst=3, rate=50, rate_burst=5, unread=2, members=4, members_per_host=2,
    newcomers=1, newcomers_burst=3, posts=5, posts_burst=3, posts_of_all=10, posts_of_all_burst=6,
    answers=3, answer_bytes=400, answers_kept=2, silence=20.0, piece=64,
)  # fmt: skip

COMMANDS = (Say, Call, Leave, Abort, Finish, Pause, Resume, Spread, Expel)

addresses = st.sampled_from([("10.0.0.1", 1), ("10.0.0.1", 2), ("10.0.0.1", 3), ("10.0.0.2", 1),
                             ("::1", 7), ("fe80::1%eth0", 1), ("10.0.0.9", 9)])  # fmt: skip
data = st.one_of(
    st.sampled_from([b"hi", b"hi\n", b"exit", b"EXIT\r\n", b"Ann : hi", b"Bob : x\n", b"", b"\n"]),
    st.binary(max_size=40),
    st.integers(1, 3000).map(lambda size: b"x" * size),
)
links = st.integers(-4, 2)
texts = st.sampled_from(["a", "hello\nthere", "exit", "", "x" * 300, "\u202e\x1b"])
comings = st.one_of(
    st.builds(Datagram, data, addresses),
    st.builds(Datagram, data, addresses),
    st.builds(Datagram, data, st.just(("10.0.0.1", 1))),
    st.builds(Unreachable, addresses),
    st.just(Tick()),
)
streamings = st.one_of(
    st.builds(Chunk, data, addresses),
    st.builds(StreamOpened, addresses),
    st.builds(StreamEnded, addresses),
    st.builds(StreamBlocked, addresses, st.booleans()),
    st.builds(Unreachable, addresses),
    st.just(Tick()),
)
pair_verbs = st.one_of(
    st.builds(Say, links, texts, st.integers(0, 9)),
    *(st.builds(kind, links) for kind in (Leave, Abort, Finish, Pause, Resume)),
)
pair_commands = st.one_of(
    st.builds(Call, addresses, st.integers(0, 9), st.sampled_from([None, 3.0])), pair_verbs
)
group_commands = st.one_of(
    st.builds(Spread, st.just("Ann"), texts),
    st.builds(Expel, links),
    *(st.builds(kind, links) for kind in (Pause, Resume)),
)
waits = st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.05, 0.21, 1.0, 7.0, 31.0])


def scripts(*kinds: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[float, Event]]]:
    return st.lists(st.tuples(waits, st.one_of(*kinds)), min_size=25, max_size=70)


def run(
    machine: Any,  # noqa: ANN401 - any of the machines
    script: list[tuple[float, Event]],
    look: Callable[[Event, list[Action], float], None] = lambda *_: None,
) -> float:
    """Play a script as a driver would, and check what holds for every machine; give the time."""
    now = 0.0
    for wait, event in script:
        until = now + wait
        while machine.deadline is not None and machine.deadline <= until:
            now = max(now, machine.deadline)
            look(Tick(), machine.handle(Tick(), now), now)
            # A tick that was due has been done: no driver turns for ever.
            assert machine.deadline is None or machine.deadline > now
        now = until
        twin = machine.clone()
        assert twin.state_key(now) == machine.state_key(now)
        before = machine.state_key(now)
        try:
            actions = machine.handle(event, now)
        except (UsageError, WouldBlock) as refusal:
            assert isinstance(event, COMMANDS), "it raised for what a peer did"
            changed = machine.state_key(now) != before
            # To be told when there is room is what has changed then.
            assert not changed or isinstance(refusal, WouldBlock)  # noqa: PT017
            continue
        assert twin.handle(event, now) == actions
        assert twin.state_key(now) == machine.state_key(now)
        if machine.deadline is not None and machine.deadline <= now:
            actions = actions + machine.handle(Tick(), now)
        look(event, actions, now)
    while machine.deadline is not None and machine.deadline <= now:
        look(Tick(), machine.handle(Tick(), now), now)
    return now


@pytest.mark.spec("T-1", "T-4", "T-5", "T-6")
@given(scripts(comings, pair_commands), st.integers(1, 3))
def test_two_on_datagrams(script: list[tuple[float, Event]], most: int) -> None:
    pair = PlainPair(max_conversations=most, rules=RULES)
    check_pair(pair, script, most, streams=False)


@pytest.mark.spec("T-1", "T-4", "T-5")
@given(scripts(streamings, pair_commands), st.integers(1, 3))
def test_two_on_streams(script: list[tuple[float, Event]], most: int) -> None:
    pair = PlainPair(max_conversations=most, streams=True, rules=RULES)
    check_pair(pair, script, most, streams=True)


def check_pair(
    pair: PlainPair, script: list[tuple[float, Event]], most: int, *, streams: bool
) -> None:
    came: Counter[Address] = Counter()
    went: Counter[Address] = Counter()
    called: set[Address] = set()
    is_open: dict[int, bool] = {}
    asked: Counter[tuple[int, int]] = Counter()

    def look(event: Event, actions: list[Action], _: float) -> None:
        if isinstance(event, Datagram):
            came[event.source] += 1
        elif isinstance(event, Call):
            called.add(event.address)
        elif isinstance(event, Say):
            asked[event.link, event.ref] += 1
        for action in actions:
            if isinstance(action, Transmit):
                assert len(action.data) <= RULES.text + 1
                went[action.destination] += 1
            elif isinstance(action, PlainOpened):
                assert action.link not in is_open
                is_open[action.link] = True
            elif isinstance(action, Said):
                assert is_open[action.link]
            elif isinstance(action, Closed):
                assert is_open.get(action.link, True), "it ended twice"
                is_open[action.link] = False
            elif isinstance(action, Sent | Undelivered):
                asked[action.link, action.ref] -= 1
                assert asked[action.link, action.ref] >= 0
        stats = pair.stats()
        assert stats["waiting"] <= (RULES.queue + 1) * stats["talks"]
        inbound = sum(talk.ref is None for talk in pair._talks.values())
        assert inbound <= most
        if not streams:
            # And the end of a conversation, of which nothing is dropped.
            assert stats["kept"] <= (RULES.unread + 20) * stats["talks"]

    run(pair, script, look)
    for address, count in went.items():
        if not streams and address not in called:
            assert count <= came[address] * (RULES.answers + 1)


@pytest.mark.spec("T-7", "T-8", "T-9", "T-10")
@given(scripts(comings, group_commands))
def test_a_group_on_datagrams(script: list[tuple[float, Event]]) -> None:
    relay = PlainRelay(rules=RULES)
    came: Counter[Address] = Counter()
    went: Counter[Address] = Counter()
    size: Counter[Address] = Counter()
    posts: Counter[Address] = Counter()
    memberships: Counter[Address] = Counter()

    def look(event: Event, actions: list[Action], now: float) -> None:
        if isinstance(event, Datagram):
            came[event.source] += 1
        sent = Counter(one.destination for one in actions if isinstance(one, Transmit))
        if isinstance(event, Datagram):
            assert event.source not in sent, "it heard itself"
            assert all(count == 1 for count in sent.values())
            posts[event.source] += sum(isinstance(one, PostRelayed) for one in actions)
        for action in actions:
            if isinstance(action, Transmit):
                went[action.destination] += 1
                size[action.destination] += len(action.data)
        check_group(relay, actions, now)
        assert max(Counter(host for host, _ in relay._by_address).values(), default=0) <= 2
        memberships.update(one.address for one in actions if isinstance(one, MemberCame))
        for address, count in posts.items():
            most = RULES.posts_burst * memberships[address] + now * RULES.posts
            assert count <= most + 1e-6, "it was heard too often"
        assert sum(memberships.values()) <= RULES.newcomers_burst + now * RULES.newcomers + 1e-6

    now = run(relay, script, look)
    for address, count in went.items():
        assert count <= came[address] * RULES.answers
        assert size[address] <= came[address] * (RULES.answer_bytes + 60)
    for action in [*relay.handle(Disband(), now), *relay.handle(Tick(), now)]:
        assert not isinstance(action, Transmit) or action.data.strip() == b"exit"
    assert relay.is_idle


@given(scripts(streamings, group_commands))
def test_a_group_on_streams(script: list[tuple[float, Event]]) -> None:
    relay = PlainRelay(streams=True, rules=RULES)
    now = run(relay, script, lambda _, actions, now: check_group(relay, actions, now))
    relay.handle(Disband(), now)
    relay.handle(Tick(), now)
    assert relay.stats()["streams"] == 0
    assert relay.is_idle


def check_group(relay: PlainRelay, actions: list[Action], _: float) -> None:
    names = relay.members()
    assert len(names) <= RULES.members
    assert len(set(names)) == len(names)
    assert all(" (plain)" in name for name in names)
    for action in actions:
        if isinstance(action, Transmit):
            text = action.data.decode()
            assert len(text.encode()) <= RULES.text + 1
            assert "\n" not in text.removesuffix("\n")
            assert "\x1b" not in text
            assert "\u202e" not in text
        elif isinstance(action, MemberCame | PostRelayed | MemberWent):
            assert action.plain
            assert action.link < 0


@settings(max_examples=40)
@given(scripts(comings, st.builds(Pause, st.integers(-4, -1))))
def test_a_hub_beside_a_group(script: list[tuple[float, Event]]) -> None:
    either = EitherHub(SeededRandom(1).bytes, plain_rules=RULES)

    def look(*_: object) -> None:
        # The hub's guests are the relay's members, at all times.
        assert either.hub.stats()["guests"] == either.plain.stats()["members"]

    run(either, script, look)


@settings(max_examples=40)
@given(scripts(comings, pair_verbs))
def test_a_listener_for_both(script: list[tuple[float, Event]]) -> None:
    run(EitherPair(SeededRandom(1).bytes, streams=False), script)


@given(st.lists(st.binary(max_size=200), max_size=20), st.integers(8, 64))
def test_a_splitter_gives_all_bytes_in_order_in_bounded_pieces(
    chunks: list[bytes], piece: int
) -> None:
    splitter = LineSplitter(piece)
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    rest = splitter.finish()
    assert b"".join([*lines, rest]) == b"".join(chunks)
    assert not splitter.has_rest
    assert all(0 < len(line) <= piece for line in lines)
    assert len(rest) <= piece
    assert all(b"\n" not in line[:-1] for line in lines)


@given(st.text(st.sampled_from("aé€😀\n")), st.lists(st.integers(1, 7), min_size=1))
def test_no_piece_ends_within_a_character(text: str, sizes: list[int]) -> None:
    splitter = LineSplitter(8)
    encoded, place = text.encode(), 0
    lines: list[bytes] = []
    while place < len(encoded):
        for size in sizes:
            lines += splitter.feed(encoded[place : place + size])
            place += size
    assert "".join(line.decode() for line in [*lines, splitter.finish()]) == text

"""The machines that are fuzzed, each with those around it and the commands of its program."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pairs import ROLE, Ledger, entropy

from palaver import (
    Abort,
    Accept,
    Address,
    Call,
    Connect,
    Depart,
    Dial,
    Disband,
    Duo,
    Endpoint,
    Enlist,
    Event,
    Expel,
    Finish,
    Hub,
    HubRules,
    JoinRoom,
    Leave,
    Member,
    MemberRules,
    Pause,
    Peer,
    PlainPair,
    PlainRelay,
    Post,
    Registry,
    Reject,
    Resume,
    Retire,
    Say,
    Send,
    Spread,
    StreamEndpoint,
    TakeSnapshot,
    Terminate,
    Who,
)
from palaver.roles.plain.either import EitherHub, EitherPair
from palaver.roles.role import Role

from .forge import NAMES, TEXTS
from .happenings import OPERATIONS
from .ledgers import CallBook, HubBook, MemberBook, PlainBook
from .plain_world import PLACES, RULES, SAID, STRANGERS, PlainWorld
from .reader import Reader
from .world import HOSTILE, LIMITS, SUBJECT, Cast, Subject, World

M = TypeVar("M")

HONEST: Address = ("honest", 1)
REGISTRY: Address = ("registry", 1)
HUB_RULES = HubRules(
    rooms=2, members=3, links=8, log=6, log_bytes=131072, backlog=3, absent=2, absence=20.0
)
MEMBER_RULES = MemberRules(posts=4, receipts=4, rejoin_for=30.0)


def hostile(roles: tuple[str, ...], *, streams: bool = False) -> dict[Address, Subject]:
    """Give endpoints that answer for some roles and say what the script wants."""
    kind = StreamEndpoint if streams else Endpoint
    return {one: kind(entropy(one[0]), roles=roles) for one in HOSTILE}


def of_link(reader: Reader, link: int) -> Event:
    """Give a command that every link takes."""
    kind = reader.u8() % 5
    if kind == 0:
        return Finish(link)
    if kind == 1:
        return Leave(link, reader.pick((0, 12, 64, 200)), reader.pick(("", "bye", "x" * 121)))
    if kind == 2:
        return Abort(link, reader.pick((1, 13, 66, 255)))
    return Pause(link) if kind == 3 else Resume(link)


# Endpoints


def link_command(reader: Reader, link: int) -> Event:
    kind = reader.u8() % 8
    if kind == 0:
        timeout = reader.pick((None, 0.5, 5.0, -1.0))
        return Dial(reader.pick(HOSTILE), reader.pick((ROLE, ROLE, "Bad")), reader.u8(), timeout)
    if kind <= 4:
        body = reader.pick((b"", b"a", b"b" * 100, b"c" * 1200, b"d" * 3000))
        return Send(link, bytes((reader.pick((16, 16, 200, 3)),)) + body)
    return of_link(reader, link)


def endpoint(reader: Reader) -> Cast:
    one = Endpoint(
        entropy("subject"),
        roles=(ROLE,),
        max_inbound=3,
        always_cookie=bool(reader.u8() % 2),
        limits=LIMITS,
    )
    book = Ledger("subject")
    return Cast(one, book, one, link_command, (ROLE,), hostile((ROLE,)))


def stream(_: Reader) -> Cast:
    one = StreamEndpoint(entropy("subject"), roles=(ROLE,), max_inbound=3, limits=LIMITS)
    others = hostile((ROLE,), streams=True)
    return Cast(one, Ledger("subject"), one, link_command, (ROLE,), others, streams=True)


# Duo


def duo_command(reader: Reader, link: int) -> Event:
    kind = reader.u8() % 8
    if kind == 0:
        whom = reader.pick((*HOSTILE, HONEST, SUBJECT))
        return Call(whom, reader.u8(), reader.pick((None, 5.0)))
    if kind <= 4:
        return Say(link, reader.pick(TEXTS))
    return of_link(reader, link)


def duo(reader: Reader) -> Cast:
    one = Duo(entropy("subject"), name="ann", max_conversations=2, limits=LIMITS)
    honest = Duo(entropy("honest"), name="bob", limits=LIMITS)
    others = {**hostile(("duo",)), HONEST: honest}
    begin = ((HONEST, Call(SUBJECT)),) if reader.u8() % 2 else ()
    return Cast(
        one,
        Ledger("subject"),
        endpoint_of(one),
        duo_command,
        ("duo",),
        others,
        begin,
        friend=(HONEST, duo_command),
    )


# People


def registry_command(reader: Reader, link: int) -> Event:
    kind = reader.u8() % 8
    if kind == 0:
        return Retire()
    if kind == 1:
        return TakeSnapshot()
    return of_link(reader, link)


def registry(reader: Reader) -> Cast:
    one = Registry(entropy("subject"), max_entries=3, limits=LIMITS)
    if reader.u8() % 2:
        one = Registry(entropy("subject"), max_entries=3, snapshot=SNAPSHOT, limits=LIMITS)
    honest = Peer(entropy("honest"), name="bob", registry=SUBJECT, limits=LIMITS)
    others = {**hostile(("peer",)), HONEST: honest}
    return Cast(
        one,
        CallBook(one),
        endpoint_of(one),
        registry_command,
        ("registry",),
        others,
        ((HONEST, Enlist()),),
        friend=(HONEST, peer_command),
    )


def peer_command(reader: Reader, link: int) -> Event:
    kind = reader.u8() % 12
    if kind <= 1:
        whom: tuple[int | str, ...] = ("bob", "ann", "bob", "ann", 1, 2, "nobody", " ")
        return Connect(reader.pick(whom), 5, reader.pick((None, 3.0)))
    if kind <= 3:
        return Accept(link)
    if kind <= 5:
        return Say(link, reader.pick(TEXTS))
    if kind == 6:
        return Reject(link, reader.pick(("", "no", "x" * 121)))
    if kind == 7:
        return Terminate(link)
    if kind == 8:
        return Enlist(reader.pick((None, *NAMES)))
    if kind == 9:
        return Depart()
    if kind == 10:
        return Who(reader.u8(), reader.number())
    return Pause(link) if reader.u8() % 2 else Resume(link)


def peer(reader: Reader) -> Cast:
    # The registry is an honest one, or one of the hostile.
    is_honest = reader.u8() % 2 == 0
    where = REGISTRY if is_honest else HOSTILE[0]
    one = Peer(entropy("subject"), name="ann", registry=where, limits=LIMITS)
    honest = Peer(entropy("honest"), name="bob", registry=where, limits=LIMITS)
    others = {**hostile(("registry", "peer")), HONEST: honest}
    begin: tuple[tuple[Address, Event], ...] = ((SUBJECT, Enlist()),)
    if is_honest:
        others[REGISTRY] = Registry(entropy("registry"), limits=LIMITS)
        begin = (*begin, (HONEST, Enlist()), (HONEST, Connect("ann")))
    return Cast(
        one,
        CallBook(one),
        endpoint_of(one),
        peer_command,
        ("peer", "registry"),
        others,
        begin,
        friend=(HONEST, peer_command),
    )


# Groups


def hub_command(reader: Reader, link: int) -> Event:
    if reader.u8() % 16 == 1:
        return Disband()
    return of_link(reader, link)


def hub(_: Reader) -> Cast:
    one = Hub(entropy("subject"), rules=HUB_RULES, limits=LIMITS)
    honest = Member(entropy("honest"), rules=MEMBER_RULES, limits=LIMITS)
    others = {**hostile(("group",)), HONEST: honest}
    begin = ((HONEST, JoinRoom(SUBJECT, "bob")), (HONEST, Post(1, "hello", 1)))
    return Cast(
        one,
        HubBook(),
        endpoint_of(one),
        hub_command,
        ("group",),
        others,
        begin,
        friend=(HONEST, member_command),
    )


def member_command(reader: Reader, link: int) -> Event:
    kind = reader.u8() % 8
    if kind == 0:
        room = reader.pick(("lobby", "den", ""))
        where = reader.pick((*HOSTILE, REGISTRY, SUBJECT))
        return JoinRoom(where, reader.pick(NAMES), room, 1, reader.u8() % 3)
    if kind <= 4:
        return Post(link, reader.pick(TEXTS))
    return of_link(reader, link)


def member(reader: Reader) -> Cast:
    is_honest = reader.u8() % 2 == 0
    one = Member(entropy("subject"), rules=MEMBER_RULES, limits=LIMITS)
    honest = Member(entropy("honest"), rules=MEMBER_RULES, limits=LIMITS)
    others = {**hostile(("group",)), HONEST: honest}
    if is_honest:
        others[REGISTRY] = Hub(entropy("hub"), rules=HUB_RULES, limits=LIMITS)
    where = REGISTRY if is_honest else HOSTILE[0]
    begin = (
        (HONEST, JoinRoom(where, "bob")),
        (SUBJECT, JoinRoom(where, "ann", backlog=2)),
    )
    return Cast(
        one,
        MemberBook(),
        endpoint_of(one),
        member_command,
        ("group",),
        others,
        begin,
        friend=(HONEST, member_command),
    )


# Plain text


def pair_command(reader: Reader, link: int) -> Event:
    kind = reader.u8() % 8
    if kind == 0:
        return Call(reader.pick(STRANGERS), reader.u8(), reader.pick((None, 0.5, 5.0, -1.0)))
    return Say(link, reader.pick(SAID)) if kind <= 4 else of_link(reader, link)


def relay_command(reader: Reader, link: int) -> Event:
    kind = reader.u8() % 16
    if kind == 1:
        return Disband()
    if kind <= 4:
        return Expel(link)
    return Spread("zoe", reader.pick(SAID)) if kind <= 8 else of_link(reader, link)


def plain(reader: Reader) -> Cast:
    kind = reader.u8() % 8
    streams = kind >= 4
    if kind % 4 <= 1:
        one: PlainPair | PlainRelay = PlainRelay(streams=streams, rules=RULES)
        if kind % 4:
            one = PlainPair(max_conversations=PLACES, streams=streams, rules=RULES)
        command = pair_command if kind % 4 else relay_command
        others = hostile(("duo",), streams=streams)
        return Cast(one, PlainBook(), None, command, ("duo",), others, streams=streams, plain=one)
    return either_hub(streams=streams) if kind % 4 == 2 else either_pair(streams=streams)


def either_hub(*, streams: bool) -> Cast:
    one = EitherHub(
        entropy("subject"), rules=HUB_RULES, streams=streams, limits=LIMITS, plain_rules=RULES
    )
    honest = Member(entropy("honest"), streams=streams, rules=MEMBER_RULES, limits=LIMITS)
    return Cast(
        one,
        PlainBook(HubBook()),
        endpoint_of(one.hub),
        relay_command,
        ("group",),
        {**hostile(("group",), streams=streams), HONEST: honest},
        ((HONEST, JoinRoom(SUBJECT, "bob")),),
        streams=streams,
        friend=(HONEST, member_command),
        plain=one.plain,
    )


def either_pair(*, streams: bool) -> Cast:
    one = EitherPair(
        entropy("subject"),
        max_conversations=PLACES,
        streams=streams,
        limits=LIMITS,
        rules=RULES,
    )
    honest = Duo(entropy("honest"), name="bob", streams=streams, limits=LIMITS)
    return Cast(
        one,
        PlainBook(Ledger("subject")),
        endpoint_of(one.duo),
        pair_command,
        ("duo",),
        {**hostile(("duo",), streams=streams), HONEST: honest},
        ((HONEST, Call(SUBJECT)),),
        streams=streams,
        friend=(HONEST, duo_command),
        plain=one.plain,
    )


def endpoint_of(role: Role[M]) -> Endpoint:
    """Give what a role is built on."""
    return role._endpoint


def _snapshot() -> bytes:
    table = Registry(entropy("before"))._table
    for link, name in enumerate(("ann", "bob"), 1):
        table.enter(name, HONEST, link, 0.0)
    return table.snapshot()


SNAPSHOT = _snapshot()
CASTS: dict[str, Callable[[Reader], Cast]] = {
    "endpoint": endpoint,
    "stream": stream,
    "duo": duo,
    "registry": registry,
    "peer": peer,
    "hub": hub,
    "member": member,
    "plain": plain,
}


def play(name: str, data: bytes) -> World:
    """Play the script of a machine, and give the world at its end."""
    reader = Reader(data)
    cast = CASTS[name](reader)
    world, operations = World(cast, reader), OPERATIONS
    if cast.plain is not None:
        world = PlainWorld(cast, reader)
        operations = world.operations
    try:
        world.play(operations)
    except Exception as exc:
        raise FindingError(name, data, world.story, exc) from exc
    return world


class FindingError(AssertionError):
    """Something that must not happen; it tells the story of the script."""

    def __init__(self, target: str, data: bytes, story: list[str], cause: Exception) -> None:
        self.cause = cause
        self.story = story
        told = "\n".join(story[-60:])
        again = f"python tests/fuzz/run.py --replay {target} {data.hex()}"
        super().__init__(f"{type(cause).__name__}: {cause}\n{told}\nto see it again: {again}")

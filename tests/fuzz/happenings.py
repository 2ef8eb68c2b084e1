"""What can happen in a script: each takes what it needs to know from the script's reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from palaver import (
    Abort,
    Dial,
    Finish,
    Leave,
    Pause,
    Post,
    Resume,
    Say,
    Send,
    StreamEnded,
    Tick,
    Unreachable,
)
from palaver.wire.packets import DATA, DATA_HEADER, HEADER_SIZE

from .forge import forge_data, forge_handshake, forge_message, mutate, reseal
from .world import HOSTILE, SPOOFED, SUBJECT, Flight, World

SECONDS = (0.0, 1 / 1024, 1 / 64, 0.25, 1.0, 3.0, 10.0, 31.0, 125.0)


def deliver(world: World) -> None:
    """Some datagrams arrive, the oldest first, as one batch."""
    for _ in range(1 + world.reader.u8() % 8):
        if world.air:
            world.arrive(world.air.popleft())


def lose(world: World) -> None:
    """Some datagrams are lost."""
    for _ in range(1 + world.reader.u8() % 4):
        if world.air:
            world.note("lost: ", world.air.popleft())


def repeat(world: World) -> None:
    """A datagram that was sent before arrives, perhaps from elsewhere."""
    if world.seen:
        flight = world.reader.pick(world.seen)
        source = world.reader.pick((flight.source, flight.source, *HOSTILE, *SPOOFED))
        world.arrive(Flight(flight.data, source, flight.destination))


def damage(world: World) -> None:
    """A changed copy of a datagram arrives at the subject, with a good tag most often."""
    if world.seen:
        flight = world.reader.pick(world.seen)
        source = world.reader.pick((flight.source, flight.source, *HOSTILE, *SPOOFED))
        source = HOSTILE[0] if source == SUBJECT else source
        world.arrive(Flight(mutate(world.reader, flight.data), source, SUBJECT))


def renumber(world: World) -> None:
    """A DATA packet of forged frames, with a number near that of one that was seen, arrives."""
    data = [one for one in world.seen if one.data[0] == DATA and one.destination == SUBJECT]
    if data:
        flight = world.reader.pick(data)
        _, link, number = DATA_HEADER.unpack_from(flight.data)
        number += world.reader.number(16)
        source = world.reader.pick((flight.source, flight.source, *SPOOFED))
        world.arrive(Flight(forge_data(world.reader, link, number), source, SUBJECT))


def forge(world: World) -> None:
    """A forged handshake packet or RESET, for an id that was seen or for none, arrives."""
    ids = [1, *(int.from_bytes(one.data[1:HEADER_SIZE], "big") or 1 for one in world.seen)]
    link = world.reader.pick(ids[-16:])
    role = world.reader.pick(world.cast.roles)
    source = world.reader.pick((*SPOOFED, *HOSTILE))
    world.arrive(Flight(forge_handshake(world.reader, link, role), source, SUBJECT))


def spout(world: World) -> None:
    """Any bytes arrive, with a good tag or as they are."""
    raw = world.reader.take(world.reader.u8() % 64)
    data = reseal(raw + bytes(4)) if world.reader.u8() % 2 else raw
    world.arrive(Flight(data, world.reader.pick((*SPOOFED, *HOSTILE)), SUBJECT))


def wait(world: World) -> None:
    """Time passes, and what is sent arrives."""
    seconds = world.reader.pick(SECONDS)
    world.note(f"{seconds} s pass, and all is delivered")
    world.pass_time(seconds, delivering=True)


def wait_in_silence(world: World) -> None:
    """Time passes, and nothing arrives."""
    seconds = world.reader.pick(SECONDS)
    world.note(f"{seconds} s pass, and nothing arrives")
    world.pass_time(seconds, delivering=False)


def command(world: World) -> None:
    """The program of the subject gives a command; each text has a ref of its own."""
    event = world.cast.command(world.reader, world.number(SUBJECT))
    if isinstance(event, Send | Say | Post):
        world.refs += 1
        event = replace(event, ref=world.refs)
    world.give(SUBJECT, event)


def befriend(world: World) -> None:
    """One who keeps the rules is given a command by its program."""
    if world.cast.friend is not None:
        address, make = world.cast.friend
        event = make(world.reader, world.number(address))
        world.note(f"{address[0]}: ", event)
        world.perform_for_other(address, event)


def say(world: World) -> None:
    """A hostile endpoint says something on one of its links."""
    address = world.reader.pick(HOSTILE)
    links = world.links[address]
    if links:
        link = world.reader.pick(list(links)[::-1])
        world.known.us = getattr(world.cast.subject, "id", 0)
        message = forge_message(world.reader, links[link], world.known)
        if message[0] >= 16:
            world.note(f"{address[0]} says {message[:24]!r} on its link {link}")
            world.perform_for_other(address, Send(link, message, None))


def dial(world: World) -> None:
    """A hostile endpoint dials the subject."""
    address = world.reader.pick(HOSTILE)
    role = world.reader.pick(world.cast.roles)
    world.note(f"{address[0]} dials for {role}")
    world.perform_for_other(address, Dial(SUBJECT, role))


def act_up(world: World) -> None:
    """A hostile endpoint does something else with one of its links."""
    address = world.reader.pick(HOSTILE)
    links = world.links[address]
    if links:
        link = world.reader.pick(list(links))
        kind = world.reader.pick((Leave, Abort, Pause, Resume, Finish))
        world.note(f"{address[0]}: {kind.__name__} on its link {link}")
        world.perform_for_other(address, kind(link))


def hint(world: World) -> None:
    """The network says something about an address."""
    address = world.reader.pick((*world.machines, *SPOOFED))
    if world.cast.streams and world.reader.u8() % 2:
        world.give(SUBJECT, StreamEnded(address))
        if address in world.machines and address != SUBJECT:
            world.perform_for_other(address, StreamEnded(SUBJECT))
    else:
        world.give(SUBJECT, Unreachable(address))


def copy(world: World) -> None:
    """From now on a twin of the subject goes along."""
    subject = world.cast.subject
    world.twin = subject.clone()
    same = world.twin.state_key(world.now) == subject.state_key(world.now)
    assert same, "a clone is in another state"


def hold(world: World) -> None:
    """What happens next belongs to the same batch: there is no tick in between."""
    world.quiet = True


def tick(world: World) -> None:
    """The subject is ticked, whether that is due or not."""
    world.give(SUBJECT, Tick())


OPERATIONS: tuple[Callable[[World], None], ...] = (
    *(deliver, say, wait, command, dial, damage, renumber, repeat),
    *(lose, forge, act_up, wait_in_silence, copy, hold, hint, spout, tick),
    *(befriend, befriend, deliver, say, command, wait),
)
"""By the first byte of a step; what most often leads on is there more than once."""

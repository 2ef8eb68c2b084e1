"""What happened in a simulation: a list of values, a fingerprint of it, and lines for people.

Each datagram that is put on the network has a `number`, from 1; all that happens to it and to its
copies carries that number. An `Arrived` whose number has no `Sent` was injected.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from enum import Enum
from hashlib import blake2b

from palaver.machine import Address, Event, Notice, UsageError
from palaver.values import value
from palaver.wire.packets import Kind


class DropReason(Enum):
    """Why a datagram did not arrive."""

    LOSS = "loss"
    """The faults of its path dropped it."""
    PARTED = "parted"
    """It was sent while its path was cut."""
    OVERFLOW = "overflow"
    """The queue of its path's bottleneck was full."""
    ABSENT = "absent"
    """There is no machine at its destination."""
    STALLED = "stalled"
    """The machine at its destination stands still, and too much waits for it."""


@value
class Sent:
    """The machine at `source` put a datagram on the network."""

    time: float
    number: int
    source: Address
    destination: Address
    data: bytes


@value
class Arrived:
    """A copy of it was handed to the machine at `destination`; `data` may have flipped bits."""

    time: float
    number: int
    source: Address
    destination: Address
    data: bytes


@value
class Dropped:
    """It, or a copy of it, will not arrive."""

    time: float
    number: int
    source: Address
    destination: Address
    data: bytes
    reason: DropReason


@value
class Noticed:
    """The machine at `address` told its program something."""

    time: float
    address: Address
    notice: Notice


@value
class Commanded:
    """The program at `address` is giving its machine an event; it may turn out to be refused."""

    time: float
    address: Address
    event: Event


@value
class Refused:
    """The machine at `address` raised an error of this name for what it was commanded last."""

    time: float
    address: Address
    error: str


@value
class Began:
    """A machine was put at `address`: machine number `life` of the simulation, from 1."""

    time: float
    address: Address
    life: int


@value
class Crashed:
    """The machine at `address` was taken away."""

    time: float
    address: Address


@value
class Moved:
    """The machine at `address` is at `to` now."""

    time: float
    address: Address
    to: Address


@value
class Changed:
    """The network, the faults or a clock was changed, as `what` says."""

    time: float
    what: str


Entry = Sent | Arrived | Dropped | Noticed | Commanded | Refused | Began | Crashed | Moved | Changed


def describe(entry: Entry) -> str:
    """Say in one line what happened, with the time in seconds; peers' texts are escaped."""
    if isinstance(entry, Sent | Arrived | Dropped):
        verb = type(entry).__name__.lower()
        if isinstance(entry, Dropped):
            verb = f"dropped ({entry.reason.value})"
        ends = f"{_place(entry.source)} > {_place(entry.destination)}"
        what = f"#{entry.number} {ends} {_kind(entry.data)} {len(entry.data)} B {verb}"
    elif isinstance(entry, Noticed):
        what = f"{_place(entry.address)} tells {entry.notice!a}"
    elif isinstance(entry, Commanded):
        what = f"{_place(entry.address)} is told {entry.event!a}"
    elif isinstance(entry, Refused):
        what = f"{_place(entry.address)} refuses: {entry.error}"
    elif isinstance(entry, Began):
        what = f"{_place(entry.address)} begins (machine {entry.life})"
    elif isinstance(entry, Crashed):
        what = f"{_place(entry.address)} crashes"
    elif isinstance(entry, Moved):
        what = f"{_place(entry.address)} moves to {_place(entry.to)}"
    else:
        what = entry.what
    return f"{entry.time:10.4f} {what}"


def _place(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


def _kind(data: bytes) -> str:
    """Name the packet as which a datagram would be taken."""
    known = {kind.value: kind.name for kind in Kind}
    return known.get(data[0], "rubbish") if data else "nothing"


def digest(entries: Iterable[Entry]) -> str:
    """Give 32 hex digits that are the same for the same entries, wherever they were made.

    Raises UsageError if a notice contains something that has no canonical form.
    """
    hasher = blake2b(digest_size=16)
    for entry in entries:
        hasher.update(canonical(entry))
    return hasher.hexdigest()


def canonical(item: object) -> bytes:
    """Give bytes that are the same for the same value in any process, and differ for others.

    Takes None, numbers, text, bytes, enumeration members, dataclasses, tuples, lists, sets and
    dicts of these. Raises UsageError for anything else.
    """
    if isinstance(item, Enum):  # first, because a member may also be a number or text
        return _tagged(b"e", f"{type(item).__qualname__}.{item.name}".encode())
    if isinstance(item, bytes):
        return _tagged(b"b", item)
    if isinstance(item, str):
        return _tagged(b"s", item.encode("utf-8", "surrogatepass"))
    if item is None or isinstance(item, int):
        return _tagged(b"i", str(item).encode())
    if isinstance(item, float):
        return b"f" + struct.pack(">d", item)
    return _canonical_group(item)


def _canonical_group(item: object) -> bytes:
    if is_dataclass(item) and not isinstance(item, type):
        parts = [getattr(item, field.name) for field in fields(item)]
        return _tagged(b"v", canonical([type(item).__qualname__, *parts]))
    if isinstance(item, (tuple, list)):
        return _tagged(b"t", b"".join([canonical(part) for part in item]))
    if isinstance(item, (set, frozenset)):
        return _tagged(b"u", b"".join(sorted(canonical(part) for part in item)))
    if isinstance(item, dict):
        return _tagged(b"d", b"".join(sorted(canonical(pair) for pair in item.items())))
    raise UsageError(f"a {type(item).__name__} has no canonical form to make a digest of")


def _tagged(tag: bytes, body: bytes) -> bytes:
    return b"%s%d:%s" % (tag, len(body), body)

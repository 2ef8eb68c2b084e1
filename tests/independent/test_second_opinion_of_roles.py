"""Two decoders, one text, continued: messages of the registry, of peers and of groups.

`independent_messages` and `independent_group` were written from PROTOCOL.md alone. The library's
values are turned into theirs, and compared: field by field, or in that the message is malformed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import independent_decoder as packets
import independent_messages as other
import pytest
from group_support import Party
from halls import Hall
from hypothesis import example, given
from hypothesis import strategies as st
from independent_group import GROUP
from independent_group import decode_group as other_group
from pairs import examples
from role_strategies import group_messages, peer_messages, registry_messages
from strategies import byes, mutated

from palaver import Connect, Depart, Enlist, Reject, Ringing, Say, Terminate, Who
from palaver.sim import NO_FAULTS, Faults, Sent, Sim
from palaver.wire.errors import DecodeError, Reason
from palaver.wire.group import decode_group
from palaver.wire.messages import BYE, FIN, FIRST_ROLE_KIND, FIRST_SKIPPABLE_KIND, decode_bye
from palaver.wire.peer import decode_peer
from palaver.wire.registry import Entry, decode_registry

ROLES: dict[str, tuple[Callable[[bytes], Any], Callable[[bytes], other.Value]]] = {
    "registry": (decode_registry, other.decode_registry),
    "peer": (decode_peer, other.decode_peer),
    "group": (decode_group, other_group),
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "registry": registry_messages,
    "peer": peer_messages,
    "group": group_messages,
}
# Where the library's name of a message is not the name in PROTOCOL.md.
NAMES = {
    "UNREGISTER": "LEAVE",
    "ACCEPTED": "ACCEPT",
    "REJECTED": "REJECT",
    "CANCELLED": "CANCEL",
}
ENTRIES = {"Posted", "Joined", "Left", "Taken"}
BAD = Faults(loss=0.1, duplicate=0.1, reorder=0.2, delay=0.02, jitter=0.01, reorder_delay=0.03)
ROOT = Path(__file__).parents[2]


# The library's answers, as values of the independent decoder


def as_plain(value: Any) -> Any:  # noqa: ANN401 - a value of any message
    if isinstance(value, tuple):
        return [as_plain(one) for one in value]
    if isinstance(value, Entry):
        host, port = value.address
        return {"id": value.id, "age": value.age, "port": port, "host": host, "name": value.name}
    if isinstance(value, IntEnum):
        return int(value)
    if not is_dataclass(value):
        return value
    plain = {field.name: as_plain(getattr(value, field.name)) for field in fields(value)}
    name = type(value).__name__
    if name in ENTRIES:
        return {"entry": name.upper(), **plain}
    return {"entry": plain["kind"]} if name == "Skipped" else plain


def as_message(value: Any) -> other.Value:  # noqa: ANN401
    name = type(value).__name__.upper()
    return {"kind": NAMES.get(name, name), **as_plain(value)}


def first_opinion(role: str, raw: bytes) -> other.Value | int:
    """Say what the library takes a message for, or the reason with which it ends the link."""
    if not 1 <= len(raw) <= other.MAX_MESSAGE:  # as the inbox and the type of segments have it
        return Reason.PROTOCOL_ERROR
    kind = raw[0]
    try:
        if kind == BYE:
            return as_message(decode_bye(raw))
        if kind == FIN:
            return {"kind": "FIN"} if len(raw) == 1 else Reason.PROTOCOL_ERROR
        if kind < FIRST_ROLE_KIND:
            return Reason.UNSUPPORTED
        message = ROLES[role][0](raw)
    except DecodeError:
        return Reason.PROTOCOL_ERROR
    if message is not None:
        return as_message(message)
    return {"kind": kind, "body": raw[1:]} if kind >= FIRST_SKIPPABLE_KIND else Reason.UNSUPPORTED


def second_opinion(role: str, raw: bytes) -> other.Value | int | None:
    try:
        return ROLES[role][1](raw)
    except packets.Malformed as error:
        return error.reason


def agree(role: str, raw: bytes) -> None:
    assert first_opinion(role, raw) == second_opinion(role, raw), raw.hex(" ")


# Values, and whatever bytes there are


@pytest.mark.parametrize("role", ROLES)
@examples(300)
@given(st.data())
def test_what_the_library_encodes_the_other_decodes_to_the_same(
    role: str, data: st.DataObject
) -> None:
    value = data.draw(VALUES[role] | byes)
    raw = value.encode()
    if role == "registry" and len(raw) > other.MAX_LISTING:
        agree(role, raw)
    else:
        assert second_opinion(role, raw) == as_message(value)


@pytest.mark.parametrize("role", ROLES)
@examples(600)
@given(st.data())
def test_both_say_the_same_of_what_is_nearly_valid(role: str, data: st.DataObject) -> None:
    agree(role, data.draw(mutated((VALUES[role] | byes).map(lambda value: value.encode()))))


@pytest.mark.parametrize("role", ROLES)
@examples(200)
@given(st.data())
def test_both_say_the_same_of_every_truncation(role: str, data: st.DataObject) -> None:
    raw = data.draw(VALUES[role]).encode()
    for size in range(len(raw)):
        agree(role, raw[:size])
    agree(role, raw + b"\0")


@pytest.mark.parametrize("role", ROLES)
@examples(600)
@given(
    st.builds(
        lambda kind, body: bytes((kind,)) + body,
        st.integers(0, 255) | st.integers(14, 42),
        st.binary(max_size=60) | st.integers(0, 80).map(bytes),
    )
)
@example(b"")
def test_both_say_the_same_of_random_bytes(role: str, raw: bytes) -> None:
    agree(role, raw)


NUMBERS = [0, 1, 2, 2**32 - 1, 2**64 - 3, 2**64 - 2, 2**64 - 1]


@pytest.mark.parametrize("number", NUMBERS)
def test_both_say_the_same_at_the_bounds_of_each_number_of_a_group(number: int) -> None:
    eight = number.to_bytes(8, "big")
    agree("group", b"\x10\0\0" + eight + b"\x10" + bytes(16) + b"\x01a\x01b")
    agree("group", b"\x11" + eight + b"text")
    for how in range(4):
        for members in (0, 1):
            head = b"\x12" + bytes((how,)) + bytes(16)
            agree("group", head + eight + bytes((*bytes(8), 0, members)) + b"name")
            agree("group", head + bytes(8) + eight + bytes((0, members)) + b"name")
    for entries in (1, 2):
        agree("group", b"\x15" + eight + b"\x80\0\0" * entries)
    agree("group", b"\x15" + bytes(7) + b"\x01\x04\0\x08" + eight)
    for count in range(3):
        agree("group", b"\x16" + eight + bytes((0, count)) + bytes(4))


@pytest.mark.parametrize("size", [0, 1, 2, 32, 33, 64, 65, 66, 120, 121, 254, 255, 65000, 65001])
def test_both_say_the_same_at_the_bounds_of_each_length(size: int) -> None:
    text = b"x" * size
    agree("registry", b"\x10" + bytes(20) + text)
    agree("registry", b"\x11" + bytes(8) + text)
    agree("peer", b"\x10" + b"\x01" * 16 + text)
    agree("peer", b"\x12" + b"\x01" * 13 + text)
    agree("peer", b"\x14" + b"\x01" * 16 + text)
    agree("group", b"\x11" + b"\x01" * 8 + text)
    agree("group", b"\x12" + bytes(35) + text)
    agree("group", b"\x13\x80" + text)
    posted = (2 + size).to_bytes(2, "big") + b"\x01a" + text
    agree("group", b"\x15" + b"\x01" * 8 + b"\x01" + posted)
    if size <= 255:
        short = bytes((size,)) + text
        head = bytes(4)
        agree("registry", b"\x22" + b"\x01" * 14 + short + b"\x01n")
        agree("registry", b"\x22" + b"\x01" * 14 + b"\x01h" + short)
        agree("registry", b"\x24" + head + b"\0" + b"\x01" * 10 + b"\x01h" + short)
        agree("group", b"\x10" + bytes(11) + short + b"\x01n")
        agree("group", b"\x10" + bytes(11) + b"\x01r" + short)
        agree("group", b"\x14" + short)


def test_both_say_the_same_of_the_longest_messages() -> None:
    for size in (65536, 65537):
        agree("peer", (b"\x14" + b"\x01" * 16).ljust(size, b"x"))
        agree("group", b"\x14" + b"\x01n" * (size // 2))
        agree("group", (b"\xc8").ljust(size, b"x"))


# The vectors, and the worked examples


def vectors() -> Iterator[tuple[str, dict[str, Any]]]:
    for name in ("roles", "group"):
        text = (ROOT / "tests" / "vectors" / f"{name}.json").read_text(encoding="utf-8")
        for key, found in json.loads(text).items():
            if key != "about":
                role = "group" if name == "group" else key.removesuffix("_rejected")
                yield from ((role, vector) for vector in found)


@pytest.mark.parametrize(
    ("role", "vector"),
    list(vectors()),
    ids=lambda one: one["name"] if isinstance(one, dict) else one,
)
def test_both_say_the_same_of_the_vectors(role: str, vector: dict[str, Any]) -> None:
    agree(role, b"".join(bytes.fromhex(part) for part, _ in vector["layout"]))


def worked(begin: str) -> list[tuple[str, str, bytes]]:
    """Give who sends each message of a worked example to whom, the text on it, and its bytes."""
    text = (ROOT / "PROTOCOL.md").read_text(encoding="utf-8")
    text = text[text.index(f"<!-- generated: {begin} -->") :]
    text = text[: text.index("<!-- end -->")]
    found = re.findall(r"^\d+\. (.*?): (.*?)\n+ *```hex\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    return [(way, said, bytes.fromhex(raw)) for way, said, raw in found]


def test_both_decode_the_worked_call_to_what_the_text_says_of_it() -> None:
    messages = worked("workedcall")
    assert len(messages) == 20
    for way, said, raw in messages:
        role = "registry" if "Registry" in way else "peer"
        agree(role, raw)
        assert told(ROLES[role][1](raw)) == said


def told(value: other.Value) -> str:
    """Say what a message is in the words of 6.5.6."""
    shown = []
    for key, one in value.items():
        if key == "entry":
            shown.append(f"entry {told_entry(one)}")
        elif key == "changes":
            changes = [str(c) if isinstance(c, int) else told_entry(c) for c in one]
            shown.append(f"changes {', '.join(changes)}")
        elif isinstance(one, bytes):
            shown.append(f"{key} {one.hex()}")
        elif key != "kind":
            shown.append(f'{key} "{one}"' if isinstance(one, str) else f"{key} {one}")
    if value["kind"] == "REGISTER":
        shown = [shown[3], *shown[:3]]
    return f"{value['kind']} ({'; '.join(shown)})" if shown else str(value["kind"])


def told_entry(entry: other.Value) -> str:
    return f'{entry["id"]} "{entry["name"]}" {entry["host"]} {entry["port"]}, {entry["age"]} s'


def test_both_decode_the_worked_group_to_what_the_text_says_of_it() -> None:
    messages = worked("groupworked")
    assert len(messages) == 16
    for _, said, raw in messages:
        agree("group", raw)
        value = other_group(raw)
        assert said.startswith(str(value["kind"]))
        for key in ("how", "number", "taken", "members", "backlog"):
            if key in value and value["kind"] != "LOG":
                assert f"{key} {value[key]}" in said
        for key in ("name", "room", "text"):
            assert key not in value or f'"{value[key]}"' in said


# What is sent in simulated runs


def said_in(sim: Sim) -> set[tuple[str, bytes]]:
    """Put together all messages that were sent, each with the role of its link."""
    roles: dict[int, str] = {}
    pieces: dict[int, dict[int, packets.Segment]] = {}
    for entry in sim.trace:
        if not isinstance(entry, Sent):
            continue
        packet = packets.decode(entry.data)
        if isinstance(packet, packets.Hello):
            roles[packet.caller] = packet.role
        elif isinstance(packet, packets.Welcome):
            roles[packet.callee] = roles[packet.link]
        elif isinstance(packet, packets.Data):
            for frame in packet.frames:
                if isinstance(frame, packets.Segment):
                    pieces.setdefault(packet.link, {})[frame.number] = frame
    return {
        (roles[link], message) for link, segments in pieces.items() for message in whole(segments)
    }


def whole(segments: dict[int, packets.Segment]) -> Iterator[bytes]:
    message = b""
    for number in range(len(segments)):
        message += segments[number].data
        if segments[number].last:
            yield message
            message = b""


def a_hall(seed: int, faults: Faults) -> Sim:
    hall = Hall(faults, seed).enlist("ann", "bob", "Cléo \N{SNOWMAN}")
    hall.run(1)
    hall.tell("ann", Who(1))
    calling, ringing = hall.talk("ann", "bob")
    hall.tell("ann", Say(calling, "hello", 1))
    hall.tell("bob", Say(ringing, "\N{SNOWMAN}" * 2000, 1))
    hall.run(5)
    hall.tell("bob", Terminate(ringing))
    hall.run(10)
    hall.tell("ann", Connect("nobody", 2))
    hall.run(2)
    hall.call("bob", "ann")
    hall.tell("ann", Reject(hall.told("ann", Ringing)[-1].link, "not now"))
    hall.run(5)
    calling = hall.call("ann", "bob")
    hall.tell("ann", Terminate(calling))  # before it was answered
    hall.run(5)
    hall.restart_peer("bob")  # who has no proof that the name is his
    hall.tell("bob", Enlist())
    hall.run(10)
    hall.add("eve")
    hall.tell("eve", Enlist("ann"))  # who is alive
    hall.run(10)
    for name in ("ann", "Cléo \N{SNOWMAN}"):
        hall.tell(name, Depart())
    hall.run(10)
    return hall.sim


def a_party(seed: int, faults: Faults) -> Sim:
    party = Party(seed, faults, record=True)
    party.join("ann", "bob", "Cléo \N{SNOWMAN}")
    party.post("ann", "one", "two", "x" * 65000)
    party.sim.run_for(5)
    party.join("dan", backlog=2)
    party.add("Ann")
    party.join("Ann")  # a name that is taken
    party.post("bob", "three")
    party.cut("bob")
    party.sim.run_for(40)  # until bob is lost
    party.post("ann", *(str(number) for number in range(20)))
    party.sim.heal()
    party.sim.run_for(20)  # and back again
    party.post("bob", "four")
    party.sim.run_for(1)
    party.leave("dan")
    party.sim.run_for(5)
    return party.sim


@pytest.fixture(scope="module")
def said() -> set[tuple[str, bytes]]:
    runs = [story(seed, faults) for story in (a_hall, a_party) for seed, faults in SEEDS]
    return set().union(*map(said_in, runs))


SEEDS = [(1, NO_FAULTS), (2, BAD), (3, BAD)]


def test_both_decode_alike_all_that_is_said_in_halls_and_at_parties(
    said: set[tuple[str, bytes]],
) -> None:
    for role, raw in said:
        assert first_opinion(role, raw) == ROLES[role][1](raw)


def test_the_runs_show_nearly_every_kind_of_message(said: set[tuple[str, bytes]]) -> None:
    kinds = {(role, ROLES[role][1](raw)["kind"]) for role, raw in said}
    shown = {role: {kind for one, kind in kinds if one == role} for role in ROLES}
    assert shown["registry"] >= {name for name, _ in other.REGISTRY.values()} - {"STALE"}
    assert shown["peer"] >= {name for name, _ in other.PEER.values()}
    assert shown["group"] >= {name for name, _ in GROUP.values()} | {"BYE"}
    entries = {
        entry["entry"]
        for role, raw in said
        if role == "group"
        for entry in other_group(raw).get("entries", ())
    }
    assert entries == {"POSTED", "JOINED", "LEFT", "TAKEN"}

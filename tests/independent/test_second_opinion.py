"""Two decoders, one text: what `palaver.wire` decodes, the independent decoder decodes alike.

`independent_decoder` was written from PROTOCOL.md alone. Each test turns the library's answer to
some bytes into the values of the other, and compares: field by field, or in why they are rejected.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias
from zlib import crc32

import independent_decoder as other
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packet_vectors import ACCEPTED, MESSAGES, REJECTED, REJECTED_MESSAGES, Vector
from pairs import examples
from strategies import answers, byes, introductions, mutated, packets, questions, texts

from palaver import (
    Abort,
    Address,
    Call,
    ConversationOpened,
    Dial,
    Dialing,
    Duo,
    Endpoint,
    Finish,
    Leave,
    Notice,
    Opened,
    Reason,
    Say,
    Send,
)
from palaver.link.handshake import MIN_HELLO
from palaver.sim import NO_FAULTS, Arrived, Faults, Sent, Sim
from palaver.timing import MAX_MESSAGE
from palaver.wire.duo import Introduce, Same, Twin, decode_duo
from palaver.wire.errors import DecodeError
from palaver.wire.frames import (
    Ack,
    Close,
    Frame,
    PathChallenge,
    PathResponse,
    Ping,
    Segment,
    Unknown,
    decode_frames,
    is_eliciting,
)
from palaver.wire.messages import (
    BYE,
    FIN,
    FIRST_ROLE_KIND,
    FIRST_SKIPPABLE_KIND,
    decode_bye,
)
from palaver.wire.packets import (
    CLEAR_PROFILE,
    DATA,
    DATA_HEADER,
    DATA_HEADER_SIZE,
    Cookie,
    Hello,
    Option,
    Refuse,
    Reset,
    Welcome,
    decode_unsealed,
)
from palaver.wire.sealing import CLEAR

A: Address = ("a", 1)
A_MOVED: Address = ("a", 2)
B: Address = ("b", 1)
C: Address = ("c", 1)

BAD = Faults(
    loss=0.1, duplicate=0.1, reorder=0.2, corrupt=0.1, delay=0.02, jitter=0.01, reorder_delay=0.03
)
PROTOCOL = Path(__file__).parents[2] / "PROTOCOL.md"

Verdict: TypeAlias = other.Packet | int | None
"""What a datagram is: a packet, malformed with a reason to end the link, or to be dropped."""


# The library's answers, as values of the independent decoder


def as_packet(datagram: bytes) -> Verdict:
    """Say what the library takes a datagram for."""
    opened = CLEAR.open(datagram)
    if opened is None:
        return None
    if opened[0] == DATA:
        return as_data(opened, len(datagram))
    try:
        packet = decode_unsealed(opened)
    except DecodeError:
        return None
    if isinstance(packet, Hello):
        # The endpoint, which knows the size of the datagram, drops these [H-2].
        return None if len(datagram) < MIN_HELLO else as_hello(packet, len(datagram))
    return as_reply(packet)


def as_hello(packet: Hello, size: int) -> other.Hello:
    return other.Hello(
        caller=packet.link,
        versions=packet.versions,
        profiles=packet.profiles,
        role=packet.role,
        cookie=packet.cookie,
        mtu=packet.mtu,
        credit=packet.credit,
        key_exchange=packet.key_exchange,
        options=as_options(packet.options),
        size=size,
    )


def as_reply(packet: Cookie | Welcome | Refuse | Reset) -> other.Packet:
    if isinstance(packet, Cookie):
        return other.Cookie(packet.destination, packet.cookie)
    if isinstance(packet, Refuse):
        return other.Refuse(packet.destination, packet.reason, packet.versions)
    if isinstance(packet, Reset):
        return other.Reset(packet.link, packet.number)
    return other.Welcome(
        link=packet.destination,
        callee=packet.link,
        version=packet.version,
        profile=packet.profile,
        mtu=packet.mtu,
        credit=packet.credit,
        key_exchange=packet.key_exchange,
        options=as_options(packet.options),
    )


def as_options(options: tuple[Option, ...]) -> tuple[other.Option, ...]:
    return tuple(other.Option(option.type, option.data) for option in options)


def as_data(opened: bytes, size: int) -> Verdict:
    if len(opened) < DATA_HEADER_SIZE:
        return None
    _, link, number = DATA_HEADER.unpack_from(opened)
    if not link:
        return None
    try:
        frames = decode_frames(opened, DATA_HEADER_SIZE)
    except DecodeError:
        return int(Reason.PROTOCOL_ERROR)
    data = other.Data(link, number, tuple(map(as_frame, frames)), size)
    assert data.eliciting == any(map(is_eliciting, frames))
    return data


def as_frame(frame: Frame) -> other.Frame:
    if isinstance(frame, Segment):
        return other.Segment(frame.number, frame.data, frame.last)
    if isinstance(frame, Ack):
        return other.Ack(frame.wanted, frame.newest, frame.earlier, frame.delay, frame.credit)
    if isinstance(frame, Ping):
        return other.Ping()
    if isinstance(frame, PathChallenge | PathResponse):
        return other.Path(isinstance(frame, PathResponse), frame.token)
    if isinstance(frame, Close):
        return other.Close(frame.reason, frame.wanted, frame.text)
    assert isinstance(frame, Unknown)
    return other.Unknown(frame.type, frame.data)


def as_message(raw: bytes) -> other.Message | Reason:
    """Say what the library takes a message of the role "duo" for, or why it ends the link."""
    if not 1 <= len(raw) <= MAX_MESSAGE:  # as the inbox and the type of segments have it
        return Reason.PROTOCOL_ERROR
    kind = raw[0]
    try:
        if kind == BYE:
            bye = decode_bye(raw)
            return other.Bye(bye.reason, bye.text)
        if kind == FIN:
            return other.Fin() if len(raw) == 1 else Reason.PROTOCOL_ERROR
        if kind < FIRST_ROLE_KIND:
            return Reason.UNSUPPORTED
        message = decode_duo(raw)
    except DecodeError:
        return Reason.PROTOCOL_ERROR
    if message is None:
        known = kind >= FIRST_SKIPPABLE_KIND
        return other.Other(kind, raw[1:]) if known else Reason.UNSUPPORTED
    if isinstance(message, Introduce):
        return other.Introduce(message.name)
    if isinstance(message, Twin):
        return other.Twin(message.proof)
    if isinstance(message, Same):
        return other.Same(message.yes, message.proof)
    return other.Text(message.text)


# The answers of the independent decoder


def second_opinion(datagram: bytes) -> Verdict:
    try:
        return other.decode(datagram)
    except other.Malformed as error:
        return error.reason


def second_opinion_of_message(raw: bytes) -> other.Message | int | None:
    try:
        return other.decode_message("duo", raw)
    except other.Malformed as error:
        return error.reason


def agree(datagram: bytes) -> None:
    """Fail unless both say the same."""
    assert as_packet(datagram) == second_opinion(datagram), datagram.hex(" ")


CLEAR_WELCOME_WITH_KEY = CLEAR.seal(
    Welcome(0x6E2D62ED3D9DCC55, 77, 1, CLEAR_PROFILE, 1200, 262144, b"key").encode()
)
CLOSE_NOT_UTF8 = CLEAR.seal(
    DATA_HEADER.pack(DATA, 77, 0) + Close(2, 0, "").encode()[:2] + b"\x06\x02\0\0\0\0\xff"
)


@pytest.mark.parametrize("datagram", [CLEAR_WELCOME_WITH_KEY, CLOSE_NOT_UTF8])
def test_what_the_document_once_left_open_is_settled(datagram: bytes) -> None:
    agree(datagram)


# What the simulator sends


def link_of(sim: Sim, address: Address) -> int:
    """Give the newest link at an address."""
    told = [getattr(notice, "link", 0) for _, notice in sim.notices(address)]
    return int(max(told, default=0))


def told(sim: Sim, address: Address, kind: type[Notice]) -> Callable[[], bool]:
    return lambda: any(isinstance(notice, kind) for _, notice in sim.notices(address))


def duos(seed: int, faults: Faults) -> Sim:
    """Let a duo call another, until both have heard the other's name."""
    sim = Sim(seed, faults)
    sim.add(A, Duo(sim.entropy("a"), name="Ann"))
    sim.add(B, Duo(sim.entropy("b"), name="Bob, who is called \N{SNOWMAN}"))
    sim.command(A, Call(B))
    sim.run_until(told(sim, A, ConversationOpened))
    sim.run_until(told(sim, B, ConversationOpened))
    return sim


def talk_and_leave(seed: int, faults: Faults) -> Sim:
    sim = duos(seed, faults)
    a, b = link_of(sim, A), link_of(sim, B)
    for index in range(8):
        sim.command(A, Say(a, f"line {index}", index))
        sim.command(B, Say(b, "\N{SNOWMAN}" * index, index))
        sim.run_for(0.05)
    sim.command(A, Say(a, "large " * 2000, 8))
    sim.command(B, Finish(b))
    sim.run_for(25)  # into the silence, so that there are pings
    sim.command(A, Leave(a, 0, "good night"))
    sim.run_for(10)
    return sim


def say_the_largest(seed: int, faults: Faults) -> Sim:
    sim = duos(seed, faults)
    sim.command(B, Say(link_of(sim, B), "x" * 65535))
    sim.run_for(10)
    sim.command(B, Leave(link_of(sim, B)))
    sim.command(A, Leave(link_of(sim, A), 200))
    sim.run_for(10)
    return sim


def abort(seed: int, faults: Faults) -> Sim:
    sim = duos(seed, faults)
    sim.command(A, Say(link_of(sim, A), "one more th"))
    sim.command(A, Abort(link_of(sim, A), 130, "fire \N{FIRE}"))
    sim.run_for(10)
    return sim


def crash_and_reset(seed: int, faults: Faults) -> Sim:
    sim = duos(seed, faults)
    sim.restart(B, Duo(sim.entropy("b again")))
    sim.command(A, Say(link_of(sim, A), "are you there?"))
    sim.run_for(10)
    return sim


def move(seed: int, faults: Faults) -> Sim:
    sim = duos(seed, faults)
    a, b = link_of(sim, A), link_of(sim, B)
    sim.run_for(1)
    sim.add(A_MOVED, sim.crash(A))
    for index in range(6):
        sim.command(A_MOVED, Say(a, f"from elsewhere {index}"))
        sim.command(B, Say(b, "where?"))
        sim.run_for(1)
    sim.command(A_MOVED, Leave(a))
    sim.run_for(10)
    return sim


def refuse(seed: int, faults: Faults) -> Sim:
    sim = duos(seed, faults)  # and so B is busy
    sim.add(C, Duo(sim.entropy("c"), accept=False))
    sim.command(C, Call(B, 1, 10))
    sim.run_for(5)
    sim.command(B, Call(C, 2, 10))  # who does not answer for this role
    sim.run_for(10)
    return sim


def prove_the_address(seed: int, faults: Faults) -> Sim:
    sim = Sim(seed, faults)
    sim.add(A, Endpoint(sim.entropy("a")))
    sim.add(B, Endpoint(sim.entropy("b"), roles=("duo",), always_cookie=True))
    sim.command(A, Dial(B, "duo"))
    assert told(sim, A, Dialing)()
    sim.command(A, Send(link_of(sim, A), Introduce("Ann").encode()))
    sim.run_until(told(sim, B, Opened))
    sim.command(B, Send(link_of(sim, B), Introduce("").encode()))
    sim.command(B, Send(link_of(sim, B), b"\xc8 of a kind that may be ignored"))
    sim.command(B, Leave(link_of(sim, B)))
    sim.run_for(10)
    return sim


STORIES: list[Callable[[int, Faults], Sim]] = [
    talk_and_leave,
    say_the_largest,
    abort,
    crash_and_reset,
    move,
    refuse,
    prove_the_address,
]


def sent_in(sim: Sim) -> list[bytes]:
    return [entry.data for entry in sim.trace if isinstance(entry, Sent)]


def kinds_in(datagrams: list[bytes]) -> tuple[set[int], set[int]]:
    """Give the kinds of packets, and the types of frames."""
    kinds = {datagram[0] for datagram in datagrams}
    decoded = [other.decode(datagram) for datagram in datagrams]
    frames = [frame for one in decoded if isinstance(one, other.Data) for frame in one.frames]
    return kinds, {as_type(frame) for frame in frames}


def as_type(frame: other.Frame) -> int:
    if isinstance(frame, other.Segment):
        return 1 if frame.last else 2
    if isinstance(frame, other.Path):
        return 6 if frame.response else 5
    types: dict[type, int] = {other.Ack: 3, other.Ping: 4, other.Close: 7}
    return types[type(frame)]


@pytest.fixture(scope="module")
def runs() -> list[Sim]:
    return [
        story(seed, faults)
        for index, story in enumerate(STORIES)
        for seed, faults in ((10 + index, NO_FAULTS), (20 + index, BAD), (30 + index, BAD))
    ]


@pytest.mark.smoke
def test_both_decode_alike_what_a_quiet_conversation_sends() -> None:
    sim = duos(1, NO_FAULTS)
    sim.command(A, Leave(link_of(sim, A)))
    sim.run_for(5)
    datagrams = sent_in(sim)
    assert len(datagrams) >= 6
    for datagram in datagrams:
        assert as_packet(datagram) == other.decode(datagram)


def test_both_decode_alike_all_that_is_sent_and_all_that_arrives(runs: list[Sim]) -> None:
    damaged = 0
    for sim in runs:
        for datagram in sent_in(sim):
            assert as_packet(datagram) == other.decode(datagram)
        for entry in sim.trace:
            if isinstance(entry, Arrived):
                verdict = second_opinion(entry.data)
                assert as_packet(entry.data) == verdict
                damaged += verdict is None
    assert damaged > 20, "the wire should sometimes have damaged something"


def test_the_runs_show_every_kind_of_packet_and_every_type_of_frame(runs: list[Sim]) -> None:
    kinds, types = kinds_in([datagram for sim in runs for datagram in sent_in(sim)])
    assert kinds == set(range(0xF8, 0xFE))
    assert types == set(range(1, 8))


def messages_in(sim: Sim) -> dict[int, list[bytes]]:
    """Put together what was said, by the link id that it was said to.

    Checks on the way that no number stands for two things [P-5, D-5].
    """
    packets_sent: dict[tuple[int, int], bytes] = {}
    pieces: defaultdict[int, dict[int, other.Segment]] = defaultdict(dict)
    for datagram in sent_in(sim):
        packet = other.decode(datagram)
        if not isinstance(packet, other.Data):
            continue
        assert packets_sent.setdefault((packet.link, packet.number), datagram) == datagram
        for frame in packet.frames:
            if isinstance(frame, other.Segment):
                assert pieces[packet.link].setdefault(frame.number, frame) == frame
    return {link: list(whole(segments)) for link, segments in pieces.items()}


def whole(segments: dict[int, other.Segment]) -> Iterator[bytes]:
    message = b""
    assert sorted(segments) == list(range(len(segments)))
    for _, segment in sorted(segments.items()):
        message += segment.data
        if segment.last:
            yield message
            message = b""


def test_both_decode_alike_the_messages_and_they_keep_their_order(runs: list[Sim]) -> None:
    seen: set[type] = set()
    for sim in runs:
        for said in messages_in(sim).values():
            decoded = [other.decode_message("duo", raw) for raw in said]
            assert decoded == [as_message(raw) for raw in said]
            order = [type(message) for message in decoded]
            seen |= set(order)
            assert order.count(other.Introduce) == 1  # [M-5]
            assert order[0] is other.Introduce
            assert other.Bye not in order[:-1]  # [M-4]
            if other.Fin in order:  # [M-3]
                assert set(order[order.index(other.Fin) + 1 :]) <= {other.Bye}
    assert seen == {other.Fin, other.Bye, other.Introduce, other.Text, other.Other}


# Whatever bytes there are


def sealed(body: bytes) -> bytes:
    return body + crc32(body).to_bytes(4, "big")


HELLO_PADDING = bytes(64)
encoded = packets.map(lambda packet: packet.encode())
# HELLOs that are long enough are rare, so that some are padded: two bytes make an option.
padded = encoded.map(lambda body: body + (HELLO_PADDING if body[0] == 0xF8 else b""))
bodies = encoded | padded


@examples(150)
@given(bodies)
def test_both_decode_alike_what_is_valid(body: bytes) -> None:
    agree(sealed(body))


@examples(150)
@given(st.binary(max_size=100), st.sampled_from(range(0xF6, 0x100)))
@example(b"", 0xFC)
def test_both_say_the_same_of_random_bytes(raw: bytes, kind: int) -> None:
    agree(raw)
    agree(sealed(raw))
    agree(sealed(bytes((kind,)) + raw))


@examples(250)
@given(mutated(bodies))
def test_both_say_the_same_of_what_is_nearly_valid(body: bytes) -> None:
    agree(sealed(body))


@examples(150)
@given(mutated(bodies.map(sealed)))
def test_both_say_the_same_of_what_is_damaged_under_way(datagram: bytes) -> None:
    agree(datagram)


@examples(100)
@given(bodies, st.binary(min_size=1, max_size=12))
def test_both_say_the_same_of_every_truncation_and_of_extensions(body: bytes, more: bytes) -> None:
    agree(sealed(body + more))
    agree(sealed(body) + more)
    for size in range(len(body)) if len(body) < 200 else range(0, len(body), 7):
        agree(sealed(body[:size]))


@examples(150)
@given(st.binary(max_size=60))
def test_both_say_the_same_of_random_frames(raw: bytes) -> None:
    header = DATA_HEADER.pack(DATA, 1, 0)
    agree(sealed(header + raw))
    for kind in range(1, 8):
        # A frame of a known type and a right length, with whatever in it.
        agree(sealed(header + bytes((kind, 0, len(raw))) + raw))


@pytest.mark.parametrize("count", range(18))
def test_both_say_the_same_at_the_bounds_of_each_count(count: int) -> None:
    counted = bytes((count,)) + b"a" * count
    ids = bytes(8) + b"12345678"
    grant = bytes.fromhex("04b0 00040000 0000")
    padding = bytes((0, 60)) + bytes(60)
    usual = [b"\x01\x01", b"\x01\x00", b"\x03duo", b"\x00"]
    for place in range(4):
        fields = b"".join([*usual[:place], counted, *usual[place + 1 :]])
        agree(sealed(b"\xf8" + ids + fields + grant + padding))
    agree(sealed(b"\xf9" + ids[8:] + counted))
    agree(sealed(b"\xfb" + ids[8:] + b"\x04" + counted))


message_values = byes | introductions | texts | questions | answers
valid_messages = message_values.map(lambda message: message.encode())


@examples(150)
@given(
    valid_messages
    | mutated(valid_messages)
    | st.builds(lambda kind, body: bytes((kind,)) + body, st.integers(0, 255), st.binary())
)
@example(b"")
@example(b"\x11" + bytes(65535))
@example(b"\x11" + bytes(65536))
@example(b"\x01\x00" + b"x" * 120)
@example(b"\x01\x00" + b"x" * 121)
@example(b"\x10" + b"x" * 64)
@example(b"\x10" + b"x" * 65)
def test_both_say_the_same_of_any_message(raw: bytes) -> None:
    assert as_message(raw) == second_opinion_of_message(raw)


# The vectors


@pytest.mark.parametrize("vector", ACCEPTED + REJECTED, ids=repr)
def test_both_say_the_same_of_the_vectors(vector: Vector) -> None:
    agree(vector.data)


@pytest.mark.parametrize("vector", MESSAGES + REJECTED_MESSAGES, ids=repr)
def test_both_say_the_same_of_the_messages_of_the_vectors(vector: Vector) -> None:
    assert as_message(vector.data) == second_opinion_of_message(vector.data)


# The worked conversation


def worked() -> list[tuple[str, bytes]]:
    """Give the datagrams of section 13, and what the text says of them, a line each."""
    text = PROTOCOL.read_text(encoding="utf-8")
    section = text[text.index("\n## 13.") :]
    found = re.findall(r"^\d+\. (.*?)```hex\n(.*?)```", section, re.DOTALL | re.MULTILINE)
    return [(said.split(": ", 1)[1].strip(), bytes.fromhex(raw)) for said, raw in found]


def describe(packet: Verdict) -> str:
    """Say what a packet is in the words of section 13."""
    if isinstance(packet, other.Hello):
        return (
            f"HELLO from {packet.caller:016x}: versions {list(packet.versions)},"
            f" profiles {list(packet.profiles)}, role {packet.role}, mtu {packet.mtu},"
            f" credit {packet.credit}" + (", padded" if packet.options else "")
        )
    if isinstance(packet, other.Welcome):
        return (
            f"WELCOME to {packet.link:016x} from {packet.callee:016x}: version {packet.version},"
            f" profile {packet.profile}, mtu {packet.mtu}, credit {packet.credit}"
        )
    assert isinstance(packet, other.Data)
    lines = [f"DATA to {packet.link:016x}, packet {packet.number}"]
    lines += [f"   - {describe_frame(frame)}" for frame in packet.frames]
    return "\n".join(lines)


def describe_frame(frame: other.Frame) -> str:
    if isinstance(frame, other.Ack):
        return (
            f"ACK wanted {frame.wanted}, newest {frame.newest}, earlier {frame.earlier:#x},"
            f" delay {frame.delay}, credit {frame.credit}"
        )
    assert isinstance(frame, other.Segment)
    assert frame.last
    message = other.decode_message("duo", frame.data)
    if isinstance(message, other.Introduce):
        return f'SEGMENT {frame.number}: INTRODUCE "{message.name}"'
    if isinstance(message, other.Text):
        return f'SEGMENT {frame.number}: TEXT "{message.text}"'
    assert isinstance(message, other.Bye)
    return f"SEGMENT {frame.number}: BYE reason {message.reason}"


def test_both_decode_the_worked_conversation_to_what_the_text_says_of_it() -> None:
    conversation = worked()
    assert len(conversation) == 7
    for said, datagram in conversation:
        assert describe(other.decode(datagram)) == said
        assert describe(as_packet(datagram)) == said
        agree(datagram)

"""Packets: one encoding for each value, one value for each encoding, and every bound of a field."""

from __future__ import annotations

import codecs
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packet_vectors import ACCEPTED, REJECTED, Vector
from strategies import (
    Data,
    Packet,
    decode_datagram,
    decode_packet,
    hellos,
    mutated,
    packets,
    refuses,
    roles,
    unsealed,
)

from palaver.machine import UsageError
from palaver.wire.errors import DecodeError
from palaver.wire.frames import Ping
from palaver.wire.packets import (
    RESET_SIZE,
    Cookie,
    Hello,
    Kind,
    Option,
    Refuse,
    Reset,
    Welcome,
    check_role,
    decode_unsealed,
    pad,
)
from palaver.wire.sealing import CLEAR, TAG_SIZE

ID = 0x6E2D62ED3D9DCC55
OTHER_ID = 0x2A09D44F0A4DB043


def hello(
    *,
    link: int = ID,
    versions: tuple[int, ...] = (1,),
    profiles: tuple[int, ...] = (0,),
    role: str = "duo",
    mtu: int = 1200,
    credit: int = 262144,
    cookie: bytes = b"",
    key_exchange: bytes = b"",
    options: tuple[Option, ...] = (),
) -> Hello:
    return Hello(link, versions, profiles, role, mtu, credit, cookie, key_exchange, options)


def welcome(
    *,
    destination: int = ID,
    link: int = OTHER_ID,
    version: int = 1,
    profile: int = 0,
    mtu: int = 1200,
    credit: int = 262144,
    key_exchange: bytes = b"",
    options: tuple[Option, ...] = (),
) -> Welcome:
    return Welcome(destination, link, version, profile, mtu, credit, key_exchange, options)


def assert_canonical(packet: bytes) -> bool:
    """Tell whether the bytes are a packet; if so, they must be the only encoding of it."""
    try:
        value = decode_packet(packet)
    except DecodeError:
        return False
    assert value.encode() == packet
    return True


# One encoding for each value, one value for each encoding


@pytest.mark.smoke
@given(packets)
def test_what_is_encoded_decodes_to_the_same(packet: Packet) -> None:
    assert decode_datagram(CLEAR.seal(packet.encode())) == packet


@given(st.sampled_from(Kind), st.binary(max_size=120))
def test_any_bytes_are_a_packet_in_one_encoding_or_raise_decode_error(
    kind: Kind, data: bytes
) -> None:
    assert_canonical(data)
    assert_canonical(bytes((kind,)) + data)


@given(mutated(packets.map(lambda packet: packet.encode())))
def test_damaged_packets_are_packets_in_one_encoding_or_raise_decode_error(data: bytes) -> None:
    assert_canonical(data)


@pytest.mark.parametrize("vector", ACCEPTED, ids=repr)
def test_each_byte_of_a_packet_can_only_be_changed_to_another_packet_or_to_an_error(
    vector: Vector,
) -> None:
    packet = vector.data[:-TAG_SIZE]
    fates = set()
    for position in range(len(packet)):
        for byte in range(256):
            changed = bytearray(packet)
            changed[position] = byte
            fates.add(assert_canonical(bytes(changed)))
    assert fates == {True, False}


@pytest.mark.parametrize("vector", ACCEPTED + REJECTED, ids=repr)
def test_packets_cut_off_or_extended_anywhere_are_other_packets_or_errors(vector: Vector) -> None:
    packet = vector.data[:-TAG_SIZE]
    for size in range(len(packet)):
        assert_canonical(packet[:size])
    for byte in range(256):
        assert_canonical(packet + bytes((byte,)))
        assert_canonical(packet + bytes((byte, 0)))
        assert_canonical(packet + bytes((byte, 0, 0)))


@given(unsealed)
def test_packets_without_options_have_no_shorter_or_longer_form(packet: Packet) -> None:
    if isinstance(packet, Hello | Welcome) and packet.options:
        return
    data = packet.encode()
    for size in range(len(data)):
        with pytest.raises(DecodeError):
            decode_packet(data[:size])
    for byte in (0, 1, 0x80, 0xFF):
        with pytest.raises(DecodeError):
            decode_packet(data + bytes((byte,)))


# The tag


@pytest.mark.spec("P-4")
@given(packets)
def test_every_single_flipped_bit_of_a_sealed_packet_is_noticed(packet: Packet) -> None:
    sealed = CLEAR.seal(packet.encode())
    changed = bytearray(sealed)
    for position in range(len(sealed)):
        for bit in range(8):
            changed[position] ^= 1 << bit
            assert CLEAR.open(bytes(changed)) is None
            changed[position] ^= 1 << bit
    assert CLEAR.open(bytes(changed)) == packet.encode()


@given(packets, st.data())
def test_every_burst_of_damage_of_up_to_32_bits_is_noticed(
    packet: Packet, data: st.DataObject
) -> None:
    sealed = CLEAR.seal(packet.encode())
    burst = data.draw(st.integers(1, (1 << 32) - 1))
    shift = data.draw(st.integers(0, len(sealed) * 8 - burst.bit_length()))
    changed = int.from_bytes(sealed, "big") ^ burst << shift
    assert CLEAR.open(changed.to_bytes(len(sealed), "big")) is None


@given(st.binary(max_size=60))
def test_any_bytes_have_the_right_tag_or_give_none(data: bytes) -> None:
    packet = CLEAR.open(data)
    assert packet is None or CLEAR.seal(packet) == data


@given(st.binary(min_size=1, max_size=60))
def test_what_is_sealed_opens_to_the_same_and_has_grown_by_the_overhead(data: bytes) -> None:
    assert CLEAR.open(CLEAR.seal(data)) == data
    assert len(CLEAR.seal(data)) == len(data) + CLEAR.overhead


def test_the_tag_is_the_crc_of_ieee_802_3_in_big_endian() -> None:
    assert CLEAR.seal(b"123456789")[9:] == bytes.fromhex("cbf43926")


@pytest.mark.parametrize("size", range(TAG_SIZE + 1))
def test_nothing_is_not_a_packet_whatever_its_tag(size: int) -> None:
    assert CLEAR.open(CLEAR.seal(b"")[:size]) is None


# The first byte


@pytest.mark.parametrize("kind", Kind)
def test_the_first_byte_of_a_packet_begins_neither_utf8_nor_stun(kind: Kind) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with pytest.raises(UnicodeDecodeError):
        decoder.decode(bytes((kind,)))
    assert kind not in range(4)


@given(packets)
def test_the_first_byte_is_the_kind(packet: Packet) -> None:
    kind = Kind.DATA if isinstance(packet, Data) else Kind[type(packet).__name__.upper()]
    assert packet.encode()[0] == kind


@given(st.binary(min_size=8, max_size=80))
def test_data_is_no_packet_outside_a_link(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_unsealed(bytes((Kind.DATA,)) + data)


# The bounds of every field, from both sides


ALLOWED: list[Packet] = [
    hello(link=1),
    hello(link=(1 << 64) - 1),
    hello(versions=(0,)),
    hello(versions=tuple(range(248, 256))),
    hello(profiles=(255,)),
    hello(profiles=tuple(range(8))),
    hello(role="a"),
    hello(role="a-z/0.9/abcdefgh"),
    hello(role="/"),
    hello(cookie=b"c"),
    hello(cookie=b"c" * 16),
    hello(mtu=64),
    hello(mtu=65507),
    hello(credit=1024),
    hello(credit=(1 << 32) - 1),
    hello(key_exchange=bytes(65535)),
    hello(options=(Option(0, b""),)),
    hello(options=(Option(0, bytes(255)),)),
    hello(options=(Option(128, b"\x01"), Option(255, b"\xff" * 255))),
    hello(options=(Option(128, b""),) * 200),
    Cookie(1, b"c"),
    Cookie(ID, b"c" * 16),
    welcome(destination=1, link=1),
    welcome(version=0, profile=255),
    welcome(version=255, profile=0),
    welcome(mtu=64),
    welcome(mtu=65507),
    welcome(credit=1024),
    welcome(key_exchange=bytes(65535)),
    welcome(options=(Option(128, b"\x01"), Option(0, bytes(3)))),
    Refuse(1, 0, (1,)),
    Refuse(ID, 255, tuple(range(8))),
    Reset(1, 0),
    Reset((1 << 64) - 1, (1 << 32) - 1),
    Data(1, 0, (Ping(),)),
]

FORBIDDEN: list[Packet] = [
    hello(link=0),
    hello(versions=()),
    hello(versions=tuple(range(9))),
    hello(profiles=()),
    hello(profiles=tuple(range(9))),
    hello(role=""),
    hello(role="a" * 17),
    hello(role="Duo"),
    hello(role="d uo"),
    hello(role="duo\0"),
    hello(role="d_o"),
    hello(role="`"),
    hello(role="{"),
    hello(role=":"),
    hello(role=","),
    hello(cookie=b"c" * 17),
    hello(mtu=0),
    hello(mtu=63),
    hello(mtu=65508),
    hello(mtu=65535),
    hello(credit=0),
    hello(credit=1023),
    hello(options=(Option(0, b"\x01"),)),
    hello(options=(Option(0, bytes(254) + b"\x80"),)),
    hello(options=(Option(1, b""),)),
    hello(options=(Option(127, b""),)),
    hello(options=(Option(128, b""), Option(127, b""))),
    Cookie(0, b"c"),
    Cookie(ID, b""),
    Cookie(ID, b"c" * 17),
    welcome(destination=0),
    welcome(link=0),
    welcome(mtu=63),
    welcome(mtu=65508),
    welcome(credit=1023),
    welcome(options=(Option(0, b"\x01"),)),
    welcome(options=(Option(1, b""),)),
    welcome(options=(Option(127, b""),)),
    Refuse(0, 4, (1,)),
    Refuse(ID, 4, ()),
    Refuse(ID, 4, tuple(range(9))),
    Reset(0, 7),
    Data(ID, 0, ()),
]


@pytest.mark.spec("P-3", "P-6")
@pytest.mark.parametrize("packet", ALLOWED, ids=lambda packet: repr(packet)[:80])
def test_what_is_just_within_the_bounds_of_a_field_is_accepted(packet: Packet) -> None:
    assert decode_packet(packet.encode()) == packet


@pytest.mark.spec("P-3", "P-6", "H-16")
@pytest.mark.parametrize("packet", FORBIDDEN, ids=lambda packet: repr(packet)[:80])
def test_what_is_just_beyond_the_bounds_of_a_field_is_rejected(packet: Packet) -> None:
    data = packet.encode()
    with pytest.raises(DecodeError):
        decode_packet(data)


@pytest.mark.parametrize("destination", [1, 1 << 56, (1 << 64) - 1])
def test_a_hello_with_a_link_id_in_its_header_is_rejected(destination: int) -> None:
    data = hello().encode()
    with pytest.raises(DecodeError):
        decode_packet(data[:1] + struct.pack(">Q", destination) + data[9:])


def test_a_role_beyond_ascii_is_rejected() -> None:
    for letter in range(128, 256):
        data = hello().encode().replace(b"\x03duo", b"\x03du" + bytes((letter,)))
        with pytest.raises(DecodeError):
            decode_packet(data)


@given(roles | st.text(st.characters(max_codepoint=255), max_size=18))
def test_a_program_may_use_exactly_the_roles_that_the_wire_carries(role: str) -> None:
    encoded = role.encode("latin-1")
    data = hello().encode().replace(b"\x03duo", bytes((len(encoded),)) + encoded)
    try:
        check_role(role)
    except UsageError:
        with pytest.raises(DecodeError):
            decode_packet(data)
    else:
        assert decode_packet(data) == hello(role=role)


# Padding, and how large replies are


@pytest.mark.spec("H-2")
@given(hellos, st.integers(0, 1500))
def test_padding_makes_a_hello_as_long_as_wanted_and_changes_nothing_else(
    original: Hello, size: int
) -> None:
    padded = pad(original, size)
    length = len(CLEAR.seal(padded.encode()))
    unpadded = len(CLEAR.seal(original.encode()))
    # Two bytes are the least that an option adds.
    assert max(size, unpadded) <= length <= max(size + 1, unpadded)
    assert decode_packet(padded.encode()) == padded
    assert padded.options[: len(original.options)] == original.options
    assert padded.encode().startswith(original.encode())


@pytest.mark.spec("H-2")
@pytest.mark.parametrize("missing", [*range(-3, 6), *range(255, 262), 513, 514, 515])
def test_padding_is_exact_except_where_one_byte_is_missing(missing: int) -> None:
    unpadded = len(CLEAR.seal(hello().encode()))
    padded = len(CLEAR.seal(pad(hello(), unpadded + missing).encode()))
    # One option pads by 2 to 257 bytes.
    rest = missing % 257 if missing > 0 else 0
    assert padded - unpadded == max(missing, 0) + (rest == 1)


@pytest.mark.spec("H-3")
@given(refuses)
def test_no_reply_to_a_hello_is_larger_than_the_smallest_hello(refuse: Refuse) -> None:
    for reply in (refuse, Cookie(ID, bytes(16)), welcome()):
        assert len(CLEAR.seal(reply.encode())) <= 64


def test_a_reset_is_smaller_than_the_smallest_packet_that_it_answers() -> None:
    smallest = CLEAR.seal(Data(ID, 0, (Ping(),)).encode())
    assert len(CLEAR.seal(Reset(ID, 0).encode())) == RESET_SIZE < len(smallest)

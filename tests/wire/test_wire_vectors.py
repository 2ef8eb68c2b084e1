"""The worked datagrams of tests/vectors/packets.json: bytes that no version of the code made."""

from __future__ import annotations

import pytest
from packet_vectors import ACCEPTED, MESSAGES, REJECTED, REJECTED_MESSAGES, Vector
from strategies import Data, decode_datagram

from palaver.link.endpoint import Endpoint
from palaver.link.handshake import make_hello, with_cookie
from palaver.machine import Datagram, Transmit
from palaver.timing import DEFAULT_LIMITS
from palaver.wire.duo import decode_duo
from palaver.wire.errors import DecodeError
from palaver.wire.messages import BYE, FIN_MESSAGE, decode_bye
from palaver.wire.packets import Kind, Welcome
from palaver.wire.sealing import CLEAR

BY_NAME = {vector.name: vector for vector in ACCEPTED}


def decode_message(message: bytes) -> object:
    if message == FIN_MESSAGE:
        return message
    return decode_bye(message) if message[0] == BYE else decode_duo(message)


@pytest.mark.smoke
@pytest.mark.parametrize("vector", ACCEPTED, ids=repr)
def test_a_worked_datagram_decodes_to_its_value_and_the_value_encodes_to_it(
    vector: Vector,
) -> None:
    value = vector.packet()
    assert decode_datagram(vector.data) == value
    assert CLEAR.seal(value.encode()) == vector.data


@pytest.mark.parametrize("vector", REJECTED, ids=repr)
def test_a_datagram_that_breaks_a_rule_is_rejected(vector: Vector) -> None:
    with pytest.raises(DecodeError):
        decode_datagram(vector.data)


@pytest.mark.parametrize("vector", MESSAGES, ids=repr)
def test_a_worked_message_decodes_to_its_value_and_the_value_encodes_to_it(
    vector: Vector,
) -> None:
    value = vector.message()
    assert decode_message(vector.data) == value
    assert (value if isinstance(value, bytes) else value.encode()) == vector.data


@pytest.mark.parametrize("vector", REJECTED_MESSAGES, ids=repr)
def test_a_message_that_breaks_a_rule_is_rejected(vector: Vector) -> None:
    with pytest.raises(DecodeError):
        decode_message(vector.data)


def test_the_vectors_show_every_kind_of_packet_and_every_type_of_frame() -> None:
    packets = [vector.packet() for vector in ACCEPTED]
    assert {vector.data[0] for vector in ACCEPTED} == set(Kind)
    frames = {type(f).__name__ for p in packets if isinstance(p, Data) for f in p.frames}
    assert frames == {
        "Segment",
        "Ack",
        "Ping",
        "PathChallenge",
        "PathResponse",
        "Close",
        "Unknown",
    }
    assert {vector.data[0] for vector in MESSAGES} == {0, 1, 16, 17}
    assert {vector.like for vector in REJECTED} <= set(BY_NAME)


def test_most_rejected_vectors_have_the_right_tag() -> None:
    # So that it is what they are there for, and not the tag, that has them rejected.
    wrong = [vector.name for vector in REJECTED if CLEAR.open(vector.data) is None]
    assert wrong == [
        "one bit of the tag wrong",
        "one bit of the body wrong",
        "tag with its bytes reversed",
        "nothing but the tag of nothing",
        "no bytes",
    ]


def test_a_caller_with_the_default_limits_sends_the_hello_of_the_vectors() -> None:
    expected = BY_NAME["hello"].packet()
    hello = make_hello(0x6E2D62ED3D9DCC55, "duo", DEFAULT_LIMITS)
    assert hello == expected
    cookie = bytes(range(0xC0, 0xD0))
    assert with_cookie(hello, cookie) == BY_NAME["hello with cookie"].packet()


def listener() -> Endpoint:
    return Endpoint(lambda size: bytes(range(size)), roles=("duo",))


@pytest.mark.spec("P-1", "P-3", "H-16")
@pytest.mark.parametrize(
    "vector", [vector for vector in REJECTED if vector.data[:1] != b"\xfc"], ids=repr
)
def test_an_endpoint_answers_nothing_to_a_rejected_datagram_outside_a_link(
    vector: Vector,
) -> None:
    endpoint = listener()
    assert not endpoint.handle(Datagram(vector.data, ("host", 1)), 0.0)
    assert endpoint.is_idle


@pytest.mark.spec("P-3")
def test_an_endpoint_answers_nothing_to_data_for_link_id_0() -> None:
    vector = next(vector for vector in REJECTED if vector.name == "data for link id 0")
    assert not listener().handle(Datagram(vector.data, ("host", 1)), 0.0)


@pytest.mark.parametrize("name", ["hello", "hello with cookie"])
def test_an_endpoint_welcomes_the_worked_hello(name: str) -> None:
    (action,) = listener().handle(Datagram(BY_NAME[name].data, ("host", 1)), 0.0)
    assert isinstance(action, Transmit)
    assert isinstance(decode_datagram(action.data), Welcome)

"""Registry and peers by streams (PROTOCOL.md, section 6.4.5), where nobody can call a caller."""

from __future__ import annotations

import os

import pytest
from stream_hall import REGISTRY, StreamHall

from palaver import (
    Accept,
    CallEnded,
    CallOpened,
    Connect,
    Depart,
    Departed,
    Dial,
    Dialing,
    Gone,
    Heard,
    Joined,
    Outcome,
    Peer,
    Present,
    Received,
    RegistryAway,
    Ringing,
    Say,
    Send,
    Terminate,
    UsageError,
    Who,
    Why,
)
from palaver.link.stream_endpoint import StreamEndpoint
from palaver.wire.errors import Reason
from palaver.wire.peer import ROLE, Ring
from palaver.wire.registry import Refusal, Refused, Register, decode_registry


def ring_at(hall: StreamHall, name: str) -> Ringing:
    (ringing,) = hall.told(name, Ringing)
    return ringing


class Stranger:
    """An endpoint without a role, at a host of a test's choice."""

    def __init__(self, hall: StreamHall, host: str) -> None:
        self.hall = hall
        hall.add("stranger", StreamEndpoint(hall.random.fork("s").bytes), (host, 666))

    def say(self, where: tuple[str, int], role: str, message: bytes) -> None:
        self.hall.tell("stranger", Dial(where, role))
        link = self.hall.told("stranger", Dialing)[-1].link
        self.hall.run(1)
        self.hall.tell("stranger", Send(link, message, None))
        self.hall.run(3)


@pytest.mark.spec("G-15")
def test_the_address_of_a_client_is_its_host_and_the_port_that_it_has_named() -> None:
    hall = StreamHall().enlist("ann", "bob")
    hall.tell("ann", Who())
    hall.run(1)
    (present,) = hall.told("ann", Present)
    assert [one.address for one in present.entries] == [hall.homes["ann"], hall.homes["bob"]]
    # And not what the registry sees.
    seen = {address for who, address in hall.streams if who == "registry"}
    assert not seen & {one.address for one in present.entries}
    assert {host for host, _ in seen} == {
        host for host, _ in [one.address for one in present.entries]
    }


@pytest.mark.smoke
@pytest.mark.spec("G-15", "G-16")
def test_a_call_goes_to_the_listening_port_and_rings_verified() -> None:
    hall = StreamHall().enlist("ann", "bob")
    hall.tell("ann", Connect("bob", 7))
    hall.run(1)
    ringing = ring_at(hall, "bob")
    assert (ringing.peer, ringing.name, ringing.verified) == (1, "ann", True)
    assert ringing.address == hall.homes["ann"]  # where bob could call back
    hall.tell("bob", Accept(ringing.link))
    hall.run(1)
    (opened,) = hall.told("ann", CallOpened)
    hall.tell("ann", Say(opened.link, "hello"))
    hall.run(1)
    assert [one.text for one in hall.told("bob", Heard)] == ["hello"]
    hall.tell("bob", Terminate(ringing.link))
    hall.run(2)
    for name in ("ann", "bob"):
        (end,) = hall.told(name, CallEnded)
        assert end.outcome is Outcome.TERMINATED
    # The next call opens a stream of its own.
    hall.tell("bob", Connect(1, 8))
    hall.run(1)
    assert ring_at(hall, "ann").verified


@pytest.mark.spec("G-16", "C-7")
def test_who_rings_from_another_host_than_the_one_it_claims_to_be_is_not_verified() -> None:
    hall = StreamHall().enlist("ann", "bob")
    Stranger(hall, "10.9.9.9").say(hall.homes["bob"], ROLE, Ring(b"a call!!", 1, 2, "ann").encode())
    ringing = ring_at(hall, "bob")
    assert (ringing.peer, ringing.verified, ringing.address[0]) == (1, False, "10.9.9.9")


@pytest.mark.spec("G-16")
def test_who_rings_from_the_same_host_can_be_anybody_there() -> None:
    hall = StreamHall().enlist("ann", "bob")
    host = hall.homes["ann"][0]
    Stranger(hall, host).say(hall.homes["bob"], ROLE, Ring(b"a call!!", 1, 2, "ann").encode())
    assert ring_at(hall, "bob").verified


@pytest.mark.spec("G-16", "C-10")
def test_calls_that_cross_open_once_and_nobody_rings() -> None:
    for seed in range(6):
        hall = StreamHall(seed).enlist("ann", "bob")
        hall.tell("ann", Connect("bob", 1))
        hall.tell("bob", Connect("ann", 2))
        hall.run(30)
        for name, other in (("ann", "bob"), ("bob", "ann")):
            assert hall.told(name, Ringing) == []
            assert hall.told(name, CallEnded) == []
            (opened,) = hall.told(name, CallOpened)
            assert opened.address == hall.homes[other]
            hall.tell(name, Say(opened.link, f"I am {name}"))
        hall.run(1)
        assert [one.text for one in hall.told("ann", Heard)] == ["I am bob"]
        assert [one.text for one in hall.told("bob", Heard)] == ["I am ann"]


def test_a_second_call_to_one_who_has_called_us_is_needless() -> None:
    hall = StreamHall().enlist("ann", "bob")
    hall.tell("ann", Connect("bob", 1))
    hall.run(1)
    hall.tell("bob", Accept(ring_at(hall, "bob").link))
    hall.run(1)
    hall.tell("bob", Connect("ann", 2))
    hall.run(1)
    assert [one.outcome for one in hall.told("bob", CallEnded)] == [Outcome.ALREADY]


def test_to_call_one_whose_verified_call_rings_is_to_accept_it() -> None:
    hall = StreamHall().enlist("ann", "bob")
    hall.tell("ann", Connect("bob", 1))
    hall.run(1)
    hall.tell("bob", Connect("ann", 2))
    hall.run(1)
    assert len(hall.told("bob", CallOpened)) == len(hall.told("ann", CallOpened)) == 1
    assert hall.told("bob", CallOpened)[0].link == ring_at(hall, "bob").link


@pytest.mark.spec("G-15")
def test_a_client_without_a_port_is_refused() -> None:
    hall = StreamHall()
    stranger = Stranger(hall, "10.9.9.9")
    stranger.say(REGISTRY, "registry", Register("eve").encode())
    (received,) = hall.told("stranger", Received)
    assert decode_registry(received.message) == Refused(Refusal.NO_ADDRESS)
    assert hall.told("registry", Joined) == []


def test_who_vanishes_is_gone_as_its_stream_ends_and_its_partner_is_told() -> None:
    hall = StreamHall().enlist("ann", "bob")
    hall.tell("ann", Connect("bob", 1))
    hall.run(1)
    hall.tell("bob", Accept(ring_at(hall, "bob").link))
    hall.run(1)
    hall.kill("bob")
    hall.run(0.5)
    (gone,) = hall.told("registry", Gone)
    assert (gone.entry.name, gone.why) == ("bob", Why.VANISHED)
    (end,) = hall.told("ann", CallEnded)
    assert (end.outcome, end.reason) == (Outcome.GONE, Reason.DISCONNECTED)


def test_a_registry_that_comes_back_by_itself_is_registered_at_again() -> None:
    hall = StreamHall().enlist("ann", "bob")
    hall.tell("ann", Connect("bob", 1))
    hall.run(1)
    machine = hall.machines["registry"]
    hall.kill("registry")
    hall.run(3)
    assert hall.told("ann", RegistryAway)
    hall.tell("bob", Accept(ring_at(hall, "bob").link))
    hall.run(1)
    assert hall.told("ann", CallOpened)  # a call does without the registry
    fresh = type(machine)(hall.random.fork("again").bytes, streams=True)  # type: ignore[call-arg]
    hall.add("registry", fresh, REGISTRY)
    hall.run(10)
    assert [one.entry.name for one in hall.told("registry", Joined)][-2:] in (
        ["ann", "bob"],
        ["bob", "ann"],
    )


def test_leaving_is_acknowledged() -> None:
    hall = StreamHall().enlist("ann")
    hall.tell("ann", Depart())
    hall.run(1)
    assert hall.told("ann", Departed) == [Departed(acknowledged=True)]
    assert [one.why for one in hall.told("registry", Gone)] == [Why.LEFT]
    assert hall.machines["ann"].is_idle  # type: ignore[attr-defined]


@pytest.mark.parametrize(("port", "streams"), [(0, True), (65536, True), (-1, True), (7, False)])
def test_a_peer_has_a_port_on_streams_and_only_there(port: int, streams: bool) -> None:
    with pytest.raises(UsageError, match="on streams only"):
        Peer(os.urandom, name="ann", registry=REGISTRY, port=port, streams=streams)

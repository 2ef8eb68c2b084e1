"""Programs that are killed and come back, as processes (PROTOCOL.md, sections 4.8 and 8.6)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from time import monotonic

import pytest
from cli_support import nursery, running
from io_support import PATIENCE, leaving_nothing_behind
from nursery import IS_POSSIBLE
from real_support import TALK, Relay

from palaver import Reason
from palaver.wire.packets import DATA_HEADER, Kind, Reset
from palaver.wire.sealing import CLEAR
from palaver_io import ConversationLost, NotDelivered, connect


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    if IS_POSSIBLE:
        nursery()  # it stays for all tests, and is no leak of the first
    with leaving_nothing_behind():
        yield


@pytest.mark.spec("L-12", "L-13")
def test_a_caller_learns_from_the_answer_to_its_next_packet_that_the_listener_was_restarted() -> (
    None
):
    with ExitStack() as stack:
        processes = stack.enter_context(running())
        bob, address = processes.listen("--json", "--name", "Bob")
        host, _, port = address.rpartition(":")
        relay = Relay((host, int(port)), seed=1)
        stack.callback(relay.close)
        ann = connect(*relay.address, timeout=PATIENCE, timing=TALK)
        stack.callback(ann.abort)
        ann.send("hello")
        ann.flush(PATIENCE)
        bob.kill()
        bob, _ = processes.listen("--json", "--name", "Bob again", at=address)
        asked, answered = len(relay.from_caller), len(relay.from_callee)
        began = monotonic()
        number = ann.send("to whom?")
        with pytest.raises(ConversationLost) as caught:
            ann.receive(PATIENCE)
        assert monotonic() - began < 1.0
        assert caught.value.reason == Reason.RESET
        with pytest.raises(NotDelivered) as lost:
            ann.flush(PATIENCE)
        assert lost.value.messages == [(number, "to whom?")]
        # One round trip, whatever a busy machine makes of that: the first packet was answered.
        kind, link, packet = DATA_HEADER.unpack_from(relay.from_caller[asked])
        assert kind == Kind.DATA
        assert relay.from_callee[answered] == CLEAR.seal(Reset(link, packet).encode())
        # And a new call works at once.
        began = monotonic()
        again = connect(*relay.address, name="Ann", timeout=PATIENCE, timing=TALK)
        stack.callback(again.abort)
        assert monotonic() - began < 1.0
        assert again.peer_name == "Bob again"
        again.send("a new call")
        assert bob.wait_for_event("message")["text"] == "a new call"
        again.flush(PATIENCE)


@pytest.mark.spec("H-18")
def test_the_successor_of_a_killed_caller_is_let_in_within_three_seconds() -> None:
    with running() as processes:
        ann, address = processes.listen("--json", "--keep-open", "--max", "1", "--name", "Ann")
        bob = processes.call(address, "--json", "--name", "Bob")
        bob.type("hello")
        bob.wait_for_event("delivered")
        bob.kill()
        bob = processes.call(address, "--json", "--name", "Bob again")
        bob.wait_for_event("dialing")
        began = monotonic()
        bob.wait_for_event("opened")
        assert monotonic() - began < 3.0
        assert ann.wait_for_event("closed")["reason"] == "dead"
        assert ann.wait_for_event("opened", 2)["name"] == "Bob again"
        bob.type("it is me")
        assert ann.wait_for_event("message", 2)["text"] == "it is me"

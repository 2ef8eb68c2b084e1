"""After a tick the next deadline is later than now, however late the tick was."""

from __future__ import annotations

import pytest
from strategies import Data, decode_datagram

from palaver import Datagram, Dial, Endpoint, Send, Tick, Transmit
from palaver.wire.frames import Ack
from palaver.wire.packets import Hello, Welcome
from palaver.wire.sealing import CLEAR

PEER = ("peer", 1)


class Caller:
    """A real endpoint whose peer is played by the test."""

    def __init__(self) -> None:
        self.endpoint = Endpoint(bytes)
        self.endpoint.handle(Dial(PEER, "duo"), 0.0)
        (hello,) = self.tick(0.0)
        assert isinstance(hello, Hello)
        self.id = hello.link
        self.hear(Welcome(self.id, 99, 1, 0, 1200, 262144), 0.125)
        self.tick(0.125)

    def hear(self, packet: Welcome | Data, now: float) -> None:
        self.endpoint.handle(Datagram(CLEAR.seal(packet.encode()), PEER), now)

    def tick(self, now: float) -> list[object]:
        actions = self.endpoint.handle(Tick(), now)
        return [decode_datagram(one.data) for one in actions if isinstance(one, Transmit)]


@pytest.mark.parametrize("late", [0.0, 0.25, 5.0])
def test_a_tick_that_finds_a_ping_lost_sees_to_the_probe_timer_too(late: float) -> None:
    caller = Caller()  # its packet 0 was a PING
    for ref, now in ((1, 0.140625), (2, 0.15625)):
        caller.endpoint.handle(Send(1, b"\x11text", ref), now)
        caller.tick(now)
    # The peer has packet 1 and neither 0 nor 2.
    caller.hear(Data(caller.id, 0, (Ack(0, 1, 0, 0, 262144),)), 0.25)
    caller.tick(0.25)
    due = caller.endpoint.deadline
    assert due is not None
    caller.tick(due + late)
    following = caller.endpoint.deadline
    assert following is not None
    assert following > due + late

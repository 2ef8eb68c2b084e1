"""Asking a link for a sign of life: `Probe` and `Alive`."""

from __future__ import annotations

import pytest
from pairs import ROLE, A, B, Pair, entropy

from palaver import Abort, Alive, Closed, Endpoint, Leave, Pause, Probe, UsageError
from palaver.wire.frames import Ping


def test_a_probe_is_a_ping_and_what_comes_back_is_told_once() -> None:
    pair = Pair().open()
    pair.wire.run(1)
    before = len(pair.wire.sent_by(A))
    pair.a.tell(Probe(1))
    pair.wire.run(1)
    sent = pair.wire.sent_by(A)[before:]
    assert [flight.has(Ping) for flight in sent] == [True]
    assert pair.a.notices(Alive) == [Alive(1)]
    pair.b.send(b"more", ref=1)
    pair.wire.run(1)
    assert pair.a.notices(Alive) == [Alive(1)]
    assert pair.b.notices(Alive) == []


def test_a_peer_that_takes_nothing_is_alive_all_the_same() -> None:
    pair = Pair().open()
    pair.b.tell(Pause(1))
    pair.a.send(b"not read", ref=1)
    pair.wire.run(1)
    pair.a.tell(Probe(1))
    pair.wire.run(1)
    assert pair.a.notices(Alive) == [Alive(1)]


def test_what_is_lost_is_asked_again_and_silence_says_nothing() -> None:
    pair = Pair().open()
    pair.wire.run(1)
    pair.wire.lose_from(B)
    pair.a.tell(Probe(1))
    pair.wire.run(3)
    assert pair.a.notices(Alive) == []
    pair.wire.lose_from()
    pair.wire.run(4)
    assert pair.a.notices(Alive) == [Alive(1)]


def test_what_was_here_before_or_is_damaged_is_no_sign_of_life() -> None:
    pair = Pair().open()
    pair.b.send(b"x", ref=1)
    pair.wire.run(1)
    old = [flight.data for flight in pair.wire.sent_by(B)][-1]
    pair.wire.lose_from(B)
    pair.a.tell(Probe(1))
    fresh = pair.b.forge(Ping())
    for data in (old, fresh[:-1] + bytes([fresh[-1] ^ 1])):
        pair.wire.inject(data, B, A)
    assert pair.a.notices(Alive) == []
    pair.wire.inject(fresh, B, A)
    assert pair.a.notices(Alive) == [Alive(1)]


@pytest.mark.parametrize("end", [Leave(1), Abort(1)])
def test_nothing_is_told_of_a_link_after_its_end(end: Leave | Abort) -> None:
    pair = Pair().open()
    pair.wire.run(1)
    pair.wire.lose_from(A)
    pair.a.tell(Probe(1))
    pair.b.tell(end)
    pair.wire.run(0.5)
    pair.wire.lose_from()
    pair.wire.run(10)
    (at,) = pair.a.times(Closed)
    told = pair.a.times(Alive)
    assert all(time <= at for time in told)
    assert not told or isinstance(end, Leave)
    pair.a.tell(Probe(1))
    pair.wire.run(1)
    assert pair.a.times(Alive) == told


def test_a_link_that_ends_while_it_is_probed_leaves_nothing_behind() -> None:
    pair = Pair().open()
    pair.wire.run(1)
    calm = pair.a.machine.state_key(pair.wire.now)[-1]
    pair.wire.lose_from(B)
    pair.a.tell(Probe(1))
    assert pair.a.machine.state_key(pair.wire.now)[-1] != calm
    pair.a.tell(Abort(1))
    assert pair.a.machine.state_key(pair.wire.now)[-1] == calm


def test_a_link_that_never_was_can_not_be_probed_and_a_twin_waits_on_its_own() -> None:
    with pytest.raises(UsageError, match="no link"):
        Endpoint(entropy("x"), roles=(ROLE,)).handle(Probe(1), 0.0)
    pair = Pair().open()
    pair.wire.run(1)
    machine = pair.a.machine
    before = machine.state_key(pair.wire.now)
    twin = machine.clone()
    pair.wire.lose_from(B)
    pair.a.tell(Probe(1))
    pair.wire.run(0.1)
    # The PING is under way in both; only one of them waits for a sign of life.
    assert machine.state_key(pair.wire.now)[-1] != before[-1]
    assert twin.state_key(pair.wire.now)[-1] == before[-1]
    probed = machine.clone()
    assert probed.state_key(pair.wire.now) == machine.state_key(pair.wire.now)
    fresh = pair.b.forge(Ping())
    pair.wire.lose_from()
    pair.wire.inject(fresh, B, A)
    assert pair.a.notices(Alive) == [Alive(1)]
    assert probed.state_key(pair.wire.now)[-1] != before[-1]

"""Two call each other while the registry is slow to say who and where they are (6.5.3)."""

from __future__ import annotations

import pytest
from halls import REGISTRY, Hall, Plain

from palaver import CallEnded, CallOpened, Connect, Ringing
from palaver.wire.peer import Ring


@pytest.mark.spec("C-10")
@pytest.mark.parametrize("silence", [0.5, 1.0, 2.5, 8.0])
@pytest.mark.parametrize("first", ["ann", "bob"])
def test_who_calls_one_who_calls_talks_when_the_registry_says_where(
    silence: float, first: str
) -> None:
    """The answer to where to call says as well who it is that calls from there."""
    hall = Hall().enlist("ann", "bob")
    hall.sim.partition(REGISTRY, hall.at("ann"), one_way=True)
    for name in [first, *({"ann", "bob"} - {first})]:
        hall.tell(name, Connect("bob" if name == "ann" else "ann", 1))
    hall.run(silence)
    assert not hall.told("ann", CallOpened)
    assert len(hall.told("ann", Ringing)) == (silence > 2)  # unverified, as nobody said who it is
    hall.sim.heal()
    hall.run(10)
    for name in ("ann", "bob"):
        (opened,) = hall.told(name, CallOpened)
        assert opened.verified
    rang = len(hall.told("ann", Ringing))
    assert rang == (silence > 2)
    assert not hall.told("bob", Ringing)
    assert [one.outcome.name for one in hall.told("ann", CallEnded)] == ["ALREADY"] * rang


def test_who_only_claims_to_be_the_one_we_call_is_not_accepted_for_it() -> None:
    hall = Hall().enlist("ann", "bob")
    rogue = Plain(hall)
    hall.sim.partition(REGISTRY, hall.at("ann"), one_way=True)
    hall.tell("ann", Connect("bob", 1))
    link = rogue.dial(hall.at("ann"), "peer")
    rogue.say(link, Ring(bytes(8), hall.id("bob"), hall.id("ann"), "bob"))
    hall.run(3)
    assert [one.verified for one in hall.told("ann", Ringing)] == [False]
    hall.sim.heal()
    hall.run(5)
    assert not hall.told("ann", CallOpened)
    assert len(hall.told("bob", Ringing)) == 1

"""What is acknowledged was heard, also at the very end of a call."""

from __future__ import annotations

import pytest
from halls import DELAY, Hall
from hypothesis import given
from hypothesis import strategies as st
from pairs import examples

from palaver import (
    Accept,
    CallEnded,
    Calling,
    CallOpened,
    Connect,
    Delivered,
    Heard,
    Notice,
    Outcome,
    Ringing,
    Say,
    Terminate,
)


@pytest.mark.spec("C-12")
@given(st.floats(0, 11))
@examples(60)
def test_a_text_that_comes_while_the_link_of_a_call_closes_is_heard_if_it_is_acknowledged(
    healed_after: float,
) -> None:
    """Who hangs up gets no answer for 5 s and closes the link; then the peer's text comes."""
    hall = Hall().enlist("ann", "bob")
    calling, ringing = hall.talk("ann", "bob")
    hall.sim.partition(hall.at("ann"), hall.at("bob"))
    hall.tell("bob", Terminate(ringing))
    hall.tell("ann", Say(calling, "are you there?", 1))
    hall.run(healed_after)
    hall.sim.heal()
    hall.run(60)
    assert hall.texts("bob") == ["are you there?"] * len(hall.told("ann", Delivered))
    assert hall.end("bob", ringing).outcome is Outcome.TERMINATED
    assert len(hall.told("ann", CallEnded)) == 1


@pytest.mark.spec("C-12")
@pytest.mark.parametrize("gives_up", [None, Terminate(1)])
def test_what_is_said_to_a_caller_who_has_just_given_up_is_heard(
    gives_up: Terminate | None,
) -> None:
    hall = Hall().enlist("ann", "bob")
    timeout = 2.0 if gives_up is None else None
    (calling,) = hall.tell("ann", Connect("bob", 1, timeout=timeout))
    assert isinstance(calling, Calling)
    hall.run(2.0 - DELAY / 2)
    hall.tell("bob", Accept(hall.told("bob", Ringing)[0].link), Say(1, "here I am", 1))
    if gives_up is not None:
        hall.tell("ann", gives_up)
    hall.run(60)
    outcome = Outcome.NO_ANSWER if gives_up is None else Outcome.CANCELLED
    assert hall.end("ann", calling.link).outcome is outcome
    assert hall.end("bob", 1).outcome is Outcome.CANCELLED
    assert hall.texts("ann") == ["here I am"]
    assert len(hall.told("bob", Delivered)) == 1
    about = [
        one for one in hall.told("ann", Notice) if isinstance(one, CallOpened | Heard | CallEnded)
    ]
    assert [type(one) for one in about] == [CallOpened, Heard, CallEnded]

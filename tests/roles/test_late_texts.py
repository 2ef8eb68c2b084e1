"""What is acknowledged was heard, also at the very end of a call."""

from __future__ import annotations

import pytest
from halls import Hall
from hypothesis import given
from hypothesis import strategies as st
from pairs import examples

from palaver import CallEnded, Delivered, Outcome, Say, Terminate


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

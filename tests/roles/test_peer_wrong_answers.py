"""A registry that answers what was not asked: its link ends, and nothing that was asked is lost."""

from __future__ import annotations

import pytest
from halls import REGISTRY, Hall

from palaver import (
    CallEnded,
    Connect,
    Endpoint,
    Enlist,
    Enlisted,
    Opened,
    Present,
    Reason,
    Received,
    RegistryAway,
    Send,
    Who,
)
from palaver.roles.peer_events import Unanswered
from palaver.wire.registry import (
    Entry,
    Inactive,
    List,
    Lookup,
    Page,
    Registered,
    RegistryMessage,
    decode_registry,
)

BOB = Entry(2, "bob", ("bob", 1), 0)


class Liar:
    """A registry that says what a test wants; ann is entered there."""

    def __init__(self) -> None:
        self.hall = hall = Hall().add("ann")
        hall.sim.restart(REGISTRY, Endpoint(hall.sim.entropy("liar"), roles=("registry",)))
        hall.tell("ann", Enlist())
        self.enter()

    def enter(self) -> None:
        before = len(self.hall.told("ann", Enlisted))
        opened = len(self.hall.of_registry(Opened))
        self.hall.sim.run_until(lambda: len(self.hall.of_registry(Opened)) > opened or not before)
        self.hall.run(0.5)
        self.say(Registered(1, bytes(16)))
        assert len(self.hall.told("ann", Enlisted)) == before + 1

    def say(self, message: RegistryMessage) -> None:
        link = self.hall.of_registry(Opened)[-1].link
        self.hall.sim.command(REGISTRY, Send(link, message.encode(), None))
        self.hall.run(0.1)

    def asked(self) -> RegistryMessage:
        self.hall.run(0.1)
        message = decode_registry(self.hall.of_registry(Received)[-1].message)
        assert message is not None
        return message


@pytest.mark.spec("G-1")
def test_a_list_that_gets_another_answer_is_told_to_be_unanswered() -> None:
    liar = Liar()
    liar.hall.tell("ann", Who(7))
    asked = liar.asked()
    assert isinstance(asked, List)
    liar.say(Inactive(asked.request))
    away = liar.hall.told("ann", RegistryAway)
    assert [one.reason for one in away] == [Reason.PROTOCOL_ERROR]
    assert liar.hall.told("ann", Unanswered) == [Unanswered(7)]


@pytest.mark.spec("G-1")
def test_a_call_that_gets_another_answer_is_asked_for_again() -> None:
    liar = Liar()
    liar.hall.tell("ann", Connect("bob", 1))
    asked = liar.asked()
    assert isinstance(asked, Lookup)
    liar.say(Page(asked.request, more=False, entries=(BOB,)))
    assert not liar.hall.told("ann", CallEnded)
    liar.enter()
    again = liar.asked()
    assert isinstance(again, Lookup)
    liar.say(Inactive(again.request))
    assert len(liar.hall.told("ann", CallEnded)) == 1


@pytest.mark.spec("G-13")
@pytest.mark.parametrize("after", [2, 3])
def test_a_page_of_those_who_were_listed_before_is_no_answer(after: int) -> None:
    liar = Liar()
    liar.hall.tell("ann", Who(7, after))
    asked = liar.asked()
    assert isinstance(asked, List)
    liar.say(Page(asked.request, more=True, entries=(BOB,)))
    assert not liar.hall.told("ann", Present)
    assert liar.hall.told("ann", Unanswered) == [Unanswered(7)]
    assert [one.reason for one in liar.hall.told("ann", RegistryAway)] == [Reason.PROTOCOL_ERROR]


def test_a_page_of_those_above_is_one() -> None:
    liar = Liar()
    liar.hall.tell("ann", Who(7, 1))
    asked = liar.asked()
    assert isinstance(asked, List)
    liar.say(Page(asked.request, more=True, entries=(BOB,)))
    assert liar.hall.told("ann", Present) == [Present(7, (BOB,), more=True)]

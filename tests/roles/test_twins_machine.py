"""Two people behind NATs who do anything in any order: no call ever crosses on one link.

The rules are those of `test_duo_machine`; what is heard and delivered is judged as there.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule
from pairs import A, B, Flight, examples
from test_duo_machine import Conversations, Person
from twin_support import outside

from palaver import Action, Address, Call, Datagram, Transmit


class CrossedConversations(Conversations):
    """Both have one address to be called at, and another that their own calls come from."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: dict[str, list[tuple[Address, int, int]]] = {}

    def perform(self, person: Person, action: Action) -> None:
        if isinstance(action, Transmit) and action.destination in {A, B}:
            source = outside(person.address)
            self.air.append(Flight(self.now, source, action.destination, action.data))
        else:
            super().perform(person, action)

    def judge_hearer(self, source: str, hearer: tuple[Address, int, int]) -> None:
        """One peer hears it all; if it missed that the calls crossed, as two conversations."""
        heard = self.numbers.setdefault(source, [hearer])
        if heard[-1] != hearer:
            heard.append(hearer)
        assert len(heard) <= 2, heard
        assert len({one[:2] for one in heard}) == 1, heard

    def arrive(self, flight: Flight) -> None:
        for person in self.people.values():
            if flight.destination in {person.address, outside(person.address)}:
                self.handle(person, Datagram(flight.data, flight.source))

    @rule(first=st.sampled_from([A, B]), apart=st.sampled_from([0.0, 1 / 64, 2 / 64, 0.5]))
    def both_call(self, first: tuple[str, int], apart: float) -> None:
        second = B if first == A else A
        for caller, callee in ((first, second), (second, first)):
            person = self.people[caller]
            if len(person.links) < 4:
                self.command(person, Call(callee, len(person.links)))
                self.say_in(person, person.links[-1], 2, 10)
                self.pass_time(apart, flowing=True)


TestCrossedConversations = CrossedConversations.TestCase
TestCrossedConversations.settings = settings(examples(400), stateful_step_count=40)

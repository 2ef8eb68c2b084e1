"""A member that has stopped, as by SIGSTOP: what it costs the others and the hub."""

from __future__ import annotations

import pytest
from group_support import Party

from palaver.roles.group.events import Entered, Gap, MemberWent, PostHeard
from palaver.sim import Faults
from palaver.wire.group import Welcome
from palaver.wire.group_log import Going

LINES = 10_000
BURST = 20


def post_many(*, stopped: bool) -> tuple[Party, dict[str, list[float]]]:
    """Let Ann post many lines; give how long each took to Bob and to Dan, in virtual seconds."""
    party = Party(faults=Faults(delay=0.005))
    party.join("ann", "bob", "cy", "dan", settle=0.5)
    if stopped:
        party.cut("cy")
    sent: dict[str, float] = {}
    for start in range(0, LINES, BURST):
        texts = [f"{number}" for number in range(start, start + BURST)]
        sent.update(dict.fromkeys(texts, party.sim.now))
        party.post("ann", *texts)
        party.sim.run_for(0.03)
        check_what_the_hub_holds(party)
    party.sim.run_for(1)
    took = {}
    for name in ("bob", "dan"):
        found = party.sim.notices(party.where[name])
        heard = {one.text: when for when, one in found if isinstance(one, PostHeard)}
        assert list(heard) == list(sent)
        took[name] = [heard[text] - when for text, when in sent.items()]
    return party, took


def check_what_the_hub_holds(party: Party) -> None:
    assert party.hub.stats()["log"] <= party.rules.log
    links = party.hub._endpoint.links.values()
    held = sum(len(link.channel.outbox.undelivered) for link in links)
    assert held <= 2 * (party.rules.log + 256)


@pytest.mark.spec("U-11")
def test_the_others_hear_as_soon_and_the_hub_holds_no_more() -> None:
    _, usual = post_many(stopped=False)
    party, took = post_many(stopped=True)
    assert took == usual
    assert [(one.name, one.how) for one in party.told("hub", MemberWent)] == [("cy", Going.DROPPED)]
    party.sim.heal()
    party.sim.run_for(60)
    assert [one.how for one in party.told("cy", Entered)] == [Welcome.NEW, Welcome.GAP]
    assert party.told("cy", Gap)[0].last == party.told("cy", Entered)[1].number
    party.settle()

"""Three people at terminals, and a registry, on a bad network: what they do is on their screens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from cli_support import PATIENCE, Processes, running
from test_cli_people import BAD, Town, without_claims
from test_cli_terminal import Person

from palaver_io.cli.arguments import DRIVERS

NAMES = ("Ann", "Bob", "Cid")


@pytest.fixture
def processes() -> Iterator[Processes]:
    with running() as found:
        yield found


class Neighbour(Person):
    """Somebody to whom it is the same whether the registry confirms a name: faults prevent it."""

    def screen(self) -> list[str]:
        return [without_claims(line) for line in super().screen()]


def shown(person: Person, part: str) -> int:
    """Give how many lines of the screen have this in them."""
    return sum(part in line for line in person.screen())


def test_three_people_at_terminals_through_every_command(processes: Processes) -> None:
    town = Town(processes, *BAD, "--seed", "1")
    options = ("--registry", town.address, *BAD)
    with ExitStack() as stack:
        people: list[Person] = []
        for number, name in enumerate(NAMES, start=1):
            own = ("--name", name, "--seed", str(number + 1), "--driver", DRIVERS[number - 1])
            one = Neighbour("peer", *own, *options)
            stack.callback(one.clean_up)
            people.append(one)
            one.wait_for(f"You are {name}, with id {number}.")
        ann, bob, cid = people
        ann.type("list\r")
        for number, name in enumerate(NAMES, start=1):
            ann.wait_for(f"    {number}  {name}  127.0.0.1:")
        # By name, and turned down with a reason.
        ann.type("connect bob\r")
        ann.wait_for("Calling bob ...")
        bob.wait_for("Ann (id 1, at 127.0.0.1:")
        bob.wait_for('Type "accept", or "reject" and why.')
        bob.type("reject ann not before noon\r")
        bob.wait_for("You have turned Ann down: not before noon")
        ann.wait_for("bob does not want to talk: not before noon")
        # By id, and taken; two conversations at a time.
        ann.type("connect 3\r")
        cid.wait_for("Ann (id 1, at 127.0.0.1:")
        cid.type("accept\r")
        ann.wait_for("Connected to Cid (id 3")
        cid.wait_for("Connected to Ann (id 1")
        ann.wait_for("Cid>", last=True)
        bob.type("connect Ann\r")
        ann.wait_for("Bob (id 2, at 127.0.0.1:")
        ann.type("accept bob\r")
        ann.wait_for("Connected to Bob (id 2")
        bob.wait_for("Ann>", last=True)
        ann.wait_for("Bob>", last=True)
        ann.type("send to Bob\r")
        bob.wait_for("Ann: to Bob")
        ann.type("use cid\r")
        ann.wait_for("What you send is for Cid now.")
        ann.wait_for("Cid>", last=True)
        ann.type("send to Cid\r")
        cid.wait_for("Ann: to Cid")
        cid.type("send hello yourself\r")
        ann.wait_for("Cid: hello yourself")
        # A call that rings is given up.
        bob.type("connect cid\r")
        cid.wait_for("Bob (id 2, at 127.0.0.1:")
        bob.type("terminate cid\r")
        bob.wait_for("You have given up calling cid.")
        cid.wait_for("Bob has given up.")
        # Either side ends a conversation.
        ann.type("terminate\r")
        ann.wait_for("You ended the conversation with Cid.")
        cid.wait_for("Ann ended the conversation.")
        bob.type("terminate ann\r")
        bob.wait_for("You ended the conversation with Ann.")
        ann.wait_for("Bob ended the conversation.")
        # Each thing was told once, however often it was sent.
        assert [shown(bob, "calls."), shown(cid, "calls."), shown(ann, "calls.")] == [1, 2, 1]
        assert (shown(bob, "Ann: to Bob"), shown(cid, "Ann: to Cid")) == (1, 1)
        cid.type("leave\r")
        cid.wait_for("The registry knows that you have left.")
        ann.wait_for("Cid (id 3) is not here any more.")
        for person in (ann, bob):
            person.type("leave\r")
        for person in people:
            assert person.popen.wait(PATIENCE) == 0
            assert person.are_modes_restored()
        town.registry.wait_for_out("(nobody is here)")

"""Stories of a registry: two names, two owners, expiry, and a takeover by token.

The registry is a whole machine; its clients are endpoints that say what a client says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, NamedTuple

from explore_links import rehearse
from explore_story import Budget, Fact, Facts, Party, Story, entropy, still

from palaver.link.endpoint import Endpoint
from palaver.link.events import Closed, Dial, Received, Send
from palaver.machine import Address, Event, Notice
from palaver.roles.registry import Registry
from palaver.roles.registry_events import Gone, Joined
from palaver.roles.registry_table import RegistryTable
from palaver.timing import Limits, Timing
from palaver.wire.registry import (
    REPLACED,
    ROLE,
    Erased,
    Found,
    Inactive,
    Lookup,
    Refusal,
    Refused,
    Register,
    Registered,
    RegistryMessage,
    Unregister,
    decode_registry,
)

REGISTRY: Address = ("registry", 1)
R = 0
SECRET = bytes(range(32))
KEPT = RegistryTable(SECRET)
KEPT.enter("pat", ("", 0), 1, 0.0)
TOKEN = KEPT.token(1, "pat")
"""What proves that one was entered as number 1, "pat", before the registry was restarted."""


class ClientTold(NamedTuple):
    """What a client said and was answered."""

    done: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    closed: int | None = None


class TableTold(NamedTuple):
    """What the registry's program was told: who is there, by name."""

    live: tuple[tuple[str, int], ...] = ()
    resumed: int = 0
    gone: int = 0


class TableSeen(NamedTuple):
    """What the registry would answer."""

    entries: tuple[tuple[str, int], ...]
    found: tuple[tuple[str, int], ...]
    kept: int


class RegistryStory(Story):
    """Clients with links to a registry that was restarted, and keeps a name for its owner."""

    budget = Budget(losses=1, repeats=0, delays=0)
    most_in_flight = 4
    keep_name = 16.0
    scripts: ClassVar[dict[str, tuple[str, ...]]]
    """By client: what it says, in this order; with "?" only if it was refused before."""
    before: ClassVar[tuple[str, ...]] = ()
    """Clients that say the first of it before the story begins."""

    def timing(self) -> Timing:
        return still(bundling=False, keep_name=self.keep_name)

    def begin(self) -> tuple[list[Party], float]:
        timing, limits = self.timing(), Limits(window=4096)
        registry = Registry(
            entropy("registry"), snapshot=KEPT.snapshot(), timing=timing, limits=limits
        )
        parties = [Party(REGISTRY, registry, TableTold())]
        cues: list[tuple[Address, Event]] = []
        for name in self.scripts:
            client = Endpoint(entropy(name), timing=timing, limits=limits)
            parties.append(Party((name, 1), client, ClientTold()))
            cues.append(((name, 1), Dial(REGISTRY, ROLE)))
        for name in self.before:
            cues.append(((name, 1), say(self.scripts[name][0])))
            party = parties[1 + list(self.scripts).index(name)]
            party.memory = ClientTold((self.scripts[name][0],), ("registered",))
            parties[R].memory = TableTold((("pat", 1),), 1)
        return parties, rehearse(parties, cues, 1024.0, 2.0)

    def commands(self, who: int, memory: ClientTold, view: object) -> list[tuple[str, Event]]:
        if who == R or memory.closed is not None or len(memory.answers) < len(memory.done):
            return []
        script = list(self.scripts.values())[who - 1]
        for line in script[len(memory.done) :]:
            if line.endswith("?"):
                return [(line, say(line))] if memory.answers[-1] == "refused" else []
            if line in {"leave", "look up pat"} and "registered" not in memory.answers:
                return []
            return [(line, say(line))]
        return []

    def did(self, who: int, memory: ClientTold, label: str) -> ClientTold:
        return memory._replace(done=(*memory.done, label))

    def told(
        self, who: int, memory: TableTold | ClientTold, notice: Notice
    ) -> TableTold | ClientTold:
        if isinstance(memory, TableTold):
            return self.registry_told(memory, notice)
        if isinstance(notice, Closed):
            return memory._replace(closed=notice.reason)
        if not isinstance(notice, Received):
            return memory
        answer = word_for(decode_registry(notice.message))
        if answer is None:
            return memory
        assert len(memory.answers) < len(memory.done), f"not asked for: {answer}"
        return memory._replace(answers=(*memory.answers, answer))

    def registry_told(self, memory: TableTold, notice: Notice) -> TableTold:
        live = dict(memory.live)
        if isinstance(notice, Joined):
            entry = notice.entry
            holder = live.get(entry.name)
            assert holder is None or (holder == entry.id and notice.resumed), "two live owners"
            live[entry.name] = entry.id
            return TableTold(
                tuple(sorted(live.items())), memory.resumed + notice.resumed, memory.gone
            )
        if isinstance(notice, Gone):
            assert live.pop(notice.entry.name, None) == notice.entry.id, "gone, and was not there"
            return TableTold(tuple(sorted(live.items())), memory.resumed, memory.gone + 1)
        return memory

    def view(self, who: int, machine: Registry | Endpoint) -> object:
        if isinstance(machine, Endpoint):
            return ()
        table = machine._table
        rows = (table.by_name(name) for name in ("pat", "bob"))
        return TableSeen(
            tuple(sorted((row.name, row.id) for row in table.above(0))),
            tuple(sorted((row.name, row.id) for row in rows if row is not None)),
            table.kept,
        )

    def check(self, facts: Facts) -> None:
        table = facts[R]
        assert table.view.entries == table.memory.live, "the table is not what was told"
        assert table.view.found == table.memory.live, "a lookup finds who is not there"
        for _, fact in self.clients(facts):
            assert fact.memory.closed in {None, REPLACED}, f"closed: {fact.memory.closed}"

    def clients(self, facts: Facts) -> list[tuple[str, Fact]]:
        """Give the clients by name."""
        return list(zip(self.scripts, facts[1:], strict=True))

    def is_goal(self, facts: Facts) -> bool:
        return all(
            fact.memory.closed is not None
            or (
                len(fact.memory.answers) == len(fact.memory.done)
                and not self.commands(who, fact.memory, fact.view)
            )
            for who, fact in enumerate(facts)
            if who != R
        )

    def witnessed(self, facts: Facts) -> Iterable[str]:
        names = dict(facts[R].memory.live)
        if "pat" in names:
            yield "owner's" if names["pat"] == 1 else "another's"
        if facts[R].memory.resumed:
            yield "resumed"
        if "bob" in names:
            yield "second name"
        for _, fact in self.clients(facts):
            if "refused" in fact.memory.answers:
                yield "refused"
            if "inactive" in fact.memory.answers:
                yield "inactive"
            if fact.memory.closed is not None:
                yield "taken over"


class RegistryExpiry(RegistryStory):
    """The owner may come back in time or too late."""

    name = "registry"
    about = "a name is kept for its owner, who comes back in time or too late; another wants it"
    sometimes = frozenset({"owner's", "another's", "resumed", "second name", "refused"})
    scripts: ClassVar[dict[str, tuple[str, ...]]] = {
        "ann": ("claim pat with token", "leave"),
        "bob": ("claim pat", "claim bob?", "look up pat"),
    }


class RegistryTakeover(RegistryStory):
    """The owner registers on another link, while somebody else wants the name."""

    name = "registry-takeover"
    about = "an owner comes on a second link with its token, while another wants the name"
    sometimes = frozenset({"owner's", "resumed", "second name", "refused", "taken over"})
    scripts: ClassVar[dict[str, tuple[str, ...]]] = {
        "ann": ("claim pat with token",),
        "ann2": ("claim pat with token",),
        "bob": ("claim pat", "claim bob?", "look up pat"),
    }
    before: ClassVar[tuple[str, ...]] = ("ann",)
    budget = Budget(losses=0, repeats=0, delays=0)


def say(line: str) -> Send:
    """Give the message that a line of a script stands for."""
    messages: dict[str, RegistryMessage] = {
        "claim pat with token": Register("pat", 1, TOKEN),
        "claim pat": Register("pat"),
        "claim bob?": Register("bob"),
        "look up pat": Lookup(1, 0, "pat"),
        "leave": Unregister(),
    }
    return Send(1, messages[line].encode(), None)


def word_for(message: object) -> str | None:
    """Give the word for an answer; None for what is no answer."""
    if isinstance(message, Refused):
        assert message.code == Refusal.NAME_TAKEN, message
        return "refused"
    words: dict[type, str] = {
        Registered: "registered",
        Found: "found",
        Inactive: "inactive",
        Erased: "erased",
    }
    return words.get(type(message))

"""What must hold in a room whatever people and the network do: Hypothesis draws what they do.

Every text is posted once. So every log shows whether a post was relayed twice, and every member
whether it was told twice, out of order, or what it had said itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from group_support import HUB, Follower, Party
from hypothesis import given
from hypothesis import strategies as st
from pairs import examples

from palaver import Closed, Leave, Limits, Pause, Resume, Undelivered, UsageError, WouldBlock
from palaver.roles.group.events import Entered, Gap, JoinRefused, JoinRoom, Post, PostTaken
from palaver.roles.group.rules import HubRules, MemberRules
from palaver.sim import Faults
from palaver.wire.group import Welcome

PEOPLE = ("ann", "bob", "cy", "dan")
APE = "ape"
"""One who asks for the names of others, and may get one when its owner is cut off."""
RULES = HubRules(log=12, backlog=6, absence=100.0)
LIMITS = Limits(window=4096, queue_messages=3)

SEEN: Counter[str] = Counter()
"""What happened in all examples: every "always" needs a "sometimes"."""


@dataclass
class Told:
    """A text that was posted: by whom, in which life of its machine, and its ref."""

    name: str
    life: int
    ref: int


class Play:
    """People, and what they do."""

    def __init__(self, seed: int, faults: Faults) -> None:
        self.party = Party(
            seed, faults, rules=RULES, member_rules=MemberRules(posts=16), limits=LIMITS
        )
        self.texts: dict[str, Told] = {}
        self.life = 0
        for name in PEOPLE:
            self.start(name)
        self.party.sim.run_for(1)

    def start(self, name: str) -> None:
        self.life += 1
        self.party.add(name)
        self.join(name, 5)

    def join(self, name: str, backlog: int) -> None:
        if not self.party.at[name].memberships:
            self.tell(name, JoinRoom(HUB, name, backlog=backlog))

    def tell(self, name: str, event: JoinRoom | Post | Leave | Pause | Resume) -> bool:
        try:
            self.party.sim.command(self.party.where[name], event)
        except WouldBlock:
            SEEN["blocked"] += 1
            return False
        except UsageError:
            return False
        return True

    @property
    def links(self) -> dict[str, int]:
        """The latest membership of each."""
        return {name: machine._last for name, machine in self.party.at.items()}

    def do(self, what: str, name: str, much: int) -> None:
        party, link = self.party, self.links[name]
        if what == "post":
            for _ in range(much):
                ref = len(self.texts)
                text = f"{ref} " + "x" * (ref % 7 * 90)
                if self.tell(name, Post(link, text, ref)):
                    self.texts[text] = Told(name, self.life, ref)
        elif what == "leave":
            self.tell(name, Leave(link))
        elif what == "join":
            self.join(name, much)
        elif what == "ape":
            self.ape(name)
        elif what == "pause":
            self.tell(name, Pause(link))
        elif what == "resume":
            self.tell(name, Resume(link))
        elif what == "cut":
            party.cut(name)
        elif what == "heal":
            party.sim.heal()
        elif what == "crash":
            party.sim.crash(party.where[name])
            self.start(name)
            SEEN["crash"] += 1
        elif what == "move":
            party.move(name)
            SEEN["move"] += 1
        elif what == "hub":
            party.sim.crash(HUB)
            party.sim.run_for(much)
            party.restart_hub()
            SEEN["hub restarted"] += 1
        else:
            party.sim.run_for((0.02, 0.3, 2.0, 8.0, 33.0, 70.0)[much % 6])

    def ape(self, name: str) -> None:
        if APE not in self.party.at:
            self.party.add(APE)
        if self.party.at[APE].memberships:
            self.tell(APE, Leave(self.links[APE]))
        else:
            self.tell(APE, JoinRoom(HUB, name))

    def end(self) -> None:
        for name, link in self.links.items():
            self.tell(name, Resume(link))
        followers = self.party.settle(200)
        self.check_posts(followers)
        self.note()
        for name, link in self.links.items():
            if link:
                self.tell(name, Leave(link))
        self.party.sim.run_for(130)
        for name in self.links:
            assert self.party.at[name].is_idle, name
            assert self.party.at[name].deadline is None
        stats = self.party.hub.stats()
        assert self.party.hub.is_idle
        assert [stats[what] for what in ("members", "absent", "rooms", "log")] == [0] * 4
        assert not self.party.hub.seats

    def check_posts(self, followers: dict[str, Follower]) -> None:
        lives = [log for logs in self.party.rooms().values() for log in logs]
        relayed = Counter(line[2] for log in lives for line in log.values() if line[0] == "said")
        assert not [text for text, count in relayed.items() if count > 1], "relayed twice"
        told: dict[str, list[object]] = {}
        for name in PEOPLE:
            notices = self.party.notices(name)
            outcomes = [n for n in notices if isinstance(n, PostTaken | Undelivered)]
            for notice in outcomes:
                told.setdefault(f"{name} {notice.ref}", []).append(notice)
        for text, post in self.texts.items():
            for outcome in told.get(f"{post.name} {post.ref}", []):
                if isinstance(outcome, PostTaken):
                    assert relayed[text] == 1, f"{text[:9]} was taken, and is in no log"
        for who, follower in followers.items():
            seen = Counter(line[2] for line in follower.told.values() if line[0] == "said")
            assert max(seen.values(), default=0) <= 1, who
            order = [self.texts[text] for text in seen]
            for name in PEOPLE:
                refs = [one.ref for one in order if one.name == name]
                assert refs == sorted(refs), f"{who} heard {name} out of order"

    def note(self) -> None:
        for name in self.links:
            for notice in self.party.notices(name):
                if isinstance(notice, Entered):
                    SEEN[f"entered {Welcome(notice.how).name}"] += 1
                elif isinstance(notice, Gap | JoinRefused | Closed | Undelivered):
                    SEEN[type(notice).__name__] += 1
        for what in ("dropped", "repeated"):
            SEEN[what] += self.party.hub.stats()[what]
        for line in self.party.rooms()["lobby"][-1].values():
            SEEN[f"{line[0]} {line[2][:8]}"] += 1
        SEEN["moved"] += self.party.hub.stats()["moves"]


chances = st.sampled_from([0.0, 0.0, 0.1, 0.2, 0.4])
faults = st.builds(
    Faults,
    loss=chances,
    duplicate=chances,
    reorder=chances,
    delay=st.sampled_from([0.01, 0.05]),
    jitter=st.sampled_from([0.0, 0.02]),
)
often = ["post"] * 6 + ["wait"] * 6
steps = st.tuples(
    st.sampled_from(
        [
            *often,
            "leave",
            "join",
            "pause",
            "pause",
            "resume",
            "cut",
            "cut",
            "heal",
            "crash",
            "ape",
            "move",
            "hub",
        ]
    ),
    st.sampled_from(PEOPLE),
    st.integers(1, 24),
)


@given(st.integers(0, 1000), faults, st.lists(steps, min_size=5, max_size=40))
@examples(200)
def play_out(seed: int, faults: Faults, steps: list[tuple[str, str, int]]) -> None:
    play = Play(seed, faults)
    for what, name, much in steps:
        play.do(what, name, much)
        if what == "wait":
            play.party.check()
    play.end()


@pytest.mark.spec("U-5", "U-6", "U-7", "U-10", "U-14", "U-16")
def test_logs_agree_whatever_people_and_the_network_do() -> None:
    SEEN.clear()
    play_out()
    # And all that may happen did.
    for what in (
        *("crash", "move", "moved", "hub restarted", "blocked", "dropped"),
        *("entered NEW", "entered RESUMED", "entered GAP"),
        *("Gap", "JoinRefused", "Closed", "Undelivered"),
        *("came NEW", "came BACK", "went LEFT", "went LOST", "went DROPPED"),
    ):
        assert SEEN[what], f"{what} never happened: {SEEN}"

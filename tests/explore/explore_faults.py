"""Small stories of the roles, in which the wire does all that it can: loses, repeats, is late.

Each is a part of a larger story with few faults or none (`explore_call`, `explore_registry`,
`explore_group`), and begins where links are up already. The registry tells nobody who has come and
gone while they go on: that is the subject of the larger ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from explore_call import A, B, CallStory
from explore_group import Group, H
from explore_registry import RegistryStory
from explore_story import FAR, Budget, Facts, still

from palaver.timing import Timing

ALL = Budget(losses=1, repeats=1, delays=1)


class SmallCall(CallStory):
    """A part of the life of a call."""

    budget = ALL
    most_in_flight = 2

    def timing(self) -> Timing:
        return still(bundling=False, roster=FAR, tombstone=8.0)


class CallAccepted(SmallCall):
    """A call is accepted, and goes on."""

    name = "call-accepted"
    about = "a call is accepted, on a wire with all its faults"
    sometimes = frozenset({"rung", "both open"})
    may = (frozenset({"connect"}), frozenset({"accept"}))

    def is_goal(self, facts: Facts) -> bool:
        return bool(facts[A].memory.opened and facts[B].memory.opened)


class CallEnded(SmallCall):
    """A call is accepted, and its caller ends it."""

    name = "call-ended"
    about = "a call is accepted, and its caller ends it, with faults"
    sometimes = frozenset({"rung", "both open", "terminated"})
    may = (frozenset({"connect", "terminate"}), frozenset({"accept"}))


class CallTakenBack(SmallCall):
    """A call that nobody answers is cancelled at any time."""

    name = "call-taken-back"
    about = "a call is cancelled at any time, with all faults"
    sometimes = frozenset({"rung", "cancelled"})
    may = (frozenset({"connect", "cancel"}), frozenset())


class CallsCross(SmallCall):
    """Both call, and talk.

    The registry is waited for: one that rings because nobody could say in time who it is rings on
    beside the conversation, until its link ends.
    """

    name = "calls-cross"
    about = "both call at the same time, and get one call, with faults"
    sometimes = frozenset({"both open", "nobody rung"})
    most_in_flight = 3
    may = (frozenset({"connect", "accept"}), frozenset({"connect", "accept"}))

    def timing(self) -> Timing:
        return still(bundling=False, roster=FAR, tombstone=8.0, verify=FAR)

    def is_goal(self, facts: Facts) -> bool:
        return bool(facts[A].memory.opened and facts[B].memory.opened)


class SmallRegistry(RegistryStory):
    """A part of what happens at a registry."""

    budget = ALL
    most_in_flight = 2
    keep_name = 6.0

    def timing(self) -> Timing:
        return still(bundling=False, keep_name=self.keep_name, roster=FAR, tombstone=8.0)


class RegistryKept(SmallRegistry):
    """A name is kept for its owner, and another wants it, who has a second wish."""

    name = "registry-kept"
    about = "an owner comes back in time or too late; another wants the name, or else a second one"
    sometimes = frozenset({"owner's", "another's", "resumed", "second name", "refused"})
    scripts: ClassVar[dict[str, tuple[str, ...]]] = {
        "ann": ("claim pat with token",),
        "bob": ("claim pat", "claim bob?"),
    }


class RegistryLeft(SmallRegistry):
    """An owner leaves, and another wants its name."""

    name = "registry-left"
    about = "an owner leaves, while another wants the name, with all faults"
    sometimes = frozenset({"owner's", "another's", "refused"})
    scripts: ClassVar[dict[str, tuple[str, ...]]] = {
        "ann": ("claim pat with token", "leave"),
        "bob": ("claim pat",),
    }
    before: ClassVar[tuple[str, ...]] = ("ann",)


class RegistryTakenOver(SmallRegistry):
    """An owner registers on another link, while another wants its name."""

    name = "registry-taken-over"
    about = "an owner comes on a second link while another wants its name, with all faults"
    sometimes = frozenset({"owner's", "resumed", "refused", "taken over"})
    scripts: ClassVar[dict[str, tuple[str, ...]]] = {
        "ann": ("claim pat with token",),
        "ann2": ("claim pat with token",),
        "bob": ("claim pat",),
    }
    before: ClassVar[tuple[str, ...]] = ("ann",)


class SmallGroup(Group):
    """A part of what happens in a room."""

    budget = ALL
    most_in_flight = 2
    posts: ClassVar[tuple[int, ...]] = (1, 0, 0)

    def witnessed(self, facts: Facts) -> Iterable[str]:
        if self.is_goal(facts):
            yield "done"
        if any(line.startswith("CameIn bob") for _, line in facts[A].memory.log):
            yield "seen coming"
        yield from super().witnessed(facts)


class GroupJoined(SmallGroup):
    """One posts while another joins."""

    name = "group-joined"
    about = "one member posts while another joins, and a third listens, with faults"
    sometimes = frozenset({"done", "seen coming"})
    late = frozenset({1})

    def is_goal(self, facts: Facts) -> bool:
        ann, bob, cat = (fact.memory for fact in facts[:H])
        ends = {one.log[-1][0] if one.log else 0 for one in (ann, bob, cat)}
        return ann.taken == 1 and len(ends) == 1 and bool(bob.log)


class GroupLeft(SmallGroup):
    """One posts while another leaves."""

    name = "group-left"
    about = "one member posts while another leaves, and a third listens, with faults"
    sometimes = frozenset({"done", "left", "seen leaving"})
    leavers = frozenset({2})

    def is_goal(self, facts: Facts) -> bool:
        ann, bob, cat = (fact.memory for fact in facts[:H])
        return bool(ann.taken == 1 and bob.log and ann.log[-1][0] == bob.log[-1][0] and cat.closed)

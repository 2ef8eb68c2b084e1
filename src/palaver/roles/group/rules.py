"""What a hub and a member allow, in one place, with unit and reason (PROTOCOL.md, section 6.6)."""

from __future__ import annotations

from dataclasses import dataclass, fields

from palaver.machine import UsageError
from palaver.wire.group_log import MAX_TEXT

MAX_MEMBERS = 0xFFFF
"""Members of a room, at any hub: ADMITTED can announce no more."""


@dataclass(frozen=True)
class HubRules:
    """Bounds and times of a hub; bytes and seconds unless the name says otherwise."""

    rooms: int = 64
    """Rooms at a time; beyond, one that stands empty makes place, or the newcomer is refused."""
    members: int = 1000
    """Members of a room at a time."""
    links: int = 4096
    """Links at a time, those of all rooms and those that have not joined yet."""
    log: int = 1024
    """Entries of a room that are kept: who misses more has a gap, who is further behind is out.
    More than `members`, so that the loss of most at once does not cost the others their place."""
    log_bytes: int = 1048576
    """And their bytes."""
    backlog: int = 0
    """Posts that a newcomer gets at most, if it asks for them."""
    absence: float = 120.0
    """A lost member may come back for this long, and an empty room stands for this long."""
    absent: int = 1000
    """Lost members that a room remembers; beyond, the one that was lost first is forgotten."""
    join_within: float = 10.0
    """Whoever has a link must say JOIN in this time."""
    contest: float = 5.0
    """Who has a name that another asks for must show life in this time: so long a JOIN may wait,
    and less than the `admit_within` of whoever sent it."""
    patience: float = 1.0
    """When most of a room is behind, its authors wait for those who still take something; who
    has taken nothing for this long is not waited for."""
    receipt_interval: float = 0.2
    """An author is told of the acknowledgements of its posts this often at most."""

    def __post_init__(self) -> None:
        """Raise UsageError for a rule that can't work."""
        for field in fields(self):
            number = getattr(self, field.name)
            if not (0 <= number < 1e9 if field.name == "backlog" else 0 < number < 1e9):
                raise UsageError(f"HubRules.{field.name} can't be {number}")
        if self.log_bytes < 2 * MAX_TEXT:
            raise UsageError(f"HubRules.log_bytes must be at least {2 * MAX_TEXT}")
        if self.members > MAX_MEMBERS:
            raise UsageError("HubRules.members must be at most 65,535")


@dataclass(frozen=True)
class MemberRules:
    """Bounds and times of a member; seconds and bytes unless the name says otherwise."""

    posts: int = 256
    """Posts that the hub has not taken yet, per room, before `WouldBlock`."""
    post_bytes: int = 1048576
    """And their bytes."""
    admit_within: float = 10.0
    """From the opening of the link: a hub must have answered JOIN, and named who is there."""
    rejoin_first: float = 0.25
    """From the loss of a link to the next call; it doubles from call to call, and for links that
    are lost soon after."""
    rejoin_max: float = 8.0
    """The longest such wait; a link that has lasted this long was not lost soon."""
    rejoin_for: float = 120.0
    """How long after a loss a member tries to come back: as long as a hub remembers it."""
    overdue: float = 10.0
    """A post that the hub has not taken for this long is reported as overdue."""
    leave_within: float = 5.0
    """How long a leaving member waits until the hub has taken its posts."""
    receipts: int = 1024
    """Own posts, per room, for which acknowledgements are still told."""

    def __post_init__(self) -> None:
        """Raise UsageError for a rule that can't work."""
        for field in fields(self):
            number = getattr(self, field.name)
            if not 0 < number < 1e9:
                raise UsageError(f"MemberRules.{field.name} must be above 0, not {number}")
        if self.rejoin_first > self.rejoin_max:
            raise UsageError("MemberRules.rejoin_first must not be above rejoin_max")


DEFAULT_HUB_RULES = HubRules()
DEFAULT_MEMBER_RULES = MemberRules()

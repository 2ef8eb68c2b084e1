"""What the machines for plain text are told, and what they tell (PROTOCOL.md, appendix A).

Beside these they have the words of `palaver.roles.duo` and `palaver.roles.group.events`. The links
of plain conversations and members are below 0: they are no links of Palaver, and promise nothing.
"""

from __future__ import annotations

from palaver.machine import Address, Event, Notice
from palaver.values import value


@value
class PlainOpened(Notice):
    """A conversation in plain text. `ref` is that of the Call, or None if the peer began.

    On datagrams it is open as soon as we call: nobody can know whether somebody is there.
    """

    link: int
    ref: int | None
    address: Address

    @property
    def inbound(self) -> bool:
        """Whether the peer began."""
        return self.ref is None


@value
class Sent(Notice):
    """The text of command `ref` has gone out. Whether it arrives, nobody will know."""

    link: int
    ref: int


@value
class Unheard(Notice):
    """The network says that nothing listens at the peer's address: what was said is likely lost."""

    link: int


@value
class Stalled(Notice):
    """The peer must say something before it is sent more: its address proves nothing."""

    link: int


@value
class Missed(Notice):
    """So many texts of the peer were dropped: they came too fast."""

    link: int
    count: int


@value
class Spread(Event):
    """Tell all members of a plain group that somebody who is none of them has said `text`."""

    name: str
    text: str


@value
class Expel(Event):
    """Forget a member of a plain group."""

    link: int

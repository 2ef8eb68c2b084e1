"""The calls that a person has, and which of them a command is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from palaver import Address
from palaver.wire.names import fold_name
from palaver_io.addresses import format_address

from .escape import escape


class UnclearError(Exception):
    """It is not clear what a command means; the text says what to do."""


@dataclass
class Party:
    """A call, and who is at its other end."""

    link: int
    wanted: str = ""
    """Whom we asked for, as it was typed; empty if they called."""
    peer: int = 0
    name: str = ""
    address: Address = ("", 0)
    verified: bool = True
    is_me: bool = False
    """It is ourselves whom we asked for."""
    is_called: bool = False
    """Whom we asked for is being called already, and has not answered yet."""
    was_calling: bool = False
    """Whom we asked for was calling us: that has become the conversation."""
    is_ringing: bool = False
    is_open: bool = False
    is_leaving: bool = False
    """We have ended it, or are about to."""
    is_blocked: bool = False
    """The send queue is full."""
    waiting: dict[int, str] = field(default_factory=dict)
    """Lines that are not acknowledged, by number: how they begin."""

    @property
    def takes_lines(self) -> bool:
        """Whether something can be said."""
        return self.is_open and not self.is_leaving

    def wants(self, number: int, name: str) -> bool:
        """Tell whether it is this one whom we asked for."""
        return fold_name(self.wanted) in {str(number), fold_name(name)}

    def is_awaited(self, wanted: str) -> bool:
        """Tell whether we are calling whom somebody asked for by `wanted`."""
        return (
            bool(self.wanted) and not self.is_open and fold_name(self.wanted) == fold_name(wanted)
        )

    @property
    def who(self) -> str:
        """Name it: with its claims as claims."""
        name = escape(self.name or self.wanted) or f"number {self.peer}"
        return name if self.verified else f"somebody who says to be {name}"

    @property
    def introduction(self) -> str:
        """Name it, with all that is known."""
        return f"{self.who} (id {self.peer}, at {escape(format_address(self.address))})"


class Parties:
    """All calls that have not ended; the `current` one is what is typed for."""

    def __init__(self) -> None:
        self._by_link: dict[int, Party] = {}
        self._current = 0

    def __len__(self) -> int:
        return len(self._by_link)

    def __iter__(self) -> Iterator[Party]:
        return iter(list(self._by_link.values()))

    def get(self, link: int) -> Party | None:
        """Give the call of this number."""
        return self._by_link.get(link)

    def add(self, party: Party) -> None:
        """Take one in."""
        self._by_link[party.link] = party

    def remove(self, party: Party) -> None:
        """Take one out."""
        del self._by_link[party.link]

    @property
    def current(self) -> Party | None:
        """The conversation that was chosen, or the first there is."""
        chosen = self._by_link.get(self._current)
        if chosen is not None and chosen.takes_lines:
            return chosen
        return next((one for one in self if one.takes_lines), None)

    def use(self, party: Party) -> None:
        """Make a conversation the current one."""
        self._current = party.link

    def pick(self, text: str, wanted: Callable[[Party], bool], what: str) -> tuple[Party, str]:
        """Find who is meant at the beginning of `text`, by id or name; give what follows, too.

        Without a match the only candidate is meant, and all of `text` follows. Raises
        UnclearError if that is not clear.
        """
        candidates = [one for one in self if wanted(one)]
        if not candidates:
            raise UnclearError(f"there is nobody {what}")
        matches = [
            (len(key), one) for one in candidates for key in _keys(one) if _begins_with(text, key)
        ]
        if matches:
            size = max(length for length, _ in matches)
            best = {one.link: one for length, one in matches if length == size}
            if len(best) == 1:
                return best.popitem()[1], text[size:].strip()
            raise UnclearError(f"more than one is {what} by that name: type the id")
        if len(candidates) == 1:
            return candidates[0], text
        names = ", ".join(f"{one.who} ({one.peer})" for one in candidates)
        raise UnclearError(f"say who, by name or id: {names}")


def _keys(party: Party) -> list[str]:
    number = str(party.peer) if party.peer else ""
    return [key for key in (number, escape(party.name), party.wanted) if key]


def _begins_with(text: str, key: str) -> bool:
    rest = text[len(key) :]
    return fold_name(text[: len(key)]) == fold_name(key) and (not rest or rest[0] == " ")

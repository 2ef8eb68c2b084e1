"""Who is there, and whom a typed line is for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .escape import escape


class UnclearError(Exception):
    """It is not clear whom a line is for; the text says what to do."""


@dataclass
class Conversation:
    """One conversation, from dialling to its end."""

    link: int
    address: str
    name: str = ""
    is_open: bool = False
    is_plain: bool = False
    """It is in plain text, where nothing is known to arrive."""
    last_heard: int = 0
    """When it spoke last: a running number over all conversations, 0 for never."""
    waiting: dict[int, str] = field(default_factory=dict)
    """Lines that are not acknowledged, by number: how they begin."""
    is_blocked: bool = False
    """Its send queue was full, and it was not said yet that there is room again."""
    said_finish: bool = False
    """We said that we send no more."""
    has_finished: bool = False
    """The other side will send no more."""
    is_leaving: bool = False
    """It ends as soon as nothing waits; no more lines are taken for it."""
    has_left: bool = False
    """The machine was told to end it."""

    @property
    def takes_lines(self) -> bool:
        """Whether a line can be meant for it."""
        return self.is_open and not self.is_leaving and not self.has_left

    @property
    def who(self) -> str:
        """The name, with the address; for introductions."""
        if self.is_plain:
            return f"{self.address} (plain)"
        return f"{self.name} ({self.address})" if self.name.strip() else self.address


class Conversations:
    """All conversations of this process that have not ended."""

    def __init__(self) -> None:
        self._by_link: dict[int, Conversation] = {}
        self._heard = 0

    def __len__(self) -> int:
        return len(self._by_link)

    def __iter__(self) -> Iterator[Conversation]:
        return iter(list(self._by_link.values()))

    def get(self, link: int) -> Conversation | None:
        """Give the conversation of a link, if it has not ended."""
        return self._by_link.get(link)

    def add(self, conversation: Conversation) -> None:
        """Take one in."""
        self._by_link[conversation.link] = conversation

    def remove(self, link: int) -> Conversation | None:
        """Take one out."""
        return self._by_link.pop(link, None)

    def hear(self, conversation: Conversation) -> None:
        """Take note that it has spoken: plain lines are for it from now on."""
        self._heard += 1
        conversation.last_heard = self._heard

    def label(self, conversation: Conversation) -> str:
        """Name it in front of what it says: an address for the nameless, both for namesakes."""
        if self._is_unique(conversation):
            return conversation.name
        return conversation.who

    def handle(self, conversation: Conversation) -> str:
        """Give what to type in front of a line that is for it."""
        return f"@{conversation.name if self._is_unique(conversation) else conversation.address}"

    def current(self) -> Conversation | None:
        """Give the one that spoke last; before anyone has, the one that came first."""
        takers = [one for one in self if one.takes_lines]
        return max(takers, key=lambda one: one.last_heard, default=None)

    def pick(self, line: str) -> tuple[Conversation, str]:
        """Take "@name text" apart; a name can be an address and may have spaces in it.

        Raises UnclearError if nobody, or more than one, has this name.
        """
        wanted = line[1:]
        matches: list[tuple[int, bool, Conversation]] = []
        for one in self:
            if one.takes_lines:
                # What people see is what they type, so escapes count as written.
                names = ((one.address, True), (escape(one.name), False))
                matches += [
                    (len(name), is_address, one)
                    for name, is_address in names
                    if _begins_with(wanted, name)
                ]
        if not matches:
            asked = escape(wanted.split(" ", 1)[0])
            raise UnclearError(f"nobody here is called '{asked}'; {self._who_is_here()}")
        best = max(match[:2] for match in matches)
        chosen = [one for *rank, one in matches if tuple(rank) == best]
        if len(chosen) > 1:
            addresses = " or ".join(f"@{one.address}" for one in chosen)
            raise UnclearError(f"several here have that name; say {addresses} instead")
        text = wanted[best[0] :]
        if text[:1] in {":", ","}:
            text = text[1:]
        text = text.removeprefix(" ")
        if not text:
            raise UnclearError("there is no text after the name")
        return chosen[0], text

    def _who_is_here(self) -> str:
        here = ", ".join(escape(self.handle(one)) for one in self if one.takes_lines)
        return f"here: {here}" if here else "nobody is here"

    def _is_unique(self, conversation: Conversation) -> bool:
        name = conversation.name.casefold()
        others = (one for one in self if one is not conversation and one.is_open)
        return bool(name.strip()) and all(one.name.casefold() != name for one in others)


def _begins_with(wanted: str, name: str) -> bool:
    """Whether `wanted` is `name`, in any case, and then nothing, a space, a colon or a comma."""
    size = len(name)
    return (
        bool(name.strip())
        and wanted[:size].casefold() == name.casefold()
        and wanted[size : size + 1] in {"", " ", ":", ","}
    )

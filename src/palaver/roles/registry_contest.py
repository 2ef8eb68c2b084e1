"""Two who claim one name at a registry (PROTOCOL.md, section 6.4.2)."""

from __future__ import annotations

from palaver.wire.registry import Register


class Contest:
    """One who claims a name, until the one who has it was seen to be alive, or not to be."""

    __slots__ = ("claim", "link", "until")

    def __init__(self, link: int, claim: Register, until: float) -> None:
        self.link = link
        self.claim = claim
        self.until = until

"""A seeded bug: one small change of the library that breaks one property."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Area: TypeAlias = Literal["wire", "traffic", "link", "call", "registry", "group", "duo", "plain"]


@dataclass(frozen=True)
class Mutant:
    """In `file` (below src/palaver) `old`, which is there exactly once, becomes `new`.

    `area` says which tests are the narrowest that should find it; `breaks` is the property that is
    broken, and `rule` the rule of PROTOCOL.md, or its section where that has no rule, or
    "machine.py" for the shape that all machines have.
    """

    name: str
    area: Area
    file: str
    old: str
    new: str
    breaks: str
    rule: str

    def apply(self, source: str) -> str:
        """Give the source with the bug. Raises ValueError unless it has one place for it."""
        count = source.count(self.old)
        if count != 1:
            raise ValueError(f"{self.name}: the old text is {count} times in {self.file}")
        return source.replace(self.old, self.new)

"""How Palaver declares its values: events, actions, packets, frames and messages.

A value is a small slotted dataclass that nobody changes after it was made. The type checker is
told that it is frozen; at run time it is only slotted, because a frozen dataclass takes three
times as long to make and the hot path makes one per segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform

    @dataclass_transform(frozen_default=True)
    def value(cls: type[T]) -> type[T]:
        """Declare `cls` a frozen dataclass."""

else:

    def value(cls: type[T]) -> type[T]:
        """Make `cls` a slotted, hashable, comparable value; never assign to its fields."""
        return dataclass(slots=True, unsafe_hash=True)(cls)

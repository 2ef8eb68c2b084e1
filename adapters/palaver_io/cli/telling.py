"""What people and programs are told by every command: hints and problems."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from .escape import escape

if TYPE_CHECKING:
    from .screen import Screen


class Teller(ABC):
    """Tells what happens. Each command adds a method for each of its events."""

    @abstractmethod
    def hint(self, text: str) -> None:
        """Something that helps people and that programs don't need."""

    @abstractmethod
    def problem(self, text: str) -> None:
        """Something went wrong that is no event of a conversation."""


class JsonTeller(Teller):
    """One JSON object a line on stdout; problems on stderr."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def hint(self, text: str) -> None:
        """Say nothing: programs don't need it."""

    def problem(self, text: str) -> None:
        """Something went wrong that is no event of a conversation."""
        self._screen.note(f"palaver: {text}")

    def _write(self, event: str, **data: object) -> None:
        self._screen.out(json.dumps({"event": event, **data}))


class PlainTeller(Teller):
    """Messages on stdout; everything else on stderr. Control characters are written out."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def hint(self, text: str) -> None:
        """Something that helps people and that programs don't need."""
        self._note(text)

    def problem(self, text: str) -> None:
        """Something went wrong that is no event of a conversation."""
        self._note(f"palaver: {text}")

    def _note(self, text: str) -> None:
        self._screen.note(escape(text))

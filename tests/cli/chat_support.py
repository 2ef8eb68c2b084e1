"""A chat against a machine that does as the test says."""

from __future__ import annotations

import json
from typing import Any

from palaver import (
    Closed,
    ConversationOpened,
    Dialing,
    Event,
    Notice,
    Reason,
    Say,
    Side,
)
from palaver_io.cli.chat import Chat
from palaver_io.cli.lines import EndOfInput, Line
from palaver_io.cli.outgoing import Policy
from palaver_io.cli.output import JsonOutput, Output, PlainOutput
from palaver_io.cli.screen import Screen


class FakeScreen(Screen):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.notes: list[str] = []

    def out(self, line: str) -> None:
        self.lines.append(line)

    def note(self, line: str) -> None:
        self.notes.append(line)


class Run:
    """A chat, the commands that it gave, and what it printed."""

    def __init__(self, policy: Policy, *, plain: bool = False) -> None:
        self.commands: list[Event] = []
        self.refusals: list[Exception] = []
        self.screen = FakeScreen()
        self._line = 0
        output: Output = (
            PlainOutput(self.screen, verbose=False, numbered=True)
            if plain
            else JsonOutput(self.screen)
        )
        self.chat = Chat(self._perform, output, policy)

    def _perform(self, command: Event) -> None:
        if isinstance(command, Say) and self.refusals:
            raise self.refusals.pop(0)
        self.commands.append(command)

    def tell(self, *notices: Notice) -> None:
        for notice in notices:
            self.chat.take_notice(notice)

    def type(self, *texts: str, target: int | None = None) -> None:
        for text in texts:
            self._line += 1
            self.chat.take_input(Line(self._line, text, target=target))

    def end_input(self) -> None:
        self.chat.take_input(EndOfInput())

    def open(self, link: int, name: str = "", ref: int | None = None) -> None:
        self.tell(ConversationOpened(link, ref, ("10.0.0.1", 5000 + link), name))

    def close(self, link: int, reason: int = Reason.LEFT, by: Side = Side.PEER) -> None:
        self.tell(Closed(link, None, reason, by))

    def take(self) -> list[Event]:
        """Give the commands since the last time."""
        commands, self.commands = self.commands, []
        return commands

    def events(self, kind: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.screen.lines]
        return [one for one in found if one["event"] == kind]


def make_caller(**options: Any) -> Run:  # noqa: ANN401 - of the policy
    run = Run(Policy(is_caller=True, **options))
    run.tell(Dialing(1, 0, ("10.0.0.1", 5000)))
    return run


def make_listener(most: int = 1, **options: Any) -> Run:  # noqa: ANN401 - of the policy
    return Run(Policy(is_caller=False, max_conversations=most, **options))

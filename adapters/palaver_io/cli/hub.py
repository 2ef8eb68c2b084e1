"""`palaver hub`: rooms for all who join, and what is said there on stdout."""

from __future__ import annotations

import os
from collections.abc import Callable

from palaver import Address, Event, Notice
from palaver.roles.group.events import Disband, MemberCame, MemberWent, PostRelayed
from palaver.roles.group.hub import Hub
from palaver.roles.group.rules import HubRules
from palaver.roles.plain.either import EitherHub
from palaver.roles.plain.relay import PlainRelay
from palaver_io.addresses import format_address
from palaver_io.opening import open_listener
from palaver_io.port import Port

from .group_arguments import HubOptions
from .group_json import JsonGroupOutput
from .group_output import GroupOutput, PlainGroupOutput
from .lines import EndOfInput, Input
from .network import HUB, explain_bind_error, hint_at
from .plain_network import hint_at_plain
from .screen import Screen
from .session import CannotStartError
from .status import EXIT_OK, EXIT_USAGE
from .terminal import Prompt


class HubCommand:
    """One run of `palaver hub`."""

    messages: tuple[type[Notice], ...] = (PostRelayed,)

    def __init__(self, options: HubOptions) -> None:
        self.options = options
        self.machine = _make_machine(options)
        self._output: GroupOutput | None = None

    def make_output(self, screen: Screen, *, numbered: bool) -> GroupOutput:
        """Make what tells people or programs."""
        self._output = (
            JsonGroupOutput(screen)
            if self.options.json
            else PlainGroupOutput(screen, verbose=self.options.verbose, numbered=numbered)
        )
        return self._output

    def open_port(self) -> Port:
        """Open the socket. Raises CannotStartError."""
        options = self.options
        try:
            return open_listener(
                options.host,
                options.port,
                tcp=options.tcp,
                plain=options.plain,
                plain_too=options.plain_too,
            )
        except ValueError as error:
            raise CannotStartError(str(error), EXIT_USAGE) from error
        except OSError as error:
            problem = explain_bind_error(error, HUB, options.host, options.port, tcp=options.tcp)
            raise CannotStartError(problem) from error

    def make_talk(self, perform: Callable[[Event], object], *, is_interactive: bool) -> HubTalk:
        """Make what gives meaning."""
        assert self._output is not None
        return HubTalk(perform, self._output, self.options, is_interactive=is_interactive)


class HubTalk:
    """Tells what happens, until it is to stop. A hub has nothing to say itself."""

    def __init__(
        self,
        perform: Callable[[Event], object],
        output: GroupOutput,
        options: HubOptions,
        *,
        is_interactive: bool,
    ) -> None:
        self.is_over = False
        self.status = EXIT_OK
        self.is_engaged = True
        self._perform = perform
        self._output = output
        self._options = options
        self._is_interactive = is_interactive

    @property
    def wants_line(self) -> bool:
        """Whether a line that came now could be sent at once: never."""
        return False

    def begin(self, address: Address) -> None:
        """Start: the hub can be reached at `address`."""
        options = self._options
        hints = [] if options.plain else hint_at(HUB, address, tcp=options.tcp)
        if options.plain or options.plain_too:
            hints += hint_at_plain(address, tcp=options.tcp)
        self._output.listening(*address, format_address(address), hints)
        if self._is_interactive:
            self._output.hint('"exit", or Ctrl-C, ends it for all.')

    def take_notice(self, notice: Notice) -> None:
        """Take what the machine tells."""
        if isinstance(notice, PostRelayed):
            self._output.relayed(notice)
        elif isinstance(notice, MemberCame):
            self._output.came(notice)
        elif isinstance(notice, MemberWent):
            self._output.went(notice)

    def take_input(self, item: Input) -> None:
        """Take a line that somebody has typed."""
        if isinstance(item, EndOfInput):
            return
        if item.text.strip().lower() == "exit":
            self.stop()
        else:
            how = "nc -u" if self._options.plain else "palaver join"
            self._output.hint(f"A hub only relays. To take part, run `{how}` beside it.")

    def stop(self, status: int = EXIT_OK) -> None:
        """End all memberships, and the hub with them."""
        self.status = max(self.status, status)
        if not self.is_over:
            self.is_over = True
            self._perform(Disband())

    def prompt(self) -> Prompt:
        """Show nothing in front of what is typed."""
        return Prompt("")


def _make_machine(options: HubOptions) -> Hub | PlainRelay | EitherHub:
    if options.plain:
        return PlainRelay(streams=options.tcp)
    make = EitherHub if options.plain_too else Hub
    return make(
        os.urandom,
        rules=HubRules(backlog=options.backlog),
        streams=options.tcp,
        timing=options.timing,
    )

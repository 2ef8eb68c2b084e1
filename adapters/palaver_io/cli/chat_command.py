"""`palaver listen` and `palaver call`: what they bring to a session."""

from __future__ import annotations

import os
from collections.abc import Callable

from palaver import Address, Duo, Event, Notice, Said
from palaver.roles.plain.either import EitherPair
from palaver.roles.plain.pair import PlainPair
from palaver_io.addresses import resolve_peer
from palaver_io.opening import open_caller, open_listener
from palaver_io.port import Port

from .arguments import ChatOptions
from .chat import Chat
from .network import LISTEN, explain_bind_error
from .outgoing import Policy
from .output import JsonOutput, Output, PlainOutput
from .screen import Screen
from .session import CannotStartError
from .status import EXIT_USAGE


class ChatCommand:
    """One run of `palaver listen` or `palaver call`."""

    messages: tuple[type[Notice], ...] = (Said,)

    def __init__(self, options: ChatOptions) -> None:
        self.options = options
        self.machine = _make_machine(options)
        self._output: Output | None = None
        self._peer: Address | None = None

    def make_output(self, screen: Screen, *, numbered: bool) -> Output:
        """Make what tells people or programs; `numbered`: lines are known by their numbers."""
        self._output = (
            JsonOutput(screen)
            if self.options.json
            else PlainOutput(screen, verbose=self.options.verbose, numbered=numbered)
        )
        return self._output

    def open_port(self) -> Port:
        """Open the socket, and look up whom to call. Raises CannotStartError."""
        options = self.options
        try:
            if options.is_caller:
                self._peer = resolve_peer(options.host, options.port)
                return open_caller(self._peer, tcp=options.tcp, plain=options.plain)
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
            problem = error.strerror or str(error)
            if not options.is_caller:
                where = options.host, options.port
                problem = explain_bind_error(error, LISTEN, *where, tcp=options.tcp)
            raise CannotStartError(problem) from error

    def make_talk(self, perform: Callable[[Event], object], *, is_interactive: bool) -> Chat:
        """Make what gives meaning; called after `make_output`."""
        assert self._output is not None
        options = self.options
        policy = Policy(
            is_caller=options.is_caller,
            peer=self._peer,
            tcp=options.tcp,
            timeout=options.timeout,
            keep_open=options.keep_open,
            # Of either kind, if there are two.
            max_conversations=options.max_conversations << options.plain_too,
            plain=options.plain,
            plain_too=options.plain_too,
            wait=options.wait,
            is_interactive=is_interactive,
        )
        return Chat(perform, self._output, policy)


def _make_machine(options: ChatOptions) -> Duo | PlainPair | EitherPair:
    if options.plain:
        return PlainPair(
            accept=not options.is_caller,
            max_conversations=options.max_conversations,
            streams=options.tcp,
        )
    if options.plain_too:
        return EitherPair(
            os.urandom,
            name=options.name,
            max_conversations=options.max_conversations,
            streams=options.tcp,
            timing=options.timing,
        )
    return Duo(
        os.urandom,
        name=options.name,
        accept=not options.is_caller,
        max_conversations=options.max_conversations,
        streams=options.tcp,
        timing=options.timing,
    )

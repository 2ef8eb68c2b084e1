"""`palaver listen` and `palaver call`: a chat on a real socket, with a person or a pipe."""

from __future__ import annotations

import os
import sys
import time
from typing import Final

from palaver import Address, Call, Duo, Notice, PalaverError
from palaver_io.addresses import format_address, open_udp_socket, resolve_peer
from palaver_io.blocking import BlockingDriver

from .arguments import ChatOptions
from .chat import Chat
from .escape import escape
from .faults import make_injector
from .inbox import Broken, Inbox, Item
from .lines import EndOfInput, Input, Line, LineReader
from .network import explain_bind_error, hint_at_listening
from .outgoing import Policy
from .output import JsonOutput, Output, PlainOutput
from .screen import Screen
from .signals import Redraw, Signal, queued_signals
from .status import EXIT_FAILURE, EXIT_SIGNAL, EXIT_USAGE
from .terminal import Keys, Prompt, Terminal, find_terminal, stdin_is_terminal

_GOODBYE: Final = 0.5  # seconds beyond Timing.linger_max


def run_chat(options: ChatOptions) -> int:
    """Talk; give the exit status."""
    inbox = Inbox()
    stream = None if options.json else find_terminal()
    terminal = None if stream is None else Terminal(stream, inbox.put)
    screen = terminal or Screen()
    session = Session(options, inbox, screen, terminal)
    with queued_signals(inbox.put, (lambda: None) if terminal is None else terminal.restore):
        return session.run()


class Session:
    """One run: sets everything up, and hands what comes to the chat until it is over."""

    def __init__(
        self,
        options: ChatOptions,
        inbox: Inbox,
        screen: Screen,
        terminal: Terminal | None,
    ) -> None:
        self._options = options
        self._inbox = inbox
        self._screen = screen
        self._terminal = terminal
        self._is_interactive = stdin_is_terminal()
        self._output: Output = (
            JsonOutput(screen)
            if options.json
            else PlainOutput(screen, verbose=options.verbose, numbered=not self._is_interactive)
        )
        self._reader = None if terminal else LineReader(_stdin_descriptor(), inbox.put)
        self._driver: BlockingDriver | None = None
        self._machine = Duo(
            os.urandom,
            name=options.name,
            accept=not options.is_caller,
            max_conversations=options.max_conversations,
            timing=options.timing,
        )

    def run(self) -> int:
        """Talk; give the exit status."""
        options, output = self._options, self._output
        try:
            if options.is_caller:
                peer = resolve_peer(options.host, options.port)
                sock = open_udp_socket("::" if ":" in peer[0] else "", 0)
            else:
                peer = None
                sock = open_udp_socket(options.host, options.port)
        except ValueError as error:
            output.problem(str(error))
            return EXIT_USAGE
        except OSError as error:
            problem = error.strerror or str(error)
            if not options.is_caller:
                problem = explain_bind_error(error, options.host, options.port)
            output.problem(problem)
            return EXIT_FAILURE
        try:
            with BlockingDriver(
                self._machine,
                sock,
                self._take_notice,
                injector=make_injector(options.fault_options, output.hint),
                on_failure=lambda error: self._inbox.put(Broken(error)),
            ) as self._driver:
                return self._talk(self._driver, peer)
        except PalaverError as error:
            output.problem(f"this is a bug in Palaver: {error.__cause__ or error!r}")
            return EXIT_FAILURE

    def _take_notice(self, notice: Notice) -> None:
        """Take a notice from the driver, within its thread or a verb."""
        request = self._inbox.put_notice(notice)
        if request is not None and self._driver is not None:
            self._driver.post(request)

    def _talk(self, driver: BlockingDriver, peer: Address | None) -> int:
        options, terminal = self._options, self._terminal
        policy = Policy(
            is_caller=options.is_caller,
            keep_open=options.keep_open,
            max_conversations=options.max_conversations,
            wait=options.wait,
            is_interactive=self._is_interactive,
        )
        chat = Chat(driver.perform, self._output, policy)
        try:
            if terminal is not None:
                terminal.start(lambda: self._make_prompt(chat))
            if peer is None:
                address = driver.address
                hints = hint_at_listening(address)
                self._output.listening(*address, format_address(address), hints)
            else:
                driver.perform(Call(peer, timeout=options.timeout))
            while not chat.is_over:
                self._ask_for_line(chat)
                self._take(self._inbox.get(driver.perform), chat)
        finally:
            if terminal is not None:
                terminal.restore()
        self._say_goodbye(driver, chat)
        return chat.status

    def _ask_for_line(self, chat: Chat) -> None:
        if self._reader is not None and (self._is_interactive or chat.wants_line):
            self._reader.ask()

    def _take(self, item: Item, chat: Chat) -> None:
        """Take one item; raises PalaverError if something is broken."""
        match item:
            case Notice():
                chat.take_notice(item)
            case Line() | EndOfInput():
                if self._reader is not None:
                    self._reader.took()
                self._take_input(item, chat)
            case Keys() if self._terminal is not None:
                for typed in self._terminal.take(item):
                    self._take_input(typed, chat)
            case Redraw() if self._terminal is not None:
                self._terminal.resume()
            case Signal():
                if chat.conversations:
                    self._output.hint("Leaving ... (the same again quits at once)")
                chat.stop(EXIT_SIGNAL + item.number)
            case Broken():
                raise PalaverError("the driver has stopped") from item.error
            case _:
                pass
        failure = self._screen.take_failure()
        if failure is not None:
            if not isinstance(failure, BrokenPipeError):  # head(1) and the like have had enough
                self._output.problem(f"can't print: {failure.strerror}")
            chat.stop(EXIT_FAILURE)

    def _take_input(self, item: Input, chat: Chat) -> None:
        if self._is_interactive and isinstance(item, Line) and not item.text.strip():
            return
        chat.take_input(item)

    def _make_prompt(self, chat: Chat) -> Prompt:
        """Show that lines can be sent, and to whom if there is a choice."""
        current = chat.conversations.current()
        if current is None:
            return Prompt("")
        if self._options.max_conversations == 1:
            return Prompt("> ")
        return Prompt(f"{escape(chat.conversations.handle(current))}> ", current.link)

    def _say_goodbye(self, driver: BlockingDriver, chat: Chat) -> None:
        """Stay until the other side knows that all has arrived, but not for long.

        Whoever calls meanwhile is turned away.
        """
        machine, inbox = self._machine, self._inbox
        until = time.monotonic() + self._options.timing.linger_max + _GOODBYE
        while (left := until - time.monotonic()) > 0:
            driver.wait_until(lambda: machine.is_idle or not inbox.is_empty, left)
            if inbox.is_empty:
                return
            item = inbox.get(driver.perform)
            if isinstance(item, Signal):
                return
            if isinstance(item, Notice | Line):
                self._take(item, chat)


def _stdin_descriptor() -> int | None:
    """Give where to read lines from; None if there is no real stdin."""
    try:
        return None if sys.stdin is None else sys.stdin.fileno()
    except ValueError:  # closed, or replaced by something in memory
        return None

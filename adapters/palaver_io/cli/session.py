"""A session: a person or a pipe on one side, a machine on a driver on the other.

It is the same for all commands and all drivers. A `Command` supplies the machine, the port, and
the `Talk` that knows what notices and lines mean; the session has the driver, the terminal,
the signals and the pipes. All that happens goes through one queue to the main thread, which
sleeps in `wait_until` of the driver, whichever that is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final, Protocol, runtime_checkable

from palaver import Address, Event, Machine, Notice, PalaverError, Timing
from palaver_io.port import Port

from .arguments import FaultOptions
from .faults import make_injector
from .inbox import Inbox, Item
from .lines import EndOfInput, Input, Line, LineReader
from .running import Running, start_driver
from .screen import Screen
from .signals import Redraw, Signal, queued_signals
from .status import EXIT_FAILURE, EXIT_SIGNAL, EXIT_UNREAD
from .telling import Teller
from .terminal import Keys, Prompt, Terminal, find_terminal, stdin_is_terminal

_GOODBYE: Final = 0.5  # seconds beyond Timing.linger_max
_GLANCES: Final = 100  # at whether more is there to be read, at most
_GLANCE: Final = 0.01  # seconds


class SessionOptions(Protocol):
    """What the command line says about any session."""

    @property
    def driver(self) -> str:
        """One of `arguments.DRIVERS`."""

    @property
    def fault_options(self) -> FaultOptions:
        """What to spoil on purpose."""

    @property
    def json(self) -> bool:
        """Whether programs read the output."""

    @property
    def timing(self) -> Timing:
        """The timers of the machine."""


class SessionMachine(Machine, Protocol):
    """A machine that tells when it may be dropped."""

    @property
    def is_idle(self) -> bool:
        """Whether no link is left, lingering ones included: the socket may be closed."""


class CannotStartError(Exception):
    """There is no socket to be had, or nobody to talk to; the text says what to do."""

    def __init__(self, text: str, status: int = EXIT_FAILURE) -> None:
        super().__init__(text)
        self.status = status


class Talk(Protocol):
    """What notices and lines mean; it acts on the machine and tells people, and never waits."""

    @property
    def is_over(self) -> bool:
        """Whether the session can end."""

    @property
    def is_engaged(self) -> bool:
        """Whether there is somebody to take leave of."""

    @property
    def status(self) -> int:
        """The exit status so far."""

    @property
    def wants_line(self) -> bool:
        """Whether a line that came now could be sent at once."""

    def begin(self, address: Address) -> None:
        """Start: the machine can be reached at `address`."""

    def take_notice(self, notice: Notice) -> None:
        """Take what the machine tells."""

    def take_input(self, item: Input) -> None:
        """Take a line, or the end of all lines."""

    def stop(self, status: int = 0) -> None:
        """Begin to end, with at least this exit status; called again, it does no harm."""

    def prompt(self) -> Prompt:
        """Give what stands in front of a line that is being typed now."""


@runtime_checkable
class TimedTalk(Protocol):
    """A talk that also does something when nothing happens for long."""

    @property
    def due(self) -> float:
        """When, on `time.monotonic`; infinity for never."""

    def on_time(self) -> None:
        """Do it."""


class Command(Protocol):
    """What one command of the command line brings to its session."""

    @property
    def options(self) -> SessionOptions:
        """What the command line says."""

    @property
    def machine(self) -> SessionMachine:
        """What the driver runs."""

    @property
    def messages(self) -> tuple[type[Notice], ...]:
        """Notices that are printed, each with a `link`: of too many the peer is told to wait."""

    def make_output(self, screen: Screen, *, numbered: bool) -> Teller:
        """Make what tells people or programs; `numbered`: lines are known by their numbers."""

    def open_port(self) -> Port:
        """Open the sockets. Raises CannotStartError."""

    def make_talk(self, perform: Callable[[Event], object], *, is_interactive: bool) -> Talk:
        """Make what gives meaning; called after `make_output`."""


def run_session(command: Command) -> int:
    """Run a command until it is over; give the exit status."""
    inbox = Inbox(command.messages)
    stream = None if command.options.json else find_terminal()
    terminal = None if stream is None else Terminal(stream, inbox.put)
    session = _Session(command, inbox, terminal or Screen(), terminal)
    with queued_signals(inbox.put, (lambda: None) if terminal is None else terminal.restore):
        return session.run()


class _Session:
    """One run: sets everything up, and hands what comes to the talk until it is over."""

    def __init__(
        self, command: Command, inbox: Inbox, screen: Screen, terminal: Terminal | None
    ) -> None:
        self._command = command
        self._inbox = inbox
        self._screen = screen
        self._terminal = terminal
        self._is_interactive = stdin_is_terminal()
        self._output = command.make_output(screen, numbered=not self._is_interactive)
        self._reader = None if terminal else LineReader(_stdin_descriptor(), inbox.put)
        self._running: Running | None = None

    def run(self) -> int:
        """Talk; give the exit status."""
        command, output = self._command, self._output
        try:
            port = command.open_port()
        except CannotStartError as error:
            output.problem(str(error))
            return error.status
        try:
            with start_driver(
                command.options.driver,
                command.machine,
                port,
                self._take_notice,
                make_injector(command.options.fault_options, output.hint),
            ) as self._running:
                self._inbox.on_put = self._running.wake
                return self._talk(self._running)
        except PalaverError as error:
            output.problem(f"this is a bug in Palaver: {error.__cause__ or error!r}")
            return EXIT_FAILURE

    def _take_notice(self, notice: Notice) -> None:
        """Take a notice from the driver, perhaps within its thread."""
        request = self._inbox.put_notice(notice)
        if request is not None and self._running is not None:
            self._running.post(request)

    def _talk(self, running: Running) -> int:
        terminal, inbox = self._terminal, self._inbox
        talk = self._command.make_talk(running.perform, is_interactive=self._is_interactive)
        try:
            if terminal is not None:
                terminal.start(talk.prompt)
            talk.begin(running.address)
            while not talk.is_over:
                self._ask_for_line(talk)
                running.wait_until(lambda: not inbox.is_empty, _find_patience(talk))
                if isinstance(talk, TimedTalk) and talk.due <= time.monotonic():
                    talk.on_time()
                if not inbox.is_empty:
                    self._take(inbox.get(running.perform), talk)
        finally:
            if terminal is not None:
                terminal.restore()
        self._say_goodbye(running, talk)
        return talk.status

    def _ask_for_line(self, talk: Talk) -> None:
        if self._reader is not None and (self._is_interactive or talk.wants_line):
            self._reader.ask()

    def _take(self, item: Item, talk: Talk) -> None:
        """Take one item; raises PalaverError if something is broken."""
        match item:
            case Notice():
                talk.take_notice(item)
            case Line() | EndOfInput():
                if self._reader is not None:
                    self._reader.took()
                self._take_input(item, talk)
            case Keys() if self._terminal is not None:
                for typed in self._terminal.take(item):
                    self._take_input(typed, talk)
            case Redraw() if self._terminal is not None:
                self._terminal.resume()
            case Signal():
                if talk.is_engaged:
                    self._output.hint("Leaving ... (the same again quits at once)")
                talk.stop(EXIT_SIGNAL + item.number)
            case _:
                pass
        failure = self._screen.take_failure()
        if failure is not None:
            if isinstance(failure, BrokenPipeError):  # head(1) and the like have had enough
                talk.stop(EXIT_UNREAD)
            else:
                self._output.problem(f"can't print: {failure.strerror}")
                talk.stop(EXIT_FAILURE)

    def _take_input(self, item: Input, talk: Talk) -> None:
        if self._is_interactive and isinstance(item, Line) and not item.text.strip():
            return
        talk.take_input(item)

    def _say_goodbye(self, running: Running, talk: Talk) -> None:
        """Stay until the other side knows that all has arrived, but not for long.

        Whoever calls meanwhile is turned away.
        """
        machine, inbox = self._command.machine, self._inbox
        is_cut = False
        self._look_for_more(running)
        until = time.monotonic() + self._command.options.timing.linger_max + _GOODBYE
        while (left := until - time.monotonic()) > 0:
            running.wait_until(
                lambda: (machine.is_idle and running.is_idle) or not inbox.is_empty, left
            )
            if inbox.is_empty:
                return
            item = inbox.get(running.perform)
            if isinstance(item, Signal):
                return
            if isinstance(item, Notice):
                self._take(item, talk)
            elif isinstance(item, Line) and not is_cut:
                is_cut = True
                self._take(item, talk)
                self._look_for_more(running)
            elif isinstance(item, Line):
                self._output.hint("Nor was anything sent that follows it.")

    def _look_for_more(self, running: Running) -> None:
        """See whether another line is at hand: a script is to know that it was not sent."""
        reader = self._reader
        if reader is None or self._is_interactive or not reader.has_begun:
            return
        reader.ask()
        far = 0
        for _ in range(_GLANCES):
            # Looked at twice, for what was read might be on its way right now.
            far = 0 if reader.is_answer_near else far + 1
            if far == 2:
                return
            running.wait_until(lambda: False, _GLANCE)


def _find_patience(talk: Talk) -> float | None:
    """Give for how many seconds nothing needs to happen; None if for ever."""
    if not isinstance(talk, TimedTalk) or talk.due == float("inf"):
        return None
    return max(0.0, talk.due - time.monotonic())


def _stdin_descriptor() -> int | None:
    """Give where to read lines from; None if there is no real stdin."""
    try:
        return None if sys.stdin is None else sys.stdin.fileno()
    except ValueError:  # closed, or replaced by something in memory
        return None

"""`palaver registry`: a table of who is there, printed at each coming and going."""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Final

from palaver import (
    Address,
    Entry,
    Event,
    Gone,
    Joined,
    Notice,
    Registry,
    Retire,
    Snapshot,
    TakeSnapshot,
    UsageError,
    Why,
)
from palaver_io.addresses import format_address
from palaver_io.opening import open_listener
from palaver_io.port import Port

from .escape import escape
from .lines import EndOfInput, Input
from .network import REGISTRY, explain_bind_error, hint_at
from .people_arguments import RegistryOptions
from .screen import Screen
from .session import CannotStartError
from .state_file import StateFile
from .status import EXIT_FAILURE, EXIT_OK, EXIT_USAGE
from .telling import JsonTeller, PlainTeller, Teller
from .terminal import Prompt

_MOST_SHOWN: Final = 50  # rows of the table
_SAVE_EVERY: Final = 1.0  # seconds


class RegistryOutput(Teller):
    """Tells who comes and goes."""

    @abstractmethod
    def serving(self, host: str, port: int, address: str) -> None:
        """The registry can be reached."""

    @abstractmethod
    def joined(self, entry: Entry, *, resumed: bool) -> None:
        """Somebody is there."""

    @abstractmethod
    def gone(self, entry: Entry, why: Why) -> None:
        """Somebody is not there any more."""

    @abstractmethod
    def table(self, rows: list[tuple[Entry, str]]) -> None:
        """All who are there now, each with since when."""


class JsonRegistryOutput(JsonTeller, RegistryOutput):
    """One JSON object a line."""

    def serving(self, host: str, port: int, address: str) -> None:
        """The registry can be reached."""
        self._write("listening", host=host, port=port, address=address)

    def joined(self, entry: Entry, *, resumed: bool) -> None:
        """Somebody is there."""
        self._write("joined", **_describe(entry), resumed=resumed)

    def gone(self, entry: Entry, why: Why) -> None:
        """Somebody is not there any more."""
        self._write("gone", **_describe(entry), why=why.value)

    def table(self, rows: list[tuple[Entry, str]]) -> None:
        """All who are there now, each with since when."""
        self._write("table", entries=[{**_describe(one), "since": since} for one, since in rows])


class PlainRegistryOutput(PlainTeller, RegistryOutput):
    """The table on stdout, what changes it on stderr."""

    def __init__(self, screen: Screen, *, tcp: bool) -> None:
        super().__init__(screen)
        self._tcp = tcp

    def serving(self, host: str, port: int, address: str) -> None:
        """The registry can be reached."""
        self._note(f"Registry at {address}.")
        for line in hint_at(REGISTRY, (host, port), tcp=self._tcp):
            self._note(line)

    def joined(self, entry: Entry, *, resumed: bool) -> None:
        """Somebody is there."""
        again = " again" if resumed else ""
        self._note(f"{entry.name} is here{again}, with id {entry.id}.")

    def gone(self, entry: Entry, why: Why) -> None:
        """Somebody is not there any more."""
        how = "has left" if why is Why.LEFT else "is gone without a word"
        self._note(f"{entry.name} (id {entry.id}) {how}.")

    def table(self, rows: list[tuple[Entry, str]]) -> None:
        """All who are there now, each with since when."""
        if not rows:
            self._screen.out("(nobody is here)")
            return
        cells = [("id", "name", "address", "since")]
        cells += [
            (str(one.id), escape(one.name), escape(format_address(one.address)), since)
            for one, since in rows[:_MOST_SHOWN]
        ]
        widths = [max(len(row[column]) for row in cells) for column in range(3)]
        for row in cells:
            left = "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=False))
            self._screen.out(f"{left}  {row[3]}")
        if len(rows) > _MOST_SHOWN:
            self._screen.out(f"... and {len(rows) - _MOST_SHOWN} more")
        self._screen.out("")


def _describe(entry: Entry) -> dict[str, object]:
    return {"id": entry.id, "name": entry.name, "address": format_address(entry.address)}


class RegistryTalk:
    """One run of `palaver registry`."""

    wants_line = False

    def __init__(
        self, perform: Callable[[Event], object], output: RegistryOutput, state: StateFile | None
    ) -> None:
        self.is_over = False
        self._status = EXIT_OK
        self._perform = perform
        self._output = output
        self._state = state
        self._is_unkept = False
        self._rows: dict[int, tuple[Entry, str]] = {}

    @property
    def status(self) -> int:
        """The exit status so far."""
        return max(self._status, EXIT_FAILURE) if self._is_unkept else self._status

    @property
    def is_engaged(self) -> bool:
        """Whether there is somebody to take leave of."""
        return bool(self._rows)

    def begin(self, address: Address) -> None:
        """Start: the registry can be reached at `address`."""
        self._output.serving(*address, format_address(address))

    def take_notice(self, notice: Notice) -> None:
        """Take what the machine tells."""
        if isinstance(notice, Snapshot):
            self._write(notice.data)
        elif self.is_over:
            return
        elif isinstance(notice, Joined):
            entry = notice.entry
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            self._rows[entry.id] = (entry, since)
            self._output.joined(entry, resumed=notice.resumed)
            self._show()
        elif isinstance(notice, Gone):
            self._rows.pop(notice.entry.id, None)
            self._output.gone(notice.entry, notice.why)
            self._show()

    def take_input(self, item: Input) -> None:
        """Take a line: there is nothing to be said; and the end of input ends nothing."""
        if not isinstance(item, EndOfInput):
            self._output.hint("A registry takes no commands; Ctrl-C ends it.")

    def stop(self, status: int = EXIT_OK) -> None:
        """Tell all who are there that this registry goes away; the state stays as it is."""
        self._status = max(self._status, status)
        if not self.is_over:
            self._save()
            self.is_over = True
            self._perform(Retire())

    def prompt(self) -> Prompt:
        """Show nothing: no lines are expected."""
        return Prompt("")

    def _show(self) -> None:
        self._output.table([self._rows[number] for number in sorted(self._rows)])

    def _save(self) -> None:
        if self._state is not None:
            self._perform(TakeSnapshot())

    def _write(self, data: bytes) -> None:
        """Keep the state; tell once that it can't be kept, and once that it can again."""
        assert self._state is not None
        was_unkept = self._is_unkept
        try:
            self._state.write(data)
        except OSError as error:
            self._is_unkept = True
            if not was_unkept:
                self._output.problem(
                    f"{_explain_state(self._state, error)}; what changes now is lost in a restart"
                )
        else:
            self._is_unkept = False
            if was_unkept:
                self._output.problem(f"the state is kept in {self._state.path} again")


class RegistryCommand:
    """One run of `palaver registry`."""

    messages: tuple[type[Notice], ...] = ()

    def __init__(self, options: RegistryOptions) -> None:
        self.options = options
        self.machine = self._make_machine(None)
        self._state = None if options.state is None else StateFile(options.state)
        self._output: RegistryOutput | None = None

    def make_output(self, screen: Screen, *, numbered: bool) -> RegistryOutput:  # noqa: ARG002
        """Make what tells people or programs."""
        self._output = (
            JsonRegistryOutput(screen)
            if self.options.json
            else PlainRegistryOutput(screen, tcp=self.options.tcp)
        )
        return self._output

    def open_port(self) -> Port:
        """Open the socket, and take up the state. Raises CannotStartError."""
        options = self.options
        if self._state is not None:
            self._restore(self._state)
        try:
            port = open_listener(options.host, options.port, tcp=options.tcp)
        except ValueError as error:
            raise CannotStartError(str(error), EXIT_USAGE) from error
        except OSError as error:
            where = options.host, options.port
            problem = explain_bind_error(error, REGISTRY, *where, tcp=options.tcp)
            raise CannotStartError(problem) from error
        if self._state is not None:
            self._keep_from_now_on(self._state, port)
        return port

    def make_talk(
        self,
        perform: Callable[[Event], object],
        *,
        is_interactive: bool,  # noqa: ARG002
    ) -> RegistryTalk:
        """Make what gives meaning; called after `make_output`."""
        assert self._output is not None
        return RegistryTalk(perform, self._output, self._state)

    def _make_machine(self, snapshot: bytes | None) -> Registry:
        options = self.options
        return Registry(
            os.urandom,
            max_entries=options.max_entries,
            snapshot=snapshot,
            snapshot_every=None if options.state is None else _SAVE_EVERY,
            streams=options.tcp,
            timing=options.timing,
        )

    def _keep_from_now_on(self, state: StateFile, port: Port) -> None:
        """Write the state now, and not when the first has come, who would rely on it."""
        try:
            state.write(self.machine.snapshot())
        except OSError as error:
            port.close()
            raise CannotStartError(_explain_state(state, error)) from error

    def _restore(self, state: StateFile) -> None:
        try:
            data = state.take()
            if data is not None:
                self.machine = self._make_machine(data)
        except OSError as error:
            raise CannotStartError(_explain_state(state, error)) from error
        except UsageError as error:
            raise CannotStartError(
                f"{state.path}: {error}; move it away to begin with an empty table"
            ) from error


def _explain_state(state: StateFile, error: OSError) -> str:
    if isinstance(error, BlockingIOError):
        return (
            f"can't keep the state in {state.path}: another `palaver registry` keeps its own there"
        )
    return f"can't keep the state in {state.path}: {error.strerror or error}"

"""`palaver join`: one room of a hub; lines go to all others there."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import Final

from palaver import (
    Address,
    Closed,
    Dialing,
    Event,
    Leave,
    Notice,
    Overdue,
    Reason,
    Side,
    StillDialing,
    Undelivered,
    UsageError,
    WouldBlock,
    Writable,
)
from palaver.roles.group.events import (
    CameIn,
    Entered,
    Gap,
    Interrupted,
    JoinRefused,
    JoinRoom,
    Post,
    PostHeard,
    PostSpread,
    PostTaken,
    WentOut,
)
from palaver.roles.group.member import Member
from palaver_io.addresses import format_address, resolve_peer
from palaver_io.opening import open_caller
from palaver_io.port import Port

from .escape import preview
from .group_arguments import JoinOptions
from .group_json import JsonGroupOutput
from .group_output import GroupOutput, PlainGroupOutput
from .lines import EndOfInput, Input, Line
from .replay import Entry, Replay
from .screen import Screen
from .session import CannotStartError
from .status import EXIT_FAILURE, EXIT_OK, EXIT_UNDELIVERED, EXIT_USAGE
from .terminal import Prompt

_LEFT: Final = "the room was left"


class JoinCommand:
    """One run of `palaver join`."""

    messages: tuple[type[Notice], ...] = (PostHeard,)

    def __init__(self, options: JoinOptions) -> None:
        self.options = options
        self.machine = Member(os.urandom, streams=options.tcp, timing=options.timing)
        self._output: GroupOutput | None = None
        self._hub: Address | None = None

    def make_output(self, screen: Screen, *, numbered: bool) -> GroupOutput:
        """Make what tells people or programs; `numbered`: lines are known by their numbers."""
        self._output = (
            JsonGroupOutput(screen)
            if self.options.json
            else PlainGroupOutput(screen, verbose=self.options.verbose, numbered=numbered)
        )
        return self._output

    def open_port(self) -> Port:
        """Open the socket, and look up where the hub is. Raises CannotStartError."""
        options = self.options
        try:
            self._hub = resolve_peer(options.host, options.port)
            return open_caller(self._hub, tcp=options.tcp)
        except ValueError as error:
            raise CannotStartError(str(error), EXIT_USAGE) from error
        except OSError as error:
            raise CannotStartError(error.strerror or str(error)) from error

    def make_talk(self, perform: Callable[[Event], object], *, is_interactive: bool) -> JoinTalk:
        """Make what gives meaning."""
        assert self._output is not None
        assert self._hub is not None
        options = self.options
        order = JoinRoom(
            self._hub,
            options.name,
            options.room,
            backlog=options.backlog,
            timeout=options.timeout,
        )
        return JoinTalk(
            perform, self._output, order, wait=options.wait, is_interactive=is_interactive
        )


class JoinTalk:
    """One membership, from its first notice to `is_over`."""

    def __init__(
        self,
        perform: Callable[[Event], object],
        output: GroupOutput,
        order: JoinRoom,
        *,
        wait: bool,
        is_interactive: bool,
    ) -> None:
        self.is_over = False
        self.status = EXIT_OK
        self._perform = perform
        self._output = output
        self._order = order
        self._wait = wait
        self._is_interactive = is_interactive
        self._address = format_address(order.address)
        self._link: int | None = None
        self._is_in = False
        self._is_blocked = False
        self._at_end = False
        self._has_left = False
        # Lines that were not given to the machine yet, and those that the hub has not taken.
        self._held: deque[Line] = deque()
        self._waiting: dict[int, str] = {}
        self._replay = Replay()

    # Getters

    @property
    def due(self) -> float:
        """When to tell who is there now, on `time.monotonic`; infinity for never."""
        return self._replay.due

    @property
    def is_engaged(self) -> bool:
        """Whether there is somebody to take leave of."""
        return self._link is not None and not self.is_over

    @property
    def wants_line(self) -> bool:
        """Whether a line that came now could be sent at once."""
        return self._is_in and not (self._held or self._is_blocked or self._at_end)

    def prompt(self) -> Prompt:
        """Show that lines can be sent."""
        return Prompt("> " if self._is_in else "")

    # Inputs

    def begin(self, _address: Address) -> None:
        """Start: join."""
        self._perform(self._order)

    def take_input(self, item: Input) -> None:
        """Take a line, or the end of all lines."""
        if isinstance(item, EndOfInput):
            self._at_end = True
        elif self.is_over or (self._at_end and not self._is_interactive):
            self._refuse(item, _LEFT)
        elif item.text.strip().lower() == "exit" and not item.problem:
            self._at_end = True
            self._wait = False
            if self._is_interactive:
                self._held.clear()
        else:
            self._held.append(item)
        self._flush()

    def stop(self, status: int = EXIT_OK) -> None:
        """Leave; what the hub was sent before still arrives."""
        self._fail(status)
        if self._link is None:
            self.is_over = True
        self._leave()

    def on_time(self) -> None:
        """Tell that the past is over."""
        replay = self._replay
        replay.end()
        if self._link is not None and not self.is_over:
            self._output.caught_up(self._link, replay.number, replay.others)

    def take_notice(self, notice: Notice) -> None:
        """Take what the machine tells."""
        match notice:
            case Dialing():
                self._link = notice.link
                self._output.dialing(notice)
            case StillDialing():
                self._output.still_dialing(self._address, notice)
            case Entered():
                self._enter(notice)
            case JoinRefused():
                self._output.refused(notice)
            case Interrupted():
                self._replay.end()
                self._output.interrupted(notice)
            case Gap():
                self._output.gap(notice)
            case Closed():
                self._close(notice)
            case Writable():
                self._is_blocked = False
            case _:
                self._take_other(notice)
        self._flush()

    def _take_other(self, notice: Notice) -> None:
        match notice:
            case PostHeard() | CameIn() | WentOut():
                if self._replay.take(notice):
                    self._tell_entry(notice)
            case PostTaken():
                begin = self._waiting.pop(notice.ref, "")
                self._output.taken(notice.ref, begin, notice.number)
            case PostSpread():
                self._output.spread(notice)
            case Overdue():
                self._output.overdue(notice.ref, self._waiting.get(notice.ref, ""))
            case Undelivered():
                self._fail(EXIT_UNDELIVERED)
                begin = self._waiting.pop(notice.ref, "")
                self._output.undelivered(notice.ref, begin, notice.reason)
            case _:
                pass

    def _tell_entry(self, entry: Entry) -> None:
        if isinstance(entry, PostHeard):
            self._output.heard(entry)
        elif isinstance(entry, CameIn):
            self._output.joined(entry, past=self._replay.is_on)
        else:
            self._output.left(entry)

    def _enter(self, notice: Entered) -> None:
        again = self._is_in
        self._is_in = True
        self._replay.begin(notice, asked=bool(self._order.backlog) and not again)
        self._output.entered(notice, again=again, past=self._replay.is_on)
        if self._is_interactive and not again:
            self._output.hint('Type a line and press Enter to say it to all; "exit" leaves.')

    def _close(self, notice: Closed) -> None:
        self._output.closed(self._address, notice, was_in=self._is_in)
        left = notice.reason == Reason.LEFT and notice.by is Side.LOCAL
        cancelled = notice.reason == Reason.CANCELLED and self._has_left
        if not (left or cancelled or (self._is_in and notice.reason == Reason.SHUTTING_DOWN)):
            self._fail(EXIT_FAILURE)
        self.is_over = True
        self._replay.end()
        while self._held:
            self._refuse(self._held.popleft(), _LEFT)

    # Lines

    def _flush(self) -> None:
        """Give the machine the lines that it takes; at the end of input, leave."""
        while self._held and self._is_in and not (self._is_blocked or self.is_over):
            line = self._held[0]
            if line.problem:
                self._refuse(self._held.popleft(), line.problem)
                continue
            try:
                self._post(line)
            except WouldBlock:
                self._is_blocked = True
                return
            self._held.popleft()
        done = not (self._held or self._waiting) or self._is_interactive
        if self._at_end and not self._wait and done and self._link is not None:
            self._leave()

    def _post(self, line: Line) -> None:
        """Post a line. Raises WouldBlock."""
        assert self._link is not None
        # Before it is posted, for a program's thread may tell of it at once.
        self._waiting[line.number] = preview(line.text)
        try:
            self._perform(Post(self._link, line.text, line.number))
        except UsageError as error:
            del self._waiting[line.number]
            self._refuse(line, str(error))
        except WouldBlock:
            del self._waiting[line.number]
            raise

    def _refuse(self, line: Line, problem: str) -> None:
        """Tell that a line was not sent; a person can correct it, but a script can't."""
        if not self._is_interactive:
            self._fail(EXIT_UNDELIVERED)
        self._output.unsent(line.number, preview(line.text), problem)

    def _leave(self) -> None:
        if not self._has_left and self._link is not None and not self.is_over:
            self._has_left = True
            self._perform(Leave(self._link))

    def _fail(self, status: int) -> None:
        self.status = max(self.status, status)

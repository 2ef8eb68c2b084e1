"""The logic of `palaver peer`: notices and lines in, commands and output out; no I/O."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from palaver import (
    Accept,
    Address,
    CallEnded,
    Calling,
    CallOpened,
    Connect,
    Delivered,
    Depart,
    Departed,
    Enlist,
    Enlisted,
    EnlistRefused,
    Event,
    Heard,
    Notice,
    Outcome,
    Overdue,
    Present,
    Reason,
    RegistryAway,
    Reject,
    Replaced,
    Ringing,
    Say,
    Side,
    StillCalling,
    Terminate,
    Unanswered,
    Undelivered,
    UsageError,
    Who,
    WouldBlock,
    Writable,
)
from palaver_io.addresses import format_address

from .escape import preview
from .lines import EndOfInput, Input, Line
from .parties import Parties, Party, UnclearError
from .peer_help import HELP, explain_unknown
from .peer_output import PeerOutput
from .peer_policy import PeerPolicy
from .status import EXIT_FAILURE, EXIT_OK, EXIT_UNDELIVERED
from .terminal import Prompt

_FOREVER: Final = float("inf")
_ENDED: Final = "too late: everything has been ended, or is about to be"
_PATIENCE: Final = 30.0
"""For how many seconds a script waits to be entered, unless `--timeout` says otherwise."""
_TO_KNOW: Final = 1
"""The ref of a list that is only asked for to know names; those of people are 0."""


class NotYetError(Exception):
    """What a script asks for can't be done yet, but perhaps soon."""


class PeerTalk:
    """One run of `palaver peer`, from its first notice to `is_over`.

    A person's commands are obeyed at once or refused. A script's wait until they can be obeyed.
    """

    def __init__(
        self, perform: Callable[[Event], object], output: PeerOutput, policy: PeerPolicy
    ) -> None:
        self.is_over = False
        self.parties = Parties()
        self._perform = perform
        self._output = output
        self._policy = policy
        self._held: deque[Line] = deque()
        self._status = EXIT_OK
        self._is_entered = False
        self._id = 0
        self._is_stopping = False
        self._has_departed = False
        self._at_end = False
        # When a script that was never entered gives up.
        self.due = _FOREVER
        # Lists that the registry was asked for and has not finished.
        self._lists = 0
        self._verbs: dict[str, Callable[[str, Line], None]] = {
            "list": self._list,
            "connect": self._connect,
            "accept": self._accept,
            "reject": self._reject,
            "send": self._send,
            "use": self._use,
            "terminate": self._terminate,
            "leave": self._leave,
            "exit": self._leave,
            "help": self._help,
        }

    # Getters

    @property
    def status(self) -> int:
        """The exit status so far."""
        return self._status

    @property
    def wants_line(self) -> bool:
        """Whether a line that came now could be obeyed at once."""
        return not self._held and not self._at_end and not self._is_stopping

    @property
    def _is_waiting(self) -> bool:
        """Whether something is under way that a script does not leave behind."""
        return self._lists > 0 or any(one.waiting for one in self.parties)

    @property
    def is_engaged(self) -> bool:
        """Whether there is somebody to take leave of."""
        return self._is_entered or bool(self.parties)

    def prompt(self) -> Prompt:
        """Show for whom what is sent will be."""
        current = self.parties.current
        if self._is_stopping:
            return Prompt("")
        if current is None:
            return Prompt("> ")
        return Prompt(f"{current.who}> ", current.link)

    # Inputs

    def begin(self, address: Address) -> None:  # noqa: ARG002 - others learn it by the registry
        """Start."""
        self._output.enlisting(self._policy.name, format_address(self._policy.registry))
        self._perform(Enlist())

    def take_notice(self, notice: Notice) -> None:
        """Take what the machine tells."""
        party = self.parties.get(getattr(notice, "link", 0))
        match notice:
            case Calling():
                party = Party(notice.link, str(notice.to))
                self.parties.add(party)
                self._output.calling(party)
            case Ringing():
                self._ring(notice)
            case _ if party is not None:
                self._take_about(party, notice)
            case _:
                self._take_of_registry(notice)
        self._go_on()

    def take_input(self, item: Input) -> None:
        """Take a line, or the end of all lines."""
        if isinstance(item, EndOfInput):
            self._at_end = True
        elif self._is_stopping:
            self._lose(item, _ENDED)
        else:
            self._held.append(item)
        self._go_on()

    def on_time(self) -> None:
        """Give up: the registry does not answer, and nobody is there who could do so."""
        where = format_address(self._policy.registry)
        self._output.problem(
            f"no answer from the registry at {where} within {self._patience:g} s; is "
            "`palaver registry` running there? --timeout changes how long a script waits"
        )
        self.stop(EXIT_FAILURE)

    def stop(self, status: int = EXIT_OK) -> None:
        """End all calls and leave the registry; what was sent before still arrives."""
        self._status = max(self._status, status)
        if self._is_stopping:
            return
        self._is_stopping, self.due = True, _FOREVER
        for line in self._held:
            self._lose(line, _ENDED)
        self._held.clear()
        if not self._has_departed:
            self._perform(Depart())
            return
        for one in self.parties:
            self._perform(Terminate(one.link))
        self._end_if_done()

    # Notices

    def _ring(self, notice: Ringing) -> None:
        party = Party(
            notice.link,
            "",
            notice.peer,
            notice.name,
            notice.address,
            notice.verified,
            is_ringing=True,
        )
        self.parties.add(party)
        accept = self._policy.accept
        self._output.ringing(party, asks=accept == "ask" and self._policy.is_interactive)
        if accept == "all":
            self._perform(Accept(notice.link))
        elif accept == "none":
            self._perform(Reject(notice.link, "takes no calls"))

    def _take_about(self, one: Party, notice: Notice) -> None:
        output = self._output
        match notice:
            case CallOpened():
                one.peer, one.name, one.address = notice.peer, notice.name, notice.address
                one.verified, one.is_open, one.is_ringing = notice.verified, True, False
                for other in self.parties:
                    other.was_calling |= other is not one and other.wants(one.peer, one.name)
                self.parties.use(one)
                output.opened(one)
            case StillCalling():
                output.still_calling(one, notice)
            case Heard():
                output.message(one, notice)
            case Delivered():
                output.delivered(one, notice.ref, one.waiting.pop(notice.ref, ""))
            case Overdue():
                output.overdue(one, notice.ref, one.waiting.get(notice.ref, ""))
            case Undelivered():
                self._status = max(self._status, EXIT_UNDELIVERED)
                begin = one.waiting.pop(notice.ref, "")
                output.undelivered(one, notice.ref, begin, notice.reason)
            case Writable():
                one.is_blocked = False
            case CallEnded():
                self._end(one, notice)
            case _:
                pass

    def _end(self, one: Party, notice: CallEnded) -> None:
        self.parties.remove(one)
        one.is_me = one.wants(self._id, self._policy.name)
        one.is_called = any(other.is_awaited(one.wanted) for other in self.parties)
        self._output.ended(one, notice)
        ended_well = notice.outcome is Outcome.TERMINATED or notice.by is Side.LOCAL
        if not self._policy.is_interactive and one.wanted and not ended_well:
            self._status = max(self._status, EXIT_FAILURE)
        self._end_if_done()

    def _take_of_registry(self, notice: Notice) -> None:
        if isinstance(notice, Present | Unanswered):
            self._take_answer(notice)
            return
        self._output.registry(notice)
        if isinstance(notice, Enlisted):
            self._is_entered, self._id = True, notice.id
            self._ask(Who(_TO_KNOW))
        elif isinstance(notice, Replaced | EnlistRefused):
            self._has_departed = True
            if isinstance(notice, Replaced) or not self._is_entered:
                self.stop(EXIT_FAILURE)
            self._is_entered = False
        elif isinstance(notice, RegistryAway):
            if notice.reason == Reason.WRONG_ROLE and not self._id:
                self.stop(EXIT_FAILURE)
        elif isinstance(notice, Departed):
            self._has_departed = True
            self._end_if_done()

    def _take_answer(self, notice: Present | Unanswered) -> None:
        is_for_us = notice.ref == _TO_KNOW
        is_whole = False
        if isinstance(notice, Present):
            tell = self._output.learn if is_for_us else self._output.registry
            tell(notice)
            if notice.more and self._ask(Who(notice.ref, notice.entries[-1].id)):
                return
            is_whole = not notice.more
        if not is_for_us:
            self._lists -= 1
            if not is_whole:
                self._output.problem("the registry went away before it could say who is there")

    def _ask(self, question: Who) -> bool:
        """Ask the registry, unless it went away meanwhile; tell whether it was asked."""
        try:
            self._perform(question)
        except UsageError:
            return False
        return True

    def _end_if_done(self) -> None:
        if self._is_stopping and self._has_departed and not self.parties:
            self.is_over = True

    # Commands

    def _go_on(self) -> None:
        """Obey what can be obeyed now, in order; at the end of input, leave when all is done."""
        self._limit_patience()
        while self._held and not self._is_stopping:
            line = self._held[0]
            try:
                self._obey(line)
            except NotYetError:
                return
            except (UnclearError, UsageError) as error:
                self._refuse(line, str(error))
            if self._held and self._held[0] is line:
                self._held.popleft()
        if not self._at_end or self._is_stopping or self._policy.wait:
            return
        # Who has never been entered waits for the answer, as a caller does.
        if self._policy.is_interactive or (self._id and not self._is_waiting):
            self.stop()

    @property
    def _patience(self) -> float:
        return self._policy.timeout or _PATIENCE

    def _limit_patience(self) -> None:
        """See that a script that was never entered does not wait for that for ever."""
        policy = self._policy
        if self._id or self._is_stopping or policy.is_interactive or policy.wait:
            self.due = _FOREVER
        elif self.due == _FOREVER and (self._held or self._at_end):
            self.due = time.monotonic() + self._patience

    def _obey(self, line: Line) -> None:
        """Do what a line says. Raises NotYetError, UnclearError and UsageError."""
        if line.problem:
            raise UnclearError(line.problem)
        verb, _, rest = line.text.lstrip().partition(" ")
        if not verb:
            return
        if not (self._is_entered or self._policy.is_interactive):
            raise NotYetError
        known = self._verbs.get(verb.strip().lower())
        if known is None:
            raise UnclearError(explain_unknown(line.text, to_say=self.parties.current is not None))
        if known != self._send:
            rest = rest.strip()
        known(rest, line)

    def _list(self, _: str, __: Line) -> None:
        self._perform(Who())
        self._lists += 1

    def _connect(self, who: str, _: Line) -> None:
        if not who:
            raise UnclearError("connect to whom? Type an id or a name")
        to: int | str = int(who) if who.isdecimal() and len(who) < 12 else who
        self._perform(Connect(to, timeout=self._policy.timeout))

    def _accept(self, who: str, _: Line) -> None:
        one, rest = self._pick_ringing(who)
        if rest:
            raise UnclearError(f'nobody called "{rest[:40]}" calls')
        self._perform(Accept(one.link))

    def _reject(self, who: str, _: Line) -> None:
        one, why = self._pick_ringing(who)
        one.is_ringing = False
        self._perform(Reject(one.link, why))

    def _pick_ringing(self, who: str) -> tuple[Party, str]:
        if not self._policy.is_interactive and not any(one.is_ringing for one in self.parties):
            raise NotYetError
        return self.parties.pick(who, lambda one: one.is_ringing, "calling")

    def _send(self, text: str, line: Line) -> None:
        one = self.parties.current
        if self._policy.is_interactive and line.target is not None:
            # It was settled for whom it is when its first character was typed.
            one = self.parties.get(line.target)
        if one is None or not one.takes_lines:
            if not self._policy.is_interactive and self._may_open():
                raise NotYetError
            self._status = max(
                self._status, EXIT_OK if self._policy.is_interactive else EXIT_UNDELIVERED
            )
            raise UnclearError('there is no conversation: "connect" to somebody first')
        if one.is_blocked:
            raise NotYetError
        try:
            self._perform(Say(one.link, text, line.number))
        except WouldBlock:
            one.is_blocked = True
            raise NotYetError from None
        one.waiting[line.number] = preview(text)

    def _may_open(self) -> bool:
        """Whether a conversation may come yet."""
        return (
            any(not one.is_leaving and not one.is_open for one in self.parties)
            or self._policy.accept == "all"
        )

    def _use(self, who: str, _: Line) -> None:
        one, rest = self.parties.pick(who, lambda one: one.takes_lines, "in a conversation")
        if rest or not who:
            raise UnclearError("use what? Type the id or the name of somebody you talk with")
        self.parties.use(one)
        self._output.current(one)

    def _terminate(self, who: str, _: Line) -> None:
        if not self._policy.is_interactive and self._is_waiting:
            raise NotYetError
        if who:
            one, rest = self.parties.pick(who, lambda one: not one.is_leaving, "in a call")
            if rest:
                raise UnclearError(f'there is no call with "{who[:40]}"')
        else:
            current = self.parties.current
            one = current or self.parties.pick("", lambda one: not one.is_leaving, "in a call")[0]
        one.is_leaving = True
        one.is_ringing = False
        self._perform(Terminate(one.link))

    def _leave(self, _: str, __: Line) -> None:
        if not self._policy.is_interactive and self._is_waiting:
            raise NotYetError
        self._held.popleft()
        self.stop()

    def _help(self, _: str, __: Line) -> None:
        for line in HELP.splitlines():
            self._output.hint(line)

    def _refuse(self, line: Line, problem: str) -> None:
        if not self._policy.is_interactive:
            self._status = max(self._status, EXIT_FAILURE)
        self._output.unsent(line.number, preview(line.text), problem)

    def _lose(self, line: Line, problem: str) -> None:
        if not self._policy.is_interactive:
            self._status = max(self._status, EXIT_UNDELIVERED)
        self._output.unsent(line.number, preview(line.text), problem)

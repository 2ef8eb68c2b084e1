"""The logic of a chat: notices and lines in, commands and output out. It does no I/O itself."""

from __future__ import annotations

from collections.abc import Callable

from palaver import (
    Address,
    Call,
    Closed,
    ConversationOpened,
    Delivered,
    Dialing,
    Event,
    Finish,
    Finished,
    Leave,
    Notice,
    Overdue,
    Reason,
    Said,
    Side,
    StillDialing,
    Undelivered,
    Writable,
)
from palaver.roles.plain.events import Missed, PlainOpened, Sent, Stalled, Unheard
from palaver_io.addresses import format_address

from .conversations import Conversation, Conversations
from .escape import escape
from .lines import EndOfInput, Input
from .network import LISTEN, hint_at
from .outgoing import Outgoing, Policy
from .output import Output
from .plain_network import NO_PROMISE, hint_at_plain
from .status import EXIT_FAILURE, EXIT_OK, EXIT_UNDELIVERED
from .terminal import Prompt

_PROPER_ENDS = {Reason.LEFT, Reason.SHUTTING_DOWN}


class Chat:
    """One run of `palaver listen` or `palaver call`, from its first notice to `is_over`.

    `perform` gives a command to the machine; it may raise UsageError and WouldBlock.
    """

    def __init__(self, perform: Callable[[Event], object], output: Output, policy: Policy) -> None:
        self.is_over = False
        self.conversations = Conversations()
        self._perform = perform
        self._output = output
        self._policy = policy
        self._outgoing = Outgoing(perform, output, policy, self.conversations, self._exit)
        self._at_end = False
        self._is_stopping = False
        self._was_open = False
        self._status = EXIT_OK

    # Getters

    @property
    def status(self) -> int:
        """The exit status so far."""
        return max(self._status, EXIT_UNDELIVERED if self._outgoing.lost_any else EXIT_OK)

    @property
    def wants_line(self) -> bool:
        """Whether a line that came now could be sent at once."""
        return (
            self._outgoing.is_empty
            and not self._at_end
            and not self._is_stopping
            and any(one.takes_lines for one in self.conversations)
        )

    @property
    def is_engaged(self) -> bool:
        """Whether there is somebody to take leave of."""
        return bool(self.conversations)

    def prompt(self) -> Prompt:
        """Show that lines can be sent, and to whom if there is a choice."""
        current = self.conversations.current()
        if current is None:
            return Prompt("")
        if self._policy.max_conversations == 1:
            return Prompt("> ")
        return Prompt(f"{escape(self.conversations.handle(current))}> ", current.link)

    # Inputs

    def begin(self, address: Address) -> None:
        """Start: the machine can be reached at `address`."""
        if self._policy.peer is not None:
            if self._policy.plain:
                self._output.hint(NO_PROMISE)
            self._perform(Call(self._policy.peer, timeout=self._policy.timeout))
        else:
            policy = self._policy
            hints = [] if policy.plain else hint_at(LISTEN, address, tcp=policy.tcp)
            if policy.plain or policy.plain_too:
                hints += hint_at_plain(address, tcp=policy.tcp)
            self._output.listening(*address, format_address(address), hints)

    def take_notice(self, notice: Notice) -> None:
        """Take what the machine tells."""
        match notice:
            case Dialing():
                one = Conversation(notice.link, format_address(notice.address))
                self.conversations.add(one)
                self._output.dialing(one)
            case ConversationOpened() | PlainOpened():
                self._open(notice)
            case _:
                link = getattr(notice, "link", None)
                one_or_none = self.conversations.get(link) if link is not None else None
                if one_or_none is not None:
                    self._take_about(one_or_none, notice)
        self._send_held()

    def take_input(self, item: Input) -> None:
        """Take a line, or the end of all lines."""
        if isinstance(item, EndOfInput):
            self._at_end = True
        else:
            self._outgoing.add(item)
        self._send_held()

    def stop(self, status: int = EXIT_OK) -> None:
        """End all conversations, and the chat with them; what was sent before still arrives."""
        self._is_stopping = True
        self._status = max(self._status, status)
        for one in self.conversations:
            self._leave(one)
        self._end_if_done()

    # Notices

    def _open(self, notice: ConversationOpened | PlainOpened) -> None:
        one = self.conversations.get(notice.link)
        if one is None:
            if self._is_stopping:
                self._perform(Leave(notice.link, Reason.SHUTTING_DOWN))
                return
            one = Conversation(notice.link, format_address(notice.address))
            self.conversations.add(one)
        if isinstance(notice, PlainOpened):
            one.is_plain = True
        else:
            one.name = notice.name
        one.is_open = True
        self._output.opened(one, inbound=notice.inbound)
        if self._policy.is_interactive and not self._was_open:
            self._was_open = True
            self._output.hint(
                'Type a line and press Enter to send it; "exit" ends the conversation.'
            )

    def _take_about(self, one: Conversation, notice: Notice) -> None:
        output = self._output
        match notice:
            case Said():
                self.conversations.hear(one)
                output.message(one, self.conversations.label(one), notice.text)
            case Delivered():
                output.delivered(one, notice.ref, one.waiting.pop(notice.ref, ""))
                self._leave_if_due(one)
            case Overdue():
                output.overdue(one, notice.ref, one.waiting.get(notice.ref, ""))
            case Undelivered():
                self._lose(one, notice.ref, notice.reason)
                self._leave_if_due(one)
            case Writable():
                one.is_blocked = False
                output.writable(one)
            case Finished():
                one.has_finished = True
                output.finished(one, self.conversations.label(one))
                self._leave_if_due(one)
            case StillDialing():
                output.still_dialing(one, notice.attempt, unreachable=notice.unreachable)
            case Closed():
                self._close(one, notice)
            case _:
                self._take_about_plain(one, notice)

    def _take_about_plain(self, one: Conversation, notice: Notice) -> None:
        output = self._output
        match notice:
            case Sent():
                output.sent(one, notice.ref, one.waiting.pop(notice.ref, ""))
                self._leave_if_due(one)
            case Unheard():
                output.unheard(one)
            case Stalled():
                output.stalled(one)
            case Missed():
                output.missed(one, notice.count)
            case _:
                pass

    def _close(self, one: Conversation, notice: Closed) -> None:
        for line in list(one.waiting):  # said after the end, of which we hear only now
            self._lose(one, line, notice.reason)
        label = self.conversations.label(one)
        self.conversations.remove(one.link)
        self._output.closed(one, label, notice)
        cancelled = notice.reason == Reason.CANCELLED and notice.by is Side.LOCAL
        if not (notice.reason in _PROPER_ENDS if one.is_open else cancelled):
            self._fail(EXIT_FAILURE)
        if not self.conversations and not self._is_stopping:
            if self._policy.keep_open:
                self._output.hint("Waiting for the next call; Ctrl-C ends this.")
            else:
                self._is_stopping = True
        self._end_if_done()

    def _lose(self, one: Conversation, line: int, reason: int) -> None:
        self._fail(EXIT_UNDELIVERED)
        self._output.undelivered(one, line, one.waiting.pop(line, ""), reason)

    def _end_if_done(self) -> None:
        if not self._is_stopping or self.conversations or self.is_over:
            return
        self.is_over = True
        self._outgoing.give_up(counts=True)

    def _send_held(self) -> None:
        """Send what can be sent now, in order; at the end of input, say so."""
        if self.is_over:  # what a person types now was meant for something else
            self._outgoing.give_up(counts=not self._policy.is_interactive)
        if not self._is_stopping:
            self._outgoing.flush()
        if self._at_end and self._outgoing.is_empty and not self._is_stopping:
            self._end_input()

    # Ends

    def _exit(self, one: Conversation | None) -> None:
        """Do what "exit" means: a person leaves now, a script when all has arrived."""
        if one is None:  # "exit" cancels a call, and what waits for one
            self.stop()
        elif self._policy.is_interactive:
            self._leave(one)
        else:
            one.is_leaving = True
            self._leave_if_due(one)

    def _end_input(self) -> None:
        for one in self.conversations:
            if not one.is_open:
                if self._policy.is_interactive:
                    self._leave(one)
            elif not self._policy.is_caller or self._policy.wait:
                self._finish(one)
                self._leave_if_due(one)
            elif one.takes_lines:
                one.is_leaving = True
                self._leave_if_due(one)

    def _finish(self, one: Conversation) -> None:
        if one.takes_lines and not one.said_finish:
            one.said_finish = True
            self._perform(Finish(one.link))

    def _leave_if_due(self, one: Conversation) -> None:
        """Leave when nothing waits any more and there is a reason to."""
        both_finished = self._policy.is_caller and one.said_finish and one.has_finished
        if not one.waiting and (one.is_leaving or both_finished):
            self._leave(one)

    def _leave(self, one: Conversation) -> None:
        if not one.has_left:
            one.has_left = True
            self._perform(Leave(one.link))

    def _fail(self, status: int) -> None:
        self._status = max(self._status, status)

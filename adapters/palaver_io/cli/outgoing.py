"""Lines on their way out: whom each is for, and what happens when it can't be sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from palaver import Address, Event, Say, UsageError, WouldBlock

from .conversations import Conversation, Conversations, UnclearError
from .escape import preview
from .lines import Line
from .output import Output

_OVER = "the conversation is over"


@dataclass(frozen=True)
class Policy:
    """How a chat begins, who takes part, and when it is over."""

    is_caller: bool
    peer: Address | None = None
    """Whom a caller calls."""
    timeout: float | None = None
    """For how many seconds, if not for as long as it takes."""
    tcp: bool = False
    """Over TCP, which callers must know."""
    keep_open: bool = False
    """A listener goes on after a conversation."""
    max_conversations: int = 1
    plain: bool = False
    """In plain text, which promises nothing."""
    plain_too: bool = False
    """A listener takes calls, and plain text as well."""
    wait: bool = False
    """A caller goes on receiving after the end of its input."""
    is_interactive: bool = False
    """Lines come from a person, who sees what becomes of them."""


@dataclass(frozen=True)
class _Saying:
    """A line for which it was decided who gets it, and what is said."""

    one: Conversation
    line: Line
    text: str


class Outgoing:
    """The lines that were typed and not sent yet, in order.

    `on_exit` is called for "exit", with the conversation to end, or None if there is none.
    `lost_any` tells whether a line was lost that nobody can correct.
    """

    def __init__(
        self,
        perform: Callable[[Event], object],
        output: Output,
        policy: Policy,
        conversations: Conversations,
        on_exit: Callable[[Conversation | None], None],
    ) -> None:
        self.lost_any = False
        self._perform = perform
        self._output = output
        self._policy = policy
        self._conversations = conversations
        self._on_exit = on_exit
        self._held: deque[Line] = deque()
        # Taken from `_held`, but there was no room for it.
        self._stuck: _Saying | None = None

    @property
    def is_empty(self) -> bool:
        """Whether every line was sent or refused."""
        return not self._held and self._stuck is None

    def add(self, line: Line) -> None:
        """Take a line; `flush` sends it."""
        self._held.append(line)

    def flush(self) -> None:
        """Send what can be sent now."""
        if self._stuck is not None:
            one = self._stuck.one
            if one.is_blocked and self._conversations.get(one.link) is one:
                return
            if not self._say(self._stuck):
                return
        while self._held:
            line = self._held[0]
            if not line.problem and self._must_wait(line):
                self._cancel_if_asked()
                return
            self._held.popleft()
            if not self._send(line):
                return

    def give_up(self, *, counts: bool) -> None:
        """Refuse all lines that are left: nobody will be there. Whether they count as lost."""
        if self._stuck is not None:
            self._held.appendleft(self._stuck.line)
            self._stuck = None
        while self._held:
            self._refuse(self._held.popleft(), _OVER, is_final=counts)

    def _must_wait(self, line: Line) -> bool:
        """Whether nobody is there, and the line is for whoever comes."""
        if line.target is not None or any(one.takes_lines for one in self._conversations):
            return False
        if not self._policy.is_interactive:
            return True
        # What a person types during a call is for whoever answers it, but "exit" cancels it.
        return any(not one.is_open for one in self._conversations) and not _is_exit(line.text)

    def _cancel_if_asked(self) -> None:
        """Obey a person's "exit" that stands behind lines which wait for an answer."""
        if not self._policy.is_interactive:
            return
        for line in self._held:
            if not line.problem and line.target is None and _is_exit(line.text):
                self._held.remove(line)
                self._on_exit(None)
                return

    def _send(self, line: Line) -> bool:
        """Send or refuse a line; False if there is no room for it."""
        if line.problem:
            self._refuse(line, line.problem)
            return True
        try:
            one, text = self._choose(line)
        except UnclearError as error:
            self._refuse(line, str(error))
            return True
        if _is_exit(text):
            self._on_exit(one)
        elif one is None:
            self._refuse(line, "nobody is here")
        else:
            return self._say(_Saying(one, line, text))
        return True

    def _choose(self, line: Line) -> tuple[Conversation | None, str]:
        """Find whom a line is for, and what is to be said. Raises UnclearError."""
        text = line.text
        if self._policy.max_conversations > 1 and text.startswith("@"):
            if not text.startswith("@@"):
                return self._conversations.pick(text)
            text = text[1:]
        if line.target is None:
            return self._conversations.current(), text
        one = self._conversations.get(line.target)
        if one is None or not one.takes_lines:
            raise UnclearError(_OVER)
        return one, text

    def _say(self, saying: _Saying) -> bool:
        """Say it, or keep it until there is room for it: False then."""
        one, line = saying.one, saying.line
        self._stuck = None
        if self._conversations.get(one.link) is not one:
            self._refuse(line, _OVER, is_final=True)
            return True
        try:
            self._perform(Say(one.link, saying.text, line.number))
        except WouldBlock:
            one.is_blocked = True
            self._stuck = saying
            return False
        except UsageError as error:
            self._refuse(line, str(error))
        else:
            one.waiting[line.number] = preview(saying.text)
        return True

    def _refuse(self, line: Line, problem: str, *, is_final: bool = False) -> None:
        """Tell that a line was not sent; a person can correct it, but a script can't."""
        if is_final or not self._policy.is_interactive:
            self.lost_any = True
        self._output.unsent(line.number, preview(line.text), problem)


def _is_exit(text: str) -> bool:
    return text.strip().lower() == "exit"

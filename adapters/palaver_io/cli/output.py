"""What people and programs are told: the same events, as text or as JSON."""
# ruff: noqa: ARG002 - both are told the same, and each leaves out what its readers don't need

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from palaver import Closed, Reason, Side, reason_name

from .escape import escape, escape_text
from .telling import JsonTeller, PlainTeller, Teller

if TYPE_CHECKING:
    from .conversations import Conversation
    from .screen import Screen

_PATIENCE = 4
"""The unanswered HELLO after which people are told: three quarters of a second."""


class Output(Teller):
    """Tells what happens. `label` names a conversation in front of what it says."""

    @abstractmethod
    def listening(self, host: str, port: int, address: str, hints: list[str]) -> None:
        """We can be called at `address`."""

    @abstractmethod
    def dialing(self, one: Conversation) -> None:
        """We call."""

    @abstractmethod
    def still_dialing(self, one: Conversation, attempt: int, *, unreachable: bool) -> None:
        """Attempt number `attempt` was made."""

    @abstractmethod
    def opened(self, one: Conversation, *, inbound: bool) -> None:
        """Lines can go both ways."""

    @abstractmethod
    def message(self, one: Conversation, label: str, text: str) -> None:
        """The other side said something."""

    @abstractmethod
    def delivered(self, one: Conversation, line: int, begin: str) -> None:
        """The line, which begins with `begin`, has arrived."""

    @abstractmethod
    def sent(self, one: Conversation, line: int, begin: str) -> None:
        """The line has gone out in plain text; whether it arrives, nobody will know."""

    @abstractmethod
    def unheard(self, one: Conversation) -> None:
        """Nothing listens there, as far as the network can tell."""

    @abstractmethod
    def stalled(self, one: Conversation) -> None:
        """No more is sent until the other side says something."""

    @abstractmethod
    def missed(self, one: Conversation, count: int) -> None:
        """So many texts came too fast, and were dropped."""

    @abstractmethod
    def overdue(self, one: Conversation, line: int, begin: str) -> None:
        """The line has not arrived yet, for an uncommonly long time."""

    @abstractmethod
    def undelivered(self, one: Conversation, line: int, begin: str, reason: int) -> None:
        """The line will not arrive any more, as far as one can know."""

    @abstractmethod
    def unsent(self, line: int, begin: str, problem: str) -> None:
        """The line was not sent."""

    @abstractmethod
    def writable(self, one: Conversation) -> None:
        """The send queue has room again."""

    @abstractmethod
    def finished(self, one: Conversation, label: str) -> None:
        """The other side will send no more."""

    @abstractmethod
    def closed(self, one: Conversation, label: str, notice: Closed) -> None:
        """The conversation is over, or was never opened."""


class JsonOutput(JsonTeller, Output):
    """One JSON object a line on stdout; problems on stderr."""

    def listening(self, host: str, port: int, address: str, hints: list[str]) -> None:
        """We can be called at `address`."""
        self._write("listening", host=host, port=port, address=address)

    def dialing(self, one: Conversation) -> None:
        """We call."""
        self._write("dialing", link=one.link, address=one.address)

    def still_dialing(self, one: Conversation, attempt: int, *, unreachable: bool) -> None:
        """Attempt number `attempt` was made."""
        self._write("still-dialing", link=one.link, attempt=attempt, unreachable=unreachable)

    def opened(self, one: Conversation, *, inbound: bool) -> None:
        """Lines can go both ways."""
        plain = {"plain": True} if one.is_plain else {}
        about = {"link": one.link, "address": one.address, "name": one.name, "inbound": inbound}
        self._write("opened", **about, **plain)

    def message(self, one: Conversation, label: str, text: str) -> None:
        """The other side said something."""
        plain = {"plain": True} if one.is_plain else {}
        about = {"link": one.link, "address": one.address, "name": one.name, "text": text}
        self._write("message", **about, **plain)

    def delivered(self, one: Conversation, line: int, begin: str) -> None:
        """The line, which begins with `begin`, has arrived."""
        self._write("delivered", link=one.link, line=line)

    def sent(self, one: Conversation, line: int, begin: str) -> None:
        """The line has gone out in plain text; whether it arrives, nobody will know."""
        self._write("sent", link=one.link, line=line)

    def unheard(self, one: Conversation) -> None:
        """Nothing listens there, as far as the network can tell."""
        self._write("unheard", link=one.link)

    def stalled(self, one: Conversation) -> None:
        """No more is sent until the other side says something."""
        self._write("stalled", link=one.link)

    def missed(self, one: Conversation, count: int) -> None:
        """So many texts came too fast, and were dropped."""
        self._write("missed", link=one.link, count=count)

    def overdue(self, one: Conversation, line: int, begin: str) -> None:
        """The line has not arrived yet, for an uncommonly long time."""
        self._write("overdue", link=one.link, line=line)

    def undelivered(self, one: Conversation, line: int, begin: str, reason: int) -> None:
        """The line will not arrive any more, as far as one can know."""
        self._write("undelivered", link=one.link, line=line, reason=reason_name(reason))

    def unsent(self, line: int, begin: str, problem: str) -> None:
        """The line was not sent."""
        self._write("unsent", line=line, problem=problem)
        self.problem(f"line {line} was not sent: {problem}")

    def writable(self, one: Conversation) -> None:
        """The send queue has room again."""
        self._write("writable", link=one.link)

    def finished(self, one: Conversation, label: str) -> None:
        """The other side will send no more."""
        self._write("finished", link=one.link)

    def closed(self, one: Conversation, label: str, notice: Closed) -> None:
        """The conversation is over, or was never opened."""
        self._write(
            "closed",
            link=one.link,
            reason=reason_name(notice.reason),
            by=notice.by.value,
            text=notice.text,
            clean=notice.clean,
        )


class PlainOutput(PlainTeller, Output):
    """Messages on stdout as `name: text`; everything else on stderr."""

    def __init__(self, screen: Screen, *, verbose: bool, numbered: bool) -> None:
        super().__init__(screen)
        self._verbose = verbose
        self._numbered = numbered
        self._unreachable: bool | None = None

    def listening(self, host: str, port: int, address: str, hints: list[str]) -> None:
        """We can be called at `address`."""
        self._note(f"Listening on {address}.")
        for hint in hints:
            self._note(hint)

    def dialing(self, one: Conversation) -> None:
        """We call."""
        self._note(f"Calling {one.address} ...")

    def still_dialing(self, one: Conversation, attempt: int, *, unreachable: bool) -> None:
        """Attempt number `attempt` was made; tell people once, and again if it gets worse."""
        if self._verbose:
            self._note(f"Calling {one.address}, attempt {attempt} ...")
        if attempt < _PATIENCE or self._unreachable in {True, unreachable}:
            return
        self._unreachable = unreachable
        if unreachable:
            self._note(
                f"Nothing seems to listen at {one.address} yet. Still trying; Ctrl-C gives up."
            )
        else:
            self._note(f"No answer from {one.address} yet. Still trying; Ctrl-C gives up.")

    def opened(self, one: Conversation, *, inbound: bool) -> None:
        """Lines can go both ways."""
        if inbound:
            self._note(f"{one.who} is here.")
        elif one.is_plain:
            self._note(f"Talking to {one.who}.")
        else:
            self._note(f"Connected to {one.who}.")

    def message(self, one: Conversation, label: str, text: str) -> None:
        """The other side said something."""
        self._screen.out(f"{escape(label)}: {escape_text(text)}")

    def delivered(self, one: Conversation, line: int, begin: str) -> None:
        """The line, which begins with `begin`, has arrived."""
        if self._verbose:
            self._note(f"Delivered: {self._line(line, begin)}")

    def sent(self, one: Conversation, line: int, begin: str) -> None:
        """The line has gone out in plain text; whether it arrives, nobody will know."""
        if self._verbose:
            self._note(f"Sent, and it may get lost: {self._line(line, begin)}")

    def unheard(self, one: Conversation) -> None:
        """Nothing listens there, as far as the network can tell."""
        self._note(f"Nothing seems to listen at {one.address}: what you say is likely lost.")

    def stalled(self, one: Conversation) -> None:
        """No more is sent until the other side says something."""
        self._note(
            f"{one.who} has been sent much for little, and its address may be forged: "
            "the rest waits until it says something."
        )

    def missed(self, one: Conversation, count: int) -> None:
        """So many texts came too fast, and were dropped."""
        self._note(f"{count} texts of {one.who} came too fast, and were dropped.")

    def overdue(self, one: Conversation, line: int, begin: str) -> None:
        """The line has not arrived yet, for an uncommonly long time."""
        self._note(f"Not delivered yet: {self._line(line, begin)} (still trying)")

    def undelivered(self, one: Conversation, line: int, begin: str, reason: int) -> None:
        """The line will not arrive any more, as far as one can know."""
        why = reason_name(reason)
        self._note(f"NOT delivered, as far as is known ({why}): {self._line(line, begin)}")

    def unsent(self, line: int, begin: str, problem: str) -> None:
        """The line was not sent."""
        self._note(f"NOT sent: {self._line(line, begin)}: {problem}")

    def writable(self, one: Conversation) -> None:
        """The send queue has room again; people need not know."""

    def finished(self, one: Conversation, label: str) -> None:
        """The other side will send no more."""
        self._note(f"{label} has nothing more to send.")

    def closed(self, one: Conversation, label: str, notice: Closed) -> None:
        """The conversation is over, or was never opened."""
        said = f" ({notice.text})" if notice.text else ""
        if one.is_open:
            self._note(_say_ended(label, notice) + said)
        else:
            self._note(_say_failed(one.address, notice) + said)

    def _line(self, line: int, begin: str) -> str:
        """Name a line of ours: by its number too, if it came from a file."""
        return f"line {line}, {begin}" if self._numbered else begin


_ENDS = {
    Reason.LEFT: "ended the conversation",
    Reason.SHUTTING_DOWN: "shut down, which ended the conversation",
    Reason.ABORTED: "broke the conversation off",
}
_LOSSES = {
    Reason.DEAD: "{} does not answer any more: the conversation is over.",
    Reason.RESET: "{} was restarted: the conversation is over.",
    Reason.DISCONNECTED: "The connection to {} broke: the conversation is over.",
    Reason.NO_ANSWER: "{} has not answered: what you said is likely lost.",
    Reason.FLUSH_TIMEOUT: "The conversation with {} is over; not everything arrived in time.",
}
_FAILURES = {
    Reason.NO_ANSWER: "No answer from {}. Is `palaver listen` running there, is the address "
    "right, and do both sides use --tcp, or neither? A firewall may also be in the way.",
    Reason.CANCELLED: "The call was given up.",
    Reason.BUSY: "{} is busy: it talks to somebody else. Try again later.",
    Reason.WRONG_ROLE: "{} runs Palaver, but takes no calls of this kind.",
    Reason.NO_COMMON_VERSION: "{} speaks another version of Palaver; update the older of the two.",
    Reason.NO_COMMON_PROFILE: "{} asks for another kind of protection than this side has.",
    Reason.RESET: "{} was restarted during the call. Try again.",
}


def _say_ended(label: str, notice: Closed) -> str:
    """Say why a conversation that was open is over."""
    if notice.reason in _ENDS:
        end = _ENDS[Reason(notice.reason)]
        return f"You {end} with {label}." if notice.by is Side.LOCAL else f"{label} {end}."
    if notice.reason in _LOSSES:
        return _LOSSES[Reason(notice.reason)].format(label)
    ender = "this side" if notice.by is Side.LOCAL else "the other side"
    return f"The conversation with {label} was ended by {ender}: {reason_name(notice.reason)}."


def _say_failed(address: str, notice: Closed) -> str:
    """Say why a call came to nothing, and what to do."""
    if notice.reason in _FAILURES:
        return _FAILURES[Reason(notice.reason)].format(address)
    return f"The call to {address} failed: {reason_name(notice.reason)}."

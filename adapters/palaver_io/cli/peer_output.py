"""What `palaver peer` tells people and programs."""
# ruff: noqa: ARG002 - both are told the same, and each leaves out what its readers don't need

from __future__ import annotations

import time
from abc import abstractmethod
from typing import Final

from palaver import (
    Appeared,
    CallEnded,
    Departed,
    Enlisted,
    EnlistRefused,
    Heard,
    NewsMissed,
    Notice,
    Outcome,
    Present,
    Reason,
    Refusal,
    RegistryAway,
    Rejection,
    Replaced,
    StillCalling,
    StillEnlisting,
    Vanished,
    reason_name,
)
from palaver_io.addresses import format_address

from .escape import escape, escape_text
from .parties import Party
from .peer_endings import say_ended
from .telling import JsonTeller, PlainTeller, Teller

_PATIENCE: Final = 0.7  # seconds of no answer after which people are told that we go on trying
_REPEAT: Final = 4.5  # seconds between such words
_REPEAT_MAX: Final = 600.0


class PeerOutput(Teller):
    """Tells what happens."""

    @abstractmethod
    def enlisting(self, name: str, address: str) -> None:
        """We ask the registry to enter us."""

    @abstractmethod
    def registry(self, notice: Notice) -> None:
        """Something about the registry, or who is there."""

    def learn(self, present: Present) -> None:
        """These are there, whom nobody has asked for: to know their names later."""

    @abstractmethod
    def calling(self, one: Party) -> None:
        """We call somebody."""

    @abstractmethod
    def still_calling(self, one: Party, notice: StillCalling) -> None:
        """No answer yet."""

    @abstractmethod
    def ringing(self, one: Party, *, asks: bool) -> None:
        """Somebody calls; `asks` if a person is to decide."""

    @abstractmethod
    def opened(self, one: Party) -> None:
        """Both want to talk."""

    @abstractmethod
    def current(self, one: Party) -> None:
        """What is said now is for this one."""

    @abstractmethod
    def message(self, one: Party, notice: Heard) -> None:
        """The other side said something."""

    @abstractmethod
    def delivered(self, one: Party, line: int, begin: str) -> None:
        """It has arrived."""

    @abstractmethod
    def overdue(self, one: Party, line: int, begin: str) -> None:
        """It has not arrived for an uncommonly long time."""

    @abstractmethod
    def undelivered(self, one: Party, line: int, begin: str, reason: int) -> None:
        """It will not arrive any more, as far as one can know."""

    @abstractmethod
    def unsent(self, line: int, begin: str, problem: str) -> None:
        """A command could not be obeyed."""

    @abstractmethod
    def ended(self, one: Party, notice: CallEnded) -> None:
        """The call is over."""


class JsonPeerOutput(JsonTeller, PeerOutput):
    """One JSON object a line."""

    def enlisting(self, name: str, address: str) -> None:
        """We ask the registry to enter us."""
        self._write("enlisting", name=name, registry=address)

    def registry(self, notice: Notice) -> None:
        """Something about the registry, or who is there."""
        match notice:
            case Enlisted():
                self._write(
                    "enlisted", id=notice.id, name=notice.name, previous=notice.previous or None
                )
            case StillEnlisting():
                self._write(
                    "still-enlisting", attempt=notice.attempt, unreachable=notice.unreachable
                )
            case RegistryAway():
                self._write("registry-away", reason=reason_name(notice.reason))
            case EnlistRefused():
                self._write("enlist-refused", reason=_name_refusal(notice.code))
            case Replaced():
                self._write("replaced")
            case Departed():
                self._write("departed", acknowledged=notice.acknowledged)
            case Present():
                entries = [
                    {
                        "id": one.id,
                        "name": one.name,
                        "address": format_address(one.address),
                        "age": one.age,
                    }
                    for one in notice.entries
                ]
                self._write("present", entries=entries, more=notice.more)
            case Appeared():
                one = notice.entry
                self._write(
                    "appeared", id=one.id, name=one.name, address=format_address(one.address)
                )
            case Vanished():
                self._write("vanished", id=notice.id)
            case NewsMissed():
                self._write("news-missed")
            case _:
                pass

    def calling(self, one: Party) -> None:
        """We call somebody."""
        self._write("calling", link=one.link, to=one.wanted)

    def still_calling(self, one: Party, notice: StillCalling) -> None:
        """No answer yet."""
        self._write(
            "still-calling",
            link=one.link,
            attempt=notice.attempt,
            unreachable=notice.unreachable,
        )

    def ringing(self, one: Party, *, asks: bool) -> None:
        """Somebody calls."""
        self._write("ringing", **self._describe(one))

    def opened(self, one: Party) -> None:
        """Both want to talk."""
        self._write("opened", **self._describe(one), inbound=not one.wanted)

    def current(self, one: Party) -> None:
        """What is said now is for this one."""
        self._write("current", **self._describe(one))

    def message(self, one: Party, notice: Heard) -> None:
        """The other side said something."""
        self._write(
            "message",
            link=one.link,
            id=notice.peer,
            name=one.name,
            number=notice.number,
            text=notice.text,
        )

    def delivered(self, one: Party, line: int, begin: str) -> None:
        """It has arrived."""
        self._write("delivered", link=one.link, line=line)

    def overdue(self, one: Party, line: int, begin: str) -> None:
        """It has not arrived for an uncommonly long time."""
        self._write("overdue", link=one.link, line=line)

    def undelivered(self, one: Party, line: int, begin: str, reason: int) -> None:
        """It will not arrive any more, as far as one can know."""
        self._write("undelivered", link=one.link, line=line, reason=reason_name(reason))

    def unsent(self, line: int, begin: str, problem: str) -> None:
        """A command could not be obeyed."""
        self._write("unsent", line=line, problem=problem)
        self.problem(f"line {line}: {problem}")

    def ended(self, one: Party, notice: CallEnded) -> None:
        """The call is over."""
        self._write(
            "ended",
            link=one.link,
            id=one.peer or None,
            outcome=notice.outcome.value,
            by=notice.by.value,
            reason=_name_reason(notice),
            text=notice.text,
        )

    @staticmethod
    def _describe(one: Party) -> dict[str, object]:
        return {
            "link": one.link,
            "id": one.peer,
            "name": one.name,
            "address": format_address(one.address),
            "verified": one.verified,
        }


class PlainPeerOutput(PlainTeller, PeerOutput):
    """Messages and lists on stdout; everything else on stderr."""

    def __init__(self, screen: object, *, verbose: bool, numbered: bool) -> None:
        super().__init__(screen)  # type: ignore[arg-type]
        self._verbose = verbose
        self._numbered = numbered
        self._was_entered = False
        # By call, 0 for the registry: when to say again that we go on trying.
        self._patience: dict[int, float] = {}
        self._pause = _REPEAT
        # By id, who was here, as far as we were told.
        self._names: dict[int, str] = {}

    def enlisting(self, name: str, address: str) -> None:
        """We ask the registry to enter us."""
        self._address = address
        self._note(f"Registering as {name} at {address} ...")
        self._patience[0] = time.monotonic() + _PATIENCE

    def registry(self, notice: Notice) -> None:
        """Something about the registry, or who is there."""
        match notice:
            case Present():
                self._list(notice)
            case Appeared():
                self._names[notice.entry.id] = notice.entry.name
                self._note(f"{notice.entry.name} is here (id {notice.entry.id}).")
            case Vanished():
                if name := self._names.pop(notice.id, ""):  # nobody misses whom they never saw
                    self._note(f"{name} (id {notice.id}) is not here any more.")
            case NewsMissed():
                self._note('More has changed than you were told: "list" shows who is here.')
            case StillEnlisting():
                if self._is_time(0):
                    what = "Nothing seems to be" if notice.unreachable else "No answer from"
                    self._note(
                        f"{what} at {self._address} yet (attempt {notice.attempt}). "
                        f"Is `palaver registry` running there? Still trying; Ctrl-C gives up."
                        if notice.unreachable
                        else f"{what} {self._address} yet (attempt {notice.attempt}). "
                        "Still trying; Ctrl-C gives up."
                    )
            case Departed() if not self._was_entered:
                pass
            case _:
                if isinstance(notice, Enlisted):
                    self._was_entered, self._pause, self._patience[0] = True, _REPEAT, 0.0
                self._note(_say_registry(notice))

    def calling(self, one: Party) -> None:
        """We call somebody."""
        self._note(f"Calling {one.wanted} ...")
        self._patience[one.link] = time.monotonic() + _PATIENCE

    def still_calling(self, one: Party, notice: StillCalling) -> None:
        """No answer yet; people are told every few seconds."""
        if self._verbose or self._is_time(one.link):
            where = "; nothing seems to be at that address" if notice.unreachable else ""
            self._note(
                f"No answer from {one.who} yet{where}: still trying (request {notice.attempt}). "
                '"terminate" gives up.'
            )

    def ringing(self, one: Party, *, asks: bool) -> None:
        """Somebody calls."""
        self._note(f"{one.introduction} calls.")
        if one.verified:
            self._names[one.peer] = one.name
        if not one.verified:
            self._note("The registry does not confirm who that is.")
        if asks:
            self._note('Type "accept", or "reject" and why.')

    def opened(self, one: Party) -> None:
        """Both want to talk."""
        self._note(f"Connected to {one.introduction}.")
        if one.verified:
            self._names[one.peer] = one.name

    def current(self, one: Party) -> None:
        """What is said now is for this one."""
        self._note(f"What you send is for {one.who} now.")

    def message(self, one: Party, notice: Heard) -> None:
        """The other side said something."""
        self._screen.out(f"{one.who}: {escape_text(notice.text)}")

    def delivered(self, one: Party, line: int, begin: str) -> None:
        """It has arrived."""
        if self._verbose:
            self._note(f"Delivered: {self._line(line, begin)}")

    def overdue(self, one: Party, line: int, begin: str) -> None:
        """It has not arrived for an uncommonly long time."""
        self._note(f"Not delivered yet: {self._line(line, begin)} (still trying)")

    def undelivered(self, one: Party, line: int, begin: str, reason: int) -> None:
        """It will not arrive any more, as far as one can know."""
        why = reason_name(reason)
        self._note(f"NOT delivered, as far as is known ({why}): {self._line(line, begin)}")

    def unsent(self, line: int, begin: str, problem: str) -> None:
        """A command could not be obeyed."""
        self._note(f"{self._line(line, begin)}: {problem}" if self._numbered else problem)

    def ended(self, one: Party, notice: CallEnded) -> None:
        """The call is over."""
        self._patience.pop(one.link, None)
        if notice.outcome is Outcome.ALREADY and one.was_calling:
            return
        said = f": {notice.text}" if notice.text else "."
        self._note(f"{say_ended(one, notice)}{said}")

    def learn(self, present: Present) -> None:
        """These are there, whom nobody has asked for: to know their names later."""
        self._names.update((one.id, one.name) for one in present.entries)

    def _list(self, notice: Present) -> None:
        self.learn(notice)
        for one in notice.entries:
            self._screen.out(f"{one.id:>5}  {escape(one.name)}  {format_address(one.address)}")

    def _is_time(self, key: int) -> bool:
        now = time.monotonic()
        if now < self._patience.get(key, 0.0):
            return False
        self._patience[key] = now + (_REPEAT if key else self._pause)
        self._pause = self._pause if key else min(2 * self._pause, _REPEAT_MAX)
        return True

    def _line(self, line: int, begin: str) -> str:
        return f"line {line}, {begin}" if self._numbered else begin


def _say_registry(notice: Notice) -> str:
    match notice:
        case Enlisted():
            if not notice.previous:
                return f'You are {notice.name}, with id {notice.id}. Type "help" for the commands.'
            if notice.is_new:
                return (
                    f"The registry had forgotten you: your id is {notice.id} now, "
                    f"and not {notice.previous}."
                )
            return "The registry is back, and has you as before."
        case RegistryAway():
            if notice.reason == Reason.WRONG_ROLE:
                return "What answers at the registry's address runs Palaver, but is no registry."
            why = reason_name(notice.reason)
            return f"The registry is away ({why}). Conversations go on; trying to come back ..."
        case EnlistRefused():
            return {
                Refusal.NAME_TAKEN: "Somebody else has that name: take another, with --name.",
                Refusal.NAME_INVALID: "The registry does not take that name: choose another.",
                Refusal.FULL: "The registry is full: try again later.",
            }.get(
                Refusal(notice.code) if notice.code in _REFUSALS else Refusal.NO_ADDRESS,
                f"The registry does not take you: {_name_refusal(notice.code)}.",
            )
        case Replaced():
            return "You were registered from somewhere else; this one is not in the table any more."
        case Departed():
            if notice.acknowledged:
                return "The registry knows that you have left."
            return "The registry did not answer; it will notice that you have left."
        case _:
            return repr(notice)


_REFUSALS = {int(one) for one in Refusal}


def _name_refusal(code: int) -> str:
    return Refusal(code).name.lower().replace("_", "-") if code in _REFUSALS else str(code)


def _name_reason(notice: CallEnded) -> str | None:
    if notice.outcome is Outcome.GONE:
        return reason_name(notice.reason)
    if notice.outcome is Outcome.REJECTED:
        known = {int(one) for one in Rejection}
        code = notice.reason
        return Rejection(code).name.lower().replace("_", "-") if code in known else str(code)
    return None

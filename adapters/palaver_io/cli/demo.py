"""`palaver demo`: two machines, two real sockets, and a terrible network between them."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Final, TypeAlias

from palaver import (
    Call,
    Closed,
    ConversationOpened,
    Delivered,
    Duo,
    Leave,
    Notice,
    PalaverError,
    Said,
    Say,
    WouldBlock,
)
from palaver.sim import FaultInjector
from palaver_io.addresses import open_udp_socket
from palaver_io.blocking import BlockingDriver
from palaver_io.udp import UdpPort

from .arguments import DemoOptions
from .demo_report import Outcome, describe_faults, make_report
from .faults import draw_seed
from .lines import MAX_TEXT
from .screen import Screen
from .status import EXIT_FAILURE, EXIT_OK

_MESSAGES: Final = 200  # each way
_LARGE: Final = 100  # the number of the message that is as large as can be
_TIME_LIMIT: Final = 18.0  # seconds for the conversation; the rest is for saying goodbye
_GOODBYE: Final = 1.5  # seconds
_PROGRESS: Final = 0.1  # seconds between two looks of the progress line

_Item: TypeAlias = tuple["_End", Notice]


@dataclass
class _End:
    """One of the two who talk."""

    name: str
    texts: list[str]
    machine: Duo
    injector: FaultInjector
    driver: BlockingDriver = field(init=False)
    link: int | None = None
    said: int = 0
    delivered: list[int] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    closed: Closed | None = None

    def is_done(self, other: _End) -> bool:
        """Whether all that it said was acknowledged, and it heard as much as was said to it."""
        return len(self.delivered) >= len(self.texts) and len(self.heard) >= len(other.texts)


def run_demo(options: DemoOptions) -> int:
    """Show that every message arrives once and in order; give the exit status."""
    screen = Screen()
    seed = draw_seed(options.fault_options)
    screen.note(describe_faults(options.fault_options.faults, _MESSAGES, MAX_TEXT))
    inbox: SimpleQueue[_Item] = SimpleQueue()
    started = time.monotonic()
    ends = _make_ends(options, seed)
    opened: list[BlockingDriver] = []
    try:
        for end in ends:
            _start(end, inbox)
            opened.append(end.driver)
        ends[1].driver.perform(Call(ends[0].driver.address))
        _talk(ends, inbox, started + _TIME_LIMIT)
        took = time.monotonic() - started
        rtts = [_measure_rtt(end) for end in ends]
        _say_goodbye(ends, inbox)
    except (OSError, PalaverError) as error:
        screen.note(f"palaver: the demo failed: {error}")
        return EXIT_FAILURE
    finally:
        for driver in opened:
            driver.close()
    outcomes = [
        Outcome(
            name=end.name,
            sent=end.texts[: end.said],
            delivered=len(end.delivered),
            heard=end.heard,
            expected=other.texts,
            is_whole=end.said == len(end.texts) and end.delivered == list(range(end.said)),
            machine=end.machine.stats(),
            faults=end.injector.counters,
            rtt=rtt,
        )
        for end, other, rtt in zip(ends, reversed(ends), rtts, strict=True)
    ]
    report, is_good = make_report(outcomes, took, seed)
    for line in report:
        screen.out(line)
    return screen.tell_failure() or (EXIT_OK if is_good else EXIT_FAILURE)


def _make_ends(options: DemoOptions, seed: int) -> list[_End]:
    faults = options.fault_options.faults
    return [
        _End(
            name,
            [_make_text(name, number) for number in range(_MESSAGES)],
            Duo(os.urandom, name=name, accept=place == 0),
            FaultInjector(faults, (seed + place) % (1 << 64)),
        )
        for place, name in enumerate(("Ann", "Bob"))
    ]


def _make_text(name: str, number: int) -> str:
    text = f"message {number + 1} of {name}"
    return (text + " ").ljust(MAX_TEXT, "~") if number == _LARGE else text


def _start(end: _End, inbox: SimpleQueue[_Item]) -> None:
    """Give one end its socket and its driver."""
    end.driver = BlockingDriver(
        end.machine,
        UdpPort(open_udp_socket("127.0.0.1", 0)),
        lambda notice: inbox.put((end, notice)),
        injector=end.injector,
    )


def _talk(ends: list[_End], inbox: SimpleQueue[_Item], until: float) -> None:
    """Let both say all they have, until all has arrived or the time is over."""
    progress = _Progress(ends)
    try:
        while not (ends[0].is_done(ends[1]) and ends[1].is_done(ends[0])):
            progress.show()
            left = until - time.monotonic()
            if left <= 0 or ends[0].closed or ends[1].closed:
                return
            try:
                end, notice = inbox.get(timeout=min(left, _PROGRESS))
            except Empty:
                continue
            _take(end, notice)
    finally:
        progress.clear()


def _take(end: _End, notice: Notice) -> None:
    match notice:
        case ConversationOpened():
            end.link = notice.link
        case Said():
            end.heard.append(notice.text)
        case Delivered():
            end.delivered.append(notice.ref)
        case Closed():
            end.closed = notice
        case _:
            pass
    # WouldBlock is answered by a Writable, and that leads here again.
    if end.link is not None and end.closed is None:
        try:
            while end.said < len(end.texts):
                end.driver.perform(Say(end.link, end.texts[end.said], end.said))
                end.said += 1
        except WouldBlock:
            return


def _measure_rtt(end: _End) -> float | None:
    link = end.link
    return None if link is None else end.driver.inspect(lambda: end.machine.rtt(link))


def _say_goodbye(ends: list[_End], inbox: SimpleQueue[_Item]) -> None:
    """End the conversation properly, if that works soon."""
    caller = ends[1]
    if caller.link is None or caller.closed is not None:
        return
    caller.driver.perform(Leave(caller.link))
    until = time.monotonic() + _GOODBYE
    while any(end.closed is None for end in ends) and (left := until - time.monotonic()) > 0:
        try:
            end, notice = inbox.get(timeout=left)
        except Empty:
            return
        _take(end, notice)


class _Progress:
    """One line on a terminal that shows how far both are."""

    def __init__(self, ends: list[_End]) -> None:
        self._ends = ends
        self._stream = sys.stderr if sys.stderr is not None and sys.stderr.isatty() else None
        self._shown_at = float("-inf")

    def clear(self) -> None:
        """Take it away."""
        if self._stream is not None:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def show(self) -> None:
        """Show it, if the last look is some time ago."""
        now = time.monotonic()
        if self._stream is None or now < self._shown_at + _PROGRESS:
            return
        self._shown_at = now
        parts = []
        for end in self._ends:
            lost = end.injector.counters.dropped
            parts.append(f"{end.name}: {len(end.delivered)}/{len(end.texts)} arrived, {lost} lost")
        self._stream.write(f"\r{'   '.join(parts)}\x1b[K")
        self._stream.flush()

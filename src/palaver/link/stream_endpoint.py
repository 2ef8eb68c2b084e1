"""Many links on streams: an endpoint whose addresses lose nothing (PROTOCOL.md, section 8.9)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from palaver.entropy import Entropy
from palaver.machine import Action, Address, Datagram, Disconnect, Event, StreamEnded
from palaver.timing import DEFAULT_LIMITS, DEFAULT_TIMING, MAX_RECORD, Limits, Timing
from palaver.wire.packets import Hello

from .endpoint import Endpoint
from .link import Link
from .streams import Streams

if TYPE_CHECKING:
    from typing_extensions import Self


class StreamEndpoint(Endpoint):
    """An endpoint each of whose addresses is that of a stream, such as a TCP connection.

    Beside the events of an `Endpoint` it takes `StreamEnded`, and it asks for `Disconnect`.
    """

    __slots__ = ("_streams",)
    _STREAMS: ClassVar[bool] = True

    def __init__(
        self,
        entropy: Entropy,
        *,
        roles: Iterable[str] = (),
        max_inbound: int = 65535,
        timing: Timing = DEFAULT_TIMING,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Make an endpoint without links. Raises UsageError for a bad role or bound."""
        limits = replace(limits, mtu=min(limits.mtu, MAX_RECORD))
        super().__init__(
            entropy, roles=roles, max_inbound=max_inbound, timing=timing, limits=limits
        )
        self._streams = Streams(timing.half_open)

    def _take(self, event: Event, now: float, out: list[Action]) -> None:
        if isinstance(event, StreamEnded):
            self._end(event.address, now, out)
        else:
            super()._take(event, now, out)

    def _take_datagram(self, event: Datagram, now: float, out: list[Action]) -> bool:
        """Take a record; one that makes no sense on a sound stream ends it."""
        makes_sense = super()._take_datagram(event, now, out)
        if not makes_sense:
            self._end(event.source, now, out)
            out.append(Disconnect(event.source))
        return makes_sense

    def _may_be_late(self, source: Address) -> bool:
        return source in self._streams

    def _meet(self, hello: Hello, source: Address, now: float, out: list[Action]) -> None:
        """Answer the first HELLO of a caller; a stream on which nothing comes of it is ended."""
        before = len(out)
        super()._meet(hello, source, now, out)
        if source not in self._streams:
            if len(out) > before:
                out.append(Disconnect(source))
            else:
                self._streams.wait(source, now)
                self._plan_sweep()

    def _end(self, address: Address, now: float, out: list[Action]) -> None:
        for link in self._streams.cut(address, now, out):
            self._follow(link, now, out)

    # Tables

    def _enter(self, link: Link) -> None:
        super()._enter(link)
        self._streams.add(link)

    def _note_gone(self, link: Link, out: list[Action]) -> None:
        if self._streams.leave(link):
            out.append(Disconnect(link.channel.address))

    def _sweep(self, now: float, out: list[Action]) -> None:
        super()._sweep(now, out)
        out.extend(map(Disconnect, self._streams.take_idle(now)))

    def _plan_sweep(self) -> None:
        super()._plan_sweep()
        self._sweep_at = min(self._sweep_at, self._streams.deadline)

    # Exploration

    def clone(self) -> Self:
        """Give an independent twin that will draw the same random values."""
        twin = super().clone()
        twin._streams = self._streams.clone(twin._links.by_local)
        return twin

    def state_key(self, now: float) -> tuple[object, ...]:
        """Give all that decides the future as one comparable value, times relative to `now`."""
        return (*super().state_key(now), self._streams.key(now))

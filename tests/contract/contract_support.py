"""Every way to run a conversation, with one face: that of `palaver_io.connect` and `listen`.

A *way* is a driver and a transport. The facades of the other drivers are told what to do in
blocking calls, so that each scenario is written once:

* asyncio lives in a loop in a thread of its own, and verbs are handed over to it;
* selectors lives in a thread of its own too, which turns the driver while there are no verbs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import suppress
from itertools import islice, product
from queue import SimpleQueue
from typing import Any, NamedTuple, Protocol, TypeVar

from io_support import LOOPS, PATIENCE, STEADY, LoopThread

import palaver_io
from palaver import Address, Closed, PalaverError
from palaver_io import SelectorsDriver, aio, selecting
from palaver_io.station import Station

T = TypeVar("T")

DRIVERS = ["blocking", "selectors", "asyncio"]
TRANSPORTS = ["udp", "tcp"]


class Way(NamedTuple):
    driver: str
    transport: str


WAYS = [Way(driver, transport) for driver, transport in product(DRIVERS, TRANSPORTS)]
# The other kinds of event loop; between two of them nothing new could happen.
MORE_WAYS = [
    Way(driver, transport)
    for driver, transport in product(LOOPS, TRANSPORTS)
    if driver not in DRIVERS
]
PAIRS = [(way, way) for way in WAYS] + [
    (listener, caller)
    for listener, caller in product(WAYS, WAYS)
    if listener.transport == caller.transport and listener != caller
]


# The face


class Talker(Protocol):
    """What the scenarios use of a conversation."""

    @property
    def address(self) -> Address: ...
    @property
    def peer_name(self) -> str: ...
    @property
    def closed(self) -> Closed | None: ...
    @property
    def undelivered(self) -> list[tuple[int, str]]: ...
    def send(self, text: str, *, timeout: float | None = None, wait: bool = True) -> int: ...
    def flush(self, timeout: float | None = None) -> None: ...
    def finish(self) -> None: ...
    def receive(self, timeout: float | None = None) -> str: ...
    def __iter__(self) -> Iterator[str]: ...
    def close(self, timeout: float | None = None) -> None: ...
    def abort(self) -> None: ...


class Taker(Protocol):
    """What the scenarios use of a listener."""

    @property
    def address(self) -> Address: ...
    def accept(self, timeout: float | None = None) -> Talker: ...
    def close(self, timeout: float | None = None) -> None: ...
    def abort(self) -> None: ...


class Place(Protocol):
    """Where verbs are carried out."""

    def do(self, verb: Callable[[], Any]) -> Any:  # noqa: ANN401 - as the verb
        """Carry out `verb` and give or raise what it gives or raises."""

    def end(self) -> None:
        """Leave nothing behind."""


class Here:
    """Right here."""

    def do(self, verb: Callable[[], T]) -> T:
        return verb()

    def end(self) -> None: ...


class InLoop:
    """In an event loop in a thread."""

    def __init__(self, kind: str) -> None:
        self._loop = LoopThread(LOOPS[kind])

    def do(self, verb: Callable[[], Coroutine[Any, Any, T]]) -> T:
        async def carry_out() -> T:
            return await verb()

        return self._loop.run(carry_out(), 2 * PATIENCE)

    def end(self) -> None:
        self._loop.close()


class InTurner:
    """In a thread that turns a selectors driver while it has nothing else to do."""

    def __init__(self) -> None:
        self.driver: SelectorsDriver | None = None
        self._jobs: SimpleQueue[tuple[Callable[[], Any] | None, Future[Any]]] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="test-turner")
        self._thread.start()

    def do(self, verb: Callable[[], T]) -> T:
        future: Future[T] = Future()
        self._put(verb, future)
        return future.result(2 * PATIENCE)

    def end(self) -> None:
        self._put(None, Future())
        self._thread.join(PATIENCE)

    def _put(self, verb: Callable[[], Any] | None, future: Future[Any]) -> None:
        self._jobs.put((verb, future))
        if self.driver is not None:
            self.driver.wake()

    def _run(self) -> None:
        while True:
            while self._jobs.empty() and self.driver is not None and not self.driver.is_closed:
                with suppress(PalaverError):
                    self.driver.turn()
            verb, future = self._jobs.get()
            if verb is None:
                return
            try:
                future.set_result(verb())
            except BaseException as exc:  # noqa: BLE001 - whoever asked gets it
                future.set_exception(exc)


class Elsewhere:
    """A conversation or a listener whose verbs are carried out in some place."""

    def __init__(self, it: Any, place: Place) -> None:  # noqa: ANN401 - of either kind
        self.it = it
        self._place = place

    @property
    def address(self) -> Address:
        return self.it.address  # type: ignore[no-any-return]

    @property
    def peer_name(self) -> str:
        return self.it.peer_name  # type: ignore[no-any-return]

    @property
    def closed(self) -> Closed | None:
        return self.it.closed  # type: ignore[no-any-return]

    @property
    def undelivered(self) -> list[tuple[int, str]]:
        return self.it.undelivered  # type: ignore[no-any-return]

    def accept(self, timeout: float | None = None) -> Elsewhere:
        return Elsewhere(self._place.do(lambda: self.it.accept(timeout)), self._place)

    def send(self, text: str, *, timeout: float | None = None, wait: bool = True) -> int:
        return self._place.do(lambda: self.it.send(text, timeout=timeout, wait=wait))  # type: ignore[no-any-return]

    def flush(self, timeout: float | None = None) -> None:
        self._place.do(lambda: self.it.flush(timeout))

    def finish(self) -> None:
        self._place.do(self.it.finish)

    def receive(self, timeout: float | None = None) -> str:
        return self._place.do(lambda: self.it.receive(timeout))  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[str]:
        if isinstance(self.it, aio.Conversation):
            it = self.it

            async def step() -> list[str]:
                async for text in it:
                    return [text]
                return []

            while texts := self._place.do(step):
                yield texts[0]
        else:
            texts_of_it = iter(self.it)
            while texts := self._place.do(lambda: list(islice(texts_of_it, 1))):
                yield texts[0]

    def close(self, timeout: float | None = None) -> None:
        self._place.do(lambda: self.it.close(timeout))

    def abort(self) -> None:
        self._place.do(self.it.abort)


# The scene


class Scene:
    """Makes listeners and callers, each in its own way, and ends all of them."""

    def __init__(self, listener: Way, caller: Way) -> None:
        self.listener_way = listener
        self.caller_way = caller
        self._places: list[Place] = []
        self._opened: list[Elsewhere] = []

    @property
    def is_udp(self) -> bool:
        return self.listener_way.transport == "udp"

    def listen(self, port: int = 0, **options: Any) -> Elsewhere:  # noqa: ANN401 - passed on
        options = {"name": "Bob", "timing": STEADY, **options}
        return self._open("listen", self.listener_way, ("127.0.0.1", port), options)

    def connect(self, address: Address, **options: Any) -> Elsewhere:  # noqa: ANN401 - passed on
        options = {"name": "Ann", "timing": STEADY, "timeout": PATIENCE, **options}
        return self._open("connect", self.caller_way, address, options)

    def meet(self, **options: Any) -> tuple[Elsewhere, Elsewhere, Elsewhere]:  # noqa: ANN401 - passed on
        """Give a listener, Ann, who has called it, and Bob, who has accepted."""
        listener = self.listen(**options)
        ann = self.connect(listener.address, **options)
        return listener, ann, listener.accept(PATIENCE)

    def kill(self, one: Elsewhere) -> None:
        """Take the sockets away from a listener or a caller, as if its process were gone."""

        async def stop() -> None:
            station_of(one.it).stop()

        in_loop = isinstance(one._place, InLoop)
        one._place.do(stop if in_loop else station_of(one.it).stop)

    def end(self) -> None:
        for one in self._opened:
            with suppress(PalaverError):
                one.abort()
        for place in self._places:
            place.end()

    def _open(self, verb: str, way: Way, address: Address, options: dict[str, Any]) -> Elsewhere:
        if way.driver in LOOPS:
            place: Place = InLoop(way.driver)
        else:
            place = InTurner() if way.driver == "selectors" else Here()
        self._places.append(place)
        options = {"tcp": way.transport == "tcp", **options}
        module = {"blocking": palaver_io, "selectors": selecting}.get(way.driver, aio)

        def open_it() -> Any:  # noqa: ANN401 - of any kind
            it = getattr(module, verb)(*address, **options)
            if isinstance(place, InTurner):
                driver = station_of(it).driver
                assert isinstance(driver, SelectorsDriver)
                place.driver = driver
            return it

        it = place.do(open_it)
        self._opened.append(Elsewhere(it, place))
        return self._opened[-1]


def station_of(it: Any) -> Station:  # noqa: ANN401 - of any kind
    part = it._reception if hasattr(it, "_reception") else it._dialogue
    assert isinstance(part.station, Station)
    return part.station

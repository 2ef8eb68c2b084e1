"""Conversations in asyncio: `connect` to somebody, or `listen` for callers.

    async with connect("127.0.0.1", 65432, name="Ann") as conversation:
        await conversation.send("hello")
        async for text in conversation:
            print(text)

Names, meanings and errors are those of `palaver_io.connect` and `palaver_io.listen`, where they
are described; what may wait there is awaited here. Everything belongs to one event loop, and any
of its tasks may use it, several at a time.

Cancelling a task loses and leaks nothing. A `send`, `receive`, `flush` or `accept` that was
cancelled has done nothing: no text was sent, or taken away from the next reader. A `connect` that
was cancelled leaves nothing open. A `close` or `abort` that was cancelled ends the conversation
at once, as an `abort` that does not wait; `undelivered` tells what was lost by that.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from palaver import DEFAULT_LIMITS, DEFAULT_TIMING, Address, Closed, Limits, PalaverError, Timing
from palaver.sim import Faults

from .addresses import DEFAULT_HOST, DEFAULT_PORT, resolve, resolve_peer
from .asyncio_driver import AsyncioDriver
from .dialogue import Dialogue, Reception, dial
from .errors import ConversationOver, DriverFailed, ListenerClosed
from .opening import Settings
from .station import Station

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["AsyncioDriver", "Conversation", "Listener", "Opening", "connect", "listen"]


class _Open(Protocol):
    async def close(self, timeout: float | None = None) -> None: ...
    async def abort(self) -> None: ...


OpenT = TypeVar("OpenT", bound=_Open)


class Opening(Generic[OpenT]):
    """What `connect` and `listen` give: to await, or to enter with `async with`."""

    def __init__(self, coroutine: Coroutine[Any, Any, OpenT]) -> None:
        """For `connect` and `listen`."""
        self._coroutine = coroutine
        self._opened: OpenT | None = None

    def __await__(self) -> Generator[Any, None, OpenT]:
        return self._coroutine.__await__()

    async def __aenter__(self) -> OpenT:
        self._opened = await self._coroutine
        return self._opened

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._opened is not None:
            await _leave(self._opened, exc)


def connect(
    host: str,
    port: int = DEFAULT_PORT,
    *,
    name: str = "",
    timeout: float | None = 10.0,
    tcp: bool = False,
    timing: Timing = DEFAULT_TIMING,
    limits: Limits = DEFAULT_LIMITS,
    faults: Faults | None = None,
    seed: int | None = None,
) -> Opening[Conversation]:
    """Call whoever listens at `host` and `port`; as `palaver_io.connect`."""
    settings = Settings(name, tcp, timing=timing, limits=limits, faults=faults, seed=seed)
    return Opening(_connect(settings, host, port, timeout))


async def _connect(settings: Settings, host: str, port: int, timeout: float | None) -> Conversation:
    address = await _look_up(resolve_peer, host, port)
    machine = settings.make_machine(accept=False)
    station = Station(AsyncioDriver, settings, machine, settings.open_caller(address))
    return Conversation(await dial(station, address, timeout))


def listen(
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    *,
    name: str = "",
    tcp: bool = False,
    max_conversations: int = 1,
    timing: Timing = DEFAULT_TIMING,
    limits: Limits = DEFAULT_LIMITS,
    faults: Faults | None = None,
    seed: int | None = None,
) -> Opening[Listener]:
    """Take calls at `host` and `port`; as `palaver_io.listen`."""
    settings = Settings(name, tcp, max_conversations, timing, limits, faults, seed)
    return Opening(_listen(settings, host, port))


async def _listen(settings: Settings, host: str, port: int) -> Listener:
    address = await _look_up(resolve, host or "0.0.0.0", port)  # noqa: S104 - asked for
    machine = settings.make_machine(accept=True)
    port_ = settings.open_listener(*address)
    return Listener(Reception(Station(AsyncioDriver, settings, machine, port_)))


async def _look_up(how: Callable[[str, int], Address], host: str, port: int) -> Address:
    """Look a name up in a thread, because that may take long."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return await asyncio.get_running_loop().run_in_executor(None, how, host, port)
    return how(host, port)


async def _leave(opened: _Open, exc: BaseException | None) -> None:
    if exc is None:
        await opened.close()
    else:
        with suppress(DriverFailed):
            await opened.abort()


class Conversation:
    """Texts to and from one peer; as `palaver_io.Conversation`, with verbs to be awaited."""

    def __init__(self, dialogue: Dialogue) -> None:
        """For `connect` and `Listener`."""
        self._dialogue = dialogue

    # Getters

    @property
    def address(self) -> Address:
        """The peer's address."""
        return self._dialogue.box.address

    @property
    def peer_name(self) -> str:
        """What the peer calls itself; it may be empty, and proves nothing."""
        return self._dialogue.box.name

    @property
    def closed(self) -> Closed | None:
        """How the conversation has ended, or None. Texts that came before may still be unread."""
        return self._dialogue.box.closed

    @property
    def undelivered(self) -> list[tuple[int, str]]:
        """What was sent and will never be known to be delivered: numbers and texts."""
        return sorted(self._dialogue.box.lost.items())

    # Verbs

    async def send(self, text: str, *, timeout: float | None = None, wait: bool = True) -> int:
        """Send `text`; give its number."""
        return await self._dialogue.send(text, timeout, wait=wait)

    async def flush(self, timeout: float | None = None) -> None:
        """Wait until all that was sent has been handed to the peer's program."""
        await self._dialogue.flush(timeout)

    async def finish(self) -> None:
        """Tell the peer that no more texts will come, and go on receiving."""
        self._dialogue.finish()

    async def receive(self, timeout: float | None = None) -> str:
        """Wait for the next text, and give it."""
        return await self._dialogue.receive(timeout)

    async def close(self, timeout: float | None = None) -> None:
        """Leave when all that was sent is delivered; return when the conversation has ended."""
        await self._dialogue.close(timeout)

    async def abort(self) -> None:
        """End the conversation now, whatever becomes of what was sent."""
        await self._dialogue.abort()

    # Idioms

    def __aiter__(self) -> Self:
        """Give each text as it comes, until the peer finishes or the conversation is closed."""
        return self

    async def __anext__(self) -> str:
        try:
            return await self.receive()
        except ConversationOver:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await _leave(self, exc)

    def __repr__(self) -> str:
        return repr(self._dialogue)


class Listener:
    """Takes calls; as `palaver_io.Listener`, with verbs to be awaited.

    async with listen("0.0.0.0", 65432, name="Bob", max_conversations=10) as listener:
        await listener.serve(talk)  # a task for each conversation
    """

    def __init__(self, reception: Reception) -> None:
        """For `listen`."""
        self._reception = reception

    @property
    def address(self) -> Address:
        """Where it takes calls."""
        return self._reception.station.driver.address

    # Verbs

    async def accept(self, timeout: float | None = None) -> Conversation:
        """Wait for the next caller, and give the conversation with it."""
        return Conversation(await self._reception.accept(timeout))

    async def serve(self, talk: Callable[[Conversation], Awaitable[object]]) -> None:
        """Run `talk` in a task for each conversation, and close that at its end, until closed.

        An exception of a `talk` aborts its conversation only, and goes to the loop's exception
        handler, unless it is a PalaverError: a conversation that has ended. Cancelling cancels
        all tasks, and waits for them.
        """
        tasks: set[asyncio.Task[None]] = set()
        try:
            async for conversation in self:
                task = asyncio.ensure_future(self._attend(talk, conversation))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self, timeout: float | None = None) -> None:
        """Take no more calls, close all conversations as their own `close` does, and end."""
        await self._reception.close(timeout)

    async def abort(self) -> None:
        """Take no more calls, abort all conversations, and end."""
        await self._reception.abort()

    async def _attend(
        self, talk: Callable[[Conversation], Awaitable[object]], conversation: Conversation
    ) -> None:
        try:
            async with conversation:
                await talk(conversation)
        except PalaverError:
            return
        except Exception as exc:  # noqa: BLE001 - the others go on, and somebody is told
            about = {"message": f"unhandled in {talk!r} for {conversation!r}", "exception": exc}
            asyncio.get_running_loop().call_exception_handler(about)

    # Idioms

    def __aiter__(self) -> Self:
        """Give each conversation as it comes, until the listener is closed."""
        return self

    async def __anext__(self) -> Conversation:
        try:
            return await self.accept()
        except ListenerClosed:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await _leave(self, exc)

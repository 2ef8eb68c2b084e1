"""What only the asyncio driver does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

import pytest
from io_support import (
    LOOPS,
    PATIENCE,
    Break,
    Do,
    Emit,
    Recorder,
    Refuse,
    Told,
    leaving_nothing_behind,
)

from palaver import Notice, Tick, Transmit, UsageError
from palaver_io import DriverFailed, UdpPort, open_udp_socket
from palaver_io.aio import AsyncioDriver
from palaver_io.loop_watching import LoopWatcher

pytestmark = pytest.mark.smoke

Scenario = Callable[[], Awaitable[None]]
Run = Callable[[Scenario], None]


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


@pytest.fixture(params=list(LOOPS))
def run(request: pytest.FixtureRequest) -> Run:
    def run(scenario: Scenario) -> None:
        async def bounded() -> None:
            await asyncio.wait_for(scenario(), PATIENCE)
            assert len(asyncio.all_tasks()) == 1

        loop = LOOPS[request.param]()
        try:
            loop.run_until_complete(bounded())
        finally:
            loop.close()

    return run


def make(machine: Recorder, **more: Any) -> AsyncioDriver:  # noqa: ANN401 - passed on
    return AsyncioDriver(machine, UdpPort(open_udp_socket("127.0.0.1", 0)), lambda _: None, **more)


def test_many_tasks_wait_and_one_is_cancelled(run: Run) -> None:
    async def scenario() -> None:
        machine = Recorder()
        with make(machine) as driver:
            waiting = [
                asyncio.ensure_future(driver.wait_until(lambda: bool(machine.events)))
                for _ in range(10)
            ]
            await asyncio.sleep(0)
            waiting[3].cancel()
            await asyncio.sleep(0)
            driver.perform(Do("a"))
            ends = await asyncio.gather(*waiting, return_exceptions=True)
            assert isinstance(ends.pop(3), asyncio.CancelledError)
            assert ends == [True] * 9
            assert not driver.progress._waiting

    run(scenario)


def test_closing_ends_waiting(run: Run) -> None:
    async def scenario() -> None:
        driver = make(Recorder())
        waiting = asyncio.ensure_future(driver.wait_until(lambda: False))
        await asyncio.sleep(0)
        driver.close()
        assert await waiting is False

    run(scenario)


def test_a_bug_reaches_who_waits_or_the_handler_of_the_loop(run: Run) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        told: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, about: told.append(about))
        driver = make(Recorder())
        driver.perform(Break(at_tick=True))
        with pytest.raises(DriverFailed, match="a bug"):
            await driver.wait_until(lambda: False)
        driver.close()
        assert isinstance(told.pop()["exception"], ZeroDivisionError)
        failures: list[BaseException] = []
        driver = make(Recorder(), on_failure=failures.append)
        driver.perform(Break(at_tick=True))
        with pytest.raises(DriverFailed):
            await driver.wait_until(lambda: False)
        assert len(failures) == 1
        assert not told

    run(scenario)


def test_what_is_performed_within_one_turn_is_followed_by_one_tick(run: Run) -> None:
    async def scenario() -> None:
        machine = Recorder()
        with make(machine) as driver, open_udp_socket("127.0.0.1", 0) as peer:
            peer.settimeout(PATIENCE)
            for data in (b"one", b"two"):
                driver.perform(Emit(Transmit(data, peer.getsockname())))
            assert not any(isinstance(event, Tick) for event in machine.events)
            await asyncio.sleep(0)
            assert [type(event) for event in machine.events] == [Emit, Emit, Tick]
            assert [peer.recv(9), peer.recv(9)] == [b"one", b"two"]
            await asyncio.sleep(0)
            assert len(machine.events) == 3

    run(scenario)


def test_closing_sends_what_was_performed_before(run: Run) -> None:
    async def scenario() -> None:
        with open_udp_socket("127.0.0.1", 0) as peer:
            peer.settimeout(PATIENCE)
            driver = make(Recorder())
            driver.perform(Emit(Transmit(b"last", peer.getsockname())))
            driver.close()
            assert peer.recv(9) == b"last"
            driver = make(Recorder())
            driver.perform(Break(at_tick=True))
            driver.perform(Emit(Transmit(b"never", peer.getsockname())))
            with pytest.raises(DriverFailed, match="a bug"):
                driver.close()

    run(scenario)


def test_the_loop_may_be_gone_before_the_driver() -> None:
    for make_loop in (LOOPS["asyncio"], LOOPS["asyncio-without-readers"]):
        loop = make_loop()
        driver = make(Recorder(), loop=loop)
        loop.close()
        driver.wake()
        driver.close()


def test_without_a_loop_nothing_is_left_open() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        make(Recorder())


def test_debug_mode_finds_nothing_wrong() -> None:
    async def scenario() -> None:
        heard: list[Notice] = []
        port = UdpPort(open_udp_socket("127.0.0.1", 0))
        with AsyncioDriver(Recorder(), port, heard.append) as driver:
            driver.perform(Do("a"))
            with open_udp_socket("127.0.0.1", 0) as peer:
                peer.sendto(b"x", driver.address)
                assert await driver.wait_until(lambda: Told("tick") in heard, PATIENCE)

    asyncio.run(scenario(), debug=True)


def test_the_loop_may_be_gone_while_somebody_still_waits() -> None:
    """Whoever closes the driver then is not told of it, and its sockets are closed."""
    loop = asyncio.new_event_loop()
    told: list[Notice] = []
    machine = Recorder()
    port = UdpPort(open_udp_socket("127.0.0.1", 0))
    driver = AsyncioDriver(machine, port, told.append, loop=loop)

    async def wait() -> bool:
        return await driver.wait_until(lambda: False)

    coroutine = wait()
    waiting = loop.create_task(coroutine)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    driver.close()
    assert port.fileno() == -1
    # A task that nobody will run any more; what it waits for is closed by hand.
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine.close()


def test_a_verb_in_a_loop_after_the_driver_s_own_is_told_and_leaves_nothing_open() -> None:
    port = UdpPort(open_udp_socket("127.0.0.1", 0))
    first = asyncio.new_event_loop()
    driver = AsyncioDriver(Recorder(), port, lambda _: None, loop=first)
    first.run_until_complete(asyncio.sleep(0))
    first.close()

    async def later() -> None:
        with pytest.raises(DriverFailed, match="closed"):
            driver.perform(Do("a"))
        with pytest.raises(DriverFailed):
            driver.perform(Do("b"))

    asyncio.run(later())
    assert port.fileno() == -1
    assert driver.is_closed


def test_a_loop_that_stops_and_goes_on_sends_what_waited() -> None:
    loop = asyncio.new_event_loop()
    machine = Recorder()
    port = UdpPort(open_udp_socket("127.0.0.1", 0))
    driver = AsyncioDriver(machine, port, lambda _: None, loop=loop)
    with open_udp_socket("127.0.0.1", 0) as there:
        there.settimeout(PATIENCE)
        for text in (b"one", b"two"):
            driver.perform(Emit(Transmit(text, there.getsockname())))
            loop.call_soon(loop.stop)
            loop.run_forever()
            assert there.recv(99) == text
    driver.close()
    loop.close()


def test_who_sends_and_is_cancelled_in_the_same_turn_has_sent_once(run: Run) -> None:
    async def scenario() -> None:
        there = open_udp_socket("127.0.0.1", 0)
        with make(Recorder()) as driver, there:

            async def send() -> None:
                driver.perform(Emit(Transmit(b"one", there.getsockname())))
                await driver.wait_until(lambda: False)

            task = asyncio.ensure_future(send())
            asyncio.get_running_loop().call_soon(task.cancel)
            with pytest.raises(asyncio.CancelledError):
                await task
            driver.perform(Emit(Transmit(b"two", there.getsockname())))
            await asyncio.sleep(0)
            there.settimeout(PATIENCE)
            assert [there.recv(99), there.recv(99)] == [b"one", b"two"]
            assert driver.traffic["sent"] == 2

    run(scenario)


def test_a_refused_verb_after_others_in_the_same_turn_loses_none_of_them(run: Run) -> None:
    async def scenario() -> None:
        there = open_udp_socket("127.0.0.1", 0)
        machine = Recorder()
        with make(machine) as driver, there:
            driver.perform(Emit(Transmit(b"one", there.getsockname())))
            with pytest.raises(UsageError):
                driver.perform(Refuse())
            driver.perform(Emit(Transmit(b"two", there.getsockname())))
            await asyncio.sleep(0)
            there.settimeout(PATIENCE)
            assert [there.recv(99), there.recv(99)] == [b"one", b"two"]
            assert not driver.is_closed

    run(scenario)


def test_a_socket_is_watched_for_no_more_than_was_asked_last() -> None:
    """Else a loop would spin on a socket that can be written to, or on one that is gone."""
    loop = asyncio.SelectorEventLoop()
    seen: list[int] = []
    ours, theirs = socket.socketpair()

    def look() -> list[int]:
        seen.clear()
        loop.run_until_complete(asyncio.sleep(0.01))
        return sorted(set(seen))

    try:
        watcher = LoopWatcher(loop, lambda ready: seen.append(ready[0][1]))
        watcher.watch(ours, EVENT_READ | EVENT_WRITE)
        assert look() == [EVENT_WRITE]
        watcher.watch(ours, EVENT_READ)
        assert look() == []
        theirs.send(b"x")
        assert look() == [EVENT_READ]
        watcher.watch(ours, 0)
        assert look() == []
    finally:
        loop.close()
        ours.close()
        theirs.close()

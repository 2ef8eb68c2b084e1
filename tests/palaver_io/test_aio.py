"""What only the facade for asyncio does: cancelling, many at a time, `serve`, leaving nothing."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from io_support import FAST, PATIENCE, STEADY, leaving_nothing_behind

from palaver import Limits, Reason, Timing, WouldBlock
from palaver_io import ConnectFailed, ConversationLost, NotDelivered, aio

SMALL = Limits(window=4096, queue_messages=8)
each_transport = pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    with leaving_nothing_behind():
        yield


def run(scenario: Callable[[], Awaitable[None]], patience: float = PATIENCE) -> None:
    """Run a scenario, which must leave no task behind, in a loop that complains about anything."""
    complaints: list[dict[str, Any]] = []

    async def bounded() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, about: complaints.append(about))
        await asyncio.wait_for(scenario(), patience)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(bounded())
    gc.collect()
    assert not complaints


async def meet(
    listener: aio.Listener,
    **options: Any,  # noqa: ANN401 - passed on
) -> tuple[aio.Conversation, aio.Conversation]:
    ann = await aio.connect(*listener.address, name="Ann", **{"timing": FAST, **options})
    return ann, await listener.accept(PATIENCE)


# Idioms


@pytest.mark.smoke
def test_async_with_and_async_for() -> None:
    async def scenario() -> None:
        async with aio.listen("127.0.0.1", 0, name="Bob", timing=FAST) as listener:
            async with aio.connect(*listener.address, name="Ann", timing=FAST) as ann:
                await ann.send("hello")
                await ann.finish()
                async with await listener.accept(PATIENCE) as bob:
                    assert [text async for text in bob] == ["hello"]
                    await bob.send("hello yourself")
                assert [text async for text in ann] == ["hello yourself"]
            assert ann.closed is not None
            assert ann.closed.clean
            assert "Bob" in repr(ann)

    run(scenario)


def test_leaving_by_an_exception_aborts() -> None:
    async def scenario() -> None:
        async with aio.listen("127.0.0.1", 0, timing=FAST) as listener:
            with pytest.raises(KeyError):
                async with aio.connect(*listener.address, timing=FAST):
                    raise KeyError
            bob = await listener.accept(PATIENCE)
            with pytest.raises(ConversationLost) as caught:
                await bob.receive(PATIENCE)
            assert caught.value.reason == Reason.ABORTED

    run(scenario)


def test_a_name_is_looked_up_without_holding_up_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []

    def resolve(host: str, port: int) -> tuple[str, int]:
        threads.append(threading.current_thread())
        return "127.0.0.1", port

    monkeypatch.setattr(aio, "resolve_peer", resolve)

    async def scenario() -> None:
        async with aio.listen("127.0.0.1", 0, timing=FAST) as listener:
            ann = await aio.connect("somewhere", listener.address[1], timing=FAST)
            assert threads != [threading.current_thread()]
            await ann.close()

    run(scenario)
    assert len(threads) == 1


def test_serve_runs_a_task_for_each_conversation() -> None:
    async def talk(conversation: aio.Conversation) -> None:
        async for text in conversation:
            if text == "fail":
                raise ZeroDivisionError
            await conversation.send(f"{text}, {conversation.peer_name}")

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        complaints: list[dict[str, Any]] = []
        async with aio.listen("127.0.0.1", 0, max_conversations=5, timing=FAST) as listener:
            serving = asyncio.ensure_future(listener.serve(talk))
            callers = [
                await aio.connect(*listener.address, name=f"C{number}", timing=FAST)
                for number in range(4)
            ]
            for caller in callers:
                await caller.send("hi")
            for number, caller in enumerate(callers):
                assert await caller.receive(PATIENCE) == f"hi, C{number}"
            loop.set_exception_handler(lambda _, about: complaints.append(about))
            await callers[0].send("fail")
            with pytest.raises(ConversationLost):
                await callers[0].receive(PATIENCE)
            assert isinstance(complaints.pop()["exception"], ZeroDivisionError)
            await callers[1].abort()
            await callers[2].close()
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
            with pytest.raises(ConversationLost):
                await callers[3].receive(PATIENCE)
            for caller in callers:
                await caller.close()
        assert not complaints

    run(scenario)


def test_serve_ends_when_the_listener_is_closed() -> None:
    async def scenario() -> None:
        heard: list[str] = []
        done = asyncio.Event()

        async def talk(conversation: aio.Conversation) -> None:
            heard.extend([text async for text in conversation])
            done.set()

        listener = await aio.listen("127.0.0.1", 0, timing=FAST)
        serving = asyncio.ensure_future(listener.serve(talk))
        async with aio.connect(*listener.address, timing=FAST) as ann:
            await ann.send("hello")
            await ann.flush()
        await done.wait()
        await listener.close()
        await serving
        assert heard == ["hello"]

    run(scenario)


# Cancelling


def test_a_cancelled_connect_leaves_nothing_open() -> None:
    async def scenario() -> None:
        async with aio.listen("127.0.0.1", 0, timing=FAST) as listener:
            for delay in (0, 0.001, 0.003):
                calling = asyncio.ensure_future(_call(listener))
                await asyncio.sleep(delay)
                calling.cancel()
                with suppress(asyncio.CancelledError):
                    await (await calling).abort()
            nobody = asyncio.ensure_future(_call_at(("127.0.0.1", 9)))
            await asyncio.sleep(0.01)
            nobody.cancel()
            with pytest.raises(asyncio.CancelledError):
                await nobody

    run(scenario)


async def _call(listener: aio.Listener) -> aio.Conversation:
    return await _call_at(listener.address)


async def _call_at(address: tuple[str, int]) -> aio.Conversation:
    return await aio.connect(*address, timing=FAST)


def test_a_cancelled_close_ends_it_at_once() -> None:
    async def scenario() -> None:
        slow = Timing(linger_min=0.5, linger_max=1.0)
        listener = await aio.listen("127.0.0.1", 0, timing=slow)
        ann = await aio.connect(*listener.address, timing=slow)
        bob = await listener.accept(PATIENCE)
        listener._reception.station.driver.close()
        number = await ann.send("lost")
        closing = asyncio.ensure_future(ann.close())
        await asyncio.sleep(0.05)
        closing.cancel()
        began = asyncio.get_running_loop().time()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert asyncio.get_running_loop().time() - began < 0.3
        assert ann.closed is not None
        assert ann.undelivered == [(number, "lost")]
        assert bob.closed is None

    run(scenario)


def test_a_send_that_waits_can_be_cancelled_and_has_not_sent() -> None:
    async def scenario() -> None:
        async with aio.listen("127.0.0.1", 0, timing=FAST, limits=SMALL) as listener:
            ann, bob = await meet(listener, limits=SMALL)
            sent = 0
            while True:
                try:
                    await asyncio.wait_for(ann.send(f"{sent:0100}"), 0.2)
                except asyncio.TimeoutError:
                    try:
                        await ann.send(f"{sent:0100}", wait=False)
                    except WouldBlock:
                        break  # it is full, and not only the machine busy
                sent += 1
            heard = [await bob.receive(PATIENCE) for _ in range(sent)]
            assert heard == [f"{number:0100}" for number in range(sent)]
            await ann.finish()
            assert [text async for text in bob] == []
            await ann.close()

    run(scenario)


class Canceller:
    """Runs coroutines as tasks that it cancels at random points, and counts what became of them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.cancelled = 0
        self.finished = 0

    async def attempt(self, verb: Callable[[], Awaitable[Any]]) -> tuple[bool, Any]:
        """Give whether it was finished, and with what."""
        task = asyncio.ensure_future(verb())
        delay = self._random.choice([None, 0, 0, 1, 2, 3, 5, 0.0005, 0.002])
        if isinstance(delay, float):
            await asyncio.sleep(delay)
        elif delay is not None:
            for _ in range(delay):
                await asyncio.sleep(0)
        if delay is not None:
            task.cancel()
        try:
            result = await task
        except asyncio.CancelledError:
            self.cancelled += 1
            return False, None
        self.finished += 1
        return True, result


@each_transport
@pytest.mark.parametrize("seed", range(2))
def test_a_thousand_cancelled_verbs_lose_and_double_nothing(seed: int, tcp: bool) -> None:
    async def scenario() -> None:
        options: dict[str, Any] = {"tcp": tcp, "limits": SMALL, "timing": STEADY}
        sends, receives = Canceller(seed), Canceller(seed + 1000)
        sent: list[str] = []
        heard: list[str] = []

        async def say(ann: aio.Conversation) -> None:
            number = 0
            while sends.cancelled < 1000:
                text = f"{number:0100}"
                number += 1
                done, _ = await sends.attempt(lambda text=text: ann.send(text))  # type: ignore[misc]
                if done:
                    sent.append(text)
            await ann.finish()

        async def hear(bob: aio.Conversation) -> None:
            while receives.cancelled < 1000:
                done, text = await receives.attempt(bob.receive)
                if done:
                    heard.append(text)
            heard.extend([text async for text in bob])

        async with aio.listen("127.0.0.1", 0, **options) as listener:
            ann, bob = await meet(listener, **options)
            async with ann:  # else a failure would leave sockets open, and that would be told first
                await asyncio.gather(say(ann), hear(bob))
                await ann.flush(PATIENCE)
                assert heard == sent, (len(heard), len(sent))
                assert min(sends.finished, receives.finished) > 100, (sends, receives)

    run(scenario, 60.0)


def test_cancelled_accepts_lose_no_caller() -> None:
    async def scenario() -> None:
        canceller = Canceller(7)
        async with aio.listen("127.0.0.1", 0, max_conversations=50, timing=FAST) as listener:
            callers = asyncio.gather(
                *(aio.connect(*listener.address, name=f"C{n}", timing=FAST) for n in range(50))
            )
            names: set[str] = set()
            while len(names) < 50:
                done, conversation = await canceller.attempt(lambda: listener.accept(PATIENCE))
                if done:
                    names.add(conversation.peer_name)
            assert names == {f"C{number}" for number in range(50)}
            assert canceller.cancelled > 5
            for caller in await callers:
                await caller.abort()

    run(scenario)


# Many


def need_descriptors(count: int) -> None:
    """Raise the limit for open files, or skip the test if that is not allowed."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"only {hard} open files are allowed here, and {count} are needed")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


@each_transport
def test_a_thousand_open_conversations_exchange_a_message_each_way(tcp: bool) -> None:
    count = 1000
    need_descriptors(2 * count + 100)

    async def answer(conversation: aio.Conversation) -> None:
        async for text in conversation:
            await conversation.send(f"{text} to you, {conversation.peer_name}")

    async def scenario() -> None:
        limits = Limits(half_open=2 * count, half_open_per_host=2 * count)
        options: dict[str, Any] = {"tcp": tcp, "limits": limits, "timing": STEADY}
        async with aio.listen("127.0.0.1", 0, max_conversations=count, **options) as listener:
            serving = asyncio.ensure_future(listener.serve(answer))
            callers: list[aio.Conversation] = []
            for first in range(0, count, 50):
                names = [f"C{number}" for number in range(first, first + 50)]
                callers += await asyncio.gather(
                    *(aio.connect(*listener.address, name=name, **options) for name in names)
                )
            assert all(caller.closed is None for caller in callers)
            for caller in callers:
                await caller.send("hello")
            heard = await asyncio.gather(*(caller.receive(PATIENCE) for caller in callers))
            assert heard == [f"hello to you, C{number}" for number in range(count)]
            assert all(caller.closed is None for caller in callers)
            await asyncio.gather(*(caller.abort() for caller in callers))
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving

    run(scenario, 120.0)


# Errors


def test_what_connect_raises() -> None:
    async def scenario() -> None:
        with pytest.raises(ConnectFailed):
            await aio.connect("127.0.0.1", 9, timeout=0.1)
        with pytest.raises(ValueError, match="port 0"):
            await aio.connect("127.0.0.1", 0)
        with pytest.raises(ValueError, match="port"):
            await aio.listen("127.0.0.1", 70000)

    run(scenario)


def test_close_tells_what_was_lost() -> None:
    async def scenario() -> None:
        listener = await aio.listen("127.0.0.1", 0, timing=FAST)
        ann, _ = await meet(listener)
        listener._reception.station.driver.close()
        number = await ann.send("lost")
        with pytest.raises(NotDelivered) as caught:
            await ann.close(0.05)
        assert caught.value.messages == [(number, "lost")]

    run(scenario)

"""The chat on trio, with tasks that are cancelled at any point."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

pytest.importorskip("trio", reason="trio is not installed; it is in the extra 'test'")

import trio
from trio_chat import UNREAD, Chat, open_chat

from palaver import Call


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[Chat, Chat]]:
    with trio.fail_after(60):
        async with open_chat("Bob") as bob, open_chat("Ann") as ann:
            ann.do(Call(bob.address, timeout=10))
            await ann.until(lambda: ann.link)
            await bob.until(lambda: bob.link)
            yield ann, bob


@pytest.mark.parametrize("seed", [1, 2])
def test_a_verb_that_was_cancelled_has_done_nothing(seed: int) -> None:
    chance = random.Random(seed)
    said: list[str] = []
    heard: list[str] = []
    cancelled = {"say": 0, "hear": 0}

    async def speak(chat: Chat) -> None:
        for number in range(1500):
            text = f"{number} " + "x" * chance.choice((10, 5000))
            with trio.move_on_after(chance.choice((0, 0.0002, 0.01))) as scope:
                await chat.say(text)
                said.append(text)
            cancelled["say"] += scope.cancelled_caught
        await chat.say("end")

    async def listen(chat: Chat) -> None:
        while True:
            with trio.move_on_after(chance.choice((0, 0.0002, 0.01))) as scope:
                text = await chat.hear()
                assert text is not None
                if text == "end":
                    return
                heard.append(text)
            cancelled["hear"] += scope.cancelled_caught

    async def main() -> None:
        async with pair() as (ann, bob), trio.open_nursery() as nursery:
            nursery.start_soon(speak, ann)
            nursery.start_soon(listen, bob)

    trio.run(main)
    assert heard == said, f"seed {seed}"
    assert len(said) > 300
    assert min(cancelled.values()) > 100, cancelled


def test_a_slow_reader_makes_its_peer_wait_and_loses_nothing() -> None:
    most = 0
    heard: list[str | None] = []

    async def main() -> None:
        nonlocal most
        async with pair() as (ann, bob), trio.open_nursery() as nursery:

            async def speak() -> None:
                for number in range(600):
                    await ann.say(f"{number} " + "x" * 4000)
                await ann.leave()

            nursery.start_soon(speak)
            await trio.sleep(0.3)
            most = len(bob.texts)
            while (text := await bob.hear()) is not None:
                heard.append(text.split()[0])

    trio.run(main)
    assert UNREAD <= most < 300  # the rest of the window may have been on its way
    assert heard == [str(number) for number in range(600)]


def test_nothing_is_left_when_a_chat_was_cancelled_and_its_peer_is_told() -> None:
    chats: list[Chat] = []

    async def main() -> None:
        with trio.fail_after(30):
            async with open_chat("Bob") as bob:
                with trio.CancelScope() as scope:
                    async with open_chat("Ann") as ann:
                        ann.do(Call(bob.address, timeout=10))
                        await bob.until(lambda: bob.link)
                        await ann.until(lambda: ann.link)
                        chats.append(ann)
                        scope.cancel()
                        await trio.sleep_forever()
                assert await bob.hear() is None
                assert bob.closed is not None
                assert not bob.closed.graceful
            chats.append(bob)

    trio.run(main)
    assert [chat.sock.fileno() for chat in chats] == [-1, -1]


def test_to_say_something_when_it_is_over_is_an_error() -> None:
    async def main() -> None:
        async with pair() as (ann, bob):
            await bob.leave()
            assert await ann.hear() is None
            with pytest.raises(trio.BrokenResourceError, match="left"):
                await ann.say("too late")

    trio.run(main)

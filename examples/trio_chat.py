"""A Duo on trio (https://trio.readthedocs.io), over UDP on this machine.

    pip install trio
    PYTHONPATH=src python3 examples/trio_chat.py

What can be cancelled is waiting, and nothing else: handing an event to the machine and doing all
that it asks for happens in one go. So wherever trio cancels a task, no action is dropped, and a
verb that was cancelled has done nothing.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from math import inf

try:
    import trio
except ModuleNotFoundError:
    raise SystemExit("needs: pip install trio") from None

from palaver import (
    Abort,
    Address,
    Call,
    Closed,
    ConversationOpened,
    Datagram,
    Duo,
    Event,
    Leave,
    Pause,
    Resume,
    Said,
    Say,
    Tick,
    Transmit,
    WouldBlock,
)

BATCH = 100  # datagrams that are read before the tick that answers them
UNREAD = 64  # texts that nobody has read; beyond, the peer has to wait


class Chat:
    """One conversation at one socket. `run` must be running while it is used."""

    def __init__(self, name: str) -> None:
        self.machine = Duo(os.urandom, name=name)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.settimeout(0)
        self.address: Address = self.sock.getsockname()
        self.link = 0  # its number, once it is open
        self.closed: Closed | None = None
        self.texts: deque[str] = deque()
        self.paused = False
        self.news = trio.Event()
        self.waiting = trio.CancelScope()

    # The driver

    async def run(self) -> None:
        """Wait for a datagram or the deadline; handle; repeat, until cancelled."""
        while True:
            self.settle()
            with trio.CancelScope(deadline=self.waiting.deadline) as self.waiting:
                await trio.lowlevel.wait_readable(self.sock)
            with suppress(OSError):  # nothing is left (or an ICMP error, which is only a hint)
                for _ in range(BATCH):
                    self.feed(Datagram(*self.sock.recvfrom(65536)))

    def feed(self, event: Event) -> None:
        """Hand an event to the machine, and do everything that it asks for, in order."""
        for action in self.machine.handle(event, trio.current_time()):
            if isinstance(action, Transmit):
                with suppress(OSError):  # no room: it is lost, as it might be on the wire
                    self.sock.sendto(action.data, action.destination)
            elif isinstance(action, Said):
                self.texts.append(action.text)
            elif isinstance(action, ConversationOpened):
                self.link = action.link
            elif isinstance(action, Closed):
                self.closed = action

    def settle(self) -> None:
        """End a batch: tick, have `run` wait no longer than it should, tell who waits for news."""
        if len(self.texts) > UNREAD and not self.paused:
            self.feed(Pause(self.link))  # here, and not amid the actions of another event
            self.paused = True
        while (deadline := self.machine.deadline) is not None and deadline <= trio.current_time():
            self.feed(Tick())
        self.waiting.deadline = inf if deadline is None else deadline
        self.news.set()
        self.news = trio.Event()

    # For tasks

    def do(self, command: Event) -> None:
        """Give a command, and let out what it causes."""
        self.feed(command)
        self.settle()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until the condition holds."""
        await trio.lowlevel.checkpoint()
        while not condition():
            await self.news.wait()

    async def say(self, text: str) -> None:
        """Say something; wait while the queue is full. If that is cancelled, nothing was said."""
        await self.until(lambda: self.link or self.closed)
        while not self.closed:
            try:
                return self.do(Say(self.link, text))
            except WouldBlock:  # Writable will be among the news
                await self.news.wait()
        raise trio.BrokenResourceError(self.closed.describe())

    async def hear(self) -> str | None:
        """Wait for the next text, and take it; None when the conversation is over."""
        await self.until(lambda: self.texts or self.closed)
        if not self.texts:
            return None
        text = self.texts.popleft()
        if self.paused and not self.texts:
            self.paused = False
            self.do(Resume(self.link))
        return text

    async def leave(self) -> None:
        """Leave when all is delivered; wait until the peer needs no more answers."""
        self.do(Leave(self.link))
        await self.until(lambda: self.machine.is_idle)


@asynccontextmanager
async def open_chat(name: str) -> AsyncIterator[Chat]:
    """Open a socket, and run the driver beside what is done with it."""
    chat = Chat(name)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(chat.run)
            yield chat
            nursery.cancel_scope.cancel()
    finally:
        if chat.link:
            chat.do(Abort(chat.link))  # tells the peer, once; nothing if the link has ended
        chat.sock.close()


async def answer(chat: Chat) -> None:
    """Say everything back, in capitals."""
    while (text := await chat.hear()) is not None:
        print("Ann says:", text)
        await chat.say(text.upper())


async def ask(chat: Chat, address: Address) -> None:
    """Call, talk, and leave."""
    chat.do(Call(address, timeout=5))
    for text in ("hello", "no action is ever dropped"):
        await chat.say(text)
        print("Bob says:", await chat.hear())
    with trio.move_on_after(0.1):
        await chat.hear()  # in vain; to cancel it does no harm
    await chat.leave()


async def main() -> None:
    """Let two chats talk to each other, for 30 seconds at most."""
    with trio.fail_after(30):
        async with open_chat("Bob") as bob, open_chat("Ann") as ann, trio.open_nursery() as nursery:
            nursery.start_soon(answer, bob)
            nursery.start_soon(ask, ann, bob.address)


if __name__ == "__main__":
    trio.run(main)

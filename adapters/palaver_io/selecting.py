"""Conversations in one thread, without any other: `connect` and `listen` on a selector.

Names, meanings and errors are those of `palaver_io.connect` and `palaver_io.listen`, with one
difference: nothing happens but within a call that waits (`receive`, `flush`, `accept`, a `send` to
a full queue, `close`). A program that computes for long acknowledges nothing meanwhile, and after
30 s its peers may take it for dead; `receive(timeout=0)` looks once for what has come.

A program with a selector loop of its own needs no facade: see `SelectorsDriver`.
"""

from __future__ import annotations

from palaver import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from palaver.sim import Faults

from .addresses import DEFAULT_HOST, DEFAULT_PORT
from .conversation import Conversation
from .facade import Listener, connect_on, listen_on
from .opening import Settings
from .selectors_driver import SelectorsDriver

__all__ = ["Conversation", "Listener", "connect", "listen"]


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
) -> Conversation:
    """Call whoever listens at `host` and `port`; as `palaver_io.connect`."""
    settings = Settings(name, tcp, timing=timing, limits=limits, faults=faults, seed=seed)
    return connect_on(SelectorsDriver, settings, host, port, timeout)


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
) -> Listener:
    """Take calls at `host` and `port`; as `palaver_io.listen`."""
    settings = Settings(name, tcp, max_conversations, timing, limits, faults, seed)
    return listen_on(SelectorsDriver, settings, host, port)

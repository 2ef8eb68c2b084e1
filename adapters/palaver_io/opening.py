"""What `connect` and `listen` were asked for, and what is made of it, whatever the driver."""

from __future__ import annotations

import os
from dataclasses import dataclass

from palaver import DEFAULT_LIMITS, DEFAULT_TIMING, Address, Duo, Limits, Timing
from palaver.sim import FaultInjector, Faults

from .addresses import open_tcp_socket, open_udp_socket
from .port import Port
from .tcp import TcpPort
from .text_tcp import TextTcpPort
from .udp import UdpPort


@dataclass(frozen=True)
class Settings:
    """The arguments of `connect` and `listen` that are not addresses."""

    name: str = ""
    tcp: bool = False
    max_conversations: int = 1
    timing: Timing = DEFAULT_TIMING
    limits: Limits = DEFAULT_LIMITS
    faults: Faults | None = None
    seed: int | None = None

    def make_machine(self, *, accept: bool) -> Duo:
        """Make the machine; raises UsageError."""
        return Duo(
            os.urandom,
            name=self.name,
            accept=accept,
            max_conversations=self.max_conversations,
            streams=self.tcp,
            timing=self.timing,
            limits=self.limits,
        )

    def make_injector(self) -> FaultInjector | None:
        """Make what spoils datagrams, if that was asked for."""
        if self.faults is None:
            return None
        seed = int.from_bytes(os.urandom(8), "big") if self.seed is None else self.seed
        return FaultInjector(self.faults, seed)

    def open_caller(self, peer: Address) -> Port:
        """Open the port that can reach `peer`; raises OSError."""
        return open_caller(peer, tcp=self.tcp)

    def open_listener(self, host: str, port: int) -> Port:
        """Open the port for callers at `host` and `port`; raises OSError and ValueError."""
        return open_listener(host, port, tcp=self.tcp)


def open_caller(peer: Address, *, tcp: bool, plain: bool = False) -> Port:
    """Open the port that can reach `peer`, with `plain` for bare text; raises OSError."""
    if tcp:
        return TextTcpPort() if plain else TcpPort()
    return UdpPort(open_udp_socket("::" if ":" in peer[0] else "", 0))


def open_listener(
    host: str, port: int, *, tcp: bool, plain: bool = False, plain_too: bool = False
) -> Port:
    """Open the port for callers at `host` and `port`; raises OSError and ValueError.

    They come with bare text if `plain`, and may do so if `plain_too`.
    """
    if tcp:
        sock = open_tcp_socket(host, port)
        return TextTcpPort(sock, either=plain_too) if plain or plain_too else TcpPort(sock)
    return UdpPort(open_udp_socket(host, port))

"""Datagrams from any host of 127.0.0.0/8, and an account of what comes back (Linux only)."""

from __future__ import annotations

import socket
import struct
from collections import Counter
from typing import Final

from real_support import open_socket

from palaver import Address

# As in Linux; the socket module of older Pythons doesn't name it.
_IP_PKTINFO: Final = 8
_SPACE: Final = 128  # bytes of control data: a struct in_pktinfo fits well


class Spoofer:
    """One port on all hosts of 127.0.0.0/8.

    `sent` and `received` count bytes by host and victim. Nobody may get more than it has sent:
    every `read` checks that.
    """

    def __init__(self) -> None:
        self._sock = open_socket("0.0.0.0")
        self._sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        self._controls: dict[str, list[tuple[int, int, bytes]]] = {}
        self.port: int = self._sock.getsockname()[1]
        self.sent: Counter[tuple[str, Address]] = Counter()
        self.received: Counter[tuple[str, Address]] = Counter()

    def send(self, host: str, data: bytes, victim: Address) -> None:
        """Send as if `host` did."""
        if host not in self._controls:
            # struct in_pktinfo: the interface, the source and (not for sending) the destination.
            info = struct.pack("=I4s4s", 0, socket.inet_aton(host), bytes(4))
            self._controls[host] = [(socket.IPPROTO_IP, _IP_PKTINFO, info)]
        self._sock.sendmsg([data], self._controls[host], 0, victim)
        self.sent[host, victim] += len(data)

    def read(self) -> list[tuple[str, Address, bytes]]:
        """Give what has come back since the last time: to which host, from whom, and the bytes."""
        found: list[tuple[str, Address, bytes]] = []
        while True:
            try:
                data, controls, _, victim = self._sock.recvmsg(65536, _SPACE)
            except BlockingIOError:
                return found
            ((_, _, info),) = controls
            host = socket.inet_ntoa(info[8:12])
            found.append((host, victim, data))
            account = host, victim
            self.received[account] += len(data)
            assert self.received[account] <= self.sent[account], (
                f"{self.received[account]} bytes to {host} for the {self.sent[account]} it sent; "
                f"the last of them: {data.hex()}"
            )

    def close(self) -> None:
        self._sock.close()

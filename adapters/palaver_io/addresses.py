"""Addresses: what people type, what the core holds and what sockets take.

The core's address is a pair of a numeric host and a port. A link-local IPv6 host keeps its zone
("fe80::1%eth0"), and an IPv4 address is written as such even on a socket that speaks both.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from palaver.machine import Address

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 65432

_MAPPED = "::ffff:"
_BUFFER_SIZE = 1 << 20  # bytes; room for some 400 datagrams while the program is busy
_BACKLOG = 1024  # callers that the system keeps until they are taken; it may allow for fewer


# What people type


def parse_address(
    text: str, *, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT
) -> tuple[str, int]:
    """Take "HOST:PORT", "[IPV6]:PORT", "HOST", "[IPV6]" or ":PORT" apart.

    `host` and `port` stand in for what is left out. Names are not looked up: see `resolve`.
    Raises ValueError that says what is wrong and what to type instead.
    """
    if text.startswith("["):
        inner, bracket, rest = text[1:].partition("]")
        if not bracket:
            raise ValueError(f"{text!r} has no closing bracket: type [{inner}] or [{inner}]:{port}")
        if not _is_ipv6(inner):
            raise ValueError(f"{inner!r} is not an IPv6 address; brackets are only for those")
        if rest and not rest.startswith(":"):
            raise ValueError(f"{rest!r} follows the bracket: type [{inner}]:{port}")
        return inner, _parse_port(rest[1:]) if rest else port
    if text.count(":") > 1:
        bare = text if _is_ipv6(text) else text.rpartition(":")[0]
        raise ValueError(f"an IPv6 address needs brackets: type [{bare}] or [{bare}]:{port}")
    name, colon, digits = text.partition(":")
    if name.strip() != name or " " in name:
        raise ValueError(f"there is a space in {text!r}: type HOST:PORT")
    if not name and not colon:
        raise ValueError(f"the address is empty: type HOST:PORT, such as {host}:{port}")
    return name or host, _parse_port(digits) if colon else port


def _parse_port(digits: str) -> int:
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"the port must be a number, not {digits!r}: type HOST:PORT")
    if len(digits) > 5 or int(digits) > 65535:
        raise ValueError(f"the port must be from 0 to 65535, not {digits}")
    return int(digits)


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def format_address(address: Address) -> str:
    """Write an address as people type it: "127.0.0.1:65432" or "[::1]:65432"."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# Names


def resolve(host: str, port: int) -> Address:
    """Look `host` up: a numeric address is normalised, a name's IPv4 address wins over its IPv6.

    May wait for the network if `host` is a name. Raises OSError if it can't be resolved, and
    ValueError for a port out of range.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"the port must be from 0 to 65535, not {port}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except socket.gaierror as exc:
        raise socket.gaierror(exc.errno, f"{host!r} was not found: {exc.strerror}") from exc
    except UnicodeError as exc:
        raise OSError(f"{host!r} can't be the name of a host") from exc
    best = min(found, key=lambda info: info[0] != socket.AF_INET)
    return from_sockaddr(best[4])


def resolve_peer(host: str, port: int) -> Address:
    """Look up somebody to call. As `resolve`, and ValueError if nobody can have that address."""
    address = resolve(host, port)
    numeric = ipaddress.ip_address(address[0].partition("%")[0])
    if numeric.is_unspecified:
        own = "::1" if numeric.version == 6 else "127.0.0.1"
        raise ValueError(f"{host} is where a listener takes calls from anywhere: call {own} here")
    if numeric.is_multicast or address[0] == "255.255.255.255":
        raise ValueError(f"{host} is a group, not a host: a call has one peer")
    if port == 0:
        raise ValueError("port 0 can't be called: type the port that the listener has shown")
    return address


# Sockets


def from_sockaddr(sockaddr: tuple[Any, ...]) -> Address:
    """Give the core's address for what a socket of either family gives."""
    host, port = sockaddr[:2]
    if len(sockaddr) == 4:
        if host.startswith(_MAPPED) and "." in host:
            return host[len(_MAPPED) :], port
        if sockaddr[3] and "%" not in host:
            return f"{host}%{_zone_name(sockaddr[3])}", port
    return host, port


def to_sockaddr(address: Address, family: int) -> tuple[str, int] | tuple[str, int, int, int]:
    """Give what a socket of `family` takes for the core's address.

    Raises OSError if its zone is not an interface of this host.
    """
    if family != socket.AF_INET6:
        return address
    host, port = address
    if ":" not in host:
        return _MAPPED + host, port
    plain, percent, zone = host.partition("%")
    if not percent:
        return address
    return plain, port, 0, int(zone) if zone.isdigit() else socket.if_nametoindex(zone)


def _zone_name(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:  # the interface has just gone
        return str(index)


def open_udp_socket(host: str, port: int) -> socket.socket:
    """Open a UDP socket at `host` (a name, a numeric address, or "" for all of IPv4) and `port`.

    Port 0 takes a free one. "::" takes IPv4 too, where the system lets it. Raises OSError that
    says why the address can't be had, and ValueError for a port out of range.
    """
    return _open_socket(host, port, socket.SOCK_DGRAM)


def open_tcp_socket(host: str, port: int) -> socket.socket:
    """Open a TCP socket that listens; the rest is as with `open_udp_socket`."""
    return _open_socket(host, port, socket.SOCK_STREAM)


def _open_socket(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    address = resolve(host or "0.0.0.0", port)  # noqa: S104 - asked for
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_DGRAM:
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, option, _BUFFER_SIZE)
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows would let others take the port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        elif kind == socket.SOCK_STREAM:  # not kept from it by connections that are over
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address[0] == "::":
            with suppress(OSError, AttributeError):
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(to_sockaddr(address, family))
        if kind == socket.SOCK_STREAM:
            sock.listen(_BACKLOG)
    except OSError as exc:
        sock.close()
        raise OSError(exc.errno, f"can't open {format_address(address)}: {exc.strerror}") from exc
    except BaseException:
        sock.close()
        raise
    return sock


# This host


def list_local_addresses() -> list[str]:
    """Give the numeric addresses at which other hosts may reach this one, the likeliest first.

    A best effort, and nothing is sent: the addresses from which the default routes would send,
    and on Linux the IPv4 address of each interface. Loopback and link-local are left out.
    """
    return list(
        dict.fromkeys(
            host
            for host in (*_default_sources(), *_interface_addresses())
            if not ipaddress.ip_address(host).is_loopback
            and not ipaddress.ip_address(host).is_link_local
            and not ipaddress.ip_address(host).is_unspecified
        )
    )


def local_host_towards(address: Address) -> str:
    """Give the address of this host that `address`, a numeric one, would see. Raises OSError."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect(to_sockaddr(address, family))  # sends nothing
        return from_sockaddr(sock.getsockname())[0]


def _default_sources() -> Iterator[str]:
    # These targets are reserved for documentation.
    for target in ("192.0.2.1", "2001:db8::1"):
        with suppress(OSError):
            yield local_host_towards((target, 9)).partition("%")[0]


def _interface_addresses() -> Iterator[str]:
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    siocgifaddr = 0x8915  # Linux; elsewhere the call fails
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, name in socket.if_nameindex():
            with suppress(OSError):
                request = struct.pack("256s", name.encode()[:15])
                yield socket.inet_ntoa(fcntl.ioctl(sock.fileno(), siocgifaddr, request)[20:24])

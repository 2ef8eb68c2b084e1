from __future__ import annotations

import ipaddress
import socket

import pytest
from io_support import has_ipv6, leaving_nothing_behind

from palaver_io import addresses
from palaver_io.addresses import (
    format_address,
    from_sockaddr,
    list_local_addresses,
    open_udp_socket,
    parse_address,
    resolve,
    resolve_peer,
    to_sockaddr,
)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("192.0.2.1:80", "192.0.2.1", 80),
        ("192.0.2.1", "192.0.2.1", 65432),
        ("bob.example:0", "bob.example", 0),
        (":7070", "127.0.0.1", 7070),
        ("[::1]:65535", "::1", 65535),
        ("[fe80::1%eth0]", "fe80::1%eth0", 65432),
    ],
)
def test_what_people_type_is_taken_apart(text: str, host: str, port: int) -> None:
    assert parse_address(text) == (host, port)


def test_defaults_are_the_callers() -> None:
    assert parse_address(":1", host="h", port=2) == ("h", 1)
    assert parse_address("x", host="h", port=2) == ("x", 2)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "type HOST:PORT, such as 127.0.0.1:65432"),
        ("::1", r"type \[::1\] or \[::1\]:65432"),
        ("::1:65432", r"type \[::1\] or \[::1\]:65432"),
        ("[::1", "closing bracket"),
        ("[::1]7", r"type \[::1\]:65432"),
        ("[::1]:", "must be a number"),
        ("[host]:1", "not an IPv6 address"),
        ("host:", "must be a number, not ''"),
        ("host:http", "must be a number"),
        ("host:-1", "must be a number"),
        ("host:٣", "must be a number"),
        ("host:65536", "from 0 to 65535"),
        ("host: 1", "must be a number"),
        ("my host:1", "space"),
        (" host:1", "space"),
    ],
)
def test_what_is_wrong_and_what_to_type(text: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        parse_address(text)


@pytest.mark.parametrize("address", [("127.0.0.1", 1), ("::1", 65432), ("fe80::1%lo", 5)])
def test_formatting_is_the_inverse(address: tuple[str, int]) -> None:
    assert parse_address(format_address(address)) == address


def test_addresses_of_sockets_come_and_go() -> None:
    assert from_sockaddr(("192.0.2.1", 5)) == ("192.0.2.1", 5)
    assert from_sockaddr(("2001:db8::1", 5, 0, 0)) == ("2001:db8::1", 5)
    assert from_sockaddr(("::ffff:192.0.2.1", 5, 0, 0)) == ("192.0.2.1", 5)
    assert to_sockaddr(("192.0.2.1", 5), socket.AF_INET) == ("192.0.2.1", 5)
    assert to_sockaddr(("192.0.2.1", 5), socket.AF_INET6) == ("::ffff:192.0.2.1", 5)
    assert to_sockaddr(("2001:db8::1", 5), socket.AF_INET6) == ("2001:db8::1", 5)


def test_a_zone_is_kept_by_name() -> None:
    index, name = socket.if_nameindex()[0]
    assert from_sockaddr(("fe80::1", 5, 0, index)) == (f"fe80::1%{name}", 5)
    assert to_sockaddr((f"fe80::1%{name}", 5), socket.AF_INET6) == ("fe80::1", 5, 0, index)
    assert from_sockaddr(("fe80::1", 5, 0, 99999)) == ("fe80::1%99999", 5)
    assert to_sockaddr(("fe80::1%99999", 5), socket.AF_INET6) == ("fe80::1", 5, 0, 99999)
    with pytest.raises(OSError, match=r"interface|device"):
        to_sockaddr(("fe80::1%none", 5), socket.AF_INET6)


def test_numeric_addresses_are_normalised() -> None:
    assert resolve("127.0.0.1", 5) == ("127.0.0.1", 5)
    assert resolve("::ffff:127.0.0.1", 5) == ("127.0.0.1", 5)
    assert resolve("2001:DB8:0:0::1", 5) == ("2001:db8::1", 5)


def test_of_a_names_addresses_ipv4_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [
            (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("::1", 5, 0, 0)),
            (socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", 5)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert resolve("localhost", 5) == ("127.0.0.1", 5)


def test_what_can_not_be_resolved() -> None:
    with pytest.raises(ValueError, match="from 0 to 65535"):
        resolve("127.0.0.1", 65536)
    with pytest.raises(OSError, match="can't be the name"):
        resolve("a" * 64 + ".example", 1)


def test_an_unknown_name_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(socket.gaierror, match=r"'nowhere.example' was not found: unknown"):
        resolve("nowhere.example", 1)


@pytest.mark.parametrize(
    ("host", "port", "advice"),
    [
        ("0.0.0.0", 1, "call 127.0.0.1"),
        ("::", 1, "call ::1"),
        ("224.0.0.1", 1, "group"),
        ("ff02::1", 1, "group"),
        ("255.255.255.255", 1, "group"),
        ("127.0.0.1", 0, "port 0"),
    ],
)
def test_whom_nobody_can_call(host: str, port: int, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        resolve_peer(host, port)


def test_sockets_are_opened_at_ephemeral_ports() -> None:
    with leaving_nothing_behind():
        with open_udp_socket("127.0.0.1", 0) as sock:
            host, port = sock.getsockname()
            assert (host, sock.family) == ("127.0.0.1", socket.AF_INET)
            with pytest.raises(OSError, match=f"can't open 127.0.0.1:{port}: .*in use"):
                open_udp_socket("127.0.0.1", port)
        with open_udp_socket("", 0) as sock:
            assert sock.getsockname()[0] == "0.0.0.0"


@pytest.mark.skipif(not has_ipv6(), reason="this host has no ::1")
def test_the_wildcard_of_ipv6_takes_ipv4_too() -> None:
    with (
        open_udp_socket("::", 0) as both,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as old,
    ):
        both.settimeout(5)
        old.sendto(b"hi", ("127.0.0.1", both.getsockname()[1]))
        assert from_sockaddr(both.recvfrom(10)[1])[0] == "127.0.0.1"


def test_local_addresses_are_reachable_from_elsewhere() -> None:
    with leaving_nothing_behind():
        for host in list_local_addresses():
            numeric = ipaddress.ip_address(host)
            assert not numeric.is_loopback
            open_udp_socket(host, 0).close()


def test_without_a_network_there_are_no_local_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_default_sources", lambda: iter(["127.0.0.1"]))
    monkeypatch.setattr(addresses, "_interface_addresses", lambda: iter(["169.254.3.4", "0.0.0.0"]))
    assert list_local_addresses() == []

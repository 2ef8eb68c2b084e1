"""HELLO and what answers it, as pure functions (PROTOCOL.md, section 4)."""

from __future__ import annotations

from palaver.machine import UsageError
from palaver.timing import MIN_MTU, VERSION, Limits
from palaver.wire.errors import Reason
from palaver.wire.packets import (
    CLEAR_PROFILE,
    MAX_COOKIE,
    Hello,
    Refuse,
    Welcome,
    check_role,
    pad,
)
from palaver.wire.sealing import CLEAR

VERSIONS = (VERSION,)
PROFILES = (CLEAR_PROFILE,)
MIN_HELLO = MIN_MTU  # bytes: no reply to a HELLO is larger than this


def make_hello(link: int, role: str, limits: Limits) -> Hello:
    """Give the HELLO of a caller that will receive under id `link`."""
    hello = Hello(link, VERSIONS, PROFILES, role, limits.mtu, limits.window)
    return pad(hello, MIN_HELLO)


def check_callable(role: str, limits: Limits) -> None:
    """Raise UsageError unless `role` can be called, and its HELLO, with a cookie, fits the mtu."""
    check_role(role)
    hello = with_cookie(make_hello(0, role, limits), bytes(MAX_COOKIE))
    if len(CLEAR.seal(hello.encode())) > limits.mtu:
        raise UsageError(f"a HELLO for role {role!r} does not fit the mtu: shorten the role")


def with_cookie(hello: Hello, cookie: bytes) -> Hello:
    """Give the same HELLO with the cookie that the callee asked for."""
    return pad(
        Hello(
            hello.link,
            hello.versions,
            hello.profiles,
            hello.role,
            hello.mtu,
            hello.credit,
            cookie,
            hello.key_exchange,
        ),
        MIN_HELLO,
    )


def find_fault(hello: Hello, roles: frozenset[str]) -> Reason | None:
    """Give the reason to refuse a HELLO that no state of ours has to do with, if there is one."""
    if VERSION not in hello.versions:
        return Reason.NO_COMMON_VERSION
    if CLEAR_PROFILE not in hello.profiles:
        return Reason.NO_COMMON_PROFILE
    if hello.role not in roles:
        return Reason.WRONG_ROLE
    return None


def make_welcome(hello: Hello, link: int, limits: Limits) -> bytes:
    """Give the sealed WELCOME of a callee that will receive under id `link`."""
    welcome = Welcome(hello.link, link, VERSION, CLEAR_PROFILE, limits.mtu, limits.window)
    return CLEAR.seal(welcome.encode())


def make_refuse(hello: Hello, reason: Reason) -> bytes:
    """Give the REFUSE, without its tag."""
    return Refuse(hello.link, reason, VERSIONS).encode()


def is_acceptable(hello: Hello, welcome: Welcome) -> bool:
    """Tell whether `welcome` chose among what `hello` had offered."""
    return welcome.version in hello.versions and welcome.profile in hello.profiles

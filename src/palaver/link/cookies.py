"""Cookies: proof that a caller receives at its address (PROTOCOL.md, section 4.5)."""

from __future__ import annotations

from hashlib import blake2s

from palaver.machine import Address
from palaver.wire.packets import Hello

COOKIE_SIZE = 16
EPOCH = 10.0  # seconds: a cookie is good for the rest of its epoch and for the next one


class CookieJar:
    """Makes cookies and knows them again, remembering nothing but a secret. Never changed."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def bake(self, address: Address, hello: Hello, now: float) -> bytes:
        """Give the cookie that this HELLO should come back with from this address."""
        return self._bake(address, hello, int(now // EPOCH))

    def is_good(self, address: Address, hello: Hello, now: float) -> bool:
        """Tell whether the HELLO carries a cookie that was made for it lately."""
        epoch = int(now // EPOCH)
        good = (self._bake(address, hello, epoch - age) for age in (0, 1))
        return bool(hello.cookie) and hello.cookie in good

    def _bake(self, address: Address, hello: Hello, epoch: int) -> bytes:
        # All that the callee will act on, except what differs between the two HELLOs.
        bare = Hello(
            hello.link,
            hello.versions,
            hello.profiles,
            hello.role,
            hello.mtu,
            hello.credit,
            b"",
            hello.key_exchange,
        )
        baked = blake2s(key=self._secret, digest_size=COOKIE_SIZE)
        host, port = address
        for part in (host.encode(), str(port).encode(), str(epoch).encode(), bare.encode()):
            baked.update(len(part).to_bytes(4, "big") + part)
        return baked.digest()

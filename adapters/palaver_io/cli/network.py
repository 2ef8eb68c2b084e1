"""What people should know about addresses, and what to do when a socket can't be had."""

from __future__ import annotations

import errno
import ipaddress
import shlex
from typing import Final

from palaver import Address
from palaver_io.addresses import format_address, list_local_addresses

_SHOWN: Final = 5  # addresses


def hint_at_listening(address: Address, *, tcp: bool = False) -> list[str]:
    """Say who can call a listener at `address`, and what they type."""
    host, port = address
    option = " --tcp" if tcp else ""
    numeric = ipaddress.ip_address(host.partition("%")[0])
    if numeric.is_loopback:
        everywhere = "0.0.0.0" if numeric.version == 4 else "::"  # noqa: S104 - told, not bound
        return [
            f"Only this computer can reach it:  palaver call {_type(host, port)}{option}",
            f"To let other computers call:      palaver listen {_type(everywhere, port)}{option}",
        ]
    if numeric.is_unspecified:
        # A socket for all of IPv6 takes IPv4 as well, where the system lets it.
        hosts = [one for one in list_local_addresses() if numeric.version == 6 or ":" not in one]
    else:
        hosts = [host]
    calls = [f"palaver call {_type(one, port)}{option}" for one in hosts[:_SHOWN]]
    if not calls:
        return ["This computer seems to have no address that others could call."]
    return [
        f"Other computers can call:  {calls[0]}",
        *(f"                       or  {call}" for call in calls[1:]),
        "Anyone who can reach this port can call, and nothing is encrypted.",
    ]


def explain_bind_error(error: OSError, host: str, port: int, *, tcp: bool = False) -> str:
    """Say why nothing could listen at an address, and what to do."""
    option = " --tcp" if tcp else ""
    address = format_address((host, port))
    if error.errno == errno.EADDRINUSE:
        other = _type(host, port + 1 if port < 65535 else port - 1)
        return (
            f"{address} is in use: is another `palaver listen` running? "
            f"Take another port: palaver listen {other}{option}"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        own = ", ".join(list_local_addresses()[:_SHOWN]) or "none but 127.0.0.1"
        return (
            f"{host} is not an address of this computer; its own are: {own}. "
            f"To listen on all of them: palaver listen 0.0.0.0:{port}{option}"
        )
    if error.errno in {errno.EACCES, errno.EPERM} and port < 1024:
        return f"port {port} is for the system's own programs: take one from 1024 to 65535"
    return error.strerror or str(error)


def _type(host: str, port: int) -> str:
    """Write an address as one types it in a shell, some of which take brackets for a pattern."""
    return shlex.quote(format_address((host, port)))

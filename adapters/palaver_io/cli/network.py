"""What people should know about addresses, and what to do when a socket can't be had."""

from __future__ import annotations

import errno
import ipaddress
import shlex
from dataclasses import dataclass
from typing import Final

from palaver import Address
from palaver_io.addresses import format_address, list_local_addresses

_SHOWN: Final = 5  # addresses


@dataclass(frozen=True)
class Service:
    """What somebody runs, and what others run and type to come there: `verb` is what they do."""

    serve: str
    come: str
    verb: str
    also: str = ""
    is_long: bool = False
    """What others type is long: on a terminal's line there is room for few words before it."""


LISTEN: Final = Service("palaver listen", "palaver call", "call")
HUB: Final = Service("palaver hub", "palaver join", "join", " --name NAME")
REGISTRY: Final = Service(
    "palaver registry", "palaver peer --registry", "come", " --name NAME", is_long=True
)


def hint_at(service: Service, address: Address, *, tcp: bool) -> list[str]:
    """Say who can come to `address`, and what they type."""
    host, port = address
    option = " --tcp" if tcp else ""
    numeric = ipaddress.ip_address(host.partition("%")[0])

    def come(one: str) -> str:
        return f"{service.come} {_type(one, port)}{service.also}{option}"

    if numeric.is_loopback:
        everywhere = "0.0.0.0" if numeric.version == 4 else "::"  # noqa: S104 - told, not bound
        here = f"Only this computer can {service.verb}:"
        elsewhere = f"To let other computers {service.verb}:  "
        if service.is_long:
            here, elsewhere = "Only this computer:", f"To let others {service.verb}:  "
        return [
            here.ljust(len(elsewhere)) + come(host),
            f"{elsewhere}{service.serve} {_type(everywhere, port)}{option}",
        ]
    if numeric.is_unspecified:
        # A socket for all of IPv6 takes IPv4 as well, where the system lets it.
        hosts = [one for one in list_local_addresses() if numeric.version == 6 or ":" not in one]
    else:
        hosts = [host]
    if not hosts:
        return [f"This computer seems to have no address to which others could {service.verb}."]
    who = "Others" if service.is_long else "Other computers"
    lead = f"{who} can {service.verb}:  "
    return [
        lead + come(hosts[0]),
        *("or  ".rjust(len(lead)) + come(one) for one in hosts[1:_SHOWN]),
        f"Anyone who can reach this port can {service.verb}, and nothing is encrypted.",
    ]


def explain_bind_error(
    error: OSError, service: Service, host: str, port: int, *, tcp: bool = False
) -> str:
    """Say why nothing could be served at an address, and what to do."""
    option = " --tcp" if tcp else ""
    address = format_address((host, port))
    if error.errno == errno.EADDRINUSE:
        other = _type(host, port + 1 if port < 65535 else port - 1)
        return (
            f"{address} is in use: is another `{service.serve}` running? "
            f"Take another port: {service.serve} {other}{option}"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        own = ", ".join(list_local_addresses()[:_SHOWN]) or "none but 127.0.0.1"
        return (
            f"{host} is not an address of this computer; its own are: {own}. "
            f"To listen on all of them: {service.serve} 0.0.0.0:{port}{option}"
        )
    if error.errno in {errno.EACCES, errno.EPERM} and port < 1024:
        return f"port {port} is for the system's own programs: take one from 1024 to 65535"
    return error.strerror or str(error)


def _type(host: str, port: int) -> str:
    """Write an address as one types it in a shell, some of which take brackets for a pattern."""
    return shlex.quote(format_address((host, port)))

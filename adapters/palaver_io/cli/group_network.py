"""What people should know about the address of a hub, and what to do when it can't be had."""

from __future__ import annotations

import errno
import ipaddress
import shlex

from palaver import Address
from palaver_io.addresses import format_address, list_local_addresses

from .group_arguments import HubOptions

_SHOWN = 5


def hint_at_hub(address: Address, *, tcp: bool) -> list[str]:
    """Say who can join at `address`, and what they type."""
    host, port = address
    option = " --tcp" if tcp else ""
    numeric = ipaddress.ip_address(host.partition("%")[0])

    def join(one: str) -> str:
        return f"palaver join {_type(one, port)} --name NAME{option}"

    if numeric.is_loopback:
        everywhere = "0.0.0.0" if numeric.version == 4 else "::"  # noqa: S104 - told, not bound
        return [
            f"Only this computer can join:   {join(host)}",
            f"To let other computers join:   palaver hub {_type(everywhere, port)}{option}",
        ]
    hosts = [host]
    if numeric.is_unspecified:
        hosts = [one for one in list_local_addresses() if numeric.version == 6 or ":" not in one]
    if not hosts:
        return ["This computer seems to have no address at which others could join."]
    return [
        *(f"Other computers can join:  {join(one)}" for one in hosts[:_SHOWN]),
        "Anyone who can reach this port can join, and nothing is encrypted.",
    ]


def explain_hub_error(error: OSError, options: HubOptions) -> str:
    """Say why there can be no hub at an address, and what to do."""
    host, port = options.host, options.port
    address = format_address((host, port))
    if error.errno == errno.EADDRINUSE:
        other = _type(host, port + 1 if port < 65535 else port - 1)
        return (
            f"{address} is in use: is another `palaver hub` running? "
            f"Take another port: palaver hub {other}"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        own = ", ".join(list_local_addresses()[:_SHOWN]) or "none but 127.0.0.1"
        return (
            f"{host} is not an address of this computer; its own are: {own}. "
            f"To listen on all of them: palaver hub 0.0.0.0:{port}"
        )
    if error.errno in {errno.EACCES, errno.EPERM} and port < 1024:
        return f"port {port} is for the system's own programs: take one from 1024 to 65535"
    return error.strerror or str(error)


def _type(host: str, port: int) -> str:
    return shlex.quote(format_address((host, port)))

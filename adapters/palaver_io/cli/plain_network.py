"""What people should know of plain text: how others come, and what it does not do."""

from __future__ import annotations

import ipaddress
from typing import Final

from palaver import Address
from palaver_io.addresses import list_local_addresses

_SHOWN: Final = 3  # addresses

NO_PROMISE: Final = (
    "Plain text promises nothing: texts may get lost, and anyone can pose as anyone."
)


def hint_at_plain(address: Address, *, tcp: bool) -> list[str]:
    """Say what those type who have no Palaver."""
    host, port = address
    numeric = ipaddress.ip_address(host.partition("%")[0])
    hosts = [host]
    if numeric.is_unspecified:
        hosts = [one for one in list_local_addresses() if numeric.version == 6 or ":" not in one]
    program = "nc" if tcp else "nc -u"
    commands = [f"{program} {one} {port}" for one in hosts[:_SHOWN]]
    if not commands:
        return [NO_PROMISE]
    where = "on this computer" if numeric.is_loopback else "from elsewhere"
    return [f"Without Palaver, {where}:  {'  or  '.join(commands)}", NO_PROMISE]

"""Which addresses count as one host."""

from __future__ import annotations

from palaver.machine import Address


def host_of(address: Address) -> str:
    """Give what counts as one host: the host, or for IPv6 the /64 that it is in."""
    host = address[0].partition("%")[0]
    if host.count(":") < 2:
        return host
    if "." in host:
        # An IPv4 address in the clothes of IPv6.
        return host.rpartition(":")[2]
    head, gap, tail = host.partition("::")
    groups = head.split(":") if head else []
    if gap:
        tail_groups = tail.split(":") if tail else []
        groups += ["0"] * (8 - len(groups) - len(tail_groups)) + tail_groups
    return ":".join(group.lower().lstrip("0") or "0" for group in groups[:4])

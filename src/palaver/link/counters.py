"""What an endpoint and its links have counted. For people and tests; nothing depends on it."""

from __future__ import annotations

from palaver.machine import copy_slots


class Counters:
    """Counts since the machine was made. Each distinct fate of a datagram has its own."""

    __slots__ = (
        "cookies_sent",
        "damaged",
        "datagrams_in",
        "datagrams_out",
        "duplicates",
        "foreign",
        "ignored",
        "malformed",
        "messages_delivered",
        "messages_in",
        "messages_sent",
        "messages_undelivered",
        "moves",
        "refused",
        "resets_sent",
        "segments_repeated",
        "segments_resent",
        "too_large",
        "unknown",
        "unreachable",
        "unwanted",
    )

    cookies_sent: int
    """HELLOs asked to come again with a cookie."""
    damaged: int
    """Datagrams with a wrong tag."""
    datagrams_in: int
    datagrams_out: int
    duplicates: int
    """DATA packets that had arrived before, or were too old to tell."""
    foreign: int
    """DATA packets for a link that came from another address than the link's."""
    ignored: int
    """Inputs that the state of the link has no use for."""
    malformed: int
    """Datagrams with the right tag, or none, that are not packets."""
    messages_delivered: int
    messages_in: int
    messages_sent: int
    messages_undelivered: int
    moves: int
    """Links that went on from another address."""
    refused: int
    """HELLOs turned down."""
    resets_sent: int
    segments_repeated: int
    """Segments received that had been received before."""
    segments_resent: int
    """Segments sent again: lost, or on suspicion."""
    too_large: int
    """Datagrams beyond the mtu."""
    unknown: int
    """Packets for a link id that is not here."""
    unreachable: int
    """Hints of the network that nothing listens at an address."""
    unwanted: int
    """HELLOs that were dropped for want of room."""

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    def as_dict(self) -> dict[str, int]:
        """Give all counts by name."""
        return {name: getattr(self, name) for name in self.__slots__}

    def clone(self) -> Counters:
        """Give an independent twin."""
        return copy_slots(self)

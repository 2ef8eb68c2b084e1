"""Drivers that put Palaver's machines on real sockets, and facades that make them easy to use.

    from palaver_io import connect, listen

`connect` and `listen` are for threads and blocking calls; `BlockingDriver`, below them, runs any
machine.
"""

from .addresses import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    format_address,
    list_local_addresses,
    open_udp_socket,
    parse_address,
    resolve,
    resolve_peer,
)
from .blocking import BlockingDriver
from .conversation import Conversation
from .errors import (
    ConnectFailed,
    ConversationLost,
    ConversationOver,
    DriverFailed,
    ListenerClosed,
    NotDelivered,
)
from .facade import Listener, connect, listen

__all__ = [
    "DEFAULT_HOST",
    "DEFAULT_PORT",
    "BlockingDriver",
    "ConnectFailed",
    "Conversation",
    "ConversationLost",
    "ConversationOver",
    "DriverFailed",
    "Listener",
    "ListenerClosed",
    "NotDelivered",
    "connect",
    "format_address",
    "list_local_addresses",
    "listen",
    "open_udp_socket",
    "parse_address",
    "resolve",
    "resolve_peer",
]

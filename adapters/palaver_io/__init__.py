"""Drivers that put Palaver's machines on real sockets, and facades that make them easy to use.

    from palaver_io import connect, listen

`connect` and `listen` are for threads and blocking calls. The same two are in `palaver_io.aio`
for asyncio, and in `palaver_io.selecting` for a single thread.

Below them are the drivers, which run any machine on any port: `BlockingDriver`, `SelectorsDriver`
and, in `palaver_io.aio`, because it takes a while to load, `AsyncioDriver`.
"""

from .addresses import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    format_address,
    list_local_addresses,
    open_tcp_socket,
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
from .selectors_driver import SelectorsDriver
from .tcp import TcpPort
from .udp import UdpPort

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
    "SelectorsDriver",
    "TcpPort",
    "UdpPort",
    "connect",
    "format_address",
    "list_local_addresses",
    "listen",
    "open_tcp_socket",
    "open_udp_socket",
    "parse_address",
    "resolve",
    "resolve_peer",
]

"""Reliable conversations over unreliable wires, as pure state machines.

The protocol is in PROTOCOL.md; the shape that all machines share is in `palaver.machine`.
"""

from .entropy import Entropy
from .link.endpoint import Endpoint
from .link.events import (
    Abort,
    Closed,
    Delivered,
    Dial,
    Dialing,
    Finish,
    Finished,
    Leave,
    Opened,
    Overdue,
    Pause,
    Received,
    Resume,
    Send,
    Side,
    StillDialing,
    Undelivered,
    Writable,
)
from .link.stream_endpoint import StreamEndpoint
from .machine import (
    Action,
    Address,
    Datagram,
    Disconnect,
    Event,
    Machine,
    Notice,
    PalaverError,
    StreamEnded,
    Tick,
    Transmit,
    Unreachable,
    UsageError,
    WouldBlock,
)
from .roles.duo import Duo
from .roles.duo_events import Call, ConversationOpened, Said, Say
from .timing import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from .wire.errors import DecodeError, Reason, reason_name

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_LIMITS",
    "DEFAULT_TIMING",
    "Abort",
    "Action",
    "Address",
    "Call",
    "Closed",
    "ConversationOpened",
    "Datagram",
    "DecodeError",
    "Delivered",
    "Dial",
    "Dialing",
    "Disconnect",
    "Duo",
    "Endpoint",
    "Entropy",
    "Event",
    "Finish",
    "Finished",
    "Leave",
    "Limits",
    "Machine",
    "Notice",
    "Opened",
    "Overdue",
    "PalaverError",
    "Pause",
    "Reason",
    "Received",
    "Resume",
    "Said",
    "Say",
    "Send",
    "Side",
    "StillDialing",
    "StreamEnded",
    "StreamEndpoint",
    "Tick",
    "Timing",
    "Transmit",
    "Undelivered",
    "Unreachable",
    "UsageError",
    "WouldBlock",
    "Writable",
    "reason_name",
]

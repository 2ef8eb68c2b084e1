"""Palaver beside aioquic: processor time per message, both ends in one process, no sockets.

    pip install aioquic
    python benchmarks/versus_aioquic.py

Both are driven the same way: messages in bursts, datagrams handed over by a function call, acks
included. aioquic encrypts and authenticates what it sends, which Palaver's clear profile does not:
the figures compare what each costs as it is, not the same service. For aioquic a message is a write
to one stream of a connection; for Palaver a Send on one link.
"""

from __future__ import annotations

import argparse
import datetime as dt
import ssl
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import link_cost
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import StreamDataReceived
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

CLIENT, SERVER = ("127.0.0.1", 1), ("127.0.0.1", 2)


def server_configuration() -> QuicConfiguration:
    """Give the configuration of a server with a certificate made on the spot."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    today = dt.datetime.now(dt.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    configuration = QuicConfiguration(is_client=False, alpn_protocols=["bench"])
    configuration.certificate, configuration.private_key = certificate, key
    return configuration


class QuicPair:
    """Two aioquic connections, and the wire between them."""

    def __init__(self) -> None:
        """Connect them."""
        self.now = 0.0
        configuration = QuicConfiguration(is_client=True, alpn_protocols=["bench"])
        configuration.verify_mode = ssl.CERT_NONE
        self.client = QuicConnection(configuration=configuration)
        self.client.connect(SERVER, now=self.now)
        self.server = QuicConnection(
            configuration=server_configuration(),
            original_destination_connection_id=self.client.original_destination_connection_id,
        )
        self.received = 0
        for _ in range(20):
            self.exchange()

    def exchange(self) -> bool:
        """Carry what either side sends; False if there was nothing."""
        self.now += 0.0001
        moved = False
        for source, target, address in (
            (self.client, self.server, CLIENT),
            (self.server, self.client, SERVER),
        ):
            for data, _ in source.datagrams_to_send(now=self.now):
                target.receive_datagram(data, address, now=self.now)
                moved = True
        for side in (self.client, self.server):
            timer = side.get_timer()
            if timer is not None and timer <= self.now:
                side.handle_timer(now=self.now)
                moved = True
            while (event := side.next_event()) is not None:
                if isinstance(event, StreamDataReceived):
                    self.received += len(event.data)
        return moved


def aioquic_cost(size: int, burst: int, messages: int) -> float:
    """Give the microseconds per message."""
    pair = QuicPair()
    stream = pair.client.get_next_available_stream_id()
    body = bytes(size)
    started = time.process_time()
    for _ in range(messages // burst):
        for _ in range(burst):
            pair.client.send_stream_data(stream, body)
        while pair.exchange():
            pass
    pair.now += 0.05
    while pair.exchange():
        pass
    spent = time.process_time() - started
    expected = messages // burst * burst
    if pair.received != expected * size:
        raise SystemExit(f"aioquic: {pair.received} bytes of {expected * size}")
    return spent / expected * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Palaver beside aioquic, in one run.")
    parser.add_argument("--messages", type=int, default=4_000, help="per measurement")
    messages = parser.parse_args().messages
    print("aioquic encrypts; Palaver's clear profile does not.")
    print(f"{'message':>10} {'burst':>6} {'aioquic':>10} {'palaver':>10} {'times faster':>13}")
    for size, burst in ((1024, 1), (1024, 16), (64, 64)):
        # In turn, so that both meet the same weather.
        pairs = [
            (
                aioquic_cost(size, burst, messages),
                link_cost.microseconds_per_message(size, burst, messages),
            )
            for _ in range(3)
        ]
        theirs, ours = min(a for a, _ in pairs), min(b for _, b in pairs)
        print(f"{size:>8} B {burst:>6} {theirs:>7.1f} µs {ours:>7.1f} µs {theirs / ours:>12.1f}x")


if __name__ == "__main__":
    main()

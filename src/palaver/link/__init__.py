"""Two parties: handshake, delivery, recovery, and the endpoint that holds many links."""

"""Socket options of associations."""

from __future__ import annotations

import socket

from pynetdicom.events import Event


def send_at_once(event: Event) -> None:
    """Handler of EVT_CONN_OPEN, both sides: TCP_NODELAY.

    A C-STORE is a request and an answer in turn. With Nagle's algorithm the last small segment of each waits for
    the delayed acknowledgement of the other side, 40 ms an object.
    """
    transport = event.assoc.dul.socket
    if transport is not None and transport.socket is not None:
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

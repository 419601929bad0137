"""What associations do on a socket beyond the protocol."""

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


def end_waiting(event: Event) -> None:
    """Handler of EVT_CONN_CLOSE, sender: a response that is waited for will not come any more.

    pynetdicom would go on waiting for it until its time limit.
    """
    event.assoc.dimse.msg_queue.put((None, None))

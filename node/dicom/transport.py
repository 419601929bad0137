"""Socket options and races of associations, beyond the protocol."""

from __future__ import annotations

import socket
from queue import Empty

from pynetdicom import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT, DIMSEPrimitive
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import A_ASSOCIATE, MaximumLengthNotification

#: Bytes of a PDU with the smallest even fragment: item length, context and header take 6.
SMALLEST_EVEN = 8


def send_at_once(event: Event) -> None:
    """Handler of EVT_CONN_OPEN, both sides: TCP_NODELAY.

    A C-STORE is a request and an answer in turn. With Nagle's algorithm the last small segment of each waits for
    the delayed acknowledgement of the other side, 40 ms an object.
    """
    transport = event.assoc.dul.socket
    if transport is not None and transport.socket is not None:
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def send_even_fragments(event: Event) -> None:
    """Handler of EVT_ACCEPTED, both sides: fragments of an even length, whatever the peer's maximum is (PS3.8 E.2).

    pynetdicom fills PDUs up to the maximum that the peer named; from here on it takes an odd one for one byte less.
    Unlimited (0) stays.
    """
    association = event.assoc
    peer = association.acceptor if association.is_requestor else association.requestor
    for item in peer.user_information:
        if isinstance(item, MaximumLengthNotification) and item.maximum_length_received > SMALLEST_EVEN:
            item.maximum_length_received -= item.maximum_length_received % 2


def end_waiting(event: Event) -> None:
    """Handler of EVT_CONN_CLOSE, requestor: a response that is waited for will not come any more.

    pynetdicom would go on waiting for it until its time limit.
    """
    event.assoc.dimse.msg_queue.put((None, None))


def take_early_rejection(association: Association) -> None:
    """Requestor: a rejection that came before pynetdicom 3.0.4 looked whether the connection stands.

    Its provider closes the connection on A-ASSOCIATE-RJ, and who asked for the association then finds none and aborts,
    with the rejection unread.
    """
    if association.acceptor.primitive is not None or not association.is_aborted:
        return
    answer = association.dul.peek_next_pdu()
    if isinstance(answer, A_ASSOCIATE) and answer.result:
        association.acceptor.primitive = answer
        association.is_rejected, association.is_aborted = True, False


def keep_responses(association: Association) -> None:
    """Requestor: leave every response to the one who waits for it.

    Race in pynetdicom 3.0.4: sending pauses the reactor and looks whether it rests. The reactor says so before it
    looks whether it may go on, so it can still make one round, take the response from the queue, and drop it as
    "unexpected"; the sender then waits until its time limit. Seen about once in 100 objects on a busy machine. So the
    reactor, which alone looks without waiting, finds nothing. A report of the acceptor that comes before the response
    is served at once: the acceptor may wait for its answer first.
    """
    waiting = association.dimse.get_msg

    def response(block: bool = False) -> tuple[int | None, DIMSEPrimitive | None]:
        while block:
            context_id, message = waiting(block=True)
            if not isinstance(message, N_EVENT_REPORT) or not message.is_valid_request:
                return context_id, message
            association._serve_request(message, context_id)
        return None, None

    association.dimse.get_msg = response


def serve_next_report(association: Association, wait_s: float) -> None:
    """Requestor: serve what the acceptor reports of itself within so many seconds, one message at the most."""
    try:
        context_id, message = association.dimse.msg_queue.get(timeout=wait_s)
    except Empty:
        return
    if isinstance(message, N_EVENT_REPORT) and association.is_established:
        association._serve_request(message, context_id)

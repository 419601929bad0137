"""pynetdicom's upper layer service provider (PS3.8), in the thread of its association.

pynetdicom's own runs a thread that polls the socket and takes what is to be sent from a queue. Here what association
control and the services say goes to the socket at once, and who waits for something reads it.
"""

from __future__ import annotations

from typing import TypeAlias

from pynetdicom import Association, evt
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_RELEASE_RP, P_DATA_TF
from pynetdicom.pdu_primitives import A_ABORT, A_ASSOCIATE, A_P_ABORT, A_RELEASE, P_DATA

from node.dicom.connection import Connection

Primitive: TypeAlias = A_ASSOCIATE | A_RELEASE | A_ABORT | A_P_ABORT | P_DATA


class UpperLayer(DULServiceProvider):
    """What the association control and the services of one accepted association send through."""

    def __init__(self, association: Association, connection: Connection) -> None:
        super().__init__(association)
        self._connection = connection

    def start(self) -> None:
        """There is no thread to start."""

    def send_pdu(self, primitive: Primitive) -> None:
        """Send the PDU of a primitive.

        Raises:
            OSError: the connection is broken, or takes no more.
        """
        if not isinstance(primitive, P_DATA):
            evt.trigger(self.assoc, evt.EVT_ACSE_SENT, {"primitive": primitive})
        pdu = _pdu_of(primitive)
        pdu.from_primitive(primitive)
        self._connection.send(pdu.encode())

    def aborted(self) -> None:
        """Let association control know that the association has ended while a service runs."""
        self.to_user_queue.put(A_P_ABORT())

    def stop_dul(self) -> bool:
        """Nothing runs that would have to stop."""
        return True


def _pdu_of(primitive: Primitive) -> A_ASSOCIATE_AC | A_ASSOCIATE_RJ | A_RELEASE_RP | A_ABORT_RQ | P_DATA_TF:
    match primitive:
        case P_DATA():
            return P_DATA_TF()
        case A_ASSOCIATE():
            return A_ASSOCIATE_RJ() if primitive.result else A_ASSOCIATE_AC()
        case A_RELEASE():
            return A_RELEASE_RP()
    return A_ABORT_RQ()

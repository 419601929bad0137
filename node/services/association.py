"""An association as acceptor (PS3.8), as pynetdicom runs it: in threads of its own, until it ends."""

from __future__ import annotations

from collections.abc import Callable

from pynetdicom import AE, Association, evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import A_ABORT, A_ASSOCIATE, A_P_ABORT, A_RELEASE
from pynetdicom.transport import AddressInformation, AssociationSocket

from node.dicom.command import Refusal
from node.services.acceptor import ReceivedRequest
from node.services.messages import Messages, RefusedRequest
from node.services.upper_layer import UpperLayer


class AcceptedAssociation(Association):
    """One association; its slot is free as soon as the other side could know that it has ended.

    Attributes:
        faults: what the other side did that it must not, in the order in which it happened.
    """

    def __init__(
        self,
        ae: AE,
        request: ReceivedRequest,
        refuse: Callable[[AcceptedAssociation, RefusedRequest], Refusal],
        ended: Callable[[AcceptedAssociation], None],
    ) -> None:
        """`refuse` says what a request is told whose command cannot be served, `ended` is called once, at the end."""
        super().__init__(ae, MODE_ACCEPTOR)
        self.faults: list[str] = []
        self._slot = request.slot
        self._refuse, self._ended = refuse, ended
        self.name = f"AcceptorThread of {request.address[0]}:{request.address[1]}"
        self.dul = UpperLayer(self, request.request.encoded, ae.maximum_pdu_size, self.faults.append)
        self.dimse: Messages = Messages(self, self.faults.append)
        # pynetdicom keeps its time limits in the provider as well.
        self.acse_timeout, self.network_timeout = ae.acse_timeout, ae.network_timeout
        request.socket.settimeout(ae.network_timeout)
        self.set_socket(AssociationSocket(self, client_socket=request.socket))
        self.acceptor.maximum_length = ae.maximum_pdu_size
        self.acceptor.ae_title = ae.ae_title
        self.acceptor.address_info = AddressInformation.from_tuple(request.socket.getsockname())
        self.acceptor.implementation_class_uid = ae.implementation_class_uid
        self.acceptor.implementation_version_name = ae.implementation_version_name
        self.requestor.address_info = AddressInformation.from_tuple(request.address)
        self.bind(evt.EVT_ACCEPTED, lambda _: self._slot.establish())
        self.bind(evt.EVT_ACSE_SENT, self._sends)
        self.bind(evt.EVT_CONN_CLOSE, lambda _: self._slot.release())

    def run_reactor(self) -> None:
        """Negotiate and serve until the association has ended."""
        try:
            super().run_reactor()
        finally:
            self._slot.release()
            self.disconnect()
            self._ended(self)

    def transfer_syntax_of(self, context_id: int) -> str:
        """The transfer syntax of an accepted presentation context."""
        return str(self._accepted_cx[context_id].transfer_syntax[0])

    def disconnect(self) -> None:
        """Close the connection, whatever waits for it."""
        transport = self.dul.socket
        if transport is not None and transport.socket is not None:
            transport._shutdown_socket()

    def _serve_request(self, msg: object, context_id: int) -> None:
        """Serve what pynetdicom understands, and refuse the rest."""
        if isinstance(msg, RefusedRequest):
            self.dimse.answer(msg, self._refuse(self, msg))
        else:
            super()._serve_request(msg, context_id)

    def _sends(self, event: Event) -> None:
        """Just before it is sent: who reads the end of this association may ask for the next one."""
        primitive = event.primitive
        rejects = isinstance(primitive, A_ASSOCIATE) and primitive.result != 0
        if rejects or isinstance(primitive, A_ABORT | A_P_ABORT | A_RELEASE):
            self._slot.release()

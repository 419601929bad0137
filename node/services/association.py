"""An association as acceptor (PS3.8): a thread that negotiates by pynetdicom, and then reads its connection itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping

from pynetdicom import AE, Association, evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.dimse_primitives import DIMSEPrimitive
from pynetdicom.events import Event
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ABORT, A_ASSOCIATE, A_P_ABORT, A_RELEASE
from pynetdicom.transport import AddressInformation

from node.dicom.command import Command, Refusal
from node.dicom.encrypted import connection_over
from node.dicom.pdu_reader import (
    MALFORMED,
    AssociationEnd,
    BrokenConnectionError,
    FaultError,
    PDUReader,
    ReleaseRequested,
    SilenceError,
    SlowError,
    TimeLimits,
)
from node.dicom.tls import certificate_of
from node.errors import told
from node.services.acceptor import ReceivedRequest
from node.services.messages import IncomingObject, Messages, Operation
from node.services.request import ABORT
from node.services.upper_layer import UpperLayer
from node.settings import RemoteSettings

log = logging.getLogger(__name__)

_PARTING_S = 1.0


class AcceptedAssociation(Association):
    """One association; its slot is free as soon as the other side could know that it has ended.

    Attributes:
        faults: what the other side did that it must not.
        certificate: of the other side; None without TLS.
        remotes: the configured ones that the other side can be.
        afterwards: what a service has to do when its response has been sent; requests to the other side, too.
    """

    def __init__(
        self,
        ae: AE,
        request: ReceivedRequest,
        limits: TimeLimits,
        begin: Callable[[AcceptedAssociation, Command, int, Refusal | None], IncomingObject],
        refused: Callable[[AcceptedAssociation, Refusal], None],
        served: Mapping[int, Collection[str]],
        operations: Mapping[int, Operation],
        ended: Callable[[AcceptedAssociation], None],
    ) -> None:
        """`begin`, `refused`, `served` and `operations` are as in `Messages`; `ended` is called once, at the end."""
        super().__init__(ae, MODE_ACCEPTOR)
        self.faults: list[str] = []
        self.certificate = certificate_of(request.socket)
        self.remotes: tuple[RemoteSettings, ...] = ()
        self.afterwards: list[Callable[[], None]] = []
        self._slot, self._ended = request.slot, ended
        self._request = request.request.encoded
        self._parting = self._sent_abort = False
        self.name = f"AcceptorThread of {request.address[0]}:{request.address[1]}"
        local = request.socket.getsockname()
        self._connection = connection_over(request.socket, limits.silence_s)
        self.dul = UpperLayer(self, self._connection)
        self.dimse: Messages = Messages(
            self,
            self._connection,
            PDUReader(self._connection, ae.maximum_pdu_size, limits),
            lambda command, context_id, refusal: begin(self, command, context_id, refusal),
            lambda refusal: refused(self, refusal),
            served,
            operations,
        )
        self.acceptor.maximum_length = ae.maximum_pdu_size
        self.acceptor.ae_title = ae.ae_title
        self.acceptor.address_info = AddressInformation.from_tuple(local)
        self.acceptor.implementation_class_uid = ae.implementation_class_uid
        self.acceptor.implementation_version_name = ae.implementation_version_name
        self.requestor.address_info = AddressInformation.from_tuple(request.address)
        self.bind(evt.EVT_ACSE_SENT, self._sends)

    def run_reactor(self) -> None:
        """Negotiate and serve until the association has ended."""
        try:
            self._negotiate_and_serve()
        except OSError as error:
            log.debug("association ended: %s", told(error))
        finally:
            self.is_established = False
            self._slot.release()
            if self._parting:
                self._connection.part(_PARTING_S)
            self._connection.close()
            self._ended(self)

    @property
    def ae_title(self) -> str:
        """What the other side calls itself."""
        return str(self.requestor.ae_title).strip()

    @property
    def address(self) -> str:
        """Where it calls from."""
        return str(self.requestor.address)

    def _serve_request(self, msg: DIMSEPrimitive, context_id: int) -> None:
        super()._serve_request(msg, context_id)
        self._is_paused = True  # as while the service ran: who sends a request waits for it
        while self.afterwards:
            self.afterwards.pop(0)()

    def transfer_syntax_of(self, context_id: int) -> str:
        """The transfer syntax of an accepted presentation context."""
        return str(self._accepted_cx[context_id].transfer_syntax[0])

    def abort_now(self) -> None:
        """Send an A-ABORT, from whatever thread; the association ends by it."""
        if self._sent_abort or self.is_released:
            return
        self._sent_abort = True
        try:
            self.acse.send_abort(0x00)
        except OSError as error:
            log.debug("A-ABORT not sent: %s", told(error))
        self._connection.end_sending()

    def disconnect(self) -> None:
        """End the connection, whatever waits for it."""
        self._connection.disconnect()

    def _negotiate_and_serve(self) -> None:
        try:
            self._negotiate()
            if self.is_established:
                self.dimse.serve()
        except ReleaseRequested:
            self.is_released = True
            self.acse.send_release(is_response=True)
        except SilenceError:
            self.acse.send_abort(0x00)
        except SlowError as slow:
            self.faults.append(str(slow))
            self.acse.send_abort(0x00)
        except BrokenConnectionError as fault:
            self.faults.append(str(fault))
        except FaultError as fault:
            self.faults.append(str(fault))
            self._slot.release()
            self._parting = True
            self._connection.send(ABORT)
        except AssociationEnd:
            self.is_aborted = True

    def _negotiate(self) -> None:
        try:
            request = A_ASSOCIATE_RQ()
            request.decode(self._request)
            self.requestor.primitive = request.to_primitive()
            evt.trigger(self, evt.EVT_REQUESTED, {})
            if not self.is_aborted and not self.is_rejected:
                self.acse.negotiate_association()
        except MALFORMED as error:
            log.debug("association request not decoded: %s", told(error))
            raise FaultError("an association request that cannot be decoded") from error

    def _sends(self, event: Event) -> None:
        """Just before it is sent: who reads the end of this association may ask for the next one."""
        primitive = event.primitive
        rejects = isinstance(primitive, A_ASSOCIATE) and primitive.result != 0
        if isinstance(primitive, A_ASSOCIATE) and not rejects:
            self._slot.establish()
        if rejects or isinstance(primitive, A_ABORT | A_P_ABORT | A_RELEASE):
            self._parting = True
            self._slot.release()

"""Calling another system: the association with its time limits, and why there is none."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from pynetdicom import AE, Association, build_role, evt
from pynetdicom.events import Event, EventType

from node.dicom.contexts import MAXIMUM_CONTEXTS, proposals, takeable
from node.dicom.tls import ClientContext, client_context
from node.dicom.transport import (
    SMALLEST_EVEN,
    end_waiting,
    keep_responses,
    send_at_once,
    send_even_fragments,
    take_early_rejection,
)
from node.dicom.user_identity import requested
from node.settings import RemoteSettings

CONNECTION_LOST = "the association was lost before the answer"
ENDED_BEFORE = "the association ended before its turn"
_MAXIMUM_PDU = 2**17  # bytes, where objects are taken
_REJECTIONS = {  # PS3.8 9.3.4, source and diagnostic
    (1, 2): "application context not supported",
    (1, 3): "calling AE title not recognised",
    (1, 7): "called AE title not recognised",
    (2, 1): "no reason given; where a user identity is needed: it was refused",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit of associations exceeded",
}


@dataclass(frozen=True, slots=True)
class RemoteAE:
    """A system to call.

    Attributes:
        host: its address or name.
        port: where it listens.
        called_ae: what it calls itself.
        calling_ae: what this node calls itself there.
        timeout_s: for connecting, and for each answer.
        settings: of a remote, where it is one: TLS and user identity are taken from them.
    """

    host: str
    port: int
    called_ae: str
    calling_ae: str
    timeout_s: float
    settings: RemoteSettings | None = None

    @classmethod
    def of(cls, remote: RemoteSettings) -> RemoteAE:
        """A configured remote."""
        return cls(remote.host, remote.port, remote.ae_title, remote.calling_ae_title, remote.timeout_s, remote)

    def associate(
        self,
        pairs: Sequence[tuple[str, str]],
        handlers: Sequence[tuple[EventType, Callable[[Event], Any]]] = (),
        as_scp: str = "",
        taken: Collection[str] = (),
    ) -> Association:
        """Ask for an association with these (SOP class, transfer syntax) pairs; it may not be established.

        Args:
            pairs: what is proposed.
            handlers: of pynetdicom's events, beside those that every association has.
            as_scp: a SOP class of which this side takes the role of the SCP alone (PS3.7 D.3.3.4).
            taken: storage SOP classes whose objects come on it, in the same role.

        Raises:
            OSError: the name of the host is not known (`socket.gaierror`), this machine is short of something, or a
                file with certificates or a passcode cannot be used.
        """
        tls = client_context(self.settings) if self.settings and self.settings.tls else None
        identity = requested(self.settings) if self.settings else None
        ae = AE(ae_title=self.calling_ae)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = self.timeout_s
        bound = [
            (evt.EVT_CONN_OPEN, send_at_once),
            (evt.EVT_CONN_CLOSE, end_waiting),
            (evt.EVT_ACCEPTED, send_even_fragments),
            *handlers,
        ]
        proposed = proposals(pairs)
        contexts = [*proposed, *takeable(taken, MAXIMUM_CONTEXTS - len(proposed))]
        roles = [build_role(uid, scp_role=True) for uid in (*taken, *([as_scp] if as_scp else ()))]
        if taken:
            ae.maximum_pdu_size = _MAXIMUM_PDU
        try:
            association = ae.associate(
                self.host,
                self.port,
                contexts=contexts,
                ae_title=self.called_ae,
                evt_handlers=bound,
                tls_args=(tls, tls.server_name) if tls else None,
                ext_neg=[*([identity] if identity else ()), *roles],
            )
        except RuntimeError as error:  # how Python says that no thread can be started
            raise OSError(errno.EAGAIN, str(error)) from error
        association.tls = tls
        take_early_rejection(association)
        keep_responses(association)
        return association


def refusal(association: Association) -> str:
    """Why there is no association."""
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        key = (answer.result_source, answer.diagnostic)
        return f"association rejected: {_REJECTIONS.get(key, f'source {key[0]}, reason {key[1]}')}"
    if accepts_nothing(association):
        return "association without any accepted presentation context"
    tls: ClientContext | None = getattr(association, "tls", None)
    if tls is not None and tls.refusal:
        return f"no connection by TLS: {tls.refusal}"
    return "no connection" if association.acceptor.primitive is None else "association aborted"


def accepts_nothing(association: Association) -> bool:
    """Whether the other side answered and took none of the contexts; pynetdicom then aborts by itself."""
    return bool(association.rejected_contexts) and not association.accepted_contexts


def narrowness(association: Association) -> str:
    """Why nothing fits through an established association; empty where something does."""
    maximum = association.acceptor.maximum_length
    if maximum == 0 or (maximum is not None and maximum >= SMALLEST_EVEN):
        return ""
    said = "none" if maximum is None else f"{maximum} bytes"
    return f"the maximum length of PDUs that the receiver names leaves no room for an object: {said}"


def in_words(status: int, comment: str, meanings: dict[int, tuple[str, str]]) -> str:
    """Status, its meaning and the other side's comment (0000,0902); empty for plain success."""
    if status == 0:
        return ""
    _, meaning = meanings.get(status, ("", ""))
    words = [f"status 0x{status:04X}", meaning, comment]
    return ", ".join(word for word in words if word)

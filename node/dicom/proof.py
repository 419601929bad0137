"""Whether a caller is the remote that it says it is: an AE title is no secret, a certificate or passcode is."""

from __future__ import annotations

from dataclasses import dataclass

from pynetdicom.pdu_primitives import UserIdentityNegotiation

from node.dicom.tls import PeerCertificate, unbound
from node.dicom.user_identity import mismatch
from node.settings import RemoteSettings


@dataclass(frozen=True, slots=True)
class Caller:
    """What a caller shows: its certificate where it calls by TLS, and its user identity where it presents one."""

    certificate: PeerCertificate | None = None
    identity: UserIdentityNegotiation | None = None


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a caller is not the remote.

    Attributes:
        source: of the rejection …
        diagnostic: … and its reason (PS3.8 9.3.4).
        why: in words, with the remote and what to do.
    """

    source: int
    diagnostic: int
    why: str


def doubt(remote: RemoteSettings, caller: Caller) -> Doubt | None:
    """Why a caller with the AE title and address of a remote is not it; None where it is.

    A remote with TLS is never taken without; one without TLS has no certificate that could be its own.
    """
    certificate = caller.certificate
    if certificate is None and remote.tls:
        return _transport(remote, "it must call by TLS: let it call `listener.tls_port`")
    if certificate is not None:
        shown = f"the certificate with fingerprint {certificate.fingerprint}"
        if not remote.tls:
            keys = "`tls = true` and `certificate_sha256` if it is its own"
            return _transport(remote, f"no certificate is bound to it: {shown} was shown; give it {keys}")
        if why := unbound(remote, certificate):
            return _transport(remote, f"{shown} {why}: correct the remote, or find out who calls")
    if why := mismatch(remote, caller.identity):
        # PS3.7 D.3.3.7: by the provider, association control, without a reason.
        return Doubt(2, 1, f"remote {remote.name}: {why}; it needs `username` and passcode as here")
    return None


def _transport(remote: RemoteSettings, why: str) -> Doubt:
    return Doubt(1, 3, f"remote {remote.name}: {why}")

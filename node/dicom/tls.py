"""TLS as PS3.15 annex B has it by BCP 195 (RFC 8996, RFC 9325): 1.2 and 1.3, and certificates on both sides.

A certificate is bound to one remote, by its fingerprint or by a name in it: that an authority has signed it says only
that it is somebody's.
"""

from __future__ import annotations

import errno
import hashlib
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from node.settings import Credentials, RemoteSettings

#: RFC 9325, 4.2, for TLS 1.2; those of 1.3 are all good. Keys below 112 bits of strength (RSA below 2048) are refused.
SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:@SECLEVEL=2"
)
_TRY_AGAIN = ssl.SSLWantReadError | ssl.SSLWantWriteError
_VERIFICATION = {  # X509_V_ERR_… of OpenSSL
    9: "is not valid yet: compare the clocks",
    10: "has expired: it needs a new one",
    18: "is signed by itself: add it to `authorities` if it is to be believed",
    19: "is signed by none of `authorities`",
    20: "is signed by none of `authorities`",
    21: "is signed by none of `authorities`",
    26: "is not meant for this side of a connection: its extended key usage must have serverAuth and clientAuth",
    62: "is for another host: correct `certificate_name`, or find out who answers there",
    64: "is for another host: correct `certificate_name`, or find out who answers there",
}
_REASONS = {  # of OpenSSL, without the name of the protocol in front of those of alerts
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no certificate: give it one that is bound to its remote",
    "WRONG_VERSION_NUMBER": "what it says is no TLS: both sides must have it on this port, or neither",
    "HTTP_REQUEST": "what it says is HTTP",
    "UNSUPPORTED_PROTOCOL": "it offers neither TLS 1.2 nor 1.3",
    "ALERT_PROTOCOL_VERSION": "it takes neither TLS 1.2 nor 1.3",
    "NO_SHARED_CIPHER": "it offers no cipher suite of BCP 195 (RFC 9325)",
    "ALERT_HANDSHAKE_FAILURE": "it refuses the handshake: no cipher suite in common, or it wants another certificate",
    "ALERT_UNKNOWN_CA": "it does not know who signed the certificate of this node",
    "ALERT_BAD_CERTIFICATE": "it refuses the certificate of this node",
    "ALERT_CERTIFICATE_UNKNOWN": "it refuses the certificate of this node",
    "ALERT_UNSUPPORTED_CERTIFICATE": "it refuses the certificate of this node for its key usage",
    "ALERT_CERTIFICATE_EXPIRED": "it says that the certificate of this node has expired",
    "ALERT_CERTIFICATE_REQUIRED": "it wants a certificate of this node",
    "UNEXPECTED_EOF_WHILE_READING": "it closed the connection in the TLS handshake: does it speak TLS on this port?",
}


class CredentialsError(OSError):
    """Certificate, key or authorities cannot be used; `strerror` says which file, and why."""


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """The certificate of the other side, after it was verified.

    Attributes:
        fingerprint: SHA-256 of it, in hexadecimal digits.
        names: DNS names, in lower case, and IP addresses that it is for (subjectAltName).
    """

    fingerprint: str
    names: frozenset[str]


def is_encrypted(connected: socket.socket) -> bool:
    """Whether a connection is one by TLS."""
    return isinstance(connected, ssl.SSLSocket)


def certificate_of(connected: socket.socket) -> PeerCertificate | None:
    """The certificate of the other side of a connection; None without TLS."""
    return shown_by(connected) if isinstance(connected, ssl.SSLSocket) else None


def shown_by(encrypted: ssl.SSLSocket | ssl.SSLObject) -> PeerCertificate:
    """The certificate of the other side of a connection by TLS; of nobody where it showed none."""
    encoded, parsed = encrypted.getpeercert(binary_form=True), encrypted.getpeercert() or {}
    entries = cast("tuple[tuple[str, str], ...]", parsed.get("subjectAltName", ()))
    names = frozenset(_plain(value) for kind, value in entries if kind in ("DNS", "IP Address"))
    return PeerCertificate(hashlib.sha256(encoded).hexdigest() if encoded else "", names)


def unbound(remote: RemoteSettings, certificate: PeerCertificate) -> str:
    """Why a certificate is not that of a remote; empty where it is.

    It is where its fingerprint is one of the remote's; of a remote without fingerprints, where it is for its name, or
    else for its host.
    """
    if remote.certificate_sha256:
        known = certificate.fingerprint in remote.certificate_sha256
        return "" if known else "is none of its `certificate_sha256`"
    name = remote.certified_name
    return "" if _plain(name) in certificate.names else f"is not for the name {name}"


def server_context(credentials: Credentials) -> ssl.SSLContext:
    """Of a port: who calls must show a certificate that an authority has signed.

    Raises:
        CredentialsError: a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # every connection shows its certificate
    return _prepared(context, credentials)


class ClientContext(ssl.SSLContext):
    """Of one connection to a remote, whose certificate it binds.

    Attributes:
        remote: who must answer.
        refusal: why there was no connection, or none any more; empty where TLS was not the reason.
    """

    remote: RemoteSettings
    refusal: str = ""

    @property
    def server_name(self) -> str:
        """What the certificate is for, and what the other side is told that it is asked for."""
        return self.remote.certified_name


def client_context(remote: RemoteSettings) -> ClientContext:
    """To call a remote that speaks TLS; made for each connection, so that new files count at once.

    One that is called by HTTPS without `tls` is shown no certificate of this node.

    Raises:
        CredentialsError: a file cannot be used.
    """
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    context.remote, context.sslsocket_class = remote, _ClientSocket
    context.check_hostname = not remote.certificate_sha256
    if remote.credentials is not None:
        return cast(ClientContext, _prepared(context, remote.credentials))
    assert not remote.tls, "the settings give credentials to each remote with TLS"
    _set_profile(context)
    if remote.authorities is None:
        context.load_default_certs()
    else:
        _readable(remote.authorities)
        _believe(context, remote.authorities)
    return context


def why_not(error: OSError) -> str:
    """Why a handshake failed, in words for the administrator of this side."""
    if isinstance(error, ssl.SSLCertVerificationError):
        number = getattr(error, "verify_code", 0)
        return f"its certificate {_VERIFICATION.get(number, f'cannot be verified: {error.verify_message}')}"
    if isinstance(error, TimeoutError):
        return "it did not go on with the TLS handshake"
    if not isinstance(error, ssl.SSLError):
        return "it broke the connection off in the TLS handshake: does it speak TLS on this port?"
    reason = error.reason or ""
    name = reason[reason.find("ALERT_") :] if "ALERT_" in reason else reason
    return _REASONS.get(name, f"the TLS handshake failed ({reason or type(error).__name__})")


class _ClientSocket(ssl.SSLSocket):
    """Checks whose certificate it is, and keeps in mind why there is no connection."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError as error:
            self._note(error)
            raise
        context, certificate = cast(ClientContext, self.context), certificate_of(self)
        why = unbound(context.remote, certificate) if certificate and context.remote.certificate_sha256 else ""
        if certificate and why:
            context.refusal = f"its certificate {why}: its fingerprint is {certificate.fingerprint}"
            raise ssl.SSLCertVerificationError(errno.EACCES, context.refusal)

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: ANN401 (that of `ssl`)
        try:
            return super().read(len, buffer)
        except ssl.SSLError as error:  # by TLS 1.3 a server says only here what it thinks of a certificate
            self._note(error)
            raise

    def settimeout(self, value: float | None) -> None:
        """Never without one: pynetdicom reads when there are bytes, and these can be of TLS alone."""
        super().settimeout(cast(ClientContext, self.context).remote.timeout_s if value is None else value)

    def _note(self, error: OSError) -> None:
        context = cast(ClientContext, self.context)
        if not isinstance(error, _TRY_AGAIN):
            context.refusal = context.refusal or why_not(error)


def _set_profile(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.set_ciphers(SUITES)
    context.verify_mode = ssl.CERT_REQUIRED
    context.hostname_checks_common_name = False  # RFC 9525: a name stands in subjectAltName
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the certificate of a remote itself may be believed


def _prepared(context: ssl.SSLContext, credentials: Credentials) -> ssl.SSLContext:
    _set_profile(context)
    for path in (credentials.certificate, credentials.key, credentials.authorities):
        _readable(path)
    try:
        context.load_cert_chain(credentials.certificate, credentials.key, password="")  # and never ask for one
    except ssl.SSLError as error:
        mismatch = error.reason == "KEY_VALUES_MISMATCH"
        why = "the key is of another certificate" if mismatch else "no certificate and key in PEM without passphrase"
        raise CredentialsError(errno.EIO, f"{credentials.certificate}, {credentials.key}: {why}") from error
    _believe(context, credentials.authorities)
    return context


def _readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise CredentialsError(errno.EIO, f"{path}: cannot be read: {error.strerror}") from error


def _believe(context: ssl.SSLContext, authorities: Path) -> None:
    try:
        context.load_verify_locations(authorities)
    except ssl.SSLError as error:
        raise CredentialsError(errno.EIO, f"{authorities}: no certificates in PEM") from error


def _plain(name: str) -> str:
    """A name or address as it can be compared."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower().rstrip(".")

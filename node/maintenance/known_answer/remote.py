"""The check as a remote of its own node: who may store its study, and how it calls."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from typing import Any

from node.dicom.association import RemoteAE
from node.settings import RemoteSettings, Settings
from storage.known_answer import AE_TITLE, DESTINATION

_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})
_TIMEOUT_S = 30.0


def as_remote(settings: Settings) -> RemoteSettings:
    """The check as the listener knows it: it comes from this machine, and by TLS where nothing else is served."""
    listener = settings.listener
    here = "127.0.0.1" if listener.host in _EVERYWHERE else listener.host
    plain: dict[str, Any] = {"name": DESTINATION, "ae_title": AE_TITLE, "host": here, "may_store": True}
    if listener.plain:
        return RemoteSettings(**plain)
    assert listener.credentials is not None
    own = _fingerprints(listener.credentials.certificate)
    return RemoteSettings(**plain, tls=True, credentials=listener.credentials, certificate_sha256=own)


def listener_of(settings: Settings) -> RemoteAE:
    """The listener as the check calls it."""
    listener, this = settings.listener, as_remote(settings)
    port = listener.port if listener.plain else listener.tls_port
    assert port is not None
    return RemoteAE(this.host, port, listener.ae_title, AE_TITLE, _TIMEOUT_S, None if listener.plain else this)


def _fingerprints(certificate: Path) -> tuple[str, ...]:
    """That of the first certificate of a file; none where it cannot be read, which whoever makes a context says."""
    end = "-----END CERTIFICATE-----"
    try:
        first = certificate.read_text("ascii").partition(end)[0]
        encoded = ssl.PEM_cert_to_DER_cert(first[first.index("-----BEGIN") :] + end)
    except (OSError, ValueError):
        return ()
    return (hashlib.sha256(encoded).hexdigest(),)

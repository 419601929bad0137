"""Who calls, and what it may do: a remote by its token, its certificate, or both; or somebody on this machine.

As with DICOM, an address in the settings of a remote must fit as well. Whoever comes through a proxy is not on this
machine, wherever the proxy stands; nor is a page that a browser on this machine loaded under another name.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from node.audit.recorder import Recorder
from node.callers import is_loopback, is_proxied
from node.clock import utc_now
from node.dicom.remotes import Right, comes_from
from node.dicom.tls import PeerCertificate, unbound
from node.logs import Sparing
from node.settings import RemoteSettings, WebSettings
from node.settings.remotes import SHORTEST_TOKEN
from node.web.problems import ProblemError
from storage.audit import AuditAction, AuditEvent, Facts

log = logging.getLogger(__name__)

_LOCAL_TITLE = "LOCAL"
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: its title as the sender of objects, its name for the log, and its address."""

    title: str
    name: str
    address: str


class Access:
    """What callers may do; its methods are dependencies of FastAPI."""

    def __init__(self, settings: WebSettings, remotes: Sequence[RemoteSettings], recorder: Recorder) -> None:
        """`recorder` takes who was refused."""
        self._recorder = recorder
        self._local = frozenset(Right(key) for key in settings.local_rights)
        self._remotes = tuple(remote for remote in remotes if remote.token_file or remote.tls)
        self._sparing = Sparing(log)

    def may_query(self, request: Request) -> Caller:
        """Who searches.

        Raises:
            ProblemError: it may not (401, 403).
        """
        return self._allowed(request, Right.QUERY)

    def may_retrieve(self, request: Request) -> Caller:
        """Who retrieves; raises as `may_query`."""
        return self._allowed(request, Right.RETRIEVE)

    def may_store(self, request: Request) -> Caller:
        """Who stores; raises as `may_query`."""
        return self._allowed(request, Right.STORE)

    def _allowed(self, request: Request, right: Right) -> Caller:
        address = request.client.host if request.client else ""
        certificate: PeerCertificate | None = request.scope.get("state", {}).get("certificate")
        token = _token(request)
        found = [it for it in self._remotes if self._is(it, address, certificate, token)]
        for remote in found:
            if getattr(remote, right):
                return Caller(remote.title, remote.name, address)
        local = not found and not token and _is_local(request, address)
        if local and right in self._local:
            return Caller(_LOCAL_TITLE, "this machine", address)
        who = f"remote {found[0].name}" if found else "this machine" if local else "nobody that is known"
        self._sparing.write(
            logging.WARNING,
            f"request refused: {right}",
            address,
            "request from %s refused: %s, %s",
            address,
            who,
            right,
        )
        self._refused(address, found[0].name if found else "", f"{who}: {right}", bool(token), certificate)
        if found or (local and self._local):
            raise ProblemError(403, f"{right} is not granted to {who}")
        raise ProblemError(401, "a token or a certificate of a remote is needed", {"WWW-Authenticate": "Bearer"})

    def _refused(self, address: str, remote: str, why: str, token: bool, certificate: PeerCertificate | None) -> None:
        shown = [what for what, is_shown in (("a token", token), ("a certificate", bool(certificate))) if is_shown]
        detail = f"{why}; shown: {' and '.join(shown) or 'nothing'}"
        facts = Facts(service="DICOMweb")
        self._recorder.add_recurring(
            AuditEvent(
                utc_now(), AuditAction.REFUSED, False, address=address, detail=detail, remote=remote, facts=facts
            )
        )

    def _is(self, remote: RemoteSettings, address: str, certificate: PeerCertificate | None, token: bytes) -> bool:
        """Whether the caller has shown all that a remote must show."""
        if remote.token_file and not _fits(remote.token_file, token, remote.name):
            return False
        if remote.tls and (certificate is None or unbound(remote, certificate)):
            return False
        return comes_from(remote, address)


def read_token(path: Path) -> bytes:
    """The token in a file, without the line feed that an editor leaves at the end.

    Raises:
        OSError: the file cannot be read.
    """
    return path.read_bytes().strip()


def _fits(path: Path, token: bytes, name: str) -> bool:
    if not token:
        return False
    try:
        known = read_token(path)
    except OSError as error:
        log.error("remote %s: its token_file cannot be read: %s", name, error.strerror)
        return False
    return hmac.compare_digest(known, token) and len(known) >= SHORTEST_TOKEN


def _token(request: Request) -> bytes:
    """The token of a request (RFC 6750 2.1); empty where it has none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip().encode("latin-1") if scheme.lower() == "bearer" else b""


def _is_local(request: Request, address: str) -> bool:
    return is_loopback(address) and not is_proxied(request) and request.url.hostname in _LOCAL_HOSTS

"""The DICOMweb transport: results to a PACS by STOW-RS (PS3.18 10.5), an object a request, over one connection or
several at the same time.

An object goes as it lies here. What the PACS says of it decides (`node.dicom.outcomes`): the status of HTTP, and where
that is of a request that was taken, the reason for the object in the answer.
"""

from __future__ import annotations

import errno
import http.client
import json
import secrets
import ssl
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from node.delivery.attempts import Attempt
from node.delivery.connections import Connections
from node.dicom.outcomes import HTTP_ANSWERED, StoreResult, classify, classify_http, lacked, local_fault
from node.dicom.tls import ClientContext, CredentialsError, client_context
from node.settings import RemoteSettings
from storage.files import ObjectStore
from storage.records import DeliveryRecord

_LOST = "the connection was lost before the answer"
_UNDERSTOOD = frozenset({200, 202, 204, 400, 409, 411, 422})
"""Statuses of a request without an object, at a service that would take one."""

_PIECE = 2**18
_MOST_ANSWER = 2**22
"""Bytes of an answer that are read."""

_SHORT_OF = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_PORTS = {"http": 80, "https": 443}
_REFERENCED, _FAILED, _OTHERS = "00081199", "00081198", "0008119A"
_INSTANCE, _REASON, _WARNING = "00081155", "00081197", "00081196"


def send(
    records: Sequence[DeliveryRecord],
    destination: RemoteSettings,
    files: ObjectStore,
    wanted: Callable[[DeliveryRecord], bool],
) -> Generator[list[Attempt], None, None]:
    """Send results over as many connections as the service gets at the same time, one attempt each.

    Yields the attempts that have ended since the last time, while others are under way. What is not `wanted` any more
    when its turn comes is left out, without an attempt. A connection ends when the service cannot be reached, or takes
    nothing now; what no other one sends then is not tried.

    Raises:
        OSError: this machine has no thread left.
    """
    waiting = deque(records)

    def one_connection(is_over: Callable[[], bool]) -> Generator[Attempt, None, str]:
        with closing(_Service(destination)) as service:
            while True:
                try:
                    record = waiting.popleft()
                except IndexError:
                    return ""
                if is_over() or not wanted(record):
                    continue
                attempt = service.store(record, files.absolute(record.result.file))
                if attempt.result is StoreResult.NOT_TRIED:
                    waiting.appendleft(record)
                    return attempt.reason
                yield attempt

    ends = yield from Connections(destination, one_connection, waiting).ended()
    if waiting:
        reason = next(filter(None, ends))
        yield [Attempt(record, StoreResult.NOT_TRIED, reason) for record in waiting]


def asked(destination: RemoteSettings) -> str:
    """Ask a service whether it takes results, by a request of STOW-RS without an object; why not, empty when it does.

    Who takes the token or certificate and knows the request misses the object (400) or says nothing of it.
    """
    with closing(_Service(destination)) as service:
        return service.asked()


class _LocalFaultError(Exception):
    """This machine could not read what was to be sent."""

    def __init__(self, error: OSError | MemoryError) -> None:
        super().__init__(local_fault(error))
        self.fault = lacked(error)


class _NotReachedError(Exception):
    """There is no connection; the message says why."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes


class _Connection(http.client.HTTPConnection):
    """One by TLS binds the certificate to the remote."""

    def __init__(self, remote: RemoteSettings) -> None:
        parts = urlsplit(remote.url)
        assert parts.hostname is not None, "the settings have checked it"
        super().__init__(parts.hostname, parts.port or _PORTS[parts.scheme], timeout=remote.timeout_s)
        self._tls: ClientContext | None = client_context(remote) if parts.scheme == "https" else None
        self._name = remote.certificate_name or parts.hostname

    def connect(self) -> None:
        """Connect.

        Raises:
            OSError: there is no connection.
        """
        super().connect()
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)

    @property
    def refusal(self) -> str:
        """Why TLS was not agreed; empty where that was not the reason."""
        return "" if self._tls is None else self._tls.refusal


class _Service:
    """The DICOMweb service of a remote, and the connection to it while there is one."""

    def __init__(self, remote: RemoteSettings) -> None:
        self._remote = remote
        self._connection: _Connection | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def store(self, record: DeliveryRecord, path: Path) -> Attempt:
        """Send one object."""
        try:
            with path.open("rb") as file:
                return self._store(record, file)
        except _LocalFaultError as error:
            return Attempt(record, StoreResult.LOCAL_FAULT, str(error), fault=error.fault)
        except (OSError, MemoryError) as error:
            return Attempt(record, StoreResult.LOCAL_FAULT, local_fault(error), fault=lacked(error))

    def asked(self) -> str:
        """As the function `asked`."""
        boundary = secrets.token_hex(20)
        end = f"--{boundary}--\r\n".encode()
        try:
            answer = self._post(iter([end]), len(end), boundary)
        except (_LocalFaultError, _NotReachedError) as error:
            return f"no connection: {error}"
        except (OSError, http.client.HTTPException) as error:
            return f"no connection: {self._why_lost(error)}"
        return "" if answer.status in _UNDERSTOOD else http_status_in_words(answer.status)

    def _why_lost(self, error: Exception) -> str:
        """What a connection ended with; of TLS 1.3 what the service thinks of the certificate of this node."""
        refusal = self._connection.refusal if self._connection is not None else ""
        if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
            return refusal
        return _LOST

    def _store(self, record: DeliveryRecord, file: BinaryIO) -> Attempt:
        size = file.seek(0, 2)
        file.seek(0)
        if size != record.result.file.size:
            what = f"cannot be sent: the file has {size} bytes, {record.result.file.size} were stored"
            return Attempt(record, StoreResult.PERMANENT, what)
        boundary = secrets.token_hex(20)
        # The transfer syntax stands in the file; of a part that names it in its type Orthanc stores nothing.
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        try:
            answer = self._post(_body(head, file, tail), len(head) + size + len(tail), boundary)
        except _NotReachedError as error:
            return Attempt(record, StoreResult.NOT_TRIED, f"no connection: {error}")
        except (OSError, http.client.HTTPException) as error:
            why = self._why_lost(error)
            self.close()
            if why != _LOST:
                return Attempt(record, StoreResult.NOT_TRIED, f"no connection: {why}")
            return Attempt(record, StoreResult.TRANSIENT, why, ended_connection=True)
        result, reason = verdict(answer.status, answer.body, record.result.sop_instance_uid)
        return Attempt(record, result, reason)

    def _post(self, body: Iterator[bytes], size: int, boundary: str) -> _Answer:
        """The answer to a request with this multipart body of so many bytes.

        Raises:
            OSError, HTTPException: the connection was lost while it was under way.
        """
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(size),
            "Accept": "application/dicom+json",
            **self._authorization(),
        }
        connection = self._connected()
        path = urlsplit(self._remote.url).path
        try:
            connection.request("POST", f"{path}/studies", body, headers)
        except _LocalFaultError:
            self.close()
            raise
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may have answered before it had read all, and closed
        response = connection.getresponse()
        answer = _Answer(response.status, response.read(_MOST_ANSWER))
        if response.will_close or not response.isclosed():
            self.close()
        return answer

    def _connected(self) -> _Connection:
        if self._connection is not None:
            return self._connection
        try:
            connection = _Connection(self._remote)
        except CredentialsError as error:
            raise _LocalFaultError(error) from error
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            if error.errno in _SHORT_OF:
                raise _LocalFaultError(error) from error
            raise _NotReachedError(connection.refusal or error.strerror or str(error)) from error
        self._connection = connection
        return connection

    def _authorization(self) -> dict[str, str]:
        if self._remote.token_file is None:
            return {}
        try:
            token = self._remote.token_file.read_bytes().strip()
        except OSError as error:
            raise _LocalFaultError(error) from error
        return {"Authorization": f"Bearer {token.decode('latin-1')}"}


def verdict(status: int, body: bytes, sop_instance_uid: str) -> tuple[StoreResult, str]:
    """What an answer means for an object, and its reason in words; empty for plain success."""
    said = _said(body, sop_instance_uid) if status in HTTP_ANSWERED else None
    if said is None:
        unnamed = f"HTTP status {status}, the answer does not name the object"
        return classify_http(status), unnamed if status in HTTP_ANSWERED else http_status_in_words(status)
    failed, code = said
    if not failed:
        return StoreResult.SENT, f"stored with warning 0x{code:04X}" if code else ""
    return classify(code), f"HTTP status {status}, failure reason 0x{code:04X}"


def http_status_in_words(status: int) -> str:
    """A status of HTTP with its name."""
    words = http.client.responses.get(status, "")
    return f"HTTP status {status}{f', {words}' if words else ''}"


def _said(body: bytes, sop_instance_uid: str) -> tuple[bool, int] | None:
    """Whether an answer says that the object failed, and the reason or warning; None where it does not name it."""
    try:
        model = json.loads(body)
        model = model[0] if isinstance(model, list) else model
        for tag, code, failed in ((_FAILED, _REASON, True), (_REFERENCED, _WARNING, False)):
            for item in _items(model, tag):
                if _first(item, _INSTANCE) == sop_instance_uid:
                    return failed, int(_first(item, code) or 0)
        # A part that could not even be read; there was one.
        for item in _items(model, _OTHERS):
            return True, int(_first(item, _REASON) or 0)
    except (ValueError, TypeError, AttributeError, LookupError):
        return None
    return None


def _items(model: dict[str, dict[str, list[dict[str, object]]]], tag: str) -> list[dict[str, object]]:
    return model.get(tag, {}).get("Value", [])


def _first(item: dict[str, object], tag: str) -> str:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return str(values[0]) if values else ""


def _body(head: bytes, file: BinaryIO, tail: bytes) -> Iterator[bytes]:
    yield head
    while True:
        try:
            piece = file.read(_PIECE)
        except OSError as error:
            raise _LocalFaultError(error) from error
        if not piece:
            break
        yield piece
    yield tail

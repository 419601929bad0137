"""Calling a remote by TLS, with DCMTK built with OpenSSL, and with pynetdicom; user identity as SCU."""

from __future__ import annotations

import shutil
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

from node.dicom.association import RemoteAE
from node.dicom.certificates import expiry_warning
from node.dicom.find import count_images
from node.dicom.outcomes import StoreResult
from node.dicom.scu import echoed, stored
from node.dicom.tls import CredentialsError, server_context
from node.settings import RemoteSettings
from tests.parts.certificates import Authority, Certificate
from tests.parts.processes import free_port, running


@pytest.fixture(scope="module")
def pacs(authority: Authority) -> Certificate:
    """The certificate of the remote."""
    return authority.issue("pacs", ("127.0.0.1", "pacs.example"))


@pytest.fixture(scope="module")
def node(authority: Authority) -> Certificate:
    """The certificate of this node."""
    return authority.issue("node")


@pytest.fixture(scope="module")
def seen(authority: Authority, node: Certificate) -> Callable[..., RemoteAE]:
    """The remote as the settings have it."""

    def remote(port: int, **change: object) -> RemoteAE:
        values: dict[str, object] = {
            "name": "pacs",
            "ae_title": "PACS",
            "host": "127.0.0.1",
            "port": port,
            "tls": True,
            "credentials": authority.credentials(node),
            "timeout_s": 10,
        }
        return RemoteAE.of(RemoteSettings(**{**values, **change}))  # type: ignore[arg-type]

    return remote


@pytest.fixture(scope="module")
def pacs_port(authority: Authority, pacs: Certificate) -> Iterator[int]:
    """A receiver of pynetdicom by TLS, which wants a certificate of the site."""
    with receiver(authority, pacs) as port:
        yield port


@pytest.fixture
def image(tmp_path: Path) -> Path:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = MRImageStorage, "1.2.3.4.1"
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    made.PixelData = bytes(3_000_000)
    made["PixelData"].VR = "OW"
    path = tmp_path / "image.dcm"
    made.save_as(path, enforce_file_format=True)
    return path


# --- whom the node takes for the remote


def test_a_remote_whose_certificate_is_for_its_host_is_called(seen, pacs_port):
    assert echoed(seen(pacs_port)) == ""


def test_or_for_the_name_that_is_configured(seen, pacs_port):
    assert echoed(seen(pacs_port, certificate_name="pacs.example")) == ""


def test_a_certificate_for_another_host_is_refused(seen, pacs_port):
    refused = echoed(seen(pacs_port, certificate_name="archive.example"))
    assert refused.startswith("no connection by TLS: its certificate is for another host: correct `certificate_name`")


def test_a_remote_is_bound_by_fingerprint_whatever_its_certificate_is_for(seen, pacs_port, pacs):
    written = ":".join(pacs.fingerprint[place : place + 2] for place in range(0, 64, 2)).upper()
    assert echoed(seen(pacs_port, host="localhost", certificate_sha256=(written,))) == ""


def test_another_certificate_than_the_bound_one_is_refused(seen, pacs_port, pacs, node):
    refused = echoed(seen(pacs_port, certificate_sha256=(node.fingerprint,)))
    assert refused == (
        "no connection by TLS: its certificate is none of its `certificate_sha256`: "
        f"its fingerprint is {pacs.fingerprint}"
    )


def test_an_expired_certificate_is_refused(seen, authority):
    expired = authority.issue("expired", ("127.0.0.1",), valid=timedelta(days=-1))
    with receiver(authority, expired) as port:
        assert echoed(seen(port)) == "no connection by TLS: its certificate has expired: it needs a new one"


def test_a_certificate_of_an_unknown_authority_is_refused(seen, authority, stranger):
    with receiver(authority, stranger.issue("unknown", ("127.0.0.1",))) as port:
        assert echoed(seen(port)) == "no connection by TLS: its certificate is signed by none of `authorities`"


def test_a_remote_that_does_not_know_this_node_says_so(seen, pacs, stranger):
    with receiver(stranger, pacs) as port:
        assert echoed(seen(port)) == ("no connection by TLS: it does not know who signed the certificate of this node")


def test_without_tls_at_the_other_side_nothing_is_sent(seen, image):
    """Never a fall-back: neither an association nor an object."""
    came: list[str] = []
    ae = AE(ae_title="PACS")
    ae.add_supported_context(MRImageStorage)
    watching = [(evt.EVT_REQUESTED, lambda _: came.append("association"))]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=watching)
    (outcome,) = stored([image], seen(server.server_address[1], timeout_s=3))
    ae.shutdown()
    assert outcome.result is StoreResult.NOT_TRIED
    assert outcome.reason.startswith("no connection by TLS: ")
    assert came == []


def test_files_that_cannot_be_used_are_a_fault_of_this_machine(seen, authority, image, tmp_path, node, pacs):
    mixed = authority.credentials(Certificate(node.path, pacs.key))
    absent = authority.credentials(Certificate(tmp_path / "absent.pem", node.key))
    locked = authority.credentials(Certificate(node.path, with_a_passphrase(node.key, tmp_path / "locked.key")))
    for credentials, why in (
        (mixed, "the key is of another certificate"),
        (absent, "absent.pem: cannot be read"),
        (locked, "no certificate and key in PEM without passphrase"),
    ):
        (outcome,) = stored([image], seen(1, credentials=credentials))
        assert outcome.result is StoreResult.LOCAL_FAULT
        assert why in outcome.reason
        with pytest.raises(CredentialsError, match=why):
            server_context(credentials)


def test_a_remote_that_says_nothing_after_the_handshake_is_given_up(seen, authority, pacs):
    """What has come of TLS itself (RFC 8446, 4.6.1: tickets) is no answer, and nothing waits for more of it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pacs.path, pacs.key)
    held: list[ssl.SSLSocket] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        accepting = threading.Thread(
            target=lambda: held.append(context.wrap_socket(listening.accept()[0], server_side=True))
        )
        accepting.start()
        begun = time.monotonic()
        assert echoed(seen(listening.getsockname()[1], timeout_s=1)) != ""
        assert time.monotonic() - begun < 15
        accepting.join()
    held[0].close()


# --- every service, to DCMTK and pynetdicom


def test_objects_are_stored_at_dcmtk(seen, authority, pacs, image, tmp_path):
    folder = tmp_path / "received"
    folder.mkdir()
    with storescp(folder, "+tls", pacs.key, pacs.path, "+cf", authority.path) as port:
        assert echoed(seen(port)) == ""
        (outcome,) = stored([image], seen(port))
        assert (outcome.result, outcome.reason) == (StoreResult.SENT, "")
    (received,) = folder.iterdir()
    assert received.stat().st_size >= 3_000_000


def test_dcmtk_without_tls_receives_nothing(seen, image, tmp_path):
    folder = tmp_path / "received"
    folder.mkdir()
    with storescp(folder) as port:
        (outcome,) = stored([image], seen(port, timeout_s=3))
        assert outcome.result is StoreResult.NOT_TRIED
    assert list(folder.iterdir()) == []


def test_a_pacs_is_asked_by_tls(seen, pacs_port):
    assert count_images(seen(pacs_port), "1.2.3", "MR") == {"1.2.3.4": 7}


# --- user identity


def test_the_configured_user_identity_is_presented(seen, authority, pacs, tmp_path):
    secret = tmp_path / "passcode"
    secret.write_text("open sesame\n")
    presented = []

    def check(event):
        presented.append((event.user_id_type, event.primary_field, event.secondary_field))
        return event.primary_field == b"ali", None

    with receiver(authority, pacs, (evt.EVT_USER_ID, check)) as port:
        assert echoed(seen(port, username="ali", passcode_file=secret)) == ""
        assert echoed(seen(port, username="ali")) == ""
        assert echoed(seen(port, username="baba")).startswith("association rejected")
    assert presented == [(2, b"ali", b"open sesame"), (1, b"ali", b""), (1, b"baba", b"")]


# --- the end of the node's own certificate


@pytest.mark.parametrize(
    ("days", "warning"), [(-1, "has expired on"), (1, "expires on"), (29, "expires on"), (31, ""), (300, "")]
)
def test_the_end_of_a_certificate_is_announced(authority, days, warning):
    issued = authority.issue(f"ends-in-{days}", valid=timedelta(days=days))
    said = expiry_warning(authority.credentials(issued), datetime.now(UTC))
    assert (warning in said) if warning else said == ""


# --- the other sides


def with_a_passphrase(key: Path, path: Path) -> Path:
    encryption = serialization.BestAvailableEncryption(b"secret")
    read = serialization.load_pem_private_key(key.read_bytes(), None)
    path.write_bytes(read.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    return path


@contextmanager
def receiver(authority: Authority, shown: Certificate, *handlers: object) -> Iterator[int]:
    """pynetdicom by TLS with a certificate, believing an authority; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.path, shown.key)
    context.load_verify_locations(authority.path)
    context.verify_mode = ssl.CERT_REQUIRED
    ae = AE(ae_title="PACS")
    for uid in (Verification, StudyRootQueryRetrieveInformationModelFind):
        ae.add_supported_context(uid)
    server = ae.start_server(
        ("127.0.0.1", 0), block=False, ssl_context=context, evt_handlers=[(evt.EVT_C_FIND, one_series), *handlers]
    )
    try:
        yield server.server_address[1]
    finally:
        ae.shutdown()


def one_series(event):
    match = Dataset()
    match.QueryRetrieveLevel = "SERIES"
    match.StudyInstanceUID, match.SeriesInstanceUID, match.Modality = "1.2.3", "1.2.3.4", "MR"
    match.NumberOfSeriesRelatedInstances = 7
    yield 0xFF00, match


@contextmanager
def storescp(folder: Path, *options: object) -> Iterator[int]:
    """DCMTK's receiver; its port."""
    assert shutil.which("storescp"), "storescp of DCMTK is missing: `make tools` installs it"
    port = free_port()
    call = ["storescp", *options, "-od", folder, port]
    with running("storescp", call, folder.parent / "storescp.log", lambda: not socket.socket().connect_ex(("", port))):
        yield port

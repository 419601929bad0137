"""The listener by TLS (PS3.15 annex B, BCP 195), with DCMTK built with OpenSSL, and with pynetdicom."""

from __future__ import annotations

import hashlib
import shutil
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE
from pynetdicom.dsutils import encode, split_dataset
from pynetdicom.pdu_primitives import AsynchronousOperationsWindowNegotiation

from node.dicom.association import RemoteAE
from node.dicom.outcomes import StoreResult
from node.dicom.scu import echo, stored
from node.services.acceptor import AcceptorLimits
from node.settings import RemoteSettings
from tests.parts.certificates import Authority, Certificate
from tests.parts.processes import free_port, wait_for

from .conftest import RawScanner, a_pdu

REFUSED = "Calling AE Title Not Recognized"
CALLS = ("-aet", "SCANNER", "-aec", "RECTALNODE")
MR = [(MRImageStorage, ExplicitVRLittleEndian)]


@dataclass(frozen=True)
class Site:
    """Certificates of a site with one scanner."""

    authority: Authority
    node: Certificate
    scanner: Certificate
    of_another: Certificate

    def remote(self, **change: object) -> RemoteSettings:
        values = {
            "name": "skyra",
            "ae_title": "SCANNER",
            "may_store": True,
            "tls": True,
            "certificate_sha256": (self.scanner.fingerprint,),
        }
        return RemoteSettings(**{**values, **change})  # type: ignore[arg-type]

    def node_seen_by_the_scanner(self, receiving) -> RemoteAE:
        """To call the node as the scanner, by this project's own SCU."""
        return RemoteAE.of(
            RemoteSettings(
                name="node",
                ae_title="RECTALNODE",
                host="127.0.0.1",
                port=receiving.listener.tls_port,
                calling_ae_title="SCANNER",
                tls=True,
                credentials=self.authority.credentials(self.scanner),
                timeout_s=20,
            )
        )


@pytest.fixture(scope="module")
def site(authority: Authority) -> Site:
    names = ("localhost", "127.0.0.1")
    return Site(
        authority,
        authority.issue("node", names),
        authority.issue("scanner", ("scanner.example",)),
        authority.issue("of-another", ("other.example",)),
    )


@pytest.fixture
def open_tls(start: Callable[..., object], site: Site) -> Callable[..., object]:
    """A listener with a port with TLS beside that without."""

    def begin(*remotes: RemoteSettings, **settings: object):
        values = {"tls_port": 0, "credentials": site.authority.credentials(site.node), **settings}
        return start(remotes=remotes or (site.remote(),), **values)

    return begin


@pytest.fixture
def storescu(dcmtk, site: Site):
    """Run storescu by TLS with a certificate; returns what it wrote."""

    def run(port: int, path: Path, shown: Certificate | None, *options: object) -> tuple[bool, str]:
        tls = ["+tls", shown.key, shown.path] if shown else ["+tla"]
        answer = dcmtk(
            "storescu", *tls, "+cf", site.authority.path, *options,
            *CALLS, "127.0.0.1", port, path,
        )  # fmt: skip
        return answer.returncode == 0, answer.stdout + answer.stderr

    return run


@pytest.fixture
def raw(scanner, site: Site):
    """The scanner as one that sends what bytes it is told, by TLS; it has an association."""

    def connect(receiving) -> RawScanner:
        context = ssl.create_default_context(cafile=str(site.authority.path))
        context.load_cert_chain(site.scanner.path, site.scanner.key)
        unconnected = context.wrap_socket(socket.socket(), server_hostname="127.0.0.1")
        found = scanner(receiving.listener.tls_port, unconnected)
        assert found.associate() == "accepted"
        return found

    return connect


def a_store(number: int) -> bytes:
    """The PDUs of a C-STORE of a small image."""
    uid = f"1.2.3.4.{number}"
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = MRImageStorage, uid
    image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    image.PatientID, image.PatientName = "SIMULATED", ""
    encoded = encode(image, False, True)
    command = RawScanner.command(
        {
            0x0002: even(MRImageStorage),
            0x0100: struct.pack("<H", 1),
            0x0110: struct.pack("<H", number),
            0x0700: struct.pack("<H", 0),
            0x0800: struct.pack("<H", 0),
            0x1000: even(uid),
        }
    )
    return b"".join(a_pdu(4, RawScanner.fragment(*each)) for each in ((3, command), (2, encoded)))


def even(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)


# --- certificates


def test_dcmtk_is_built_with_openssl(dcmtk):
    assert "OpenSSL" in dcmtk("echoscu", "--version").stdout


def test_a_remote_is_bound_to_its_certificate_by_fingerprint(open_tls, storescu, site, make_image):
    receiving = open_tls()
    done, said = storescu(receiving.listener.tls_port, make_image(), site.scanner)
    assert done, said
    assert len(receiving.files()) == 1
    assert receiving.listener.counts["accepted"] == 1


def test_or_by_a_name_in_it(open_tls, storescu, site, make_image):
    receiving = open_tls(site.remote(certificate_sha256=(), certificate_name="Scanner.Example"))
    assert storescu(receiving.listener.tls_port, make_image(), site.scanner)[0]
    done, said = storescu(receiving.listener.tls_port, make_image(), site.of_another)
    assert not done
    assert REFUSED in said


def test_a_certificate_that_is_not_bound_to_the_remote_is_rejected_and_named(
    open_tls, storescu, site, make_image, caplog
):
    receiving = open_tls()
    done, said = storescu(receiving.listener.tls_port, make_image(), site.of_another)
    assert not done
    assert REFUSED in said
    assert receiving.files() == []
    shown = f"the certificate with fingerprint {site.of_another.fingerprint}"
    assert f"association rejected: AE SCANNER from 127.0.0.1: remote skyra: {shown} is none of its" in caplog.text


def test_no_certificate_is_refused(open_tls, storescu, make_image, caplog):
    receiving = open_tls()
    assert not storescu(receiving.listener.tls_port, make_image(), None)[0]
    assert receiving.files() == []
    assert "TLS connection from 127.0.0.1 refused: it showed no certificate" in caplog.text


def test_an_expired_certificate_is_refused(open_tls, storescu, site, make_image, caplog):
    expired = site.authority.issue("expired", valid=timedelta(days=-1))
    receiving = open_tls(site.remote(certificate_sha256=(expired.fingerprint,)))
    assert not storescu(receiving.listener.tls_port, make_image(), expired)[0]
    assert receiving.files() == []
    assert "refused: its certificate has expired: it needs a new one" in caplog.text


def test_a_certificate_of_an_unknown_authority_is_refused(open_tls, storescu, site, stranger, make_image, caplog):
    unknown = stranger.issue("unknown")
    receiving = open_tls(site.remote(certificate_sha256=(unknown.fingerprint,)))
    assert not storescu(receiving.listener.tls_port, make_image(), unknown)[0]
    assert receiving.files() == []
    assert "refused: its certificate is signed by none of `authorities`" in caplog.text


def test_a_renewed_certificate_is_used_without_a_restart(open_tls, site, tmp_path, caplog):
    own = Certificate(tmp_path / "own.pem", tmp_path / "own.key")
    copy(site.node, own)
    port = open_tls(credentials=site.authority.credentials(own)).listener.tls_port
    assert shown_by(port, site) == site.node.fingerprint
    renewed = site.authority.issue("renewed", ("127.0.0.1",), valid=timedelta(days=10))
    copy(renewed, own)
    assert shown_by(port, site) == renewed.fingerprint
    assert f"the TLS certificate {own.path} expires on" in caplog.text


def test_files_that_do_not_fit_leave_the_earlier_certificate_in_use(open_tls, site, tmp_path, caplog):
    own = Certificate(tmp_path / "own.pem", tmp_path / "own.key")
    copy(site.node, own)
    port = open_tls(credentials=site.authority.credentials(own)).listener.tls_port
    shutil.copy(site.of_another.path, own.path)
    assert shown_by(port, site) == site.node.fingerprint
    assert "the key is of another certificate" in caplog.text


# --- with TLS or without


def test_a_remote_with_tls_is_not_served_without(open_tls, site, dcmtk, make_image, caplog):
    receiving = open_tls()
    answer = dcmtk("storescu", "-aet", "SCANNER", "-aec", "RECTALNODE", "127.0.0.1", receiving.port, make_image())
    assert REFUSED in answer.stderr
    assert receiving.files() == []
    assert "remote skyra: it must call by TLS" in caplog.text


def test_a_remote_without_tls_has_no_certificate_that_could_be_its_own(open_tls, storescu, site, make_image, caplog):
    plain = RemoteSettings(name="plain", ae_title="SCANNER", may_store=True)
    receiving = open_tls(plain, site.remote(ae_title="ANOTHER"))
    assert REFUSED in storescu(receiving.listener.tls_port, make_image(), site.scanner)[1]
    assert "remote plain: no certificate is bound to it" in caplog.text


def test_nobody_is_served_by_tls_for_being_on_this_machine(open_tls, storescu, site, make_image):
    receiving = open_tls(site.remote(ae_title="ANOTHER", may_store=False))
    assert REFUSED in storescu(receiving.listener.tls_port, make_image(), site.scanner)[1]


def test_the_port_without_tls_can_be_off(open_tls, storescu, site, make_image):
    receiving = open_tls(plain=False, port=free_port())
    assert storescu(receiving.listener.tls_port, make_image(), site.scanner)[0]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", receiving.port), timeout=5)


def test_who_speaks_no_tls_to_the_port_with_it_gets_no_association(open_tls, scanner, caplog):
    receiving = open_tls()
    calling = scanner(receiving.listener.tls_port)
    calling.send(calling.request())
    assert calling.answer() not in ("accepted", "rejected")
    wait_for(lambda: "what it says is no TLS" in caplog.text, "it comes to pass", 20, 0.01)


def test_who_speaks_tls_to_the_port_without_it_is_told_in_the_log(open_tls, storescu, site, make_image, caplog):
    assert not storescu(open_tls().port, make_image(), site.scanner)[0]
    assert "TLS on a port without it: 127.0.0.1 must call `tls_port`" in caplog.text


def test_pynetdicom_is_served_with_the_bound_certificate_and_not_with_another_or_none(open_tls, site):
    port = open_tls().listener.tls_port
    established = []
    for shown in (site.scanner, site.of_another, None):
        context = ssl.create_default_context(cafile=str(site.authority.path))
        if shown:
            context.load_cert_chain(shown.path, shown.key)
        ae = AE(ae_title="SCANNER")
        ae.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
        association = ae.associate("127.0.0.1", port, ae_title="RECTALNODE", tls_args=(context, "127.0.0.1"))
        established.append(association.is_established)
        if association.is_established:
            association.release()
    assert established == [True, False, False]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_the_profile_are_spoken(open_tls, site, version):
    with client(site, open_tls().listener.tls_port, version) as connected:
        assert connected.version() == version.name.replace("_", ".")
        assert connected.compression() is None


def test_a_cipher_suite_outside_the_profile_is_refused(open_tls, site):
    port = open_tls().listener.tls_port
    with pytest.raises(ssl.SSLError):
        client(site, port, ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-SHA384")


# --- the acceptor


def test_a_handshake_that_does_not_go_on_holds_nobody_up_and_ends(open_tls, storescu, site, make_image, scanner):
    receiving = open_tls(limits=AcceptorLimits(request_s=2.0))
    silent = [scanner(receiving.listener.tls_port) for _ in range(10)]
    half = scanner(receiving.listener.tls_port)
    half.send(b"\x16\x03\x01")
    assert storescu(receiving.listener.tls_port, make_image(), site.scanner)[0]
    assert {each.answer() for each in (*silent, half)} == {"closed"}


def test_associations_by_tls_and_without_have_one_limit(open_tls, site):
    receiving = open_tls(site.remote(), RemoteSettings(name="plain", ae_title="PLAIN"), maximum_associations=1)
    held = site.node_seen_by_the_scanner(receiving).associate(MR)
    assert held.is_established
    assert echo("127.0.0.1", receiving.port, "RECTALNODE", "PLAIN", 5).endswith("associations exceeded")
    held.release()


def test_objects_of_every_size_come_whole(open_tls, site, make_image):
    receiving = open_tls()
    images = [make_image(number, pixels=size) for number, size in enumerate((2, 16_384, 5_000_000), start=1)]
    outcomes = list(stored(images, site.node_seen_by_the_scanner(receiving)))
    assert [it.result for it in outcomes] == [StoreResult.SENT] * 3
    assert sorted(data_set_of(path) for path in receiving.files()) == sorted(map(data_set_of, images))


def test_messages_are_taken_however_they_are_cut_and_answered_in_turn(open_tls, site, raw):
    receiving = open_tls()
    sending = raw(receiving)
    objects = b"".join(a_store(number) for number in (1, 2, 3))
    for at in range(0, len(objects), 100):
        sending.send(objects[at : at + 100])
    assert [sending.status() for _ in range(3)] == ["0000 to 1", "0000 to 2", "0000 to 3"]
    assert sending.release() == "released"
    assert len(receiving.files()) == 3


def test_silence_inside_a_message_ends_the_association_and_nothing_is_kept(open_tls, site, raw):
    receiving = open_tls(network_timeout_s=1.0)
    sending = raw(receiving)
    sending.send(a_store(1)[:-10])
    assert sending.answer().startswith("aborted")
    assert receiving.files() == []


def test_a_connection_that_ends_inside_a_message_leaves_nothing(open_tls, site, raw):
    receiving = open_tls()
    sending = raw(receiving)
    sending.send(a_store(1)[:-10])
    sending.close()
    wait_for(lambda: receiving.listener.open_associations == 0, "it comes to pass", 20, 0.01)
    assert receiving.files() == []


def test_what_was_refused_holds_up_nobody_after_it(open_tls, storescu, site, make_image, scanner, caplog):
    port = open_tls().listener.tls_port
    assert not storescu(port, make_image(), None)[0]
    plain = scanner(port)
    plain.send(plain.request())
    plain.answer()
    assert storescu(port, make_image(), site.scanner)[0]


def test_a_stop_aborts_what_is_open(open_tls, site):
    receiving = open_tls()
    held = site.node_seen_by_the_scanner(receiving).associate(MR)
    receiving.listener.stop(patience_s=0.1)
    wait_for(lambda: held.is_aborted, "it comes to pass", 20, 0.01)
    assert receiving.listener.open_associations == 0


def test_several_listener_processes_leave_tls_to_the_one_that_accepts(open_tls, site, make_image):
    receiving = open_tls(site.remote(), RemoteSettings(name="plain", ae_title="PLAIN"), processes=2)
    (outcome,) = stored([make_image()], site.node_seen_by_the_scanner(receiving))
    assert outcome.result is StoreResult.SENT
    assert echo("127.0.0.1", receiving.port, "RECTALNODE", "PLAIN", 10) == ""
    wait_for(lambda: receiving.listener.counts.get("accepted") == 2, "it comes to pass", 20, 0.01)


# --- user identity (PS3.7 D.3.3.7), with TLS or without


@pytest.fixture
def identified(start, tmp_path):
    """A listener whose remote has a user identity."""
    secret = tmp_path / "passcode"
    secret.write_text("open sesame\n")
    remote = RemoteSettings(name="skyra", ae_title="SCANNER", may_store=True, username="ali", passcode_file=secret)
    return start(remotes=(remote,))


def test_a_user_identity_is_confirmed_where_an_answer_is_asked_for(identified, dcmtk, make_image):
    who = ("--user", "ali", "--password", "open sesame", "--pos-response")
    answer = dcmtk("storescu", *who, *CALLS, "127.0.0.1", identified.port, make_image())
    assert answer.returncode == 0, answer.stderr
    assert len(identified.files()) == 1


@pytest.mark.parametrize(
    ("who", "why"),
    [
        ((), "it presents no user identity"),
        (("--user", "ali"), "it presents no passcode"),
        (("--user", "baba", "--password", "open sesame"), "it presents another user name"),
        (("--user", "ali", "--password", "open barley"), "it presents another passcode"),
    ],
)
def test_a_remote_with_a_user_identity_must_present_it(identified, dcmtk, make_image, caplog, who, why):
    answer = dcmtk("storescu", *who, *CALLS, "127.0.0.1", identified.port, make_image())
    assert answer.returncode != 0
    assert "No Reason" in answer.stderr
    assert identified.files() == []
    assert f"remote skyra: {why}" in caplog.text
    assert "sesame" not in caplog.text
    assert "barley" not in caplog.text


def test_an_identity_that_nobody_asked_for_changes_nothing(receiving, dcmtk, make_image):
    who = ("--user", "ali", "--password", "open sesame")
    assert dcmtk("storescu", *who, *CALLS, "127.0.0.1", receiving.port, make_image()).returncode == 0


# --- asynchronous operations window (PS3.7 D.3.3.3)


@pytest.mark.parametrize("asked", [(0, 0), (8, 1), (2, 2)])
def test_one_operation_at_a_time_is_answered_to_a_window(receiving, asked):
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked, window.maximum_number_operations_performed = asked
    ae = AE(ae_title="SCANNER")
    ae.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
    association = ae.associate("127.0.0.1", receiving.port, ae_title="RECTALNODE", ext_neg=[window])
    answered = [
        (it.maximum_number_operations_invoked, it.maximum_number_operations_performed)
        for it in association.acceptor.user_information
        if isinstance(it, AsynchronousOperationsWindowNegotiation)
    ]
    association.release()
    assert answered == [(1, 1)]


# --- what the tests do


def data_set_of(path: Path) -> bytes:
    _, begin = split_dataset(path)
    return path.read_bytes()[begin:]


def copy(source: Certificate, target: Certificate) -> None:
    """Put a certificate and its key in the place of others."""
    shutil.copy(source.key, target.key)
    shutil.copy(source.path, target.path)


def shown_by(port: int, site: Site) -> str:
    """The fingerprint of the certificate that a port shows."""
    with client(site, port) as connected:
        return hashlib.sha256(connected.getpeercert(binary_form=True)).hexdigest()


def client(site: Site, port: int, version: ssl.TLSVersion | None = None, suites: str = "") -> ssl.SSLSocket:
    """A connection by TLS that knows no DICOM."""
    context = ssl.create_default_context(cafile=str(site.authority.path))
    context.load_cert_chain(site.scanner.path, site.scanner.key)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if suites:
        context.set_ciphers(suites)
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=10), server_hostname="127.0.0.1")

"""The audit of one study's life, from its first association to signing out, and of everybody who was not let in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from lxml import etree
from pydicom import Dataset
from pydicom.uid import MRImageStorage
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

from node.audit import chain
from node.audit.verification import verify
from node.clock import utc_now
from node.dicom.association import RemoteAE
from node.dicom.scu import echo, store, stored
from node.operations import accounts
from node.service import Service, ServiceRole
from node.settings import AuditSettings, ListenerSettings, RemoteSettings, Settings, WebSettings
from node.settings.loading import _resolved
from storage.accounts import AccountRole, Accounts
from storage.audit_chain import AuditChain
from storage.catalogue.filling import catch_up
from storage.database import open_engine
from storage.files import ObjectStore
from storage.ledger import Ledger

from ...parts.processes import free_port, wait_for
from ...parts.storage_scp import running_storage_scp
from ...storage.house import a_file, a_result
from ..page.conftest import PASSWORD, Browser, kept_password

STUDY = "1.2.3"
TOKEN = "a token of thirty-two characters"
ROLES = frozenset({ServiceRole.LISTENER, ServiceRole.WEB, ServiceRole.DELIVERY})


@dataclass
class Life:
    """A node in this process, and its audit."""

    settings: Settings
    service: Service

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.web.port}"

    @property
    def port(self) -> int:
        return self.settings.listener.port

    def lines(self) -> list[bytes]:
        """The messages, in their order."""
        files = chain.files_in(self.settings.audit_folder).values()
        return [line.split(b" ", 2)[2] for path in files for line in path.read_bytes().splitlines()]

    def messages(self) -> list[etree._Element]:
        return [etree.fromstring(it) for it in self.lines()]

    def waits_for(self, event_id: str, text: bytes) -> etree._Element:
        """The message of an event in which a text stands."""

        def found() -> list[bytes]:
            code = f'csd-code="{event_id}"'.encode()
            return [it for it in self.lines() if code in it and text in it]

        wait_for(lambda: bool(found()), f"{event_id} with {text!r}", 60)
        return etree.fromstring(found()[0])

    def catalogued(self) -> None:
        engine = open_engine(self.settings.storage_url)
        catch_up(engine, ObjectStore(self.settings.root))
        engine.dispose()


@contextmanager
def living(root: Path, *remotes: RemoteSettings, **listener: object) -> Iterator[Life]:
    values = {"port": free_port(), "minimum_free_gb": 0.0, **listener}
    settings = Settings(
        root=root,
        listener=ListenerSettings(**values),
        web=WebSettings(enabled=True, page=True, port=free_port()),
        remotes=remotes,
        audit=AuditSettings(rotate_mb=0.01),
    )
    service = Service(_resolved(settings, root), ROLES)
    engine = open_engine(settings.storage_url)
    link = accounts.add(engine, "olga", AccountRole.OPERATOR)
    Accounts(engine).use_link(link.path.rpartition("/")[2], kept_password(), utc_now())
    engine.dispose()
    service.start()
    life = Life(settings, service)
    try:
        yield life
    finally:
        life.service.stop()


def queried_and_got(port: int) -> None:
    """By another system: C-FIND, then C-GET."""
    ae = AE(ae_title="VIEWER")
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
    ae.add_requested_context(MRImageStorage)
    association = ae.associate(
        "127.0.0.1",
        port,
        ae_title="RECTALNODE",
        ext_neg=[build_role(MRImageStorage, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, lambda _event: 0)],
    )
    asked = Dataset()
    asked.QueryRetrieveLevel, asked.StudyInstanceUID, asked.PatientID = "STUDY", "", "P1"
    answers = list(association.send_c_find(asked, StudyRootQueryRetrieveInformationModelFind))
    assert [status.Status for status, _ in answers] == [0xFF00, 0]
    got = Dataset()
    got.QueryRetrieveLevel, got.StudyInstanceUID = "STUDY", STUDY
    assert list(association.send_c_get(got, StudyRootQueryRetrieveInformationModelGet))[-1][0].Status == 0
    association.release()


def deliver_a_result(settings: Settings) -> None:
    engine, files = open_engine(settings.storage_url), ObjectStore(settings.root)
    made = a_result(files, a_file(9, 9, STUDY))
    Ledger(engine).record([made], ["pacs"], utc_now())
    engine.dispose()


def told(message: etree._Element) -> tuple[str, ...]:
    """Event, kind, outcome, who asked, study and patient of a message."""
    head = message.find("EventIdentification")
    asked = message.find("ActiveParticipant[@UserIsRequestor='true']").get("UserID")
    objects = {
        it.find("ParticipantObjectIDTypeCode").get("csd-code"): it.get("ParticipantObjectID")
        for it in message.iterfind("ParticipantObjectIdentification")
    }
    return (
        head.find("EventID").get("originalText"),
        *(it.get("originalText") for it in head.iterfind("EventTypeCode")),
        head.get("EventOutcomeIndicator"),
        asked,
        objects.get("110180", ""),
        objects.get("2", ""),
    )


def test_the_life_of_a_study_from_its_association_to_signing_out(tmp_path, schema, command):
    token = tmp_path / "token"
    token.write_text(TOKEN)
    images = [tmp_path / f"{number}.dcm" for number in range(1, 4)]
    for number, path in enumerate(images, 1):
        path.write_bytes(a_file(number, 1, STUDY))
    with running_storage_scp() as pacs:
        remotes = (
            RemoteSettings(name="scanner", ae_title="SCANNER", may_store=True),
            RemoteSettings(name="viewer", ae_title="VIEWER", may_query=True, may_retrieve=True),
            RemoteSettings(name="ohif", token_file=token, may_query=True, may_retrieve=True),
            RemoteSettings(name="pacs", ae_title="PACS", host="127.0.0.1", port=pacs.port, receives_results=True),
        )
        with living(tmp_path / "root", *remotes) as life:
            assert all(not it.status for it in store(images, "127.0.0.1", life.port, "RECTALNODE", "SCANNER", 20))
            life.waits_for("110104", b"SCANNER")
            life.catalogued()
            queried_and_got(life.port)
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            web = f"{life.url}/dicom-web/studies"
            assert requests.get(f"{web}?PatientID=P1", headers=bearer, timeout=30).json()
            assert requests.get(f"{web}/{STUDY}", headers=bearer, timeout=30).status_code == 200
            deliver_a_result(life.settings)
            life.waits_for("110104", b"AETITLES=PACS")
            olga = Browser(life.url, requests.Session())
            olga.post("/sign-in", {"name": "olga", "password": PASSWORD})
            assert olga.get(f"/studies/{STUDY}").status_code == 200
            assert olga.get(f"/studies/{STUDY}/results.zip").status_code == 200
            olga.post("/sign-out")
    messages = life.messages()
    for each in messages:
        schema.assertValid(each)
    assert [told(it) for it in messages] == [
        ("Security Alert", "User Security Attributes Changed", "0", "RECTALNODE", "", ""),
        ("Security Alert", "User Security Attributes Changed", "0", "RECTALNODE", "", ""),
        ("Application Activity", "Application Start", "0", "RECTALNODE", "", ""),
        ("DICOM Instances Transferred", "0", "SCANNER", STUDY, "P1"),
        ("Query", "0", "VIEWER", "", "P1"),
        ("Begin Transferring DICOM Instances", "0", "VIEWER", STUDY, "P1"),
        ("DICOM Instances Transferred", "0", "VIEWER", STUDY, "P1"),
        ("Query", "0", "ohif", "", "P1"),
        ("DICOM Instances Transferred", "0", "ohif", STUDY, "P1"),
        ("DICOM Instances Transferred", "0", "RECTALNODE", STUDY, "P1"),
        ("User Authentication", "Login", "0", "olga", "", ""),
        ("DICOM Instances Accessed", "0", "olga", STUDY, "P1"),
        ("Export", "0", "olga", STUDY, "P1"),
        ("User Authentication", "Logout", "0", "olga", "", ""),
        ("Application Activity", "Application Stop", "0", "RECTALNODE", "", ""),
    ]
    counts = [(it.get("UID"), it.get("NumberOfInstances")) for it in messages[3].iterfind(".//SOPClass")]
    assert counts == [(MRImageStorage, "3")]
    _is_whole_until_a_line_is_removed(life.settings, command, tmp_path)


def _is_whole_until_a_line_is_removed(settings: Settings, command, folder: Path) -> None:
    """As the command says it; and who had to do with the patient is one question."""
    config = folder / "node.toml"
    config.write_text(f'root = "{settings.root}"\n')
    done = command("audit", "verify", "--config", str(config))
    assert (done.returncode, "whole" in done.stdout) == (0, True), done.stdout
    who = command("audit", "find", "--patient", "Erika", "--config", str(config)).stdout
    assert set(re.findall(r"SCANNER|VIEWER|ohif|olga|PACS", who)) == {"SCANNER", "VIEWER", "ohif", "olga", "PACS"}
    path = chain.files_in(settings.audit_folder)[1]
    lines = path.read_bytes().splitlines(True)
    path.write_bytes(b"".join(lines[:4] + lines[5:]))
    done = command("audit", "verify", "--config", str(config))
    assert (done.returncode, f"{path.name}:5: lines between" in done.stdout) == (1, True), done.stdout


def refused_because(life: Life, text: bytes) -> str:
    """Who was not let in, by the message that says why."""
    message = life.waits_for("110113", text)
    assert message.find("EventIdentification/EventTypeCode").get("originalText") == "Node Authentication"
    assert message.find("EventIdentification").get("EventOutcomeIndicator") == "4"
    (performing,) = message.iterfind("ActiveParticipant[@UserIsRequestor='false']")
    assert performing.get("NetworkAccessPointID") == "127.0.0.1"
    return str(performing.get("UserID"))


def test_whoever_does_not_belong_is_on_record(tmp_path, schema, authority, stranger):
    token = tmp_path / "token"
    token.write_text(TOKEN)
    node, scanner = authority.issue("life-node", ("127.0.0.1",)), authority.issue("life-scanner", ("a.example",))
    known, of_stranger = authority.issue("of-another", ("b.example",)), stranger.issue("nobody", ("a.example",))
    secure = {"tls": True, "certificate_sha256": (scanner.fingerprint,), "credentials": authority.credentials(node)}
    remotes = (
        RemoteSettings(name="scanner", ae_title="SCANNER", may_store=True),
        RemoteSettings(name="elsewhere", ae_title="ELSEWHERE", host="192.0.2.1", may_store=True),
        RemoteSettings(name="secure", ae_title="SECURE", **secure),
        RemoteSettings(name="ohif", token_file=token, may_query=True),
    )
    # What comes without TLS is served by processes of their own, what comes by TLS is not: all of them write.
    tls = {"tls_port": free_port(), "credentials": authority.credentials(node), "processes": 2}
    with living(tmp_path / "root", *remotes, **tls) as life:
        port = life.port
        assert echo("127.0.0.1", port, "RECTALNODE", "STRANGER", 10)
        assert refused_because(life, b"calling AE STRANGER") == "STRANGER"
        assert echo("127.0.0.1", port, "RECTALNODE", "ELSEWHERE", 10)
        assert refused_because(life, b"calling AE ELSEWHERE") == "ELSEWHERE"
        assert echo("127.0.0.1", port, "OTHERNODE", "SCANNER", 10)
        assert refused_because(life, b"called for OTHERNODE") == "SCANNER"
        for shown, believes, why in (
            (known, authority, b"is none of its `certificate_sha256`"),
            (of_stranger, authority, b"is signed by none of `authorities`"),
        ):
            credentials = (stranger if shown is of_stranger else authority).credentials(shown, believes)
            caller = RemoteSettings(
                name="node",
                ae_title="RECTALNODE",
                host="127.0.0.1",
                port=tls["tls_port"],
                calling_ae_title="SECURE",
                tls=True,
                credentials=credentials,
                timeout_s=10,
            )
            assert not any(it.status == 0 for it in stored([_image(tmp_path)], RemoteAE.of(caller)))
            refused_because(life, why)
        web = f"{life.url}/dicom-web/studies"
        forged = {"Authorization": "Bearer a token that nobody has given"}
        assert requests.get(web, headers=forged, timeout=30).status_code == 401
        assert refused_because(life, b"shown: a token") == "unknown"
        assert requests.get(f"{web}/1.2.3", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30).status_code == 403
        assert refused_because(life, b"remote ohif: may_retrieve") == "ohif"
        _page_refuses(life)
        for each in life.messages():
            schema.assertValid(each)
    record = AuditChain(open_engine(life.settings.storage_url))
    assert verify([life.settings.audit_folder], record.state).faults == ()


def _page_refuses(life: Life) -> None:
    forged = Browser(life.url, requests.Session())
    forged.session.cookies.set("rectal-node", "a cookie that was made up")
    assert forged.get("/").status_code == 303
    refused_because(life, b"a cookie of no session")
    olga = Browser(life.url, requests.Session())
    olga.post("/sign-in", {"name": "olga", "password": PASSWORD})
    assert olga.post(f"/studies/{STUDY}/rerun", {"csrf_token": "0" * 64}).status_code == 403
    restricted = life.waits_for("110113", b"refused with 403")
    assert restricted.find("EventIdentification/EventTypeCode").get("csd-code") == "110132"
    assert olga.post(f"/studies/{STUDY}/rerun", Origin="https://evil.example").status_code == 403
    refused_because(life, b"another page has sent")
    assert requests.get(life.url, headers={"Host": "evil.example"}, timeout=30).status_code == 400
    refused_because(life, b"a request for another host")
    wrong = Browser(life.url, requests.Session()).post("/sign-in", {"name": "olga", "password": "wrong"})
    assert wrong.status_code == 403
    failed = life.waits_for("110114", b"name and password do not fit")
    assert failed.find("EventIdentification").get("EventOutcomeIndicator") == "4"


def _image(folder: Path) -> Path:
    path = folder / "image.dcm"
    path.write_bytes(a_file())
    return path

"""Every service by TLS: Orthanc in both roles, and the tools of DCMTK, with certificates bound to their remotes."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as StudyRootGet
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as StudyRootMove
from sqlalchemy import Engine

from node.dicom.association import RemoteAE
from node.dicom.outcomes import StoreResult
from node.dicom.scu import echoed, stored
from node.retrieval.exchange import Line
from node.retrieval.route import by_get
from node.retrieval.study import fetch
from node.services.listener import Listener
from node.settings import ListenerSettings, RemoteSettings
from storage.catalogue.filling import catch_up
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index

from ..parts.certificates import Authority, Certificate
from ..parts.dcmtk import Tool
from ..parts.orthanc import AE_TITLE, Orthanc, running_orthanc
from .objects import SERIES, SmallStudy

Certificates = dict[str, Certificate]


@pytest.fixture(scope="module")
def certificates(authority: Authority) -> Certificates:
    """One for each system."""
    return {name: authority.issue(f"interop-{name}", ("127.0.0.1",)) for name in ("node", "orthanc", "dcmtk")}


@pytest.fixture(scope="module")
def orthanc_by_tls(
    authority: Authority, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Orthanc]:
    """An Orthanc whose DICOM port is one by TLS, and wants certificates."""
    shown = certificates["orthanc"]
    with running_orthanc(
        tmp_path_factory.mktemp("orthanc-by-tls"),
        DicomTlsEnabled=True,
        DicomTlsCertificate=str(shown.path),
        DicomTlsPrivateKey=str(shown.key),
        DicomTlsTrustedCertificates=str(authority.path),
        DicomTlsRemoteCertificateRequired=True,
    ) as found:
        yield found


@pytest.fixture(scope="module")
def orthanc_as_remote(authority: Authority, certificates: Certificates, orthanc_by_tls: Orthanc) -> RemoteSettings:
    """How the node knows it."""
    return RemoteSettings(
        name="orthanc",
        ae_title=AE_TITLE,
        host="127.0.0.1",
        port=orthanc_by_tls.dicom_port,
        may_store=True,
        calling_ae_title="NODE",
        tls=True,
        certificate_sha256=(certificates["orthanc"].fingerprint,),
        credentials=authority.credentials(certificates["node"]),
    )


@pytest.fixture(scope="module", params=[1, pytest.param(2, marks=pytest.mark.interop)], ids="{} process".format)
def node(
    request: pytest.FixtureRequest,
    authority: Authority,
    certificates: Certificates,
    orthanc_as_remote: RemoteSettings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Listener, Engine, ObjectStore]]:
    """A listener by TLS, in one process and in several."""
    root = tmp_path_factory.mktemp("node")
    engine, files = open_engine(f"sqlite:///{root / 'index.sqlite'}"), ObjectStore(root)
    tools = RemoteSettings(
        name="dcmtk",
        ae_title="DCMTK",
        may_store=True,
        may_query=True,
        may_retrieve=True,
        tls=True,
        certificate_sha256=(certificates["dcmtk"].fingerprint,),
    )
    values = ListenerSettings(minimum_free_gb=0, processes=request.param).model_copy(
        update={"port": 0, "tls_port": 0, "credentials": authority.credentials(certificates["node"])}
    )
    listener = Listener(values, (orthanc_as_remote, tools), files, Index(engine), time_zone="UTC")
    listener.start()
    yield listener, engine, files
    listener.stop(patience_s=0.5)


@pytest.fixture(scope="module")
def by_tls(authority: Authority, certificates: Certificates, node: Any, dcmtk: Tool) -> Callable[..., str]:
    """Run a tool of DCMTK against the node; what it wrote."""

    def run(tool: str, *arguments: object) -> str:
        shown = certificates["dcmtk"]
        answer = dcmtk(
            tool, "-v", "+tls", shown.key, shown.path, "+cf", authority.path, "-aet", "DCMTK", "-aec", "RECTALNODE",
            "127.0.0.1", node[0].tls_port, *arguments,
        )  # fmt: skip
        assert answer.returncode == 0, answer.stderr
        return answer.stdout + answer.stderr

    return run


def test_orthanc_is_asked_and_stores(
    orthanc_by_tls: Orthanc, orthanc_as_remote: RemoteSettings, study: SmallStudy
) -> None:
    receiver = RemoteAE.of(orthanc_as_remote)
    assert echoed(receiver) == ""
    assert {outcome.result for outcome in stored(study.paths, receiver)} == {StoreResult.SENT}
    assert len(orthanc_by_tls.data_sets(study.uid)) == len(study.paths)


def test_a_study_is_fetched_from_orthanc(
    orthanc_by_tls: Orthanc, orthanc_as_remote: RemoteSettings, study: SmallStudy, tmp_path: Path
) -> None:
    """By C-FIND and C-GET."""
    for path in study.paths:
        orthanc_by_tls.store(path)
    index = Index(open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}"))

    def here(study_instance_uid: str) -> dict[str, frozenset[str]]:
        found = [it.header for it in index.instances(study_instance_uid)]
        series = {it.series_instance_uid for it in found}
        return {uid: frozenset(it.sop_instance_uid for it in found if it.series_instance_uid == uid) for uid in series}

    with by_get(ListenerSettings(minimum_free_gb=0), ObjectStore(tmp_path), index) as route:
        progress = list(fetch(RemoteAE.of(orthanc_as_remote), study.uid, route, Line(), here, 5.0))
    assert (progress[-1].here, progress[-1].there) == (len(study.paths), len(study.paths))
    assert len(index.instances(study.uid)) == len(study.paths)


def test_orthanc_asks_and_sends(
    orthanc_by_tls: Orthanc, node: tuple[Listener, Engine, ObjectStore], study: SmallStudy
) -> None:
    for path in study.paths:
        orthanc_by_tls.store(path)
    listener, _, files = node
    name = f"node{listener.tls_port}"
    assert listener.tls_port is not None
    orthanc_by_tls.know(name, "RECTALNODE", listener.tls_port, UseDicomTls=True)
    orthanc_by_tls.post(f"/modalities/{name}/echo", {})
    (found,) = orthanc_by_tls.find("Study", StudyInstanceUID=study.uid)
    sent = orthanc_by_tls.post(f"/modalities/{name}/store", {"Resources": [found["ID"]], "Synchronous": True})
    assert (sent["InstancesCount"], sent["FailedInstancesCount"]) == (len(study.paths), 0)
    assert len([path for path in files.root.rglob("*.dcm") if path.is_file()]) == len(study.paths)


def test_the_tools_of_dcmtk_ask_store_and_query(
    node: tuple[Listener, Engine, ObjectStore], by_tls: Callable[..., str], study: SmallStudy
) -> None:
    """movescu and getscu of DCMTK 3.6.7 have no TLS."""
    assert "Association Accepted" in by_tls("echoscu")
    by_tls("storescu", *study.paths)
    _, engine, files = node
    while catch_up(engine, files):
        pass
    keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study.uid}")
    said = by_tls("findscu", *keys)
    assert said.count("(Pending)") == 1, said


def test_pynetdicom_gets_what_it_has_stored_and_has_it_moved_on_to_orthanc(
    node: tuple[Listener, Engine, ObjectStore],
    authority: Authority,
    certificates: Certificates,
    orthanc_by_tls: Orthanc,
    study: SmallStudy,
) -> None:
    """Which is called by TLS as well."""
    listener, engine, files = node
    context = ssl.create_default_context(cafile=str(authority.path))
    context.load_cert_chain(certificates["dcmtk"].path, certificates["dcmtk"].key)
    got: list[str] = []
    ae, classes = AE(ae_title="DCMTK"), sorted({str(sop_class) for sop_class, *_ in SERIES})
    ae.add_requested_context(StudyRootGet)
    ae.add_requested_context(StudyRootMove)
    for sop_class, _, syntax, _ in SERIES:
        ae.add_requested_context(sop_class, syntax)
    association = ae.associate(
        "127.0.0.1",
        listener.tls_port,
        ae_title="RECTALNODE",
        tls_args=(context, "127.0.0.1"),
        ext_neg=[build_role(sop_class, scu_role=True, scp_role=True) for sop_class in classes],
        evt_handlers=[(evt.EVT_C_STORE, lambda event: got.append(str(event.request.AffectedSOPInstanceUID)) or 0)],
    )
    for path in study.paths:
        assert association.send_c_store(path).Status == 0
    while catch_up(engine, files):
        pass
    keys = Dataset()
    keys.QueryRetrieveLevel, keys.StudyInstanceUID = "STUDY", study.uid
    *_, (of_get, _) = association.send_c_get(keys, StudyRootGet)
    *_, (of_move, _) = association.send_c_move(keys, AE_TITLE, StudyRootMove)
    association.release()
    assert (of_get.Status, of_move.Status) == (0, 0)
    assert sorted(got) == sorted(study.bytes_by_uid())
    assert len(orthanc_by_tls.data_sets(study.uid)) == len(study.paths)

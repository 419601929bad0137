"""The node with every real part as a remote, and each part as a remote of the node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.dicom.outcomes import StoreResult
from node.dicom.scu import store
from node.recognition.header.charsets import settle
from node.settings import load_settings
from storage.catalogue.filling import catch_up
from storage.database import open_engine
from storage.files import ObjectStore

from ..parts import statements
from ..parts.dcmjs import DcmjsSCP, running_dcmjs
from ..parts.dcmtk import Archive, StoreSCP, running_dcmqrscp, running_storescp
from ..parts.node import Node
from ..parts.orthanc import Orthanc
from ..parts.postgresql import emptied
from ..parts.processes import free_ports
from ..parts.storage_scp import StorageSCP, running_storage_scp
from .archive import PynetdicomArchive
from .objects import SmallStudy, small_study

statements.share()

#: What this node calls itself; not as those of other tests, which the same Orthanc may know.
NODE = "INTEROP"
#: Its DICOMweb service.
WEB = "WEB"
#: AE titles of the parts, by which they call and are called; Orthanc has a port of its own.
PARTS = ("DCMTK", "DCMQRSCP", "DCMJS", "PYNETDICOM")

CONFIG = """
root = "var"
database_url = "{url}"
[listener]
ae_title = "{title}"
port = {port}
processes = {processes}
minimum_free_gb = 0
[completion]
quiet_s = 86400
incomplete_after_s = 86400
[web]
enabled = true
port = {web}
local_rights = ["may_query", "may_retrieve", "may_store"]
[[remotes]]
name = "WEB"
url = "http://127.0.0.1:{orthanc}/dicom-web"
receives_results = true
first_retry_s = 1
"""
REMOTE = """
[[remotes]]
name = "{title}"
ae_title = "{title}"
host = "127.0.0.1"
port = {port}
may_store = true
may_query = true
may_retrieve = true
may_commit = true
receives_results = true
calling_ae_title = "{node}"
commitment = {commits}
commitment_after_s = 0.1
"""
#: Of these, those that know storage commitment.
COMMITTING = ("ORTHANC", "DCMJS", "PYNETDICOM")


@pytest.fixture(scope="session")
def ports() -> dict[str, int]:
    """Where the node and the parts listen, by AE title: each must know of the others before it starts."""
    titles = (NODE, WEB, *PARTS)
    return dict(zip(titles, free_ports(len(titles)), strict=True))


@pytest.fixture(scope="module", params=[1, pytest.param(2, marks=pytest.mark.interop)], ids=["SQLite", "PostgreSQL"])
def node(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int], orthanc: Orthanc
) -> Iterator[Node]:
    """The node as a process of its own; in the long form also with two that serve associations, on PostgreSQL."""
    found = Node(tmp_path_factory.mktemp("node"), ports[NODE], NODE, "PYNETDICOM")
    remotes = {title: ports[title] for title in PARTS} | {"ORTHANC": orthanc.dicom_port}
    url = emptied(request.getfixturevalue("postgresql")) if request.param > 1 else ""
    of_web = {"web": ports[WEB], "orthanc": orthanc.http_port}
    text = CONFIG.format(title=NODE, port=found.port, processes=request.param, url=url, **of_web)
    for title, port in remotes.items():
        text += REMOTE.format(title=title, port=port, node=NODE, commits=str(title in COMMITTING).lower())
    found.config.write_text(text)
    orthanc.know("interop", NODE, found.port)
    try:
        found.start("listener", "delivery", "web")
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="module")
def held(node: Node, tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """A study that the node has, catalogued at once by what a node with all roles runs every other second."""
    study = small_study(tmp_path_factory.mktemp("held") / "study")
    sent = [outcome.result for outcome in store(study.paths, "127.0.0.1", node.port, NODE, "PYNETDICOM", 30)]
    assert sent == [StoreResult.SENT] * len(study.paths)
    settings = load_settings(node.config)
    engine = open_engine(settings.storage_url)
    while catch_up(engine, ObjectStore(settings.root), settle=settle):
        pass
    engine.dispose()
    return study


@pytest.fixture(scope="module")
def storescp(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]) -> Iterator[StoreSCP]:
    with running_storescp(tmp_path_factory.mktemp("storescp"), ae_title="DCMTK", port=ports["DCMTK"]) as found:
        yield found


@pytest.fixture(scope="module")
def dcmqrscp(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]) -> Iterator[Archive]:
    with running_dcmqrscp(tmp_path_factory.mktemp("dcmqrscp"), ["DCMQRSCP"], ports, ports["DCMQRSCP"]) as found:
        yield found


@dataclass(frozen=True)
class Kept:
    """What an archive has from the start: a study for each way in which one is fetched from it."""

    folder: Path
    for_move: SmallStudy
    for_get: SmallStudy


@pytest.fixture(scope="module")
def make_kept(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Kept]:
    """Makes studies for an archive."""

    def make() -> Kept:
        folder = tmp_path_factory.mktemp("kept")
        return Kept(folder, small_study(folder / "move"), small_study(folder / "get"))

    return make


@pytest.fixture(scope="module")
def kept_by_dcmjs(make_kept: Callable[[], Kept]) -> Kept:
    return make_kept()


@pytest.fixture(scope="module")
def kept_by_pynetdicom(make_kept: Callable[[], Kept]) -> Kept:
    return make_kept()


@pytest.fixture(scope="module")
def dcmjs(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int], kept_by_dcmjs: Kept) -> Iterator[DcmjsSCP]:
    with running_dcmjs(tmp_path_factory.mktemp("dcmjs"), "DCMJS", ports["DCMJS"], kept_by_dcmjs.folder, ports) as found:
        yield found


@pytest.fixture(scope="module")
def archive(kept_by_pynetdicom: Kept, ports: dict[str, int]) -> PynetdicomArchive:
    """What `storage_scp` does beside storing."""
    return PynetdicomArchive("PYNETDICOM", kept_by_pynetdicom.folder, ports)


@pytest.fixture(scope="module")
def storage_scp(ports: dict[str, int], archive: PynetdicomArchive) -> Iterator[StorageSCP]:
    asked = {"contexts": archive.contexts, "handlers": archive.handlers}
    with running_storage_scp(port=ports["PYNETDICOM"], ae_title="PYNETDICOM", **asked) as found:
        yield found


@pytest.fixture
def new_study(tmp_path: Path) -> Callable[[], SmallStudy]:
    """Makes studies that nobody has yet."""
    made: list[SmallStudy] = []

    def make() -> SmallStudy:
        made.append(small_study(tmp_path / f"study{len(made)}"))
        return made[-1]

    return make


@pytest.fixture
def study(new_study: Callable[[], SmallStudy]) -> SmallStudy:
    """A study that nobody has yet."""
    return new_study()

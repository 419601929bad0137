"""The node with every real part as a remote, and each part as a remote of the node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.dicom.outcomes import StoreResult
from node.dicom.scu import store
from node.recognition.header.charsets import settle
from node.settings import load_settings
from storage.catalogue.filling import catch_up
from storage.database import open_engine
from storage.files import ObjectStore

from ..parts.dcmjs import DcmjsSCP, running_dcmjs
from ..parts.dcmtk import Archive, StoreSCP, running_dcmqrscp, running_storescp
from ..parts.node import Node
from ..parts.orthanc import Orthanc
from ..parts.processes import free_ports
from ..parts.storage_scp import StorageSCP, running_storage_scp
from .objects import SmallStudy, small_study

#: What this node calls itself; not as those of other tests, which the same Orthanc may know.
NODE = "INTEROP"
#: AE titles of the parts, by which they call and are called; Orthanc has a port of its own.
PARTS = ("DCMTK", "DCMQRSCP", "DCMJS", "PYNETDICOM")

CONFIG = """
root = "var"
[listener]
ae_title = "{title}"
port = {port}
processes = {processes}
minimum_free_gb = 0
[completion]
quiet_s = 86400
incomplete_after_s = 86400
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
"""


@pytest.fixture(scope="session")
def ports() -> dict[str, int]:
    """Where the node and the parts listen, by AE title: each must know of the others before it starts."""
    titles = (NODE, *PARTS)
    return dict(zip(titles, free_ports(len(titles)), strict=True))


@pytest.fixture(scope="module", params=[1, pytest.param(2, marks=pytest.mark.interop)], ids="{} process".format)
def node(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int], orthanc: Orthanc
) -> Iterator[Node]:
    """The node as a process of its own; in the long form also with several that serve associations."""
    found = Node(tmp_path_factory.mktemp("node"), ports[NODE], NODE, "PYNETDICOM")
    remotes = {title: ports[title] for title in PARTS} | {"ORTHANC": orthanc.dicom_port}
    text = CONFIG.format(title=NODE, port=found.port, processes=request.param)
    found.config.write_text(text + "".join(REMOTE.format(title=title, port=port) for title, port in remotes.items()))
    orthanc.know("interop", NODE, found.port)
    try:
        found.start("listener")
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


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """The study that the provider of dcmjs-dimse and that of pynetdicom have from the start."""
    return small_study(tmp_path_factory.mktemp("kept") / "study")


@pytest.fixture(scope="module")
def dcmjs(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int], kept: SmallStudy) -> Iterator[DcmjsSCP]:
    with running_dcmjs(tmp_path_factory.mktemp("dcmjs"), "DCMJS", ports["DCMJS"], kept.folder) as found:
        yield found


@pytest.fixture(scope="module")
def storage_scp(ports: dict[str, int]) -> Iterator[StorageSCP]:
    with running_storage_scp(port=ports["PYNETDICOM"], ae_title="PYNETDICOM") as found:
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

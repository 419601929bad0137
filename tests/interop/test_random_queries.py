"""Random queries of synthetic studies in six scripts, over real sockets: the node finds what the plain matcher finds.

The long form (`make interop`) asks Orthanc and dcmqrscp the same; where they find something else, `DEVIATIONS` says by
which paragraph they may, or what they lack.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, Association, evt
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind as PatientRoot,
)
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind as StudyRoot,
)

from node.dicom.transport import keep_responses, send_at_once
from node.services.listener import Listener
from node.settings import ListenerSettings, RemoteSettings
from storage.catalogue.filling import catch_up
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index

from ..storage.house import House
from .plain_matcher import UNIQUE, matches
from .synthetic_studies import entities, information_model, queries

SCU = RemoteSettings(name="scu", ae_title="SCU", may_query=True)
Query = tuple[str, Dataset]
"""Level and identifier."""
Found = list[tuple[str, ...]]


def encoded(instance: Dataset) -> bytes:
    buffer = io.BytesIO()
    dcmwrite(buffer, instance, enforce_file_format=True)
    return buffer.getvalue()


def start_node(root: Path, found: Sequence[Dataset]) -> Listener:
    """A listener that has the instances in its catalogue."""
    engine = open_engine(f"sqlite:///{root / 'index.sqlite'}")
    house = House(engine, root, lambda _seconds: datetime(2026, 1, 2, tzinfo=UTC))
    for instance in found:
        house.receive(encoded(instance))
    while catch_up(engine, house.files):
        pass
    settings = ListenerSettings(minimum_free_gb=0).model_copy(update={"port": 0})
    listener = Listener(settings, [SCU], ObjectStore(root), Index(engine), time_zone="UTC")
    listener.start()
    return listener


def associate(port: int, title: str) -> Association:
    ae = AE(ae_title="SCU")
    for model in (PatientRoot, StudyRoot):
        ae.add_requested_context(model, ExplicitVRLittleEndian)
    association = ae.associate("127.0.0.1", port, ae_title=title, evt_handlers=[(evt.EVT_CONN_OPEN, send_at_once)])
    assert association.is_established
    keep_responses(association)
    return association


def unique(level: str, answers: Iterable[Dataset]) -> Found:
    return sorted(tuple(str(answer.get(keyword) or "") for keyword in UNIQUE[level]) for answer in answers)


def answered(association: Association, query: Query) -> Found:
    """The unique keys of what is found, sorted."""
    *pending, (last, _) = association.send_c_find(with_unique_keys(*query), information_model(*query))
    assert last.Status == 0, (query, last)
    return unique(query[0], (answer for _, answer in pending))


def with_unique_keys(level: str, identifier: Dataset) -> Dataset:
    """The identifier, which asks for the unique keys as well."""
    whole = Dataset()
    whole.update(identifier)
    for keyword in UNIQUE[level]:
        if keyword not in whole:
            setattr(whole, keyword, None)
    return whole


def expected(query: Query, found: Sequence[Dataset]) -> Found:
    return matches(*query, found)


@pytest.fixture(scope="module")
def few() -> list[Dataset]:
    return entities(1, 50)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, few: list[Dataset]) -> Iterator[Listener]:
    listener = start_node(tmp_path_factory.mktemp("node"), few)
    yield listener
    listener.stop(patience_s=0.5)


def test_the_node_finds_what_the_standard_says(node, few):
    association = associate(node.port, "RECTALNODE")
    something: Counter[bool] = Counter()
    for query in queries(1, 100, few):
        found = answered(association, query)
        assert found == expected(query, few), query
        something[bool(found)] += 1
    association.release()
    assert something[True] > something[False] > 5


@pytest.mark.parametrize("seed", range(4))
def test_findscu_is_answered_the_same(node, few, tmp_path, seed):
    """DCMTK reads the identifier from a file, and writes each answer to one."""
    for query in queries(100 + seed, 3, few):
        asked, answers = tmp_path / "asked.dcm", tmp_path / "answers"
        whole = with_unique_keys(*query)
        dcmwrite(asked, whole, implicit_vr=False, little_endian=True)
        answers.mkdir(exist_ok=True)
        model = "-P" if information_model(*query) == PatientRoot else "-S"
        call = ["findscu", model, "-X", "-od", answers, "-aet", "SCU", "-aec", "RECTALNODE", "127.0.0.1"]
        subprocess.run([*call, str(node.port), asked], check=True, capture_output=True, env=os.environ)
        found = unique(query[0], (dcmread(path, force=True) for path in answers.glob("rsp*.dcm")))
        assert found == expected(query, few), query
        shutil.rmtree(answers)

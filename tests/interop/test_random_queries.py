"""Random queries of synthetic studies in six scripts, over real sockets: the node finds what the plain matcher finds.

The long form (`make interop`) asks Orthanc and dcmqrscp 2,000 of them as well; where they find something else,
`DEVIATIONS` says by which paragraph of PS3.4 they may, or what they lack.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
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

from ..parts.dcmtk import running_dcmqrscp
from ..parts.orthanc import running_orthanc
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


# --- the long form


@dataclass(frozen=True)
class Deviation:
    """What a part finds otherwise.

    Attributes:
        features: any of which a query has (`features_of`).
        more, fewer: what it finds beyond, or does not find of, what the plain matcher finds.
        why: the paragraph of PS3.4 that lets it, or that it does not follow.
    """

    features: frozenset[str]
    more: bool
    fewer: bool
    why: str


OF_SERIES = frozenset(
    {
        *("SeriesDate", "SeriesTime", "SeriesDescription", "ProtocolName", "StationName", "BodyPartExamined"),
        *("PerformingPhysicianName", "OperatorsName", "Manufacturer"),
        *("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"),
    }
)
OF_IMAGES = frozenset(
    {
        *("InstanceCreationDate", "ContentDate", "ContentTime", "ImageType", "AcquisitionDateTime"),
        *("AcquisitionNumber", "SOPClassUID"),
    }
)
SEQUENCES = frozenset({"ProcedureCodeSequence", "RequestAttributesSequence"})
DEVIATIONS = {
    "dcmqrscp": (
        Deviation(
            OF_SERIES | OF_IMAGES | SEQUENCES | {"InstitutionName", "ModalitiesInStudy", "SOPClassesInStudy"},
            *(True, False, "C.2.2.1.3: optional keys need not be supported for matching; it passes over these"),
        ),
        Deviation(
            frozenset({"name"}),
            *(False, True, "C.2.2.2.1, C.2.2.2.4: how names match is the application's; it compares them whole"),
        ),
        Deviation(
            frozenset({"less precision"}),
            *(False, True, "C.2.2.2.5.2: all moments that a time covers; it takes one of less precision as the first"),
        ),
        Deviation(
            frozenset({"not ASCII"}),
            *(False, True, "C.2.2.2: undefined for character sets that are not supported; it compares bytes"),
        ),
    ),
    "Orthanc": (
        Deviation(
            SEQUENCES,
            *(True, False, "C.2.2.1.3: optional keys need not be supported for matching; it passes over sequences"),
        ),
        Deviation(
            OF_SERIES | OF_IMAGES | {"SOPClassesInStudy"},
            *(False, True, "C.2.2.1.3: optional keys that it does not index are empty in each of its entities"),
        ),
        Deviation(
            frozenset({"InstitutionName"}),
            *(True, True, "C.2.2.1.3: optional; to it an attribute of the study, so that one series speaks for all"),
        ),
        Deviation(
            frozenset({"name"}),
            *(False, True, "C.2.2.2.1, C.2.2.2.4: how names match is the application's; accents and groups count"),
        ),
        Deviation(
            frozenset({"less precision"}),
            *(True, True, "C.2.2.2.5.2: all moments that a time covers; it compares times as texts"),
        ),
        Deviation(
            frozenset({"until"}),
            *(True, False, "C.2.2.2.5: prior to a date or time; what has none is before all others to it"),
        ),
        Deviation(
            frozenset({"not ASCII"}),
            *(False, True, "C.2.2.2: undefined for character sets that are not supported"),
        ),
    ),
}
LESS_PRECISE = re.compile(r"(^|-)(\d{2}|\d{4}|\d{6})(-|$)")


def features_of(query: Query) -> frozenset[str]:
    """The keywords of keys that ask for a value, and what is special about these values."""
    found: set[str] = set()
    for key in query[1]:
        values = key.value if isinstance(key.value, list) else [key.value]
        if key.VR == "SQ":
            values = [element.value for item in key.value for element in item]
        said = [str(value) for value in values if value not in (None, "")]
        if said and key.keyword not in ("SpecificCharacterSet", "QueryRetrieveLevel"):
            found.add(key.keyword)
            found |= {"name"} if key.VR == "PN" else set()
            found |= {"not ASCII"} if not "".join(said).isascii() else set()
            found |= {"until"} if key.VR in ("DA", "TM") and said[0].startswith("-") else set()
            found |= {"less precision"} if key.VR == "TM" and LESS_PRECISE.search(said[0]) else set()
    return frozenset(found)


SEED, STUDIES, QUERIES = 1, 500, 2000
LONG = pytest.mark.timeout(3600)  # 200,000 answers, which pynetdicom reads
_made: list[Dataset] = []  # in each process that computes what is expected


def _make() -> None:
    _made.extend(entities(SEED, STUDIES))


def _expected(query: Query) -> Found:
    """As `expected`, of instances on which it depends: those of the study that is a key, or the first of each study."""
    level, identifier = query
    if level in ("SERIES", "IMAGE"):
        return expected(query, [each for each in _made if each.StudyInstanceUID == identifier.StudyInstanceUID])
    if features_of(query) & {"ModalitiesInStudy", "SOPClassesInStudy"}:
        return expected(query, _made)
    return expected(query, list({each.StudyInstanceUID: each for each in reversed(_made)}.values())[::-1])


@pytest.fixture(scope="module")
def made() -> list[Dataset]:
    return entities(SEED, STUDIES)


@pytest.fixture(scope="module")
def asked(made: list[Dataset]) -> list[tuple[Query, Found]]:
    """The queries, and what the plain matcher finds."""
    random = queries(SEED, QUERIES, made)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), initializer=_make) as pool:
        return list(zip(random, pool.map(_expected, random, chunksize=20), strict=True))


@LONG
@pytest.mark.interop
def test_the_node_finds_what_the_standard_says_in_all_studies(tmp_path, made, asked):
    listener = start_node(tmp_path, made)
    association = associate(listener.port, "RECTALNODE")
    different = [query for query, wanted in asked if answered(association, query) != wanted]
    association.release()
    listener.stop(patience_s=0.5)
    assert different == []


@LONG
@pytest.mark.interop
@pytest.mark.parametrize("part", ["Orthanc", "dcmqrscp"])
def test_what_others_find_otherwise_has_its_paragraph(tmp_path, made, asked, part):
    with ExitStack() as running:
        if part == "Orthanc":
            port = running.enter_context(running_orthanc(tmp_path / part)).dicom_port
        else:
            port = running.enter_context(running_dcmqrscp(tmp_path / part)).port
        store(port, part.upper(), made)
        association = associate(port, part.upper())
        found = [answered(association, query) for query, _ in asked]
        association.release()
    needed: set[Deviation] = set()
    unexplained = []
    for (query, wanted), answers in zip(asked, found, strict=True):
        more, fewer = set(answers) - set(wanted), set(wanted) - set(answers)
        why = [each for each in DEVIATIONS[part] if each.features & features_of(query)]
        reasons = {each for each in why if (more and each.more) or (fewer and each.fewer)}
        needed |= reasons
        if (more and not any(each.more for each in why)) or (fewer and not any(each.fewer for each in why)):
            unexplained.append((query, sorted(more)[:3], sorted(fewer)[:3]))
    assert unexplained == []
    assert needed == set(DEVIATIONS[part]), "explanations that nothing needs"


def store(port: int, title: str, found: Sequence[Dataset]) -> None:
    ae = AE(ae_title="SCU")
    for sop_class in {instance.SOPClassUID for instance in found}:
        ae.add_requested_context(sop_class, ExplicitVRLittleEndian)
    association = ae.associate("127.0.0.1", port, ae_title=title, evt_handlers=[(evt.EVT_CONN_OPEN, send_at_once)])
    keep_responses(association)
    for instance in found:
        assert association.send_c_store(dcmread(io.BytesIO(encoded(instance)))).Status == 0
    association.release()

"""Services that pynetdicom serves on the association that also stores: a query with many answers, and a retrieval."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, build_role, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    Verification,
)

from node.services.associations import ECHO, Service
from node.services.listener import Listener
from node.settings import ListenerSettings
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index

C_FIND_RQ, C_GET_RQ = 0x0020, 0x0010
FIND, GET = StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelGet
PENDING, CANCELLED = 0xFF00, 0xFE00


class Queries:
    """A C-FIND with answers without end: it stops where it is told to."""

    def __init__(self) -> None:
        self.answered = 0
        self.cancelled = threading.Event()

    def __call__(self, event: Event) -> Iterator[tuple[int, Dataset | None]]:
        wanted = event.identifier.get("NumberOfStudyRelatedInstances") or 10_000
        for number in range(int(wanted)):
            if event.is_cancelled:
                self.cancelled.set()
                yield CANCELLED, None
                return
            self.answered += 1
            answer = Dataset()
            answer.PatientID, answer.StudyInstanceUID = "1", f"1.2.{number}"
            yield PENDING, answer


@pytest.fixture
def queries() -> Queries:
    return Queries()


@pytest.fixture
def begin(tmp_path: Path, queries: Queries, make_image: Callable[..., Path]) -> Iterator[tuple[int, Index]]:
    """A listener with C-FIND and C-GET."""

    def get(_event: Event) -> Iterator[object]:
        yield 3
        for number in range(1, 4):
            yield PENDING, dcmread(make_image(number))

    services = (
        ECHO,
        Service(C_FIND_RQ, evt.EVT_C_FIND, queries, frozenset({FIND})),
        Service(C_GET_RQ, evt.EVT_C_GET, get, frozenset({GET}), sends_objects=True),
    )
    index = Index(open_engine(f"sqlite:///{tmp_path / 'index.sqlite'}"))
    settings = ListenerSettings(minimum_free_gb=0).model_copy(update={"port": 0})
    listener = Listener(settings, (), ObjectStore(tmp_path), index, services=services)
    listener.start()
    yield listener.port, index
    listener.stop(patience_s=0.5)


def associate(port: int, *classes: str, handlers: tuple[object, ...] = (), roles: tuple[object, ...] = ()):
    ae = AE(ae_title="SCANNER")
    for each in (*classes, MRImageStorage, Verification):
        ae.add_requested_context(each, ExplicitVRLittleEndian)
    association = ae.associate(
        "127.0.0.1", port, ae_title="RECTALNODE", evt_handlers=list(handlers), ext_neg=list(roles)
    )
    assert association.is_established
    return association


def identifier(answers: int | None = None) -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", ""
    if answers is not None:
        asked.NumberOfStudyRelatedInstances = str(answers)
    return asked


def test_stores_echoes_and_queries_take_turns_on_one_association(begin, make_image):
    port, index = begin
    association = associate(port, FIND)
    for number in range(1, 4):
        assert association.send_c_store(make_image(number)).Status == 0
        found = list(association.send_c_find(identifier(5), FIND))
        assert [status.Status for status, _ in found] == [PENDING] * 5 + [0]
        assert [answer.StudyInstanceUID for _, answer in found[:5]] == [f"1.2.{n}" for n in range(5)]
        assert association.send_c_echo().Status == 0
    association.release()
    assert index.study("1.2.3").instance_count == 3


def test_a_query_is_cancelled_while_it_runs_and_stores_go_on(begin, queries, make_image):
    port, index = begin
    association = associate(port, FIND)
    last = None
    for count, (status, _) in enumerate(association.send_c_find(identifier(), FIND, msg_id=7)):
        if count == 3:
            association.send_c_cancel(7, None, FIND)
        last = status.Status
    assert last == CANCELLED
    assert queries.cancelled.is_set()
    assert queries.answered < 10_000
    assert association.send_c_store(make_image(1)).Status == 0
    association.release()
    assert index.study("1.2.3").instance_count == 1


def test_a_retrieval_sends_objects_on_the_same_association_and_stores_go_on(begin, make_image):
    """The responses of the other side to C-STORE are read while the service runs."""
    port, index = begin
    received = []

    def keep(event: Event) -> int:
        received.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    association = associate(
        port,
        GET,
        handlers=((evt.EVT_C_STORE, keep),),
        roles=(build_role(MRImageStorage, scu_role=True, scp_role=True),),
    )
    found = list(association.send_c_get(identifier(), GET))
    assert found[-1][0].Status == 0
    assert received == ["1.2.3.4.1", "1.2.3.4.2", "1.2.3.4.3"]
    assert association.send_c_store(make_image(9)).Status == 0
    association.release()
    assert index.study("1.2.3").instance_count == 1


def test_a_connection_that_ends_while_a_service_runs_ends_the_service(begin, queries):
    port, _ = begin
    association = associate(port, FIND)
    answers = association.send_c_find(identifier(), FIND)
    next(answers)
    association.abort()
    assert queries.answered < 10_000
    again = associate(port, FIND)
    assert again.send_c_echo().Status == 0
    again.release()

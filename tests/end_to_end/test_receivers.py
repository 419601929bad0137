"""The results of one study at receivers of every kind: each object once, with the values that it has here."""

from __future__ import annotations

import io
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.delivery.worker import DeliveryWorker
from node.settings import RemoteSettings, load_settings
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.index import Index
from storage.ledger import Ledger
from storage.records import DeliveryState, ResultRecord

from .conftest import Node, Orthanc, SentStudy, wait_for
from .receivers import Receiver, coercing_into, dcmjs_dimse, dcmjs_is_missing, dcmtk_implicit_only, hanging_up_after

SEND = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Results:
    """A few results of every kind, and the store in which they lie."""

    files: ObjectStore
    records: tuple[ResultRecord, ...]

    def stored(self) -> dict[str, pydicom.Dataset]:
        return {it.sop_instance_uid: pydicom.dcmread(self.files.absolute(it.file)) for it in self.records}


@pytest.fixture(scope="module")
def results(returned: dict[str, Any], skyra: SentStudy, node: Node) -> Results:
    """Of each series of the results the first three objects."""
    settings = load_settings(node.config)
    by_series: dict[str, list[ResultRecord]] = {}
    for record in Ledger(open_engine(settings.storage_url)).results(skyra.uid):
        by_series.setdefault(record.series_instance_uid, []).append(record)
    found = tuple(record for series in by_series.values() for record in series[:3])
    assert len({record.sop_class_uid for record in found}) == 5  # MR, SEG, SR, secondary capture, PDF
    return Results(ObjectStore(settings.root), found)


def delivered(results: Results, receiver: Receiver, folder: Path) -> list[pydicom.Dataset]:
    """What the receiver has when the queue of a destination there is empty."""
    engine = open_engine(f"sqlite:///{folder / 'index.sqlite'}")
    deliveries = Deliveries(engine)
    Ledger(engine).record(results.records, ["pacs"], datetime.now(UTC))
    settings = RemoteSettings(name="pacs", ae_title="PACS", host="127.0.0.1", port=receiver.port, first_retry_s=0.5)
    delivery = DeliveryWorker(settings, deliveries, results.files)
    delivery.start()
    try:
        wait_for(lambda: {it.state for it in deliveries.records()} == {DeliveryState.STORED}, "all is delivered", 120)
    finally:
        delivery.stop()
    return receiver.data_sets()


def values(data_set: pydicom.Dataset, place: tuple[object, ...] = ()) -> Iterator[tuple[tuple[object, ...], object]]:
    """Every value and where it stands; representations are left out, which Implicit VR does not write."""
    for element in data_set:
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                yield from values(item, (*place, element.tag, number))
        yield (*place, element.tag), len(element.value) if element.VR == "SQ" else element.value


def each_once_and_equal(results: Results, received: list[pydicom.Dataset]) -> None:
    stored = results.stored()
    assert Counter(str(each.SOPInstanceUID) for each in received) == dict.fromkeys(stored, 1)
    for each in received:
        assert dict(values(each)) == dict(values(stored[str(each.SOPInstanceUID)])), each.SOPClassUID.name


def syntaxes(received: list[pydicom.Dataset]) -> set[str]:
    return {str(each.file_meta.TransferSyntaxUID) for each in received}


def test_a_receiver_of_implicit_vr_alone_has_each_object_once_with_its_values(results: Results, tmp_path: Path) -> None:
    (tmp_path / "received").mkdir()
    with dcmtk_implicit_only(tmp_path / "received") as receiver:
        received = delivered(results, receiver, tmp_path)
    each_once_and_equal(results, received)
    assert syntaxes(received) == {ImplicitVRLittleEndian}


def test_dcmjs_dimse_has_each_object_once_as_it_lies_here(results: Results, tmp_path: Path) -> None:
    if reason := dcmjs_is_missing():
        pytest.skip(reason)
    (tmp_path / "received").mkdir()
    with dcmjs_dimse(tmp_path / "received") as receiver:
        received = delivered(results, receiver, tmp_path)
    each_once_and_equal(results, received)
    assert syntaxes(received) == {ExplicitVRLittleEndian}


def test_a_receiver_that_hangs_up_again_and_again_has_each_object_once(results: Results, tmp_path: Path) -> None:
    with hanging_up_after(4) as receiver:
        each_once_and_equal(results, delivered(results, receiver, tmp_path))


def test_what_a_router_coerces_and_sends_back_is_kept_and_makes_no_revision(
    results: Results, skyra: SentStudy, node: Node, storescu: SEND, tmp_path: Path
) -> None:
    before = node.study(skyra.uid)
    coerced = tmp_path / "coerced"
    coerced.mkdir()
    with coercing_into(coerced) as router:
        each_once_and_equal(results, delivered(results, router, tmp_path))
    answer = storescu(coerced, node.port)
    assert answer.returncode == 0, answer.stderr
    index = Index(open_engine(load_settings(node.config).storage_url))
    assert len(index.returned_files()[skyra.uid]) == len(results.records)
    assert node.study(skyra.uid) == before


def test_orthanc_has_each_object_of_the_study_as_it_lies_here(
    results: Results, skyra: SentStudy, orthanc: Orthanc
) -> None:
    found = {
        it["MainDicomTags"]["SOPInstanceUID"]: it["ID"] for it in orthanc.find("Instance", StudyInstanceUID=skyra.uid)
    }
    received = [pydicom.dcmread(io.BytesIO(orthanc.file(found[uid]))) for uid in results.stored()]
    each_once_and_equal(results, received)

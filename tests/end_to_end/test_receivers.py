"""The results of one study at receivers of every kind: each object once, with the values that it has here."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pynetdicom import evt

from node.delivery.worker import DeliveryWorker
from node.dicom.outcomes import StoreResult
from node.dicom.scu import store
from node.results.kinds import kind_of
from node.settings import USUAL_RESULTS, RemoteSettings, ResultKind, load_settings
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.ledger import Ledger
from storage.overview import Overview
from storage.records import DeliveryState, ResultRecord

from ..parts.dcmjs import DcmjsSCP, running_dcmjs
from ..parts.dcmtk import StoreSCP, running_storescp
from ..parts.node import Node
from ..parts.orthanc import DICOMWEB, Orthanc
from ..parts.processes import wait_for
from ..parts.storage_scp import StorageSCP, running_storage_scp
from .conftest import SentStudy


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
    records = Ledger(open_engine(settings.storage_url)).all_results(skyra.uid)
    for record in (it for it in records if it.revision == records[-1].revision):
        by_series.setdefault(record.series_instance_uid, []).append(record)
    found = tuple(record for series in by_series.values() for record in series[:3])
    kinds = {kind_of(record.sop_class_uid, record.role) for record in found}
    assert kinds == (set(ResultKind) if DICOMWEB.exists() else set(USUAL_RESULTS))
    return Results(ObjectStore(settings.root), found)


def delivered(results: Results, receiver: StorageSCP | StoreSCP | DcmjsSCP, folder: Path) -> list[pydicom.Dataset]:
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
    # Not knowing Label Map Segmentations, it takes what it does not know.
    with running_storescp(tmp_path / "received", "+xi", "-pm") as receiver:
        received = delivered(results, receiver, tmp_path)
    each_once_and_equal(results, received)
    assert syntaxes(received) == {ImplicitVRLittleEndian}


def test_dcmjs_dimse_has_each_object_once_as_it_lies_here(results: Results, tmp_path: Path) -> None:
    with running_dcmjs(tmp_path / "received") as receiver:
        received = delivered(results, receiver, tmp_path)
    each_once_and_equal(results, received)
    assert syntaxes(received) == {ExplicitVRLittleEndian}


def test_a_receiver_that_hangs_up_again_and_again_has_each_object_once(results: Results, tmp_path: Path) -> None:
    with running_storage_scp(lambda _event, count: 0 if count <= 8 else None) as receiver:
        each_once_and_equal(results, delivered(results, receiver, tmp_path))


def coercing_into(folder: Path) -> Callable[[evt.Event, int], int]:
    """A router gives every instance and series another UID, the same one each time, and files it in a folder."""

    def coerce(event: evt.Event, _count: int) -> int:
        data_set = pydicom.dcmread(io.BytesIO(event.encoded_dataset()))
        for keyword in ("SeriesInstanceUID", "SOPInstanceUID"):
            data_set[keyword].value = generate_uid(entropy_srcs=[str(data_set[keyword].value)])
        data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
        data_set.save_as(folder / f"{data_set.SOPInstanceUID}.dcm")
        return 0

    return coerce


def test_what_a_router_coerces_and_sends_back_is_kept_and_makes_no_revision(
    results: Results, skyra: SentStudy, node: Node, tmp_path: Path
) -> None:
    before = node.study(skyra.uid)
    coerced = tmp_path / "coerced"
    coerced.mkdir()
    with running_storage_scp(coercing_into(coerced)) as router:
        each_once_and_equal(results, delivered(results, router, tmp_path))
    # By the node's own sender: storescu sends no Label Map Segmentation, which it does not know.
    outcomes = store(sorted(coerced.iterdir()), "127.0.0.1", node.port, "RECTALNODE", "ROUTER", 60)
    assert {outcome.result for outcome in outcomes} == {StoreResult.SENT}
    with open_engine(load_settings(node.config).storage_url).connect() as connection:
        assert len(Overview(connection).returned_files()[skyra.uid]) == len(results.records)
    assert node.study(skyra.uid) == before


def test_orthanc_has_each_object_of_the_study_as_it_lies_here(
    results: Results, skyra: SentStudy, orthanc: Orthanc, reader: Orthanc
) -> None:
    """By C-STORE and by STOW-RS."""
    stored = results.stored()
    kept = (each for archive in (orthanc, reader) for each in archive.data_sets(skyra.uid))
    received = {str(each.SOPInstanceUID): each for each in kept if str(each.SOPInstanceUID) in stored}
    each_once_and_equal(results, list(received.values()))

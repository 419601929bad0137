"""What the viewer OHIF asks of a DICOMweb server, in its order, of an analysed study: images and results are all there.

Its requests were read in its DICOMweb data source (`qido.js`, `index.ts`) and in its modules for segmentations.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from email.parser import BytesParser
from typing import Any
from urllib.parse import quote

import pytest
import requests
from pydicom import Dataset, dcmread

from node.settings import ListenerSettings, WebSettings, load_settings
from node.web.server import WebServer
from storage.catalogue.filling import catch_up
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index

from ..parts.node import Node
from ..parts.orthanc import Orthanc
from .conftest import SentStudy

JSON = "application/dicom+json"
STUDY_LIST = "limit=101&offset=0&fuzzymatching=false&includefield=00081030,00080060,00080090,00100030"
OF_STUDIES = ("0020000D", "00080020", "00080030", "00080061", "00081030", "00100010", "00100020", "00201208")
OF_SERIES = ("0020000E", "00080060", "00200011", "0008103E", "00201209")
#: Those that its module for segmentations takes: binary, fractional and label map ones.
SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
#: Of the address where it was asked for.
_OF_THE_SERVER = {"BulkDataURI"}


class Viewer:
    """Asks as OHIF does."""

    def __init__(self, url: str) -> None:
        self.url = url

    def json(self, path: str) -> list[dict[str, Any]]:
        answer = requests.get(self.url + path, headers={"Accept": JSON}, timeout=120)
        if answer.status_code == 204:
            return []
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, JSON), answer.text
        return list(answer.json())

    def parts(self, path: str, accept: str) -> list[bytes]:
        answer = requests.get(self.url + path, headers={"Accept": accept}, timeout=120)
        assert answer.status_code == 200, answer.text
        head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
        return [part.get_payload(decode=True) for part in BytesParser().parsebytes(head + answer.content).get_payload()]


def value(model: dict[str, Any], tag: str) -> Any:
    return (model.get(tag, {}).get("Value") or [None])[0]


@pytest.fixture(scope="module")
def viewer(returned: dict[str, Any], node: Node) -> Iterator[Viewer]:
    """A viewer of the node whose study was analysed; the service reads what that node has."""
    settings = load_settings(node.config)
    engine = open_engine(settings.storage_url)
    files = ObjectStore(settings.root)
    while catch_up(engine, files):
        pass
    web = WebSettings(local_rights=("may_query", "may_retrieve")).model_copy(update={"port": 0})
    server = WebServer(web, ListenerSettings(), (), files, Index(engine))
    server.start()
    yield Viewer(f"http://127.0.0.1:{server.port}/dicom-web")
    server.stop()
    engine.dispose()


@pytest.fixture(scope="module")
def series(viewer: Viewer, skyra: SentStudy) -> list[dict[str, Any]]:
    return viewer.json(f"/studies/{skyra.uid}/series?includefield=0008103E,00080021")


@pytest.fixture(scope="module")
def metadata(viewer: Viewer, skyra: SentStudy, series: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The metadata of each series by its UID."""
    uids = [value(each, "0020000E") for each in series]
    return {uid: viewer.json(f"/studies/{skyra.uid}/series/{uid}/metadata") for uid in uids}


def test_the_study_list_has_all_that_it_shows(viewer, skyra):
    studies = viewer.json(
        f"/studies?{STUDY_LIST}&PatientName=*{'SIM'}*&ModalitiesInStudy=MR&StudyDate=19000101-21001231"
    )
    (found,) = [each for each in studies if value(each, "0020000D") == skyra.uid]
    assert all(tag in found for tag in (*OF_STUDIES, "00080050", "00080090", "00100030"))
    assert all(value(found, tag) is not None for tag in OF_STUDIES)
    assert {"MR", "SEG", "SR"} <= set(found["00080061"]["Value"])
    assert [value(each, "0020000D") for each in viewer.json(f"/studies?{STUDY_LIST}&StudyInstanceUID={skyra.uid}")] == [
        skyra.uid
    ]


@pytest.mark.parametrize("tag", ["00100010", "00100020", "00080050", "00081030", "0020000D"])
def test_the_study_list_is_filtered_as_a_reader_types(viewer, skyra, tag):
    """Text is found with stars around it, UIDs with backslashes between."""
    (study,) = viewer.json(f"/studies?{STUDY_LIST}&StudyInstanceUID={skyra.uid}")
    said = value(study, tag)
    text = (said["Alphabetic"] if isinstance(said, dict) else str(said))[1:-1]
    right, wrong = (f"{skyra.uid}\\1.2.3", "1.2.3") if tag == "0020000D" else (f"*{text}*", "*nothing of it*")
    found, none = (viewer.json(f"/studies?{STUDY_LIST}&{tag}={quote(each)}") for each in (right, wrong))
    assert skyra.uid in [value(each, "0020000D") for each in found]
    assert none == []


def test_the_series_list_counts_what_is_there(viewer, skyra, series):
    (study,) = viewer.json(f"/studies?StudyInstanceUID={skyra.uid}")
    assert all(value(each, tag) is not None for each in series for tag in OF_SERIES)
    assert sum(value(each, "00201209") for each in series) == value(study, "00201208")
    assert len(viewer.json(f"/studies/{skyra.uid}/instances")) == value(study, "00201208")


def test_metadata_of_every_series_are_whole_and_without_bulk_data(metadata, series):
    for each in series:
        models = metadata[value(each, "0020000E")]
        assert len(models) == value(each, "00201209")
        assert all("InlineBinary" not in model.get("7FE00010", {}) for model in models)
        assert len({value(model, "00080018") for model in models}) == len(models)


def test_frames_of_every_kind_of_image_are_those_of_the_file(viewer, skyra, metadata):
    for uid, (model, *_) in metadata.items():
        place = f"/studies/{skyra.uid}/series/{uid}"
        if "7FE00010" not in model:
            continue
        instance = f"{place}/instances/{value(model, '00080018')}"
        (file,) = viewer.parts(instance, 'multipart/related; type="application/dicom"; transfer-syntax=*')
        stored = dcmread(io.BytesIO(file))
        accept = "multipart/related; type=application/octet-stream; transfer-syntax=*"
        frames = [
            viewer.parts(f"{instance}/frames/{number}", accept)[0] for number in (1, stored.get("NumberOfFrames", 1))
        ]
        pixels = stored.pixel_array.reshape(int(stored.get("NumberOfFrames", 1)), -1)
        if stored.BitsAllocated == 1:
            assert [sum(byte.bit_count() for byte in frame) for frame in frames] == [pixels[0].sum(), pixels[-1].sum()]
        else:
            assert frames == [pixels[0].tobytes(), pixels[-1].tobytes()]


def test_a_segmentation_comes_whole_and_names_series_that_are_here(viewer, skyra, series, metadata):
    """Of a series of segmentations it shows the last instance alone, and takes its first referenced series."""
    uids = {value(each, "0020000E") for each in series}
    found = [each for each in series if value(each, "00080060") == "SEG"]
    assert found
    for each in found:
        assert value(each, "00201209") == 1
        place = f"/studies/{skyra.uid}/series/{value(each, '0020000E')}"
        (model,) = metadata[value(each, "0020000E")]
        assert value(model, "00080016") in SEGMENTATIONS
        referenced = value(value(model, "00081115"), "0020000E")
        assert referenced in uids
        (file,) = viewer.parts(
            f"{place}/instances/{value(model, '00080018')}", 'multipart/related; type="application/dicom"'
        )
        assert dcmread(io.BytesIO(file)).ReferencedSeriesSequence[0].SeriesInstanceUID == referenced


def test_metadata_of_every_result_equal_those_of_orthanc(skyra, series, metadata, orthanc: Orthanc, reader: Orthanc):
    """The two have the same objects from the node itself; addresses of bulk data are of each server."""
    compared = set()
    for each in series:
        uid = value(each, "0020000E")
        path = f"/studies/{skyra.uid}/series/{uid}/metadata"
        has_it = [it for it in (orthanc, reader) if it.find("Series", SeriesInstanceUID=uid)]
        if not has_it:
            continue  # they get results, and have not the images
        here, there = (
            {value(model, "00080018"): model for model in models}
            for models in (metadata[uid], has_it[0].dicomweb(path))
        )
        assert here.keys() == there.keys()
        for instance, model in here.items():
            assert comparable(model) == comparable(there[instance])
        compared.add(value(each, "00080060"))
    assert compared == {"MR", "SEG", "SR", "OT", "DOC", "PR", "KO"}


def comparable(model: dict[str, Any]) -> Any:
    """A model in which numbers are floats, empty values are none, and bulk data have no address."""
    if isinstance(model, dict):
        if "vr" in model:
            kept = {key: comparable(it) for key, it in model.items() if key not in _OF_THE_SERVER}
            return {key: it for key, it in kept.items() if it not in ([], [None])}
        return {key: comparable(it) for key, it in model.items()}
    if isinstance(model, list):
        return [comparable(it) for it in model]
    return float(model) if isinstance(model, int | float) else model


def test_data_sets_of_metadata_are_read_by_pydicom(viewer, skyra):
    models = viewer.json(f"/studies/{skyra.uid}/metadata")
    handler = lambda _tag, _vr, _address: None  # noqa: E731
    one_of_each_series = {value(model, "0020000E"): model for model in models}
    read = [Dataset.from_json(model, handler) for model in one_of_each_series.values()]
    assert {each.StudyInstanceUID for each in read} == {skyra.uid}
    assert {each.SeriesInstanceUID for each in read} == set(one_of_each_series)

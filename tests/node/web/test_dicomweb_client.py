"""dicomweb-client runs every call of its interface against the node."""

from __future__ import annotations

import inspect
import io

import numpy as np
import pytest
import requests
from dicomweb_client import DICOMwebClient
from dicomweb_client.protocol import DICOMClient
from PIL import Image
from pydicom import Dataset, dcmread

from .conftest import COLUMNS, ROWS, an_image, running_web

STUDY, SERIES, INSTANCE = "1.2.3", "1.2.3.1", "1.2.3.1.1"
PIXELS = list(range(1, 1 + ROWS * COLUMNS))


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with running_web(tmp_path_factory.mktemp("web")) as web:
        web.receive(an_image(1, 1), an_image(2, 1), an_image(1, 2), an_image(1, 1, "1.2.4"))
        yield web.client


def uids(datasets, keyword):
    found = [each if isinstance(each, Dataset) else Dataset.from_json(each) for each in datasets]
    return [each[keyword].value for each in found]


def values(frame):
    return np.frombuffer(frame, "<u2").tolist()


def picture(data):
    return Image.open(io.BytesIO(data)).size


def search(client):
    assert sorted(uids(client.search_for_studies(), "StudyInstanceUID")) == ["1.2.3", "1.2.4"]
    assert uids(client.search_for_studies(limit=1, offset=1, fields=["StudyDescription"]), "StudyDescription")
    assert uids(client.search_for_studies(search_filters={"StudyInstanceUID": "1.2.4"}), "StudyInstanceUID")
    assert sorted(uids(client.search_for_series(STUDY), "SeriesInstanceUID")) == ["1.2.3.1", "1.2.3.2"]
    assert len(client.search_for_series(search_filters={"Modality": "MR"})) == 3
    assert len(client.search_for_instances(STUDY, SERIES)) == 2
    assert len(client.search_for_instances(STUDY)) == 3
    assert len(client.search_for_instances(fuzzymatching=False)) == 4
    assert client.search_for_studies(search_filters={"PatientID": "NOBODY"}) == []


def retrieve(client):
    for stored in (("application/dicom", "*"), "application/dicom", ("application/dicom", "1.2.840.10008.1.2.1")):
        assert len(client.retrieve_study(STUDY, media_types=(stored,))) == 3
    assert len(list(client.iter_study(STUDY))) == 3
    assert len(client.retrieve_series(STUDY, SERIES)) == 2
    assert len(list(client.iter_series(STUDY, SERIES))) == 2
    assert values(client.retrieve_instance(STUDY, SERIES, INSTANCE).PixelData) == PIXELS


def metadata(client):
    assert len(client.retrieve_study_metadata(STUDY)) == 3
    assert len(client.retrieve_series_metadata(STUDY, SERIES)) == 2
    model = client.retrieve_instance_metadata(STUDY, SERIES, INSTANCE)
    assert uids([model], "SOPInstanceUID") == [INSTANCE]
    return model


def frames_and_bulk_data(client):
    octets = (("application/octet-stream", "1.2.840.10008.1.2.1"),)
    for media_types in (None, octets, ("application/octet-stream",)):
        (frame,) = client.retrieve_instance_frames(STUDY, SERIES, INSTANCE, [1], media_types)
        assert values(frame) == PIXELS
    assert [values(it) for it in client.iter_instance_frames(STUDY, SERIES, INSTANCE, [1])] == [PIXELS]
    address = metadata(client)["7FE00010"]["BulkDataURI"]
    assert values(client.retrieve_bulkdata(address)[0]) == PIXELS
    assert values(client.retrieve_bulkdata(address, ("application/octet-stream",))[0]) == PIXELS
    assert [values(it) for it in client.iter_bulkdata(address)] == [PIXELS]


def rendered(client):
    for media_types in (None, ("image/png",), ("image/jpeg",)):
        shown = (
            client.retrieve_series_rendered(STUDY, SERIES, media_types),
            client.retrieve_instance_rendered(STUDY, SERIES, INSTANCE, media_types),
            client.retrieve_instance_frames_rendered(STUDY, SERIES, INSTANCE, [1], media_types),
        )
        assert {picture(each) for each in shown} == {(COLUMNS, ROWS)}
    view = {"window": "10,10,linear", "viewport": "12,8"}
    assert picture(client.retrieve_instance_rendered(STUDY, SERIES, INSTANCE, ("image/png",), view)) == (12, 8)


def store(client):
    told = client.store_instances([dcmread(io.BytesIO(an_image(1, 1, "1.2.9")))])
    assert uids(told.ReferencedSOPSequence, "ReferencedSOPInstanceUID") == ["1.2.9.1.1"]
    large = dcmread(io.BytesIO(an_image(2, 1, "1.2.9", PixelData=bytes(2_000_000))))
    told = client.store_instances([large], study_instance_uid="1.2.9")
    assert uids(told.ReferencedSOPSequence, "ReferencedSOPInstanceUID") == ["1.2.9.1.2"]
    assert len(client.retrieve_study("1.2.9")) == 2


def delete(client):
    """Nothing is deleted by DICOMweb, which has no such request."""
    for call in (
        lambda: client.delete_study(STUDY),
        lambda: client.delete_series(STUDY, SERIES),
        lambda: client.delete_instance(STUDY, SERIES, INSTANCE),
    ):
        with pytest.raises(requests.HTTPError, match="405"):
            call()
    assert len(client.retrieve_study(STUDY)) == 3


def lookup(client):
    assert client.lookup_keyword("00100020") == "PatientID"
    assert client.lookup_tag("PatientID") == "00100020"
    client.set_chunk_size(10**6)
    client.set_http_retry_params(retry=False)


CALLS = (search, retrieve, metadata, frames_and_bulk_data, rendered, store, delete, lookup)


@pytest.mark.parametrize("calls", CALLS, ids=lambda calls: calls.__name__)
def test_the_calls_of_the_client_are_answered(client, calls):
    calls(client)


def test_no_call_of_its_interface_is_left_out():
    made = "\n".join(inspect.getsource(calls) for calls in CALLS)
    public = {
        name
        for known in (DICOMwebClient, DICOMClient)
        for name, _ in inspect.getmembers(known, inspect.isroutine)
        if not name.startswith("_")
    }
    assert {name for name in public if f".{name}(" not in made} == set()

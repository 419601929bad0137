"""Results of another patient are neither found nor given, although their files are here."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from pydicom import dcmread

from storage import delivery_rows
from storage.header import read_header
from storage.ledger import Ledger
from storage.records import ResultRecord, Revocation

from .conftest import an_image

ALL = 'multipart/related; type="application/dicom"'


def test_a_withdrawn_result_is_neither_found_nor_given(start):
    web = start()
    web.receive(an_image(1, 1))
    made = an_image(1, 9, Modality="SEG")
    header = read_header(made)
    record = ResultRecord(
        header.study_instance_uid, 1, "mask", header.sop_class_uid, header.sop_instance_uid,
        header.series_instance_uid, web.files.store(made, header),
    )  # fmt: skip
    Ledger(web.engine).record([record], ["PACS"], datetime(2026, 1, 2, tzinfo=UTC))
    web.catch_up()
    place = "/studies/1.2.3/series/1.2.3.9"
    instance = f"{place}/instances/{header.sop_instance_uid}"
    paths = (place, f"{place}/metadata", instance, f"{instance}/frames/1", f"{instance}/rendered")
    assert [web.get(path).status_code for path in paths] == [200] * len(paths)
    assert dcmread(io.BytesIO(web.get(instance, "application/dicom").content)).Modality == "SEG"

    with web.engine.begin() as connection:
        revocation = Revocation(frozenset({header.sop_instance_uid}), "another patient")
        delivery_rows.revoke(connection, "1.2.3", revocation)
    assert [web.get(path).status_code for path in paths] == [404] * len(paths)
    assert [each["0020000E"]["Value"] for each in web.get("/studies/1.2.3/series").json()] == [["1.2.3.1"]]
    (study,) = web.get("/studies").json()
    assert (study["00080061"]["Value"], study["00201208"]["Value"]) == (["MR"], [1])
    assert len(web.get("/studies/1.2.3/metadata").json()) == 1
    assert web.get("/studies/1.2.3", ALL).content.count(b"DICM") == 1

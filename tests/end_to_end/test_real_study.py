"""A real pelvic study of another organ goes through the whole node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest

from node.results.kinds import kind_of
from node.settings import AnalysisSettings

from ..parts.dcmtk import Tool
from ..parts.node import ROOT, Node
from ..parts.orthanc import DICOMWEB, Orthanc
from ..parts.pixelmed import JAR, sr_errors
from ..parts.readers import READERS, faults_of_all
from .conftest import WITHOUT_TUMOUR, files_of, reader_of

STUDY = "siemens_TrioTim_ProstateX-0218"


def send(node: Node, folder: Path, storescu: Tool) -> dict[str, Any]:
    answer = storescu(folder, node.port)
    assert answer.returncode == 0, answer.stderr[-2000:]
    (study,) = node.status()["studies"]
    return node.wait_until_settled(study["study"]["study_instance_uid"])


@pytest.fixture(scope="module")
def line(shared_data: Path, make_node: Callable[..., Node], storescu: Tool, reader: Orthanc) -> dict[str, Any]:
    """The study's status when its results are at two destinations."""
    rules = (ROOT / "docs" / "site-rules" / "prostatex.toml").read_text("utf-8")
    node = make_node(more=f"{reader_of(reader)}\n{rules}", bundles=AnalysisSettings())
    return send(node, shared_data / STUDY, storescu)


def test_the_real_study_comes_back_with_nothing_outlined_and_what_was_set_aside_named(
    line: dict[str, Any], orthanc: Orthanc
) -> None:
    """No rectal tumour is known in this patient; the networks outline the prostate on T2WI and DWI, and the dynamic run
    has bright fat."""
    assert line["study"]["state"] == "COMPLETED", line
    used = {series["role"]: series for series in line["series"] if series["used"]}
    assert used["T2WI"]["series_number"] == 5
    assert used["DWI"]["series_number"] == 8
    assert [(it["role"], it["code"]) for it in line["refusals"]] == [("PVP", "E-FAT-BRIGHT")]
    assert {it["sequence"] for it in line["set_aside"]} == {"T2WI", "DWI"}
    assert all(it["volume_ml"] > 0 and it["place"] and it["code"].startswith("E-FINDING-") for it in line["set_aside"])
    assert line["locations"] == []
    series = orthanc.series(line["study"]["study_instance_uid"])
    assert len(series["MR"]) == 2
    assert len(series["SR"]) == 1
    assert "SEG" not in series


@pytest.mark.skipif(not (READERS and DICOMWEB.exists()), reason="dicom3tools, DCMTK or orthanc-dicomweb is missing")
def test_readers_and_validators_find_no_fault_in_any_kind_of_result(
    line: dict[str, Any], orthanc: Orthanc, reader: Orthanc, tmp_path: Path
) -> None:
    """Of a study in which nothing was outlined; `test_real_sources` has the kinds that show a tumour."""
    files = files_of(line["study"]["study_instance_uid"], tmp_path, orthanc, reader)
    headers = {path: pydicom.dcmread(path, stop_before_pixels=True) for path in files}
    assert {kind_of(header.SOPClassUID) for header in headers.values()} == WITHOUT_TUMOUR
    assert faults_of_all(files) == {}
    if JAR.exists():
        documents = [path for path in files if headers[path].Modality in ("SR", "KO")]
        assert sr_errors(documents) == {path: [] for path in documents}

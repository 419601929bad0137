"""A real pelvic study of another organ goes through the whole node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..parts.dcmtk import Tool
from ..parts.node import ROOT, Node
from ..parts.orthanc import Orthanc

STUDY = "siemens_TrioTim_ProstateX-0218"


def send(node: Node, folder: Path, storescu: Tool) -> dict[str, Any]:
    answer = storescu(folder, node.port)
    assert answer.returncode == 0, answer.stderr[-2000:]
    (study,) = node.status()["studies"]
    return node.wait_until_settled(study["study"]["study_instance_uid"])


def test_the_real_study_comes_back_with_nothing_outlined_and_what_was_set_aside_named(
    shared_data: Path, make_node: Callable[..., Node], storescu: Tool, orthanc: Orthanc
) -> None:
    """No rectal tumour is known in this patient; the networks outline the prostate on T2WI and DWI, and the dynamic run
    has bright fat."""
    node = make_node((ROOT / "docs" / "site-rules" / "prostatex.toml").read_text("utf-8"))
    line = send(node, shared_data / STUDY, storescu)
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

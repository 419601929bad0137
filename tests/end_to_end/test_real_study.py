"""A real pelvic study of another organ goes through the whole node, with and without the rule that its site needs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, Node, Orthanc

SEND = Callable[..., subprocess.CompletedProcess[str]]
STUDY = "siemens_TrioTim_ProstateX-0218"
ACCEPTED = '[recognition]\nbody_parts = ["PROSTATE"]\n'


def send(node: Node, folder: Path, storescu: SEND) -> dict[str, Any]:
    answer = storescu(folder, node.port)
    assert answer.returncode == 0, answer.stderr[-2000:]
    (study,) = node.status()["studies"]
    return node.wait_until_settled(study["study"]["study_instance_uid"])


@pytest.fixture(scope="module")
def with_rule(shared_data: Path, make_node: Callable[..., Node]) -> tuple[Node, Path]:
    rule = (ROOT / "docs" / "site-rules" / "prostatex.toml").read_text("utf-8")
    return make_node(rule), shared_data / STUDY


def test_with_its_site_rule_the_real_study_comes_back_whole(
    with_rule: tuple[Node, Path], storescu: SEND, orthanc: Orthanc
) -> None:
    node, folder = with_rule
    line = send(node, folder, storescu)
    assert line["study"]["state"] == "COMPLETED", line
    used = {series["role"]: series for series in line["series"] if series["used"]}
    assert used["T2WI"]["series_number"] == 5
    assert used["DWI"]["series_number"] == 8
    assert "71.2" in used["DCE"]["description"]
    series = orthanc.series(line["study"]["study_instance_uid"])
    assert len(series["MR"]) == 3
    assert len(series["SR"]) == 1


def test_without_a_site_rule_the_injection_is_measured_in_the_images_and_that_is_said(
    shared_data: Path, make_node: Callable[..., Node], storescu: SEND, orthanc: Orthanc
) -> None:
    node = make_node(ACCEPTED)
    line = send(node, shared_data / STUDY, storescu)
    assert line["study"]["state"] == "COMPLETED", line
    used = {series["role"]: series for series in line["series"] if series["used"]}
    assert "DCE" in used
    assert used["DCE"]["confidence"] != "high"
    assert any("measured in the images" in warning for warning in line["warnings"])
    series = orthanc.series(line["study"]["study_instance_uid"])
    assert len(series["SR"]) >= 1

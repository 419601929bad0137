"""The commands as a person at a terminal meets them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydicom
import pytest

from models.plausibility.records import PLACE, SetAside
from node.recognition.header.patients import identity
from node.recognition.plan import recognise
from node.recognition.record import to_json
from node.settings import RecognitionSettings
from storage.database import open_engine
from storage.files import ObjectStore
from storage.header import read_header
from storage.index import Index
from storage.records import StudyState


@pytest.fixture
def site(tmp_path: Path, written_by: Callable[[str], Any]) -> tuple[Path, str]:
    """A configuration whose storage holds a failed study, and that study's UID."""
    config = tmp_path / "config.toml"
    config.write_text('root = "data"\n')
    files, index = ObjectStore(tmp_path / "data"), Index(open_engine(f"sqlite:///{tmp_path}/data/index.sqlite"))
    for path in written_by("Siemens Skyra").paths[:3]:
        header = read_header(path)
        index.register(header, files.store(path.read_bytes(), header), "SKYRA", datetime.now(UTC))
    index.move(header.study_instance_uid, 1, StudyState.FAILED, "the disk was full")
    return config, header.study_instance_uid


def test_a_wrong_key_is_one_line_and_exit_code_1(command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[listener]\nprot = 1")
    answer = command("serve", "--config", str(tmp_path / "config.toml"))
    assert answer.returncode == 1
    assert answer.stderr.replace("\n", "").endswith("config.toml:2: listener.prot: unknown key")
    assert "Traceback" not in answer.stderr


def test_status_names_a_failed_study_with_its_reason(command: Callable[..., Any], site: tuple[Path, str]) -> None:
    config, uid = site
    report = json.loads(command("status", "--json", "--config", str(config)).stdout)
    (line,) = report["studies"]
    assert line["study"]["study_instance_uid"] == uid
    assert line["study"]["state"] == "FAILED"
    assert line["study"]["reason"] == "the disk was full"
    assert "the disk was full" in command("status", "--config", str(config)).stdout.replace("\n", " ")


def test_status_and_explain_name_what_was_set_aside(
    command: Callable[..., Any], site: tuple[Path, str], written_by: Callable[[str], Any]
) -> None:
    config, uid = site
    finding = SetAside("DWI", 8.21, "at the left gluteal region", PLACE, "no rectum lies there", (61.0, 70.0, -20.0))
    plan = recognise(uid, written_by("Siemens Skyra").paths[:3], RecognitionSettings())
    index = Index(open_engine(f"sqlite:///{config.parent}/data/index.sqlite"))
    index.keep_verdict(uid, 1, to_json(replace(plan, set_aside=(finding,))))
    (line,) = json.loads(command("status", "--json", "--config", str(config)).stdout)["studies"]
    assert line["set_aside"] == [dataclasses.asdict(finding) | {"position_mm": [61.0, 70.0, -20.0]}]
    for name in ("status", "explain"):
        said = " ".join(command(name, *([uid] if name == "explain" else []), "--config", str(config)).stdout.split())
        assert "DWI: 8.2 ml at the left gluteal region: not reported, no rectum lies there (E-FINDING-PLACE)" in said


def test_rerun_begins_the_next_revision(command: Callable[..., Any], site: tuple[Path, str]) -> None:
    config, uid = site
    assert "revision 2" in command("rerun", uid, "--config", str(config)).stdout
    again = command("rerun", uid, "--config", str(config))
    assert again.returncode == 1
    assert "only a study that has ended" in again.stderr.replace("\n", " ")


def test_send_says_which_receiver_does_not_answer(
    command: Callable[..., Any], site: tuple[Path, str], tmp_path: Path
) -> None:
    folder = next((tmp_path / "data" / "objects").iterdir())
    answer = command("send", str(folder), "--port", "9")
    assert answer.returncode == 1
    assert "0 of 3 stored" in answer.stdout


def test_simulate_lists_six_scanners(command: Callable[..., Any]) -> None:
    assert len(command("simulate", "unused", "--list").stdout.strip().splitlines()) == 6


def test_a_patient_whom_no_object_names_is_refused_in_one_line_and_one_that_is_named_is_kept(
    command: Callable[..., Any], site: tuple[Path, str], tmp_path: Path
) -> None:
    config, uid = site
    answer = command("rerun", uid, "--patient", "NOBODY-1", "--config", str(config))
    assert answer.returncode == 1
    assert "E-PATIENT-MIX: no object names the patient" in " ".join(answer.stderr.split())
    assert "Traceback" not in answer.stderr
    assert "NOBODY-1" not in answer.stderr
    known = pydicom.dcmread(next((tmp_path / "data" / "objects").rglob("*.dcm")))
    patient = ("--patient", f" {str(known.PatientID).lower()}", "--born", str(known.PatientBirthDate))
    assert "revision 2" in command("rerun", uid, *patient, "--config", str(config)).stdout
    index = Index(open_engine(f"sqlite:///{tmp_path}/data/index.sqlite"))
    assert index.meant_patient(uid) == identity(str(known.PatientID), "", str(known.PatientBirthDate))

"""`explain` and `replay` as a person at a terminal meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from node.recognition.plan import recognise
from node.recognition.record import RECORD_VERSION, from_json, to_json
from node.settings import RecognitionSettings
from storage.database import open_engine
from storage.files import ObjectStore
from storage.header import read_header
from storage.index import Index

from ..copies import copied

BUNDLES = Path(__file__).parents[3] / "models" / "weights"
CONFIG = f"""
root = "data"
[analysis]
super_resolution = "{BUNDLES}/super-resolution"
segmentation = "{BUNDLES}/segmentation"
prediction = "{BUNDLES}/prediction"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def stored(tmp_path: Path, config: Path, written_by: Callable[[str], Any]) -> str:
    """A study in the storage with its record, as the node leaves it; its UID."""
    files, index = ObjectStore(tmp_path / "data"), Index(open_engine(f"sqlite:///{tmp_path}/data/index.sqlite"))
    paths = written_by("Siemens Skyra").paths
    for path in paths:
        header = read_header(path)
        index.register(header, files.store(path.read_bytes(), header), "SKYRA", datetime.now(UTC))
    plan = recognise(header.study_instance_uid, paths, RecognitionSettings())
    index.keep_verdict(header.study_instance_uid, 1, to_json(plan))
    return header.study_instance_uid


def test_a_folder_that_never_entered_the_node_is_explained(
    command: Callable[..., Any], config: Path, written_by: Callable[[str], Any]
) -> None:
    folder = written_by("GE MR750").paths[0].parents[1]
    answer = command("explain", str(folder), "--config", str(config))
    assert answer.returncode == 0, answer.stderr
    text = answer.stdout
    assert "PVP   series" in text
    assert "time of injection: Contrast/Bolus Start Time (0018,1042)" in text
    assert "echo time          88 ms       wanted: 60 to 250 ms" in text
    assert "USED, confidence high" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_stored_study_is_explained_from_its_record(command: Callable[..., Any], config: Path, stored: str) -> None:
    answer = command("explain", stored, "--config", str(config), "--json")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["version"] == RECORD_VERSION
    assert from_json(answer.stdout).study_instance_uid == stored


def test_only_one_series_is_shown_when_its_number_is_given(
    command: Callable[..., Any], config: Path, stored: str
) -> None:
    plan = from_json(command("explain", stored, "--config", str(config), "--json").stdout)
    number = str(plan.verdicts[2].series_number)
    text = command("explain", stored, "--config", str(config), "--series", number).stdout
    assert text.count("\nSeries ") + text.startswith("Series ") == 1


def test_what_is_neither_file_nor_study_is_one_line(command: Callable[..., Any], config: Path) -> None:
    answer = command("explain", "1.2.3", "--config", str(config))
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    assert "1.2.3: neither a file, a folder nor a study" in answer.stderr


def test_replaying_with_the_same_rules_changes_nothing(command: Callable[..., Any], config: Path, stored: str) -> None:
    answer = command("replay", "--config", str(config))
    assert answer.returncode == 0, answer.stderr
    assert "0 of 1 studies would change" in answer.stdout


def test_replaying_shows_what_a_new_rule_would_change_and_changes_nothing(
    command: Callable[..., Any], config: Path, stored: str
) -> None:
    new = config.with_name("new.toml")
    new.write_text(CONFIG + "[recognition]\nb_value_range = [900, 1200]\n")
    answer = command("replay", stored, "--config", str(new))
    assert "DWI: series" in answer.stdout
    assert "-> E-BVAL-RANGE" in answer.stdout
    assert "1 of 1 studies would change" in answer.stdout
    assert "0 of 1 studies would change" in command("replay", "--config", str(config)).stdout


def test_a_rule_that_is_wrong_stops_the_command_with_its_line(
    command: Callable[..., Any], config: Path, stored: str
) -> None:
    config.write_text(CONFIG + "[[recognition.rules]]\nname = 'x'\nfinding = 'T9'\nwhen.spin_echo = true\n")
    for arguments in (("replay",), ("explain", str(config.parent)), ("check-config",)):
        answer = command(*arguments, "--config", str(config))
        assert answer.returncode == 1
        assert "config.toml:9: recognition.rules 'x': unknown finding" in answer.stderr.replace("\n", "")


def test_a_record_of_a_later_version_is_refused_in_words(
    command: Callable[..., Any], config: Path, stored: str, tmp_path: Path
) -> None:
    index = Index(open_engine(f"sqlite:///{tmp_path}/data/index.sqlite"))
    document = json.loads(index.verdict(stored)) | {"version": RECORD_VERSION + 1}
    index.keep_verdict(stored, 1, json.dumps(document))
    answer = command("explain", stored, "--config", str(config))
    assert answer.returncode == 1
    assert "update the node" in answer.stderr.replace("\n", " ")


def test_a_record_of_the_first_version_is_still_read(written_by: Callable[[str], Any]) -> None:
    paths = written_by("Siemens Skyra").paths
    plan = recognise(read_header(paths[0]).study_instance_uid, paths, RecognitionSettings())
    document = json.loads(to_json(plan))
    for added in ("version", "dynamic", "revealed"):
        del document[added]
    for verdict in document["verdicts"]:
        for added in ("near_misses", "confidence", "doubts", "volumes"):
            del verdict[added]
    for stack in document["stacks"]:
        del stack["acquisition"]
    assert from_json(json.dumps(document)).stacks[0].frames == plan.stacks[0].frames


def test_a_folder_of_two_patients_is_refused_with_the_series_that_disagree(
    command: Callable[..., Any], config: Path, written_by: Callable[[str], Any], tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    for number, instance in enumerate(written_by("Skyra").series("t2_tse")):
        image = copied(instance)
        image.PatientID = "SECOND" if "sag" in image.SeriesDescription else "FIRST"
        image.save_as(folder / f"{number}.dcm")
    answer = command("explain", str(folder), "--config", str(config))
    text = " ".join(answer.stdout.split())
    assert (
        "STUDY not analysed, E-PATIENT-MIX: series 2 names one patient, series 3 another (Patient ID differs)" in text
    )
    assert text.count("not used, E-PATIENT-MIX: the study names more than one patient") == 2
    assert not any(word in answer.stdout for word in ("FIRST", "SECOND", "T2WI series"))

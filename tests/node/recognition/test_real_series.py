"""Every series of the real scanner files against labels written by hand from their headers and pictures."""

from __future__ import annotations

import csv
import tomllib
from collections import defaultdict
from pathlib import Path

import pydicom
import pytest

from node.recognition.plan import recognise
from node.recognition.record import SeriesVerdict, StudyPlan
from node.settings import RecognitionSettings

LABELS = Path(__file__).with_name("labels.tsv")
SITE_RULES = Path(__file__).parents[3] / "docs" / "site-rules" / "prostatex.toml"
# Nearly no real file shows a pelvis, so that every body part among them is accepted here.
BODY_PARTS = ("ABDOMEN", "BRAIN", "BREAST", "CHEST", "EXTREMITY", "HEAD", "HEADNECK", "PROSTATE")

Key = tuple[str, str]


def site_rules() -> list[dict[str, object]]:
    return tomllib.loads(SITE_RULES.read_text("utf-8"))["recognition"]["site_rules"]


@pytest.fixture(scope="module")
def plans(shared_data: Path) -> dict[Key, tuple[StudyPlan, dict[str, str]]]:
    """Plan of each study, and the folders of its series, by first folder and Study Instance UID."""
    studies: dict[Key, list[Path]] = defaultdict(list)
    folders: dict[Key, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for path in sorted(shared_data.rglob("*")):
        try:
            tags = pydicom.dcmread(
                path, specific_tags=["StudyInstanceUID", "SeriesInstanceUID"], stop_before_pixels=True
            )
        except (OSError, pydicom.errors.InvalidDicomError):
            continue
        folder = str(path.parent.relative_to(shared_data))
        key = folder.split("/")[0], str(tags.get("StudyInstanceUID", ""))
        studies[key].append(path)
        folders[key][str(tags.get("SeriesInstanceUID", ""))].add(folder)
    settings = RecognitionSettings(body_parts=BODY_PARTS, site_rules=site_rules())
    return {
        key: (
            recognise(key[1], paths, settings),
            {uid: "+".join(sorted(names)) for uid, names in folders[key].items()},
        )
        for key, paths in studies.items()
    }


def _row(folder: str, verdict: SeriesVerdict) -> tuple[str, ...]:
    b_values = ",".join(f"{b_value:g}" for b_value in verdict.b_values)
    return (
        folder,
        verdict.series_instance_uid[-12:] or "-",
        str(verdict.instance_count),
        verdict.role or "-",
        "yes" if verdict.used else "no",
        verdict.plane or "-",
        b_values or "-",
    )


def test_every_series_is_what_its_label_says_or_not_used_for_the_reason_that_it_gives(plans):
    with LABELS.open(encoding="utf-8") as file:
        labels = {(row["folder"], row["series"]): row for row in csv.DictReader(file, delimiter="\t")}
    wrong = []
    for plan, folders in plans.values():
        for verdict in plan.verdicts:
            row = _row(folders[verdict.series_instance_uid], verdict)
            label = labels.pop(row[:2], {})
            words = label.pop("finding", "?"), label.pop("reason", "?")
            if tuple(label.values()) != row or not all(word in verdict.reason for word in words):
                wrong.append((row, verdict.reason))
    assert wrong == []
    assert labels == {}


def test_a_verdict_holds_the_conditions_that_led_to_it(plans):
    for plan, _ in plans.values():
        for verdict in plan.verdicts:
            assert all(evidence.held for evidence in verdict.evidence)
            assert bool(verdict.rule) == bool(verdict.evidence)

"""A person sees what would be removed, puts studies under hold, and has removed what the rules say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..old_studies import OldStudies

CONFIG = """
root = "."
[[remotes]]
name = "PACS"
ae_title = "PACS"
host = "h"
port = 1
receives_results = true
[retention]
enabled = {enabled}
[[retention.rules]]
name = "after a month"
older_than_days = 30
"""


@pytest.fixture
def root(tmp_path: Path) -> OldStudies:
    (tmp_path / "config.toml").write_text(CONFIG.format(enabled="true"))
    return OldStudies(tmp_path)


@pytest.fixture
def node(command, tmp_path: Path):
    """A command on that root, and what it answers in JSON; without that, its text."""

    def ended(*arguments: str, as_json: bool = True):
        done = command(*arguments, "--config", str(tmp_path / "config.toml"), *(["--json"] if as_json else []))
        return json.loads(done.stdout) if as_json and not done.returncode else f"{done.stdout}{done.stderr}"

    return ended


def test_a_dry_run_lists_what_would_go_and_what_stays_and_why_and_changes_nothing(root, node):
    root.ended("1.2.3")
    root.ended("1.2.4", sent=False)
    plan = node("retention", "--dry-run")
    size = sum(path.stat().st_size for path in (root.root / "objects" / "1.2.3").rglob("*.dcm"))
    (going,), (kept,) = plan["going"], plan["kept"]
    assert (going["study_instance_uid"], going["rule"], going["objects"], going["size"]) == (
        *("1.2.3", "after a month", 4),
        size,
    )
    assert (kept["study_instance_uid"], kept["kept"]) == ("1.2.4", ["results of it are not delivered"])
    assert (plan["going_count"], plan["going_size"], plan["kept_count"]) == (1, size, 1)
    assert root.index.study("1.2.3") is not None
    text = " ".join(node("retention", "--dry-run", as_json=False).split())
    assert "Would go: 1 studies" in text
    assert "1: results of it are not delivered" in text


def test_what_was_removed_is_told_and_stays_on_record(root, node):
    root.ended("1.2.3")
    (removed,) = node("retention")["removals"]
    assert (removed["study_instance_uid"], removed["objects"]) == ("1.2.3", 4)
    assert [it["rule"] for it in node("retention", "--removed")["removals"]] == ["after a month"]
    assert node("retention")["removals"] == []


def test_nothing_is_removed_by_hand_where_retention_is_off(root, node, tmp_path: Path):
    root.ended("1.2.3")
    (tmp_path / "config.toml").write_text(CONFIG.format(enabled="false"))
    assert "retention.enabled is false" in node("retention")
    assert root.index.study("1.2.3") is not None


def test_a_study_is_put_under_hold_and_released_with_who_and_why_which_status_shows(root, node):
    root.ended("1.2.3")
    held = node("hold", "1.2.3", "--reason", "court order", "--by", "Dr. Ada")
    assert (held["held_by"], held["reason"]) == ("Dr. Ada", "court order")
    assert node("status")["studies"][0]["hold"]["reason"] == "court order"
    assert "by Dr. Ada: court order" in node("status", as_json=False)
    assert node("retention")["removals"] == []
    released = node("release-hold", "1.2.3", "--reason", "closed", "--by", "Dr. Bob")
    assert (released["held_by"], released["released_by"], released["released_because"]) == (
        *("Dr. Ada", "Dr. Bob"),
        "closed",
    )
    assert node("status")["studies"][0]["hold"] is None
    assert len(node("retention")["removals"]) == 1


def test_a_hold_needs_a_study_that_is_here_and_a_reason(root, node):
    root.ended("1.2.3")
    assert "study 9.9 is not known" in node("hold", "9.9", "--reason", "court order")
    assert "say why" in node("hold", "1.2.3", "--reason", " ")
    assert "is under no hold" in node("release-hold", "1.2.3", "--reason", "closed")


def test_status_says_that_the_images_of_a_study_were_removed(root, node, tmp_path: Path):
    root.ended("1.2.3")
    text = (tmp_path / "config.toml").read_text()
    (tmp_path / "config.toml").write_text(text + 'remove = "images"\n')
    node("retention")
    assert "its images were removed by 'after a month'" in node("status", as_json=False)


def test_a_patient_is_erased_only_with_yes_and_by_somebody_for_a_reason(root, node):
    root.ended("1.2.3", PatientID="P1")
    assert node("erase", "--patient-id", "P1")["done"] is False
    assert "would be erased (--yes does it): 1 studies" in node("erase", "--patient-id", "P1", as_json=False)
    assert root.index.study("1.2.3") is not None
    assert "say why the patient is erased" in node("erase", "--patient-id", "P1", "--yes")
    erased = node("erase", "--patient-id", "P1", "--yes", "--reason", "order 17", "--by", "Dr. Ada")
    assert (erased["done"], erased["number"]) == (True, 1)
    assert root.index.study("1.2.3") is None
    assert "erasure 1 of the same patient, by Dr. Ada, ended" in node("erase", "--patient-id", "p1", as_json=False)
    assert node("retention", "--removed")["removals"][0]["study_instance_uid"] == ""

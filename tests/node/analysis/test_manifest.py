"""Steps hand on what an analysis made by reference."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from node.analysis.manifest import read_manifest, write_manifest
from node.errors import PermanentError
from storage.records import ResultRecord, StoredFile


def results(count: int) -> list[ResultRecord]:
    """Objects of a super-resolved series."""
    return [
        ResultRecord("1.2.3", 1, "T2WI.super", "1.2", f"1.2.9.{n}", "1.2.9", StoredFile(Path(f"{n}.dcm"), "a" * 64, n))
        for n in range(count)
    ]


def test_what_was_written_is_read(tmp_path):
    assert read_manifest(tmp_path / "work", write_manifest(tmp_path / "work", results(3))) == results(3)


def test_a_reference_does_not_grow_with_the_number_of_objects(tmp_path):
    few, many = (pickle.dumps(write_manifest(tmp_path / str(count), results(count))) for count in (1, 1000))
    assert len(few) == len(many) < 200


def test_a_repeated_step_gives_the_same_reference(tmp_path):
    assert write_manifest(tmp_path, results(3)) == write_manifest(tmp_path, results(3))


def test_a_manifest_that_was_changed_is_refused(tmp_path):
    reference = write_manifest(tmp_path, results(3))
    write_manifest(tmp_path, results(2))
    with pytest.raises(PermanentError, match="rerun the study"):
        read_manifest(tmp_path, reference)

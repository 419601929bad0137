"""The same seed gives the same bytes; another seed or scanner gives another study."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydicom import dcmread

from models.research.phantom.scanners import load_scanners
from node.simulator import write_study
from node.simulator.session import open_session


def _digests(paths: tuple[Path, ...], folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_the_same_study_is_written_byte_for_byte_the_same(written, tmp_path):
    root = written.paths[0].parents[1]
    assert _digests(write_study(written.study, tmp_path), tmp_path) == _digests(written.paths, root)


def test_another_seed_is_another_patient_and_study(make_study, tmp_path):
    scanner = load_scanners()[0]
    first, second = (dcmread(write_study(make_study(scanner, seed), tmp_path / str(seed))[0]) for seed in (1, 2))
    assert first.StudyInstanceUID != second.StudyInstanceUID
    assert first.PatientID != second.PatientID


def test_the_same_seed_on_six_scanners_is_six_studies(written_by):
    uids = {written_by(scanner.name).instances[0].StudyInstanceUID for scanner in load_scanners()}
    assert len(uids) == 6


def test_uids_of_different_parts_differ_also_where_their_digits_run_together():
    session = open_session(7, "UIH", "uMR 770")
    assert session.uid("instance", 11, 11) != session.uid("instance", 111, 1)

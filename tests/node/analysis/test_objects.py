"""Encoded objects become files of the object store, many at a time."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from node.analysis.objects import keep, renewed
from node.analysis.study import Study
from node.results.encoded import EncodedObject
from storage.files import ObjectStore


@pytest.fixture
def encoded(tmp_path: Path) -> list[EncodedObject]:
    """Fifty objects as the encoders leave them."""
    found = []
    for number in range(50):
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.SOPClassUID, made.SOPInstanceUID = MRImageStorage, f"1.2.3.4.{number}"
        path = tmp_path / f"{number}.dcm"
        made.save_as(path, enforce_file_format=True)
        found.append(EncodedObject("super-resolved-t2wi", path, MRImageStorage, f"1.2.3.4.{number}", "1.2.3.4"))
    return found


def test_they_are_kept_in_the_order_in_which_they_leave_with_the_bytes_that_they_had(encoded, tmp_path):
    files, before = ObjectStore(tmp_path / "root"), [made.path.read_bytes() for made in encoded]
    kept = keep(files, Study("1.2.3", 2, {}, tmp_path), encoded)
    assert [record.sop_instance_uid for record in kept] == [made.sop_instance_uid for made in encoded]
    assert [files.absolute(record.file).read_bytes() for record in kept] == before


def test_where_one_cannot_be_kept_the_step_fails_and_its_repetition_keeps_all(encoded, tmp_path):
    files, study = ObjectStore(tmp_path / "root"), Study("1.2.3", 2, {}, tmp_path)
    contents = [made.path.read_bytes() for made in encoded]
    encoded[20].path.unlink()
    with pytest.raises(FileNotFoundError):
        keep(files, study, encoded)
    for made, content in zip(encoded, contents, strict=True):
        made.path.write_bytes(content)
    assert [files.absolute(record.file).read_bytes() for record in keep(files, study, encoded)] == contents


def test_those_of_an_analysis_that_was_put_off_for_long_are_as_if_kept_now_or_known_as_removed(encoded, tmp_path):
    """Files without rows are removed after a time of grace."""
    files = ObjectStore(tmp_path / "root")
    kept = keep(files, Study("1.2.3", 2, {}, tmp_path), encoded)
    paths = [files.absolute(record.file) for record in kept]
    for path in paths:
        os.utime(path, (0, 0))
    assert renewed(files, kept)
    assert all(time.time() - path.stat().st_mtime < 60 for path in paths)
    paths[20].unlink()
    assert not renewed(files, kept)

"""Volumes that a step leaves to the next: whole or not at all, and what the disk said where it refused."""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from models.volume_files import keep, kept


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    mounted = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if subprocess.run(mounted, capture_output=True, check=False).returncode:
        pytest.skip("only who may mount a file system can fill one")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def image(size: int) -> sitk.Image:
    return sitk.GetImageFromArray(np.random.default_rng(1).random((size, 100, 100)).astype(np.float32))


def test_a_volume_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    keep(image(3), tmp_path / "a.nrrd")
    assert (sitk.GetArrayFromImage(kept(tmp_path / "a.nrrd")) == sitk.GetArrayFromImage(image(3))).all()
    assert [path.name for path in tmp_path.iterdir()] == ["a.nrrd"]


@pytest.mark.parametrize("size", [25, 26, 100])
def test_a_disk_that_is_full_is_told_by_the_operating_system_and_nothing_is_left(disk: Path, size: int) -> None:
    """SimpleITK says RuntimeError where it notices: not of what it leaves to the system to write."""
    keep(image(2), disk / "a.nrrd")
    before = shutil.disk_usage(disk).free
    with pytest.raises(OSError, match="No space left") as refused:
        keep(image(size), disk / "b.nrrd")
    assert refused.value.errno == errno.ENOSPC
    assert [path.name for path in disk.iterdir()] == ["a.nrrd"]
    assert shutil.disk_usage(disk).free == before


def test_a_volume_that_is_not_there_is_an_error_of_the_operating_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        kept(tmp_path / "a.nrrd")


def test_a_file_that_is_no_volume_is_none_of_the_operating_system(tmp_path: Path) -> None:
    (tmp_path / "a.nrrd").write_bytes(b"NRRD0004\n")
    with pytest.raises(RuntimeError):
        kept(tmp_path / "a.nrrd")

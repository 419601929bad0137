"""Segmentations as dcmqi reads them, on double-oblique stacks as dcm2niix reads them: voxel by voxel in the patient."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from .conftest import GRIDS

BINARIES = Path(sys.executable).parent
#: Between the 300 of the body and the 700 of the tumour of the phantom; the noise has a standard deviation of 20.
THRESHOLD = 500
ACQUIRED = {"T2WI": "segmentation-t2wi", "DWI": "segmentation-dwi", "PVP": "segmentation-pvp"}
FINE = "segmentation-super-resolved-t2wi"


def run(*command: object) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Error" not in done.stdout + done.stderr


def read_by_dcmqi(path: Path, folder: Path) -> sitk.Image:
    run(BINARIES / "segimage2itkimage", "--inputDICOM", path, "--outputDirectory", folder, "-t", "nrrd", "-p", "mask")
    (found,) = folder.glob("mask*.nrrd")
    return sitk.ReadImage(found)


def read_by_dcm2niix(paths: list[Path], folder: Path) -> sitk.Image:
    series = folder / "series"
    series.mkdir()
    for path in paths:
        shutil.copy(path, series)
    run(BINARIES / "dcm2niix", "-b", "n", "-f", "image", "-o", folder, series)
    (found,) = folder.glob("image*.nii")
    return sitk.ReadImage(found)


def points_of(mask: sitk.Image) -> np.ndarray:
    """Patient coordinates of the voxels inside, in mm."""
    k, j, i = np.nonzero(sitk.GetArrayViewFromImage(mask))
    index = np.stack([i, j, k], -1) * np.array(mask.GetSpacing())
    return index @ np.reshape(mask.GetDirection(), (3, 3)).T + np.array(mask.GetOrigin())


def indices_in(image: sitk.Image, points: np.ndarray) -> np.ndarray:
    """Continuous indices (i, j, k) of points in an image."""
    direction = np.reshape(image.GetDirection(), (3, 3))
    return np.linalg.solve(direction, (points - np.array(image.GetOrigin())).T).T / np.array(image.GetSpacing())


def mask_in(image: sitk.Image, points: np.ndarray) -> np.ndarray:
    """The voxels of an image at whose centres the points lie, within a twentieth of a voxel."""
    continuous = indices_in(image, points)
    nearest = np.rint(continuous).astype(int)
    np.testing.assert_allclose(continuous, nearest, atol=0.05)
    mask = np.zeros(image.GetSize()[::-1], bool)
    mask[nearest[:, 2], nearest[:, 1], nearest[:, 0]] = True
    assert mask.sum() == len(points) > 50
    return mask


@pytest.fixture(scope="module", params=["siemens", "philips"])
def study(request, make_encoded):
    """A complete study of double-oblique stacks, the second with a rescale slope that is not 1."""
    return make_encoded(request.param)


def path_of(study, role: str) -> Path:
    return next(made.path for made in study.objects if made.role == role)


def test_the_stacks_are_double_oblique(study):
    for stack in study.results.plan.stacks:
        assert np.count_nonzero(np.abs(stack.normal) > 0.05) == 3


@pytest.mark.parametrize("sequence", ACQUIRED)
def test_dcmqi_finds_the_mask_on_exactly_the_bright_voxels_of_dcm2niix(study, sequence, tmp_path):
    stack = next(it.stack for it in study.results.sequences if it.sequence == sequence)
    image = read_by_dcm2niix([frame.path for frame in stack.frames], tmp_path)
    assert image.GetSize() == GRIDS[sequence][0]
    points = points_of(read_by_dcmqi(path_of(study, ACQUIRED[sequence]), tmp_path))
    bright = sitk.GetArrayFromImage(image) > THRESHOLD
    assert np.array_equal(mask_in(image, points), bright)


def test_dcmqi_finds_the_fine_mask_on_voxels_of_the_derived_series_of_dcm2niix(study, tmp_path):
    derived = [made.path for made in study.objects if made.role == "super-resolved-t2wi"]
    image = read_by_dcm2niix(derived, tmp_path)
    points = points_of(read_by_dcmqi(path_of(study, FINE), tmp_path))
    result = next(it for it in study.results.sequences if it.sequence == "T2WI")
    wanted = mask_in(image, points_of(result.mask_super))
    assert np.array_equal(mask_in(image, points), wanted)
    values = sitk.GetArrayFromImage(image)
    assert values[wanted].mean() > THRESHOLD > values[~wanted].mean()

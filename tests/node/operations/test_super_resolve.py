"""`rectal-node super-resolve` on a volume file and on a DICOM series, oblique as the scanner wrote it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch

from models.manifest import Manifest
from models.research.training.bundles import save_weights
from models.super_resolution.network import build_generator
from models.volume import divided, grid_of
from models.volume_files import read, write
from node.errors import NodeError
from node.operations.super_resolve import SuperResolved, run
from node.settings import Settings, load_settings

FACTOR = (2, 2, 4)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A configuration with a small untrained bundle that refines along all axes."""
    manifest = Manifest(
        name="tiny", version="0", kind="super-resolution", input_sequences=("T2WI",),
        architecture={"features": 4, "blocks": 1}, factor=FACTOR, training_data="none", seed=1, command="none",
    )  # fmt: skip
    torch.manual_seed(0)
    save_weights(tmp_path / "bundle", manifest, build_generator(manifest))
    config = tmp_path / "config.toml"
    config.write_text(f"[analysis]\nsuper_resolution = {json.dumps(str(tmp_path / 'bundle'))}\n")
    return load_settings(config)


@pytest.fixture
def series(tmp_path: Path, written_by: Callable[[str], Any]) -> Path:
    """The axial T2 series of a study, its files in a folder."""
    folder = tmp_path / "series"
    folder.mkdir()
    for path in written_by("Siemens Skyra").paths:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        if "t2" in header.SeriesDescription.lower() and "tra" in header.SeriesDescription.lower():
            shutil.copy(path, folder / path.name)
    return folder


def _header(folder: Path) -> list[pydicom.Dataset]:
    headers = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    normal = np.cross(headers[0].ImageOrientationPatient[:3], headers[0].ImageOrientationPatient[3:])
    return sorted(headers, key=lambda it: float(np.dot(it.ImagePositionPatient, normal)))


def _outer_corners(headers: list[pydicom.Dataset], step: float) -> tuple[np.ndarray, np.ndarray]:
    """Outer corner of the first and of the last voxel, mm."""
    one, last = headers[0], headers[-1]
    along, down = (np.array(one.ImageOrientationPatient[i : i + 3], float) for i in (0, 3))
    rows, columns = (float(value) for value in one.PixelSpacing)
    half = (along * columns + down * rows + np.cross(along, down) * step) / 2
    size = along * columns * (one.Columns - 1) + down * rows * (one.Rows - 1)
    return np.array(one.ImagePositionPatient, float) - half, np.array(last.ImagePositionPatient, float) + size + half


def test_a_series_becomes_a_finer_mr_series_over_the_same_extent(
    series: Path, settings: Settings, tmp_path: Path
) -> None:
    run(series, tmp_path / "out", settings, "MR", "T2WI", denoise=True)
    before, after = _header(series), _header(tmp_path / "out")
    assert len(after) == len(before) * FACTOR[2]
    assert (after[0].Columns, after[0].Rows) == (before[0].Columns * 2, before[0].Rows * 2)
    assert after[0].FrameOfReferenceUID == before[0].FrameOfReferenceUID
    assert np.allclose(after[0].ImageOrientationPatient, before[0].ImageOrientationPatient, atol=1e-6)
    step = float(np.linalg.norm(np.subtract(before[1].ImagePositionPatient, before[0].ImagePositionPatient)))
    assert after[0].SpacingBetweenSlices == pytest.approx(step / 4, abs=1e-4)
    for wanted, found in zip(_outer_corners(before, step), _outer_corners(after, step / 4), strict=True):
        assert np.allclose(wanted, found, atol=1e-3)
    assert {it.SeriesInstanceUID for it in after} != {it.SeriesInstanceUID for it in before}
    assert np.mean([it.pixel_array.mean() for it in after]) == pytest.approx(
        np.mean([it.pixel_array.mean() for it in before]), rel=0.02
    )


def test_the_same_series_gives_the_same_bytes(series: Path, settings: Settings, tmp_path: Path) -> None:
    for name in ("one", "two"):
        run(series, tmp_path / name, settings, "MR", "T2WI", denoise=True)
    files = sorted((tmp_path / "one").iterdir())
    assert len(files) > 1
    assert all(file.read_bytes() == (tmp_path / "two" / file.name).read_bytes() for file in files)


def test_a_series_becomes_a_volume_file_where_the_target_is_one(
    series: Path, settings: Settings, tmp_path: Path
) -> None:
    said = run(series, tmp_path / "out.nii.gz", settings, "MR", "T2WI", denoise=False)
    made = read(tmp_path / "out.nii.gz")
    assert said == SuperResolved(tmp_path / "out.nii.gz")
    assert made.GetDepth() == 4 * len(list(series.iterdir()))


def test_a_volume_file_keeps_its_place(settings: Settings, tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.random.default_rng(0).random((5, 12, 11)).astype(np.float32))
    image.SetSpacing((0.5, 0.5, 5.0))
    image.SetOrigin((3.0, -4.0, 5.0))
    write(image, tmp_path / "in.nii.gz")
    run(tmp_path / "in.nii.gz", tmp_path / "out.nrrd", settings, "CT", "T2WI", denoise=True)
    wanted, made = divided(grid_of(image), FACTOR), grid_of(read(tmp_path / "out.nrrd"))
    assert made.size == wanted.size
    assert np.allclose(made.origin, wanted.origin, atol=1e-5)


def test_several_series_in_a_folder_are_refused(
    written_by: Callable[[str], Any], settings: Settings, tmp_path: Path
) -> None:
    folder = written_by("Siemens Skyra").paths[0].parent
    with pytest.raises(NodeError, match="one volume is needed"):
        run(folder, tmp_path / "out", settings, "MR", "T2WI", denoise=True)


def test_an_unknown_modality_is_refused(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="'PET' is none of MR, CT, US"):
        run(tmp_path / "in.nii.gz", tmp_path / "out.nii.gz", settings, "PET", "T2WI", denoise=True)


def test_a_folder_of_two_patients_is_refused(series: Path, settings: Settings, tmp_path: Path) -> None:
    path = next(series.iterdir())
    image = pydicom.dcmread(path)
    image.PatientID = "SOMEBODY-ELSE"
    image.save_as(path)
    with pytest.raises(NodeError, match="E-PATIENT-MIX: the images name more than one patient"):
        run(series, tmp_path / "out", settings, "MR", "T2WI", True)

"""The Enhanced MR image of a refined volume: other readers find the same voxels at the same place."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
import SimpleITK as sitk

from .test_encoded_objects import errors_of, needs_dciodvfy

ROLES = [("t2wi", 0), ("dwi", 1), ("pvp", 2)]


def path_of(encoded, sequence: str) -> Path:
    (entry,) = [it for it in encoded.objects if it.role == f"super-resolved-enhanced-{sequence}"]
    return entry.path


@pytest.mark.parametrize(("sequence", "index"), ROLES)
def test_simpleitk_reads_the_volume_at_its_place(additional, sequence, index):
    wanted = additional.results.sequences[index].super_resolved
    found = sitk.ReadImage(path_of(additional, sequence))
    assert found.GetSize() == wanted.GetSize()
    for corner in ((0, 0, 0), tuple(size - 1 for size in wanted.GetSize())):
        np.testing.assert_allclose(
            found.TransformIndexToPhysicalPoint(corner), wanted.TransformIndexToPhysicalPoint(corner), atol=0.01
        )
    values, real = (sitk.GetArrayViewFromImage(image).astype(float) for image in (found, wanted))
    np.testing.assert_allclose(values, real, atol=max(0.51, 0.51 * real.max() / 4095))


def test_dcm2niix_reads_it_as_one_volume_of_the_same_geometry(additional, tmp_path):
    wanted = additional.results.sequences[0].super_resolved
    program = Path(sys.executable).with_name("dcm2niix")
    source = tmp_path / "in"
    source.mkdir()
    (source / "image.dcm").write_bytes(path_of(additional, "t2wi").read_bytes())
    done = subprocess.run(
        [program, "-f", "t2wi", "-o", tmp_path, source], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout
    (written,) = tmp_path.glob("*.nii")
    assert json.loads((tmp_path / "t2wi.json").read_text())["Modality"] == "MR"
    found = sitk.ReadImage(written)
    assert found.GetSize() == wanted.GetSize()
    ends = [
        np.array(image.TransformContinuousIndexToPhysicalPoint([(size - 1) / 2 for size in image.GetSize()]))
        for image in (found, wanted)
    ]
    np.testing.assert_allclose(*ends, atol=0.05)
    np.testing.assert_allclose(found.GetSpacing(), wanted.GetSpacing(), atol=1e-3)


@needs_dciodvfy
@pytest.mark.parametrize(("sequence", "index"), ROLES)
def test_dciodvfy_finds_no_error(additional, sequence, index):
    assert errors_of(path_of(additional, sequence)) == []


def test_functional_groups_say_what_is_shared_and_where_each_frame_lies(additional):
    image = hd.imread(path_of(additional, "t2wi"))
    assert image.get_volume_geometry() is not None
    (shared,) = image.SharedFunctionalGroupsSequence
    (derivation,) = shared.DerivationImageSequence
    stack = additional.results.sequences[0].stack
    named = [it.ReferencedSOPInstanceUID for it in derivation.SourceImageSequence]
    assert named == [frame.sop_instance_uid for frame in stack.frames]
    numbers = [tuple(it.FrameContentSequence[0].DimensionIndexValues) for it in image.PerFrameFunctionalGroupsSequence]
    assert numbers == [(1, number) for number in range(1, image.NumberOfFrames + 1)]
    assert image.DimensionOrganizationType == "3D"
    assert "Not for diagnosis" in derivation.DerivationDescription

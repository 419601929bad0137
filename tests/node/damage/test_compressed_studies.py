"""A study of Enhanced MR images that were compressed with loss is analysed to the end, and every result says so."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import JPEG2000, EnhancedMRImageStorage

from node.analysis.steps import read_plan

from ..encoded_images import ENCODINGS, encode

(LOSSY,) = (encoding for encoding in ENCODINGS if encoding.uid == JPEG2000)


@pytest.fixture(scope="module")
def study(tiny_files, tiny_models, analysed, tmp_path_factory) -> tuple[Any, list[Dataset]]:
    """What became of a Skyra's study, each volume of which is one image, in JPEG 2000; and its results."""
    folder = tmp_path_factory.mktemp("compressed")
    paths = []
    for path in (path for of_kind in tiny_files("Skyra, multi-frame").values() for path in of_kind):
        image = encode(dcmread(path), LOSSY)
        assert image.SOPClassUID == EnhancedMRImageStorage
        paths.append(folder / path.name)
        image.save_as(paths[-1])
    (found,) = analysed(paths, folder, tiny_models, measured=True)
    return found, [dcmread(each.path) for each in found.objects]


def test_it_is_analysed_to_the_end(study) -> None:
    found, results = study
    assert found.refusal == ""
    assert {result.Modality for result in results} >= {"MR", "SEG", "SR"}


def test_a_reader_is_warned(study) -> None:
    found, _ = study
    warned = [warning for warning in read_plan(found.study).warnings if "lossy" in warning]
    assert [warning.partition(":")[0] for warning in warned] == ["T2WI", "DWI", "PVP"]
    assert all("(ISO_15444_1)" in warning for warning in warned)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools are not installed")
def test_dciodvfy_finds_no_error(study) -> None:
    found, _ = study
    of_each_role = {each.role: each.path for each in found.objects}
    assert len(of_each_role) > 8
    for role, path in of_each_role.items():
        ended = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
        lines = (ended.stderr + ended.stdout).splitlines()
        assert [line for line in lines if line.startswith("Error")] == [], role


def test_every_image_that_was_made_says_that_its_source_had_lost_something(study) -> None:
    images = [result for result in study[1] if result.Modality in ("MR", "SEG")]
    assert images
    for image in images:
        assert (image.LossyImageCompression, image.LossyImageCompressionMethod) == ("01", "ISO_15444_1")
        assert float(image.LossyImageCompressionRatio) > 1

"""Sheets as Siemens and UIH scanners write them: pixels row by row, the vendor's own words on how many and where."""

from __future__ import annotations

import subprocess
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from models.research.phantom.scanners import find_scanner
from node.errors import PermanentError
from node.simulator import write_study
from node.simulator.sheets import mosaic, vframe


@pytest.fixture
def tiled(written_by):
    """The DWI sheets of a scanner, in the order of their numbers."""

    def sheets(scanner: str, token: str) -> list[Dataset]:
        return [each for each in written_by(scanner, sheets=True).instances if token in each.ImageType]

    return sheets


@pytest.mark.parametrize(("scanner", "token"), [("Skyra", "MOSAIC"), ("uMR 560", "VFRAME")])
def test_each_diffusion_weighted_volume_is_one_instance_and_nothing_else_is_tiled(written_by, tiled, scanner, token):
    one_by_one, sheets = (written_by(scanner, sheets=flag).instances for flag in (False, True))
    assert len(tiled(scanner, token)) == 2
    assert len(one_by_one) - len(sheets) == 2 * 10 - 2
    assert len({each.SOPInstanceUID for each in sheets}) == len(sheets)


def test_ten_slices_fill_a_square_of_16_tiles_on_a_mosaic_and_12_tiles_on_a_vframe(tiled):
    assert {(each.Rows, each.Columns) for each in tiled("Skyra", "MOSAIC")} == {(4 * 48, 4 * 48)}
    assert {(each.Rows, each.Columns) for each in tiled("uMR 560", "VFRAME")} == {(3 * 48, 4 * 48)}


@pytest.mark.parametrize(("scanner", "token", "rows"), [("Skyra", "MOSAIC", 4), ("uMR 560", "VFRAME", 3)])
def test_slices_stand_row_by_row_and_empty_tiles_at_the_end(written_by, tiled, scanner, token, rows):
    first = next(series for series in written_by(scanner).study.series if series.kind == "DWI").image
    pixels = tiled(scanner, token)[0].pixel_array.reshape(rows, 48, 4, 48)
    for index in range(10):
        x, y = 7, 31
        assert pixels[index // 4, y, index % 4, x] == pytest.approx(first.GetPixel(x, y, index), abs=0.51)
    assert not pixels[2, :, 2:].any()


def test_a_mosaic_says_how_many_slices_in_two_places_and_their_direction_in_the_csa_header(tiled):
    for sheet in tiled("Skyra", "MOSAIC"):
        assert sheet.private_block(0x0019, "SIEMENS MR HEADER")[0x0A].value == 10
        coded = sheet.private_block(0x0029, "SIEMENS CSA HEADER")[0x10].value
        for name in (b"NumberOfImagesInMosaic", b"SliceNormalVector", b"B_value"):
            assert name in coded


def test_the_position_of_a_mosaic_is_that_of_a_slice_as_large_as_the_sheet(written_by, tiled):
    single = written_by("Skyra").series("TRACEW")[0]
    sheet = tiled("Skyra", "MOSAIC")[0]
    orientation = np.array(sheet.ImageOrientationPatient, dtype=float)
    spacing = float(sheet.PixelSpacing[0])

    def centre(image: Dataset) -> np.ndarray:
        half = spacing * image.Rows / 2
        return np.array(image.ImagePositionPatient, dtype=float) + half * (orientation[:3] + orientation[3:])

    np.testing.assert_allclose(centre(sheet), centre(single), atol=1e-6)


def test_a_vframe_has_positions_and_times_only_in_its_items(written_by, tiled):
    singles = written_by("uMR 560").series("epi_dwi_tra_b800")
    sheet = tiled("uMR 560", "VFRAME")[1]
    for keyword in ("ImagePositionPatient", "SliceLocation", "AcquisitionTime", "AcquisitionDate"):
        assert keyword not in sheet
    block = sheet.private_block(0x0065, "Image Private Header")
    assert int(block[0x50].value) == len(block[0x51].value) == 10
    for item, single in zip(block[0x51].value, singles, strict=True):
        assert item.ImagePositionPatient == single.ImagePositionPatient
        assert item.AcquisitionTime == single.AcquisitionTime


@pytest.mark.parametrize(("scanner", "words", "tiling"), [("Skyra", "TRACEW", mosaic), ("uMR 560", "b800", vframe)])
def test_tiling_leaves_the_slices_as_they_are(written_by, scanner, words, tiling):
    slices = [dcmread(each.filename) for each in written_by(scanner).series(words)[-10:]]
    before = deepcopy(slices)
    tiling(slices)
    assert slices == before


def test_scanners_that_write_no_sheets_refuse(make_study, tmp_path: Path):
    with pytest.raises(PermanentError, match="GE scanners write no sheets"):
        write_study(make_study(find_scanner("MR750")), tmp_path, sheets=True)


def test_the_same_sheets_are_written_byte_for_byte_the_same(written_by, tmp_path):
    written = written_by("uMR 560", sheets=True)
    again = write_study(written.study, tmp_path, sheets=True)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in written.paths]


def test_in_memory_images_of_a_few_pixels_are_enough():
    slices = []
    for index in range(3):
        image = Dataset()
        image.ImageType = ["DERIVED", "PRIMARY", "DIFFUSION", "TRACEW"]
        image.Rows = image.Columns = 2
        image.PixelSpacing, image.ImageOrientationPatient = [2, 2], [1, 0, 0, 0, 1, 0]
        image.ImagePositionPatient = [0, 0, 5 * index]
        image.PixelData = np.full((2, 2), index + 1, dtype="<u2").tobytes()
        slices.append(image)
    wanted = np.repeat(np.repeat([[1, 2], [3, 0]], 2, axis=0), 2, axis=1)
    for sheet in (mosaic(slices), vframe(slices)):
        np.testing.assert_array_equal(np.frombuffer(sheet.PixelData, dtype="<u2").reshape(4, 4), wanted)


@pytest.mark.parametrize(
    ("scanner", "token", "objections"),
    [("Skyra", "MOSAIC", []), ("uMR 560", "VFRAME", ["ImagePositionPatient(0020,0032)"])],
)
def test_dciodvfy_objects_to_the_missing_position_of_a_vframe_only(written_by, scanner, token, objections):
    path = next(each for each in written_by(scanner, sheets=True).paths if token in dcmread(each).ImageType)
    reply = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False, timeout=60)
    errors = [line for line in (reply.stdout + reply.stderr).splitlines() if line.startswith("Error")]
    assert len(errors) == len(objections)
    assert all(words in line for words, line in zip(objections, errors, strict=True))

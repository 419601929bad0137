"""Slices tiled in one image (Siemens MOSAIC, UIH VFRAME) stand where they were measured, or the sheet is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Sequence as SequenceOf
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydantic import TypeAdapter
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian

from models.sequence import Sequence
from node.recognition.header.facts import FrameFacts, Tile
from node.recognition.header.frames import read_frames
from node.recognition.header.words import words
from node.recognition.plan import recognise
from node.recognition.record import StudyPlan
from node.settings import RecognitionSettings
from node.simulator.sheets import mosaic, vframe
from node.simulator.vendors.csa import csa_header
from node.volumes import assemble

from ...copies import copied

TOLERANCE_MM = 1e-3
SCANNERS = ["Skyra", "uMR 560", "uMR 570", "uMR 770"]
DWI = {"Skyra": "TRACEW", "uMR 560": "epi_dwi_tra_b800"}
PLAN = TypeAdapter(StudyPlan)


def planned(paths: SequenceOf[Path]) -> StudyPlan:
    uid = str(dcmread(paths[0], specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
    return recognise(uid, paths, RecognitionSettings())


@pytest.fixture(scope="module")
def plans(written_by) -> Callable[[str], tuple[StudyPlan, StudyPlan]]:
    """The plans of a scanner's study: slice by slice, and with its DWI in sheets."""

    @cache
    def made(scanner: str) -> tuple[StudyPlan, StudyPlan]:
        return planned(written_by(scanner).paths), planned(written_by(scanner, sheets=True).paths)

    return made


def frames_of(path: Path) -> tuple[FrameFacts, ...]:
    frames = read_frames(path, words())
    assert isinstance(frames, tuple)
    return frames


def positions(frames: SequenceOf[FrameFacts]) -> np.ndarray:
    return np.array([frame.placement.position for frame in frames])


def pixels_of(dataset: Dataset, tile: Tile) -> np.ndarray:
    rows = slice(tile.row, tile.row + tile.rows)
    return dataset.pixel_array[rows, tile.column : tile.column + tile.columns].astype(float)


def alike(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@pytest.mark.parametrize("scanner", SCANNERS)
def test_the_stack_of_a_sheet_is_that_of_the_single_slices_voxel_by_voxel(plans, scanner):
    one_by_one, tiled = plans(scanner)
    assert tiled.refusals == ()
    wanted, found = (assemble(plan.stack(Sequence.DWI)) for plan in (one_by_one, tiled))
    assert len({frame.path for frame in tiled.stack(Sequence.DWI).frames}) == 1
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(found), sitk.GetArrayViewFromImage(wanted))
    last = tuple(size - 1 for size in wanted.GetSize())
    for index in ((0, 0, 0), (last[0], 0, 0), (0, last[1], 0), (0, 0, last[2]), last):
        place = wanted.TransformIndexToPhysicalPoint(index)
        assert found.TransformIndexToPhysicalPoint(index) == pytest.approx(place, abs=TOLERANCE_MM)


@pytest.mark.parametrize("scanner", ["Skyra", "uMR 560"])
def test_the_choice_is_that_of_the_single_slices(plans, scanner):
    one_by_one, tiled = plans(scanner)
    wanted, found = one_by_one.stack(Sequence.DWI), tiled.stack(Sequence.DWI)
    assert (found.b_value, found.rows, found.columns) == (wanted.b_value, wanted.rows, wanted.columns)
    assert found.pixel_spacing == wanted.pixel_spacing
    assert [verdict.reason for verdict in tiled.verdicts] == [verdict.reason for verdict in one_by_one.verdicts]


@pytest.mark.parametrize(("scanner", "tiling"), [("Skyra", mosaic), ("uMR 560", vframe)])
def test_tiles_may_run_against_the_normal(series_of, tmp_path, scanner, tiling):
    slices = series_of(scanner, DWI[scanner])[-10:]
    tiling(slices[::-1]).save_as(tmp_path / "sheet.dcm")
    wanted = [np.array(each.ImagePositionPatient, dtype=float) for each in slices[::-1]]
    frames = frames_of(tmp_path / "sheet.dcm")
    np.testing.assert_allclose(positions(frames), wanted, atol=TOLERANCE_MM)
    for frame, single in zip(frames, slices[::-1], strict=True):
        np.testing.assert_array_equal(pixels_of(dcmread(tmp_path / "sheet.dcm"), frame.tile), single.pixel_array)


@pytest.mark.parametrize(("scanner", "tiling"), [("Skyra", mosaic), ("uMR 560", vframe)])
@pytest.mark.parametrize("count", [2, 4, 5, 9, 10])
def test_any_number_of_slices_is_found_again(series_of, tmp_path, scanner, tiling, count):
    slices = series_of(scanner, DWI[scanner])[-10:][:count]
    tiling(slices).save_as(tmp_path / "sheet.dcm")
    wanted = [np.array(each.ImagePositionPatient, dtype=float) for each in slices]
    np.testing.assert_allclose(positions(frames_of(tmp_path / "sheet.dcm")), wanted, atol=TOLERANCE_MM)


@pytest.mark.parametrize(("scanner", "tiling"), [("Skyra", mosaic), ("uMR 560", vframe)])
def test_a_transfer_syntax_without_representations_hides_nothing(series_of, tmp_path, scanner, tiling):
    slices = series_of(scanner, DWI[scanner])[-10:]
    sheet = tiling(slices)
    sheet.file_meta = FileMetaDataset()
    sheet.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    sheet.save_as(tmp_path / "sheet.dcm", implicit_vr=True, little_endian=True)
    wanted = [np.array(each.ImagePositionPatient, dtype=float) for each in slices]
    np.testing.assert_allclose(positions(frames_of(tmp_path / "sheet.dcm")), wanted, atol=TOLERANCE_MM)


def test_slices_of_a_uih_sheet_have_their_own_acquisition_times(series_of, tmp_path):
    slices = series_of("uMR 560", "epi_dwi_tra_b800")
    vframe(slices).save_as(tmp_path / "sheet.dcm")
    times = [frame.timing.acquisition_s for frame in frames_of(tmp_path / "sheet.dcm")]
    assert None not in times
    assert len(set(times)) == len(slices)


@pytest.fixture
def sheet(series_of) -> Dataset:
    """A Siemens sheet of ten slices."""
    return mosaic(series_of("Skyra", "TRACEW")[-10:])


@pytest.fixture
def uih_sheet(series_of) -> Dataset:
    """A UIH sheet of ten slices."""
    return vframe(series_of("uMR 560", "epi_dwi_tra_b800"))


def code(sheet: Dataset, **entries: tuple[str, list[object]]) -> None:
    """Replace the CSA header."""
    sheet[0x00291010].value = csa_header({"B_value": ("IS", [800]), **entries})


def without_count(sheet: Dataset) -> None:
    del sheet[0x0019100A]
    code(sheet, SliceNormalVector=("FD", [0, 0, 1]))


def without_normal(sheet: Dataset) -> None:
    code(sheet, NumberOfImagesInMosaic=("US", [10]))


def with_a_normal_in_the_image(sheet: Dataset) -> None:
    code(sheet, NumberOfImagesInMosaic=("US", [10]), SliceNormalVector=("FD", [1, 0, 0]))


def with_two_counts(sheet: Dataset) -> None:
    sheet[0x0019100A].value = 12


def without_spacing(sheet: Dataset) -> None:
    del sheet.SpacingBetweenSlices


def without_position(sheet: Dataset) -> None:
    del sheet.ImagePositionPatient


def with_an_odd_row(sheet: Dataset) -> None:
    sheet.Rows += 1


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (without_count, "how many slices"),
        (without_normal, "no CSA SliceNormalVector"),
        (with_a_normal_in_the_image, "not perpendicular"),
        (with_two_counts, "says 12 slices, the CSA header 10"),
        (without_spacing, "no Spacing Between Slices"),
        (without_position, "no position"),
        (with_an_odd_row, "193 rows and 192 columns do not divide into 4 x 4 tiles"),
    ],
)
def test_a_siemens_sheet_that_cannot_be_placed_is_refused_with_what_is_missing(sheet, recognised, damage, words):
    damage(sheet)
    (refusal,) = [each for each in recognised([sheet]).refusals if each.role == "DWI"]
    assert refusal.code == "E-GRID-GEOM"
    assert words in refusal.reason


def without_uih_count(sheet: Dataset) -> None:
    del sheet[0x00651050]


def without_uih_positions(sheet: Dataset) -> None:
    del sheet[0x00651051]


def without_one_position(sheet: Dataset) -> None:
    del sheet[0x00651051].value[3].ImagePositionPatient


def with_one_item_too_few(sheet: Dataset) -> None:
    del sheet[0x00651051].value[3]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (without_uih_count, "how many slices"),
        (without_uih_positions, "0 of the 10 slices"),
        (without_one_position, "9 of the 10 slices"),
        (with_one_item_too_few, "9 of the 10 slices"),
        (with_an_odd_row, "145 rows and 192 columns do not divide into 3 x 4 tiles"),
    ],
)
def test_a_uih_sheet_that_cannot_be_placed_is_refused_with_what_is_missing(uih_sheet, recognised, damage, words):
    damage(uih_sheet)
    (refusal,) = [each for each in recognised([uih_sheet]).refusals if each.role == "DWI"]
    assert refusal.code == "E-GRID-GEOM"
    assert words in refusal.reason


def test_sheets_of_single_directions_are_not_used(sheet, recognised):
    sheet.ImageType = ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE", "ND", "MOSAIC"]
    sheet[0x0019100D].value = "DIRECTIONAL"
    (refusal,) = [each for each in recognised([sheet]).refusals if each.role == "DWI"]
    assert refusal.code == "E-DWI-DIRECTIONAL"


def test_two_sheets_of_the_same_slices_are_two_volumes(sheet, recognised):
    again = copied(sheet)
    again.SOPInstanceUID, again.InstanceNumber = f"{sheet.SOPInstanceUID}.1", "7"
    again.AcquisitionTime = "235959"
    (verdict,) = recognised([sheet, again]).verdicts
    assert verdict.instance_count == 2
    assert "10 slices, 2 volumes" in verdict.reason


def test_the_plan_of_a_sheet_survives_the_storage(plans):
    _, plan = plans("Skyra")
    assert all(frame.tile for frame in plan.stack(Sequence.DWI).frames)
    assert PLAN.validate_json(PLAN.dump_json(plan)) == plan


def test_a_plan_that_was_stored_without_tiles_is_still_read(plans):
    plan, _ = plans("Skyra")
    stored = re.sub(rb'"tile":null,?', b"", PLAN.dump_json(plan)).replace(b",}", b"}")
    assert b"tile" not in stored
    assert PLAN.validate_json(stored) == plan


# Real files. A TrioTim wrote the first; its CSA protocol holds the centre of every slice.


def test_slices_of_a_real_mosaic_lie_where_its_protocol_planned_them(shared_data):
    path = shared_data / "transfer_syntaxes" / "siemens_same_image_9_syntaxes" / "1.dcm"
    frames = frames_of(path)
    dataset = dcmread(path)
    protocol = dataset[0x00291020].value.decode("latin-1")
    axes = {name: axis for axis, name in enumerate(("Sag", "Cor", "Tra"))}
    centres = np.zeros((35, 3))
    for index, name, value in re.findall(r"asSlice\[(\d+)\]\.sPosition\.d(Sag|Cor|Tra)\s*=\s*(\S+)", protocol):
        centres[int(index), axes[name]] = float(value)
    assert len(frames) == 35
    assert (frames[0].placement.rows, frames[0].placement.columns) == (64, 64)
    # syngo counts the centre of 64 pixels at pixel 32.
    row, column = np.reshape(np.array(dataset.ImageOrientationPatient, dtype=float), (2, 3))
    np.testing.assert_allclose(positions(frames) + 32 * 3.25 * (row + column), centres, atol=TOLERANCE_MM)


@pytest.mark.parametrize("file", [str(number) for number in range(2, 10)])
def test_the_transfer_syntax_of_a_real_mosaic_does_not_matter(shared_data, file):
    folder = shared_data / "transfer_syntaxes" / "siemens_same_image_9_syntaxes"
    first, other = frames_of(folder / "1.dcm"), frames_of(folder / f"{file}.dcm")
    assert [(frame.tile, frame.placement) for frame in other] == [(frame.tile, frame.placement) for frame in first]


PROSTATEX = "siemens_TrioTim_ProstateX-0218"


def test_a_real_mosaic_without_its_csa_header_is_left_whole(shared_data):
    path = shared_data / PROSTATEX / "11_dti_MOSAIC_2of65" / "01-01.dcm"
    (frame,) = frames_of(path)
    assert frame.tile is None
    assert frame.header.sheet_fault.code == "E-GRID-GEOM"
    assert "how many slices" in frame.header.sheet_fault.reason


@pytest.mark.parametrize("number", [0, 1])
def test_every_tile_of_a_real_mosaic_shows_the_slice_that_the_same_run_has_at_its_place(shared_data, tmp_path, number):
    """The files were published without CSA header; the count is seen in the picture, the normal in the siblings."""
    path = sorted((shared_data / PROSTATEX / "11_dti_MOSAIC_2of65").glob("*.dcm"))[number]
    dataset = dcmread(path)
    coded = {"NumberOfImagesInMosaic": ("US", [20]), "SliceNormalVector": ("FD", [0, 0.39554554, 0.91844637])}
    dataset.private_block(0x0029, "SIEMENS CSA HEADER").add_new(0x10, "OB", csa_header(coded))
    dataset.save_as(tmp_path / "sheet.dcm")
    frames = frames_of(tmp_path / "sheet.dcm")
    tiles = [pixels_of(dataset, frame.tile) for frame in frames]
    singles = [dcmread(each) for each in sorted((shared_data / PROSTATEX / "13_dti_traceW_b800").glob("*.dcm"))]
    assert len(singles) == 8
    for single in singles:
        distances = np.linalg.norm(positions(frames) - np.array(single.ImagePositionPatient, dtype=float), axis=1)
        place = int(np.argmin(distances))
        assert distances[place] < TOLERANCE_MM
        assert frames[place].placement.spacing == tuple(single.PixelSpacing)
        seen = single.pixel_array.astype(float)
        assert int(np.argmax([alike(seen, tile) for tile in tiles])) == place
        assert alike(seen, tiles[place]) > 1.2 * alike(seen, tiles[place][:, ::-1])
        assert alike(seen, tiles[place]) > 1.2 * alike(seen, tiles[place][::-1])


def test_positions_of_a_real_mosaic_are_those_of_the_whole_series_of_single_slices(shared_data, tmp_path):
    dataset = dcmread(shared_data / PROSTATEX / "11_dti_MOSAIC_2of65" / "01-01.dcm")
    coded = {"NumberOfImagesInMosaic": ("US", [20]), "SliceNormalVector": ("FD", [0, 0.39554554, 0.91844637])}
    dataset.private_block(0x0029, "SIEMENS CSA HEADER").add_new(0x10, "OB", csa_header(coded))
    dataset.save_as(tmp_path / "sheet.dcm")
    singles = sorted((shared_data / PROSTATEX / "10_calculated_b1600").glob("*.dcm"))
    wanted = sorted(tuple(map(float, dcmread(each).ImagePositionPatient)) for each in singles)
    found = sorted(map(tuple, positions(frames_of(tmp_path / "sheet.dcm"))))
    np.testing.assert_allclose(found, wanted, atol=TOLERANCE_MM)


def test_a_real_uih_sheet_lies_where_its_items_say_and_the_head_gets_smaller_upwards(shared_data):
    path = shared_data / "uih_uMR770_DTI_AP_b0_b928_VFRAME_mosaic" / "00000001.dcm"
    frames, dataset = frames_of(path), dcmread(path)
    wanted = [item.ImagePositionPatient for item in dataset[0x00651051].value]
    np.testing.assert_allclose(positions(frames), np.array(wanted, dtype=float), atol=TOLERANCE_MM)
    assert {(frame.placement.rows, frame.placement.columns) for frame in frames} == {(64, 64)}
    sizes = [np.count_nonzero(pixels_of(dataset, frame.tile) > 100) for frame in frames]
    assert sizes[0] > 2 * sizes[-1]
    assert positions(frames)[0, 2] < positions(frames)[-1, 2]
    assert sizes[8:] == sorted(sizes[8:], reverse=True)

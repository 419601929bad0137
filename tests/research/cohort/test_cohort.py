"""A cohort is read whole or refused with every fault in one line each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from models.errors import ModelError
from models.research.cohort.memory import available_bytes, check_memory
from models.research.cohort.reading import read_cohort, volumes_of
from models.research.cohort.records import Equipment, Needs, Split
from models.research.errors import CohortError
from models.sequence import ANALYSED, Sequence
from models.volume import grid_of

LABELLED = Needs(labels=True)


def faults(folder: Path, needs: Needs = LABELLED) -> list[str]:
    with pytest.raises(CohortError) as raised:
        read_cohort(folder, needs)
    assert isinstance(raised.value, ModelError)
    assert str(raised.value).splitlines() == list(raised.value.faults)
    return list(raised.value.faults)


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "labels.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_what_was_written_is_read(cohort):
    found = read_cohort(cohort, LABELLED)
    assert [case.facts.case_id for case in found.cases] == [f"C{n}" for n in range(6)]
    case = found.cases[5]
    assert case.facts.split is Split.VALIDATION
    assert case.facts.label == 1
    assert case.facts.equipment == Equipment("Siemens", "Skyra", 3.0)
    assert case.facts.clinical == {"age": "55"}
    assert case.volumes[Sequence.T2WI].acquisition["te_ms"] == 75
    images, masks = volumes_of(case)
    for sequence in ANALYSED:
        assert grid_of(images[sequence]) == grid_of(masks[sequence]) == case.volumes[sequence].grid
        tumour = sitk.GetArrayFromImage(masks[sequence]) > 0
        assert tumour.sum() == 120
        values = sitk.GetArrayFromImage(images[sequence])
        assert values[tumour].mean() == pytest.approx(200, abs=5)
        assert values[~tumour].mean() == pytest.approx(100, abs=2)


def test_a_case_written_again_gives_the_same_bytes_and_one_row(cohort, add):
    before = {path: path.read_bytes() for path in cohort.rglob("*") if path.is_file()}
    add(2, split=Split.TRAIN, clinical={"age": "52"})
    assert {path: path.read_bytes() for path in cohort.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("C1,P1,Siemens,Skyra,3,train,1", "C1,P1,Siemens,Skyra,3,train,", "labels.csv: case C1: label is missing"),
        ("3,train,1,yes,51", "3,train,2,yes,51", "labels.csv:3: case C1: label is '2'"),
        ("3,train,1,yes,51", "3,train,NaN,yes,51", "labels.csv:3: case C1: label is 'NaN'"),
        ("3,train,1,yes,51", "3,train,1,yes,nan", "labels.csv:3: case C1: age is 'nan'"),
        ("C1,P1,Siemens,Skyra,3", "C1,P1,Siemens,,3", "labels.csv:3: case C1: unknown scanner: model is ''"),
        ("C1,P1,Siemens,Skyra,3", "C1,P1,SIEMENS,skyra,3", "labels.csv: unknown scanner: SIEMENS skyra and Siemens"),
        ("C1,P1,Siemens,Skyra,3", "C1,P1,Siemens,Skyra,", "labels.csv:3: case C1: unknown scanner: field_strength_t"),
        ("C1,P1", "C1,", "labels.csv:3: case C1: patient is empty"),
        ("C1,P1", "../C1,P1", "labels.csv:3: case ../C1: the case id names a folder"),
        ("3,train,1,yes,51", "3,training,1,yes,51", "labels.csv:3: case C1: split is 'training'"),
        ("C5,P5", "C5,P1", "labels.csv: patient P1 stands in two splits: C1 in train, C5 in validation"),
        ("C2,P2,Siemens,Skyra,3,train", "C1,P1,Siemens,Skyra,3,train", "labels.csv: case C1 stands there 2 times"),
        ("C4,P4", "C1,P1", "labels.csv: case C1 stands in two splits: train, validation"),
        ("case,", "name,", "labels.csv: column case is missing"),
        ("yes,51", "no,51", "case C1: T2WI.mask.nii.gz is not empty, and labels.csv says"),
    ],
)
def test_a_wrong_row_is_one_clear_line(cohort, old, new, fault):
    edit(cohort, old, new)
    assert sum(line.startswith(fault) for line in faults(cohort)) == 1


def test_labels_of_one_class_are_refused_only_where_labels_are_needed(cohort):
    (cohort / "labels.csv").write_text((cohort / "labels.csv").read_text().replace(",1,yes", ",0,yes"))
    assert faults(cohort) == ["labels.csv: every label is 0; two classes are needed"]
    assert len(read_cohort(cohort, Needs(labels=False)).cases) == 6


def test_three_cases_are_too_few(add, tmp_path):
    for number in range(3):
        add(number)
    assert "labels.csv: 3 usable rows; at least 5 cases are needed" in faults(tmp_path)


def test_a_folder_without_table_is_refused(tmp_path):
    assert faults(tmp_path) == [f"{tmp_path}/labels.csv: cannot be read: No such file or directory"]


def test_a_table_saved_by_a_spreadsheet_is_read(cohort):
    path = cohort / "labels.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b",", b";").replace(b"\n", b"\r\n"))
    assert len(read_cohort(cohort, LABELLED).cases) == 6


def test_a_row_that_is_cut_short_is_a_fault_of_its_own(cohort):
    path = cohort / "labels.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], lines[-1].split(",")[0]]))
    (first, *_) = faults(cohort)
    assert first.startswith(f"labels.csv:{len(lines)}: case {lines[-1].split(',')[0]}: ")


def test_a_table_in_another_encoding_is_refused_in_words(cohort):
    path = cohort / "labels.csv"
    path.write_bytes(path.read_bytes().replace(b"Siemens", "西门子".encode("gb18030")))
    assert faults(cohort) == [f"{path}: not UTF-8; save it as CSV in UTF-8"]


def test_a_missing_file_is_named(cohort):
    (cohort / "C2" / "DWI.nii.gz").unlink()
    (cohort / "C3" / "PVP.mask.nii.gz").unlink()
    assert faults(cohort) == ["case C2: DWI.nii.gz is missing", "case C3: PVP.mask.nii.gz is missing"]
    assert len(read_cohort(cohort, Needs(sequences=(Sequence.T2WI,))).cases) == 6


def test_a_mask_on_another_grid_is_refused(cohort):
    path = cohort / "C2" / "DWI.mask.nii.gz"
    mask = sitk.ReadImage(str(path))
    mask.SetOrigin([value + shift for value, shift in zip(mask.GetOrigin(), (0.5, 0, 0), strict=True)])
    sitk.WriteImage(mask, str(path))
    smaller = cohort / "C3" / "DWI.mask.nii.gz"
    sitk.WriteImage(sitk.ReadImage(str(smaller))[:, :, 1:], str(smaller))
    assert faults(cohort) == [
        "case C2: DWI.mask.nii.gz is not on the image's grid: corners lie 0.5 mm apart",
        "case C3: DWI.mask.nii.gz is not on the image's grid: 20 x 16 x 7 voxels, the image has 20 x 16 x 8",
    ]


def test_an_empty_mask_is_refused_but_not_of_a_case_without_tumour(cohort, add, change):
    add(6, tumour=False, label=None)
    assert len(read_cohort(cohort, LABELLED).cases) == 7
    change(cohort / "C2" / "PVP.mask.nii.gz", np.zeros_like)
    assert faults(cohort) == ['case C2: PVP.mask.nii.gz is empty; a case without tumour says "no" in the column tumour']


def test_a_mask_of_several_labels_is_refused(cohort, change):
    change(cohort / "C2" / "PVP.mask.nii.gz", lambda mask: mask * (1 + np.arange(mask.size).reshape(mask.shape) % 2))
    assert faults(cohort)[0].startswith("case C2: PVP.mask.nii.gz holds 2 values beside 0")


def test_pixels_that_are_not_finite_are_refused(cohort, change):
    def spoil(values: np.ndarray) -> np.ndarray:
        values[3, 3, 3:5] = (np.nan, np.inf)
        return values

    change(cohort / "C4" / "T2WI.nii.gz", spoil)
    change(cohort / "C5" / "T2WI.nii.gz", np.ones_like)
    assert faults(cohort) == [
        "case C4: T2WI.nii.gz holds 2 voxels that are NaN or infinite",
        "case C5: T2WI.nii.gz holds the same value everywhere",
    ]


def test_a_file_that_cannot_be_read_is_named(cohort):
    (cohort / "C0" / "T2WI.nii.gz").write_bytes(b"no volume at all")
    cut = cohort / "C1" / "T2WI.nii.gz"
    cut.write_bytes(cut.read_bytes()[:4000])
    (cohort / "C2" / "T2WI.json").write_text("[1, 2]")
    (cohort / "C3" / "T2WI.json").write_text('{"te_ms": NaN}')
    assert faults(cohort) == [
        "case C0: T2WI.nii.gz cannot be read as a NIfTI volume",
        "case C1: T2WI.nii.gz cannot be read: damaged or cut off",
        "case C2: T2WI.json is no JSON object of numbers",
        "case C3: T2WI.json: te_ms is not a number that is possible",
    ]


def test_a_volume_of_four_dimensions_is_refused(cohort):
    path = cohort / "C1" / "PVP.nii.gz"
    image = sitk.ReadImage(str(path))
    sitk.WriteImage(sitk.JoinSeries([image, image]), str(path))
    assert faults(cohort) == ["case C1: PVP.nii.gz has 4 dimensions and 1 values a voxel"]


def test_the_same_pixels_in_two_cases_are_a_duplicate(cohort):
    (cohort / "C5" / "DWI.nii.gz").write_bytes((cohort / "C1" / "DWI.nii.gz").read_bytes())
    assert faults(cohort) == ["case C5: DWI is a duplicate: same pixels as C1/DWI"]


def test_a_folder_that_no_row_names_is_told(cohort):
    edit(cohort, "C3,P3,Siemens,Skyra,3,train,1,yes,53\n", "")
    assert faults(cohort) == ["case C3: no row in labels.csv; add one or take the folder away"]


def test_all_faults_are_told_at_once(cohort, change):
    edit(cohort, "C1,P1", "C1,")
    edit(cohort, "C3,P3,Siemens,Skyra,3,train,1", "C3,P3,Siemens,Skyra,3,train,")
    (cohort / "C2" / "DWI.nii.gz").unlink()
    change(cohort / "C4" / "T2WI.mask.nii.gz", np.zeros_like)
    assert len(faults(cohort)) == 4


def test_an_interrupted_writer_leaves_a_whole_cohort(cohort):
    (cohort / ".C9.partial").mkdir()
    (cohort / ".C9.partial" / "T2WI.nii.gz").write_bytes(b"")
    assert len(read_cohort(cohort, LABELLED).cases) == 6


def test_a_volume_that_cannot_be_held_is_refused_from_its_header(cohort):
    header = bytearray(348 + 4)
    header[0:4] = (348).to_bytes(4, "little")
    header[40:56] = np.array([3, 32000, 32000, 32000, 1, 1, 1, 1], "<i2").tobytes()
    header[70:74] = np.array([16, 32], "<i2").tobytes()
    header[76:108] = np.array([1, 1, 1, 1, 0, 0, 0, 0], "<f4").tobytes()
    header[108:112] = np.array([352], "<f4").tobytes()
    header[344:348] = b"n+1\0"
    for name in ("T2WI.nii.gz", "T2WI.mask.nii.gz"):
        (cohort / "C0" / name).write_bytes(bytes(header))
    (fault,) = faults(cohort)
    assert fault.startswith("case C0: T2WI.nii.gz of 32000 x 32000 x 32000 voxels does not fit: 524288.0 GB are needed")


def test_a_training_that_does_not_fit_says_with_which_case_memory_ends(cohort):
    found = read_cohort(cohort, Needs(sequences=(Sequence.T2WI,)))
    voxels = 20 * 16 * 8

    def kept(grid):
        return 4.0 * grid.size[0] * grid.size[1] * grid.size[2]

    assert check_memory(found, kept, kept, available=28 * voxels) == 28 * voxels
    with pytest.raises(CohortError, match=r"^case C3: T2WI of 20 x 16 x 8 voxels: the cohort does not fit"):
        check_memory(found, kept, kept, available=19 * voxels)
    with pytest.raises(CohortError, match=r"^case C0: T2WI of 20 x 16 x 8 voxels does not fit into memory: about"):
        check_memory(found, kept, kept, available=7 * voxels)
    assert 0 < available_bytes() < 1 << 60


def test_acquisition_parameters_lie_beside_the_image(cohort):
    assert json.loads((cohort / "C0" / "T2WI.json").read_text()) == {
        "field_strength_t": 3.0,
        "te_ms": 75.0,
        "tr_ms": 5200.0,
    }


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"case_id": "../C1"}, "case ../C1: the case id names a folder"),
        ({"equipment": Equipment("Siemens", "Skyra", 0.0)}, "case C1: unknown scanner: field_strength_t is '0'"),
        ({"clinical": {"age": "nan"}}, "case C1: age is 'nan'"),
    ],
)
def test_a_case_that_could_not_be_read_again_is_not_written(add, tmp_path, changes, fault):
    with pytest.raises(CohortError, match=fault):
        add(1, **changes)
    assert list(tmp_path.iterdir()) == []

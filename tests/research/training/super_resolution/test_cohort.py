"""Training the super-resolution on a small cohort of volumes: it reads no masks, it refuses, it tests, it reports."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import SimpleITK as sitk
from typer.testing import CliRunner

from models.manifest import load_manifest
from models.research.cohort.memory import check_memory
from models.research.cohort.reading import read_cohort
from models.research.cohort.records import CaseFacts, Equipment, Needs, Split, mask_path
from models.research.cohort.writing import NewVolume, write_case
from models.research.errors import CohortError
from models.research.training import loop, page
from models.research.training.super_resolution import cohort_stacks
from models.research.training.super_resolution import train as super_resolution
from models.research.training.super_resolution.cohort_stacks import cohort_stacks as stacks_of
from models.research.training.super_resolution.cohort_stacks import fine_axes, kept_bytes, passing_bytes
from models.research.training.super_resolution.data import Pairs, from_cohort
from models.research.training.super_resolution.held_out_image_quality import cohort_trials
from models.sequence import Sequence
from models.super_resolution.inference import load_super_resolver
from models.super_resolution.normalisation import CT_RANGE, Modality
from models.volume import Grid, image_from

DIRECTION = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
GRID = Grid((64, 48, 10), (0.8, 0.8, 5.0), (-25.0, -19.0, -25.0), DIRECTION)
T2WI = (Sequence.T2WI,)
PAIRS = Pairs((1, 1, 4), (4, 8, 8), clean=True, as_measured=0.5)


def ball(seed: int, grid: Grid = GRID) -> NewVolume:
    """A bright ball in a noisy body; no mask."""
    random = np.random.default_rng(seed)
    z, y, x = (index * step for index, step in zip(np.indices(grid.size[::-1]), grid.spacing[::-1], strict=True))
    inside = (z - 25) ** 2 + (y - 19) ** 2 + (x - random.integers(20, 32)) ** 2 < 15**2
    values = 200 + 500 * inside + random.normal(0, 15, inside.shape)
    return NewVolume(image_from(values.astype(np.float32), grid), None, {"te_ms": 75})


def add(folder, number, split, grid=GRID):
    facts = CaseFacts(f"C{number}", f"P{number}", Equipment("Siemens", "Skyra", 3.0), split)
    write_case(folder, facts, {Sequence.T2WI: ball(number, grid)})


@pytest.fixture
def cohort(tmp_path):
    """Six patients: four to train with, one to validate with, one to test with."""
    for number, split in enumerate([Split.TRAIN] * 4 + [Split.VALIDATION, Split.TEST]):
        add(tmp_path / "cohort", number, split)
    return tmp_path / "cohort"


def data_of(cohort, pairs=PAIRS):
    fabric = loop.start(cohort.parent / "run", seed=4, accelerator="cpu", devices=1, precision="32-true", threads=1)
    return from_cohort(fabric, cohort, T2WI, pairs, 4, cohort.parent / "cache")


def test_the_command_writes_bundle_and_page(cohort, tmp_path):
    run, output = tmp_path / "run", tmp_path / "bundle"
    options = ["--data", cohort, "--sequences", "T2WI", "--folder", run, "--output", output, "--epochs", 2]
    options += ["--batches", 2, "--batch-size", 2, "--patch", 4, 8, 8, "--features", 4, "--blocks", 1]
    options += ["--weight-perceptual", 0, "--accelerator", "cpu", "--precision", "32-true", "--threads", 1]
    answer = CliRunner().invoke(super_resolution.app, [str(option) for option in options])
    assert answer.exit_code == 0, answer.output
    manifest = load_super_resolver(output).manifest
    assert manifest == load_manifest(output)
    assert manifest.training_data.startswith("cohort cohort: 6 cases on Siemens Skyra, split 4:1:1 into training")
    assert "simulated" not in manifest.training_data + manifest.intended_use
    assert manifest.input_sequences == T2WI
    assert manifest.protocol == {Sequence.T2WI: {"te_ms": (75, 75), "field_strength_t": (3, 3)}}
    judged = manifest.metrics["test_cohort"]
    assert judged["held_out"] == ["C5"]
    assert judged["T2WI"]["super_resolution"]["psnr_db"] > judged["T2WI"]["linear"]["psnr_db"] > 10
    text = (run / "training.html").read_text()
    assert manifest.training_data in text
    for told in ("C4 along y T2WI, input", "cubic B-spline", "result", "truth", "validation_l1"):
        assert told in text
    assert text.count("data:image/png") == 4
    assert "validation_l1" in (run / "curves.svg").read_text()
    curves = page.logged_curves(run / "log")
    assert len(curves["l1"]) == 2


def test_masks_are_not_looked_at(cohort):
    wrong = sitk.GetImageFromArray(np.arange(27, dtype=np.uint8).reshape(3, 3, 3))
    sitk.WriteImage(wrong, str(mask_path(cohort / "C1", Sequence.T2WI)))
    assert len(data_of(cohort).training[0]) == 8


def test_the_truth_is_the_volume_turned_to_its_rows_and_columns(cohort):
    data = data_of(cohort)
    names = [stack.name for stack in data.validation[0]]
    assert names == ["C4 T2WI along y", "C4 T2WI along x"]
    assert [stack.thin.shape for stack in data.validation[0]] == [(36, 10, 48), (48, 10, 36)]
    assert 0.9 < data.validation[0][0].thin.max() < 1.2


def test_only_axes_that_are_fine_are_the_truth():
    def grid(*spacing):
        return Grid((64, 64, 64), spacing, (0, 0, 0), DIRECTION)

    assert fine_axes(grid(0.8, 0.8, 5)) == "yx"
    assert fine_axes(grid(5, 0.8, 0.8)) == "y"
    assert fine_axes(grid(0.8, 5, 0.8)) == "x"
    assert fine_axes(grid(5, 5, 0.8)) == ""


def test_slices_stored_along_the_rows_are_turned_to_the_columns_only(cohort):
    add(cohort, 4, Split.VALIDATION, Grid((12, 64, 48), (5.0, 0.8, 0.8), (0, 0, 0), DIRECTION))
    assert [stack.name for stack in data_of(cohort).validation[0]] == ["C4 T2WI along y"]


def test_cases_that_nothing_can_be_learned_from_are_told_together_before_anything_starts(cohort):
    add(cohort, 1, Split.TRAIN, Grid((64, 48, 24), (5.0, 5.0, 0.8), (0, 0, 0), DIRECTION))
    add(cohort, 2, Split.TRAIN, Grid((24, 24, 10), (0.8, 0.8, 5.0), (0, 0, 0), DIRECTION))
    with pytest.raises(CohortError) as raised:
        data_of(cohort)
    assert raised.value.faults == (
        "case C1: T2WI with voxels of 5 x 5 x 0.8 mm has no fine axis in plane, whose detail could be learned from",
        "case C2: T2WI has 18 pixels along its longest fine axis without the rim; patches of 4 slices need 24 "
        "(--patch)",
    )


def test_too_little_memory_names_the_case(cohort):
    found = read_cohort(cohort, Needs(sequences=T2WI, masks=False))
    assert check_memory(found, kept_bytes, passing_bytes, available=3_000_000) < 3_000_000
    with pytest.raises(CohortError, match=r"^case C1: T2WI of 64 x 48 x 10 voxels does not fit into memory"):
        check_memory(found, kept_bytes, passing_bytes, available=1_200_000)


def test_what_stays_in_memory_is_what_was_foretold(cohort, tmp_path):
    large = Grid((448, 64, 8), (0.4, 0.8, 5.0), (0, 0, 0), DIRECTION)
    add(tmp_path / "other", 0, Split.TRAIN, large)
    for number in range(1, 5):
        add(tmp_path / "other", number, Split.TRAIN)
    cases = read_cohort(tmp_path / "other", Needs(sequences=T2WI, masks=False)).cases
    for case in cases[:2]:
        tracemalloc.start()
        stacks = stacks_of([case], Modality.MR, True, 0.5, tmp_path / "cache")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < kept_bytes(case.volumes[Sequence.T2WI].grid) + passing_bytes(case.volumes[Sequence.T2WI].grid)
        taken = sum(array.nbytes for stack in stacks for array in stack.arrays)
        assert taken == pytest.approx(kept_bytes(case.volumes[Sequence.T2WI].grid), rel=0.01)
    assert len(stacks_of(cases[:1], Modality.MR, True, 0.5, tmp_path / "cache")) == 3


def test_a_cleaned_volume_is_kept_until_its_file_or_modality_changes(cohort, monkeypatch):
    first = data_of(cohort)
    with monkeypatch.context() as changes:
        changes.setattr(cohort_stacks, "cleaned", pytest.fail)
        assert data_of(cohort).digest == first.digest
    add(cohort, 1, Split.TRAIN, Grid((64, 48, 12), GRID.spacing, GRID.origin, DIRECTION))
    assert data_of(cohort).digest != first.digest
    other = Pairs(PAIRS.factor, PAIRS.patch, PAIRS.clean, PAIRS.as_measured, Modality.US)
    assert data_of(cohort, other).digest != first.digest


def test_a_ct_is_scaled_by_hounsfield_units_in_training_and_test(cohort):
    pairs = Pairs(PAIRS.factor, PAIRS.patch, False, 0.0, Modality.CT)
    cases = read_cohort(cohort, Needs(sequences=T2WI, masks=False)).cases
    (low, high), brightest = (
        CT_RANGE,
        sitk.GetArrayFromImage(sitk.ReadImage(cases[4].volumes[Sequence.T2WI].image)).max(),
    )
    thin = data_of(cohort, pairs).validation[0][0].thin
    assert thin.max() == pytest.approx((brightest - low) / (high - low), rel=1e-2)
    trial = next(cohort_trials(cases[4:5], Modality.CT, (1, 1, 4)))
    assert trial.modality is Modality.CT
    assert sitk.GetArrayFromImage(trial.truth).max() > 500


def test_real_series_and_a_cohort_are_not_mixed(cohort, tmp_path):
    options = ["--data", str(cohort), "--real", str(tmp_path), "--folder", str(tmp_path / "run")]
    answer = CliRunner().invoke(super_resolution.app, options)
    assert answer.exit_code == 2
    assert "real series go with simulated patients" in answer.output

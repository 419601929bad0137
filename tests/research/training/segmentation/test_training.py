"""Training the segmentation on a small cohort on disk: it learns, it resumes, it refuses, it reports."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from models.errors import ModelError
from models.manifest import load_manifest
from models.research.cohort.reading import read_cohort
from models.research.cohort.records import CaseFacts, Equipment, Needs, Split
from models.research.cohort.writing import NewVolume, write_case
from models.research.errors import CohortError
from models.research.training import loop, page
from models.research.training.cohort_division import divide
from models.research.training.segmentation import train as segmentation
from models.research.training.segmentation.data import from_cohort
from models.research.training.segmentation.loss import soft_dice_loss
from models.segmentation.inference import InferenceSettings
from models.segmentation.network import load_network
from models.segmentation.preprocessing import PreprocessingSettings
from models.sequence import Sequence
from models.volume import Grid, image_from

GRID = Grid((48, 48, 12), (3.0, 3.0, 5.0), (-72.0, -72.0, -30.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
SETTINGS = InferenceSettings(preprocessing=PreprocessingSettings(spacing_mm=(3.0, 3.0, 5.0)), window=(16, 32, 32))
T2WI = (Sequence.T2WI,)


def pelvis(seed: int, centre: tuple[int, int, int] | None = None) -> NewVolume:
    """A noisy body with a bright ball in it, which is the tumour."""
    random = np.random.default_rng(seed)
    z, y, x = np.indices(GRID.size[::-1])
    body = ((x - 24) / 22) ** 2 + ((y - 24) / 19) ** 2 < 1
    at = centre or (random.integers(4, 8), random.integers(20, 34), random.integers(16, 32))
    ball = ((z - at[0]) * 5) ** 2 + ((y - at[1]) * 3) ** 2 + ((x - at[2]) * 3) ** 2 < 12**2
    values = 300.0 * body + 400.0 * ball + random.normal(0, 25, body.shape)
    return NewVolume(
        image_from(values.astype(np.float32), GRID), image_from(ball.astype(np.uint8), GRID), {"te_ms": 75}
    )


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Seven patients: four to train with, two to validate with, one to test with."""
    folder = tmp_path_factory.mktemp("cohort")
    splits = [Split.TRAIN] * 4 + [Split.VALIDATION] * 2 + [Split.TEST]
    for number, split in enumerate(splits):
        facts = CaseFacts(f"C{number}", f"P{number}", Equipment("Siemens", "Skyra", 3.0), split)
        write_case(folder, facts, {Sequence.T2WI: pelvis(number)})
    return folder


def run_of(cohort, folder, epochs, batches=4, begun=None, learning_rate=1e-2):
    """A run that is set up, and its data."""
    fabric = loop.start(folder, seed=4, accelerator="cpu", devices=1, precision="32-true", threads=1)
    data = from_cohort(fabric, cohort, T2WI, SETTINGS.preprocessing, 4, cohort.with_name("prepared"))
    recipe = segmentation.SegmentationRecipe(
        epochs,
        batches,
        1,
        6,
        4,
        segmentation.Optimizer.ADAMW,
        learning_rate,
        (4, 4, 8, 8, 8, 4),
        T2WI,
        ("x",),
        1,
        "32-true",
        data.digest,
    )
    return segmentation.prepare_run(fabric, folder, recipe, SETTINGS, begun), data


def test_the_loss_falls_and_the_dice_rises(cohort, tmp_path):
    run, data = run_of(cohort, tmp_path / "run", epochs=3, learning_rate=3e-2)
    assert (len(data.training), len(data.validation)) == (4, 2)
    before = segmentation.validation_dice(run.network, data.validation, SETTINGS)
    progress = segmentation.train_epochs(run, data, until=3)
    curves = page.logged_curves(tmp_path / "run" / "log")
    losses, dice = ([value for _, value in curves[name]] for name in ("loss", "validation_dice"))
    assert len(losses) == 3
    assert losses[-1] < 0.9 * losses[0]
    assert before < 0.15
    assert progress.best_score == pytest.approx(max(dice))
    assert progress.best_score > 1.5 * before


def test_a_run_that_was_broken_off_ends_with_the_weights_of_an_unbroken_one(cohort, tmp_path):
    run, data = run_of(cohort, tmp_path / "unbroken", epochs=2, batches=2)
    segmentation.train_epochs(run, data, until=2)
    broken, data = run_of(cohort, tmp_path / "broken", epochs=2, batches=2)
    segmentation.train_epochs(broken, data, until=1)
    again, data = run_of(cohort, tmp_path / "broken", epochs=2, batches=2)
    assert segmentation.train_epochs(again, data, until=2).epoch == 2
    wanted, found = run.network.state_dict(), again.network.state_dict()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    losses = [page.logged_curves(tmp_path / name / "log")["loss"] for name in ("unbroken", "broken")]
    assert losses[0] == losses[1]


def test_a_folder_is_bound_to_its_recipe(cohort, tmp_path):
    run_of(cohort, tmp_path / "run", epochs=3)
    with pytest.raises(ModelError, match=r"holds another run \(epochs was 3, is 4\)"):
        run_of(cohort, tmp_path / "run", epochs=4)


def test_a_training_begins_with_the_weights_it_is_given(cohort, tmp_path):
    run, data = run_of(cohort, tmp_path / "first", epochs=1, batches=2)
    progress = segmentation.train_epochs(run, data, until=1)
    segmentation.finish(run, data, progress, "0.1.0", tmp_path / "bundle", "")
    begun = manifest, trained = load_network(tmp_path / "bundle")
    after, _ = run_of(cohort, tmp_path / "second", epochs=1, batches=2, begun=begun)
    given, found = trained.state_dict(), after.network.state_dict()
    assert all(torch.equal(given[name], found[name]) for name in given)
    assert manifest.files["weights.safetensors"] in (tmp_path / "second" / "recipe.json").read_text()


def test_a_patch_without_a_tumour_speaks_against_a_finding():
    nothing, known = torch.zeros(1, 1, 8, 8, 8), torch.ones(1, 1, dtype=torch.bool)
    small, large = (torch.full((1, 1, 8, 8, 8), -9.0) for _ in range(2))
    small[..., :2, :2, :2], large[..., :4, :4, :4] = 9.0, 9.0
    losses = [float(soft_dice_loss(torch.sigmoid(logits)[known], nothing[known])) for logits in (small, large)]
    assert losses[0] < losses[1] - 0.2


def test_the_command_writes_bundle_and_page(cohort, tmp_path):
    options = ["--data", cohort, "--sequences", "T2WI", "--folder", tmp_path / "run", "--output", tmp_path / "bundle"]
    options += ["--epochs", 1, "--batches", 2, "--features", "4,4,8,8,8,4", "--accelerator", "cpu", "--threads", 1]
    answer = CliRunner().invoke(segmentation.app, [str(option) for option in options])
    assert answer.exit_code == 0, answer.output
    manifest, _ = load_network(tmp_path / "bundle")
    assert manifest == load_manifest(tmp_path / "bundle")
    assert manifest.input_sequences == T2WI
    assert "cohort cohort" in manifest.training_data
    assert "simulated" not in manifest.training_data + manifest.intended_use
    assert manifest.protocol == {Sequence.T2WI: {"te_ms": (75, 75), "field_strength_t": (3, 3)}}
    assert manifest.metrics["test_cohort"]["held_out"] == ["C6"]
    assert manifest.metrics["test_cohort"]["T2WI"]["cases"] == 1
    text = (tmp_path / "run" / "training.html").read_text()
    assert manifest.training_data in text
    assert text.count("<img") == 4
    drawn = (tmp_path / "run" / "curves.svg").read_text()
    assert "<svg" in drawn
    assert all(name in drawn for name in ("loss", "validation_dice"))


def test_a_tumour_outside_of_the_region_that_is_looked_at_is_told_before_the_training(cohort, tmp_path):
    shutil.copytree(cohort, tmp_path / "cohort")
    wide = Grid((96, 96, 12), GRID.spacing, (-144.0, -144.0, -30.0), GRID.direction)
    values = np.random.default_rng(5).normal(300, 20, wide.size[::-1]).astype(np.float32)
    mask = np.zeros(values.shape, np.uint8)
    mask[4:7, 2:9, 2:9] = 1
    facts = CaseFacts("C1", "P1", Equipment("Siemens", "Skyra", 3.0), Split.TRAIN)
    volume = NewVolume(image_from(values, wide), image_from(mask, wide), {})
    write_case(tmp_path / "cohort", facts, {Sequence.T2WI: volume})
    with pytest.raises(CohortError, match="case C1: the tumour of T2WI lies outside of the central 160 x 180 mm"):
        run_of(tmp_path / "cohort", tmp_path / "run", epochs=1)


def test_cases_without_a_split_are_divided_by_patient(tmp_path):
    for number in range(12):
        facts = CaseFacts(f"C{number:02d}", f"P{number // 2}", Equipment("Siemens", "Skyra", 3.0))
        write_case(tmp_path, facts, {Sequence.T2WI: pelvis(number)})
    cohort = read_cohort(tmp_path, Needs(sequences=T2WI))
    division = divide(cohort, seed=1)
    patients = [{case.facts.patient_id for case in part} for part in (division.training, division.validation)]
    assert patients[0].isdisjoint(patients[1])
    assert (len(patients[0]), len(patients[1]), len(division.test)) == (5, 1, 0)
    assert divide(cohort, seed=1) == division
    assert any(divide(cohort, seed=seed) != division for seed in range(6))


@pytest.mark.parametrize("window", ["24,48", "24,48,x", "0,48,48"])
def test_a_window_that_is_not_three_lengths_is_one_clear_line(window, cohort, tmp_path):
    options = ["--data", str(cohort), "--folder", str(tmp_path / "run"), "--window", window]
    answer = CliRunner().invoke(segmentation.app, options)
    assert answer.exit_code == 2
    assert "is not three lengths" in answer.output
    assert not (tmp_path / "run").exists()

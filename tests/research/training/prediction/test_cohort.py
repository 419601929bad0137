"""The prediction trained on a cohort on disk: its labels, masks and scanners, its test split never fitted."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from models.prediction.predictor import load_predictor
from models.radiomics.extraction import expected_names
from models.radiomics.settings import load_settings
from models.research.cohort.records import CaseFacts, Equipment, Split
from models.research.cohort.writing import NewVolume, write_case
from models.research.errors import CohortError
from models.research.training.prediction import train as prediction
from models.research.training.prediction.measured_cohort import cache_path, labelled_cohort, measured_cases
from models.sequence import ANALYSED, Sequence
from models.volume import Grid, image_from

from ....parts import processor

SUPER = prediction.WEIGHTS / "super-resolution"
GRID = Grid((20, 18, 9), (1.2, 1.2, 5.0), (-11.0, 7.5, -30.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
SCANNERS = (Equipment("Siemens", "Skyra", 3.0), Equipment("GE", "MR750", 3.0))
NAMES = [f"{s}|{r}|{n}" for s in ANALYSED for r in ("normal", "super") for n in sorted(expected_names(load_settings()))]


def volume(seed: int) -> NewVolume:
    values = np.random.default_rng(seed).normal(100, 10, GRID.size[::-1]).astype(np.float32)
    mask = np.zeros(values.shape, np.uint8)
    mask[2:7, 4:13, 5:14] = 1
    return NewVolume(image_from(values, GRID), image_from(mask, GRID), {"tr_ms": 4000, "te_ms": 75})


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Thirty cases of fifteen patients on two scanners, six of them for the test."""
    folder = tmp_path_factory.mktemp("cohort")
    for number in range(30):
        split = Split.TEST if number >= 24 else Split.TRAIN
        scanner = SCANNERS[number // 2 % 2]
        facts = CaseFacts(f"C{number:02d}", f"P{number // 2}", scanner, split, label=number % 2)
        write_case(folder, facts, {sequence: volume(10 * number + n) for n, sequence in enumerate(ANALYSED)})
    return folder


def test_a_case_is_measured_once_at_every_resolution_under_its_own_mask(cohort, tmp_path):
    found = labelled_cohort(cohort, folds=3)
    one = type(found)(cohort, found.cases[:1])
    bundle = processor.bundle(SUPER, tmp_path / "bundle")
    (case,) = measured_cases(one, bundle, tmp_path)
    assert set(NAMES) < case.features.keys()
    assert case.volume_ml == pytest.approx(5 * 9 * 9 * 1.2 * 1.2 * 5 / 1000)
    assert (case.patient, case.scanner, case.label) == ("P0", "Siemens Skyra", 0)
    kept = cache_path(found.cases[0], bundle, tmp_path)
    kept.write_text(kept.read_text().replace('"volume_ml": ', '"volume_ml": 1000'))
    assert next(measured_cases(one, bundle, tmp_path)).volume_ml > 1000


def test_the_command_fits_on_the_training_cases_and_tests_on_the_others(cohort, tmp_path):
    random = np.random.default_rng(3)
    for listed in labelled_cohort(cohort, folds=3).cases:
        features = dict(zip(NAMES, random.normal(size=len(NAMES)).tolist(), strict=True))
        carrier = 3.0 * listed.facts.label + random.normal()
        features |= {name: carrier for name in NAMES if name.endswith("|original_glcm_JointEntropy")}
        path = cache_path(listed, SUPER, tmp_path / "cache")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"volume_ml": 2.0, "features": features, "seconds": {}}))
    folders = ["--data", cohort, "--out", tmp_path / "bundle", "--cache", tmp_path / "cache"]
    options = [*folders, "--folds", 3, "--workers", 1, "--no-search"]
    options = [str(option) for option in options]
    answer = CliRunner().invoke(prediction.app, options)
    assert answer.exit_code == 2
    named = CliRunner().invoke(prediction.app, [*options, "--target", "Response", "--positive-class", "complete"])
    assert named.exit_code == 0, named.output
    predictor = load_predictor(tmp_path / "bundle")
    assert predictor.catalogue.target.concept.meaning == "Probability of complete"
    manifest = predictor.manifest
    assert manifest.metrics["cases"] == 24
    assert manifest.metrics["test_cohort"]["cases"] == 6
    assert manifest.metrics["test_cohort"]["T2WI normal"][0] > 0.7
    assert "oracle_auc" not in manifest.metrics
    assert "simulated" not in manifest.training_data + manifest.intended_use
    assert manifest.protocol[Sequence.T2WI]["te_ms"] == (75, 75)
    assert manifest.training_data in (tmp_path / "cache" / "training.html").read_text()


def test_a_cohort_of_one_scanner_is_refused_before_anything_is_measured(tmp_path):
    for number in range(8):
        facts = CaseFacts(f"C{number}", f"P{number}", SCANNERS[0], label=number % 2)
        write_case(tmp_path, facts, {sequence: volume(10 * number + n) for n, sequence in enumerate(ANALYSED)})
    with pytest.raises(CohortError, match="all cases are of one scanner"):
        labelled_cohort(tmp_path, folds=3)


def test_a_cohort_whose_t2wi_has_no_repetition_time_is_refused_before_anything_is_measured(cohort, tmp_path):
    shutil.copytree(cohort, tmp_path / "cohort")
    (tmp_path / "cohort" / "C03" / "T2WI.json").write_text('{"te_ms": 75}')
    with pytest.raises(CohortError, match=r"^case C03: T2WI.json lacks tr_ms or te_ms; with the field strength they"):
        labelled_cohort(tmp_path / "cohort", folds=3)

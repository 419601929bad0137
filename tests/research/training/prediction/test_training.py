"""The training command on a cohort that is already in its cache: no simulation, everything after it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict, replace
from itertools import islice, product

import numpy as np
import pytest
from typer.testing import CliRunner

import node.cli.main
from models.errors import ModelError
from models.manifest import Manifest
from models.prediction.predictor import load_predictor, predict
from models.radiomics.extraction import expected_names
from models.radiomics.settings import load_settings
from models.research.errors import MissingPackageError
from models.research.evaluation.prediction_table import read_predictions
from models.research.phantom.cohort import seeds_with_grade
from models.research.phantom.scanners import load_scanners
from models.research.training.bundles import save_weights
from models.research.training.prediction import cases as prediction_cases
from models.research.training.prediction import train as prediction
from models.research.training.prediction.cases import MeasuredCase
from models.sequence import ANALYSED
from models.super_resolution.inference import load_super_resolver
from models.super_resolution.network import build_generator

NAMES = [f"{s}|{r}|{n}" for s, r, n in product(ANALYSED, ("normal", "super"), sorted(expected_names(load_settings())))]
SCANNERS = load_scanners()
#: Both classes are among the last 16 of the 48 cases.
FIRST = 20


def case(seed: int) -> MeasuredCase:
    """Features of noise, but for one a sequence and resolution that follows the label's parameter."""
    random = np.random.default_rng(seed)
    label = int(random.uniform() < 0.5)
    t1 = random.normal(1500 + 300 * label, 100)
    features = dict(zip(NAMES, random.normal(size=len(NAMES)).tolist(), strict=True))
    features |= {name: t1 / 100 for name in NAMES if name.endswith("|original_glcm_JointEntropy")}
    return MeasuredCase(seed, SCANNERS[seed % 3].name, label, {"oracle_probability": t1 / 4000}, 20.0, features, {})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Super-resolution bundle, prediction bundle and cache after the command has run on 48 cached cases."""
    root = tmp_path_factory.mktemp("training")
    generator = Manifest(
        name="untrained",
        version="0",
        kind="super-resolution",
        input_sequences=ANALYSED,
        architecture={"features": 2, "blocks": 1},
        factor=(1, 1, 4),
        training_data="none",
        seed=0,
        command="a test",
    )
    save_weights(root / "super", generator, build_generator(generator))
    folder = root / "cache" / prediction_cases.cache_key(root / "super")
    folder.mkdir(parents=True)
    for seed in islice(seeds_with_grade(FIRST), 48):
        (folder / f"{seed:05d}.json").write_text(json.dumps(asdict(case(seed))))
    folders = ["--super-resolution", root / "super", "--out", root / "bundle", "--cache", root / "cache"]
    options = [
        *folders,
        "--cases",
        48,
        "--first-seed",
        FIRST,
        "--folds",
        3,
        "--workers",
        1,
        "--no-search",
        "--combat",
        "--test-cases",
        16,
    ]
    result = CliRunner().invoke(prediction.app, [str(option) for option in options])
    assert result.exit_code == 0, result.output
    return root


def test_the_command_writes_a_bundle_of_eight_models_that_predicts(trained):
    predictor = load_predictor(trained / "bundle")
    answer = predict(case(1000).features, predictor)
    assert answer.main.name == "All-sequence super"
    assert len(answer.others) == 7
    assert "imulated" in predictor.catalogue.target.name
    assert "simulated" in predictor.manifest.training_data
    assert predictor.manifest.settings["super_resolution"]["name"] == "untrained"


def test_models_after_combat_are_in_the_report_and_in_no_table_that_others_read(trained):
    report = (trained / "cache" / "prediction.md").read_text()
    assert "| All-sequence super | catboost after ComBat |" in report
    assert "32 of 32 |" in report, "no scanner has the cases that ComBat needs"
    assert "ComBat" not in (trained / "cache" / "predictions.csv").read_text()


def test_combat_without_its_package_stops_before_anything_is_measured(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "combatlearn", None)
    result = CliRunner().invoke(prediction.app, ["--combat", "--cache", str(tmp_path / "cache")])
    assert isinstance(result.exception, MissingPackageError)
    assert not (tmp_path / "cache").exists()


def test_the_models_find_the_feature_that_carries_the_label(trained):
    predictor = load_predictor(trained / "bundle")
    metrics = predictor.manifest.metrics
    assert metrics["oracle_auc"] > 0.8
    for card in predictor.catalogue.models:
        strongest = max(card.features, key=lambda feature: feature.weight)
        assert strongest.name.endswith("|original_glcm_JointEntropy")
        assert card.cross_validated_auc > 0.7
        assert sum(feature.weight for feature in card.features) == pytest.approx(1)


def test_the_features_of_a_model_stay_within_its_inputs_and_resolution(trained):
    for card in load_predictor(trained / "bundle").catalogue.models:
        prefixes = {tuple(feature.name.split("|")[:2]) for feature in card.features}
        assert prefixes <= {(str(sequence), card.resolution) for sequence in card.inputs}


def test_the_tables_of_the_training_are_those_that_the_evaluation_takes(trained):
    table, features = (str(trained / "cache" / f"{name}.csv") for name in ("predictions", "features"))
    options = ["--features", features, "--bundle", str(trained / "bundle"), "--draws", "100"]
    result = CliRunner().invoke(node.cli.main.app, ["evaluate", table, "--out", str(trained / "evaluation"), *options])
    assert result.exit_code == 0, result.output
    assert "All-sequence, test cohort: AUC" in result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("All-sequence, test cohort")]
    area = load_predictor(trained / "bundle").manifest.metrics["test_cohort"]["All-sequence super"][0]
    assert f"AUC {area:.3f} at super-resolution" in line
    assert "original_glcm_JointEntropy" in (trained / "evaluation" / "feature-stability.csv").read_text()
    assert "oracle" in (trained / "evaluation" / "oracle.csv").read_text().casefold()


def test_probabilities_of_fitted_cases_are_out_of_fold_and_the_last_seeds_are_tested_on(trained):
    predictions = read_predictions(trained / "cache" / "predictions.csv")
    assert predictions.about.training_probabilities == "out-of-fold"
    assert predictions.about.simulated
    tested = [int(case) for case in predictions.cases[predictions.cohorts == "test"]]
    fitted = [int(case) for case in predictions.cases[predictions.cohorts == "training"]]
    assert (len(fitted), len(tested)) == (32, 16)
    assert max(fitted) < min(tested)


def test_a_case_under_other_masks_comes_with_the_true_mask_first():
    twice = replace(case(2), perturbed=tuple(case(seed).features for seed in (3, 4, 5)))
    table = prediction.complete_cases([case(1), twice])
    assert table.perturbed.rows.tolist() == [1]
    assert table.perturbed.values.shape == (1, 4, len(NAMES))
    assert np.array_equal(table.perturbed.values[0, 0], table.values[1])
    assert table.perturbed.values[0, 2, 7] == case(4).features[table.names[7]]


def test_a_simulated_case_has_every_feature_at_every_resolution_with_its_provenance(trained, monkeypatch):
    unfiltered = load_settings().model_copy(update={"image_types": {"Original": {}}})
    monkeypatch.setattr(prediction_cases, "load_settings", lambda: unfiltered)
    resolver = load_super_resolver(trained / "super")
    made, (measured, other) = prediction_cases.make_case(1, "UIH uMR 770", resolver, perturbations=1)
    resolutions = ("normal", "super", "cubic", "none")
    names = sorted(expected_names(unfiltered))
    assert made.features.keys() == {f"{s}|{r}|{n}" for s, r, n in product(ANALYSED, resolutions, names)}
    assert made.perturbed == (other.features,)
    assert made.perturbed[0].keys() == {name for name in made.features if name.split("|")[1] in ("normal", "super")}
    assert made.perturbed[0] != {name: made.features[name] for name in made.perturbed[0]}
    assert made.label in (0, 1)
    assert 0 < made.oracle["oracle_probability"] < 1
    volume = "original_shape_VoxelVolume"
    volumes = [made.features[f"{s}|{r}|{volume}"] / 1000 for s, r in product(ANALYSED, resolutions)]
    assert volumes == pytest.approx([made.volume_ml] * 12, rel=0.3)
    for sequence in ANALYSED:
        masks = {r: measured.provenance[f"{sequence}|{r}"].mask_digest for r in resolutions}
        assert masks["super"] == masks["cubic"] != masks["normal"] == masks["none"]
        assert made.features[f"{sequence}|cubic|{volume}"] == made.features[f"{sequence}|super|{volume}"]
        assert not measured.provenance[f"{sequence}|none"].settings["resampled_spacing_mm"][0]


def test_the_first_patients_of_each_scanner_are_measured_under_other_masks_too():
    listed = list(prediction_cases.patients(60, 0, perturbed_cases=12))
    chosen = Counter(scanner for _, scanner, masks in listed if masks)
    assert chosen == {scanner.name: 2 for scanner in SCANNERS}
    assert listed[:30] == list(prediction_cases.patients(30, 0, perturbed_cases=12))


def test_a_case_with_a_gap_is_left_out_and_a_cohort_of_gaps_refused():
    whole = case(1)
    gap = replace(whole, features={name: 1.0 for name in NAMES[1:]})
    assert len(prediction.complete_cases([whole, gap]).labels) == 1
    with pytest.raises(ModelError, match="none of 1 cases"):
        prediction.complete_cases([gap])

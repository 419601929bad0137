"""The prediction bundle: strict loading, the right model for what is there, repeatable answers."""

from __future__ import annotations

import itertools
import json
import shutil

import numpy as np
import pytest
from catboost import CatBoostClassifier

from models.errors import BundleError
from models.manifest import Manifest, load_manifest
from models.prediction.predictor import load_predictor, predict
from models.prediction.records import Catalogue, CodedConcept, FeatureCard, ModelCard, Target
from models.radiomics.settings import load_settings
from models.research.training.bundles import save_manifest, save_predictor, save_settings
from models.sequence import ANALYSED, Sequence

TARGET = Target("Test grade", "high", CodedConcept("TEST", "99TEST", "Probability of a test"))
INPUTS = (*((sequence,) for sequence in ANALYSED), ANALYSED)
AUC = {"T2WI": 0.61, "DWI": 0.74, "PVP": 0.66, "All-sequence": 0.7}


def model(inputs: tuple[Sequence, ...], resolution: str) -> tuple[ModelCard, CatBoostClassifier]:
    """A model whose probability grows with the sum of one feature a sequence, each from 0 to 1."""
    names = [f"{sequence}|{resolution}|original_firstorder_Mean" for sequence in inputs]
    random = np.random.default_rng(len(inputs))
    table = random.uniform(size=(80, len(names)))
    labels = (table.mean(axis=1) > 0.5).astype(int)
    trees = CatBoostClassifier(
        iterations=20, depth=2, random_seed=1, thread_count=1, verbose=False, allow_writing_files=False
    )
    trees.fit(table, labels)
    trees.set_feature_names(names)
    label = "All-sequence" if len(inputs) == 3 else str(inputs[0])
    card = ModelCard(
        name=f"{label} {resolution}",
        file=f"{label.lower()}-{resolution}.cbm",
        inputs=inputs,
        resolution=resolution,
        features=tuple(FeatureCard(name=name, low=0, high=1, weight=1 / len(names)) for name in names),
        intercept=0.0,
        slope=1.0,
        cutoff=0.5,
        cross_validated_auc=AUC[label] + (0.01 if resolution == "super" else 0),
        cross_validated_auc_interval=(0.5, 0.9),
        leave_one_scanner_out_auc=0.6,
        cases=80,
    )
    return card, trees


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    cards, trees = zip(*(model(*pair) for pair in itertools.product(INPUTS, ("normal", "super"))), strict=True)
    manifest = Manifest(
        name="test-prediction",
        version="0.1.0",
        kind="prediction",
        input_sequences=ANALYSED,
        architecture={},
        training_data="none",
        seed=1,
        command="a test",
    )
    catalogue = Catalogue(target=TARGET, radiomics_digest=load_settings().digest, models=cards)
    save_predictor(folder, manifest, catalogue, trees, load_settings())
    return folder


@pytest.fixture(scope="module")
def predictor(bundle):
    return load_predictor(bundle)


def features(sequences=ANALYSED, resolutions=("normal", "super"), value=0.8) -> dict[str, float]:
    return {f"{s}|{r}|original_firstorder_Mean": value for s in sequences for r in resolutions}


def test_all_eight_models_answer_and_all_sequences_at_super_resolution_is_the_main_one(predictor):
    prediction = predict(features(), predictor)
    assert prediction.main.name == "All-sequence super"
    assert len(prediction.others) == 7
    assert prediction.target == TARGET
    assert prediction.unanswered is None


@pytest.mark.parametrize(
    ("sequences", "resolutions", "main", "answers"),
    [
        (("T2WI", "PVP"), ("normal", "super"), "PVP super", 4),
        (("T2WI",), ("normal", "super"), "T2WI super", 2),
        (("T2WI", "DWI", "PVP"), ("normal",), "DWI normal", 4),
        (("DWI",), ("normal",), "DWI normal", 1),
    ],
)
def test_a_missing_input_leaves_the_best_of_the_other_models(predictor, sequences, resolutions, main, answers):
    prediction = predict(features(sequences, resolutions), predictor)
    assert prediction.main.name == main
    assert 1 + len(prediction.others) == answers


def test_the_first_choice_that_could_not_answer_is_named_with_the_sequences_that_it_lacks(predictor):
    unanswered = predict(features(("T2WI",)), predictor).unanswered
    assert (unanswered.name, unanswered.lacking) == ("All-sequence super", (Sequence.DWI, Sequence.PVP))
    unanswered = predict(features(resolutions=("normal",)), predictor).unanswered
    assert unanswered.lacking == ANALYSED


def test_nothing_is_predicted_from_nothing_or_from_gaps(predictor):
    assert predict({}, predictor) is None
    assert predict({"T2WI|normal|original_shape_Flatness": 1.0}, predictor) is None
    assert predict(features(("T2WI",), value=float("nan")), predictor) is None


def test_the_same_features_give_the_same_probability_in_any_order_and_after_a_reload(bundle, predictor):
    once = predict(features(), predictor)
    turned = dict(reversed(features().items()))
    assert predict(turned, predictor) == once
    assert predict(features(), load_predictor(bundle)) == once


def test_the_probability_follows_the_features(predictor):
    high, low = (predict(features(value=value), predictor).main.probability for value in (0.9, 0.1))
    assert 0 <= low < 0.3 < 0.7 < high <= 1


def test_a_feature_outside_the_training_range_is_flagged_with_its_range(predictor):
    values = features() | {"DWI|super|original_firstorder_Mean": 1.25}
    prediction = predict(values, predictor)
    (flag,) = prediction.main.out_of_range
    assert (flag.name, flag.value, flag.low, flag.high) == ("DWI|super|original_firstorder_Mean", 1.25, 0, 1)
    assert all(not other.out_of_range for other in prediction.others if other.resolution == "normal")


def test_a_changed_model_file_is_refused(bundle, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "changed")
    path = folder / "dwi-super.cbm"
    path.write_bytes(path.read_bytes() + b"\x00")
    with pytest.raises(BundleError, match=r"dwi-super\.cbm has SHA-256"):
        load_predictor(folder)


def test_swapped_models_are_refused_even_with_right_digests(bundle, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "swapped")
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    one, two = "dwi-super.cbm", "dwi-normal.cbm"
    kept = (folder / one).read_bytes()
    (folder / one).write_bytes((folder / two).read_bytes())
    (folder / two).write_bytes(kept)
    manifest["files"][one], manifest["files"][two] = manifest["files"][two], manifest["files"][one]
    path.write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="trained on other features"):
        load_predictor(folder)


def test_a_bundle_holds_the_settings_of_its_features(bundle, predictor):
    assert predictor.radiomics == load_settings(bundle / "radiomics.yaml") == load_settings()
    assert "radiomics.yaml" in predictor.manifest.files


def test_a_bundle_from_before_the_settings_file_has_them_in_its_manifest(bundle, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "before")
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["radiomics.yaml"]
    manifest["settings"] = {"radiomics": load_settings().model_dump(mode="json")}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert load_predictor(folder).radiomics == load_settings()
    manifest["settings"] = {}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="radiomics settings cannot be used"):
        load_predictor(folder)


def test_a_bundle_with_other_settings_than_its_models_were_trained_with_is_refused(bundle, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "other")
    save_settings(load_settings().model_copy(update={"eroded_mm": 1.0}), folder / "radiomics.yaml")
    manifest = load_manifest(folder)
    save_manifest(folder, manifest, tuple(manifest.files))
    with pytest.raises(BundleError, match="the settings in the bundle are"):
        load_predictor(folder)


def test_a_bundle_of_another_kind_is_refused(bundle, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "kind")
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"kind": "prediction"', '"kind": "segmentation"'))
    with pytest.raises(BundleError, match="prediction is needed"):
        load_predictor(folder)

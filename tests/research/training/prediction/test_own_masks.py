"""Patients under masks that the segmentation found: how they are measured, and whether the conclusion stays."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pytest
from catboost import CatBoostClassifier
from typer.testing import CliRunner

from models.analysis import NORMAL, SUPER
from models.errors import ModelError
from models.manifest import Manifest
from models.prediction.predictor import load_predictor
from models.prediction.records import Catalogue, CodedConcept, FeatureCard, ModelCard, Target
from models.radiomics.extraction import expected_names
from models.radiomics.settings import load_settings
from models.radiomics.t2_contrast import SpinEcho
from models.research.phantom.scanners import load_scanners
from models.research.training.bundles import save_predictor, save_weights
from models.research.training.prediction import measure_cases
from models.research.training.prediction.cases import MeasuredCase, patients
from models.research.training.prediction.own_masks import cases as measuring
from models.research.training.prediction.own_masks import compare as own_masks
from models.research.training.prediction.own_masks.cases import OwnMaskCase, case_folder, measure_found, own_mask_cases
from models.research.training.prediction.own_masks.figures import (
    area,
    area_of_all,
    difference,
    verdict,
    without_prediction,
)
from models.research.training.prediction.own_masks.report import report
from models.research.training.prediction.own_masks.subset import Masks, subset
from models.segmentation.inference import load_segmenter
from models.sequence import ANALYSED, Sequence
from models.super_resolution.network import build_generator
from models.volume import Grid, image_from

from ....parts import processor

SHIPPED = measure_cases.WEIGHTS / "segmentation"
PROTOCOL = SpinEcho(tr_ms=4000, te_ms=85, field_strength_t=3)
SEED = 700_424
#: Of the images as they are: filtered ones tell no more of masks, and take most of the time.
UNFILTERED = load_settings().model_copy(update={"image_types": {"Original": {}}})
GRID = Grid((40, 40, 12), (2.0, 2.0, 4.0), (-40.0, -40.0, -24.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))

TARGET = Target("Test grade", "high", CodedConcept("TEST", "99TEST", "Probability of a test"))
INPUTS = (*((sequence,) for sequence in ANALYSED), ANALYSED)
FITTED, HELD_OUT = 20, 60
SEEDS = range(FITTED + HELD_OUT)
NAMES = [f"{sequence}|{resolution}|original_firstorder_Mean" for sequence in ANALYSED for resolution in (NORMAL, SUPER)]
MADE_WITH = {
    "super_resolution": {"name": "sharp", "version": "1", "digest": "abc"},
    "segmentation": {"name": "finder", "version": "2", "digest": "def"},
    "radiomics": {"digest": load_settings().digest},
}


@pytest.fixture(scope="module")
def segmentation(tmp_path_factory):
    """The shipped bundle, or a copy that says that it runs in float32."""
    folder = tmp_path_factory.mktemp("segmentation")
    return processor.bundle(SHIPPED, folder)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """A small super-resolution bundle."""
    folder = tmp_path_factory.mktemp("bundle") / "super-resolution"
    manifest = Manifest(
        name="untrained", version="0", kind="super-resolution", input_sequences=ANALYSED,
        architecture={"features": 2, "blocks": 1}, factor=(1, 1, 4), training_data="none", seed=0, command="a test",
    )  # fmt: skip
    save_weights(folder, manifest, build_generator(manifest))
    return folder


@pytest.fixture(scope="module", autouse=True)
def unfiltered_images_alone():
    """Patients are measured on them, in this process, with the network that the session has converted."""
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(measuring, "load_settings", lambda: UNFILTERED)
        changed.setattr(measuring, "load_segmenter", partial(load_segmenter, installation=processor.installation()))
        yield


@pytest.fixture(scope="module")
def measured(untrained, segmentation, tmp_path_factory):
    """One patient, measured as the node does it, and the cache that keeps it."""
    cache = tmp_path_factory.mktemp("cache")
    (case,) = own_mask_cases(1, 1, SEED, untrained, segmentation, cache, workers=0)
    return case, cache


@pytest.fixture(scope="module")
def segmenter(segmentation):
    return load_segmenter(segmentation, processor.installation())


def of(features: dict[str, float], resolution: str) -> dict[str, float]:
    return {name: value for name, value in features.items() if name.split("|")[1] == resolution}


def test_a_patient_is_measured_under_found_and_true_masks_of_the_same_images(measured):
    case, _ = measured
    columns = itertools.product(ANALYSED, (NORMAL, SUPER), expected_names(UNFILTERED))
    names = {"|".join(column) for column in columns}
    assert case.features.keys() == case.features_each.keys() == case.features_true.keys() == names
    assert all(0.5 < dice < 1 for found in case.dice.values() for dice in (found[NORMAL], found[SUPER]))
    assert case.made_with["super_resolution"]["name"] == "untrained"
    assert case.made_with["radiomics"]["digest"] == UNFILTERED.digest


def test_a_patient_that_is_kept_is_read_and_not_measured_again(measured, untrained, segmentation):
    case, cache = measured
    path = case_folder(untrained, segmentation, cache) / f"{case.seed}.json"
    kept = path.read_text()
    path.write_text(kept.replace('"volume_ml": ', '"volume_ml": 1000'))
    (again,) = own_mask_cases(1, 1, SEED, untrained, segmentation, cache, workers=0)
    path.write_text(kept)
    assert again.volume_ml > 1000
    assert again.features == case.features
    assert len(json.loads((path.parent / "provenance" / path.name).read_text())) == 3


def volumes(size: int, inside: float, outside: float) -> tuple[dict, dict]:
    """Images of every sequence with a box of `size` voxels in the plane, and its masks."""
    mask = np.zeros(GRID.size[::-1], np.uint8)
    part = slice(20 - size // 2, 20 + size // 2)
    mask[3:9, part, part] = 1
    image = np.where(mask, inside, outside).astype(np.float32)
    return {it: image_from(image, GRID) for it in ANALYSED}, {it: image_from(mask, GRID) for it in ANALYSED}


def test_one_mask_is_found_on_super_resolved_images_and_each_ones_own_on_its_images(segmenter):
    acquired, true = volumes(14, 200, 20)
    refined, _ = volumes(26, 200, 20)
    found, measured = measure_found(acquired, refined, true, PROTOCOL, segmenter, {})
    for sequence in ANALYSED:
        size = {
            (resolution, number): features[f"{sequence}|{resolution}|original_shape_MeshVolume"]
            for number, features in enumerate((found.features, found.features_each))
            for resolution in (NORMAL, SUPER)
        }
        assert size[NORMAL, 0] == pytest.approx(size[SUPER, 0])
        assert size[SUPER, 1] == size[SUPER, 0]
        assert size[NORMAL, 1] < 0.8 * size[SUPER, 1]
        assert found.dice[sequence][NORMAL] > found.dice[sequence][SUPER] > 0.3
    assert [len(each.provenance) for each in measured] == [6, 3, 6]


def test_a_tumour_that_is_not_found_leaves_its_features_missing(segmenter):
    images, true = volumes(16, 100, 100)
    found, _ = measure_found(images, images, true, PROTOCOL, segmenter, {})
    assert found.features == found.features_each == {}
    assert found.dice == {"T2WI": {}, "DWI": {}, "PVP": {}}
    assert len(found.features_true) == 6 * len(expected_names(UNFILTERED))


def test_the_command_measures_the_patients_that_a_training_holds_out(untrained, tmp_path):
    folder = case_folder(untrained, SHIPPED, tmp_path)
    folder.mkdir()
    last = [seed for seed, _, _ in patients(5, SEED, 0)][3:]
    for seed in last:
        (folder / f"{seed}.json").write_text(json.dumps(asdict(own_case(case(seed)))))
    options = ["--cases", 5, "--own-masks", 2, "--first-seed", SEED, "--super-resolution", untrained]
    options = [str(option) for option in (*options, "--cache", tmp_path)]
    answer = CliRunner().invoke(measure_cases.app, options)
    assert answer.exit_code == 0, answer.output
    assert [line.split()[1] for line in answer.output.splitlines()[1:]] == [str(seed) for seed in last]
    assert CliRunner().invoke(measure_cases.app, [*options, "--own-masks", "6"]).exit_code == 2


def case(seed: int) -> MeasuredCase:
    """A patient whose features follow the label, and each other, each with an error."""
    random = np.random.default_rng(seed)
    label = seed % 2
    features = {name: float(0.35 + 0.3 * label + random.normal(0, 0.2)) for name in NAMES}
    return MeasuredCase(seed, load_scanners()[seed // 2 % 3].name, label, {}, 10.0, features, {})


def own_case(case: MeasuredCase, **changed) -> OwnMaskCase:
    """The patient as if every found mask were the true one, but for what is `changed`."""
    dice = {sequence: {NORMAL: 1.0, SUPER: 1.0} for sequence in ANALYSED}
    found = OwnMaskCase(
        features=case.features, features_each=case.features, features_true=case.features, dice=dice, seed=case.seed,
        scanner=case.scanner, label=case.label, volume_ml=case.volume_ml, made_with=MADE_WITH, seconds={},
    )  # fmt: skip
    return replace(found, **changed)


def model(inputs: tuple[Sequence, ...], resolution: str) -> tuple[ModelCard, CatBoostClassifier]:
    """A model whose probability grows with the sum of one feature a sequence."""
    names = [f"{sequence}|{resolution}|original_firstorder_Mean" for sequence in inputs]
    table = np.random.default_rng(len(inputs)).uniform(size=(200, len(names)))
    trees = CatBoostClassifier(
        iterations=40, depth=2, random_seed=1, thread_count=1, verbose=False, allow_writing_files=False
    )
    trees.fit(table, (table.mean(axis=1) > 0.5).astype(int))
    trees.set_feature_names(names)
    label = "All-sequence" if len(inputs) == 3 else str(inputs[0])
    card = ModelCard(
        name=f"{label} {resolution}", file=f"{label.lower()}-{resolution}.cbm", inputs=inputs, resolution=resolution,
        features=tuple(FeatureCard(name=name, low=0, high=1, weight=1 / len(names)) for name in names),
        intercept=0.0, slope=0.2, cutoff=0.5, cross_validated_auc=0.7, cross_validated_auc_interval=(0.5, 0.9),
        leave_one_scanner_out_auc=0.6, cases=FITTED,
    )  # fmt: skip
    return card, trees


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A prediction bundle that was fitted on the first patients."""
    folder = tmp_path_factory.mktemp("prediction")
    cards, trees = zip(*(model(*pair) for pair in itertools.product(INPUTS, (NORMAL, SUPER))), strict=True)
    manifest = Manifest(
        name="test-prediction", version="3", kind="prediction", input_sequences=ANALYSED, architecture={},
        training_data="none", seed=1, command="a test", metrics={"cases": FITTED, "positive_cases": 5},
        settings={"super_resolution": MADE_WITH["super_resolution"]},
    )  # fmt: skip
    catalogue = Catalogue(target=TARGET, radiomics_digest=load_settings().digest, models=cards)
    save_predictor(folder, manifest, catalogue, trees, load_settings())
    return folder


@pytest.fixture(scope="module")
def predictor(bundle):
    return load_predictor(bundle)


@pytest.fixture(scope="module")
def cohort() -> list[MeasuredCase]:
    return [case(seed) for seed in SEEDS]


def held_out(cohort: list[MeasuredCase]) -> list[OwnMaskCase]:
    return [own_case(case) for case in cohort[FITTED:]]


def scrambled(cases: list[OwnMaskCase]) -> list[dict[str, float]]:
    """Features of the wrong patients."""
    order = np.random.default_rng(5).permutation(len(cases))
    return [cases[other].features for other in order]


def test_masks_that_are_the_true_ones_give_the_same_conclusion(cohort, predictor, reads_as_before):
    cases = held_out(cohort)
    found = subset(cohort, cases, predictor, SEEDS)
    assert verdict(found).same
    for card in predictor.catalogue.models:
        test = difference(found, card.name, Masks.NODE, Masks.TRUE)
        assert (test.difference, test.low, test.high, test.p) == (0, 0, 0, 1)
        assert area(found, Masks.NODE, card.name).auc > 0.7
    text = report(found, cases, predictor, "a command")
    assert "**The same conclusion: no model is shown to have another AUC" in text
    assert "a difference in AUC of up to 0.000 is not excluded on these 60 cases.**" in text
    assert text.count("| yes: no difference shown |") == 8
    assert "| T2WI super | 1.000 (1.000-1.000) | 1.000 | 1.000 (1.000-1.000) | 1.000 |" in text
    assert text.count("| 60 of 60 |") == 8
    assert text == report(found, cases, predictor, "a command")
    # Boosted trees may differ between processors; what is said around their figures does not.
    reads_as_before("own-masks", re.sub(r"\d", "0", text))


def test_features_that_say_nothing_under_the_nodes_masks_give_another_conclusion(cohort, predictor):
    cases = held_out(cohort)
    cases = [replace(case, features=features) for case, features in zip(cases, scrambled(cases), strict=True)]
    found = subset(cohort, cases, predictor, SEEDS)
    assert not verdict(found).same
    assert "All-sequence super" in verdict(found).differing
    test = difference(found, "All-sequence super", Masks.NODE, Masks.TRUE)
    true, own = (area(found, masks, "All-sequence super").auc for masks in (Masks.TRUE, Masks.NODE))
    assert test.difference == pytest.approx(own - true)
    assert test.high < 0
    text = report(found, cases, predictor, "a command")
    assert "**Not the same conclusion: the AUC is another under the node's masks" in text


def test_the_conclusion_says_how_large_a_difference_the_cases_cannot_exclude(cohort, predictor):
    few = held_out(cohort)[:12]
    cases = [replace(case, features=case.features | {NAMES[0]: 0.5}) for case in few]
    found = subset(cohort, cases, predictor, SEEDS)
    test = difference(found, "T2WI normal", Masks.NODE, Masks.TRUE)
    text = report(found, cases, predictor, "a command")
    assert verdict(found).reach == pytest.approx(max(abs(test.low), abs(test.high)))
    assert verdict(found).reach > 0.2
    assert f"{verdict(found).reach:.3f} from 0" in text


def test_a_mask_for_each_resolution_that_spoils_one_of_them_is_told_from_the_nodes(cohort, predictor):
    cases = held_out(cohort)
    cases = [
        replace(case, features_each=of(other, NORMAL) | of(case.features, SUPER))
        for case, other in zip(cases, scrambled(cases), strict=True)
    ]
    found = verdict(subset(cohort, cases, predictor, SEEDS))
    assert found.differing == ()
    assert ("All-sequence", Masks.EACH) in found.flipped
    assert {masks for _, masks in found.flipped} == {Masks.EACH}
    text = report(subset(cohort, cases, predictor, SEEDS), cases, predictor, "a command")
    assert "| no: higher instead of no difference shown |" in text
    assert "All-sequence under each resolution's own masks" in text


def test_a_tumour_that_is_not_found_is_counted_and_has_the_share_of_the_positive_class(cohort, predictor):
    cases = held_out(cohort)
    seen = {name: value for name, value in cases[0].features.items() if not name.startswith("DWI")}
    dice = cases[0].dice | {"DWI": {}}
    cases[0] = replace(cases[0], features=seen, features_each=seen, dice=dice)
    found = subset(cohort, cases, predictor, SEEDS)
    counts = {card.name: without_prediction(found, Masks.NODE, card.name) for card in predictor.catalogue.models}
    lacking = {name for name, count in counts.items() if count == 1}
    assert lacking == {"DWI normal", "DWI super", "All-sequence normal", "All-sequence super"}
    assert found.prevalence == 5 / FITTED
    scores = found.probabilities[Masks.TRUE]["DWI super"].copy()
    scores[0] = found.prevalence
    wins = scores[found.labels == 1][:, None] - scores[found.labels == 0][None]
    assert area_of_all(found, Masks.NODE, "DWI super").auc == pytest.approx((np.sign(wins) / 2 + 0.5).mean())
    text = report(found, cases, predictor, "a command")
    assert "| 60 | 1.000 (1.000) | 1.000 (1.000), 1 not found |" in text
    assert "DWI super (1)" in text


def test_too_few_patients_are_not_judged(cohort, predictor):
    cases = held_out(cohort)[:3]
    found = subset(cohort, cases, predictor, SEEDS)
    assert not verdict(found).same
    assert "**Not judged" in report(found, cases, predictor, "a command")


def test_patients_that_the_models_have_seen_are_refused(cohort, predictor):
    with pytest.raises(ModelError, match="case 19 is not among the 60 held-out cases"):
        subset(cohort, [own_case(cohort[19]), *held_out(cohort)], predictor, SEEDS)


def test_features_of_other_weights_or_settings_than_the_models_take_are_refused(cohort, predictor):
    for name, said in (("super_resolution", "trained on sharp 1"), ("radiomics", "other radiomics settings")):
        made_with = MADE_WITH | {name: MADE_WITH[name] | {"digest": "another"}}
        cases = [replace(case, made_with=made_with) for case in held_out(cohort)]
        with pytest.raises(ModelError, match=said):
            subset(cohort, cases, predictor, SEEDS)
        with pytest.raises(ModelError, match="with different bundles"):
            subset(cohort, [cases[0], *held_out(cohort)[1:]], predictor, SEEDS)


def test_the_command_writes_the_report_and_tells_the_conclusion(cohort, bundle, tmp_path):
    for name, cases in {"true": cohort, "own": held_out(cohort)}.items():
        (tmp_path / name).mkdir()
        for each in cases:
            (tmp_path / name / f"{each.seed:05d}.json").write_text(json.dumps(asdict(each)))
    options = ["--bundle", bundle, "--measured", tmp_path / "true", "--own-masks", tmp_path / "own"]
    options = [str(option) for option in (*options, "--report", tmp_path / "report.md")]
    answer = CliRunner().invoke(own_masks.app, options)
    assert answer.exit_code == 0, answer.output
    assert answer.output.startswith("The same conclusion")
    text = (tmp_path / "report.md").read_text()
    assert text.startswith("# Prediction under the node's own masks: Test grade")
    assert "60 simulated patients on 3 simulated scanners, seeds 20 to 79, 30 positive" in text
    assert "Masks found by sharp 1, finder 2." in text

"""The evaluation of a segmentation: what is judged on which grid, what is kept, what the tables say."""

import csv
import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from models.analysis import mask_on
from models.manifest import Manifest, load_manifest
from models.research.evaluation.baselines import IntensityBand
from models.research.phantom.cohort import TEST
from models.research.training.bundles import save_manifest, save_weights
from models.research.training.segmentation.evaluation import Bundles, SegmentationRow, evaluate
from models.research.training.segmentation.held_out_dice import HeldOutCase, Method, by_intensity, segmented
from models.research.training.segmentation.report import report, write_table
from models.segmentation.inference import load_segmenter
from models.segmentation.network import build_network
from models.sequence import ANALYSED, Sequence
from models.super_resolution.inference import load_super_resolver
from models.super_resolution.network import build_generator
from models.volume import grid_of

FEATURES = (4, 4, 4, 4, 4, 4)


def manifest(kind, architecture, factor=None):
    return Manifest(
        name=f"tiny-{kind}",
        version="7",
        kind=kind,
        input_sequences=ANALYSED,
        architecture=architecture,
        factor=factor,
        training_data="nothing",
        seed=1,
        command="none",
    )


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    torch.manual_seed(2)
    network = build_network(FEATURES, 3)
    save_weights(folder / "segmentation", manifest("segmentation", {"features": list(FEATURES)}), network)
    described = manifest("super-resolution", {"features": 4, "blocks": 1}, (1, 1, 4))
    save_weights(folder / "super", described, build_generator(described))
    return Bundles(folder / "segmentation", folder / "super")


@pytest.fixture
def pelvis():
    """Two images of a bright ball of 20 mm in noise, on thick slices, and its mask."""
    z, y, x = np.indices((10, 48, 48))
    ball = (((z - 4.5) * 6) ** 2 + ((y - 24) * 2) ** 2 + ((x - 24) * 2) ** 2 < 400).astype(np.uint8)
    values = np.random.default_rng(1).normal(100, 5, ball.shape) + 200 * ball
    image, mask = sitk.GetImageFromArray(values.astype(np.float32)), sitk.GetImageFromArray(ball)
    for made in (image, mask):
        made.SetSpacing((2.0, 2.0, 6.0))
    both = (Sequence.T2WI, Sequence.PVP)
    return HeldOutCase("1", "Skyra", dict.fromkeys(both, image), dict.fromkeys(both, mask), {})


def test_the_network_is_judged_on_all_images_each_with_the_truth_on_its_grid(pelvis, bundles):
    segmenter, resolver = load_segmenter(bundles.segmentation), load_super_resolver(bundles.super_resolution)
    findings = list(segmented(pelvis, segmenter, resolver))
    assert [(it.method, it.sequence) for it in findings] == [
        (method, sequence)
        for method in (Method.SUPER, Method.ALONE, Method.CUBIC, Method.ACQUIRED)
        for sequence in (Sequence.T2WI, Sequence.PVP)
    ]
    for finding in findings:
        assert grid_of(finding.found) == grid_of(finding.true) == grid_of(finding.image)
    made = {it.method: it for it in findings if it.sequence is Sequence.PVP}
    assert made[Method.SUPER].image.GetSize() == (48, 48, 40)
    volumes = [it.overlap.true_volume_ml for it in made.values()]
    assert volumes == pytest.approx([volumes[-1]] * 4, rel=0.05)


def test_a_mask_continued_between_the_slices_keeps_their_outline(pelvis):
    mask = pelvis.masks[Sequence.T2WI]
    fine = mask_on(mask, grid_of(sitk.Expand(mask, [1, 1, 3])))
    assert np.array_equal(sitk.GetArrayFromImage(fine)[1::3], sitk.GetArrayFromImage(mask))


def test_a_baseline_finds_what_intensity_shows(pelvis):
    bands = {Sequence.PVP: IntensityBand(0.8, 6.0)}
    found = {it.method: it.overlap.dice for it in by_intensity(pelvis, bands)}
    assert found[Method.WALL] > 0.9


def row(**changes):
    facts = {
        "cohort": "test",
        "seed": 1,
        "scanner": "Skyra",
        "sequence": "T2WI",
        "method": "super-resolved",
        "true_ml": 10.0,
        "found_ml": 11.0,
        "dice": 0.9,
        "hausdorff_95_mm": 2.0,
        "seconds": 1.0,
    }
    return SegmentationRow(**facts | changes)


def test_a_case_that_was_judged_is_read_and_not_made_again(bundles, tmp_path):
    folder = tmp_path / bundles.digest
    folder.mkdir()
    kept = asdict(row(seed=TEST.seeds[0], true_ml=1.5, hausdorff_95_mm=None))
    (folder / f"{TEST.seeds[0]}.json").write_text(json.dumps([kept]))
    rows = list(evaluate([(TEST, 1)], bundles, tmp_path, workers=1))
    assert [(it.true_ml, it.hausdorff_95_mm) for it in rows[0]] == [(1.5, None)]


def test_other_weights_are_judged_anew(bundles, tmp_path):
    torch.manual_seed(3)
    described = manifest("segmentation", {"features": list(FEATURES)})
    save_weights(tmp_path / "other", described, build_network(FEATURES, 3))
    assert Bundles(tmp_path / "other", bundles.super_resolution).digest != bundles.digest


def test_a_changed_threshold_of_the_manifest_is_judged_anew(bundles, tmp_path):
    shutil.copytree(bundles.segmentation, tmp_path / "other")
    described = load_manifest(tmp_path / "other")
    changed = described.model_copy(update={"settings": {**described.settings, "threshold": 0.9}})
    save_manifest(tmp_path / "other", changed, tuple(described.files))
    assert load_segmenter(tmp_path / "other").settings.threshold == 0.9
    assert Bundles(tmp_path / "other", bundles.super_resolution).digest != bundles.digest


def test_the_report_holds_means_by_method_scanner_and_size_and_counts_tumour_free_cases_apart(reads_as_before):
    rows = [
        row(),
        row(seed=2, scanner="uMR 570", true_ml=2.0, found_ml=0.0, dice=0.0, hausdorff_95_mm=None),
        row(seed=3, true_ml=0.0, found_ml=0.7, dice=0.0, hausdorff_95_mm=None),
        row(seed=1, method="acquired", dice=0.8, hausdorff_95_mm=4.0),
    ]
    text = report(rows, manifest("segmentation", {}))
    reads_as_before("segmentation", text)
    assert "| T2WI | super-resolved | 2 | 0.450 | 0.450 | 0.000 | 2.0 | 50% | 1 | 1 of 1 |" in text
    assert "| T2WI | acquired | 1 | 0.800 | 0.800 | 0.800 | 4.0 | 0% | 0 | 0 of 0 |" in text
    assert "| uMR 570 | 1 | 0.000 | 0.000 | 0.000 |  | 0% | 1 | 0 of 0 |" in text
    assert "| 5 to 20 ml | 1 | 0.900 |" in text
    assert "20 to 60 ml" not in text
    assert "Goal: Dice 0.450: missed by 0.500; HD95 2.0 mm: reached." in text


def test_the_table_lists_every_case_in_a_fixed_order(tmp_path):
    write_table(tmp_path / "rows.csv", [row(seed=2), row(seed=1, hausdorff_95_mm=None)])
    with (tmp_path / "rows.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert [line["seed"] for line in lines] == ["1", "2"]
    assert lines[0]["hausdorff_95_mm"] == ""

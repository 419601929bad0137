"""The shipped weights on a simulated patient that they never saw (a seed of no training)."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import models
from models.manifest import RESEARCH_STATEMENT
from models.research.evaluation.image_quality import compare_images
from models.research.evaluation.overlap import compare
from models.research.networks import tumour_mask, tumour_probabilities
from models.research.phantom.scanners import find_scanner
from models.research.phantom.study import high_resolution, simulate_case
from models.segmentation.inference import load_segmenter
from models.sequence import ANALYSED, Sequence
from models.super_resolution.consistency import disagreement
from models.super_resolution.inference import load_super_resolver, super_resolve
from models.super_resolution.normalisation import intensity_range
from models.volume import grid_of, resample_onto

from ..parts import processor

WEIGHTS = Path(models.__file__).parent / "weights"
#: A floor that an untrained or broken network misses by far; the manifest holds the measured means.
DICE_FLOOR = 0.5


@pytest.fixture(scope="module")
def case():
    """A tumour of 8 ml; those of 2 ml are found but drawn twice as large, which models/weights/README.md says."""
    return simulate_case(111, find_scanner("MR750"))


@pytest.fixture(scope="module")
def segmenter():
    return load_segmenter(WEIGHTS / "segmentation", processor.installation())


@pytest.fixture(scope="module")
def resolver():
    return load_super_resolver(WEIGHTS / "super-resolution", processor.installation())


def test_the_shipped_bundles_say_what_they_are(segmenter, resolver):
    for manifest in (segmenter.manifest, resolver.manifest):
        assert manifest.intended_use == RESEARCH_STATEMENT
        assert "simulated" in manifest.training_data
        assert set(manifest.input_sequences) == set(ANALYSED)
        assert manifest.metrics
    assert resolver.manifest.factor == (1, 1, 4)


def test_the_shipped_bundles_are_small():
    assert sum(path.stat().st_size for path in WEIGHTS.glob("s*/*.safetensors")) < 20_000_000


@pytest.fixture(scope="module")
def probabilities(case, segmenter):
    return tumour_probabilities(case.images, segmenter)


@pytest.mark.parametrize("sequence", list(ANALYSED))
def test_the_tumour_of_an_unseen_patient_is_found(case, segmenter, probabilities, sequence):
    found = tumour_mask(probabilities[sequence], case.images[sequence], segmenter)
    overlap = compare(found, case.masks[sequence])
    assert overlap.dice > DICE_FLOOR
    assert overlap.volume_ml == pytest.approx(overlap.true_volume_ml, rel=0.6)


@pytest.fixture(scope="module")
def resolved(resolver):
    """The surroundings of the tumour: the whole pelvis in thin slices takes ten times as long."""
    case = simulate_case(111, find_scanner("MR750"), region="tumour")
    image = case.images[Sequence.DWI]
    return image, super_resolve(image, resolver), high_resolution(case, Sequence.DWI, region="tumour")


def test_super_resolution_is_closer_to_the_truth_than_linear_interpolation(resolved):
    image, made, truth = resolved
    true = sitk.GetArrayFromImage(truth)
    linear = resample_onto(image, grid_of(truth), sitk.sitkLinear)
    ours = compare_images(sitk.GetArrayFromImage(made), true)
    interpolated = compare_images(sitk.GetArrayFromImage(linear), true)
    assert ours.psnr_db > interpolated.psnr_db + 0.5


@pytest.mark.parametrize(("sequence", "noise"), [(Sequence.T2WI, 0.03), (Sequence.DWI, 0.1)])
def test_super_resolution_averaged_over_its_slices_is_the_input_within_its_noise(case, resolver, sequence, noise):
    image = case.images[sequence]
    left = _disagreement(super_resolve(image, resolver), image)
    assert np.sqrt(np.mean(left**2)) < noise
    # Noise of magnitudes is not centred: the Rician floor goes with it.
    assert abs(left.mean()) < noise / 4


def test_without_denoising_it_is_the_input_within_a_hundredth_of_its_range(case, resolver):
    image = case.images[Sequence.T2WI]
    left = _disagreement(super_resolve(image, resolver, denoise=False), image)
    assert np.sqrt(np.mean(left**2)) < 0.01


def _disagreement(made, image):
    """Share of the intensity range (1, 1, z, y, x)."""
    thin, thick = (torch.from_numpy(sitk.GetArrayFromImage(it))[None, None] for it in (made, image))
    low, high = intensity_range(thick.numpy())
    return disagreement(thin, thick, (1, 1, 4)).numpy() / (high - low)

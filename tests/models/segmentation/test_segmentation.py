"""Segmentation: preprocessing, heads, windows, masks and their plausibility."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from models.errors import BundleError, VolumeError
from models.interruption import Interrupted, ended_by
from models.manifest import Manifest
from models.research.networks import segmenter_of, tumour_mask, tumour_probabilities
from models.research.training.super_resolution.feature_networks import EncoderFeatures
from models.segmentation.inference import InferenceSettings, window_probability
from models.segmentation.network import build_network, final_head
from models.segmentation.preprocessing import PreprocessingSettings, central_region, prepare, prepare_together
from models.sequence import Sequence
from models.volume import grid_of, image_from, resample_onto, volume_ml, with_spacing

FEATURES = (4, 4, 8, 8, 8, 4)
SPACING = (2.0, 2.0, 4.0)
ORDER = (Sequence.T2WI, Sequence.PVP)


def _segmenter(**settings):
    torch.manual_seed(1)
    manifest = Manifest(
        name="tiny",
        version="0",
        kind="segmentation",
        input_sequences=ORDER,
        architecture={"features": FEATURES},
        training_data="none",
        seed=1,
        command="none",
    )
    return segmenter_of(manifest, InferenceSettings(**settings), build_network(FEATURES, 2).eval())


def _pelvis(size=(80, 80, 14), spacing=(2.5, 2.5, 6.0), bias=0.0):
    _, y, x = np.indices(size[::-1]).astype(np.float32)
    body = ((x - size[0] / 2) / 34) ** 2 + ((y - size[1] / 2) / 28) ** 2 < 1
    texture = np.random.default_rng(0).normal(0, 20, body.shape)
    values = np.where(body, 400 + texture + 200 * ((x // 8 + y // 8) % 2), 5) * np.exp(bias * x / size[0])
    image = sitk.GetImageFromArray(values.astype(np.float32))
    image.SetSpacing(spacing)
    image.SetOrigin((-100.0, -95.0, 20.0))
    return image


def _ball(image, centre, radius_mm, inside=0.9, outside=0.0):
    """Probability of a ball about a point given in continuous index."""
    point = np.array(image.TransformContinuousIndexToPhysicalPoint(centre))
    z, y, x = np.indices(image.GetSize()[::-1])
    index = np.stack([x, y, z], -1) * np.array(image.GetSpacing()) + np.array(image.GetOrigin())
    ball = np.linalg.norm(index - point, axis=-1) < radius_mm
    return image_from(np.where(ball, inside, outside).astype(np.float32), grid_of(image))


def _network_grid(size=(60, 60, 30)):
    image = sitk.Image(size, sitk.sitkFloat32)
    image.SetSpacing((2.0, 2.0, 4.0))
    image.SetOrigin((-60.0, -60.0, -60.0))
    return image


def test_a_prepared_volume_has_the_network_spacing_and_unit_variance_in_the_body():
    prepared = prepare(_pelvis(), PreprocessingSettings(spacing_mm=SPACING))
    values = sitk.GetArrayFromImage(prepared)
    assert prepared.GetSpacing() == SPACING
    assert values.dtype == np.float32
    middle = values[central_region(prepared, PreprocessingSettings(spacing_mm=SPACING))]
    assert middle.mean() == pytest.approx(0, abs=1e-4)
    assert middle.std() == pytest.approx(1, abs=1e-4)


def test_air_around_the_body_changes_nothing():
    image = _pelvis()
    wider = sitk.ConstantPad(image, (20, 20, 0), (20, 20, 0), 5.0)
    settings = PreprocessingSettings(spacing_mm=SPACING, n4_iterations=(1,))
    narrow, wide = (prepare(volume, settings) for volume in (image, wider))
    first, second = (sitk.GetArrayFromImage(v)[central_region(v, settings)] for v in (narrow, wide))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.99
    assert np.abs(first - second).mean() < 0.1


def test_n4_removes_most_of_a_smooth_bias():
    flat, biased = (
        sitk.GetArrayFromImage(prepare(_pelvis(bias=b), PreprocessingSettings(spacing_mm=SPACING))) for b in (0.0, 0.8)
    )
    inside = flat > -0.8
    left, right = np.s_[:, :, 20:45], np.s_[:, :, 55:80]
    drift = abs(biased[right][inside[right]].mean() - biased[left][inside[left]].mean())
    uncorrected = PreprocessingSettings(spacing_mm=SPACING, n4_iterations=(1,), n4_spacing_mm=40.0)
    raw = sitk.GetArrayFromImage(prepare(_pelvis(bias=0.8), uncorrected))
    raw_drift = abs(raw[right][inside[right]].mean() - raw[left][inside[left]].mean())
    assert drift < 0.4 * raw_drift


def test_a_volume_that_is_not_finite_is_refused():
    image = _pelvis()
    image[0, 0, 0] = float("inf")
    with pytest.raises(VolumeError, match="not finite"):
        prepare(image, PreprocessingSettings(spacing_mm=SPACING))


def test_a_stack_of_too_few_slices_is_refused():
    with pytest.raises(VolumeError, match="N4 finds no bias field"):
        prepare(_pelvis(size=(80, 80, 1), spacing=(2.5, 2.5, 3.0)), PreprocessingSettings(spacing_mm=SPACING))


def test_a_foreground_of_single_voxels_does_not_stop_the_preparation():
    values = np.ones((20, 40, 40), np.float32)
    values[7, 13, 13] = values[9, 21, 23] = 500
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((2.0, 2.0, 4.0))
    assert np.isfinite(sitk.GetArrayFromImage(prepare(image, PreprocessingSettings(spacing_mm=SPACING)))).all()


def test_the_central_region_is_the_middle_and_never_larger_than_the_volume():
    settings = PreprocessingSettings(spacing_mm=SPACING, central_region_mm=(100.0, 120.0))
    assert central_region(_network_grid(), settings) == (slice(0, 30), slice(0, 60), slice(5, 55))


def test_the_network_gives_four_heads_of_full_size_and_the_last_is_the_deepest():
    network = build_network(FEATURES, 3).eval()
    volume = torch.rand(1, 3, 16, 32, 32)
    heads = network(volume)
    assert [head.shape for head in heads] == [volume.shape] * 4
    heads[0].sum().backward()
    assert network.upcat_0_4.convs.conv_0.conv.weight.grad is None
    network.zero_grad()
    final_head(network(volume)).sum().backward()
    assert network.upcat_0_4.convs.conv_0.conv.weight.grad.abs().sum() > 0


def test_the_borrowed_encoder_is_frozen_but_passes_gradients():
    features = EncoderFeatures(build_network(FEATURES, 3), 3)
    volume = torch.rand(1, 1, 16, 16, 16, requires_grad=True)
    levels = features(volume)
    assert [level.shape[2] for level in levels] == [16, 8]
    assert not any(parameter.requires_grad for parameter in features.parameters())
    sum(level.mean() for level in levels).backward()
    assert volume.grad.abs().sum() > 0


def test_the_sequences_of_a_study_lie_on_the_grid_of_the_first():
    first = _pelvis()
    second = resample_onto(first, with_spacing(grid_of(first), (4.0, 4.0, 3.0)))
    settings = PreprocessingSettings(spacing_mm=SPACING, central_region_mm=(80.0, 90.0))
    channels, grid = prepare_together({Sequence.PVP: second, Sequence.T2WI: first}, ORDER, settings)
    assert channels.shape == (2, 21, 45, 40)
    assert grid.spacing == pytest.approx(SPACING)
    alone = prepare(first, settings)
    assert np.allclose(channels[0], sitk.GetArrayFromImage(alone)[central_region(alone, settings)], atol=1e-3)
    assert np.corrcoef(channels[0].ravel(), channels[1].ravel())[0, 1] > 0.8


def test_preparing_volumes_side_by_side_is_interrupted():
    images = {Sequence.T2WI: _pelvis(), Sequence.PVP: _pelvis()}
    asked = iter((False, False))
    with pytest.raises(Interrupted), ended_by(lambda: next(asked, True)):
        prepare_together(images, ORDER, PreprocessingSettings(spacing_mm=SPACING))


def test_a_sequence_that_is_missing_is_a_channel_of_zeros_and_gets_no_mask():
    settings = PreprocessingSettings(spacing_mm=SPACING)
    channels, _ = prepare_together({Sequence.PVP: _pelvis()}, ORDER, settings)
    assert channels[0].max() == channels[0].min() == 0
    assert channels[1].std() > 0.5
    assert list(tumour_probabilities({Sequence.PVP: _pelvis()}, _segmenter())) == [Sequence.PVP]


def test_a_study_without_any_image_is_refused():
    with pytest.raises(VolumeError, match="none of T2WI, PVP is there"):
        tumour_probabilities({}, _segmenter())


def test_a_constant_image_has_no_tumour():
    segmenter = _segmenter()
    image = _pelvis() * 0 + 30.0
    probability = tumour_probabilities({Sequence.T2WI: image}, segmenter)[Sequence.T2WI]
    assert sitk.GetArrayFromImage(probability).max() == 0
    assert sitk.GetArrayFromImage(tumour_mask(probability, image, segmenter)).max() == 0


def test_the_probability_covers_the_central_region_and_repeats_bit_equal():
    settings = {"spacing_mm": SPACING, "central_region_mm": (80.0, 80.0)}
    segmenter = _segmenter(preprocessing=settings)
    both = {Sequence.T2WI: _pelvis(), Sequence.PVP: _pelvis(bias=0.3)}
    first, second = (tumour_probabilities(both, segmenter) for _ in range(2))
    for sequence in ORDER:
        assert np.array_equal(*(sitk.GetArrayFromImage(it[sequence]) for it in (first, second)))
        assert first[sequence].GetSize() == (40, 40, 21)
        assert first[sequence].GetOrigin() == pytest.approx((-40.25, -35.25, 19.0))


def test_windows_cover_volumes_smaller_than_one_window():
    segmenter = _segmenter()
    values = np.random.default_rng(0).normal(size=(2, 9, 70, 50)).astype(np.float32)
    assert window_probability(values, segmenter.logits, segmenter.settings).shape == (2, 9, 70, 50)


def test_a_sequence_that_the_network_was_not_trained_for_is_refused():
    with pytest.raises(BundleError, match="not trained for DWI"):
        tumour_probabilities({Sequence.DWI: _pelvis()}, _segmenter())


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 5.0), (2.7, 2.7, 7.7), (1.0, 1.0, 1.5)])
def test_the_mask_keeps_the_volume_on_finer_and_coarser_grids(spacing):
    grid = _network_grid()
    probability = _ball(grid, (30, 31, 15), 16.0, inside=1.0)
    size = [round(n * s / t) for n, s, t in zip(grid.GetSize(), grid.GetSpacing(), spacing, strict=True)]
    reference = sitk.Image(size, sitk.sitkFloat32)
    reference.SetSpacing(spacing)
    reference.SetOrigin((-60.0, -60.0, -60.0))
    mask = tumour_mask(probability, reference, _segmenter())
    assert mask.GetPixelID() == sitk.sitkUInt8
    assert mask.GetSize() == reference.GetSize()
    assert volume_ml(mask) == pytest.approx(volume_ml(sitk.Cast(probability > 0.5, sitk.sitkUInt8)), rel=0.08)


def test_only_the_largest_component_is_kept():
    grid = _network_grid()
    two = sitk.Maximum(_ball(grid, (20, 20, 15), 15.0), _ball(grid, (48, 48, 15), 9.0))
    mask = sitk.GetArrayFromImage(tumour_mask(two, grid, _segmenter()))
    assert mask[15, 20, 20] == 1
    assert mask[15, 48, 48] == 0


@pytest.mark.parametrize(
    ("radius", "height"), [(3.0, 0.99), (60.0, 0.99), (15.0, 0.6)], ids=["too small", "too large", "in doubt"]
)
def test_an_implausible_finding_gives_an_empty_mask(radius, height):
    grid = _network_grid()
    mask = tumour_mask(_ball(grid, (30, 30, 15), radius, inside=height), grid, _segmenter())
    assert sitk.GetArrayFromImage(mask).max() == 0

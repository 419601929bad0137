"""Super-resolution: geometry, intensities, agreement with the input, tiling, odd inputs."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from models.errors import VolumeError
from models.interruption import Interrupted, ended_by
from models.manifest import Manifest
from models.research.networks import super_resolver_of
from models.research.training.super_resolution.degradation import noise_deviation
from models.research.training.super_resolution.held_out_image_quality import learned
from models.super_resolution import inference
from models.super_resolution.consistency import (
    THICKNESS_LIMITS,
    agree,
    disagreement,
    profile_of,
)
from models.super_resolution.degradation import SliceProfile
from models.super_resolution.inference import super_resolve
from models.super_resolution.interpolation import cubic_weights, interpolate
from models.super_resolution.network import Generator, build_generator, fold_pixels, shuffle_voxels
from models.super_resolution.normalisation import Modality, intensity_range
from models.volume_files import read, write

OBLIQUE = (0.0, 0.0, 1.0, 0.8, -0.6, 0.0, 0.6, 0.8, 0.0)


def _manifest(factor=(1, 1, 4)):
    return Manifest(
        name="tiny",
        version="0",
        kind="super-resolution",
        input_sequences=("T2WI",),
        architecture={"features": 4, "blocks": 2},
        factor=factor,
        training_data="none",
        seed=1,
        command="none",
    )


def _resolver(factor=(1, 1, 4)):
    torch.manual_seed(5)
    network = build_generator(_manifest(factor)).eval()
    torch.nn.init.normal_(network.tail.weight, std=0.02)
    return super_resolver_of(_manifest(factor), network)


@pytest.fixture
def resolver():
    return _resolver()


def _stack(size=(24, 20, 6), direction=OBLIQUE, seed=2):
    random = np.random.default_rng(seed)
    image = sitk.GetImageFromArray(random.uniform(50, 900, size[::-1]).astype(np.float32))
    image = sitk.DiscreteGaussian(image, 2.0)
    image.SetSpacing((0.7, 0.9, 6.0))
    image.SetOrigin((-80.0, 44.0, 13.0))
    image.SetDirection(direction)
    return image


def test_the_result_covers_the_same_extent_in_slices_of_a_quarter(resolver):
    image = _stack()
    made = super_resolve(image, resolver)
    assert made.GetSize() == (24, 20, 24)
    assert made.GetSpacing() == pytest.approx((0.7, 0.9, 1.5))
    assert made.GetDirection() == image.GetDirection()
    axis = np.array(OBLIQUE).reshape(3, 3)[:, 2]
    assert np.allclose(made.GetOrigin(), np.array(image.GetOrigin()) + axis * (1.5 - 6.0) / 2)
    last = made.TransformContinuousIndexToPhysicalPoint((23.5, 19.5, 23.5))
    assert np.allclose(last, image.TransformContinuousIndexToPhysicalPoint((23.5, 19.5, 5.5)))


def test_the_result_is_float32_in_the_intensities_of_the_input_and_not_negative(resolver):
    image = _stack() * 3.0
    values = sitk.GetArrayFromImage(super_resolve(image, resolver))
    source = sitk.GetArrayFromImage(image)
    assert values.dtype == np.float32
    assert values.min() >= 0
    assert values.mean() == pytest.approx(source.mean(), rel=0.1)


def test_scaling_the_input_scales_the_result(resolver):
    once = sitk.GetArrayFromImage(super_resolve(_stack(), resolver))
    thrice = sitk.GetArrayFromImage(super_resolve(_stack() * 3.0, resolver))
    assert np.allclose(thrice, 3 * once, rtol=1e-3, atol=1.0)


def test_a_constant_stack_stays_constant(resolver):
    image = _stack() * 0 + 240.0
    assert (sitk.GetArrayFromImage(super_resolve(image, resolver)) == 240).all()


def test_tiles_give_what_one_pass_gives(resolver, monkeypatch):
    image = _stack(size=(24, 70, 6))
    whole = sitk.GetArrayFromImage(super_resolve(image, resolver))
    monkeypatch.setattr(inference, "TILE_VOXELS", 24 * 6 * 30)
    heard = []
    tiled = sitk.GetArrayFromImage(super_resolve(image, resolver, heard.append))
    assert np.allclose(tiled, whole, atol=1e-2)
    assert len(heard) > 2
    assert heard == sorted(heard)
    assert heard[-1] == 1


def test_it_ends_between_two_tiles_where_nobody_wants_it_any_more(resolver, monkeypatch):
    monkeypatch.setattr(inference, "TILE_VOXELS", 24 * 6 * 30)
    points = iter((False, False, True))
    with pytest.raises(Interrupted), ended_by(lambda: next(points)):
        super_resolve(_stack(size=(24, 70, 6)), resolver)


def test_the_same_stack_gives_the_same_values(resolver):
    first, second = (sitk.GetArrayFromImage(super_resolve(_stack(), resolver)) for _ in range(2))
    assert np.array_equal(first, second)


def test_the_mirrored_mean_turns_with_its_input_and_is_repeated(resolver):
    image = _stack()
    mean = learned(resolver, "mean", mirrored=True)
    made, again = (mean(image)["mean"] for _ in range(2))
    values, single = (sitk.GetArrayFromImage(it) for it in (made, super_resolve(image, resolver)))
    upside_down = sitk.GetImageFromArray(sitk.GetArrayFromImage(image)[::-1])
    turned = sitk.GetArrayFromImage(mean(upside_down)["mean"])
    assert np.array_equal(values, sitk.GetArrayFromImage(again))
    assert np.allclose(values, turned[::-1], atol=0.01)
    assert not np.allclose(values, single, atol=1)


def test_a_stack_that_is_not_finite_is_refused(resolver):
    image = _stack()
    image[1, 1, 1] = float("nan")
    with pytest.raises(VolumeError, match="not finite"):
        super_resolve(image, resolver)


@pytest.mark.parametrize("factor", [(1, 1, 2), (2, 2, 1), (2, 2, 4), (1, 2, 3)])
def test_every_axis_can_be_refined_over_the_same_extent(factor):
    image = _stack(size=(11, 9, 5))
    made = super_resolve(image, _resolver(factor))
    assert made.GetSize() == tuple(n * f for n, f in zip((11, 9, 5), factor, strict=True))
    corners = [(-0.5, -0.5, -0.5), (10.5, 8.5, 4.5)]
    ends = [(-0.5, -0.5, -0.5), tuple(n - 0.5 for n in made.GetSize())]
    for before, after in zip(corners, ends, strict=True):
        assert np.allclose(
            made.TransformContinuousIndexToPhysicalPoint(after), image.TransformContinuousIndexToPhysicalPoint(before)
        )


@pytest.mark.parametrize("size", [(24, 20, 1), (24, 20, 2), (23, 19, 3), (1, 1, 5), (3, 17, 7)])
def test_few_slices_and_odd_sizes_are_refined_too(resolver, size):
    made = super_resolve(_stack(size=size), resolver)
    assert made.GetSize() == (*size[:2], size[2] * 4)
    assert np.isfinite(sitk.GetArrayFromImage(made)).all()


def _left(made, image, factor=(1, 1, 4)):
    """Input minus what the slices of the result show, and the input (1, 1, z, y, x)."""
    thin, thick = (torch.from_numpy(sitk.GetArrayFromImage(it))[None, None] for it in (made, image))
    return disagreement(thin, thick, factor), thick


@pytest.mark.parametrize("factor", [(1, 1, 4), (2, 2, 1), (2, 2, 4)])
def test_without_denoising_the_result_averaged_over_its_slices_is_the_input(factor):
    image = _stack()
    left, source = _left(super_resolve(image, _resolver(factor), denoise=False), image, factor)
    assert left.abs().max() < 1e-3 * (source.max() - source.min())


def test_denoising_leaves_what_the_network_does_not_trust():
    made, thick = torch.rand(1, 1, 16, 4, 4), torch.rand(1, 1, 4, 4, 4)
    trust = torch.rand(1, 1, 4, 4, 4)
    before = disagreement(made, thick, (1, 1, 4))
    after = disagreement(agree(made, thick, (1, 1, 4), trust), thick, (1, 1, 4))
    assert torch.allclose(after, (1 - trust) * before, atol=1e-4)


def test_denoising_changes_the_result_and_not_denoising_is_exact(resolver):
    image = _stack()
    torch.nn.init.constant_(resolver.network.trust.bias, -4.0)
    kept, _ = _left(super_resolve(image, resolver), image)
    exact, source = _left(super_resolve(image, resolver, denoise=False), image)
    assert exact.abs().max() < 1e-3 * (source.max() - source.min())
    assert kept.abs().max() > 10 * exact.abs().max()


def test_noise_is_measured_in_a_smooth_slice_and_is_zero_in_a_constant_one():
    z, y, x = np.mgrid[:6, :64, :64]
    smooth = (100 * np.sin(y / 9) * np.cos(x / 11) + z).astype(np.float32)
    noise = np.random.default_rng(1).normal(0, 3, smooth.shape).astype(np.float32)
    two = torch.from_numpy(np.stack([smooth + noise, np.full_like(smooth, 5)]))[:, None]
    found = noise_deviation(two).flatten()
    assert float(found[0]) == pytest.approx(3, rel=0.1)
    assert found[1] == 0


def test_agreement_is_the_smallest_change():
    made, other, wanted = torch.rand(1, 1, 16, 3, 3), torch.rand(1, 1, 16, 3, 3), torch.rand(1, 1, 4, 3, 3)
    changed = agree(made, wanted, (1, 1, 4), 1.0)
    assert torch.allclose(agree(changed, wanted, (1, 1, 4), 1.0), changed, atol=1e-5)
    assert (changed - made).norm() < (agree(other, wanted, (1, 1, 4), 1.0) - made).norm()


def test_the_modality_decides_what_becomes_0_and_1():
    values = np.linspace(-900, 1500, 10_000, dtype=np.float32)
    assert intensity_range(values, Modality.CT) == (-1000, 1000)
    assert intensity_range(values, Modality.US) == (-900, 1500)
    assert intensity_range(np.abs(values), Modality.US) == (0, 1500)
    low, high = intensity_range(values, Modality.MR)
    assert low == pytest.approx(-888, abs=1)
    assert high == pytest.approx(1488, abs=1)


def test_echoes_of_8_bits_keep_their_scale(resolver):
    image = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 256, (5, 20, 24)).astype(np.uint8))
    made = sitk.GetArrayFromImage(super_resolve(image, resolver, modality=Modality.US))
    assert made.min() >= 0
    assert made.mean() == pytest.approx(sitk.GetArrayFromImage(image).mean(), rel=0.05)


def test_hounsfield_units_below_zero_are_kept(resolver):
    image = _stack() - 1000.0
    made = sitk.GetArrayFromImage(super_resolve(image, resolver, modality=Modality.CT))
    source = sitk.GetArrayFromImage(image)
    assert made.mean() == pytest.approx(source.mean(), rel=0.05)
    assert made.min() < -500


def test_a_volume_file_becomes_a_finer_one_in_the_same_place(resolver, tmp_path):
    write(_stack(), tmp_path / "thick.nii.gz")
    write(super_resolve(read(tmp_path / "thick.nii.gz"), resolver), tmp_path / "thin.nii.gz")
    made, again = read(tmp_path / "thin.nii.gz"), super_resolve(_stack(), resolver)
    assert np.allclose(made.GetOrigin(), again.GetOrigin(), atol=1e-4)
    assert np.allclose(made.GetDirection(), again.GetDirection(), atol=1e-6)
    assert np.allclose(sitk.GetArrayFromImage(made), sitk.GetArrayFromImage(again), rtol=1e-3, atol=0.1)


def test_an_untrained_generator_interpolates():
    thick = torch.rand(1, 1, 5, 8, 7)
    made, trust = Generator(4, 1, (1, 1, 4))(thick)
    assert torch.equal(made, interpolate(thick, (1, 1, 4)))
    assert trust.shape == thick.shape
    assert torch.allclose(trust, torch.full_like(trust, 0.88), atol=0.001)


def test_cubic_weights_continue_a_line_and_are_edge_aligned():
    weights = cubic_weights(8, 4)
    assert torch.allclose(weights.sum(dim=1), torch.ones(32))
    line = weights @ torch.arange(8.0)
    assert torch.allclose(line[8:24], (torch.arange(8.0, 24) + 0.5) / 4 - 0.5, atol=1e-5)


def test_the_shuffle_lays_the_channels_out_as_neighbouring_slices():
    channels = torch.arange(12.0).reshape(1, 4, 3, 1, 1)
    assert shuffle_voxels(channels, (1, 1, 4))[0, 0, :, 0, 0].tolist() == [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]


def test_unfolding_a_folded_volume_gives_it_back():
    volume = torch.rand(2, 1, 3, 6, 8)
    assert torch.equal(shuffle_voxels(fold_pixels(volume, 2), (2, 2, 1)), volume)


def test_a_factor_that_refines_nothing_is_refused():
    for factor in ((1, 1, 1), (0, 1, 4)):
        with pytest.raises(ValueError, match="one of them from 2"):
            build_generator(_manifest(factor=factor))


@pytest.mark.parametrize(("thickness_mm", "share"), [(4.5, 0.75), (6.9, 1.15)])
def test_slices_with_gaps_or_overlaps_agree_by_their_own_profile(resolver, thickness_mm, share):
    image = _stack()
    thick = torch.from_numpy(sitk.GetArrayFromImage(image))[None, None]
    left = {}
    for given in (None, thickness_mm):
        made = super_resolve(image, resolver, denoise=False, thickness_mm=given)
        thin = torch.from_numpy(sitk.GetArrayFromImage(made))[None, None]
        left[given] = float(disagreement(thin, thick, (1, 1, 4), SliceProfile(thickness=share)).abs().max())
    assert left[thickness_mm] < 0.01
    assert left[None] > 100 * left[thickness_mm]


def test_a_thickness_that_is_the_distance_or_not_known_changes_nothing(resolver):
    wanted = sitk.GetArrayFromImage(super_resolve(_stack(), resolver))
    for thickness_mm in (6.0, 5.98, 0.0, None):
        found = super_resolve(_stack(), resolver, thickness_mm=thickness_mm)
        assert np.array_equal(sitk.GetArrayFromImage(found), wanted)
    assert not np.array_equal(sitk.GetArrayFromImage(super_resolve(_stack(), resolver, thickness_mm=5.0)), wanted)


def test_slices_twice_as_thick_as_their_distance_are_not_believed():
    assert profile_of(6.0, 3.0) == SliceProfile(thickness=THICKNESS_LIMITS[1])
    assert profile_of(0.5, 5.0) == SliceProfile(thickness=THICKNESS_LIMITS[0])
    noise = np.random.default_rng(0).normal(size=(1, 1, 24, 4, 4)).astype(np.float32)
    thick = torch.from_numpy(noise)
    made = agree(interpolate(thick, (1, 1, 4)), thick, (1, 1, 4), 1.0, profile_of(6.0, 3.0))
    assert made.std() < 2 * thick.std()

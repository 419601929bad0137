"""Super-resolution: geometry, intensities, losses and tiling."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from models.errors import VolumeError
from models.manifest import Manifest
from models.super_resolution import inference
from models.super_resolution.degradation import SliceProfile, degrade, thicken
from models.super_resolution.discriminator import Discriminator
from models.super_resolution.inference import SuperResolver, super_resolve
from models.super_resolution.losses import (
    LossWeights,
    discriminator_loss,
    generator_loss,
    gradient_loss,
    perceptual_loss,
)
from models.super_resolution.network import Generator, build_generator, interpolate_slices, shuffle_slices

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


@pytest.fixture
def resolver():
    torch.manual_seed(5)
    network = build_generator(_manifest()).eval()
    torch.nn.init.normal_(network.tail.weight, std=0.02)
    return SuperResolver(_manifest(), network)


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


def test_the_same_stack_gives_the_same_values(resolver):
    first, second = (sitk.GetArrayFromImage(super_resolve(_stack(), resolver)) for _ in range(2))
    assert np.array_equal(first, second)


def test_a_stack_that_is_not_finite_is_refused(resolver):
    image = _stack()
    image[1, 1, 1] = float("nan")
    with pytest.raises(VolumeError, match="not finite"):
        super_resolve(image, resolver)


def test_an_untrained_generator_interpolates():
    thick = torch.rand(1, 1, 5, 8, 8)
    assert torch.equal(Generator(4, 1, 4)(thick), interpolate_slices(thick, 4))


def test_the_shuffle_lays_the_channels_out_as_neighbouring_slices():
    channels = torch.arange(12.0).reshape(1, 4, 3, 1, 1)
    assert shuffle_slices(channels)[0, 0, :, 0, 0].tolist() == [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]


def test_refinement_in_plane_is_refused():
    with pytest.raises(ValueError, match="third axis only"):
        build_generator(_manifest(factor=(2, 2, 4)))


def test_a_slice_profile_weighs_its_own_thin_slices_and_little_of_the_neighbours():
    weights = SliceProfile(thickness=1.0, softness=0.15).weights(5, 4)
    assert torch.allclose(weights.sum(dim=1), torch.ones(5))
    own = weights[2, 8:12].sum()
    assert 0.8 < own < 1.0
    assert weights[2].argmax() in (9, 10)


def test_a_thinner_slice_sees_less_of_its_neighbours():
    thin, full = (SliceProfile(thickness=t, softness=0.1).weights(5, 4)[2, 8:12].sum() for t in (0.8, 1.0))
    assert thin > full


def test_thick_slices_of_interpolated_ones_approximate_the_input():
    random = torch.Generator().manual_seed(1)
    thick = torch.rand(1, 1, 8, 16, 16, generator=random)
    thick = torch.nn.functional.avg_pool3d(thick, 3, 1, 1)
    again = thicken(interpolate_slices(thick, 4), 4, SliceProfile())
    assert (again - thick).abs().mean() < 0.2 * thick.std()


def test_noise_is_repeated_by_its_seed_and_makes_magnitudes():
    thin = torch.zeros(1, 1, 8, 6, 6)
    first, second = (degrade(thin, 4, torch.Generator().manual_seed(9)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.min() >= 0
    assert first.mean() > 0


def test_losses_are_zero_for_equal_volumes_and_grow_with_the_difference():
    true = torch.rand(1, 1, 8, 16, 16)
    features = torch.nn.Conv3d(1, 3, 3)

    class Listed(torch.nn.Module):
        def forward(self, volume):
            return [features(volume)]

    assert gradient_loss(true, true) == 0
    assert gradient_loss(true + 5, true) < 1e-5
    assert perceptual_loss(true, true, Listed()) == 0
    assert perceptual_loss(true + torch.rand_like(true), true, Listed()) > 0


def test_a_weighted_part_without_its_network_is_refused():
    volume = torch.zeros(1, 1, 8, 8, 8)
    with pytest.raises(ValueError, match="perceptual loss has a weight but no network"):
        generator_loss(volume, volume, LossWeights())


def test_ten_steps_lower_both_losses():
    torch.manual_seed(0)
    random = torch.Generator().manual_seed(0)
    thin = torch.zeros(2, 1, 32, 32, 32)
    thin[:, :, 10:21, 8:24, 8:24] = 1.0
    thick = degrade(thin, 4, random)
    generator, judge = Generator(8, 2, 4), Discriminator(features=4)
    made_by = torch.optim.Adam(generator.parameters(), lr=3e-3)
    judged_by = torch.optim.Adam(judge.parameters(), lr=1e-3)
    weights = LossWeights(perceptual=0, adversarial=0.005)
    made_losses, judge_losses = [], []
    for _ in range(10):
        fake = generator(thick)
        judge_loss = discriminator_loss(fake, thin, judge)
        judged_by.zero_grad()
        judge_loss.backward()
        judged_by.step()
        parts = generator_loss(fake, thin, weights, discriminator=judge)
        made_by.zero_grad()
        parts["total"].backward()
        made_by.step()
        made_losses.append(float(parts["l1"]))
        judge_losses.append(float(judge_loss))
    assert made_losses[-1] < 0.9 * made_losses[0]
    assert judge_losses[-1] < judge_losses[0]

"""What super-resolution learns from: slice profiles, pairs, losses, feature networks, and a run that resumes."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.errors import BundleError, ModelError
from models.research.training import loop
from models.research.training.super_resolution.data import SuperResolutionData
from models.research.training.super_resolution.degradation import add_rician_noise, degrade
from models.research.training.super_resolution.discriminator import Discriminator
from models.research.training.super_resolution.feature_networks import scripted
from models.research.training.super_resolution.losses import (
    LossWeights,
    charbonnier_loss,
    discriminator_loss,
    generator_loss,
    gradient_loss,
    perceptual_loss,
)
from models.research.training.super_resolution.real_stacks import cleaned, real_volumes, turned
from models.research.training.super_resolution.stack_pairs import AcquiredPair, ThinStack, random_batch
from models.research.training.super_resolution.train import (
    SuperResolutionRecipe,
    described,
    prepare_run,
    served,
    train_epochs,
)
from models.sequence import Sequence
from models.super_resolution.degradation import SliceProfile, thicken
from models.super_resolution.inference import load_super_resolver
from models.super_resolution.interpolation import interpolate
from models.super_resolution.network import Generator
from models.super_resolution.normalisation import Modality, intensity_range

FACTORS = [(1, 1, 2), (1, 1, 4), (2, 2, 1), (2, 2, 4)]


def test_a_slice_profile_weighs_its_own_thin_slices_and_little_of_the_neighbours():
    weights = SliceProfile(thickness=1.0, softness=0.15).weights(5, 4)
    assert torch.allclose(weights.sum(dim=1), torch.ones(5))
    own = weights[2, 8:12].sum()
    assert 0.8 < own < 1.0
    assert weights[2].argmax() in (9, 10)


def test_slices_with_gaps_see_less_and_overlapping_ones_more_of_their_neighbours():
    gap, full, overlap = (
        SliceProfile(thickness=t, softness=0.1).weights(5, 4)[2, 8:12].sum() for t in (0.75, 1.0, 1.2)
    )
    assert gap > full > overlap


def test_thick_slices_of_interpolated_ones_approximate_the_input():
    generator = torch.Generator().manual_seed(1)
    thick = torch.rand(1, 1, 8, 16, 16, generator=generator)
    thick = torch.nn.functional.avg_pool3d(thick, 3, 1, 1)
    again = thicken(interpolate(thick, (1, 1, 4)), (1, 1, 4), SliceProfile())
    assert (again - thick).abs().mean() < 0.2 * thick.std()


def test_a_size_that_is_no_multiple_of_the_factor_is_refused():
    with pytest.raises(ValueError, match="9 thin voxels along axis 2 are no multiple of 4"):
        thicken(torch.zeros(1, 1, 9, 4, 4), (1, 1, 4), SliceProfile())


def test_noise_is_repeated_by_its_seed_and_makes_magnitudes():
    thin = torch.zeros(1, 1, 8, 6, 6)
    first, second = (degrade(thin, (1, 1, 4), random.Random(9)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.min() >= 0
    assert first.mean() > 0


def test_an_acquired_pair_shows_the_same_slices():
    thin = np.random.default_rng(0).random((40, 20, 20)).astype(np.float16)
    thick = thin.reshape(10, 4, 20, 20).mean(axis=1, dtype=np.float32).astype(np.float16)
    patch, fine = AcquiredPair("pair", thick, thin).draw((4, 8, 8), (1, 1, 4), random.Random(3))
    assert torch.allclose(fine.reshape(4, 4, 8, 8).mean(dim=1), patch, atol=2e-3)


@pytest.mark.parametrize("factor", FACTORS)
def test_a_thin_stack_is_degraded_to_a_patch_of_the_wanted_size(factor):
    y = np.linspace(0, 1, 48, dtype=np.float16)
    stack = ThinStack("ramp", np.broadcast_to(y[:, None, None], (48, 40, 40)).copy())
    thick, thin = random_batch([[stack]], 2, (4, 8, 8), factor, random.Random(1))
    assert thick.shape == (2, 1, 4, 8, 8)
    assert thin.shape == (2, 1, 4 * factor[2], 8 * factor[1], 8 * factor[0])
    assert (thicken(thin, factor, SliceProfile()) - thick).abs().mean() < 0.1


def test_pairs_as_measured_keep_their_noise_and_get_no_more():
    random_ = np.random.default_rng(0)
    clean = np.full((48, 8, 8), 0.5, np.float16)
    measured = (clean + random_.normal(0, 0.1, clean.shape)).astype(np.float16)
    thick, thin = ThinStack("measured", clean, measured, as_measured=1.0).draw((4, 8, 8), (1, 1, 4), random.Random(1))
    assert thin.std() > 0.05
    assert 0 < (thicken(thin[None, None], (1, 1, 4), SliceProfile())[0, 0, 1:-1] - thick[1:-1]).abs().max() < 0.05
    _, thin = ThinStack("clean", clean, measured, as_measured=0.0).draw((4, 8, 8), (1, 1, 4), random.Random(1))
    assert thin.std() == 0


def test_pairs_come_from_the_groups_in_their_shares():
    groups = [[ThinStack("a", np.zeros((16, 4, 4), np.float16))], [ThinStack("b", np.ones((16, 4, 4), np.float16))]]
    _, thin = random_batch(groups, 200, (2, 4, 4), (1, 1, 4), random.Random(1), shares=(0.2, 0.8))
    assert 0.7 < thin.mean() < 0.9


def test_a_flat_patch_is_turned_with_its_whole_batch():
    stack = ThinStack("ramp", np.zeros((16, 6, 12), np.float16))
    shapes = {random_batch([[stack]], 2, (2, 4, 8), (1, 1, 4), random.Random(seed))[1].shape for seed in range(8)}
    assert shapes == {(2, 1, 8, 4, 8), (2, 1, 8, 8, 4)}


def test_a_stack_smaller_than_the_patch_is_continued_by_its_border():
    stack = ThinStack("small", np.full((4, 5, 6), 0.5, np.float16))
    _, thin = stack.draw((4, 8, 8), (1, 1, 4), random.Random(1))
    assert thin.shape == (16, 8, 8)
    assert (thin == 0.5).all()


def test_no_real_volume_is_in_two_parts_and_two_scanners_are_held_out():
    parts = {part: real_volumes(part) for part in ("training", "validation", "test")}
    paths = [volume.path for volumes in parts.values() for volume in volumes]
    assert len(paths) == len(set(paths))
    seen = {volume.scanner for part in ("training", "validation") for volume in parts[part]}
    assert {volume.scanner for volume in parts["test"]} - seen == {"Siemens TrioTim", "Toshiba Titan"}
    assert all(volume.licence for volumes in parts.values() for volume in volumes)


def test_turning_brings_columns_and_rows_to_the_first_axis():
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    along_y, along_x = turned(values)
    assert along_y[2, 1, 3] == values[1, 2, 3]
    assert along_x[3, 1, 2] == values[1, 2, 3]


def test_cleaning_takes_spikes_and_noise_but_leaves_edges():
    edge = np.zeros((2, 32, 32), np.float32)
    edge[:, :, 16:] = 1
    noisy = edge + np.random.default_rng(0).normal(0, 0.03, edge.shape).astype(np.float32)
    noisy[1, 5, 5] = 4
    made = cleaned(noisy)
    assert abs(made[1, 5, 5]) < 0.2
    assert (made - edge).std() < 0.8 * np.delete((noisy - edge).ravel(), 1024 + 5 * 32 + 5).std()
    assert (made[:, :, 16] - made[:, :, 15]).mean() > 0.9


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


def test_a_rounded_l1_loss_is_quadratic_for_small_errors_and_linear_for_large_ones():
    true = torch.zeros(1, 1, 4, 4, 4)
    small, twice, large = (charbonnier_loss(true + error, true, 0.1) for error in (0.001, 0.002, 10.0))
    assert float(twice / small) == pytest.approx(4, rel=0.01)
    assert float(large) == pytest.approx(9.9, rel=0.001)
    assert charbonnier_loss(true + 0.3, true, 0) == pytest.approx(0.3)


def test_any_torchscript_network_gives_the_features(tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 3, 3), torch.nn.ReLU())
    torch.jit.script(network).save(tmp_path / "features.pt")
    features, name = scripted(tmp_path / "features.pt")
    made, true = torch.rand(1, 1, 8, 8, 8, requires_grad=True), torch.rand(1, 1, 8, 8, 8)
    parts = generator_loss(made, true, LossWeights(adversarial=0), features)
    assert torch.equal(features(true)[0], network(true))
    assert parts["perceptual"] > 0
    parts["perceptual"].backward()
    assert made.grad.abs().sum() > 0
    assert name == "TorchScript features.pt"


def test_a_file_that_is_no_torchscript_network_is_refused(tmp_path):
    (tmp_path / "weights.pt").write_bytes(b"nothing")
    with pytest.raises(BundleError, match=r"weights\.pt is no TorchScript network"):
        scripted(tmp_path / "weights.pt")


def test_a_weighted_part_without_its_network_is_refused():
    volume = torch.zeros(1, 1, 8, 8, 8)
    with pytest.raises(ValueError, match="perceptual loss has a weight but no network"):
        generator_loss(volume, volume, LossWeights())


def _magnitudes(shape):
    """MR: bright ellipsoids in arbitrary units, Rician noise."""
    z, y, x = (np.linspace(-1, 1, n) for n in shape)
    inside = (z[:, None, None] ** 2 + y[None, :, None] ** 2 + (x[None, None, :] / 0.7) ** 2) < 0.5
    volume = torch.from_numpy(np.where(inside, 800, 200).astype(np.float32))
    return add_rician_noise(volume, 10, torch.Generator().manual_seed(0)).numpy()


def _hounsfield(shape):
    """CT: air, soft tissue and bone."""
    z, y, x = (np.linspace(-1, 1, n) for n in shape)
    radius = z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2
    return np.select([radius < 0.1, radius < 0.8], [700.0, 40.0], -1000.0).astype(np.float32)


def _echoes(shape):
    """US: 8-bit speckle around a cyst."""
    z, y, x = (np.linspace(-1, 1, n) for n in shape)
    cyst = (z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2) < 0.4
    speckle = np.random.default_rng(0).rayleigh(60, shape)
    return np.clip(np.where(cyst, 0.1, 1.0) * speckle, 0, 255).round().astype(np.float32)


@pytest.mark.parametrize(
    ("modality", "make", "factor"),
    [
        (Modality.MR, _magnitudes, (1, 1, 4)),
        (Modality.CT, _hounsfield, (1, 1, 4)),
        (Modality.US, _echoes, (1, 1, 4)),
        (Modality.MR, _magnitudes, (1, 1, 2)),
        (Modality.CT, _hounsfield, (2, 2, 1)),
        (Modality.US, _echoes, (2, 2, 4)),
    ],
)
def test_ten_steps_lower_the_loss_for_every_modality_and_factor(modality, make, factor):
    torch.manual_seed(0)
    values = make((48, 40, 40))
    low, high = intensity_range(values, modality)
    stack = ThinStack("volume", ((values - low) / (high - low)).astype(np.float16))
    generator, judge = Generator(8, 2, factor), Discriminator(features=4)
    made_by = torch.optim.Adam(generator.parameters(), lr=1e-4)
    judged_by = torch.optim.Adam(judge.parameters(), lr=1e-3)
    weights = LossWeights(perceptual=0)
    made_losses, judge_losses = [], []
    thick, thin = random_batch([[stack]], 2, (4, 16, 16), factor, random.Random(5))
    for _ in range(10):
        fake = served(generator, thick, factor)
        judge_loss = discriminator_loss(fake, thin, judge)
        judged_by.zero_grad()
        judge_loss.backward()
        judged_by.step()
        parts = generator_loss(fake, thin, weights, discriminator=judge)
        made_by.zero_grad()
        parts["total"].backward()
        made_by.step()
        made_losses.append(float((parts["l1"] + parts["gradient"]).detach()))
        judge_losses.append(float(judge_loss.detach()))
    assert made_losses[-1] < made_losses[0]
    assert judge_losses[-1] < judge_losses[0]


RECIPE = SuperResolutionRecipe(
    epochs=4, adversarial_from=2, batches=2, batch_size=2, patch=(4, 8, 8), cases=5, clean=True, real_share=0.5,
    as_measured=0.5, seed=1, learning_rate=1e-3, weights=LossWeights(perceptual=0), factor=(1, 1, 4), features=4,
    blocks=1, fold=2, feature_network="", modality=Modality.MR, devices=1, precision="32-true", data="",
)  # fmt: skip


def _run(folder, epochs, recipe=RECIPE, start_from=None):
    """As many epochs as are left up to `epochs`; returns the run."""
    fabric = loop.start(folder, 1, "cpu", 1, "32-true", 1)
    stack = ThinStack("noise", np.random.default_rng(0).random((40, 16, 16)).astype(np.float16))
    data = SuperResolutionData([[stack]], [[stack]], {}, lambda: iter(()), 1, (Sequence.T2WI,), {}, "noise", "a test")
    run = prepare_run(fabric, folder, recipe, torch.nn.Identity(), start_from)
    train_epochs(run, data, described(recipe, data, "1", ""), until=epochs)
    return run


@pytest.mark.parametrize("stopped", [1, 3])
def test_a_resumed_training_ends_with_the_weights_of_an_unbroken_one(tmp_path, stopped):
    unbroken = _run(tmp_path / "unbroken", 4)
    _run(tmp_path / "broken", stopped)
    resumed = _run(tmp_path / "broken", 4)
    for name in ("generator", "judge"):
        wanted, found = (run.parts[name].state_dict() for run in (unbroken, resumed))
        assert all(torch.equal(wanted[key], found[key]) for key in wanted)


def test_a_folder_is_bound_to_its_recipe_but_for_the_length_of_the_training(tmp_path):
    _run(tmp_path, 1)
    _run(tmp_path, 1, replace(RECIPE, epochs=3))
    with pytest.raises(ModelError, match=r"holds another run \(seed was 1, is 2\)"):
        _run(tmp_path, 1, replace(RECIPE, seed=2))


def test_a_training_begins_with_the_weights_it_is_given(tmp_path):
    first = _run(tmp_path / "first", 3)
    given = load_super_resolver(tmp_path / "first" / "without-adversarial")
    begun = _run(tmp_path / "second", 0, start_from=tmp_path / "first" / "without-adversarial")
    wanted, found = given.network.state_dict(), begun.generator.state_dict()
    assert all(torch.equal(wanted[key], found[key]) for key in wanted)
    assert given.manifest.files["weights.safetensors"] in begun.recipe.start_from
    assert not torch.equal(wanted["tail.weight"], first.generator.state_dict()["tail.weight"])
    with pytest.raises(BundleError, match="give the same as --factor, --features, --blocks and --fold"):
        _run(tmp_path / "third", 0, replace(RECIPE, blocks=2), tmp_path / "first" / "without-adversarial")


def test_the_rate_falls_to_zero_in_either_phase_and_the_second_begins_lower():
    rates = [RECIPE.rate(epoch) for epoch in range(4)]
    assert rates[0] == 1e-3
    assert rates[1] < rates[0]
    assert 0 < rates[3] < rates[2] < rates[0]


def test_perceptual_and_adversarial_loss_join_in_the_second_phase():
    recipe = RECIPE.weights_in(1), RECIPE.weights_in(2)
    assert recipe == (LossWeights(1.0, 0.5, 0.0, 0.0), RECIPE.weights)

"""Training of the segmentation: its loss, its patches and their order."""

import random

import numpy as np
import pytest
import torch
from monai.losses.dice import DiceLoss

from models.research.training.segmentation.augmentation import training_transform
from models.research.training.segmentation.loss import SMOOTH_VOXELS, deep_supervision_loss, soft_dice_loss
from models.research.training.segmentation.patches import Drawing, batches, random_patch
from models.research.training.segmentation.prepared_cases import PreparedCase
from models.segmentation.network import build_network

FEATURES = (4, 4, 8, 8, 8, 4)


def test_every_head_takes_part_in_the_loss():
    heads = build_network(FEATURES, 1)(torch.rand(1, 1, 16, 32, 32))
    for head in heads:
        head.retain_grad()
    deep_supervision_loss(heads, torch.ones(1, 1, 16, 32, 32), torch.ones(1, 1, dtype=torch.bool)).backward()
    assert all(head.grad.abs().sum() > 0 for head in heads)


def test_a_sequence_that_is_left_out_has_no_part_in_the_loss():
    heads = build_network(FEATURES, 2)(torch.rand(1, 2, 16, 32, 32))
    heads[-1].retain_grad()
    deep_supervision_loss(heads, torch.ones(1, 2, 16, 32, 32), torch.tensor([[True, False]])).backward()
    assert heads[-1].grad[0, 0].abs().sum() > 0
    assert heads[-1].grad[0, 1].abs().sum() == 0


def test_ten_steps_lower_the_loss():
    torch.manual_seed(0)
    network = build_network(FEATURES, 1)
    image, mask = torch.randn(1, 1, 16, 32, 32) * 0.1, torch.zeros(1, 1, 16, 32, 32)
    mask[..., 5:11, 10:22, 10:22] = 1
    image += mask
    optimizer = torch.optim.SGD(network.parameters(), lr=3e-2, momentum=0.9, nesterov=True)
    losses = []
    for _ in range(10):
        loss = deep_supervision_loss(network(image), mask, torch.ones(1, 1, dtype=torch.bool))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_the_soft_dice_loss_is_the_dice_loss_where_the_mask_is_hard():
    generator = torch.Generator().manual_seed(3)
    probability = torch.rand(2, 1, 6, 7, 8, generator=generator)
    mask = (torch.rand(2, 1, 6, 7, 8, generator=generator) > 0.6).float()
    by_monai = DiceLoss(smooth_nr=SMOOTH_VOXELS, smooth_dr=SMOOTH_VOXELS)
    assert soft_dice_loss(probability, mask) == pytest.approx(float(by_monai(probability, mask)), abs=1e-5)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_the_soft_dice_loss_is_lowest_at_the_share_of_tumour(share):
    true = torch.full((1, 1, 2, 2, 2), share)
    losses = {p: float(soft_dice_loss(torch.full_like(true, p), true)) for p in np.linspace(0.1, 1, 10).round(1)}
    assert min(losses, key=losses.get) == share


def case_of_three_sequences(known=(True, True, True)):
    """A tumour of 4 x 10 x 10 voxels in noise."""
    shares = np.zeros((3, 20, 70, 70), np.float32)
    shares[:, 8:12, 30:40, 30:40] = 1
    images = np.random.default_rng(4).normal(size=shares.shape).astype(np.float32)
    return PreparedCase("a", images, shares, known)


def patches(known, count):
    """Some patches of the case, the same at every call."""
    transform = training_transform((24, 64, 64))
    transform.set_random_state(7)
    chooser = random.Random(2)
    return [random_patch(case_of_three_sequences(known), transform, chooser) for _ in range(count)]


def test_augmented_patches_have_the_patch_size_and_shares_and_repeat_by_seed():
    made = [patches((True, True, True), 4) for _ in range(2)]
    for (images, shares, _), (again, _, _) in zip(*made, strict=True):
        assert images.shape == shares.shape == (3, 24, 64, 64)
        assert shares.min() == 0
        assert 0.9 < shares.max() <= 1
        assert torch.equal(images, again)


def test_now_and_then_a_sequence_is_left_out_and_one_always_stays():
    counts = set()
    for images, _, known in patches((True, True, True), 40):
        counts.add(int(known.sum()))
        assert (images.abs().sum(dim=(1, 2, 3)) > 0).equal(known)
    assert counts == {1, 2, 3}


def test_a_sequence_that_a_case_lacks_is_never_known():
    assert not any(known[1] for _, _, known in patches((True, False, True), 10))


def test_batches_are_the_same_from_any_number_of_processes_and_from_any_start():
    drawing, cases = Drawing((16, 32, 32), 2, seed=3), [case_of_three_sequences()]
    whole = list(batches(cases, drawing, range(4)))
    assert whole[0][0].shape == (2, 3, 16, 32, 32)
    assert not torch.equal(whole[0][0], whole[1][0])
    resumed = list(batches(cases, drawing, range(2, 4), workers=2))
    for found, wanted in zip(resumed, whole[2:], strict=True):
        assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))

"""Loss of the segmentation against the share of tumour in each voxel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

HEAD_WEIGHTS = (0.1, 0.2, 0.3, 0.4)
"""Of the decoder nodes X(0,1) to X(0,4)."""
SMOOTH_VOXELS = 32.0
"""Added to either side of the Dice: one millilitre on the network's grid. Without it a patch that holds no tumour has a
Dice loss of 1 whatever is found there, and only the cross-entropy, a mean over all voxels, speaks against a finding."""


def deep_supervision_loss(heads: Sequence[torch.Tensor], share: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Soft Dice plus cross-entropy of each head, weighted towards the last.

    Heads and share are (B, C, Z, Y, X); only the channels that are `known`, (B, C) of bool, count.
    """
    true = share[known]
    parts = [weight * _loss(head.float()[known], true) for weight, head in zip(HEAD_WEIGHTS, heads, strict=True)]
    return torch.stack(parts).sum()


def _loss(logits: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    return soft_dice_loss(torch.sigmoid(logits), share) + binary_cross_entropy_with_logits(logits, share)


def soft_dice_loss(probability: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """One minus Dice with the overlap (|p| + |t| - |p - t|) / 2, lowest where p equals t; mean over the first axis.

    Both are (B, Z, Y, X), or of any one shape with what is averaged first.

    The usual product p * t is lowest at a hard mask also where the voxel is half tumour. Source: Wang et al., Dice
    Semimetric Losses (MICCAI 2023), equation 5; for hard masks both are the same.
    """
    axes = tuple(range(1, probability.ndim))
    total = probability.sum(axes) + share.sum(axes)
    apart = (probability - share).abs().sum(axes)
    return (1 - (total - apart + SMOOTH_VOXELS) / (total + SMOOTH_VOXELS)).mean()

"""Pairs of thick and thin patches for super-resolution training, from acquired pairs or from thin slices alone."""

from __future__ import annotations

import random
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from models.research.training.super_resolution.degradation import LARGEST_NOISE, degrade
from models.super_resolution.degradation import Factor

Float16 = npt.NDArray[np.float16]
Pair = tuple[torch.Tensor, torch.Tensor]
"""Thick (Z, Y, X) and thin (fz * Z, fy * Y, fx * X) patch, float32, in units of 0 to about 1."""
Size = tuple[int, int, int]
"""Voxels along z, y, x."""

#: Thick slices on either side that are degraded with a patch and then cut off: the profile reaches beyond its slice.
_MARGIN = 1


class PairSource(Protocol):
    """One stack that pairs are drawn from."""

    @property
    def name(self) -> str: ...

    @property
    def arrays(self) -> tuple[Float16, ...]:
        """All that pairs are made of."""
        ...

    def draw(self, patch: Size, factor: Factor, chooser: random.Random) -> Pair:
        """A pair whose thick patch has the size `patch`; a smaller stack is continued by its border."""
        ...


@dataclass(frozen=True, slots=True)
class AcquiredPair:
    """Slices as a scanner acquired them and the true thin ones, four of them a slice (z, y, x)."""

    name: str
    thick: Float16
    thin: Float16

    FACTOR = (1, 1, 4)

    @property
    def arrays(self) -> tuple[Float16, ...]:
        return self.thick, self.thin

    def draw(self, patch: Size, factor: Factor, chooser: random.Random) -> Pair:
        """As acquired where the factor is x4 through plane; otherwise the thin slices are degraded."""
        if factor != self.FACTOR:
            return ThinStack(self.name, self.thin).draw(patch, factor, chooser)
        start = _random_start(self.thick.shape, patch, chooser)
        return _cut(self.thick, start, patch), _cut(self.thin, _times(start, factor), _times(patch, factor))


@dataclass(frozen=True, slots=True)
class ThinStack:
    """Slices thin enough to be the truth (z, y, x): simulated ones, or a real series turned to a fine axis.

    `thin` is free of noise. Where `measured`, with its own noise, is given, a share `as_measured` of the pairs is made
    of it, and no noise is added: there is then nothing to remove, only to refine.
    """

    name: str
    thin: Float16
    measured: Float16 | None = None
    as_measured: float = 0.0

    @property
    def arrays(self) -> tuple[Float16, ...]:
        return (self.thin,) if self.measured is None else (self.thin, self.measured)

    def draw(self, patch: Size, factor: Factor, chooser: random.Random) -> Pair:
        """Thick patches are made of a thin one by a random slice profile and noise."""
        wide = _times((patch[0] + 2 * _MARGIN, patch[1], patch[2]), factor)
        source, noise = self.thin, LARGEST_NOISE
        if self.measured is not None and chooser.random() < self.as_measured:
            source, noise = self.measured, 0.0
        thin = _cut(source, _random_start(source.shape, wide, chooser), wide)
        thick = degrade(thin[None, None], factor, chooser, noise)[0, 0]
        cut = _MARGIN * factor[2]
        return thick[_MARGIN:-_MARGIN], thin[cut : len(thin) - cut]


def thin_slices(patch: Size, factor: Factor) -> int:
    """Of a stack that a thick patch is degraded from without continuing the stack by its border."""
    return (patch[0] + 2 * _MARGIN) * factor[2]


def random_batch(
    sources: SequenceOf[SequenceOf[PairSource]],
    size: int,
    patch: Size,
    factor: Factor,
    chooser: random.Random,
    shares: SequenceOf[float] | None = None,
) -> Pair:
    """Thick and thin patches (B, 1, z, y, x), each mirrored at random, and all or none of them transposed in plane.

    Each pair comes from one of the groups in `sources`, as likely as `shares` says (equally without it), and there
    from any stack.
    """
    thick, thin = [], []
    for group in chooser.choices(sources, shares, k=size):
        pair = chooser.choice(group).draw(patch, factor, chooser)
        axes = [axis for axis in range(3) if chooser.random() < 0.5]
        thick.append(torch.flip(pair[0], axes))
        thin.append(torch.flip(pair[1], axes))
    batch = torch.stack(thick)[:, None], torch.stack(thin)[:, None]
    if factor[0] == factor[1] and chooser.random() < 0.5:
        return batch[0].transpose(3, 4), batch[1].transpose(3, 4)
    return batch


def _random_start(have: tuple[int, ...], want: Size, chooser: random.Random) -> Size:
    z, y, x = (chooser.randint(0, max(0, a - b)) for a, b in zip(have, want, strict=True))
    return z, y, x


def _times(size: Size, factor: Factor) -> Size:
    return size[0] * factor[2], size[1] * factor[1], size[2] * factor[0]


def _cut(volume: Float16, start: Size, size: Size) -> torch.Tensor:
    piece = volume[tuple(slice(first, first + length) for first, length in zip(start, size, strict=True))]
    patch = torch.from_numpy(piece.astype(np.float32))
    missing = [length - have for length, have in zip(size, patch.shape, strict=True)]
    if any(missing):
        ends = [0, missing[2], 0, missing[1], 0, missing[0]]
        patch = functional.pad(patch[None, None], ends, mode="replicate")[0, 0]
    return patch

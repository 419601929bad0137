"""Thin noise-free slices of simulated cases for super-resolution training, kept on disk."""

from __future__ import annotations

import random
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
import torch
from lightning_fabric import Fabric

from models.phantom.study import high_resolution, simulate_case
from models.super_resolution.inference import intensity_range
from models.training.simulated_cases import CaseKey, source_digest
from models.volume import Sequence

#: Share of rows and columns that is kept: the outer rim is mostly air.
KEPT_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class ThinStack:
    """Thin slices (float16; z, y, x), scaled as the network's input is; `factor` thin slices a thick one."""

    name: str
    thin: npt.NDArray[np.float16]
    factor: int

    def random_patch(self, patch: tuple[int, int, int], chooser: random.Random) -> torch.Tensor:
        """A patch (factor * z, y, x; float32) of `patch` thick voxels, starting between any two thin slices.

        A stack smaller than the patch is continued by its border.
        """
        wanted = (patch[0] * self.factor, patch[1], patch[2])
        starts = [chooser.randint(0, max(0, have - want)) for have, want in zip(self.thin.shape, wanted, strict=True)]
        piece = self.thin[tuple(slice(s, s + want) for s, want in zip(starts, wanted, strict=True))]
        missing = [(0, want - have) for have, want in zip(piece.shape, wanted, strict=True)]
        return torch.from_numpy(np.pad(piece, missing, mode="edge").astype(np.float32))


def load_stacks(fabric: Fabric, keys: SequenceOf[CaseKey], factor: int, cache: Path) -> list[ThinStack]:
    """The thin stacks of all sequences of the cases, simulated where the cache lacks them."""
    stacks: list[ThinStack] = []
    for done, key in enumerate(keys, start=1):
        path = cache / source_digest() / f"{key.seed}-{key.scanner.model.replace(' ', '')}.npz"
        if not path.exists():
            _simulate(key, path)
        with np.load(path) as arrays:
            stacks.extend(
                ThinStack(f"{key.seed} {key.scanner.model} {sequence}", arrays[sequence.value], factor)
                for sequence in Sequence
            )
        if done % 10 == 0:
            fabric.print(f"{done} of {len(keys)} cases ready", flush=True)
    return stacks


def _simulate(key: CaseKey, path: Path) -> None:
    """Scales by the range of the *acquired* volume, which is what serving sees."""
    case = simulate_case(key.seed, key.scanner)
    arrays: dict[str, npt.NDArray[np.float16]] = {}
    for sequence, image in case.images.items():
        low, high = intensity_range(sitk.GetArrayFromImage(image))
        thin = sitk.GetArrayFromImage(high_resolution(case, sequence))
        rows, columns = (round(size * (1 - KEPT_SHARE) / 2) for size in thin.shape[1:])
        inner = thin[:, rows : thin.shape[1] - rows, columns : thin.shape[2] - columns]
        arrays[sequence.value] = ((inner - low) / (high - low)).astype(np.float16)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    partial.replace(path)

"""Random training patches of prepared cases, each from a seed of its own: any number of processes makes the same."""

from __future__ import annotations

import random
from collections.abc import Iterable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass

import torch
from monai.transforms.compose import Compose
from torch.utils.data import DataLoader, Dataset

from models.research.training.segmentation.augmentation import training_transform
from models.research.training.segmentation.prepared_cases import PreparedCase

COMPLETE = 0.6
"""Share of the training patches that keep all sequences of their case; the others keep one, or some."""

Patch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Drawing:
    """How the patches of a run are drawn: `window` voxels (z, y, x) each, `size` to a batch."""

    window: tuple[int, int, int]
    size: int
    seed: int
    rank: int = 0


def batches(cases: SequenceOf[PreparedCase], drawing: Drawing, numbers: range, workers: int = 0) -> Iterable[Patch]:
    """The batches of these numbers: images and shares (B, C, Z, Y, X), and the channels that count (B, C).

    `workers`: processes that make them ahead; with 0 each is made when it is asked for. They are forked, so ask for the
    first batch before the network computes.
    """
    if not numbers:
        return ()
    patches = range(numbers.start * drawing.size, numbers.stop * drawing.size)
    return DataLoader(
        _Patches(cases, drawing),
        batch_size=drawing.size,
        sampler=patches,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
    )


class _Patches(Dataset[Patch]):
    """Patch by number."""

    def __init__(self, cases: SequenceOf[PreparedCase], drawing: Drawing) -> None:
        self.cases, self.drawing = cases, drawing
        self.transform = training_transform(drawing.window)

    def __getitem__(self, number: int) -> Patch:
        chooser = random.Random(f"{self.drawing.seed} {self.drawing.rank} {number}")
        self.transform.set_random_state(chooser.getrandbits(31))
        return random_patch(chooser.choice(self.cases), self.transform, chooser)


def random_patch(case: PreparedCase, transform: Compose, chooser: random.Random) -> Patch:
    """Augmented images and shares of tumour (C, Z, Y, X), and the channels that count (C,).

    Some patches do without some of the sequences, so that the network also works on a study that lacks them.
    """
    made = transform({"images": case.images, "shares": case.shares})
    kept = [channel for channel, known in enumerate(case.known) if known]
    if len(kept) > 1 and chooser.random() >= COMPLETE:
        kept = chooser.sample(kept, chooser.randrange(1, len(kept)))
    known = torch.zeros(len(case.known), dtype=torch.bool)
    known[kept] = True
    return made["images"].float() * known[:, None, None, None], made["shares"].float(), known

"""Trains the tumour segmentation on simulated studies and writes its bundle.

The full recipe is 500 epochs of 1000 batches (`--epochs 500 --batches 1000`); the shipped weights come from a
shorter run, and their manifest says so. One pass from top to bottom: data, network, epochs, test, bundle.
"""

from __future__ import annotations

import random
import shlex
import sys
import time
from collections.abc import Sequence as SequenceOf
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from lightning_fabric import Fabric
from monai.losses.dice import DiceCELoss
from torch import nn

from models import bundle
from models.manifest import Manifest
from models.phantom.scanners import Scanner, load_scanners
from models.segmentation.augmentation import training_transform
from models.segmentation.inference import KIND, InferenceSettings, Segmenter, window_probability
from models.segmentation.network import build_network
from models.training import loop
from models.training.held_out_dice import test_metrics
from models.training.protocol_range import protocol_range
from models.training.simulated_cases import CaseKey, PreparedCase, case_keys, prepared_sequences
from models.volume import Sequence

#: Weights of the losses of the decoder nodes X(0,1) to X(0,4).
HEAD_WEIGHTS = (0.1, 0.2, 0.3, 0.4)
MOMENTUM = 0.99
GRADIENT_CLIP = 12.0


class Optimizer(StrEnum):
    """How the weights are moved."""

    SGD = "sgd"
    ADAMW = "adamw"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What determines the weights, apart from the code."""

    epochs: int
    batches: int
    cases: int
    seed: int
    optimizer: Optimizer
    learning_rate: float
    features: tuple[int, ...]
    trained_on: tuple[str, ...]


def main(
    folder: Annotated[Path, typer.Option(help="logs, checkpoints and cached cases")] = Path("runs/segmentation"),
    output: Annotated[Path, typer.Option(help="folder of the bundle")] = Path("models/weights/segmentation"),
    version: Annotated[str, typer.Option(help="version in the manifest")] = "0.1.0",
    epochs: Annotated[int, typer.Option(min=1)] = 500,
    batches: Annotated[int, typer.Option(min=1, help="patches (batch size 1) an epoch")] = 1000,
    cases: Annotated[int, typer.Option(min=5, help="simulated cases, split 8:2")] = 200,
    test_cases: Annotated[int, typer.Option(min=0, help="held-out cases of each group of scanners")] = 12,
    seed: Annotated[int, typer.Option(help="of weights, patches and split")] = 20,
    first_case: Annotated[int, typer.Option(help="seed of the first training case")] = 100_000,
    first_test_case: Annotated[int, typer.Option(help="seed of the first held-out case")] = 900_000,
    held_out: Annotated[str, typer.Option(help="models never trained on, comma separated")] = "uMR 570,Skyra",
    optimizer: Annotated[
        Optimizer, typer.Option(help="sgd is the recipe; adamw gets further in a short run")
    ] = Optimizer.SGD,
    learning_rate: Annotated[float, typer.Option(help="at the start; falls as (1 - t) ** 0.9")] = 1e-3,
    features: Annotated[str, typer.Option(help="widths of the U-Net++")] = "16,16,32,64,128,16",
    accelerator: Annotated[str, typer.Option()] = "auto",
    devices: Annotated[int, typer.Option(min=1)] = 1,
    precision: Annotated[str, typer.Option(help="bf16-mixed on a GPU; on a CPU see loop.start")] = "32-true",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads")] = 2,
) -> None:
    """Train, keep the network with the best validation Dice, test it on held-out cases, write the bundle."""
    others = tuple(name.strip() for name in held_out.split(",") if name.strip())
    known, unknown = split_scanners(others)
    recipe = Recipe(
        epochs,
        batches,
        cases,
        seed,
        optimizer,
        learning_rate,
        widths(features),
        tuple(scanner.model for scanner in known),
    )
    settings = InferenceSettings()
    fabric = loop.start(folder, seed, accelerator, devices, precision, threads)

    cache = folder.parent / "cache" / "segmentation"
    training_keys, validation_keys = split_cases(case_keys(first_case, cases, known), seed)
    training = load_cases(fabric, training_keys, settings, cache)
    validation = load_cases(fabric, validation_keys, settings, cache)[:: len(Sequence) + 1]

    network = build_network(recipe.features)
    prepared_network, prepared_optimizer = fabric.setup(network, build_optimizer(optimizer, network, learning_rate))
    parts = {"network": prepared_network, "optimizer": prepared_optimizer}
    progress = loop.resume(fabric, folder, **parts)

    while progress.epoch < epochs:
        began = time.perf_counter()
        loop.set_rate(prepared_optimizer, loop.poly_rate(learning_rate, progress.epoch, epochs))
        loss = train_epoch(fabric, prepared_network, prepared_optimizer, training, settings, recipe, progress.epoch)
        dice = validation_dice(network, validation, settings)
        if dice > progress.best_score:
            progress.best_score, progress.best_epoch = dice, progress.epoch
            if fabric.is_global_zero:
                torch.save(network.state_dict(), folder / "best.pt")
        fabric.log_dict({"loss": loss, "validation_dice": dice}, step=progress.epoch)
        progress.epoch += 1
        loop.save_checkpoint(fabric, folder, progress, **parts)
        fabric.print(
            f"epoch {progress.epoch}/{epochs}  loss {loss:.4f}  validation Dice {dice:.4f}  "
            f"best {progress.best_score:.4f}  {time.perf_counter() - began:.0f} s",
            flush=True,
        )

    network.load_state_dict(torch.load(folder / "best.pt", weights_only=True))
    manifest = Manifest(
        name="rectal-segmentation",
        version=version,
        kind=KIND,
        input_sequences=tuple(Sequence),
        architecture={"features": list(recipe.features)},
        settings=settings.model_dump(mode="json"),
        spacing_mm=settings.preprocessing.spacing_mm,
        protocol=protocol_range(known),
        training_data=(
            f"{cases} simulated studies (seeds {first_case} to {first_case + cases - 1}) of "
            f"{', '.join(recipe.trained_on)}, split 8:2 by case; {epochs} epochs of {batches} patches of the 500 "
            f"of 1000 of the full recipe"
        ),
        seed=seed,
        command="python -m models.training.segmentation " + shlex.join(sys.argv[1:]),
    )
    segmenter = Segmenter(manifest, settings, network.eval())
    metrics = {
        "recipe": asdict(recipe),
        "validation_dice": round(progress.best_score, 4),
        "best_epoch": progress.best_epoch + 1,
    }
    if test_cases:
        for group, scanners, offset in (("trained_scanners", known, 0), ("other_scanners", unknown, test_cases)):
            keys = case_keys(first_test_case + offset, test_cases, scanners) if scanners else ()
            metrics |= {f"test_{group}": test_metrics(keys, segmenter)}
    written = bundle.save_weights(output, manifest.model_copy(update={"metrics": metrics}), network)
    fabric.print(written.model_dump_json(indent=2, include={"metrics", "training_data", "files"}))


def build_optimizer(kind: Optimizer, network: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW, over all weights of the network."""
    if kind is Optimizer.ADAMW:
        return torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=1e-4)
    return torch.optim.SGD(network.parameters(), lr=learning_rate, momentum=MOMENTUM, nesterov=True)


def split_scanners(held_out: SequenceOf[str]) -> tuple[tuple[Scanner, ...], tuple[Scanner, ...]]:
    """Scanners to train on and scanners to test on only, by model name."""
    scanners = load_scanners()
    if strange := set(held_out) - {scanner.model for scanner in scanners}:
        raise typer.BadParameter(f"no scanner model is called {sorted(strange)[0]}")
    known = tuple(scanner for scanner in scanners if scanner.model not in held_out)
    return known, tuple(scanner for scanner in scanners if scanner.model in held_out)


def split_cases(keys: SequenceOf[CaseKey], seed: int) -> tuple[list[CaseKey], list[CaseKey]]:
    """Random split 8:2 by case, so that the sequences of a patient stay together."""
    shuffled = list(keys)
    random.Random(seed).shuffle(shuffled)
    count = round(0.8 * len(shuffled))
    return shuffled[:count], shuffled[count:]


def load_cases(
    fabric: Fabric, keys: SequenceOf[CaseKey], settings: InferenceSettings, cache: Path
) -> list[PreparedCase]:
    """All sequences of the cases, simulated where the cache lacks them."""
    loaded: list[PreparedCase] = []
    for done, key in enumerate(keys, start=1):
        loaded.extend(prepared_sequences(key, settings.preprocessing, cache))
        if done % 10 == 0:
            fabric.print(f"{done} of {len(keys)} cases ready", flush=True)
    return loaded


def train_epoch(
    fabric: Fabric,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    training: SequenceOf[PreparedCase],
    settings: InferenceSettings,
    recipe: Recipe,
    epoch: int,
) -> float:
    """One epoch of patches; returns the mean loss. Its randomness depends on seed and epoch only."""
    chooser = random.Random(f"{recipe.seed} {epoch} {fabric.global_rank}")
    transform = training_transform(settings.window)
    transform.set_random_state(chooser.getrandbits(31))
    network.train()
    total = 0.0
    for _ in range(recipe.batches):
        image, mask = random_patch(chooser.choice(training), transform)
        optimizer.zero_grad()
        loss = deep_supervision_loss(network(fabric.to_device(image)), fabric.to_device(mask))
        fabric.backward(loss)
        fabric.clip_gradients(network, optimizer, max_norm=GRADIENT_CLIP)
        optimizer.step()
        total += float(loss.detach())
    return total / recipe.batches


def random_patch(case: PreparedCase, transform: object) -> tuple[torch.Tensor, torch.Tensor]:
    """Augmented image and mask, (1, 1, Z, Y, X) each."""
    made = transform({"image": case.image[None], "mask": case.mask[None].astype(np.float32)})  # type: ignore[operator]
    patch = made[0] if isinstance(made, list) else made
    return patch["image"][None].float(), patch["mask"][None].float()


def deep_supervision_loss(heads: SequenceOf[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
    """Dice plus cross-entropy of each head, weighted towards the last."""
    criterion = DiceCELoss(sigmoid=True, smooth_nr=1e-5, smooth_dr=1e-5)
    parts = [w * criterion(head.float(), mask) for w, head in zip(HEAD_WEIGHTS, heads, strict=True)]
    return torch.stack(parts).sum()


def validation_dice(network: nn.Module, validation: SequenceOf[PreparedCase], settings: InferenceSettings) -> float:
    """Mean Dice of whole central regions, thresholded only."""
    network.eval()
    scores = []
    for case in validation:
        found = window_probability(case.image, network, settings) >= settings.threshold
        total = int(found.sum()) + int(case.mask.sum())
        scores.append(2 * int((found & (case.mask > 0)).sum()) / total if total else 1.0)
    return float(np.mean(scores))


def widths(text: str) -> tuple[int, ...]:
    """Six comma-separated integers."""
    numbers = tuple(int(part) for part in text.split(","))
    if len(numbers) != 6:
        raise typer.BadParameter(f"six widths are needed, got {len(numbers)}")
    return numbers


if __name__ == "__main__":
    typer.run(main)

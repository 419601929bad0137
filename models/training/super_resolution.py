"""Trains the through-plane super-resolution on simulated studies and writes its bundle.

Pairs: thin noise-free slices from the phantom, and what thick noisy slices would show of them. The generator
first learns without, then with the discriminator. One pass from top to bottom: data, networks, epochs, test,
bundle.
"""

from __future__ import annotations

import random
import shlex
import sys
import time
from collections.abc import Sequence as SequenceOf
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from lightning_fabric import Fabric
from monai.networks.nets import BasicUNetPlusPlus
from torch import nn

from models import bundle
from models.errors import BundleError
from models.manifest import Manifest
from models.segmentation.inference import load_segmenter
from models.segmentation.network import EncoderFeatures
from models.super_resolution.degradation import degrade
from models.super_resolution.discriminator import Discriminator
from models.super_resolution.inference import KIND, RANGE_PERCENTILES, SuperResolver
from models.super_resolution.losses import LossWeights, discriminator_loss, generator_loss
from models.super_resolution.network import Generator, build_generator
from models.training import loop
from models.training.held_out_image_quality import test_metrics
from models.training.protocol_range import protocol_range
from models.training.segmentation import split_cases, split_scanners
from models.training.simulated_cases import case_keys
from models.training.simulated_stacks import ThinStack, load_stacks
from models.volume import Sequence


@dataclass(frozen=True, slots=True)
class Recipe:
    """What determines the weights, apart from the code. `patch` in thick voxels (z, y, x)."""

    epochs: int
    batches: int
    batch_size: int
    patch: tuple[int, int, int]
    adversarial_from: int
    cases: int
    seed: int
    learning_rate: float
    weights: LossWeights
    factor: int


def main(
    folder: Annotated[Path, typer.Option(help="logs and checkpoints")] = Path("runs/super-resolution"),
    output: Annotated[Path, typer.Option(help="folder of the bundle")] = Path("models/weights/super-resolution"),
    segmentation: Annotated[
        Path, typer.Option(help="bundle whose encoder is the feature network of the perceptual loss")
    ] = Path("models/weights/segmentation"),
    version: Annotated[str, typer.Option(help="version in the manifest")] = "0.1.0",
    epochs: Annotated[int, typer.Option(min=1)] = 100,
    batches: Annotated[int, typer.Option(min=1, help="batches an epoch")] = 500,
    batch_size: Annotated[int, typer.Option(min=1)] = 4,
    adversarial_from: Annotated[float, typer.Option(min=0, max=1, help="share of epochs without GAN")] = 0.5,
    cases: Annotated[int, typer.Option(min=5, help="simulated cases, split 8:2")] = 100,
    test_cases: Annotated[int, typer.Option(min=0, help="held-out cases of each group of scanners")] = 4,
    seed: Annotated[int, typer.Option(help="of weights, patches and split")] = 30,
    first_case: Annotated[int, typer.Option(help="seed of the first training case")] = 200_000,
    first_test_case: Annotated[int, typer.Option(help="seed of the first held-out case")] = 950_000,
    held_out: Annotated[str, typer.Option(help="models never trained on, comma separated")] = "uMR 570,Skyra",
    learning_rate: Annotated[float, typer.Option(help="of both Adam optimizers")] = 5e-4,
    features: Annotated[int, typer.Option(min=1)] = 16,
    blocks: Annotated[int, typer.Option(min=1)] = 5,
    factor: Annotated[int, typer.Option(min=2, help="thin slices a thick one")] = 4,
    weight_l1: Annotated[float, typer.Option(min=0)] = 1.0,
    weight_gradient: Annotated[float, typer.Option(min=0)] = 0.5,
    weight_perceptual: Annotated[float, typer.Option(min=0)] = 0.05,
    weight_adversarial: Annotated[float, typer.Option(min=0)] = 0.005,
    accelerator: Annotated[str, typer.Option()] = "auto",
    devices: Annotated[int, typer.Option(min=1)] = 1,
    precision: Annotated[str, typer.Option(help="bf16-mixed on a GPU; on a CPU see loop.start")] = "32-true",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads")] = 2,
) -> None:
    """Train, keep the generator with the lowest validation L1, test it on held-out cases, write the bundle."""
    known, unknown = split_scanners(tuple(name.strip() for name in held_out.split(",") if name.strip()))
    weights = LossWeights(weight_l1, weight_gradient, weight_perceptual, weight_adversarial)
    recipe = Recipe(
        epochs, batches, batch_size, (8, 48, 48), round(adversarial_from * epochs), cases, seed, learning_rate,
        weights, factor,
    )  # fmt: skip
    fabric = loop.start(folder, seed, accelerator, devices, precision, threads)
    feature_network, feature_bundle = trained_features(segmentation)

    cache = folder.parent / "cache" / "super-resolution"
    training_keys, validation_keys = split_cases(case_keys(first_case, cases, known), seed)
    training = load_stacks(fabric, training_keys, factor, cache)
    validation = load_stacks(fabric, validation_keys, factor, cache)

    generator = Generator(features, blocks, factor)
    judge = Discriminator()
    made = fabric.setup(generator, torch.optim.Adam(generator.parameters(), lr=learning_rate))
    judged = fabric.setup(judge, torch.optim.Adam(judge.parameters(), lr=learning_rate, betas=(0.5, 0.99)))
    parts = {"generator": made[0], "optimizer": made[1], "judge": judged[0], "judge_optimizer": judged[1]}
    feature_network = feature_network.to(fabric.device)
    progress = loop.resume(fabric, folder, **parts)

    while progress.epoch < epochs:
        began = time.perf_counter()
        for optimizer in (made[1], judged[1]):
            loop.set_rate(optimizer, loop.poly_rate(learning_rate, progress.epoch, epochs))
        losses = train_epoch(fabric, made, judged, feature_network, training, recipe, progress.epoch)
        error = validation_error(fabric, generator, validation, recipe)
        # The adversarial part trades some L1 for sharpness: weights from before it are no candidates.
        if progress.epoch == recipe.adversarial_from:
            progress.best_score = float("-inf")
        if -error > progress.best_score:
            progress.best_score, progress.best_epoch = -error, progress.epoch
            if fabric.is_global_zero:
                torch.save(generator.state_dict(), folder / "best.pt")
        fabric.log_dict({**losses, "validation_l1": error}, step=progress.epoch)
        progress.epoch += 1
        loop.save_checkpoint(fabric, folder, progress, **parts)
        described = "  ".join(f"{name} {value:.4f}" for name, value in losses.items())
        fabric.print(
            f"epoch {progress.epoch}/{epochs}  {described}  validation L1 {error:.5f}  "
            f"{time.perf_counter() - began:.0f} s",
            flush=True,
        )

    generator.load_state_dict(torch.load(folder / "best.pt", weights_only=True))
    manifest = Manifest(
        name="through-plane-super-resolution",
        version=version,
        kind=KIND,
        input_sequences=tuple(Sequence),
        architecture={"features": features, "blocks": blocks},
        settings={
            "range_percentiles": list(RANGE_PERCENTILES),
            "feature_network": f"encoder of {feature_bundle.name} {feature_bundle.version}",
        },
        factor=(1, 1, factor),
        protocol=protocol_range(known),
        training_data=(
            f"{cases} simulated studies (seeds {first_case} to {first_case + cases - 1}) of "
            f"{', '.join(scanner.model for scanner in known)}, split 8:2 by case; {epochs} epochs of {batches} "
            f"batches of {batch_size} patches"
        ),
        seed=seed,
        command="python -m models.training.super_resolution " + shlex.join(sys.argv[1:]),
    )
    resolver = SuperResolver(manifest, generator.eval())
    metrics = {"recipe": asdict(recipe), "validation_l1": -progress.best_score, "best_epoch": progress.best_epoch + 1}
    if test_cases:
        for group, scanners, offset in (("trained_scanners", known, 0), ("other_scanners", unknown, test_cases)):
            keys = case_keys(first_test_case + offset, test_cases, scanners) if scanners else ()
            metrics |= {f"test_{group}": test_metrics(keys, resolver)}
    written = bundle.save_weights(output, manifest.model_copy(update={"metrics": metrics}), generator)
    build_generator(written)
    fabric.print(written.model_dump_json(indent=2, include={"metrics", "training_data", "files"}))


def trained_features(folder: Path) -> tuple[nn.Module, Manifest]:
    """The encoder of a trained segmentation bundle, frozen. Raises BundleError for another architecture."""
    segmenter = load_segmenter(folder)
    if not isinstance(segmenter.network, BasicUNetPlusPlus):
        raise BundleError(f"bundle {folder.name}: no U-Net++ whose encoder could be borrowed")
    return EncoderFeatures(segmenter.network), segmenter.manifest


def train_epoch(
    fabric: Fabric,
    made: tuple[nn.Module, torch.optim.Optimizer],
    judged: tuple[nn.Module, torch.optim.Optimizer],
    features: nn.Module,
    training: SequenceOf[ThinStack],
    recipe: Recipe,
    epoch: int,
) -> dict[str, float]:
    """One epoch; returns the mean of each loss. Its randomness depends on seed and epoch only."""
    chooser = random.Random(f"{recipe.seed} {epoch} {fabric.global_rank}")
    noise = torch.Generator().manual_seed(chooser.getrandbits(62))
    generator, optimizer = made
    judge, judge_optimizer = judged
    with_judge = epoch >= recipe.adversarial_from and recipe.weights.adversarial > 0
    weights = recipe.weights if with_judge else LossWeights(
        recipe.weights.l1, recipe.weights.gradient, recipe.weights.perceptual, 0.0
    )  # fmt: skip
    sums: dict[str, float] = {}
    for _ in range(recipe.batches):
        thin = fabric.to_device(random_batch(training, recipe, chooser))
        thick = degrade(thin, recipe.factor, noise)
        fake = generator(thick)
        if with_judge:
            judge_loss = discriminator_loss(fake, thin, judge)
            judge_optimizer.zero_grad()
            fabric.backward(judge_loss)
            judge_optimizer.step()
            sums["judge"] = sums.get("judge", 0.0) + float(judge_loss.detach())
            judge.requires_grad_(False)
        with fabric.autocast():
            parts = generator_loss(fake, thin, weights, features, judge)
        optimizer.zero_grad()
        fabric.backward(parts["total"])
        fabric.clip_gradients(generator, optimizer, max_norm=1.0)
        optimizer.step()
        judge.requires_grad_(True)
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
    return {name: value / recipe.batches for name, value in sums.items()}


def random_batch(training: SequenceOf[ThinStack], recipe: Recipe, chooser: random.Random) -> torch.Tensor:
    """Thin patches (B, 1, factor * z, y, x), mirrored at random in x and y, in units of 0 to about 1."""
    patches = []
    for _ in range(recipe.batch_size):
        stack = chooser.choice(training)
        patch = stack.random_patch(recipe.patch, chooser)
        flips = [axis for axis in (1, 2) if chooser.random() < 0.5]
        patches.append(torch.flip(patch, flips))
    return torch.stack(patches)[:, None]


def validation_error(fabric: Fabric, generator: Generator, validation: SequenceOf[ThinStack], recipe: Recipe) -> float:
    """Mean L1 on patches that are the same in each epoch."""
    chooser = random.Random(recipe.seed)
    noise = torch.Generator().manual_seed(recipe.seed)
    errors = []
    generator.eval()
    with torch.inference_mode():
        for stack in validation:
            thin = fabric.to_device(stack.random_patch(recipe.patch, chooser)[None, None])
            fake = generator(degrade(thin, recipe.factor, noise))
            errors.append(float((fake - thin).abs().mean()))
    generator.train()
    return sum(errors) / len(errors)


if __name__ == "__main__":
    typer.run(main)

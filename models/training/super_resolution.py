"""Trains the super-resolution on simulated studies and real series and writes its bundle.

Pairs: simulated slices as a scanner acquires them, beside the phantom's noise-free thin slices; and real series turned
to a fine axis, beside what thick noisy slices would show of them. First the generator learns with the L1 and gradient
losses alone until its rate has fallen to 0; that is a bundle of its own, `without-adversarial` in the run's folder.
Then it learns with all losses, against the discriminator. What is compared is the result in agreement with the input,
as it is served. One pass from top to bottom: data, networks, epochs, test, bundle.
"""

from __future__ import annotations

import random
import shlex
import sys
import time
from collections.abc import Sequence as SequenceOf
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from lightning_fabric import Fabric
from torch import nn

from models import bundle
from models.manifest import Manifest
from models.super_resolution.consistency import agree
from models.super_resolution.degradation import Factor
from models.super_resolution.discriminator import Discriminator
from models.super_resolution.inference import KIND, SuperResolver, load_super_resolver
from models.super_resolution.losses import LossWeights, discriminator_loss, generator_loss
from models.super_resolution.network import Generator, build_generator
from models.super_resolution.normalisation import RANGE_PERCENTILES
from models.training import loop
from models.training.feature_networks import encoder_of, scripted
from models.training.held_out_image_quality import test_metrics
from models.training.protocol_range import protocol_range
from models.training.real_stacks import load_real
from models.training.segmentation import split_cases, split_scanners
from models.training.simulated_cases import case_keys
from models.training.simulated_stacks import load_simulated
from models.training.stack_pairs import PairSource, Size, random_batch
from models.volume import Sequence

#: Share of the learning rate with which the second phase begins: it refines what the first has learned.
SECOND_RATE = 0.3


@dataclass(frozen=True, slots=True)
class Recipe:
    """What determines the weights, apart from the code and the data. `patch` in thick voxels (z, y, x)."""

    epochs: int
    adversarial_from: int
    batches: int
    batch_size: int
    patch: Size
    cases: int
    clean: bool
    real_share: float
    as_measured: float
    seed: int
    learning_rate: float
    weights: LossWeights
    factor: Factor

    def rate(self, epoch: int) -> float:
        """Falls to 0 in either phase."""
        if epoch < self.adversarial_from:
            return loop.poly_rate(self.learning_rate, epoch, self.adversarial_from)
        since, left = epoch - self.adversarial_from, self.epochs - self.adversarial_from
        return loop.poly_rate(SECOND_RATE * self.learning_rate, since, left)

    def weights_in(self, epoch: int) -> LossWeights:
        """Perceptual and adversarial loss join in the second phase."""
        if epoch >= self.adversarial_from:
            return self.weights
        return replace(self.weights, perceptual=0.0, adversarial=0.0)

    def shares(self, groups: int) -> tuple[float, ...]:
        """Of the simulated pairs, and of the real ones where there are any."""
        return (1 - self.real_share, self.real_share) if groups == 2 else (1.0,)


def main(
    # ---- where
    folder: Annotated[Path, typer.Option(help="logs and checkpoints")] = Path("runs/super-resolution"),
    output: Annotated[Path, typer.Option(help="folder of the bundle")] = Path("models/weights/super-resolution"),
    version: Annotated[str, typer.Option(help="version in the manifest")] = "0.3.0",
    # ---- data
    cases: Annotated[int, typer.Option(min=5, help="simulated cases, split 8:2")] = 100,
    first_case: Annotated[int, typer.Option(help="seed of the first training case")] = 200_000,
    held_out: Annotated[str, typer.Option(help="models never trained on, comma separated")] = "uMR 570,Skyra",
    test_cases: Annotated[int, typer.Option(min=0, help="held-out cases of each group of scanners")] = 4,
    first_test_case: Annotated[int, typer.Option(help="seed of the first held-out case")] = 950_000,
    real: Annotated[
        Path | None, typer.Option(help="folder of the volumes in real_volumes.csv; without it only simulated ones")
    ] = None,
    clean: Annotated[bool, typer.Option(help="remove noise and spikes from real thin slices")] = True,
    real_share: Annotated[float, typer.Option(min=0, max=1, help="share of real pairs")] = 0.5,
    as_measured: Annotated[
        float, typer.Option(min=0, max=1, help="share of the real pairs that stay as measured, no noise taken or added")
    ] = 0.0,
    # ---- network
    factor: Annotated[tuple[int, int, int], typer.Option(help="thin voxels a thick one along x, y and z")] = (1, 1, 4),
    features: Annotated[int, typer.Option(min=1)] = 32,
    blocks: Annotated[int, typer.Option(min=1)] = 12,
    fold: Annotated[int, typer.Option(min=1, help="rows and columns folded into channels")] = 2,
    start_from: Annotated[
        Path | None, typer.Option(help="bundle of the same architecture whose weights training begins with")
    ] = None,
    # ---- loss
    weight_l1: Annotated[float, typer.Option(min=0)] = 1.0,
    weight_gradient: Annotated[float, typer.Option(min=0)] = 0.5,
    weight_perceptual: Annotated[float, typer.Option(min=0)] = 0.05,
    weight_adversarial: Annotated[float, typer.Option(min=0)] = 0.005,
    rounding: Annotated[float, typer.Option(min=0, help="error below which the L1 loss turns quadratic")] = 0.0,
    segmentation: Annotated[
        Path, typer.Option(help="bundle whose encoder is the feature network of the perceptual loss")
    ] = Path("models/weights/segmentation"),
    feature_network: Annotated[
        Path | None, typer.Option(help="TorchScript file of another feature network, (B, 1, Z, Y, X) to feature maps")
    ] = None,
    # ---- steps
    epochs: Annotated[int, typer.Option(min=1)] = 100,
    adversarial_from: Annotated[float, typer.Option(min=0, max=1, help="share of epochs of the first phase")] = 0.75,
    batches: Annotated[int, typer.Option(min=1, help="batches an epoch")] = 500,
    stop_after: Annotated[
        int | None, typer.Option(min=1, help="epoch after which this call ends; a later one goes on")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 4,
    patch: Annotated[tuple[int, int, int], typer.Option(help="thick voxels along z, y and x")] = (8, 48, 48),
    learning_rate: Annotated[float, typer.Option(help="of both Adam optimizers")] = 1e-3,
    seed: Annotated[int, typer.Option(help="of weights, patches and split")] = 30,
    # ---- machine
    accelerator: Annotated[str, typer.Option()] = "auto",
    devices: Annotated[int, typer.Option(min=1)] = 1,
    precision: Annotated[str, typer.Option(help="bf16-mixed halves the time of a step")] = "bf16-mixed",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads")] = 2,
) -> None:
    """Train, test on held-out cases, write the bundle; the same command goes on with an interrupted run."""
    weights = LossWeights(weight_l1, weight_gradient, weight_perceptual, weight_adversarial, rounding)
    recipe = Recipe(
        epochs, round(adversarial_from * epochs), batches, batch_size, patch, cases, clean, real_share, as_measured,
        seed, learning_rate, weights, factor,
    )  # fmt: skip
    fabric = loop.start(folder, seed, accelerator, devices, precision, threads)
    seen, seen_name = scripted(feature_network) if feature_network else encoder_of(segmentation)

    known, unknown = split_scanners(tuple(name.strip() for name in held_out.split(",") if name.strip()))
    training_keys, validation_keys = split_cases(case_keys(first_case, cases, known), seed)
    cache = folder.parent / "cache" / "super-resolution"
    training: list[SequenceOf[PairSource]] = [load_simulated(fabric, training_keys, cache)]
    validation: list[SequenceOf[PairSource]] = [load_simulated(fabric, validation_keys, cache)]
    if real is not None:
        training.append(load_real(real, "training", clean, as_measured))
        validation.append(load_real(real, "validation", clean=False))

    generator = Generator(features, blocks, factor, fold)
    if start_from is not None:
        generator.load_state_dict(load_super_resolver(start_from).network.state_dict())
    judge = Discriminator()
    made = fabric.setup(generator, torch.optim.Adam(generator.parameters(), lr=learning_rate))
    judged = fabric.setup(judge, torch.optim.Adam(judge.parameters(), lr=learning_rate, betas=(0.5, 0.99)))
    parts = {"generator": made[0], "optimizer": made[1], "judge": judged[0], "judge_optimizer": judged[1]}
    seen = seen.to(fabric.device)
    progress = loop.resume(fabric, folder, **parts)

    manifest = Manifest(
        name="super-resolution" if min(factor[:2]) > 1 else "through-plane-super-resolution",
        version=version,
        kind=KIND,
        input_sequences=tuple(Sequence),
        architecture={"features": features, "blocks": blocks, "fold": fold},
        settings={"range_percentiles": list(RANGE_PERCENTILES), "feature_network": seen_name},
        factor=factor,
        protocol=protocol_range(known),
        training_data=(
            f"{cases} simulated studies (seeds {first_case} to {first_case + cases - 1}) of "
            f"{', '.join(scanner.model for scanner in known)}, split 8:2 by case"
            + (f"; real series: {', '.join(stack.name for stack in training[1])}" if real is not None else "")
            + f"; {epochs} epochs of {batches} batches of {batch_size} patches"
        ),
        seed=seed,
        command="python -m models.training.super_resolution " + shlex.join(sys.argv[1:]),
    )

    while progress.epoch < epochs:
        if stop_after is not None and progress.epoch >= stop_after:
            return
        began = time.perf_counter()
        if progress.epoch == recipe.adversarial_from:
            bundle.save_weights(folder / "without-adversarial", manifest, generator)
        for optimizer in (made[1], judged[1]):
            loop.set_rate(optimizer, recipe.rate(progress.epoch))
        losses = train_epoch(fabric, made, judged, seen, training, recipe, progress.epoch)
        error = validation_error(fabric, generator, validation, recipe)
        fabric.log_dict({**losses, "validation_l1": error}, step=progress.epoch)
        progress.epoch += 1
        progress.best_score, progress.best_epoch = max(
            (progress.best_score, progress.best_epoch), (-error, progress.epoch)
        )
        loop.save_checkpoint(fabric, folder, progress, **parts)
        described = "  ".join(f"{name} {value:.4f}" for name, value in losses.items())
        fabric.print(
            f"epoch {progress.epoch}/{epochs}  {described}  validation L1 {error:.5f}  "
            f"{time.perf_counter() - began:.0f} s",
            flush=True,
        )

    resolver = SuperResolver(manifest, generator.eval())
    metrics = {"recipe": asdict(recipe), "validation_l1": validation_error(fabric, generator, validation, recipe)}
    if test_cases:
        for group, scanners, offset in (("trained_scanners", known, 0), ("other_scanners", unknown, test_cases)):
            keys = case_keys(first_test_case + offset, test_cases, scanners) if scanners else ()
            metrics |= {f"test_{group}": test_metrics(keys, resolver)}
    written = bundle.save_weights(output, manifest.model_copy(update={"metrics": metrics}), generator)
    build_generator(written)
    fabric.print(written.model_dump_json(indent=2, include={"metrics", "training_data", "files"}))


def train_epoch(
    fabric: Fabric,
    made: tuple[nn.Module, torch.optim.Optimizer],
    judged: tuple[nn.Module, torch.optim.Optimizer],
    features: nn.Module,
    training: SequenceOf[SequenceOf[PairSource]],
    recipe: Recipe,
    epoch: int,
) -> dict[str, float]:
    """One epoch; returns the mean of each loss. Its randomness depends on seed and epoch only."""
    chooser = random.Random(f"{recipe.seed} {epoch} {fabric.global_rank}")
    generator, optimizer = made
    judge, judge_optimizer = judged
    weights = recipe.weights_in(epoch)
    sums: dict[str, float] = {}
    for _ in range(recipe.batches):
        shares = recipe.shares(len(training))
        batch = random_batch(training, recipe.batch_size, recipe.patch, recipe.factor, chooser, shares)
        thick, thin = fabric.to_device(batch)
        fake = served(generator, thick, recipe.factor)
        if weights.adversarial > 0:
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


def served(generator: nn.Module, thick: torch.Tensor, factor: Factor) -> torch.Tensor:
    """The thin slices as serving makes them."""
    made, trust = generator(thick)
    return agree(made, thick, factor, trust.float())


def validation_error(
    fabric: Fabric, generator: nn.Module, validation: SequenceOf[SequenceOf[PairSource]], recipe: Recipe
) -> float:
    """Mean L1 over the stacks on patches that are the same in each epoch."""
    chooser = random.Random(recipe.seed)
    errors = []
    generator.eval()
    with torch.inference_mode():
        for stack in (stack for group in validation for stack in group):
            batch = random_batch([[stack]], recipe.batch_size, recipe.patch, recipe.factor, chooser)
            thick, thin = fabric.to_device(batch)
            fake = served(generator, thick, recipe.factor)
            errors.append(float((fake - thin).abs().mean()))
    generator.train()
    return sum(errors) / len(errors)


if __name__ == "__main__":
    typer.run(main)

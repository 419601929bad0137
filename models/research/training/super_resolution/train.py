"""Trains the super-resolution on a cohort (`--data`), or on simulated studies and real series, and writes its bundle.

Pairs: simulated slices as a scanner acquires them, beside the phantom's noise-free thin slices; and real series or the
volumes of a cohort turned to a fine axis, beside what thick noisy slices would show of them. First the generator learns
with the L1 and gradient losses alone until its rate has fallen to 0; that is a bundle of its own, `without-adversarial`
in the run's folder. Then it learns with all losses, against the discriminator. What is compared is the result in
agreement with the input, as it is served. One pass from top to bottom: data, networks, epochs, test, bundle, page.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence as SequenceOf
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from lightning_fabric import Fabric
from rich.progress import Progress as ProgressBar
from torch import nn

from models import bundle
from models.errors import BundleError
from models.manifest import Manifest
from models.research.networks import super_resolver_of
from models.research.training import loop
from models.research.training.bundles import save_weights
from models.research.training.super_resolution.data import Pairs, SuperResolutionData, from_cohort, from_simulation
from models.research.training.super_resolution.discriminator import Discriminator
from models.research.training.super_resolution.feature_networks import encoder_of, scripted
from models.research.training.super_resolution.held_out_image_quality import test_metrics
from models.research.training.super_resolution.losses import LossWeights, discriminator_loss, generator_loss
from models.research.training.super_resolution.page import write_page
from models.research.training.super_resolution.stack_pairs import PairSource, Size, random_batch
from models.super_resolution.consistency import agree
from models.super_resolution.degradation import Factor
from models.super_resolution.inference import KIND, SuperResolver, load_super_resolver
from models.super_resolution.network import Generator, build_generator
from models.super_resolution.normalisation import RANGE_PERCENTILES, Modality

#: Share of the learning rate with which the second phase begins: it refines what the first has learned.
SECOND_RATE = 0.3
#: May change while a run goes on: how long it is to be, and when its second phase begins.
SCHEDULE = {"epochs", "adversarial_from"}


@dataclass(frozen=True, slots=True)
class SuperResolutionRecipe:
    """All that determines the weights, apart from the code. `patch` in thick voxels (z, y, x).

    `data`: digest of the stacks. `start_from`: the bundle whose weights it began with, and their digest.
    """

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
    features: int
    blocks: int
    fold: int
    feature_network: str
    modality: Modality
    devices: int
    precision: str
    data: str
    start_from: str = ""

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


@dataclass(frozen=True, slots=True)
class SuperResolutionRun:
    """A training that is set up: `generator` computes without Fabric, `parts` are what a checkpoint holds."""

    fabric: Fabric
    folder: Path
    recipe: SuperResolutionRecipe
    generator: Generator
    seen: nn.Module
    """The feature network."""
    parts: dict[str, Any]


app = typer.Typer(add_completion=False)


@app.command()
def main(
    # ---- where
    data: Annotated[Path | None, typer.Option(help="cohort to train on (docs/training.md); else simulated")] = None,
    sequences: Annotated[str, typer.Option(help="of the cohort that are trained on")] = "T2WI,DWI,PVP",
    modality: Annotated[Modality, typer.Option(help="of the cohort: how its intensities are scaled")] = Modality.MR,
    folder: Annotated[Path, typer.Option(help="logs and checkpoints")] = Path("runs/super-resolution"),
    output: Annotated[Path, typer.Option(help="folder of the bundle")] = Path("models/weights/super-resolution"),
    version: Annotated[str, typer.Option(help="version in the manifest")] = "0.3.0",
    # ---- data
    cases: Annotated[int, typer.Option(min=5, help="simulated cases, split 8:2")] = 100,
    first_case: Annotated[int, typer.Option(help="seed of the first simulated training case")] = 200_000,
    held_out: Annotated[str, typer.Option(help="models never trained on, comma separated")] = "uMR 570,Skyra",
    test_cases: Annotated[int, typer.Option(min=0, help="simulated held-out cases of each group of scanners")] = 4,
    first_test_case: Annotated[int, typer.Option(help="seed of the first simulated held-out case")] = 950_000,
    real: Annotated[
        Path | None, typer.Option(help="folder of the volumes in real_volumes.csv; without it only simulated ones")
    ] = None,
    clean: Annotated[bool, typer.Option(help="remove noise and spikes from real and the cohort's thin slices")] = True,
    real_share: Annotated[float, typer.Option(min=0, max=1, help="share of real pairs")] = 0.5,
    as_measured: Annotated[
        float, typer.Option(min=0, max=1, help="share of their pairs that stay as measured, no noise taken or added")
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
    """Train, test on held-out cases, write bundle and page; the same command goes on with an interrupted run."""
    if data is not None and real is not None:
        raise typer.BadParameter("real series go with simulated patients; a cohort is trained on alone")
    fabric = loop.start(folder, seed, accelerator, devices, precision, threads)
    seen, seen_name = scripted(feature_network) if feature_network else encoder_of(segmentation)
    cache = folder.parent / "cache" / "super-resolution"
    if data is not None:
        pairs = Pairs(factor, patch, clean, as_measured, modality)
        found = from_cohort(fabric, data, loop.wanted(sequences), pairs, seed, cache)
    else:
        others = tuple(name.strip() for name in held_out.split(",") if name.strip())
        pairs = Pairs(factor, patch, clean, as_measured)
        numbers = (first_case, cases), (first_test_case, test_cases)
        found = from_simulation(fabric, *numbers, others, real, pairs, seed, cache)
    weights = LossWeights(weight_l1, weight_gradient, weight_perceptual, weight_adversarial, rounding)
    recipe = SuperResolutionRecipe(
        epochs, round(adversarial_from * epochs), batches, batch_size, patch, found.cases, clean, real_share,
        as_measured, seed, learning_rate, weights, factor, features, blocks, fold, seen_name, pairs.modality,
        devices, precision, found.digest,
    )  # fmt: skip
    run = prepare_run(fabric, folder, recipe, seen, start_from)
    manifest = described(run.recipe, found, version, loop.command_line("models.research.training.super_resolution"))
    until = epochs if stop_after is None else min(epochs, stop_after)
    progress = train_epochs(run, found, manifest, until)
    if progress.epoch >= epochs and fabric.is_global_zero:
        written = finish(run, found, manifest, output)
        fabric.print(written.model_dump_json(indent=2, include={"metrics", "training_data", "files"}))


def prepare_run(
    fabric: Fabric, folder: Path, recipe: SuperResolutionRecipe, seen: nn.Module, start_from: Path | None = None
) -> SuperResolutionRun:
    """Networks and optimizers as the recipe says, on their device; the folder is bound to the recipe.

    `seen`: the feature network; `start_from`: the bundle whose weights it begins with. Raises ModelError when the
    folder holds a run of another recipe (but for its length), BundleError when the bundle is of another architecture.
    """
    generator = Generator(recipe.features, recipe.blocks, recipe.factor, recipe.fold)
    if start_from is not None:
        begun = load_super_resolver(start_from)
        recipe = replace(recipe, start_from=_weights_of(begun, generator))
        generator.load_state_dict(begun.network.state_dict())
    bound = {name: value for name, value in asdict(recipe).items() if name not in SCHEDULE}
    loop.keep_recipe(fabric, folder, bound)
    judge = Discriminator()
    rate = recipe.learning_rate
    made = fabric.setup(generator, torch.optim.Adam(generator.parameters(), lr=rate))
    judged = fabric.setup(judge, torch.optim.Adam(judge.parameters(), lr=rate, betas=(0.5, 0.99)))
    parts = {"generator": made[0], "optimizer": made[1], "judge": judged[0], "judge_optimizer": judged[1]}
    return SuperResolutionRun(fabric, folder, recipe, generator, seen.to(fabric.device), parts)


def _weights_of(begun: SuperResolver, generator: Generator) -> str:
    """Name, version and digest of the weights that training begins with."""
    manifest = begun.manifest
    shapes = [{name: value.shape for name, value in it.state_dict().items()} for it in (begun.network, generator)]
    if shapes[0] != shapes[1] or begun.network.factor != generator.factor:
        raise BundleError(
            f"{manifest.name} {manifest.version} has factor {manifest.factor} and architecture "
            f"{manifest.architecture}; give the same as --factor, --features, --blocks and --fold"
        )
    return bundle.weights_of(manifest)


def described(recipe: SuperResolutionRecipe, data: SuperResolutionData, version: str, command: str) -> Manifest:
    """The manifest, without metrics."""
    percentiles = {"range_percentiles": list(RANGE_PERCENTILES)} if recipe.modality is Modality.MR else {}
    return Manifest(
        name="super-resolution" if min(recipe.factor[:2]) > 1 else "through-plane-super-resolution",
        version=version,
        kind=KIND,
        input_sequences=data.sequences,
        architecture={"features": recipe.features, "blocks": recipe.blocks, "fold": recipe.fold},
        settings={"modality": recipe.modality.value, **percentiles, "feature_network": recipe.feature_network},
        factor=recipe.factor,
        protocol=data.protocol,
        training_data=f"{data.statement}; {recipe.epochs} epochs of {recipe.batches} batches of {recipe.batch_size} "
        "patches" + (f", from the weights of {recipe.start_from}" if recipe.start_from else ""),
        intended_use=data.intended_use,
        seed=recipe.seed,
        command=command,
    )


def train_epochs(run: SuperResolutionRun, data: SuperResolutionData, manifest: Manifest, until: int) -> loop.Progress:
    """Goes on from the last checkpoint, or begins, and trains up to epoch `until`; every epoch is kept.

    The generator before the second phase is written with `manifest`.
    """
    fabric, recipe = run.fabric, run.recipe
    progress = loop.resume(fabric, run.folder, **run.parts)
    with loop.progress_bar(fabric) as bar:
        while progress.epoch < until:
            began = time.perf_counter()
            if progress.epoch == recipe.adversarial_from and fabric.is_global_zero:
                save_weights(run.folder / "without-adversarial", manifest, run.generator)
            for name in ("optimizer", "judge_optimizer"):
                loop.set_rate(run.parts[name], recipe.rate(progress.epoch))
            losses = train_epoch(run, data.training, progress.epoch, bar)
            error = validation_error(run, data.validation)
            fabric.log_dict({**losses, "validation_l1": error}, step=progress.epoch)
            progress.epoch += 1
            progress.best_score, progress.best_epoch = max(
                (progress.best_score, progress.best_epoch), (-error, progress.epoch)
            )
            loop.save_checkpoint(fabric, run.folder, progress, **run.parts)
            told = "  ".join(f"{name} {value:.4f}" for name, value in losses.items())
            fabric.print(
                f"epoch {progress.epoch}/{recipe.epochs}  {told}  validation L1 {error:.5f}  "
                f"{time.perf_counter() - began:.0f} s",
                flush=True,
            )
    return progress


def finish(run: SuperResolutionRun, data: SuperResolutionData, manifest: Manifest, output: Path) -> Manifest:
    """Tests the generator on held-out cases, writes its bundle and the page of the training."""
    metrics = {"recipe": asdict(run.recipe), "validation_l1": validation_error(run, data.validation)}
    resolver = super_resolver_of(manifest, run.generator.eval())
    metrics |= {name: test_metrics(held_out, resolver) for name, held_out in data.tests.items()}
    written = save_weights(output, manifest.model_copy(update={"metrics": metrics}), run.generator)
    build_generator(written)
    write_page(run.fabric, run.folder, super_resolver_of(written, run.generator), data, asdict(run.recipe))
    return written


def train_epoch(
    run: SuperResolutionRun, training: SequenceOf[SequenceOf[PairSource]], epoch: int, bar: ProgressBar
) -> dict[str, float]:
    """One epoch; returns the mean of each loss. Its randomness depends on seed, epoch and rank only."""
    fabric, recipe, parts = run.fabric, run.recipe, run.parts
    chooser = random.Random(f"{recipe.seed} {epoch} {fabric.global_rank}")
    generator, judge = parts["generator"], parts["judge"]
    weights, shares = recipe.weights_in(epoch), recipe.shares(len(training))
    sums: dict[str, float] = {}
    for _ in bar.track(range(recipe.batches), description=f"epoch {epoch + 1}"):
        batch = random_batch(training, recipe.batch_size, recipe.patch, recipe.factor, chooser, shares)
        thick, thin = fabric.to_device(batch)
        fake = served(generator, thick, recipe.factor)
        if weights.adversarial > 0:
            judge_loss = discriminator_loss(fake, thin, judge)
            parts["judge_optimizer"].zero_grad()
            fabric.backward(judge_loss)
            parts["judge_optimizer"].step()
            sums["judge"] = sums.get("judge", 0.0) + float(judge_loss.detach())
            judge.requires_grad_(False)
        with fabric.autocast():
            losses = generator_loss(fake, thin, weights, run.seen, judge)
        parts["optimizer"].zero_grad()
        fabric.backward(losses["total"])
        fabric.clip_gradients(generator, parts["optimizer"], max_norm=1.0)
        parts["optimizer"].step()
        judge.requires_grad_(True)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
    return {name: value / recipe.batches for name, value in sums.items()}


def served(generator: nn.Module, thick: torch.Tensor, factor: Factor) -> torch.Tensor:
    """The thin slices as serving makes them. `thick`: (B, 1, Z, Y, X)."""
    made, trust = generator(thick)
    return agree(made, thick, factor, trust.float())


def validation_error(run: SuperResolutionRun, validation: SequenceOf[SequenceOf[PairSource]]) -> float:
    """Mean L1 over the stacks on patches that are the same in each epoch."""
    recipe, generator = run.recipe, run.generator
    chooser = random.Random(recipe.seed)
    errors = []
    generator.eval()
    with torch.inference_mode():
        for stack in (stack for group in validation for stack in group):
            batch = random_batch([[stack]], recipe.batch_size, recipe.patch, recipe.factor, chooser)
            thick, thin = run.fabric.to_device(batch)
            fake = served(generator, thick, recipe.factor)
            errors.append(float((fake - thin).abs().mean()))
    generator.train()
    return sum(errors) / len(errors)

"""Trains the tumour segmentation on a cohort (`--data`) or on simulated studies and writes its bundle.

The full recipe is 500 epochs of 1000 batches (`--epochs 500 --batches 1000`); the shipped weights come from a
shorter run, and their manifest says so. One pass from top to bottom: data, network, epochs, test, bundle, page.
Several GPUs: `torchrun --nproc-per-node 4 -m models.research.training.segmentation --devices 4 …`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
import typer
from lightning_fabric import Fabric
from rich.progress import Progress as ProgressBar
from torch import nn

from models import bundle
from models.errors import BundleError
from models.manifest import Manifest
from models.research import networks
from models.research.training import loop, page
from models.research.training.bundles import save_weights
from models.research.training.segmentation.data import SegmentationData, from_cohort, from_simulation
from models.research.training.segmentation.held_out_dice import test_metrics
from models.research.training.segmentation.loss import deep_supervision_loss
from models.research.training.segmentation.patches import Drawing, Patch, batches
from models.research.training.segmentation.prepared_cases import PreparedCase
from models.segmentation.inference import InferenceSettings, window_probability
from models.segmentation.network import KIND, build_network, load_network
from models.sequence import Sequence

MOMENTUM = 0.99
GRADIENT_CLIP = 12.0


class Optimizer(StrEnum):
    """How the weights are moved."""

    SGD = "sgd"
    ADAMW = "adamw"


@dataclass(frozen=True, slots=True)
class SegmentationRecipe:
    """All that determines the weights, apart from the code.

    `data`: digest of the prepared cases. `start_from`: the bundle whose weights it began with, and their digest.
    """

    epochs: int
    batches: int
    batch_size: int
    cases: int
    seed: int
    optimizer: Optimizer
    learning_rate: float
    features: tuple[int, ...]
    sequences: tuple[Sequence, ...]
    trained_on: tuple[str, ...]
    devices: int
    precision: str
    data: str
    start_from: str = ""


@dataclass(frozen=True, slots=True)
class SegmentationRun:
    """A training that is set up: `network` computes without Fabric, `parts` are what a checkpoint holds."""

    fabric: Fabric
    folder: Path
    recipe: SegmentationRecipe
    settings: InferenceSettings
    network: nn.Module
    parts: dict[str, Any]
    workers: int = 0


app = typer.Typer(add_completion=False)


@app.command()
def main(
    data: Annotated[Path | None, typer.Option(help="cohort to train on (docs/training.md); else simulated")] = None,
    sequences: Annotated[str, typer.Option(help="that are trained on")] = "T2WI,DWI,PVP",
    folder: Annotated[Path, typer.Option(help="logs, checkpoints and cached cases")] = Path("runs/segmentation"),
    output: Annotated[Path, typer.Option(help="folder of the bundle")] = Path("models/weights/segmentation"),
    version: Annotated[str, typer.Option(help="version in the manifest")] = "0.1.0",
    epochs: Annotated[int, typer.Option(min=1)] = 500,
    batches: Annotated[int, typer.Option(min=1, help="an epoch and device")] = 1000,
    batch_size: Annotated[int, typer.Option(min=1, help="patches")] = 1,
    window: Annotated[str, typer.Option(help="voxels (z, y, x) of a patch, and of inference")] = "24,48,48",
    cases: Annotated[int, typer.Option(min=5, help="simulated cases, split 8:2")] = 200,
    test_cases: Annotated[int, typer.Option(min=0, help="simulated held-out cases of each group of scanners")] = 12,
    seed: Annotated[int, typer.Option(help="of weights, patches and split")] = 20,
    first_case: Annotated[int, typer.Option(help="seed of the first simulated training case")] = 100_000,
    held_out: Annotated[str, typer.Option(help="simulated models never trained on, comma separated")] = "uMR 570,Skyra",
    optimizer: Annotated[
        Optimizer, typer.Option(help="sgd is the recipe; adamw gets further in a short run")
    ] = Optimizer.SGD,
    learning_rate: Annotated[float, typer.Option(help="at the start; falls as (1 - t) ** 0.9")] = 1e-3,
    features: Annotated[str, typer.Option(help="widths of the U-Net++")] = "16,16,32,64,128,16",
    start_from: Annotated[
        Path | None, typer.Option(help="bundle of the same architecture whose weights training begins with")
    ] = None,
    accelerator: Annotated[str, typer.Option()] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="several: start it by torchrun")] = 1,
    precision: Annotated[str, typer.Option(help="bf16-mixed on a GPU; on a CPU see loop.start")] = "32-true",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads")] = 2,
    workers: Annotated[int, typer.Option(min=0, help="processes that simulate cases and make patches")] = 0,
) -> None:
    """Train, keep the network with the best validation Dice, test it on held-out cases, write bundle and page."""
    settings = InferenceSettings(window=voxels(window))
    fabric = loop.start(folder, seed, accelerator, devices, precision, threads)
    cache = folder.parent / "cache" / "segmentation"
    if data is not None:
        found = from_cohort(fabric, data, loop.wanted(sequences), settings.preprocessing, seed, cache)
    else:
        others = tuple(name.strip() for name in held_out.split(",") if name.strip())
        numbers = (first_case, cases), test_cases
        found = from_simulation(
            fabric, *numbers, others, loop.wanted(sequences), settings.preprocessing, seed, cache, workers
        )
    recipe = SegmentationRecipe(
        epochs,
        batches,
        batch_size,
        len(found.training) + len(found.validation),
        seed,
        optimizer,
        learning_rate,
        widths(features),
        found.sequences,
        found.trained_on,
        devices,
        precision,
        found.digest,
    )
    begun = load_network(start_from) if start_from is not None else None
    run = prepare_run(fabric, folder, recipe, settings, begun, workers)
    progress = train_epochs(run, found, until=epochs)
    if fabric.is_global_zero:
        command = loop.command_line("models.research.training.segmentation")
        manifest = finish(run, found, progress, version, output, command)
        fabric.print(manifest.model_dump_json(indent=2, include={"metrics", "training_data", "files"}))


def prepare_run(
    fabric: Fabric,
    folder: Path,
    recipe: SegmentationRecipe,
    settings: InferenceSettings,
    begun: tuple[Manifest, nn.Module] | None = None,
    workers: int = 0,
) -> SegmentationRun:
    """Network and optimizer as the recipe says, on their device; the folder is bound to the recipe.

    `begun`: whose weights it begins with. Raises ModelError when the folder holds a run of another recipe, BundleError
    when the weights are of another architecture or for other sequences.
    """
    network = build_network(recipe.features, len(recipe.sequences))
    if begun is not None:
        manifest, trained = begun
        recipe = replace(recipe, start_from=_weights_of(manifest, recipe))
        network.load_state_dict(trained.state_dict())
    loop.keep_recipe(fabric, folder, asdict(recipe))
    prepared, moved = fabric.setup(network, build_optimizer(recipe.optimizer, network, recipe.learning_rate))
    return SegmentationRun(
        fabric, folder, recipe, settings, network, {"network": prepared, "optimizer": moved}, workers
    )


def _weights_of(manifest: Manifest, recipe: SegmentationRecipe) -> str:
    """Name, version and digest of the weights that training begins with."""
    if (manifest.architecture, manifest.input_sequences) != ({"features": list(recipe.features)}, recipe.sequences):
        raise BundleError(
            f"{manifest.name} {manifest.version} has widths {manifest.architecture.get('features')} for "
            f"{', '.join(manifest.input_sequences)}; give the same as --features and --sequences"
        )
    return bundle.weights_of(manifest)


def train_epochs(run: SegmentationRun, data: SegmentationData, until: int) -> loop.Progress:
    """Goes on from the last checkpoint, or begins, and trains up to epoch `until`; every epoch is kept."""
    fabric, recipe = run.fabric, run.recipe
    progress = loop.resume(fabric, run.folder, **run.parts)
    drawing = Drawing(run.settings.window, recipe.batch_size, recipe.seed, fabric.global_rank)
    numbers = range(progress.epoch * recipe.batches, until * recipe.batches)
    patches = iter(batches(data.training, drawing, numbers, run.workers))
    with loop.progress_bar(fabric) as bar:
        while progress.epoch < until:
            began = time.perf_counter()
            loop.set_rate(run.parts["optimizer"], loop.poly_rate(recipe.learning_rate, progress.epoch, recipe.epochs))
            loss = train_epoch(run, islice(patches, recipe.batches), bar, progress.epoch)
            dice = validation_dice(run.network, data.validation, run.settings)
            if dice > progress.best_score:
                progress.best_score, progress.best_epoch = dice, progress.epoch
                if fabric.is_global_zero:
                    torch.save(run.network.state_dict(), run.folder / "best.pt")
            fabric.log_dict({"loss": loss, "validation_dice": dice}, step=progress.epoch)
            progress.epoch += 1
            loop.save_checkpoint(fabric, run.folder, progress, **run.parts)
            fabric.print(
                f"epoch {progress.epoch}/{recipe.epochs}  loss {loss:.4f}  validation Dice {dice:.4f}  "
                f"best {progress.best_score:.4f}  {time.perf_counter() - began:.0f} s",
                flush=True,
            )
    return progress


def finish(
    run: SegmentationRun, data: SegmentationData, progress: loop.Progress, version: str, output: Path, command: str
) -> Manifest:
    """Tests the best network on held-out cases, writes its bundle and the page of the training."""
    network, recipe = run.network, run.recipe
    network.load_state_dict(torch.load(run.folder / "best.pt", weights_only=True))
    manifest = Manifest(
        name="rectal-segmentation",
        version=version,
        kind=KIND,
        input_sequences=data.sequences,
        architecture={"features": list(recipe.features)},
        settings=run.settings.model_dump(mode="json"),
        spacing_mm=run.settings.preprocessing.spacing_mm,
        protocol=data.protocol,
        training_data=f"{data.statement}; {recipe.epochs} epochs of {recipe.batches} batches of {recipe.batch_size}, "
        "of the 500 of 1000 of 1 of the full recipe"
        + (f", from the weights of {recipe.start_from}" if recipe.start_from else ""),
        intended_use=data.intended_use,
        seed=recipe.seed,
        command=command,
    )
    segmenter = networks.segmenter_of(manifest, run.settings, network.eval())
    metrics: dict[str, Any] = {
        "recipe": asdict(recipe),
        "validation_dice": round(progress.best_score, 4),
        "best_epoch": progress.best_epoch + 1,
    }
    for group, cases in data.tests.items():
        metrics[group] = test_metrics(cases(), segmenter)
    written = save_weights(output, manifest.model_copy(update={"metrics": metrics}), network)
    write_page(run, data, written)
    return written


def write_page(run: SegmentationRun, data: SegmentationData, manifest: Manifest) -> None:
    """`training.html`, and its curves as `curves.svg`, in the folder of the run."""
    if run.fabric.logger is not None:
        run.fabric.logger.experiment.flush()
    record = page.TrainingRecord(
        title=f"{manifest.name} {manifest.version}",
        statement=manifest.intended_use,
        command=manifest.command,
        curves=page.logged_curves(run.folder / "log"),
        pictures=[it for case in data.validation[:4] for it in pictures(case, run)],
        figures={name: value for name, value in manifest.metrics.items() if name != "recipe"},
        recipe={"training data": manifest.training_data, **asdict(run.recipe)},
        environment=page.environment(),
        key={page.TRUTH_COLOUR: "truth", page.FOUND_COLOUR: "found"},
    )
    (run.folder / "training.html").write_text(page.training_page(record), "utf-8")
    (run.folder / "curves.svg").write_text(page.curves_svg(record.curves), "utf-8")


def pictures(case: PreparedCase, run: SegmentationRun) -> Iterator[page.Slice]:
    """Of each sequence of a validation case the slice with most tumour, true and found."""
    found = window_probability(case.images, networks.logits_of(run.network), run.settings) >= run.settings.threshold
    for sequence, image, true, mask in zip(run.recipe.sequences, case.images, case.tumour, found, strict=True):
        index = int(true.sum(axis=(1, 2)).argmax())
        contours = {
            page.TRUTH_COLOUR: true[index].astype(np.uint8),
            page.FOUND_COLOUR: mask[index].astype(np.uint8),
        }
        yield page.Slice(f"{case.name} {sequence}, Dice {dice_of(mask, true):.2f}", image[index], contours)


def build_optimizer(kind: Optimizer, network: nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW, over all weights of the network."""
    if kind is Optimizer.ADAMW:
        return torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=1e-4)
    return torch.optim.SGD(network.parameters(), lr=learning_rate, momentum=MOMENTUM, nesterov=True)


def train_epoch(run: SegmentationRun, patches: Iterable[Patch], bar: ProgressBar, epoch: int) -> float:
    """One epoch of batches; returns the mean loss over all devices."""
    fabric, network, optimizer = run.fabric, run.parts["network"], run.parts["optimizer"]
    network.train()
    total = torch.zeros((), device=fabric.device)
    for patch in bar.track(patches, total=run.recipe.batches, description=f"epoch {epoch + 1}"):
        images, shares, known = (fabric.to_device(it) for it in patch)
        optimizer.zero_grad()
        loss = deep_supervision_loss(network(images), shares, known)
        fabric.backward(loss)
        fabric.clip_gradients(network, optimizer, max_norm=GRADIENT_CLIP)
        optimizer.step()
        total += loss.detach()
    return float(fabric.all_reduce(total / run.recipe.batches, reduce_op="mean"))


def validation_dice(network: nn.Module, validation: SequenceOf[PreparedCase], settings: InferenceSettings) -> float:
    """Mean Dice of whole central regions over cases and sequences, thresholded only."""
    network.eval()
    found: list[float] = []
    for case in validation:
        masks = window_probability(case.images, networks.logits_of(network), settings) >= settings.threshold
        found += [dice_of(*pair) for *pair, known in zip(masks, case.tumour, case.known, strict=True) if known]
    return float(np.mean(found))


def dice_of(found: npt.NDArray[np.bool_], true: npt.NDArray[np.bool_]) -> float:
    """Dice coefficient; 1 where both are empty. Both are (z, y, x)."""
    total = int(found.sum()) + int(true.sum())
    return 2 * int((found & true).sum()) / total if total else 1.0


def voxels(text: str) -> tuple[int, int, int]:
    """Three comma-separated integers (z, y, x)."""
    numbers = tuple(int(part) for part in text.split(",") if part.strip().isdecimal())
    if len(numbers) != 3 or not all(numbers):
        raise typer.BadParameter(f"{text!r} is not three lengths in voxels, such as 24,48,48", param_hint="--window")
    return numbers


def widths(text: str) -> tuple[int, ...]:
    """Six comma-separated integers."""
    numbers = tuple(int(part) for part in text.split(","))
    if len(numbers) != 6:
        raise typer.BadParameter(f"six widths are needed, got {len(numbers)}")
    return numbers

"""Parts that every training script shares: seeds, device and precision, TensorBoard, checkpoints that resume."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import typer
from lightning_fabric import Fabric
from lightning_fabric.loggers import TensorBoardLogger
from monai.utils.misc import set_determinism
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from models.errors import ModelError
from models.sequence import Sequence, analysed

CHECKPOINT_NAME = "last.ckpt"
RECIPE_NAME = "recipe.json"


@dataclass(slots=True)
class Progress:
    """Where a run stands; saved in each checkpoint."""

    epoch: int = 0
    best_score: float = float("-inf")
    best_epoch: int = -1


def start(folder: Path, seed: int, accelerator: str, devices: int, precision: str, threads: int) -> Fabric:
    """A launched Fabric that logs to `folder`/log; torch, NumPy and MONAI are seeded and deterministic.

    On a CPU `precision` should be "32-true": with "bf16-mixed" (torch 2.13) the weight gradients of the U-Net++'s
    deepest convolutions were wrong or not finite for some patch sizes, and a step was hardly faster.
    """
    folder.mkdir(parents=True, exist_ok=True)
    set_determinism(seed)
    torch.set_num_threads(threads)
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        precision=precision,
        loggers=TensorBoardLogger(folder, name="log", version=""),
    )
    fabric.launch()
    return fabric


def keep_recipe(fabric: Fabric, folder: Path, recipe: Mapping[str, object]) -> None:
    """Binds the run in `folder` to its recipe; call it before `resume`.

    Raises:
        ModelError: the folder holds a run of another recipe or other data, whose weights would be mixed in.
    """
    path, document = folder / RECIPE_NAME, json.dumps(recipe, indent=1, sort_keys=True, default=str)
    if path.exists() and path.read_text("utf-8") != document:
        before, now = json.loads(path.read_text("utf-8")), json.loads(document)
        names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        changes = ", ".join(f"{name} was {before.get(name)}, is {now.get(name)}" for name in names)
        raise ModelError(f"{folder} holds another run ({changes}); give another --folder or remove this one")
    fabric.barrier()
    if fabric.is_global_zero:
        path.write_text(document, "utf-8")


def command_line(module: str) -> str:
    """The command of this process as a person can give it again, for `module` run by `python -m`."""
    return f"python -m {module} {shlex.join(sys.argv[1:])}".rstrip()


def wanted(text: str) -> tuple[Sequence, ...]:
    """Comma-separated sequences."""
    try:
        return tuple(analysed(name.strip()) for name in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--sequences") from error


def progress_bar(fabric: Fabric) -> ProgressBar:
    """One bar on the terminal of the first process; none in a log file."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = ProgressBar(*columns, transient=True)
    bar.disable = not fabric.is_global_zero or not bar.console.is_terminal
    return bar


def poly_rate(initial: float, epoch: int, epochs: int, power: float = 0.9) -> float:
    """Learning rate of an epoch: the initial one, falling to 0 as (1 - epoch / epochs) ** power."""
    share_left = 1 - epoch / epochs
    return float(initial * share_left**power)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def save_checkpoint(fabric: Fabric, folder: Path, progress: Progress, **parts: object) -> None:
    """Networks, optimizers and progress, written whole: a killed run leaves the previous checkpoint."""
    partial = folder / (CHECKPOINT_NAME + ".partial")
    fabric.save(partial, {"progress": asdict(progress), **parts})
    if fabric.is_global_zero:
        partial.replace(folder / CHECKPOINT_NAME)
    fabric.barrier()


def resume(fabric: Fabric, folder: Path, **parts: object) -> Progress:
    """Loads the last checkpoint into networks and optimizers; a fresh Progress where there is none."""
    path = folder / CHECKPOINT_NAME
    if not path.exists():
        return Progress()
    rest = fabric.load(path, parts)
    return Progress(**rest["progress"])

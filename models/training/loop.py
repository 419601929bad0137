"""What every training script shares: seeds, device and precision, TensorBoard, checkpoints that resume."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers import TensorBoardLogger
from monai.utils.misc import set_determinism

CHECKPOINT_NAME = "last.ckpt"


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
    partial.replace(folder / CHECKPOINT_NAME)


def resume(fabric: Fabric, folder: Path, **parts: object) -> Progress:
    """Loads the last checkpoint into networks and optimizers; a fresh Progress where there is none."""
    path = folder / CHECKPOINT_NAME
    if not path.exists():
        return Progress()
    rest = fabric.load(path, parts)
    return Progress(**rest["progress"])

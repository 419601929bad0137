"""Ablation of the super-resolution's losses: equal short second phases from one bundle, each without one part.

Trains every variant with `models.research.training.super_resolution` for the same steps from the same weights and
judges all of
them on the held-out simulated scanners and real series of `rectal-node evaluate-models`. Writes
models/research/experiments/results/super-resolution-ablation.md.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from models.research.phantom.scanners import find_scanner
from models.research.training.simulated_cases import case_keys
from models.research.training.super_resolution.held_out_image_quality import (
    Judgement,
    judged,
    learned,
    real_trials,
    simulated_trials,
)
from models.super_resolution.inference import load_super_resolver

VARIANTS = {
    "full": (),
    "without adversarial": ("--weight-adversarial", "0"),
    "without perceptual": ("--weight-perceptual", "0"),
    "without gradient": ("--weight-gradient", "0"),
    "adversarial x 20": ("--weight-adversarial", "0.1"),
}
REFERENCE, NO_NETWORK = "cubic_b_spline", "cubic_in_agreement"
#: Of each training; the rate falls from one to the next.
EPOCHS = 3


def main(
    real: Annotated[Path, typer.Option(help="folder of the real volumes")],
    start_from: Annotated[Path, typer.Option(help="bundle after a first phase, without adversarial loss")],
    steps: Annotated[int, typer.Option(min=EPOCHS, help="of each variant")] = 60,
    learning_rate: Annotated[float, typer.Option(help="as in the shipped training")] = 8e-4,
    cases: Annotated[int, typer.Option(min=5, help="simulated training cases")] = 12,
    test_cases: Annotated[int, typer.Option(min=1, help="simulated cases, scanners in turn")] = 1,
    folder: Annotated[Path, typer.Option(help="with a folder for each training, and the cache")] = Path("runs"),
    output: Annotated[Path, typer.Option()] = Path("models/research/experiments/results/super-resolution-ablation.md"),
    threads: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """Train what is not trained yet, judge, write the table."""
    torch.set_num_threads(threads)
    seconds = {}
    for name, weights in VARIANTS.items():
        began = time.perf_counter()
        if not _bundle(folder, name).exists():
            train(
                _bundle(folder, name).parent, _bundle(folder, name), start_from, real,
                ("--batches", str(steps // EPOCHS), "--learning-rate", str(learning_rate), "--cases", str(cases),
                 "--threads", str(threads), *weights),
            )  # fmt: skip
        seconds[name] = time.perf_counter() - began
        typer.echo(f"{name}: {seconds[name]:.0f} s")
    bundles = {"start": start_from} | {name: _bundle(folder, name) for name in VARIANTS}
    methods = [learned(load_super_resolver(path), name) for name, path in bundles.items()]

    keys = case_keys(960_000, test_cases, [find_scanner("uMR 570"), find_scanner("Skyra")])
    found: defaultdict[tuple[str, str], list[tuple[Judgement, float]]] = defaultdict(list)
    for trials in (simulated_trials(keys), real_trials(real, "test")):
        for trial in trials:
            of_trial = {it.method: it for it in judged(trial, methods)}
            for it in of_trial.values():
                found[trial.group, it.method].append((it, it.psnr_db - of_trial[REFERENCE].psnr_db))
    lines = [
        "# Super-resolution: ablation of the losses\n",
        f"{steps} steps each from the same weights (`start`, after the first phase), the same seed and patches.\n",
    ]
    for group in ("simulated", "real"):
        lines += [
            f"## {group.capitalize()}\n",
            "| losses | gain over cubic dB | SSIM | edge gradient | edge width |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines.append(_row("none: cubic in agreement", found[group, NO_NETWORK]))
        lines += [_row(name, found[group, name]) for name in bundles]
        lines.append("")
    output.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def train(folder: Path, output: Path, start_from: Path, real: Path, options: tuple[str, ...]) -> None:
    """One second phase. Raises CalledProcessError when it fails."""
    command = [
        sys.executable, "-m", "models.research.training.super_resolution",
        "--folder", str(folder), "--output", str(output),
        "--start-from", str(start_from), "--real", str(real), "--epochs", str(EPOCHS), "--adversarial-from", "0",
        "--test-cases", "0", "--version", "0.0.0+ablation", *RECIPE, *options,
    ]  # fmt: skip
    subprocess.run(command, check=True)


#: As in the shipped training.
RECIPE = ("--patch", "16", "24", "48", "--real-share", "0.7", "--as-measured", "0.7")


def _bundle(folder: Path, name: str) -> Path:
    return folder / f"ablation-{name.replace(' ', '-')}" / "bundle"


def _row(name: str, found: list[tuple[Judgement, float]]) -> str:
    values = [(gain, it.ssim, it.edges.gradient_ratio, it.edges.width) for it, gain in found]
    gain, ssim, gradient, width = np.mean(values, axis=0)
    return f"| {name} | {gain:+.2f} | {ssim:.3f} | {gradient:.3f} | {width:.2f} |"


if __name__ == "__main__":
    typer.run(main)

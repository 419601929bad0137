"""ECLARE (Remedios et al., PyPI `eclare`) beside a super-resolution bundle on real test series.

ECLARE teaches itself from the in-plane detail of each volume; it is never a dependency. Make its environment once:
`python3 -m venv runs/eclare && runs/eclare/bin/pip install torch==2.13.0 eclare`. It is told the true slice profile, so
that it need not estimate one. Writes models/research/experiments/results/super-resolution-eclare.md.

The series are turned on their side, as in `rectal-node evaluate-models`: one of the two axes that ECLARE takes for
fine ones consists of the slices that were really acquired, which it has to learn from, too.
"""

from __future__ import annotations

import hashlib
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import SimpleITK as sitk
import torch
import typer

from models.research.training.super_resolution.held_out_image_quality import (
    Judgement,
    Trial,
    judged,
    learned,
    real_trials,
)
from models.super_resolution.degradation import SliceProfile
from models.super_resolution.inference import load_super_resolver
from models.volume_files import read, write

METHODS = {
    "cubic_b_spline": "cubic B-spline",
    "cubic_in_agreement": "cubic in agreement, no network",
    "eclare": "ECLARE",
    "super_resolution": "SR",
    "not_denoised": "SR, denoising off",
}
#: ECLARE's own default.
PATCHES = 1_000_000
#: ECLARE trains in the mixed precision of a GPU; without one this is the same on the CPU, and twice as fast.
MIXED_PRECISION = (
    "import torch; torch.amp.autocast = lambda _: torch.autocast('cpu', torch.bfloat16); "
    "from eclare.main import main; main()"
)


def _made(image: sitk.Image, _: sitk.Image) -> dict[str, sitk.Image]:
    return {"eclare": image}


def main(
    real: Annotated[Path, typer.Option(help="folder of the real volumes")],
    series: Annotated[
        list[str], typer.Option(help="part of the name of test series, as in the table of the evaluation; repeatable")
    ],
    bundle: Annotated[Path, typer.Option(help="the bundle beside it")] = Path("models/weights/super-resolution"),
    environment: Annotated[Path, typer.Option(help="virtual environment with eclare")] = Path("runs/eclare"),
    patches: Annotated[int, typer.Option(min=128, help="patches ECLARE learns from")] = PATCHES,
    folder: Annotated[Path, typer.Option(help="volumes of ECLARE")] = Path("runs/eclare-volumes"),
    output: Annotated[Path, typer.Option()] = Path("models/research/experiments/results/super-resolution-eclare.md"),
    threads: Annotated[int, typer.Option(min=1)] = 1,
) -> None:
    """Run both on every test series whose name contains one of `series`; what ECLARE has made is not made again."""
    torch.set_num_threads(threads)
    resolver = load_super_resolver(bundle)
    lines = [
        "# Super-resolution beside ECLARE\n",
        f"ECLARE learned from {patches:,} patches ({patches / PATCHES:.1%} of its default) on {threads} CPU thread. "
        "Zero rows: the share of its thin slices whose mean is less than a tenth of the volume's.\n",
        "| volume | method | PSNR dB | gain dB | SSIM | edge gradient | zero rows | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for trial in real_trials(real, "test"):
        name = f"{trial.source} {trial.contrast}"
        if not any(part in name for part in series):
            continue
        theirs, taken = eclare(trial, environment, patches, folder / digest_of(f"{name} {patches}"), threads)
        seconds = {"eclare": taken}
        ours = learned(resolver, "super_resolution", "not_denoised")
        began = time.perf_counter()
        ours(trial.image)
        seconds["super_resolution"] = time.perf_counter() - began
        found = {it.method: it for it in judged(trial, [partial(_made, theirs), ours])}
        dark = {"eclare": zero_rows(theirs)}
        lines += [
            row(found[method], found["cubic_b_spline"], label, dark.get(method), seconds.get(method))
            for method, label in METHODS.items()
        ]
        output.write_text("\n".join(lines) + "\n", encoding="utf-8")
        typer.echo("\n".join(lines[4:]))


def eclare(trial: Trial, environment: Path, patches: int, folder: Path, threads: int) -> tuple[sitk.Image, float]:
    """ECLARE's result for a trial, on the grid of its truth, and its seconds. Raises CalledProcessError on failure."""
    factor = trial.factor[2]
    source, kernel, clock = folder / "input.nii.gz", folder / "profile.npy", folder / "seconds.txt"
    if not clock.exists():
        folder.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        _run(trial, factor, source, kernel, environment, patches, threads)
        clock.write_text(f"{time.perf_counter() - began:.1f}\n", encoding="utf-8")
    made = sitk.GetArrayFromImage(read(folder / "input_eclare.nii.gz"))
    wanted = sitk.GetArrayFromImage(trial.truth)
    result = sitk.GetImageFromArray(made[: wanted.shape[0]].astype(np.float32))
    result.CopyInformation(trial.truth)
    return result, float(clock.read_text(encoding="utf-8"))


def _run(trial: Trial, factor: int, source: Path, kernel: Path, environment: Path, patches: int, threads: int) -> None:
    write(trial.image, source)
    middle = SliceProfile().weights(3, factor)[1]
    # ECLARE's kernels have an odd length, this profile has an even one: half a thin slice further on either side.
    np.save(kernel, np.convolve(middle.numpy(), (0.5, 0.5)).astype(np.float32))
    command = [
        str(environment / "bin" / "python"), "-c", MIXED_PRECISION,
        "--in-fpath", str(source), "--out-dir", str(source.parent),
        "--n-patches", str(patches), "--relative-slice-thickness", str(factor),
        "--relative-slice-profile-fpath", str(kernel),
    ]  # fmt: skip
    subprocess.run(command, check=True, env={"OMP_NUM_THREADS": str(threads)})


def zero_rows(image: sitk.Image) -> float:
    """Share of thin slices that are darker than a tenth of the mean of the volume, margins apart."""
    means = sitk.GetArrayViewFromImage(image).mean(axis=(1, 2))[4:-4]
    return float((means < 0.1 * means.mean()).mean())


def digest_of(name: str) -> str:
    """A folder name for one run."""
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def row(found: Judgement, reference: Judgement, label: str, dark: float | None, seconds: float | None) -> str:
    return (
        f"| {found.trial.source} {found.trial.contrast} | {label} | {found.psnr_db:.2f} | "
        f"{found.psnr_db - reference.psnr_db:+.2f} | {found.ssim:.3f} | {found.edges.gradient_ratio:.2f} | "
        f"{'' if dark is None else f'{dark:.0%}'} | "
        f"{'' if seconds is None else f'{seconds:.0f}'} |"
    )


if __name__ == "__main__":
    typer.run(main)

"""Measures a super-resolution bundle against interpolation on held-out simulated scanners and real series.

Writes docs/models/super-resolution.csv (one row a volume and method), super-resolution.md (means against the goals) and
pictures beside them. `--real` names the folder of the volumes in models/training/real_volumes.csv.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import matplotlib as mpl

mpl.use("Agg")
import numpy as np
import SimpleITK as sitk
import torch
import typer
from matplotlib import pyplot as plt

from models.phantom.scanners import find_scanner
from models.super_resolution.degradation import SliceProfile
from models.super_resolution.inference import load_super_resolver
from models.training.held_out_image_quality import (
    Judgement,
    Method,
    Trial,
    judged,
    learned,
    real_trials,
    simulated_trials,
)
from models.training.simulated_cases import case_keys

REFERENCE = "cubic_b_spline"
GOALS = {"simulated": 2.0, "real": 1.5}
NAMES = {
    "linear": "linear",
    "cubic_b_spline": "cubic B-spline",
    "lanczos": "Lanczos",
    "without_adversarial": "SR without adversarial",
    "super_resolution": "SR",
    "not_denoised": "SR, denoising off",
    "mirrored": "SR, mean of 4 mirrored passes",
    "mirrored_not_denoised": "SR, the same, denoising off",
}
#: Not in the pictures: they differ too little from `super_resolution` to be seen.
NOT_SHOWN = {"not_denoised", "mirrored", "mirrored_not_denoised"}
PROFILES = {
    "as assumed": SliceProfile(),
    "gaps of 25 % of the step": SliceProfile(thickness=0.75),
    "overlapping by 20 %": SliceProfile(thickness=1.2),
    "hard edges": SliceProfile(softness=0.05),
}


def main(
    bundle: Annotated[Path, typer.Option(help="the bundle")] = Path("models/weights/super-resolution"),
    without_adversarial: Annotated[
        Path | None, typer.Option(help="bundle after the first phase of the same training")
    ] = None,
    output: Annotated[Path, typer.Option(help="folder of table and pictures")] = Path("docs/models"),
    real: Annotated[Path | None, typer.Option(help="folder of the real volumes")] = None,
    scanners: Annotated[str, typer.Option(help="held-out simulated scanners")] = "uMR 570,Skyra",
    cases: Annotated[int, typer.Option(min=1, help="simulated cases, scanners in turn")] = 2,
    first_case: Annotated[int, typer.Option(help="seed of the first of them")] = 960_000,
    mirrored: Annotated[
        bool, typer.Option(help="also the mean of mirrored passes, four times as long, on the clean real series")
    ] = False,
    threads: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Judge all methods on all volumes; write table and pictures."""
    torch.set_num_threads(threads)
    resolver = load_super_resolver(bundle)
    methods = [learned(resolver, "super_resolution", "not_denoised")]
    if without_adversarial is not None:
        methods.append(learned(load_super_resolver(without_adversarial), "without_adversarial"))
    mean_of_mirrors = [learned(resolver, "mirrored", "mirrored_not_denoised", mirrored=True)] if mirrored else []
    output.mkdir(parents=True, exist_ok=True)

    keys = case_keys(first_case, cases, [find_scanner(name.strip()) for name in scanners.split(",")])
    trials: list[Iterable[Trial]] = [simulated_trials(keys)]
    if real is not None:
        trials += [real_trials(real, "test", noise=noise) for noise in (0.0, 0.02)]
    rows: list[Row] = []
    profiles: dict[str, dict[str, np.ndarray]] = {}
    shown: dict[str, dict[str, Judgement]] = {}
    for trial in (trial for group in trials for trial in group):
        of_trial = [*methods, *mean_of_mirrors] if trial.group == "real" else methods
        found = {it.method: it for it in judged(trial, of_trial)}
        rows += [row(it, found[REFERENCE]) for it in found.values()]
        curves = profiles.setdefault(trial.group, {})
        for name, it in found.items():
            curves[name] = curves.get(name, np.zeros(len(it.edges.profile))) + it.edges.profile
        shown.setdefault(f"{trial.group}-example", found)
        worst = shown.get(f"{trial.group}-worst")
        if worst is None or gain(found) < gain(worst):
            shown[f"{trial.group}-worst"] = found
        typer.echo(f"{trial.group}: {trial.source} {trial.contrast}: {gain(found):+.2f} dB")

    write_csv(output / "super-resolution.csv", rows)
    sections = [f"# Super-resolution: {resolver.manifest.name} {resolver.manifest.version}\n", *table(rows)]
    if real is not None:
        sections += profile_table(real, methods[0])
    (output / "super-resolution.md").write_text("\n".join(sections) + "\n", encoding="utf-8")
    draw_profiles(output / "super-resolution-edges.png", profiles)
    for name, found in shown.items():
        if name.rsplit("-", 1)[0] in GOALS:
            picture(output / f"super-resolution-{name}.png", found)


def gain(found: dict[str, Judgement]) -> float:
    """Of the super-resolution above cubic B-spline, dB."""
    return found["super_resolution"].psnr_db - found[REFERENCE].psnr_db


Row = dict[str, str | float]


def row(found: Judgement, reference: Judgement) -> Row:
    """One line of the table."""
    return {
        "group": found.trial.group,
        "source": found.trial.source,
        "contrast": found.trial.contrast,
        "method": found.method,
        "psnr_db": round(found.psnr_db, 2),
        "gain_db": round(found.psnr_db - reference.psnr_db, 2),
        "ssim": round(found.ssim, 4),
        "edge_gradient": round(found.edges.gradient_ratio, 3),
        "edge_width": round(found.edges.width, 2),
        "disagreement": round(found.disagreement, 4),
        "noise": round(found.noise, 4),
    }


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def table(rows: Sequence[Row]) -> list[str]:
    """Means of each group and method, then the gain on every volume."""
    lines = [
        "Gain: PSNR above cubic B-spline. Edge gradient: change across the true edges, 1 is as sharp as the truth. "
        "Edge width: thin slices from 10 to 90 % of the mean profile. Disagreement: input minus the result averaged "
        "over the slice profile, as a share of the intensity range (rms); noise: of the input, same unit.\n",
    ]
    for group in dict.fromkeys(str(it["group"]) for it in rows):
        lines += [f"## {group.capitalize()}\n"]
        if group in GOALS:
            lines += [f"Goal: {GOALS[group]:+.1f} dB above cubic B-spline.\n"]
        lines += [
            "| method | PSNR dB | gain dB | SSIM | edge gradient | edge width | disagreement | noise |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        for method in NAMES:
            part = [it for it in rows if it["group"] == group and it["method"] == method]
            if not part:
                continue
            mean = {key: float(np.mean([float(it[key]) for it in part])) for key in list(rows[0])[4:]}
            lines.append(
                f"| {NAMES[method]} | {mean['psnr_db']:.2f} | {mean['gain_db']:+.2f} | {mean['ssim']:.3f} | "
                f"{mean['edge_gradient']:.2f} | {mean['edge_width']:.1f} | {mean['disagreement']:.2%} | "
                f"{mean['noise']:.2%} |"
            )
        lines += [
            "",
            "| volume | gain of SR dB | SSIM, cubic and SR | disagreement | noise |",
            "| --- | --- | --- | --- | --- |",
        ]
        cubic = {it["source"] + it["contrast"]: it for it in rows if it["group"] == group and it["method"] == REFERENCE}
        for it in rows:
            if it["group"] == group and it["method"] == "super_resolution":
                before = cubic[it["source"] + it["contrast"]]
                lines.append(
                    f"| {it['source']} {it['contrast']} | {it['gain_db']:+.2f} | {before['ssim']:.3f} {it['ssim']:.3f} "
                    f"| {it['disagreement']:.2%} | {it['noise']:.2%} |"
                )
        lines.append("")
    return lines


def profile_table(real: Path, method: Method) -> list[str]:
    """How the gain depends on the slice profile of the input, which the result's agreement assumes."""
    lines = [
        "## Other slice profiles (first real test series)\n",
        "| slices | gain of SR dB | disagreement |",
        "| --- | --- | --- |",
    ]
    for name, profile in PROFILES.items():
        trial = next(iter(real_trials(real, "test", profile=profile)))
        found = {it.method: it for it in judged(trial, [method])}
        made = found["super_resolution"]
        lines.append(f"| {name} | {made.psnr_db - found[REFERENCE].psnr_db:+.2f} | {made.disagreement:.2%} |")
    return lines


def picture(path: Path, found: dict[str, Judgement]) -> None:
    """Input, every method and the truth across the slices, through the middle row, and where SR errs most."""
    trial = found["super_resolution"].trial
    true, source = (sitk.GetArrayFromImage(image)[trial.judged] for image in (trial.truth, trial.image))
    row_ = true.shape[1] // 2
    low, high = np.percentile(true, (0.5, 99.5))
    worst = np.abs(found["super_resolution"].volume - true)
    shown = {"input": np.repeat(source[:, row_], trial.factor[2], axis=0)}
    shown |= {NAMES[name]: found[name].volume[:, row_] for name in NAMES if name in found and name not in NOT_SHOWN}
    shown |= {"truth": true[:, row_], "|SR - truth| x 3": low + 3 * worst[:, row_]}
    height = min(true.shape[0], 128)
    first = (true.shape[0] - height) // 2
    width = min(true.shape[2], 192)
    left = (true.shape[2] - width) // 2
    figure, axes = plt.subplots(2, (len(shown) + 1) // 2, figsize=(14, 5.6), layout="constrained")
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (name, plane) in zip(axes.flat, shown.items(), strict=False):
        axis.imshow(plane[first : first + height, left : left + width], cmap="gray", vmin=low, vmax=high, aspect="auto")
        axis.set_title(name, fontsize=9)
    figure.suptitle(f"{trial.source} {trial.contrast}: across the slices, {gain(found):+.2f} dB", fontsize=10)
    figure.savefig(path, dpi=75)
    plt.close(figure)


def draw_profiles(path: Path, profiles: dict[str, dict[str, np.ndarray]]) -> None:
    """Mean profile of the true edges in every group."""
    figure, axes = plt.subplots(1, len(profiles), figsize=(5 * len(profiles), 4), layout="constrained", squeeze=False)
    for axis, (group, curves) in zip(axes.flat, profiles.items(), strict=True):
        for name, label in NAMES.items():
            if name in curves and name not in NOT_SHOWN:
                axis.plot(curves[name] / curves[name].max(), label=label)
        axis.set(title=group, xlabel="thin slices across the edge", ylabel="intensity, highest = 1")
    axes.flat[0].legend(fontsize=7)
    figure.savefig(path, dpi=80)
    plt.close(figure)


if __name__ == "__main__":
    typer.run(main)

"""A super-resolution bundle against interpolation on held-out simulated scanners and real series.

`super-resolution.csv` holds one row a volume and method, `super-resolution.md` means against the goals; pictures lie
beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from matplotlib.figure import Figure

from models.research.documents.blocks import Block, Document, Heading, Paragraph, Table
from models.research.documents.markdown import markdown
from models.research.training.simulated_cases import CaseKey
from models.research.training.super_resolution.held_out_image_quality import (
    Judgement,
    Method,
    Trial,
    judged,
    learned,
    real_trials,
    simulated_trials,
)
from models.spreadsheet import write_mappings
from models.super_resolution.degradation import SliceProfile
from models.super_resolution.inference import load_super_resolver

REFERENCE = "cubic_b_spline"
GOALS = {"simulated": 2.0, "real": 1.5}
NAMES = {
    "linear": "linear",
    "cubic_b_spline": "cubic B-spline",
    "cubic_in_agreement": "cubic in agreement, no network",
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


Row = dict[str, str | float]


@dataclass(frozen=True, slots=True)
class SuperResolutionEvaluation:
    """Settings of an evaluation: `real` is the folder of the volumes in `real_volumes.csv`, None leaves them out.

    `without_adversarial` is the bundle after the first phase of the same training; `mirrored` adds the mean of mirrored
    passes, which takes four times as long, on the clean real series.
    """

    bundle: Path
    keys: SequenceOf[CaseKey]
    real: Path | None = None
    without_adversarial: Path | None = None
    mirrored: bool = False


@dataclass(slots=True)
class Findings:
    """Results of the judged trials, gathered one after the other.

    `profiles`: (thin slices across the edge,), by group and method.
    """

    rows: list[Row] = field(default_factory=list)
    profiles: dict[str, dict[str, npt.NDArray[np.float64]]] = field(default_factory=dict)
    shown: dict[str, dict[str, Judgement]] = field(default_factory=dict)

    def add(self, trial: Trial, found: dict[str, Judgement]) -> None:
        """Rows, the sum of the edge profiles, and the first and the worst picture of each group."""
        self.rows += [row(it, found[REFERENCE]) for it in found.values()]
        curves = self.profiles.setdefault(trial.group, {})
        for name, it in found.items():
            curves[name] = curves.get(name, np.zeros(len(it.edges.profile))) + it.edges.profile
        self.shown.setdefault(f"{trial.group}-example", found)
        worst = self.shown.get(f"{trial.group}-worst")
        if worst is None or gain(found) < gain(worst):
            self.shown[f"{trial.group}-worst"] = found


def write_report(evaluation: SuperResolutionEvaluation, output: Path, tell: Callable[[str], None]) -> None:
    """Judge all methods on all volumes; write table and pictures to `output`. `tell` gets one line a volume.

    Raises:
        BundleError: a bundle is missing or damaged.
        VolumeError: a real volume is missing.
    """
    resolver = load_super_resolver(evaluation.bundle)
    methods = [learned(resolver, "super_resolution", "not_denoised")]
    if evaluation.without_adversarial is not None:
        methods.append(learned(load_super_resolver(evaluation.without_adversarial), "without_adversarial"))
    of_mirrors = [learned(resolver, "mirrored", "mirrored_not_denoised", mirrored=True)] if evaluation.mirrored else []
    output.mkdir(parents=True, exist_ok=True)
    findings = Findings()
    for trial in _trials(evaluation):
        of_trial = [*methods, *of_mirrors] if trial.group == "real" else methods
        found = {it.method: it for it in judged(trial, of_trial)}
        findings.add(trial, found)
        tell(f"{trial.group}: {trial.source} {trial.contrast}: {gain(found):+.2f} dB")
    write_csv(output / "super-resolution.csv", findings.rows)
    name = f"{resolver.manifest.name} {resolver.manifest.version}"
    profiles = [] if evaluation.real is None else profile_table(evaluation.real, methods[0])
    text = markdown(Document(f"Super-resolution: {name}", MEASURES, (*tables(findings.rows), *profiles)))
    (output / "super-resolution.md").write_text(text, encoding="utf-8")
    draw_profiles(output / "super-resolution-edges.png", findings.profiles)
    for name, found in findings.shown.items():
        if name.rsplit("-", 1)[0] in GOALS:
            picture(output / f"super-resolution-{name}.png", found)


def _trials(evaluation: SuperResolutionEvaluation) -> Iterator[Trial]:
    yield from simulated_trials(evaluation.keys)
    if evaluation.real is not None:
        for noise in (0.0, 0.02):
            yield from real_trials(evaluation.real, "test", noise=noise)


def gain(found: dict[str, Judgement]) -> float:
    """Of the super-resolution above cubic B-spline, dB."""
    return found["super_resolution"].psnr_db - found[REFERENCE].psnr_db


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


def write_csv(path: Path, rows: SequenceOf[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        write_mappings(stream, list(rows[0]), rows)


MEASURES = (
    "Gain: PSNR above cubic B-spline. Edge gradient: change across the true edges, 1 is as sharp as the truth. "
    "Edge width: thin slices from 10 to 90 % of the mean profile. Disagreement: input minus the result averaged "
    "over the slice profile, as a share of the intensity range (rms); noise: of the input, same unit."
)
_MEANS = ("method", "PSNR dB", "gain dB", "SSIM", "edge gradient", "edge width", "disagreement", "noise")
_VOLUMES = ("volume", "gain of SR dB", "SSIM, cubic and SR", "disagreement", "noise")


def tables(rows: SequenceOf[Row]) -> Iterator[Block]:
    """Means of each group and method, then the gain on every volume."""
    for group in dict.fromkeys(str(it["group"]) for it in rows):
        part = [it for it in rows if it["group"] == group]
        yield Heading(group.capitalize())
        if group in GOALS:
            yield Paragraph(against_the_goal(part, GOALS[group]))
        by_method = {name: [it for it in part if it["method"] == name] for name in NAMES}
        yield Table("", _MEANS, tuple(_means(name, found) for name, found in by_method.items() if found))
        cubic = {(it["source"], it["contrast"]): it for it in by_method[REFERENCE]}
        yield Table("", _VOLUMES, tuple(_volume(it, cubic) for it in by_method["super_resolution"]))


def _means(method: str, rows: SequenceOf[Row]) -> tuple[str, ...]:
    mean = {key: float(np.mean([float(it[key]) for it in rows])) for key in list(rows[0])[4:]}
    return (
        NAMES[method],
        f"{mean['psnr_db']:.2f}",
        f"{mean['gain_db']:+.2f}",
        f"{mean['ssim']:.3f}",
        f"{mean['edge_gradient']:.2f}",
        f"{mean['edge_width']:.1f}",
        f"{mean['disagreement']:.2%}",
        f"{mean['noise']:.2%}",
    )


def _volume(found: Row, cubic: Mapping[tuple[str | float, str | float], Row]) -> tuple[str, ...]:
    before = cubic[found["source"], found["contrast"]]
    return (
        f"{found['source']} {found['contrast']}",
        f"{found['gain_db']:+.2f}",
        f"{before['ssim']:.3f} {found['ssim']:.3f}",
        f"{found['disagreement']:.2%}",
        f"{found['noise']:.2%}",
    )


def against_the_goal(rows: SequenceOf[Row], goal: float) -> str:
    """By how much the mean gain of the super-resolution meets its goal (dB), or does not."""
    gain = float(np.mean([float(it["gain_db"]) for it in rows if it["method"] == "super_resolution"]))
    verdict = "reached" if gain >= goal else f"missed by {goal - gain:.2f} dB"
    return (
        f"Goal: {goal:+.1f} dB above cubic B-spline: {gain:+.2f} dB, {verdict}. What was tried: "
        "[super-resolution-log.md](super-resolution-log.md)."
    )


def profile_table(real: Path, method: Method) -> Iterator[Block]:
    """How the gain depends on the slice profile of the input, which the result's agreement assumes."""
    rows = []
    for name, profile in PROFILES.items():
        trial = next(iter(real_trials(real, "test", profile=profile)))
        found = {it.method: it for it in judged(trial, [method])}
        made = found["super_resolution"]
        rows.append((name, f"{made.psnr_db - found[REFERENCE].psnr_db:+.2f}", f"{made.disagreement:.2%}"))
    yield Heading("Other slice profiles (first real test series)")
    yield Table("", ("slices", "gain of SR dB", "disagreement"), tuple(rows))


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
    figure = Figure(figsize=(14, 5.6), layout="constrained")
    axes = figure.subplots(2, (len(shown) + 1) // 2)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (name, plane) in zip(axes.flat, shown.items(), strict=False):
        axis.imshow(plane[first : first + height, left : left + width], cmap="gray", vmin=low, vmax=high, aspect="auto")
        axis.set_title(name, fontsize=9)
    figure.suptitle(f"{trial.source} {trial.contrast}: across the slices, {gain(found):+.2f} dB", fontsize=10)
    figure.savefig(path, dpi=75)


def draw_profiles(path: Path, profiles: dict[str, dict[str, npt.NDArray[np.float64]]]) -> None:
    """Mean profile of the true edges in every group.

    Profiles are (thin slices across the edge,), by group and method.
    """
    figure = Figure(figsize=(5 * len(profiles), 4), layout="constrained")
    axes = figure.subplots(1, len(profiles), squeeze=False)
    for axis, (group, curves) in zip(axes.flat, profiles.items(), strict=True):
        for name, label in NAMES.items():
            if name in curves and name not in NOT_SHOWN:
                axis.plot(curves[name] / curves[name].max(), label=label)
        axis.set(title=group, xlabel="thin slices across the edge", ylabel="intensity, highest = 1")
    axes.flat[0].legend(fontsize=7)
    figure.savefig(path, dpi=80)

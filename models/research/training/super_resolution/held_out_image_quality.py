"""Image quality on volumes that the generator never saw, against linear, cubic B-spline and Lanczos interpolation.

Simulated: the input is the volume that the phantom acquires, with its own slice profile, gaps and noise; the truth is
the phantom's noise-free volume in thin slices. Judged in the middle half of rows and columns: air would flatter all.
Real: a series turned to a fine axis is the truth, with all its own noise; the input is what thick slices show of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from models.research.cohort.reading import read_image
from models.research.cohort.records import Case
from models.research.evaluation.image_quality import compare_images
from models.research.evaluation.interpolators import interpolated
from models.research.evaluation.sharpness import Sharpness, edge_sharpness
from models.research.phantom.study import high_resolution, simulate_case
from models.research.training.simulated_cases import CaseKey
from models.research.training.super_resolution.cohort_stacks import fine_axes
from models.research.training.super_resolution.degradation import add_rician_noise, noise_deviation
from models.research.training.super_resolution.real_stacks import read_real, real_volumes, turned, without_rim
from models.super_resolution.consistency import disagreement
from models.super_resolution.degradation import Factor, SliceProfile, thicken
from models.super_resolution.inference import Refined, SuperResolver, in_agreement, refine
from models.super_resolution.normalisation import Modality, intensity_range
from models.volume import Float32, Grid, divided, grid_of, image_from

Method = Callable[[sitk.Image], dict[str, sitk.Image]]
"""A thick stack to thin ones by name."""

#: Array axes (z, y, x) along which the passes of a mirrored mean are mirrored.
MIRRORS: tuple[tuple[int, ...], ...] = ((), (0,), (2,), (0, 2))
#: Share of rows and columns that is left out at each side of a real series.
REAL_RIM = 0.25


@dataclass(frozen=True, slots=True)
class Trial:
    """A thick input and its thin truth on one scale; `judged`: the part (z, y, x) of either that counts.

    `modality` says how the input's range is found.
    """

    group: str
    source: str
    contrast: str
    image: sitk.Image
    truth: sitk.Image
    judged: tuple[slice, slice, slice]
    modality: Modality = Modality.MR

    @property
    def factor(self) -> Factor:
        x, y, z = (fine // thick for fine, thick in zip(self.truth.GetSize(), self.image.GetSize(), strict=True))
        return x, y, z


@dataclass(frozen=True, slots=True)
class Judgement:
    """A method's result for a trial; `disagreement` of input and result averaged over its slices, noise of the input:
    both as a share of the input's intensity range (root mean square, standard deviation)."""

    trial: Trial
    method: str
    volume: Float32
    psnr_db: float
    ssim: float
    edges: Sharpness
    disagreement: float
    noise: float


def simulated_trials(keys: Iterable[CaseKey]) -> Iterator[Trial]:
    """All sequences of simulated cases."""
    for key in keys:
        case = simulate_case(key.seed, key.scanner)
        for sequence, image in case.images.items():
            truth = high_resolution(case, sequence)
            columns, rows, _ = truth.GetSize()
            middle = (slice(None), slice(rows // 4, rows - rows // 4), slice(columns // 4, columns - columns // 4))
            yield Trial("simulated", f"{key.scanner.model} ({key.seed})", sequence.value, image, truth, middle)


def real_trials(
    data: Path, part: str, factor: int = 4, noise: float = 0.0, profile: SliceProfile | None = None
) -> Iterator[Trial]:
    """The series of a part along their columns and rows, with the given noise (of the range) added to the input."""
    for volume in real_volumes(part):
        for axis, stack in zip("yx", turned(read_real(data, volume, REAL_RIM)), strict=True):
            group = "real" if noise == 0 else f"real, {noise:.0%} noise"
            source, contrast = f"{volume.scanner} ({volume.path.name})", f"{volume.anatomy} along {axis}"
            image, truth = degraded(stack, (1, 1, factor), noise, profile or SliceProfile())
            yield Trial(group, source, contrast, image, truth, _WHOLE)


def cohort_trials(cases: Iterable[Case], modality: Modality, factor: Factor) -> Iterator[Trial]:
    """The volumes of cases along their fine axes, degraded as real series are; volumes are read one by one."""
    for case in cases:
        for sequence, volume in case.volumes.items():
            values = without_rim(sitk.GetArrayFromImage(read_image(volume)), REAL_RIM)
            for axis, stack in zip("yx", turned(values), strict=True):
                if axis in fine_axes(volume.grid):
                    image, truth = degraded(stack, factor, 0.0, SliceProfile())
                    source = f"{case.facts.case_id} along {axis}"
                    yield Trial("cohort", source, sequence.value, image, truth, _WHOLE, modality)


def degraded(stack: Float32, factor: Factor, noise: float, profile: SliceProfile) -> tuple[sitk.Image, sitk.Image]:
    """Thick slices made of thin ones (z, y, x), and as many of the thin ones as make whole slices.

    `noise`: deviation of the Rician noise, in the unit of `stack`.
    """
    z, y, x = (size // parts * parts for size, parts in zip(stack.shape, factor[::-1], strict=True))
    thin = torch.from_numpy(np.ascontiguousarray(stack[:z, :y, :x]))[None, None]
    thick = thicken(thin, factor, profile)
    thick = add_rician_noise(thick, noise, torch.Generator().manual_seed(7))[0, 0]
    grid = Grid((thick.shape[2], thick.shape[1], thick.shape[0]), factor, (0, 0, 0), _IDENTITY)
    return image_from(thick.numpy(), grid), image_from(thin[0, 0].numpy(), divided(grid, factor))


_WHOLE = (slice(None), slice(None), slice(None))
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def judged(trial: Trial, methods: SequenceOf[Method]) -> Iterator[Judgement]:
    """The interpolations and the given methods on one trial."""
    made = interpolated(trial.image, trial.factor)
    for method in methods:
        made |= method(trial.image)
    source = sitk.GetArrayFromImage(sitk.Cast(trial.image, sitk.sitkFloat32))
    low, high = intensity_range(source, trial.modality)
    scale = high - low
    thick = torch.from_numpy(source)[None, None]
    noise = float(noise_deviation(thick)) / scale
    true = sitk.GetArrayFromImage(trial.truth)[trial.judged]
    for name, image in made.items():
        volume = sitk.GetArrayFromImage(image)
        left = disagreement(torch.from_numpy(volume)[None, None], thick, trial.factor)[0, 0].numpy()[trial.judged]
        part = np.ascontiguousarray(volume[trial.judged])
        quality = compare_images(part, true)
        yield Judgement(
            trial, name, part, quality.psnr_db, quality.ssim, edge_sharpness(part, true),
            float(np.sqrt(np.mean(left**2))) / scale, noise,
        )  # fmt: skip


def learned(
    resolver: SuperResolver,
    name: str,
    undenoised_name: str | None = None,
    mirrored: bool = False,
    modality: Modality = Modality.MR,
) -> Method:
    """A bundle as a method, and where `undenoised_name` is given a second result that keeps the noise.

    `mirrored`: the mean of four passes, of the stack as it is, mirrored along its slices, along its columns, and both.
    """

    def method(image: sitk.Image) -> dict[str, sitk.Image]:
        refined = _refined(image, resolver, modality, MIRRORS if mirrored else MIRRORS[:1])
        made = {name: in_agreement(refined, denoise=True)}
        return made | ({undenoised_name: in_agreement(refined, denoise=False)} if undenoised_name else {})

    return method


def _refined(
    image: sitk.Image, resolver: SuperResolver, modality: Modality, mirrors: SequenceOf[tuple[int, ...]]
) -> Refined:
    """Mean of what the network gives for the stack mirrored along the given axes, mirrored back."""
    values, grid = sitk.GetArrayFromImage(image), grid_of(image)
    passes = [(refine(image_from(np.flip(values, axes), grid), resolver, modality=modality), axes) for axes in mirrors]
    if len(passes) == 1:
        return passes[0][0]
    made, trust = (
        np.stack([np.flip(getattr(refined, name), axes) for refined, axes in passes]).mean(axis=0)
        for name in ("made", "trust")
    )
    return replace(passes[0][0], made=made, trust=trust)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Trials that training never saw, made only when they are asked for; `described`: for the manifest."""

    described: Mapping[str, SequenceOf[str | int]]
    trials: Callable[[], Iterator[Trial]]


def of_simulation(keys: SequenceOf[CaseKey]) -> HeldOut:
    """All sequences of simulated cases."""
    described: dict[str, SequenceOf[str | int]] = {
        "scanners": sorted({key.scanner.model for key in keys}),
        "seeds": [key.seed for key in keys],
    }
    return HeldOut(described, lambda: simulated_trials(keys))


def of_cohort(cases: SequenceOf[Case], modality: Modality, factor: Factor) -> HeldOut:
    """Cases of a cohort."""
    described: dict[str, SequenceOf[str | int]] = {
        "scanners": sorted({case.facts.equipment.name for case in cases}),
        "held_out": [case.facts.case_id for case in cases],
    }
    return HeldOut(described, lambda: cohort_trials(cases, modality, factor))


def test_metrics(held_out: HeldOut, resolver: SuperResolver) -> dict[str, Any]:
    """Mean PSNR (dB) and SSIM per sequence for the network and the interpolations."""
    found: defaultdict[str, defaultdict[str, list[Judgement]]] = defaultdict(lambda: defaultdict(list))
    for trial in held_out.trials():
        for judgement in judged(trial, [learned(resolver, "super_resolution", modality=trial.modality)]):
            found[trial.contrast][judgement.method].append(judgement)
    return {
        **held_out.described,
        **{sequence: {way: _mean(values) for way, values in ways.items()} for sequence, ways in found.items()},
    }


def _mean(values: SequenceOf[Judgement]) -> dict[str, float]:
    return {
        "psnr_db": round(float(np.mean([value.psnr_db for value in values])), 2),
        "ssim": round(float(np.mean([value.ssim for value in values])), 4),
    }

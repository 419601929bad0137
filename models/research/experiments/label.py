"""How much of the simulated label the three analysed sequences show.

Three answers: how much the mean signal of a tumour changes when one of its drawn parameters grows by a standard
deviation; how well a logistic regression on plain statistics of the tumour (ratio to muscle, spread, local spread,
percentiles, skewness) finds the grade, beside the oracle, which knows the parameters; and how well it does on perfect
images, without noise, blur or neighbours: the mean signals against muscle and their spreads and skewness.

    python -m models.research.experiments.label
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Annotated

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy import ndimage
from scipy.stats import skew
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from models.research.evaluation.discrimination import auc_interval
from models.research.phantom.cohort import TRAINING, oracle_auc, seeds_with_grade
from models.research.phantom.contrast_kinetics import ARRIVAL_S
from models.research.phantom.contrasts import DiffusionWeighted, Dynamic, T2Weighted, b_values
from models.research.phantom.grade import LOW, NAMES, TumourBiology, biology_of, distribution, oracle_log_odds
from models.research.phantom.scanners import Scanner, load_scanners
from models.research.phantom.specimen import Contrast, tumour_properties
from models.research.phantom.streams import stream
from models.research.phantom.study import SimulatedCase, simulate_case, tissue_label_map
from models.research.phantom.tissue import Properties, Tissue, draw_properties
from models.sequence import ANALYSED
from models.volume import grid_of, resample_onto

Floats = npt.NDArray[np.float64]
console = Console()


def main(
    patients: Annotated[int, typer.Option(help="Patients with a grade, from the training seeds.")] = 200,
    repeats: Annotated[int, typer.Option(help="Random splits of the cross-validation.")] = 5,
) -> None:
    """Print the answers."""
    console.print(_sensitivity())
    scanners = load_scanners()
    seeds = list(islice(seeds_with_grade(TRAINING.seeds.start), patients))
    cases = [
        simulate_case(seed, scanners[seed % len(scanners)], region="tumour") for seed in track(seeds, console=console)
    ]
    labels = np.array([case.label for case in cases])
    values = _standardised(np.array([_statistics(case) for case in cases]), [case.scanner.name for case in cases])
    found = np.mean([_out_of_fold(values, labels, seed) for seed in range(repeats)], axis=0)
    oracle = np.array([oracle_log_odds(case.oracle) for case in cases if case.oracle is not None])
    table = Table("who knows", "AUC", "95 %", title=f"{len(cases)} patients, {int(labels.sum())} of high grade")
    for name, scores in (("drawn parameters (oracle)", oracle), ("plain statistics of the images", found)):
        area = auc_interval(labels, scores)
        table.add_row(name, f"{area.auc:.3f}", f"{area.low:.3f} to {area.high:.3f}")
    console.print(table)
    perfect, left_out = _perfect_auc(range(5000))
    console.print(
        f"5000 patients: oracle {oracle_auc(range(5000)):.3f}, perfect images {perfect:.3f}, "
        f"with a scanner left out {left_out:.3f}"
    )


def _sensitivity() -> Table:
    """Relative change of the mean signal for a parameter one standard deviation above its mean, over the scanners."""
    means, deviations = distribution(LOW)
    average = TumourBiology(LOW, **dict(zip(NAMES, means.tolist(), strict=True)), t2_ms=66.6, mucinous=False)
    table = Table("parameter + 1 SD", *ANALYSED, title="change of the tumour's mean signal")
    steps = dict(zip(NAMES, deviations.tolist(), strict=True)) | {"t2_ms": 6.9}
    for name, step in steps.items():
        if name.endswith("heterogeneity"):
            continue
        grown = replace(average, **{name: getattr(average, name) + step})
        changes = [
            _signals(grown, scanner, tissues) / _signals(average, scanner, tissues) - 1
            for scanner in load_scanners()
            for tissues in (draw_properties(np.random.default_rng(0), scanner.field_strength_t),)
        ]
        table.add_row(name, *(f"{change:+.1%}" for change in np.mean(changes, axis=0)))
    return table


def _signals(biology: TumourBiology, scanner: Scanner, tissues: Properties) -> Floats:
    """Mean tumour signal in T2WI, high-b DWI and portal-venous phase, without heterogeneity."""
    nothing = np.zeros(1, dtype=np.float32)
    tumour = tumour_properties(biology, tissues, scanner.field_strength_t, nothing, nothing, nothing)
    return np.array([float(contrast(tumour)[0]) for contrast in _contrasts(scanner)])


def _muscle(scanner: Scanner, tissues: Properties) -> Floats:
    """The same of muscle."""
    return np.array([float(contrast(tissues)[Tissue.MUSCLE]) for contrast in _contrasts(scanner)])


def _contrasts(scanner: Scanner) -> tuple[Contrast, ...]:
    return (
        T2Weighted(scanner.t2wi),
        DiffusionWeighted(scanner.dwi, b_values(scanner)[1]),
        Dynamic(scanner.dce, scanner.field_strength_t, 70.0, ARRIVAL_S),
    )


def _perfect_auc(seeds: range) -> tuple[float, float]:
    """AUC of a logistic regression on noise-free signals of tumours: in folds, each scanner's signals standardised, and
    with each scanner left out."""
    scanners = load_scanners()
    fields = [_unit_field(number) for number in range(3)]
    rows, labels, names = [], [], []
    for seed in seeds:
        biology = biology_of(seed)
        if biology is None or biology.grade is None:
            continue
        scanner = scanners[seed % len(scanners)]
        tissues = draw_properties(stream(seed, "tissue"), scanner.field_strength_t)
        tumour = tumour_properties(biology, tissues, scanner.field_strength_t, *fields)
        signals = np.log([contrast(tumour) for contrast in _contrasts(scanner)])
        mean = signals.mean(axis=1) - np.log(_muscle(scanner, tissues))
        rows.append([*mean, *np.log(signals.std(axis=1)), *skew(signals, axis=1)])
        labels.append(biology.grade)
        names.append(scanner.name)
    values, grades = np.array(rows), np.array(labels)
    found = _out_of_fold(_standardised(values, names), grades, 0)
    across = cross_val_predict(
        _classifier(), values, grades, groups=names, cv=LeaveOneGroupOut(), method="decision_function"
    )
    return auc_interval(grades, found).auc, auc_interval(grades, across).auc


def _unit_field(seed: int) -> npt.NDArray[np.float32]:
    """Values of a field of mean 0 and variance 1, as a tumour of some size holds them."""
    values = np.random.default_rng(seed).standard_normal(500).clip(-2.5, 2.5)
    return np.asarray((values - values.mean()) / values.std(), dtype=np.float32)


def _statistics(case: SimulatedCase) -> list[float]:
    """Seven numbers a sequence."""
    muscle = sitk.Cast(tissue_label_map(case, 6.0) == int(Tissue.MUSCLE), sitk.sitkUInt8)
    numbers: list[float] = []
    for sequence, image in case.images.items():
        pixels = sitk.GetArrayFromImage(image).astype(np.float64)
        around = sitk.GetArrayFromImage(resample_onto(muscle, grid_of(image), sitk.sitkNearestNeighbor)) > 0
        reference = float(pixels[around].mean()) if around.any() else float(np.median(pixels))
        numbers += _of_tumour(
            pixels, sitk.GetArrayFromImage(case.masks[sequence]) > 0, image.GetSpacing()[0], reference
        )
    return numbers


def _of_tumour(pixels: Floats, mask: npt.NDArray[np.bool_], spacing_mm: float, reference: float) -> list[float]:
    core = ndimage.binary_erosion(mask, np.ones((1, 3, 3)))
    core = core if core.sum() >= 20 else ndimage.binary_dilation(mask) if mask.sum() < 10 else mask
    values = pixels[core]
    mean, spread = values.mean(), values.std()
    near, square = (ndimage.uniform_filter(part, (0, 3, 3)) for part in (pixels, pixels**2))
    smooth = ndimage.gaussian_filter(pixels, (0, 1.5 / spacing_mm, 1.5 / spacing_mm))[core]
    low, high = np.percentile(values, (10, 90))
    skewness = ((values - mean) ** 3).mean() / spread**3
    local = np.sqrt(np.maximum(square - near**2, 0))[core]
    return [
        float(np.log(mean / reference)),
        spread / mean,
        float(np.median(local)) / mean,
        smooth.std() / mean,
        low / mean,
        high / mean,
        skewness,
    ]


def _standardised(values: Floats, scanners: list[str]) -> Floats:
    """Each statistic with mean 0 and deviation 1 among the patients of a scanner."""
    result = values.copy()
    for name in set(scanners):
        rows = np.array([scanner == name for scanner in scanners])
        result[rows] = (values[rows] - values[rows].mean(axis=0)) / values[rows].std(axis=0).clip(1e-9)
    return result


def _out_of_fold(values: Floats, labels: npt.NDArray[np.int64], seed: int) -> Floats:
    folds = StratifiedKFold(10, shuffle=True, random_state=seed)
    return np.asarray(cross_val_predict(_classifier(), values, labels, cv=folds, method="decision_function"))


def _classifier() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.03, max_iter=2000))


if __name__ == "__main__":
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    typer.run(main)

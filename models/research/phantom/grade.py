"""The label: histologic grade of the simulated adenocarcinoma, and what an oracle could know of it.

Grade is drawn first, then the tumour's parameters given the grade: jointly normal T1, Ktrans, ve and ADC, and two
heterogeneities. Published, low (well and moderately differentiated) against high grade (poorly), and drawn so:

- T1 at 3 T: 1509 ± 189 and 1807 ± 318 ms (120 patients, Cancer Imaging 2022;22, doi 10.1186/s40644-022-00461-7); the
  same direction with a like AUC of 0.80 in 86 others (Abdom Radiol 2024;49:279-287).
- Ktrans and ve: 0.28 ± 0.09 and 0.40 ± 0.08 /min, 0.50 ± 0.20 and 0.67 ± 0.16 (102 patients, well and moderately
  differentiated taken together; Shen et al. 2017, doi 10.12015/issn.1674-8034.2017.02.009). Ktrans went with
  differentiation in 40 others, too (Shen et al., Mol Clin Oncol 2016;4:500-506).
- ADC: 0.99 and 0.79 in the same 102 patients, but 1.03 ± 0.14 and 1.04 ± 0.18 × 10⁻³ mm²/s in the 120, and no
  difference in 116 (Cancer Imaging 2019;19, doi 10.1186/s40644-019-0192-x). Here their average by patients, -0.06.
- Heterogeneity: histograms of the ADC have a larger skewness and kurtosis in poor differentiation, AUC of the kurtosis
  0.88 and 0.92 (49 patients, Peng et al., Quant Imaging Med Surg, Tongji Hospital; 121 patients, doi
  10.12015/issn.1674-8034.2022.07.009), by patients 0.91: a difference of 1.88 standard deviations, which both
  heterogeneities are given. That the one is a relative standard deviation of T1, T2 and ADC, its size, and all of the
  heterogeneity of enhancement are **assumptions** of this simulation.

Differences found in single studies are too large on average (Ioannidis, Epidemiology 2008;19:640-648), and they are
drawn together here: the simulated grade is easier to see than that of any patient. It shows whether the chain from
image to prediction loses what images hold, and is no evidence of what images of patients hold.

Correlations within a grade: ADC and Ktrans -0.4 (-0.34 and -0.60 in Shen 2017); Ktrans and ve 0.55, because the
published spread of kep = Ktrans/ve is too narrow for independent ones (0.5 to 0.65 by var(ln kep) = var(ln Ktrans) +
var(ln ve) - 2 cov); T1 and ve 0.5, T1 and Ktrans 0.35 are **assumptions**: all three grow with the extracellular space.

Drawn alike for both grades: T2 66.6 ± 6.9 ms (70 non-mucinous carcinomas, "Quantitative T2 Mapping to Discriminate
Mucinous from Nonmucinous Adenocarcinoma in Rectal Cancer"), site and size.

Every tenth tumour is mucinous ("up to 10 %", radiopaedia.org/articles/rectal-cancer): T1 1986 ± 163 ms and ADC 1.38 ±
0.23 (the 120 patients, of whom they are a group of their own beside low and high grade), T2 87.9 ± 5.1 ms (11 of the T2
mapping study). It has no grade here, and so no label; its Ktrans, ve and heterogeneities are those of all others.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from models.research.phantom.streams import stream

Floats = npt.NDArray[np.float64]

LOW, HIGH = 0, 1
HIGH_GRADE_SHARE = 0.4
"""Share of high-grade tumours in the simulated population (an assumption: near balance suits small cohorts)."""
MUCINOUS_SHARE = 0.1
TUMOUR_FREE_SHARE = 0.12
"""Share of examinations without a tumour (an assumption), such as after local excision or for exclusion."""

# parameter: (mean, SD) for low and for high grade
_BY_GRADE: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "t1_3t_ms": ((1509.0, 189.0), (1807.0, 318.0)),
    "ktrans_per_min": ((0.28, 0.09), (0.40, 0.08)),
    "ve": ((0.50, 0.20), (0.67, 0.16)),
    "texture_heterogeneity": ((0.14, 0.045), (0.225, 0.045)),
    "adc_um2_s": ((1030.0, 140.0), (970.0, 170.0)),
    "enhancement_heterogeneity": ((0.24, 0.085), (0.4, 0.085)),
}
_CORRELATIONS = {
    ("t1_3t_ms", "ktrans_per_min"): 0.35,
    ("t1_3t_ms", "ve"): 0.5,
    ("ktrans_per_min", "ve"): 0.55,
    ("ktrans_per_min", "adc_um2_s"): -0.4,
}
_MUCINOUS = {"t1_3t_ms": (1986.0, 163.0), "adc_um2_s": (1380.0, 230.0)}
_MUCINOUS_T2_MS, _T2_MS = (87.9, 5.1), (66.6, 6.9)
# Never outside these: a rare extreme draw would otherwise be unphysical.
_LIMITS = {
    "t1_3t_ms": (900.0, 2900.0),
    "ktrans_per_min": (0.06, 0.9),
    "ve": (0.12, 0.95),
    "adc_um2_s": (550.0, 2200.0),
    "texture_heterogeneity": (0.03, 0.38),
    "enhancement_heterogeneity": (0.05, 0.7),
}
NAMES = tuple(_BY_GRADE)
"""Parameters that depend on the grade, in the order of `distribution`."""


@dataclass(frozen=True, slots=True)
class TumourBiology:
    """Properties drawn for one tumour: the oracle's view.

    grade: None of a mucinous tumour; t1_3t_ms: T1 at 3 T, ms; adc_um2_s: mean ADC in 10⁻⁶ mm²/s; the heterogeneities
    are relative standard deviations inside the tumour (of T1, T2, ADC, and of Ktrans); t2_ms does not depend on the
    grade.
    """

    grade: int | None
    t1_3t_ms: float
    ktrans_per_min: float
    ve: float
    adc_um2_s: float
    texture_heterogeneity: float
    enhancement_heterogeneity: float
    t2_ms: float
    mucinous: bool


def distribution(grade: int) -> tuple[Floats, Floats]:
    """Means (6,) and standard deviations (6,) of `NAMES` in non-mucinous tumours of a grade."""
    means, deviations = np.array([pair[grade] for pair in _BY_GRADE.values()]).T
    return means, deviations


def correlation() -> Floats:
    """Correlations (6, 6) of `NAMES` within a grade."""
    matrix = np.eye(len(NAMES))
    for (first, second), value in _CORRELATIONS.items():
        row, column = NAMES.index(first), NAMES.index(second)
        matrix[row, column] = matrix[column, row] = value
    return matrix


def draw_biology(rng: np.random.Generator) -> TumourBiology:
    """One tumour: its grade, then its parameters given the grade."""
    grade = HIGH if rng.random() < HIGH_GRADE_SHARE else LOW
    mucinous = bool(rng.random() < MUCINOUS_SHARE)
    standard = np.linalg.cholesky(correlation()) @ rng.standard_normal(len(NAMES))
    means, deviations = distribution(grade)
    values = dict(zip(NAMES, (means + deviations * standard).tolist(), strict=True))
    t2_mean, t2_deviation = _MUCINOUS_T2_MS if mucinous else _T2_MS
    t2 = float(np.clip(rng.normal(t2_mean, t2_deviation), 50, 110))
    if mucinous:
        values |= {name: float(rng.normal(*parameters)) for name, parameters in _MUCINOUS.items()}
    clipped = {name: float(np.clip(value, *_LIMITS[name])) for name, value in values.items()}
    return TumourBiology(grade=None if mucinous else grade, t2_ms=t2, mucinous=mucinous, **clipped)


def has_tumour(seed: int) -> bool:
    """Whether patient `seed` has a tumour, from a random stream of its own."""
    return bool(stream(seed, "finding").random() >= TUMOUR_FREE_SHARE)


def biology_of(seed: int) -> TumourBiology | None:
    """The tumour of patient `seed`, None where there is none; makes no image."""
    return draw_biology(stream(seed, "biology")) if has_tumour(seed) else None


def oracle_log_odds(biology: TumourBiology) -> float:
    """Log odds of high grade given the drawn parameters: no reader of the images can do better on average.

    Of a tumour that has a grade.
    """
    drawn = np.array([getattr(biology, name) for name in NAMES])
    related = np.linalg.inv(correlation())
    low, high = (_log_density(drawn, *distribution(grade), related) for grade in (LOW, HIGH))
    return float(np.log(HIGH_GRADE_SHARE / (1 - HIGH_GRADE_SHARE))) + high - low


def oracle_probability(biology: TumourBiology) -> float:
    """Probability of high grade given the drawn parameters, of a tumour that has a grade."""
    return float(1 / (1 + np.exp(-oracle_log_odds(biology))))


def parameters(biology: TumourBiology) -> dict[str, float]:
    """The drawn parameters by name; with a grade, it and the oracle's probability are among them."""
    drawn = {name: float(value) for name, value in asdict(biology).items() if value is not None}
    return drawn if biology.grade is None else drawn | {"oracle_probability": oracle_probability(biology)}


def _log_density(values: Floats, means: Floats, deviations: Floats, related: npt.NDArray[np.floating]) -> float:
    """Normal log density but for a constant; `related`: inverse of the correlation matrix."""
    standard = (values - means) / deviations
    return float(-np.log(deviations).sum() - 0.5 * standard @ related @ standard)

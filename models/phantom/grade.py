"""The label: histologic grade of the simulated adenocarcinoma, and what an oracle could know of it.

Grade is drawn first, then the tumour's parameters given the grade. T1 (at 3 T) and ADC follow Cancer Imaging
2022;22, doi 10.1186/s40644-022-00461-7 (120 patients): T1 1509 ± 189 ms low, 1807 ± 318 ms high grade; ADC
1.03 ± 0.14 and 1.04 ± 0.18 × 10⁻³ mm²/s, so ADC alone does not carry the label. That high-grade tumours are also more
heterogeneous in texture and enhancement is an assumption of this simulation, not a published finding.

Drawn alike for both grades: T2 66.6 ± 6.9 ms (70 non-mucinous rectal carcinomas, "Quantitative T2 Mapping to
Discriminate Mucinous from Nonmucinous Adenocarcinoma in Rectal Cancer"); Ktrans 0.28 ± 0.09 /min and ve 0.5 ± 0.15
(102 rectal carcinomas, doi 10.12015/issn.1674-8034.2017.02.009, which found both higher in poorly differentiated
ones: left out here, so that the label stays with T1).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from models.phantom.streams import stream

LOW, HIGH = 0, 1
HIGH_GRADE_SHARE = 0.4
"""Share of high-grade tumours in the simulated population (an assumption: near balance suits small cohorts)."""

# parameter: (mean, SD) for low and for high grade
_DISTRIBUTIONS: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "t1_3t_ms": ((1509.0, 189.0), (1807.0, 318.0)),
    "adc_um2_s": ((1030.0, 140.0), (1040.0, 180.0)),
    "texture_heterogeneity": ((0.10, 0.035), (0.125, 0.040)),
    "enhancement_heterogeneity": ((0.28, 0.09), (0.33, 0.11)),
}
# Never below these: a rare extreme draw would otherwise be unphysical.
_LEAST = {"t1_3t_ms": 900.0, "adc_um2_s": 550.0, "texture_heterogeneity": 0.02, "enhancement_heterogeneity": 0.05}


@dataclass(frozen=True, slots=True)
class TumourBiology:
    """What was drawn for one tumour: the oracle's view.

    t1_3t_ms: T1 at 3 T, ms; adc_um2_s: mean ADC in 10⁻⁶ mm²/s; the heterogeneities are relative standard deviations
    inside the tumour (of T1, T2, ADC, and of Ktrans); t2_ms, ktrans_per_min and ve do not depend on the grade.
    """

    grade: int
    t1_3t_ms: float
    adc_um2_s: float
    texture_heterogeneity: float
    enhancement_heterogeneity: float
    t2_ms: float
    ktrans_per_min: float
    ve: float


def draw_biology(rng: np.random.Generator) -> TumourBiology:
    """One tumour: its grade, then its parameters given the grade."""
    grade = HIGH if rng.random() < HIGH_GRADE_SHARE else LOW
    values = {name: max(float(rng.normal(*by_grade[grade])), _LEAST[name]) for name, by_grade in _DISTRIBUTIONS.items()}
    return TumourBiology(
        grade=grade,
        t2_ms=float(np.clip(rng.normal(66.6, 6.9), 50, 90)),
        ktrans_per_min=float(np.clip(rng.normal(0.28, 0.09), 0.1, 0.6)),
        ve=float(np.clip(rng.normal(0.5, 0.12), 0.2, 0.8)),
        **values,
    )


def biology_of(seed: int) -> TumourBiology:
    """The tumour of patient `seed`; makes no image."""
    return draw_biology(stream(seed, "biology"))


def oracle_log_odds(biology: TumourBiology) -> float:
    """Log odds of high grade given the drawn parameters: no reader of the images can do better on average."""
    odds = float(np.log(HIGH_GRADE_SHARE / (1 - HIGH_GRADE_SHARE)))
    for name, (low, high) in _DISTRIBUTIONS.items():
        value = getattr(biology, name)
        odds += _log_density(value, *high) - _log_density(value, *low)
    return odds


def oracle_probability(biology: TumourBiology) -> float:
    """Probability of high grade given the drawn parameters."""
    return float(1 / (1 + np.exp(-oracle_log_odds(biology))))


def parameters(biology: TumourBiology) -> dict[str, float]:
    """The drawn parameters by name, the oracle's probability among them."""
    drawn = {field.name: float(getattr(biology, field.name)) for field in fields(biology)}
    return drawn | {"oracle_probability": oracle_probability(biology)}


def _log_density(value: npt.ArrayLike, mean: float, deviation: float) -> float:
    return float(-np.log(deviation) - 0.5 * ((np.asarray(value) - mean) / deviation) ** 2)

"""The table that names a volume: conditions on facts, in order; the first row whose conditions all hold wins.

Times are ms, angles degrees. The thresholds are starting values from the six scanners' protocols
(reference: T2WI TR 1600 to 6000, TE 70 to 88; DCE TR 2.8 to 5.9, TE 1.2 to 1.5) with room around them. Text may
veto (a series called diffusion without a b-value is no T2), it never concludes that a series can be used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from node.recognition.facts import ImageKind
from node.recognition.splitting import Frames
from node.recognition.stacks import Volume
from node.recognition.volume_facts import VolumeFacts, describe


class Finding(StrEnum):
    """What a volume is; only the first four can fill a role."""

    T2_TSE = "T2-weighted turbo spin echo"
    DWI = "diffusion-weighted images"
    ADC = "ADC map"
    T1_DYNAMIC = "T1-weighted 3D gradient echo"
    DWI_B0_ONLY = "b = 0 images only"
    DWI_DIRECTIONAL = "diffusion-weighted images of single directions"
    DWI_CALCULATED = "calculated, not measured, b-value"
    DWI_NO_B = "diffusion-weighted images without a b-value"
    EXPONENTIAL = "exponential ADC map"
    DIFFUSION_MAP = "diffusion map other than ADC"
    T2_SINGLE_SHOT = "single-shot T2-weighted images"
    T2_3D = "3D T2-weighted images"
    STIR = "short-TI inversion recovery"
    DIXON_PART = "Dixon part other than water"
    T1_SPIN_ECHO = "T1-weighted spin echo"
    INVERSION = "inversion-prepared gradient echo"
    GRADIENT_EPI = "gradient-echo EPI time series"
    LOCALIZER = "localizer"
    SUBTRACTION = "subtraction"
    PROJECTION = "projection"
    REFORMAT = "reformat"
    SCREEN = "screen or colour image"
    NOT_MAGNITUDE = "phase, real or imaginary part"
    OWN_RESULT = "result of this node"
    NOT_MR = "no MR image"
    BALANCED = "balanced gradient echo"
    UNKNOWN = "no rule applies"


ROLES: dict[Finding, str] = {
    Finding.T2_TSE: "T2WI",
    Finding.T2_SINGLE_SHOT: "T2WI",
    Finding.T2_3D: "T2WI",
    Finding.DWI: "DWI",
    Finding.DWI_B0_ONLY: "DWI",
    Finding.DWI_DIRECTIONAL: "DWI",
    Finding.DWI_CALCULATED: "DWI",
    Finding.DWI_NO_B: "DWI",
    Finding.ADC: "ADC",
    Finding.T1_DYNAMIC: "DCE",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One line of a rule: the fact, what is wanted in words, and the test."""

    fact: str
    wanted: str
    holds: Callable[[object], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table."""

    name: str
    finding: Finding
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A condition with what was wanted and what was found."""

    fact: str
    wanted: str
    found: str
    held: bool


def yes(fact: str) -> Condition:
    """The fact is true."""
    return Condition(fact, "yes", lambda value: value is True)


def no(fact: str) -> Condition:
    """The fact is false."""
    return Condition(fact, "no", lambda value: value is False)


def among(fact: str, *wanted: object) -> Condition:
    """The fact is one of these."""
    return Condition(fact, " or ".join(str(entry) for entry in wanted), lambda value: value in wanted)


def between(fact: str, low: float, high: float, missing: bool = False) -> Condition:
    """The fact is a number from low to high; `missing` says whether an absent one passes."""
    return Condition(
        fact,
        f"{low:g} to {high:g}" + (" or absent" if missing else ""),
        lambda value: missing if value is None else isinstance(value, int | float) and low <= value <= high,
    )


_ANY = float("inf")
_DERIVED: tuple[tuple[str, ImageKind, Finding], ...] = (
    ("screen", ImageKind.SCREEN, Finding.SCREEN),
    ("projection", ImageKind.PROJECTION, Finding.PROJECTION),
    ("subtraction", ImageKind.SUBTRACTION, Finding.SUBTRACTION),
    ("reformat", ImageKind.REFORMAT, Finding.REFORMAT),
    ("not magnitude", ImageKind.NOT_MAGNITUDE, Finding.NOT_MAGNITUDE),
    ("exponential map", ImageKind.EXPONENTIAL, Finding.EXPONENTIAL),
    ("ADC map", ImageKind.ADC, Finding.ADC),
    ("other diffusion map", ImageKind.DIFFUSION_MAP, Finding.DIFFUSION_MAP),
    ("calculated b-value", ImageKind.CALCULATED, Finding.DWI_CALCULATED),
    ("Dixon fat", ImageKind.FAT, Finding.DIXON_PART),
    ("Dixon in phase", ImageKind.IN_PHASE, Finding.DIXON_PART),
    ("Dixon opposed phase", ImageKind.OPPOSED_PHASE, Finding.DIXON_PART),
    ("Dixon fat fraction", ImageKind.FAT_FRACTION, Finding.DIXON_PART),
)
_T2 = (
    yes("spin_echo"),
    no("echo_planar"),
    no("diffusion_named"),
    between("te_ms", 60, 250),
    between("tr_ms", 1200, _ANY),
)
_NO_STIR = between("ti_ms", 1200, _ANY, missing=True)

RULES: tuple[Rule, ...] = (
    Rule("own result", Finding.OWN_RESULT, (among("kind", ImageKind.OWN_RESULT),)),
    Rule("not MR", Finding.NOT_MR, (no("mr_image"),)),
    Rule("colour", Finding.SCREEN, (no("monochrome"),)),
    *(Rule(name, finding, (among("kind", kind),)) for name, kind, finding in _DERIVED),
    Rule("localizer", Finding.LOCALIZER, (yes("localizer"),)),
    Rule("directional DWI", Finding.DWI_DIRECTIONAL, (yes("diffusion_weighted"), yes("directional"))),
    Rule(
        "DWI",
        Finding.DWI,
        (yes("diffusion_weighted"), between("highest_b_value", 1, 10_000), between("b_value", 0, 10_000)),
    ),
    Rule(
        "EPI without b-value",
        Finding.DWI_NO_B,
        (yes("echo_planar"), no("gradient_echo"), between("te_ms", 40, 200), among("b_value", None)),
    ),
    Rule(
        "b = 0 only",
        Finding.DWI_B0_ONLY,
        (yes("echo_planar"), no("gradient_echo"), among("b_value", 0.0)),
    ),
    Rule("gradient-echo EPI", Finding.GRADIENT_EPI, (yes("echo_planar"),)),
    Rule("named diffusion, no b-value", Finding.DWI_NO_B, (yes("diffusion_named"), yes("spin_echo"))),
    Rule("STIR", Finding.STIR, (yes("spin_echo"), yes("inversion_recovery"), between("ti_ms", 80, 300))),
    Rule("3D T2", Finding.T2_3D, (*_T2, _NO_STIR, among("acquisition_type", "3D"))),
    Rule("single-shot T2", Finding.T2_SINGLE_SHOT, (*_T2, _NO_STIR, yes("single_shot"))),
    Rule(
        "T2 TSE",
        Finding.T2_TSE,
        (*_T2, _NO_STIR, among("acquisition_type", "2D", ""), between("echo_train", 2, 200, missing=True)),
    ),
    Rule("T1 spin echo", Finding.T1_SPIN_ECHO, (yes("spin_echo"), no("echo_planar"), between("te_ms", 1, 40))),
    Rule("inversion-prepared", Finding.INVERSION, (no("spin_echo"), yes("inversion_recovery"))),
    Rule("balanced", Finding.BALANCED, (yes("gradient_echo"), yes("balanced"))),
    Rule(
        "T1 3D gradient echo",
        Finding.T1_DYNAMIC,
        (
            yes("gradient_echo"),
            among("acquisition_type", "3D"),
            between("tr_ms", 1, 12),
            between("te_ms", 0.3, 6),
            between("flip_deg", 3, 45, missing=True),
        ),
    ),
)


def classify(volume: Volume, series: Frames) -> tuple[Finding, str, tuple[Evidence, ...]]:
    """What a volume is, the row that says so, and its conditions with the values found."""
    facts = describe(volume, series)
    for rule in RULES:
        if all(condition.holds(getattr(facts, condition.fact)) for condition in rule.conditions):
            return rule.finding, rule.name, _evidence(rule, facts)
    return Finding.UNKNOWN, "", ()


def _evidence(rule: Rule, facts: VolumeFacts) -> tuple[Evidence, ...]:
    found = ((condition, getattr(facts, condition.fact)) for condition in rule.conditions)
    return tuple(
        Evidence(condition.fact, condition.wanted, str(value), condition.holds(value)) for condition, value in found
    )

"""The table that names a volume: conditions on facts, in order; the first row whose conditions all hold wins.

Times are ms, angles degrees. The thresholds are starting values from the six scanners' protocols
(reference: T2WI TR 1600 to 6000, TE 70 to 88; DCE TR 2.8 to 5.9, TE 1.2 to 1.5) with room around them. Text may
veto (a series called diffusion without a b-value is no T2), it never concludes that a series can be used.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from pydicom.uid import EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage, MRImageStorage

from node.recognition.facts import Directionality, FrameFacts, ImageKind
from node.recognition.stacks import Frames, Volume, diffusion_weighted, orientation_sizes

MR_IMAGES = frozenset({MRImageStorage, EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage})
# Fewer slices than this in one orientation are no stack to read.
LOCALIZER_SLICES = 6
_LOCALIZER_WORDS = frozenset({"localizer", "localiser", "scout", "survey", "3-pl", "aahscout", "loc", "定位"})
_DIFFUSION_WORDS = ("dwi", "ddwi", "cdwi", "edwi", "dti", "diff", "ep2d", "弥散", "扩散")


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
class VolumeFacts:
    """What the conditions look at: facts of the volume and of the series that it stands in."""

    mr_image: bool
    kind: ImageKind
    monochrome: bool
    acquisition_type: str
    tr_ms: float | None
    te_ms: float | None
    ti_ms: float | None
    flip_deg: float | None
    echo_train: float | None
    spin_echo: bool
    gradient_echo: bool
    inversion_recovery: bool
    echo_planar: bool
    single_shot: bool
    balanced: bool
    diffusion_weighted: bool
    diffusion_named: bool
    b_value: float | None
    highest_b_value: float | None
    directional: bool
    localizer: bool


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


def describe(volume: Volume, series: Frames) -> VolumeFacts:
    """The facts of a volume that the table looks at; `series` holds all frames of its series."""
    frame = volume.first
    sequence = frame.sequence
    return VolumeFacts(
        mr_image=frame.header.sop_class_uid in MR_IMAGES,
        kind=frame.kind,
        monochrome=frame.header.samples_per_pixel == 1,
        acquisition_type=sequence.acquisition_type,
        tr_ms=sequence.tr_ms,
        te_ms=sequence.te_ms,
        ti_ms=sequence.ti_ms or None,
        flip_deg=sequence.flip_deg,
        echo_train=sequence.echo_train,
        spin_echo=sequence.spin_echo,
        gradient_echo=sequence.gradient_echo and not sequence.spin_echo,
        inversion_recovery=sequence.inversion_recovery,
        echo_planar=sequence.echo_planar,
        single_shot=sequence.single_shot,
        balanced=sequence.balanced,
        diffusion_weighted=diffusion_weighted(series),
        diffusion_named=any(word.startswith(_DIFFUSION_WORDS) for word in _words(frame)),
        b_value=frame.diffusion.b_value,
        highest_b_value=max((entry.diffusion.b_value or 0 for entry in series), default=None),
        directional=_directional(frame),
        localizer=_localizer(frame, series),
    )


def _evidence(rule: Rule, facts: VolumeFacts) -> tuple[Evidence, ...]:
    found = ((condition, getattr(facts, condition.fact)) for condition in rule.conditions)
    return tuple(
        Evidence(condition.fact, condition.wanted, str(value), condition.holds(value)) for condition, value in found
    )


def _directional(frame: FrameFacts) -> bool:
    """A single gradient direction, or an image of a tensor run; the combined images are what is wanted."""
    if frame.kind is ImageKind.TRACE or not (frame.diffusion.b_value or 0) > 0:
        return False
    if frame.diffusion.directionality is Directionality.DIRECTIONAL or frame.diffusion.tensor:
        return True
    return bool(frame.diffusion.direction and any(frame.diffusion.direction))


def _localizer(frame: FrameFacts, series: Frames) -> bool:
    if frame.header.three_planes:
        return True
    sizes = orientation_sizes(series)
    few = max(sizes, default=0) < LOCALIZER_SLICES
    named = bool(_words(frame) & _LOCALIZER_WORDS) or "AAHSCOUT" in frame.sequence.name.upper()
    return (len(sizes) > 1 and (few or named)) or (few and named)


def _words(frame: FrameFacts) -> set[str]:
    """Whole words of the texts, in lower case: `loc` also sits in `block`."""
    return set(re.split(r"[\s_\-]+", f"{frame.header.description} {frame.header.protocol}".lower()))

"""Findings: kinds of volume, the role that each could fill, and the evidence of a finding and its confidence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Finding(StrEnum):
    """A kind of volume; only the first four can fill a role."""

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
    DAMAGED = "damaged header"
    BALANCED = "balanced gradient echo"
    UNWANTED = "not wanted at this site"
    UNKNOWN = "no rule applies"


# The role that a finding belongs to, whether or not it can fill it.
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


class Confidence(StrEnum):
    """How much a verdict rests on: HIGH on elements alone, the others lack or doubt something that is named."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class ConditionResult:
    """A condition with what was wanted and what was found; `doubtful`: it held because a missing value may pass."""

    fact: str
    wanted: str
    found: str
    held: bool
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A rule that failed by one condition."""

    rule: str
    finding: Finding
    failed: tuple[ConditionResult, ...]

"""Records of the place of a finding, and of a finding that is not reported."""

from __future__ import annotations

from dataclasses import dataclass

OUTSIDE, EDGE, PLACE = "E-FINDING-OUTSIDE", "E-FINDING-EDGE", "E-FINDING-PLACE"
APART, UNCONFIRMED = "E-FINDING-APART", "E-FINDING-UNCONFIRMED"


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a finding is not reported: a code and a sentence without a full stop."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class SetAside:
    """A finding of the segmentation that is not reported.

    sequence: T2WI, DWI or PVP; place: in words, to stand behind a volume ("at the left gluteal region"); position_mm:
    its centre of gravity, LPS.
    """

    sequence: str
    volume_ml: float
    place: str
    code: str
    reason: str
    position_mm: tuple[float, float, float]

    def __str__(self) -> str:
        return f"{self.sequence}: {self.volume_ml:.1f} ml {self.place}: not reported, {self.reason} ({self.code})"


@dataclass(frozen=True, slots=True)
class Location:
    """Whether the finding that sequences report was established to lie where a rectum can be, and why."""

    sequences: tuple[str, ...]
    established: bool
    reason: str

    def __str__(self) -> str:
        said = "established as far as the node can tell" if self.established else "not established"
        return f"{', '.join(self.sequences)}: that the finding lies in the rectum is {said}: {self.reason}"

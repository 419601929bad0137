"""The answer of a check as numbers by name, and whether one is another.

What cannot differ between engines and precisions is compared exactly: which objects there are, and how many
measurements. The rest is compared within tolerances that are wider than what engines and precisions differ by on this
study (docs/operations.md has what was measured).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import Comprehensive3DSRStorage, MRImageStorage, SegmentationStorage

UNREADABLE = (InvalidDicomError, AttributeError, IndexError, KeyError, OSError, TypeError, ValueError)
"""What reading a result raises that is no object of its kind."""
VOLUME, PROBABILITY = "Volume", "Probability"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The most that a number may differ by: a share of the known one, or so much, whichever is more."""

    share: float = 0.0
    least: float = 0.0

    def holds(self, known: float, found: float) -> bool:
        """Whether a number is the known one."""
        return abs(found - known) <= max(self.share * abs(known), self.least)


TOLERANCES = {
    "objects": Tolerance(),
    "measurements": Tolerance(),
    "mean": Tolerance(share=0.002),
    "deviation": Tolerance(share=0.005),
    "voxels": Tolerance(share=0.02, least=20),
    VOLUME: Tolerance(share=0.02, least=0.05),
    PROBABILITY: Tolerance(least=0.02),
}
"""By the kind of a number, which is what follows the colon in its name. Volumes in ml, probabilities from 0 to 1."""


def read(results: Iterable[tuple[str, Path]]) -> dict[str, float]:
    """The answer in results, given by role and file."""
    by_role: defaultdict[str, list[Dataset]] = defaultdict(list)
    for role, path in results:
        by_role[role].append(pydicom.dcmread(path))
    found: dict[str, float] = {}
    for role, objects in sorted(by_role.items()):
        found[f"{role}: objects"] = len(objects)
        found |= {f"{role}: {name}": value for name, value in _numbers(objects).items()}
    return found


def differences(known: Mapping[str, float], found: Mapping[str, float]) -> tuple[str, ...]:
    """Where an answer is another than the known one, a sentence each."""
    wrong = []
    for name in sorted(known.keys() | found.keys()):
        if name not in found or name not in known:
            wrong.append(f"{name}: {'is lacking' if name in known else 'is not known'}")
        elif not _tolerance(name).holds(known[name], found[name]):
            wrong.append(f"{name}: {found[name]:.6g} and not {known[name]:.6g}")
    return tuple(wrong)


def _tolerance(name: str) -> Tolerance:
    kind = name.rpartition(": ")[2].partition(" ")[0]
    return TOLERANCES.get(kind, Tolerance())


def _numbers(objects: list[Dataset]) -> dict[str, float]:
    kind = objects[0].SOPClassUID
    if kind == MRImageStorage:
        values = np.concatenate([it.pixel_array.ravel() * float(it.get("RescaleSlope", 1)) for it in objects])
        return {"mean": float(values.mean()), "deviation": float(values.std())}
    if kind == SegmentationStorage:
        # Bits are packed over all frames, and those that fill the last byte are 0.
        bits = [np.unpackbits(np.frombuffer(it.PixelData, np.uint8)).sum() for it in objects]
        return {"voxels": float(sum(bits))}
    if kind == Comprehensive3DSRStorage:
        return _measurements(objects[0])
    return {}


def _measurements(report: Dataset) -> dict[str, float]:
    """How many numbers a report has; of volumes and probabilities also which, in the order of the report."""
    numbers = list(_of_items(report))
    found: dict[str, float] = {"measurements": len(numbers)}
    for kind in (VOLUME, PROBABILITY):
        of_kind = [value for meaning, value in numbers if kind.lower() in meaning.lower()]
        found |= {f"{kind} {place}": value for place, value in enumerate(of_kind, start=1)}
    return found


def _of_items(item: Dataset) -> Iterable[tuple[str, float]]:
    for content in item.get("ContentSequence", ()):
        if content.ValueType == "NUM" and content.get("MeasuredValueSequence"):
            measured = content.MeasuredValueSequence[0]
            value = measured.get("FloatingPointValue", measured.NumericValue)
            yield str(content.ConceptNameCodeSequence[0].CodeMeaning), float(value)
        yield from _of_items(content)

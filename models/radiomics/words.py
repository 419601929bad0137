"""Features in words: what a reader who knows no radiomics can picture, beside the name and code of IBSI.

Names and codes are those of the DICOM context groups 7467 (GLCM), 7475 (GLRLM), 7476 (GLSZM), 7477 (shape), 7500
(NGTDM) and 7501 (NGLDM, which pyradiomics calls GLDM). A code speaks of the image as it is: a feature of a filtered
image has the name and the filter, but no code. First-order features have IBSI names without codes: the groups hold no
code for statistics of undiscretised intensities, and an intensity-histogram code on them would be wrong. What IBSI does
not define has neither.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_LOG = re.compile(r"log-sigma-(?P<sigma>\d+-\d+)-mm-3D")
_UNITS = {
    "mm": "millimeter",
    "mm2": "square millimeter",
    "mm3": "cubic millimeter",
    "/mm": "per millimeter",
    "1": "no units",
}

_NAMES = Path(__file__).with_name("words.csv")

#: The features that a structured report names, each by its IBSI code.
REPORTED = (
    *(f"original_shape_{name}" for name in ("MeshVolume", "VoxelVolume", "SurfaceArea", "Sphericity", "Elongation")),
    *(f"original_shape_{name}" for name in ("Flatness", "Maximum3DDiameter", "MajorAxisLength")),
    *(f"original_glcm_{name}" for name in ("JointEntropy", "Contrast", "Correlation", "Idm")),
    "original_ngtdm_Coarseness",
)


@dataclass(frozen=True, slots=True)
class FeatureWords:
    """One measured feature, in words.

    Attributes:
        sequence: T2WI, DWI or PVP.
        resolution: ``normal`` or ``super``.
        name: of pyradiomics, filter included.
        words: what it is in plain English; the pyradiomics name where it is not known.
        filter: what the image went through before, such as ``3 mm filter``; empty for the image as it is.
        ibsi: name in the words of IBSI; empty where IBSI defines none.
        code: IBSI code; empty where there is none, and for filtered images.
        unit: UCUM code.
        unit_meaning: of that code.
    """

    sequence: str
    resolution: str
    name: str
    words: str
    filter: str
    ibsi: str
    code: str
    unit: str
    unit_meaning: str


def in_words(name: str) -> FeatureWords:
    """The feature ``<sequence>|<resolution>|<pyradiomics name>`` in words."""
    sequence, resolution, feature = name.split("|", 2)
    image, _, measured = feature.partition("_")
    words, ibsi, code, unit = _table().get(measured, (feature, "", "", "1"))
    through = _filter(image) if measured in _table() else ""
    return FeatureWords(
        sequence=sequence,
        resolution=resolution,
        name=feature,
        words=words,
        filter=through,
        ibsi=ibsi,
        code="" if image != "original" else code,
        unit=unit,
        unit_meaning=_UNITS[unit],
    )


@lru_cache
def _table() -> dict[str, tuple[str, str, str, str]]:
    """By class and feature of pyradiomics: words, IBSI name, IBSI code, UCUM unit."""
    with _NAMES.open(encoding="utf-8", newline="") as stream:
        return {row["feature"]: (row["words"], row["ibsi"], row["code"], row["unit"]) for row in csv.DictReader(stream)}


def _filter(image: str) -> str:
    if image == "original":
        return ""
    gaussian = _LOG.fullmatch(image)
    if gaussian:
        return f"{float(gaussian['sigma'].replace('-', '.')):g} mm filter"
    return image.replace("-", " ")

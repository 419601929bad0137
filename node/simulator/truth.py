"""What the phantom knows and no scanner tells: tumour, label and volume, written beside a simulated study."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import SimpleITK as sitk

from models.research.phantom.study import SimulatedStudy
from node.simulator.session import open_session

MASK_NAME = "tumour_mask.nrrd"
RECORD_NAME = "truth.json"


@dataclass(frozen=True, slots=True)
class TruthRecord:
    """The truth of one simulated study; label 1 is high grade, 0 low grade; centroid in LPS, mm.

    Without a tumour the volume is 0, and label and centroid are None.
    """

    study_instance_uid: str
    patient_id: str
    scanner: str
    seed: int
    label: int | None
    tumour_volume_ml: float
    tumour_centroid_lps_mm: tuple[float, float, float] | None


def write_truth(study: SimulatedStudy, folder: Path) -> TruthRecord:
    """Write the high-resolution tumour mask (``tumour_mask.nrrd``) and ``truth.json`` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    session = open_session(study.seed, study.scanner.manufacturer, study.scanner.model)
    record = TruthRecord(
        study_instance_uid=session.uid("study"),
        patient_id=session.patient_id,
        scanner=session.scanner,
        seed=study.seed,
        label=study.truth.label,
        tumour_volume_ml=float(study.truth.tumour_volume_ml),
        tumour_centroid_lps_mm=_centroid(study.truth.tumour_mask),
    )
    sitk.WriteImage(study.truth.tumour_mask, folder / MASK_NAME, useCompression=True)
    (folder / RECORD_NAME).write_text(json.dumps(asdict(record), indent=2) + "\n", "utf-8")
    return record


def read_truth(folder: Path) -> TruthRecord:
    """The record that `write_truth` left in `folder`."""
    document = json.loads((folder / RECORD_NAME).read_text("utf-8"))
    if document["tumour_centroid_lps_mm"] is not None:
        document["tumour_centroid_lps_mm"] = tuple(document["tumour_centroid_lps_mm"])
    return TruthRecord(**document)


def _centroid(mask: sitk.Image) -> tuple[float, float, float] | None:
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(mask)
    if not shape.HasLabel(1):
        return None
    x, y, z = shape.GetCentroid(1)
    return x, y, z

"""Work and results of the methods of a comparison: judged, kept, and tabulated the same way for all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from models.research.cohort.reading import read_mask
from models.research.cohort.records import CaseFacts, CaseVolume
from models.research.evaluation.overlap import compare
from models.spreadsheet import write_mappings


@dataclass(frozen=True, slots=True)
class Training:
    """A finished training. Patch in voxels and spacing in mm are (z, y, x); preparation is not in `seconds`."""

    method: str
    steps: int
    seconds: float
    preparation_seconds: float
    batch: int
    patch: str
    spacing_mm: str
    precision: str
    million_weights: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """One test case on its acquired grid; the distance is None where a mask is empty."""

    case: str
    scanner: str
    true_volume_ml: float
    volume_ml: float
    dice: float
    hausdorff_95_mm: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """A method that was run; `inference_seconds` for all test cases, preparation of the volume included."""

    training: Training
    judgements: list[Judgement]
    inference_seconds: float


def judge(found: sitk.Image, facts: CaseFacts, volume: CaseVolume) -> Judgement:
    """A found mask against the true one, on the acquired grid."""
    true = read_mask(volume)
    overlap = compare(found, true)
    distance = overlap.hausdorff_95_mm
    return Judgement(
        case=facts.case_id,
        scanner=facts.equipment.name,
        true_volume_ml=round(overlap.true_volume_ml, 2),
        volume_ml=round(overlap.volume_ml, 2),
        dice=round(float(overlap.dice), 4),
        hausdorff_95_mm=None if distance is None else round(distance, 2),
    )


def table_row(result: Result) -> dict[str, object]:
    """One line of the table; means over the cases with tumour, distances over those of them where one was found."""
    with_tumour = [it for it in result.judgements if it.true_volume_ml > 0]
    free = [it for it in result.judgements if it.true_volume_ml == 0]
    distances = [it.hausdorff_95_mm for it in with_tumour if it.hausdorff_95_mm is not None]
    facts, dice = result.training, np.array([it.dice for it in with_tumour])
    return {
        "method": facts.method,
        "steps": facts.steps,
        "patches_a_step": facts.batch,
        "patch": facts.patch,
        "spacing_mm": facts.spacing_mm,
        "precision": facts.precision,
        "million_weights": round(facts.million_weights, 2),
        "preparation_s": round(facts.preparation_seconds),
        "training_s": round(facts.seconds),
        "dice_mean": round(float(dice.mean()), 3) if len(dice) else "",
        "dice_median": round(float(np.median(dice)), 3) if len(dice) else "",
        "hausdorff_95_mm_median": round(float(np.median(distances)), 1) if distances else "",
        "with_a_mask": len(distances),
        "missed": int((dice == 0).sum()),
        "cases": len(dice),
        "false_alarms": sum(it.volume_ml > 0 for it in free),
        "cases_without_tumour": len(free),
        "inference_s": round(result.inference_seconds / len(result.judgements), 1),
    }


def markdown(rows: SequenceOf[dict[str, object]]) -> Iterator[str]:
    """The table on its side: a column a method."""
    yield "| " + " | ".join(["", *(str(row["method"]) for row in rows)]) + " |"
    yield "| --- " * (len(rows) + 1) + "|"
    for name in list(rows[0])[1:]:
        yield "| " + " | ".join([name, *(str(row[name]) for row in rows)]) + " |"


def write_csv(path: Path, rows: SequenceOf[dict[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        write_mappings(stream, list(rows[0]), rows)


def keep(result: Result, path: Path) -> None:
    path.write_text(json.dumps(asdict(result), indent=1), "utf-8")


def kept(path: Path) -> Result:
    found = json.loads(path.read_text("utf-8"))
    judgements = [Judgement(**one) for one in found["judgements"]]
    return Result(Training(**found["training"]), judgements, found["inference_seconds"])

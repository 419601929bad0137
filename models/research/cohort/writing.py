"""Writing a cohort case by case: files first, then the row, so that an interrupted writer leaves a whole cohort."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from models.research.cohort.records import TABLE_NAME, CaseFacts, acquisition_path, image_path, mask_path
from models.research.cohort.table import read_table, row_faults, write_table
from models.research.errors import CohortError
from models.sequence import Sequence
from models.volume_files import write


@dataclass(frozen=True, slots=True)
class NewVolume:
    """One sequence to write: image and mask on one grid (LPS, mm), and what is known of its acquisition."""

    image: sitk.Image
    mask: sitk.Image | None
    acquisition: Mapping[str, float]


def written_cases(folder: Path) -> tuple[CaseFacts, ...]:
    """The cases that are in the table already; none where there is no table.

    Raises:
        CohortError: the table cannot be understood, so that nothing should be added to it.
    """
    if not (folder / TABLE_NAME).exists():
        return ()
    entries, faults = read_table(folder)
    if faults:
        raise CohortError(faults)
    return entries


def write_case(folder: Path, facts: CaseFacts, volumes: Mapping[Sequence, NewVolume]) -> None:
    """Add a case to the cohort in `folder`, or replace it; the same input gives the same bytes.

    Raises:
        CohortError: the case's own facts could not be read again, or the table in `folder` cannot be understood.
    """
    if faults := row_faults(facts):
        raise CohortError(faults)
    others = [other for other in written_cases(folder) if other.case_id != facts.case_id]
    partial, whole = folder / f".{facts.case_id}.partial", folder / facts.case_id
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for sequence, volume in volumes.items():
        write(volume.image, image_path(partial, sequence))
        if volume.mask is not None:
            write(sitk.Cast(volume.mask != 0, sitk.sitkUInt8), mask_path(partial, sequence))
        document = json.dumps(dict(volume.acquisition), indent=1, sort_keys=True)
        acquisition_path(partial, sequence).write_text(document + "\n", "utf-8")
    if whole.exists():
        shutil.rmtree(whole)
    os.replace(partial, whole)
    write_table(folder, [*others, facts])

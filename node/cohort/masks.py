"""Where the masks of a study come from: NIfTI files by name, else DICOM Segmentations in the study.

NIfTI masks lie in a folder of their own, as `CASE/T2WI.mask.nii.gz` (the case's name in the cohort), as
`STUDY_INSTANCE_UID/T2WI.mask.nii.gz` or as `SERIES_INSTANCE_UID.nii.gz`; voxels that are not 0 are tumour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from models.errors import VolumeError
from models.research.cohort.nifti import stored_fault
from models.volume import grid_of, image_from
from models.volume_files import read
from node.codes import Code
from node.cohort.segmentations import SegmentationFile, mask_from, on_grid, segmentation_of
from node.errors import Refusal
from node.recognition.record import Stack


@dataclass(frozen=True, slots=True)
class MaskSources:
    """Where to look for masks.

    Attributes:
        folder: of NIfTI masks; None where there are none.
        segment: which segments of a DICOM Segmentation are tumour, as a regular expression for their labels.
        wanted: False for a cohort without masks.
    """

    folder: Path | None = None
    segment: str = r"tumou?r|neoplasm|cancer|carcinoma|lesion"
    wanted: bool = True


def no_tumour(image: sitk.Image) -> sitk.Image:
    """The mask of a patient without tumour."""
    grid = grid_of(image)
    return image_from(np.zeros(grid.size[::-1], np.uint8), grid)


def mask_of(
    stack: Stack,
    image: sitk.Image,
    names: tuple[str, str],
    segmentations: Sequence[SegmentationFile],
    sources: MaskSources,
) -> sitk.Image:
    """The tumour mask (uint8) of a stack on the grid of its volume `image`.

    `names`: of the case and of the study, under which NIfTI masks are looked for.

    Raises:
        Refusal: E-MASK-NONE where there is none, else what is wrong with it.
    """
    path = _nifti(stack, names, sources)
    if path is not None:
        return on_grid(_read(path), image, path.name)
    found = segmentation_of(stack, segmentations)
    if found is None:
        raise Refusal(Code.MASK_NONE, f"neither a NIfTI mask nor a segmentation refers to the {stack.role} series")
    return mask_from(found, stack, image, sources.segment)


def _nifti(stack: Stack, names: tuple[str, str], sources: MaskSources) -> Path | None:
    if sources.folder is None:
        return None
    by_name = [sources.folder / name / f"{stack.role}.mask.nii.gz" for name in names]
    found = [path for path in (*by_name, sources.folder / f"{stack.series_instance_uid}.nii.gz") if path.is_file()]
    if len(found) > 1:
        raise Refusal(Code.MASK_MANY, f"{len(found)} NIfTI masks: {', '.join(str(path) for path in found)}; keep one")
    return found[0] if found else None


def _read(path: Path) -> sitk.Image:
    if fault := stored_fault(path):
        raise Refusal(Code.DECODE, f"{path.name} {fault}")
    try:
        return sitk.Cast(read(path) != 0, sitk.sitkUInt8)
    except VolumeError as error:
        raise Refusal(Code.DECODE, str(error)) from error

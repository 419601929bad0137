"""The real series that a network is judged on: as they are, and with each of their painted tumours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from models.analysis import mask_on
from models.research.evaluation.pelvis.appearance import Levels, levels_of
from models.research.evaluation.pelvis.bowel import Bowel, bowel_of
from models.research.evaluation.pelvis.implants import distance_image
from models.research.evaluation.pelvis.outlines import Mask, Rectum, contours, rectum_on
from models.research.evaluation.pelvis.painting import Painted, paint
from models.research.evaluation.pelvis.patients import PelvicPatient
from models.research.evaluation.pelvis.plan import READING, Implant
from models.sequence import Sequence
from models.volume import Grid, grid_of, image_from

Images = Mapping[Sequence, sitk.Image]
BESIDE_MM = 12.0


@dataclass(frozen=True)
class Pelvis:
    """A patient with all that painting needs; measured at its first use."""

    patient: PelvicPatient
    images: Images

    @property
    def grid(self) -> Grid:
        """Of the series that was outlined."""
        return grid_of(self.images[Sequence.T2WI])

    @cached_property
    def rectum(self) -> Rectum:
        """The outlines on that grid, slices between filled in."""
        return rectum_on(self.grid, contours(self.patient.name, READING), between=True)

    @cached_property
    def bowel(self) -> Bowel:
        """What tumours grow along."""
        return bowel_of(contours(self.patient.name, READING), self.grid)

    @cached_property
    def levels(self) -> dict[Sequence, Levels]:
        """What each image shows of muscle, wall and noise."""
        muscle = np.asarray(self.patient.muscle_mm)
        beside = self._beside()
        return {
            sequence: levels_of(
                image, muscle, *(self.brought_to(it, grid_of(image)) for it in (self.rectum.wall, beside))
            )
            for sequence, image in self.images.items()
        }

    def _beside(self) -> Mask:
        """What lies within `BESIDE_MM` of the outer wall, on the outlined slices."""
        steps = self.grid.spacing[1::-1]
        near = [
            ndimage.distance_transform_edt(~outer, steps) <= BESIDE_MM if outer.any() else outer
            for outer in self.rectum.outer
        ]
        return np.stack(near) & ~self.rectum.outer

    def brought_to(self, mask: Mask, grid: Grid) -> Mask:
        """A mask of the outlined series on another grid of the patient."""
        image = mask_on(image_from(mask.astype(np.uint8), self.grid), grid)
        return sitk.GetArrayFromImage(image) > 0

    def with_tumour(self, implant: Implant) -> dict[Sequence, Painted]:
        """All series with one tumour."""
        distance = distance_image(implant.form, self.bowel)
        return {
            series.sequence: paint(
                self.images[series.sequence],
                series.sequence,
                distance,
                self.levels[series.sequence],
                implant.appearance,
                series.b_value,
                implant.seed,
            )
            for series in self.patient.series
        }


def pelvis_of(patient: PelvicPatient, data: Path) -> Pelvis:
    """A patient's pelvis. Raises VolumeError when a series is missing."""
    return Pelvis(patient, patient.images(data))


def sets_of(images: Images) -> tuple[tuple[Sequence, ...], ...]:
    """All sets of the sequences that there are, the smallest first."""
    there = [sequence for sequence in Sequence if sequence in images]
    return tuple(one for size in range(1, len(there) + 1) for one in combinations(there, size))

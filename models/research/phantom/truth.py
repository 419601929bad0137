"""The truth on fine grids of its own, independent of any scanner."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from models.research.phantom.anatomy import BODY_BOX
from models.research.phantom.lattice import isotropic
from models.research.phantom.raster import rasterise
from models.research.phantom.specimen import Patient
from models.research.phantom.tissue import Tissue
from models.volume import image_from

TRUTH_SPACING_MM, EMPTY_SPACING_MM = 0.6, 3.0


def tumour_truth(patient: Patient) -> sitk.Image:
    """Tumour mask (uint8) at 0.6 mm isotropic in the box around the tumour, LPS; empty and coarser without one."""
    anatomy = patient.anatomy
    if anatomy.tumour is None:
        lower, upper = (anatomy.deformation.place(corner) for corner in anatomy.target_box())
        grid = isotropic(lower, upper, EMPTY_SPACING_MM)
        return image_from(np.zeros(grid.size[::-1], dtype=np.uint8), grid)
    grid = isotropic(*anatomy.deformation.box(anatomy.target_box(), 2.0), TRUTH_SPACING_MM)
    # The tumour is painted last, so nothing else can take a voxel from it.
    painted = rasterise((anatomy.tumour,), anatomy.deformation, grid)
    return image_from((painted.coverage(Tissue.TUMOUR) >= 0.5).astype(np.uint8), grid)


def tissue_labels(patient: Patient, spacing_mm: float) -> sitk.Image:
    """Labels (uint8, `Tissue`) of the whole pelvis on an isotropic LPS grid."""
    anatomy = patient.anatomy
    grid = isotropic(*anatomy.deformation.box(BODY_BOX), spacing_mm)
    painted = rasterise(anatomy.layers, anatomy.deformation, grid)
    return image_from(np.where(painted.share >= 128, painted.top, painted.under), grid)

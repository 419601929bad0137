"""The interpolations that a super-resolution is measured against, all on its own grid."""

from __future__ import annotations

import SimpleITK as sitk

from models.volume import Grid, resample_onto

INTERPOLATORS = {
    "linear": sitk.sitkLinear,
    "cubic_b_spline": sitk.sitkBSpline,
    "lanczos": sitk.sitkLanczosWindowedSinc,
}


def interpolated(image: sitk.Image, grid: Grid) -> dict[str, sitk.Image]:
    """`image` on `grid` by linear, cubic B-spline and Lanczos (five samples on either side) interpolation."""
    return {name: resample_onto(image, grid, method) for name, method in INTERPOLATORS.items()}

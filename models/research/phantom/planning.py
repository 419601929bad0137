"""Where each sequence lies in the patient: fields of view, slices, tilts and gaps as a technologist plans them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.research.phantom.anatomy import RECTUM_MIDDLE_MM, Anatomy
from models.research.phantom.lattice import Vector, vector
from models.research.phantom.scanners import Protocol, Scanner
from models.research.phantom.streams import stream
from models.volume import Grid

FINE_STEP_MM = 3.0
"""Slices closer than this are sampled twice each, others four times."""
COARSEST_MM = 1.3
"""Pixels larger than this are sampled twice along each edge, so that fine anatomy does not alias."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One planned measurement.

    `grid` is the reconstructed grid (its third spacing is the distance between slices); `oversampling` samples of the
    anatomy per pixel edge and `subslices` per slice distance; `matrix` is the acquisition matrix (columns, rows).
    """

    kind: str
    protocol: Protocol
    grid: Grid
    matrix: tuple[int, int]
    slice_thickness_mm: float
    oversampling: int
    subslices: int


def plan(scanner: Scanner, anatomy: Anatomy, seed: int) -> dict[str, Measurement]:
    """Measurements by kind: T2WI, DWI, DCE, T2WI_SAG and the three planes LOCALIZER_0 ... LOCALIZER_2.

    Axial T2 and DWI share a tilt of up to 10° about the left-right axis (perpendicular to the bowel); DCE is
    transversal. Gaps belong to the site, so they depend on the scanner only.
    """
    rng = stream(seed, scanner.name, "planning")
    site = stream(0, scanner.name, "site")
    gap_t2, gap_dwi = (float(value) for value in site.choice([0.0, 0.1, 0.2], 2))
    tilt = float(rng.uniform(-10, 10))
    centre = _centre(anatomy, rng)
    return {
        "T2WI": _axial("T2WI", scanner.t2wi, gap_t2, tilt, centre, 135),
        "DWI": _axial("DWI", scanner.dwi, gap_dwi, tilt, centre, 135),
        "DCE": _axial("DCE", scanner.dce, 0.0, 0.0, centre, 118),
        "T2WI_SAG": _sagittal(scanner.t2wi, gap_t2, centre),
    } | _localizer(centre)


def _centre(anatomy: Anatomy, rng: np.random.Generator) -> Vector:
    """LPS centre of the stacks: in the midline, between the middle of the rectum and the tumour."""
    lower, upper = np.asarray(anatomy.target_box())
    height = 0.4 * RECTUM_MIDDLE_MM + 0.6 * (lower[2] + upper[2]) / 2
    place = np.array([rng.uniform(-4, 4), rng.uniform(2, 10), height + rng.uniform(-4, 4)])
    return vector(anatomy.deformation.place(place))


def _axial(kind: str, protocol: Protocol, gap: float, tilt_deg: float, centre: Vector, extent_mm: float) -> Measurement:
    step = protocol.slice_thickness_mm * (1 + gap)
    limits = (20, 30) if protocol.mr_acquisition_type == "2D" else (28, 48)
    slices = int(np.clip(round(extent_mm / step), *limits))
    cosine, sine = float(np.cos(np.deg2rad(tilt_deg))), float(np.sin(np.deg2rad(tilt_deg)))
    direction = (1.0, 0.0, 0.0, 0.0, cosine, -sine, 0.0, sine, cosine)
    return _measurement(kind, protocol, step, slices, centre, direction)


def _sagittal(protocol: Protocol, gap: float, centre: Vector) -> Measurement:
    """Slices from left to right; columns run to the back, rows to the feet."""
    step = protocol.slice_thickness_mm * (1 + gap)
    slices = int(np.clip(round(110 / step), 16, 24))
    direction = (0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
    return _measurement("T2WI_SAG", protocol, step, slices, centre, direction)


def _localizer(centre: Vector) -> dict[str, Measurement]:
    """Three orthogonal planes of three thick slices: single-shot spin echo of low resolution."""
    scout = Protocol(1200.0, 90.0, 130.0, 8.0, "2D", (192, 128), 2.0)
    planes = (
        (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
        (0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0),
        (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0),
    )
    return {
        f"LOCALIZER_{number}": _measurement("LOCALIZER", scout, 20.0, 3, centre, direction)
        for number, direction in enumerate(planes)
    }


def _measurement(
    kind: str, protocol: Protocol, step: float, slices: int, centre: Vector, direction: tuple[float, ...]
) -> Measurement:
    pixels = protocol.reconstructed
    spacing = (protocol.pixel_spacing_mm, protocol.pixel_spacing_mm, step)
    half = np.array([(pixels - 1) / 2, (pixels - 1) / 2, (slices - 1) / 2]) * spacing
    origin = np.asarray(centre) - np.asarray(direction).reshape(3, 3) @ half
    localizer = kind == "LOCALIZER"
    return Measurement(
        kind=kind,
        protocol=protocol,
        grid=Grid((pixels, pixels, slices), spacing, vector(origin), direction),
        matrix=protocol.matrix,
        slice_thickness_mm=protocol.slice_thickness_mm,
        oversampling=2 if protocol.pixel_spacing_mm > COARSEST_MM and not localizer else 1,
        subslices=4 if step > FINE_STEP_MM else 2,
    )

"""The corridor around the posterior midline in which a rectum can lie, and where in the body a finding lies.

Places are counted from the surface of the body: as a share of the way from front to back, and from the midline. Where a
field of view cuts the surface off, the share is known between bounds, and only what lies outside with every thickness
that a body can have is taken to lie outside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.plausibility.body import Body
from models.plausibility.records import EDGE, OUTSIDE, PLACE, Doubt
from models.rounding import whole_nearest

FRONT, BACK = 0.45, 0.9
"""Share of the way from front to back at which the corridor begins and ends."""
HALF_WIDTH_MM, NARROW_FROM, NARROW_MM = 50.0, 0.75, 35.0
"""Half of its width, and behind a share of the way, where the sacrum and the gluteal muscles begin."""
EDGE_MM = 15.0
"""No rectum lies this near to the surface of the body, but for the last centimetre of the anal canal."""
THINNEST_MM, THICKEST_MM = 150.0, 300.0
"""Of a pelvis, from front to back."""
LEAST_INSIDE = 0.5
"""Share of a finding that must be possible as rectum."""
MIDLINE_MM = 15.0
"""No side is named within this distance of the midline."""
ABDOMINAL_WALL = 0.2
"""Share of the way from front to back that is wall of the abdomen or groin."""
TOLD = 0.25
"""Between the bounds of the share: a region is named where they are no further apart."""

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a finding lies; medians over its voxels.

    offset_mm: to the patient's left of the midline; least, most: share of the way from front to back, equal where both
    surfaces are known; depth_mm: from the nearest surface, infinite where none is seen; outside: share of the voxels in
    air; inside: share that can lie in the corridor; certain: share that does.
    """

    offset_mm: float
    least: float
    most: float
    depth_mm: float
    outside: float
    inside: float
    certain: float


def place_of(points: Points, body: Body) -> Place:
    """The place of points (n, 3; LPS, mm)."""
    level = body.level(points[:, 2])
    offset = points[:, 0] - body.midline_mm[level]
    least, most = _shares(points[:, 1], level, body)
    half_width = np.where(least > NARROW_FROM, NARROW_MM, HALF_WIDTH_MM)
    near = np.abs(offset) <= half_width
    column, row = (
        np.clip(np.round((points[:, axis] - body.grid.origin[axis]) / body.grid.spacing[axis]), 0, size - 1).astype(int)
        for axis, size in enumerate(body.grid.size[:2])
    )
    return Place(
        offset_mm=float(np.median(offset)),
        least=float(np.median(least)),
        most=float(np.median(most)),
        depth_mm=float(np.median(body.depth_mm[level, row, column])),
        outside=float(body.air[level, row, column].mean()),
        inside=float((near & (most >= FRONT) & (least <= BACK)).mean()),
        certain=float((near & (least >= FRONT) & (most <= BACK)).mean()),
    )


def _shares(y: npt.NDArray[np.float64], level: npt.NDArray[np.int64], body: Body) -> tuple[Points, Points]:
    """Least and most share of the way from front to back; 0 and 1 where no image shows tissue."""
    front, back = body.front_mm[level], body.back_mm[level]
    first, last = body.first_mm[level], body.last_mm[level]
    nearest_back = np.where(np.isnan(back), np.fmax(last, front + THINNEST_MM), back)
    nearest_front = np.where(np.isnan(front), np.fmin(first, back - THINNEST_MM), front)
    most = _share(y, np.where(np.isnan(front), nearest_back - THICKEST_MM, front), nearest_back)
    least = _share(y, nearest_front, np.where(np.isnan(back), nearest_front + THICKEST_MM, back))
    return np.where(np.isnan(least), 0.0, least), np.where(np.isnan(most), 1.0, most)


def _share(y: Points, front: Points, back: Points) -> Points:
    return np.clip((y - front) / (back - front), 0.0, 1.0)


def is_established(place: Place) -> bool:
    """Whether what lies there lies in the corridor, however thick the body is."""
    return place.certain >= LEAST_INSIDE and doubt_of(place) is None


def doubt_of(place: Place) -> Doubt | None:
    """Why nothing at a place can be a rectal tumour; None where it can."""
    if place.outside > LEAST_INSIDE:
        return Doubt(OUTSIDE, "it lies outside the body")
    if place.depth_mm < EDGE_MM:
        return Doubt(EDGE, f"it lies {place.depth_mm:.0f} mm below the surface of the body")
    if place.inside < LEAST_INSIDE:
        return Doubt(PLACE, "no rectum lies there")
    return None


def in_words(place: Place) -> str:
    """The place as it stands behind a volume: "at the left gluteal region"."""
    if place.outside > LEAST_INSIDE:
        return "outside the body"
    if place.depth_mm < EDGE_MM:
        return f"under the skin, {_from_midline(place)}"
    if place.most - place.least > TOLD:
        return f"{_from_midline(place)}, at a depth in the body that the fields of view do not tell"
    return _region(place, (place.least + place.most) / 2)


def _region(place: Place, share: float) -> str:
    aside_mm, side = abs(place.offset_mm), "left" if place.offset_mm > 0 else "right"
    if share > NARROW_FROM and aside_mm > NARROW_MM:
        return f"at the {side} gluteal region"
    if aside_mm > HALF_WIDTH_MM:
        return f"at the {side} groin" if share < ABDOMINAL_WALL else f"at the {side} hip or pelvic side wall"
    if share < ABDOMINAL_WALL:
        name = "at the anterior wall of the abdomen"
    elif share < FRONT:
        name = "in the anterior pelvis (bladder, prostate or uterus)"
    elif share > BACK:
        name = "behind the sacrum or the coccyx"
    else:
        name = "in the region of the rectum"
    return f"{name}, {_from_midline(place)}"


def _from_midline(place: Place) -> str:
    if abs(place.offset_mm) < MIDLINE_MM:
        return "near the midline"
    distance = 10 * int(whole_nearest(abs(place.offset_mm) / 10))
    return f"about {distance} mm {'left' if place.offset_mm > 0 else 'right'} of the midline"

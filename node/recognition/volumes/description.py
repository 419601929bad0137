"""A volume in words: where its slices lie, how its stored values are scaled."""

from __future__ import annotations

from node.recognition.header.facts import Placement, Scaling
from node.recognition.volumes.stacks import Volume


def geometry(volume: Volume) -> str:
    """Slices, gap, pixels and tilt of a regular stack; empty where the geometry does not hold."""
    grid, placement = volume.geometry, volume.first.placement
    if grid is None or placement is None:
        return ""
    parts = [
        f"{len(volume.frames)} slices every {grid.slice_step_mm:.4g} mm{_thickness(placement, grid.slice_step_mm)}",
        f"{placement.columns} x {placement.rows} pixels of {_pixel(placement.spacing)} mm{_interpolated(placement)}",
    ]
    if volume.angle_deg >= 0.5:
        parts.append(f"{volume.angle_deg:.0f}° off {volume.plane or 'any axis'}")
    return ", ".join(parts)


def scaling(volume: Volume) -> str:
    """How stored values become displayed ones, and whether that changes from slice to slice."""
    found = [frame.scaling for frame in volume.frames]
    first = found[0]
    if all(one == first for one in found):
        return _scale(first)
    slopes = [one.slope for one in found if one.slope is not None]
    if not slopes:
        return ""
    return f"rescale slope {min(slopes):.4g} to {max(slopes):.4g}, applied slice by slice"


def _thickness(placement: Placement, step_mm: float) -> str:
    thickness = placement.thickness_mm
    if not thickness:
        return ""
    gap = step_mm - thickness
    if abs(gap) < 0.01 * step_mm:
        return ", no gap"
    return f", {thickness:.4g} mm thick, {'gap' if gap > 0 else 'overlap'} {abs(gap):.2g} mm"


def _pixel(spacing: tuple[float, float]) -> str:
    between_rows, between_columns = spacing
    if abs(between_rows - between_columns) < 1e-4:
        return f"{between_rows:.4g}"
    return f"{between_columns:.4g} x {between_rows:.4g}"


def _interpolated(placement: Placement) -> str:
    if not placement.interpolated or placement.acquired is None:
        return ""
    return f" (interpolated from {placement.acquired.read_out} x {placement.acquired.phase})"


def _scale(one: Scaling) -> str:
    if one.slope is None and one.intercept is None:
        return ""
    slope, intercept = one.slope if one.slope is not None else 1.0, one.intercept or 0.0
    if (slope, intercept) == (1.0, 0.0):
        return ""
    offset = f" {intercept:+.4g}" if intercept else ""
    return f"displayed = stored x {slope:.4g}{offset}"

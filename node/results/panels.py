"""Pictures of a volume with the outline of its mask, in true proportion and with the sides of the patient named."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from node.results.figures import largest_section, side
from node.results.fonts import FONT

BACKGROUND, INK, MUTED, OUTLINE = "#0c1117", "#e8edf2", "#93a1b0", "#ff5a36"
_HALO = (withStroke(linewidth=2, foreground="black"),)
_WIDE_HALO = (withStroke(linewidth=4, foreground="black"),)
_SCALE_BAR_MM = 20.0


@dataclass(frozen=True, slots=True)
class Plane:
    """A section through a volume.

    Attributes:
        pixels: (rows, columns), the first row on top.
        mask: bool, same shape; True inside the tumour.
        size_mm: width and height.
        right, down: unit vectors (3,) of a row and of a column, LPS.
    """

    pixels: np.ndarray
    mask: np.ndarray
    size_mm: tuple[float, float]
    right: np.ndarray
    down: np.ndarray


def centre_of(mask: sitk.Image) -> tuple[int, int, int]:
    """Index (x, y, z) to look at: the slice with the most tumour and its middle there, else the middle of the grid."""
    z = largest_section(mask)
    if z is None:
        x, y, z = (size // 2 for size in mask.GetSize())
        return x, y, z
    rows, columns = np.nonzero(sitk.GetArrayViewFromImage(mask)[z])
    return int(np.median(columns)), int(np.median(rows)), z


def acquired_plane(image: sitk.Image, mask: sitk.Image, z: int) -> Plane:
    """Slice z as the scanner made it."""
    direction = np.reshape(image.GetDirection(), (3, 3))
    spacing, size = image.GetSpacing(), image.GetSize()
    return Plane(
        pixels=sitk.GetArrayViewFromImage(image)[z],
        mask=sitk.GetArrayViewFromImage(mask)[z] > 0,
        size_mm=(size[0] * spacing[0], size[1] * spacing[1]),
        right=direction[:, 0],
        down=direction[:, 1],
    )


def through_plane(image: sitk.Image, mask: sitk.Image, x: int) -> Plane:
    """Section across the slices at column x: rows of the picture are slices, the last one on top."""
    direction = np.reshape(image.GetDirection(), (3, 3))
    spacing, size = image.GetSpacing(), image.GetSize()
    return Plane(
        pixels=sitk.GetArrayViewFromImage(image)[::-1, :, x],
        mask=sitk.GetArrayViewFromImage(mask)[::-1, :, x] > 0,
        size_mm=(size[1] * spacing[1], size[2] * spacing[2]),
        right=direction[:, 1],
        down=-direction[:, 2],
    )


def cropped(plane: Plane, around: int, width_mm: float) -> Plane:
    """The part of a plane that is `width_mm` wide, with column `around` as near to its middle as the edges allow."""
    columns = plane.pixels.shape[1]
    pixel = plane.size_mm[0] / columns
    kept = min(columns, max(1, round(width_mm / pixel)))
    first = min(max(0, around - kept // 2), columns - kept)
    return replace(
        plane,
        pixels=plane.pixels[:, first : first + kept],
        mask=plane.mask[:, first : first + kept],
        size_mm=(kept * pixel, plane.size_mm[1]),
    )


def draw(axes: Axes, plane: Plane, grey: tuple[float, float], smooth: bool = True) -> None:
    """Show a plane with outline, sides of the patient and a 2 cm bar.

    Args:
        axes: where to draw; takes the proportions of the plane.
        plane: what to draw.
        grey: black and white point.
        smooth: False shows the voxels as they are.
    """
    width, height = plane.size_mm
    axes.imshow(
        plane.pixels,
        cmap="gray",
        vmin=grey[0],
        vmax=grey[1],
        extent=(0.0, width, height, 0.0),
        interpolation="bilinear" if smooth else "nearest",
        aspect="equal",
    )
    if plane.mask.any():
        rows, columns = plane.mask.shape
        # One pixel of border, so that an outline at the edge of the picture is closed.
        padded = np.pad(plane.mask, 1).astype(float)
        x = (np.arange(-1, columns + 1) + 0.5) * width / columns
        y = (np.arange(-1, rows + 1) + 0.5) * height / rows
        axes.contour(x, y, padded, levels=[0.5], colors=[OUTLINE], linewidths=1.4)
    axes.set(xlim=(0.0, width), ylim=(height, 0.0))
    axes.set_axis_off()
    _name_sides(axes, plane)
    bar = min(_SCALE_BAR_MM, width / 3)
    axes.plot([0.96 * width - bar, 0.96 * width], [0.96 * height] * 2, color=INK, linewidth=2, path_effects=_WIDE_HALO)


def _name_sides(axes: Axes, plane: Plane) -> None:
    for text, x, y in (
        (side(-plane.right), 0.04, 0.5),
        (side(plane.right), 0.96, 0.5),
        (side(-plane.down), 0.5, 0.96),
        (side(plane.down), 0.5, 0.04),
    ):
        axes.text(
            x,
            y,
            text,
            transform=axes.transAxes,
            color=INK,
            fontsize=8,
            family=FONT,
            ha="center",
            va="center",
            path_effects=_HALO,
        )

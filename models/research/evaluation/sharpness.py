"""How sharp edges across the slices are, beside those of the true volume at the same places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.errors import VolumeError

Values = npt.NDArray[np.float32]
#: Edges are where the true volume changes most from one thin slice to the next: this share of all voxels.
EDGE_SHARE = 0.02
#: Thin slices on either side of an edge that its profile shows.
REACH = 8


@dataclass(frozen=True, slots=True)
class Sharpness:
    """Of a made volume at the edges of the true one. `profile`: (thin slices across the edge,).

    gradient_ratio: mean change across the edges relative to the true one, 1 is as sharp; profile: mean intensity at
    -REACH to REACH thin slices from the edge, 0 and 1 being the true levels on its two sides.
    """

    gradient_ratio: float
    profile: npt.NDArray[np.float64]

    @property
    def width(self) -> float:
        """Thin slices between 10 and 90 % of the mean profile's own rise."""
        return rise_width(self.profile)


def edge_sharpness(made: Values, true: Values) -> Sharpness:
    """Sharpness of `made` at the edges of `true` along the first axis, (z, y, x) both.

    Raises VolumeError when the shapes differ or there are too few slices for an edge.
    """
    if made.shape != true.shape or len(true) <= 2 * REACH + 1:
        raise VolumeError(
            f"edges of volumes of shape {made.shape} and {true.shape} (z, y, x): equal shapes and more than "
            f"{2 * REACH + 1} slices are needed"
        )
    change = np.diff(true, axis=0)[REACH - 1 : len(true) - REACH - 1]
    edges = np.argwhere(np.abs(change) >= np.quantile(np.abs(change), 1 - EDGE_SHARE))
    signs = np.sign(change[tuple(edges.T)])
    slices = edges[:, :1] + np.arange(2 * REACH)[None]
    windows = [volume[slices, edges[:, 1:2], edges[:, 2:3]] * signs[:, None] for volume in (made, true)]
    found, wanted = (window.mean(axis=0, dtype=np.float64) for window in windows)
    low, high = wanted[: REACH // 2].mean(), wanted[-REACH // 2 :].mean()
    steps = [window[:, REACH] - window[:, REACH - 1] for window in windows]
    return Sharpness(float(steps[0].mean() / steps[1].mean()), (found - low) / (high - low))


def rise_width(profile: npt.NDArray[np.float64]) -> float:
    """Samples between 10 and 90 % of the rise of a profile, from the lowest before its middle to the highest after.

    `profile`: (samples,).
    """
    middle = len(profile) // 2
    first = int(np.argmin(profile[:middle]))
    last = middle + int(np.argmax(profile[middle:]))
    rise = np.maximum.accumulate(profile[first : last + 1])
    scaled = (rise - rise[0]) / (rise[-1] - rise[0])
    places = np.arange(len(scaled))
    low, high = (float(np.interp(level, scaled, places)) for level in (0.1, 0.9))
    return high - low

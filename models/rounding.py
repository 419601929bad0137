"""Whole numbers and limits from lengths, so that the last digits of a header decide nothing.

The same geometry comes back from another system with other last digits (decimal strings of 16 characters, float32,
positions averaged over slices). A quotient that is whole, or half way between whole numbers, but for such an error is
taken for it; so is a length that equals a limit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RELATIVE_ERROR = 2e-4
"""Tolerance within which lengths are taken for equal: above the errors of headers, below what is measured. The half of
a voxel that it could cost at the edge of a large volume is bounded by `LARGEST_SLACK`."""
LARGEST_SLACK = 0.1

Whole = npt.NDArray[np.int64]


def whole_nearest(values: npt.ArrayLike) -> Whole:
    """The nearest whole numbers; half way the greater one. Any shape."""
    return np.floor(_floats(values) + 0.5 + _slack(values)).astype(np.int64)


def whole_above(values: npt.ArrayLike) -> Whole:
    """The least whole numbers that are not below. Any shape."""
    return np.ceil(_floats(values) - _slack(values)).astype(np.int64)


def whole_below(values: npt.ArrayLike) -> Whole:
    """The greatest whole numbers that are not above. Any shape."""
    return np.floor(_floats(values) + _slack(values)).astype(np.int64)


def at_least(values: npt.ArrayLike, limit: float) -> npt.NDArray[np.bool_]:
    """Whether values reach a limit; what equals it does. Any shape."""
    return np.asarray(_floats(values) >= limit - _slack(limit))


def beyond(values: npt.ArrayLike, limit: float) -> npt.NDArray[np.bool_]:
    """Whether values exceed a limit; what equals it does not. Any shape."""
    return np.asarray(_floats(values) > limit + _slack(limit))


def _floats(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def _slack(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.minimum(RELATIVE_ERROR * np.abs(_floats(values)), LARGEST_SLACK)

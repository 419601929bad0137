"""Independent random streams: every draw of the phantom comes from one of these, named by its purpose."""

from __future__ import annotations

from zlib import crc32

import numpy as np


def stream(seed: int, *names: str) -> np.random.Generator:
    """Generator for (seed, names): the same arguments give the same numbers, other names independent ones.

    What belongs to the patient is drawn without the scanner's name, so one patient can lie in several scanners.
    """
    return np.random.default_rng([seed, *(crc32(name.encode()) for name in names)])

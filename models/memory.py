"""Freed memory given back to the system.

glibc keeps what is freed within its arenas, and the arrays of a study, of some tens of megabytes each, leave these full
of holes: without this a study takes a quarter of a gigabyte more at its peak.
"""

from __future__ import annotations

import ctypes

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone


def give_back() -> None:
    """Give back what this process has freed; it takes some milliseconds."""
    if _trim is not None:
        _trim(0)

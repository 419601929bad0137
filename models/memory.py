"""Freed memory given back to the system.

glibc keeps what is freed within its arenas, and the arrays of a study, of some tens of megabytes each, leave these full
of holes: without this a study takes a quarter of a gigabyte more at its peak.
"""

from __future__ import annotations

import ctypes

_libc = ctypes.CDLL(None)
_trim = getattr(_libc, "malloc_trim", None)  # of glibc alone
_mallopt = getattr(_libc, "mallopt", None)  # of glibc and others, which do not know this option
_M_ARENA_MAX = -8
_ARENAS = 2


def give_back() -> None:
    """Give back what this process has freed; it takes some milliseconds."""
    if _trim is not None:
        _trim(0)


def share_arenas() -> None:
    """Let the threads of this process share two arenas of the allocator instead of having eight a processor.

    Freed memory of one arena serves no thread of another. It counts for arenas that are made from now on.
    """
    if _mallopt is not None:
        _mallopt(_M_ARENA_MAX, _ARENAS)

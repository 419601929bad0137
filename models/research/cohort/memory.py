"""Whether a training fits into memory, asked before it starts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from models.research.cohort.records import Cohort
from models.research.errors import CohortError
from models.volume import Grid

_CGROUP = Path("/sys/fs/cgroup")


def available_bytes() -> int:
    """Memory that a process may still take: what the machine has free, and what its container may still use."""
    return min(_machine(), _container())


def check_memory(
    cohort: Cohort, kept: Callable[[Grid], float], passing: Callable[[Grid], float], available: int | None = None
) -> float:
    """Bytes that a training takes at most for the volumes of `cohort`.

    Args:
        cohort: what is trained on.
        kept: bytes that stay in memory for a volume on a grid.
        passing: bytes that are taken while it is prepared, and given back.
        available: bytes that may be taken; what is free now when None.

    Raises:
        CohortError: it does not fit; says which case is too large, or with which case memory ends.
    """
    free = available_bytes() if available is None else available
    total, most = 0.0, 0.0
    for case in cohort.cases:
        for sequence, volume in case.volumes.items():
            needed = total + kept(volume.grid) + passing(volume.grid)
            if needed > free:
                raise CohortError((_sentence(case.facts.case_id, sequence, volume.grid, needed, total, free),))
            total += kept(volume.grid)
            most = max(most, needed)
    return most


def _sentence(case: str, sequence: str, grid: Grid, needed: float, before: float, free: int) -> str:
    size = " x ".join(map(str, grid.size))
    place = f"case {case}: {sequence} of {size} voxels"
    if before < needed / 2:
        return f"{place} does not fit into memory: about {_gb(needed - before)} are needed, {_gb(free)} are free"
    return (
        f"{place}: the cohort does not fit into memory from this case on: about {_gb(needed)} are needed, "
        f"{_gb(free)} are free"
    )


def _gb(amount: float) -> str:
    return f"{amount / 1e9:.1f} GB"


def _machine() -> int:
    """MemAvailable counts the page cache, which the kernel gives back."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _container() -> int:
    """Bytes left under the limit of a control group (version 2); without a limit more than any machine has."""
    try:
        limit = (_CGROUP / "memory.max").read_text("ascii").strip()
        used = (_CGROUP / "memory.current").read_text("ascii").strip()
    except OSError:
        return 1 << 62
    return 1 << 62 if limit == "max" else max(0, int(limit) - int(used))

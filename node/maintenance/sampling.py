"""Disk and memory of the machine, kept every few minutes."""

from __future__ import annotations

import shutil
from pathlib import Path

from node.clock import utc_now
from storage.files import ObjectStore
from storage.samples import Sample, Samples

_MEMORY = Path("/proc/meminfo")


def look(files: ObjectStore, samples: Samples) -> None:
    """Keep a sample of this moment."""
    disk, memory = shutil.disk_usage(files.root), _memory()
    samples.add(Sample(utc_now(), disk.free, disk.total, memory["MemAvailable"], memory["MemTotal"]))


def _memory() -> dict[str, int]:
    """Bytes by name, as Linux says them (proc(5))."""
    lines = (line.split() for line in _MEMORY.read_text("ascii").splitlines())
    return {name.rstrip(":"): int(value) * 1024 for name, value, *_ in lines}

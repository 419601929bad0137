"""Access to what is kept under the root: for its owner and nobody else."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

_OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def keep_private() -> None:
    """Make what this process and its children create from here on readable by their user alone: 0700 and 0600.

    For programs, at their start: everything that writes under the root, databases with their logs included, takes
    its mode from this.
    """
    os.umask(_OF_OTHERS)


def openness(root: Path) -> str:
    """A warning of what group or others can reach of an existing root, and what mends it; empty where that is nothing.

    Behind a root that is closed nothing can be reached, whatever its own mode.
    """
    if not root.is_dir() or not _of_others(root):
        return ""
    inside = sorted(path.name for path in root.iterdir() if _of_others(path))
    also = f", as are {', '.join(inside)} in it" if inside else ""
    mend = f"chmod -R go= {shlex.quote(str(root))}"
    return f"{root} is open to other users of this machine{also}; patients are named there: {mend}"


def _of_others(path: Path) -> int:
    return path.lstat().st_mode & _OF_OTHERS

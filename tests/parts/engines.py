"""Converted networks that the nodes of a session of tests share, each converted by one worker alone."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from node.settings import AnalysisSettings

_FOLDER = "RECTAL_NODE_TESTS_ENGINES"


def keep_in(folder: Path) -> None:
    """Say where they are kept, before the first node starts."""
    folder.mkdir(mode=0o700, exist_ok=True)
    os.environ[_FOLDER] = str(folder)


def folder() -> Path | None:
    """Where they are kept; None where no session of tests has said so."""
    kept = os.environ.get(_FOLDER)
    return Path(kept) if kept else None


def share(root: Path) -> None:
    """Let the root of a node, which may not be there yet, have them."""
    own = root / "engines"
    if _FOLDER in os.environ and not own.exists():
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        own.symlink_to(os.environ[_FOLDER])


def convert(analysis: AnalysisSettings) -> None:
    """Convert the networks of a node; where another worker is at it, wait and take what it has made."""
    from node.analysis.bundles import Models  # torch, which not every file of tests loads

    kept = folder()
    assert kept is not None
    with (kept / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        Models(analysis, kept).check()

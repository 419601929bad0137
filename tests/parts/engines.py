"""Converted networks that the nodes of a session of tests share: the first node that needs one converts it."""

from __future__ import annotations

import os
from pathlib import Path

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

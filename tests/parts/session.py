"""What one worker makes for all workers of a session of tests."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder of the session, which whoever asks for it first has `make` fill; nobody changes it afterwards."""
    own = factory.getbasetemp()
    of_session = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder = of_session / "made-once" / name
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            whole = folder.with_suffix(".part")
            whole.mkdir(exist_ok=True)  # there is one where what was made before failed
            make(whole)
            whole.rename(folder)
    return folder

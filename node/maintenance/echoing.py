"""Whether remotes answer: asked by schedule or by a person, timed, and kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from sqlalchemy import Engine

from node.clock import utc_now
from node.delivery import dicomweb
from node.dicom import scu
from node.dicom.association import RemoteAE
from node.settings import RemoteSettings
from storage.echoes import Echo, Echoes

_LONGEST_REASON = 500
_PATIENCE_S = 5.0
"""With a remote that is asked by schedule; a stop waits for it."""


class Echoing:
    """Asks every remote that can be asked, one after the other."""

    def __init__(self, remotes: Sequence[RemoteSettings], engine: Engine) -> None:
        self._engine, self._stop = engine, threading.Event()
        self._remotes = [
            it.model_copy(update={"timeout_s": min(it.timeout_s, _PATIENCE_S)}) for it in remotes if it.can_be_asked
        ]

    def look(self) -> None:
        """Ask each once."""
        for remote in self._remotes:
            if self._stop.is_set():
                return
            ask(remote, self._engine)

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()


def ask(remote: RemoteSettings, engine: Engine, by: str = "") -> Echo:
    """Ask a remote, and keep what came of it; `by`: the account that wants to know, empty for the schedule."""
    asked_at, begun = utc_now(), time.perf_counter()
    reason = asked(remote)
    took_ms = (time.perf_counter() - begun) * 1e3
    said = Echo(remote.name, asked_at, by, not reason, reason[:_LONGEST_REASON], took_ms)
    Echoes(engine).add(said)
    return said


def asked(remote: RemoteSettings) -> str:
    """Why a remote does not answer; empty where it does. With its TLS, user identity and token.

    One with `url` is asked by STOW-RS, by which it gets results, any other by C-ECHO.
    """
    return dicomweb.asked(remote) if remote.url else scu.echoed(RemoteAE.of(remote))

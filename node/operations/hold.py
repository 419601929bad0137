"""Studies put under hold, and released, by a person: of one under hold nothing is removed."""

from __future__ import annotations

import logging

from node.clock import utc_now
from node.errors import NodeError
from node.settings import Settings
from storage import database, holds
from storage.database import open_engine
from storage.holds import Hold

log = logging.getLogger(__name__)


def hold(settings: Settings, study: str, reason: str, by: str) -> Hold:
    """Put a study under hold; one that is under hold stays as it is, which is told.

    Raises:
        NodeError: no reason is given, or nobody who gives it.
        TransitionError: there is no such study.
    """
    _require(study, reason, by)
    with database.writing(open_engine(settings.storage_url)).begin() as connection:
        held = holds.place(connection, study, reason.strip(), by.strip(), utc_now())
    log.info("study %s is under hold since %s", study, held.held_at)
    return held


def release(settings: Settings, study: str, reason: str, by: str) -> Hold:
    """End the hold of a study.

    Raises:
        NodeError: no reason is given, or nobody who gives it.
        TransitionError: it is under no hold.
    """
    _require(study, reason, by)
    with database.writing(open_engine(settings.storage_url)).begin() as connection:
        released = holds.release(connection, study, reason.strip(), by.strip(), utc_now())
    log.info("study %s is under hold no more", study)
    return released


def _require(study: str, reason: str, by: str) -> None:
    if not reason.strip() or not by.strip():
        raise NodeError(f"study {study}: say why, and who says so")

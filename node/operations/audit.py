"""The audit: whether its files are whole, and who did what to whose study."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from node.audit.verification import Verified
from node.audit.verification import verify as verify_chain
from node.audit.writer import FILE
from node.clock import utc_now
from node.errors import NodeError
from node.operations.journal import JournalPage, JournalQuery, journal
from node.settings import Settings
from storage.audit import Audit, AuditAction, AuditEvent
from storage.database import open_engine


def verify(settings: Settings, by: str, moved: tuple[Path, ...] = ()) -> Verified:
    """Read all files of the audit, those in the folders to which files were moved too; `by` goes on record.

    Raises:
        NodeError: no files are written, or a folder is none.
        OSError: a file cannot be read.
    """
    if not settings.audit.file:
        raise NodeError("audit.file is false: there are no files")
    if wrong := next((it for it in moved if not it.is_dir()), None):
        raise NodeError(f"{wrong}: is no folder")
    audit = Audit(open_engine(settings.storage_url))
    known = audit.position(FILE)  # before the files, to which lines are added meanwhile
    found = verify_chain((*moved, settings.audit_folder), known)
    _on_record(audit, by, f"files read: {len(found.files)}, faults: {len(found.faults)}")
    return found


def find(settings: Settings, wanted: JournalQuery, by: str) -> JournalPage:
    """Events that fit, the latest first; that `by` has looked goes on record.

    Raises:
        NodeError: a date is none.
    """
    engine: Engine = open_engine(settings.storage_url)
    found = journal(settings, engine, wanted)
    _on_record(Audit(engine), by, "events looked for")
    return found


def _on_record(audit: Audit, by: str, detail: str) -> None:
    audit.add(AuditEvent(utc_now(), AuditAction.READ_AUDIT, True, by, detail=detail))

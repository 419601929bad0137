"""The audit: whether its files are whole, and who did what to whose study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from node.audit.verification import ChainRemark, Verified
from node.audit.verification import verify as verify_chain
from node.clock import utc_now
from node.errors import NodeError, told
from node.operations.journal import JournalPage, JournalQuery, journal
from node.settings import Settings
from storage.audit import Audit, AuditAction, AuditEvent
from storage.audit_chain import AuditChain
from storage.database import open_engine
from storage.errors import StorageError


def verify(settings: Settings, by: str, moved: tuple[Path, ...] = ()) -> Verified:
    """Read all files of the audit, those in the folders to which files were moved too; `by` goes on record,
    and where that cannot be, a note says so.

    Raises:
        NodeError: no files are written, or a folder is none.
        OSError: a file cannot be read.
    """
    if not settings.audit.file:
        raise NodeError("audit.file is false: there are no files")
    if wrong := next((it for it in moved if not it.is_dir()), None):
        raise NodeError(f"{wrong}: is no folder")
    engine = open_engine(settings.storage_url)
    found = verify_chain((*moved, settings.audit_folder), AuditChain(engine).state)
    try:
        _on_record(Audit(engine), by, f"files read: {len(found.files)}, faults: {len(found.faults)}")
    except (SQLAlchemyError, StorageError) as error:
        why = f"that the files were checked is not on record: {told(error)}"
        return replace(found, notes=(*found.notes, ChainRemark("", 0, why)))
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

"""What a sender has brought, counted by study and SOP class, for the audit: one event a study, after its end."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field

from pydicom.errors import InvalidDicomError
from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from node.clock import utc_now
from node.recognition.header.elements import MALFORMED
from node.services.leases import Sender
from storage.audit import Audit, AuditAction, AuditEvent, Facts
from storage.dicom_files import read_beginning
from storage.errors import StorageError
from storage.files import ObjectStore
from storage.known_answer import is_of_check
from storage.schema import dicom_object

_PATIENT_ID = 0x00100020
_DEFER = 1024  # bytes of an element that is not read

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Brought:
    """Objects of one sender and study: how many of each SOP class were stored, and how many were refused."""

    stored: Counter[str] = field(default_factory=Counter)
    refused: int = 0


def received(
    sender: Sender, service: str, brought: dict[str, Brought], engine: Engine, files: ObjectStore
) -> list[AuditEvent]:
    """The events of what a sender has brought; by "" what could not be told to be of a study."""
    real = {uid: each for uid, each in brought.items() if not is_of_check(uid)}
    return [_event(sender, service, uid, each, engine, files) for uid, each in real.items()]


def _event(sender: Sender, service: str, uid: str, brought: Brought, engine: Engine, files: ObjectStore) -> AuditEvent:
    refused = f", {brought.refused} refused" if brought.refused else ""
    return AuditEvent(
        utc_now(),
        AuditAction.RECEIVED,
        not brought.refused,
        address=sender.address,
        study_instance_uid=uid,
        patient_id=_patient_of(uid, engine, files) if brought.stored else "",
        detail=f"{brought.stored.total()} objects stored{refused}",
        remote=sender.ae_title,
        facts=Facts(service=service, sop_classes=dict(brought.stored)),
    )


def _patient_of(uid: str, engine: Engine, files: ObjectStore) -> str:
    """Of the catalogue, or of a file of the study: what has just come is catalogued a moment later."""
    try:
        if known := Audit(engine).patient_of(uid):
            return known
        of_study = select(dicom_object.c.path).where(dicom_object.c.study_instance_uid == uid)
        with engine.connect() as connection:
            path = connection.scalar(of_study.limit(1))
        return str(read_beginning(files.root / path, _PATIENT_ID, _DEFER).get("PatientID", "")) if path else ""
    except (SQLAlchemyError, StorageError, OSError, InvalidDicomError, *MALFORMED):
        log.debug("study %s: no Patient ID for the audit", uid)
        return ""

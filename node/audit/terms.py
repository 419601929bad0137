"""Codes of audit messages (PS3.15 A.5.3, PS3.16 CID 400, 401, 402), and which message tells of which action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from storage.audit import AuditAction


@dataclass(frozen=True, slots=True)
class Code:
    """A coded term; of DICOM unless it says otherwise."""

    value: str
    meaning: str
    scheme: str = "DCM"


@dataclass(frozen=True, slots=True)
class Form:
    """The message of an action: its event, what kind of it, and what is done (C, R, U, D or E)."""

    event: Code
    action: str
    kind: Code | None = None


ACTIVITY: Final = Code("110100", "Application Activity")
AUDIT_LOG_USED: Final = Code("110101", "Audit Log Used")
BEGIN_TRANSFERRING: Final = Code("110102", "Begin Transferring DICOM Instances")
ACCESSED: Final = Code("110103", "DICOM Instances Accessed")
TRANSFERRED: Final = Code("110104", "DICOM Instances Transferred")
STUDY_DELETED: Final = Code("110105", "DICOM Study Deleted")
EXPORT: Final = Code("110106", "Export")
IMPORT: Final = Code("110107", "Import")
QUERY: Final = Code("110112", "Query")
SECURITY_ALERT: Final = Code("110113", "Security Alert")
USER_AUTHENTICATION: Final = Code("110114", "User Authentication")

APPLICATION_START: Final = Code("110120", "Application Start")
APPLICATION_STOP: Final = Code("110121", "Application Stop")
LOGIN: Final = Code("110122", "Login")
LOGOUT: Final = Code("110123", "Logout")
NODE_AUTHENTICATION: Final = Code("110126", "Node Authentication")
RESTRICTED_FUNCTION: Final = Code("110132", "Use of Restricted Function")
USER_SECURITY: Final = Code("110137", "User Security Attributes Changed")

APPLICATION: Final = Code("110150", "Application")
LAUNCHER: Final = Code("110151", "Application Launcher")
DESTINATION: Final = Code("110152", "Destination Role ID")
SOURCE: Final = Code("110153", "Source Role ID")
DESTINATION_MEDIA: Final = Code("110154", "Destination Media")
SOURCE_MEDIA: Final = Code("110155", "Source Media")

STUDY_UID: Final = Code("110180", "Study Instance UID")
CLASS_UID: Final = Code("110181", "SOP Class UID")
NODE_ID: Final = Code("110182", "Node ID")
PATIENT_NUMBER: Final = Code("2", "Patient Number", "RFC-3881")
USER_IDENTIFIER: Final = Code("11", "User Identifier", "RFC-3881")
URI: Final = Code("12", "URI", "RFC-3881")
MEDIA_URI: Final = Code("110037", "URI")
"""Of CID 405: a file, or what a browser gets (PS3.17 WW.3)."""

FORMS: Mapping[AuditAction, Form] = {
    AuditAction.STARTED: Form(ACTIVITY, "E", APPLICATION_START),
    AuditAction.STOPPED: Form(ACTIVITY, "E", APPLICATION_STOP),
    AuditAction.READ_AUDIT: Form(AUDIT_LOG_USED, "R"),
    AuditAction.SIGNED_IN: Form(USER_AUTHENTICATION, "E", LOGIN),
    AuditAction.SIGNED_OUT: Form(USER_AUTHENTICATION, "E", LOGOUT),
    AuditAction.SET_PASSWORD: Form(SECURITY_ALERT, "E", USER_SECURITY),
    AuditAction.CHANGED_ACCOUNT: Form(SECURITY_ALERT, "E", USER_SECURITY),
    AuditAction.REFUSED: Form(SECURITY_ALERT, "E", NODE_AUTHENTICATION),
    AuditAction.QUERIED: Form(QUERY, "E"),
    AuditAction.RECEIVED: Form(TRANSFERRED, "C"),
    AuditAction.SENDING: Form(BEGIN_TRANSFERRING, "E"),
    AuditAction.SENT: Form(TRANSFERRED, "R"),
    AuditAction.REMOVED: Form(STUDY_DELETED, "D"),
    AuditAction.LOOKED: Form(ACCESSED, "R"),
    AuditAction.VERDICT: Form(ACCESSED, "U"),
    AuditAction.DOWNLOADED: Form(EXPORT, "R"),
    AuditAction.COPIED: Form(EXPORT, "R"),
    AuditAction.EXPORTED: Form(EXPORT, "R"),
    AuditAction.UPLOADED: Form(IMPORT, "C"),
    AuditAction.RELEASED: Form(IMPORT, "C"),
}
"""Of every other action: the use of a restricted function."""
TO_A_FOLDER: Final = frozenset({AuditAction.COPIED, AuditAction.EXPORTED})
"""Of which the subject is a folder of this machine."""
ORDER: Final = Form(SECURITY_ALERT, "E", RESTRICTED_FUNCTION)


def form_of(action: AuditAction) -> Form:
    """The message that tells of an action."""
    return FORMS.get(action, ORDER)

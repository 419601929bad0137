"""What is put on record of deliveries: one event a study and round, and one for those that were refused for good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from node.clock import utc_now
from node.delivery.attempts import Attempt
from node.dicom.outcomes import StoreResult
from node.settings import RemoteSettings
from storage.audit import AuditAction, AuditEvent, Facts
from storage.known_answer import is_of_check


class SentOnRecord:
    """The attempts of one round; those that are made again are told of when they have ended."""

    def __init__(self) -> None:
        self._sent: dict[str, Counter[str]] = {}
        self._refused: dict[str, Counter[str]] = {}

    def count(self, attempt: Attempt) -> None:
        """An attempt has ended."""
        result = attempt.record.result
        if attempt.result not in (StoreResult.SENT, StoreResult.PERMANENT) or is_of_check(result.study_instance_uid):
            return
        of = self._sent if attempt.result is StoreResult.SENT else self._refused
        of.setdefault(result.study_instance_uid, Counter())[result.sop_class_uid] += 1

    def events(self, destination: RemoteSettings) -> Iterator[AuditEvent]:
        """Of each study; whom they went to is the other side."""
        for succeeded, studies in ((True, self._sent), (False, self._refused)):
            for uid, classes in studies.items():
                yield AuditEvent(
                    utc_now(),
                    AuditAction.SENT,
                    succeeded,
                    address=destination.host,
                    study_instance_uid=uid,
                    detail=f"{classes.total()} objects" if succeeded else f"{classes.total()} objects refused",
                    remote=destination.title,
                    facts=Facts(service="STOW-RS" if destination.url else "C-STORE", sop_classes=dict(classes)),
                )

"""Results that wait for destinations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.index import Index
from storage.ledger import Ledger
from storage.records import DeliveryRecord, InstanceHeader, ResultRecord, Revocation, StoredFile, StudyState

STUDY = "1.2.3"


@dataclass
class Queue:
    """Results that wait for destinations."""

    files: ObjectStore
    ledger: Ledger
    rows: Deliveries
    clock: Any

    def add(self, *numbers: int, destinations: Sequence[str] = ("pacs",), rows: int = 8) -> None:
        """Queue results `numbers`, images of so many rows of 8 pixels."""
        results = [self._result(number, rows) for number in numbers]
        self.ledger.record(results, destinations, self.clock())

    def revoke(self, *uids: str) -> None:
        """The study turns out to name two patients."""
        index = Index(open_engine(f"sqlite:///{self.files.root / 'index.sqlite'}"))
        if index.study(STUDY) is None:
            header = InstanceHeader(MRImageStorage, "1.2.3.8.1", STUDY, "1.2.3.8", ExplicitVRLittleEndian)
            index.register(header, StoredFile(Path("x"), "a" * 64, 1), "SCANNER", self.clock())
            index.move(STUDY, 1, StudyState.QUEUED)
        revocation = Revocation(frozenset(uids), "two patients")
        self.ledger.conclude(STUDY, 1, StudyState.REFUSED, "two patients", [], [], self.clock(), revocation)

    def deliveries(self) -> tuple[DeliveryRecord, ...]:
        return self.rows.records(STUDY)

    def states(self) -> list[str]:
        return [str(delivery.state) for delivery in self.deliveries()]

    def attempts(self) -> list[int]:
        return [delivery.attempts for delivery in self.deliveries()]

    def reasons(self) -> set[str]:
        return {delivery.reason for delivery in self.deliveries()}

    def _result(self, number: int, rows: int) -> ResultRecord:
        header = InstanceHeader(MRImageStorage, uid(number), STUDY, f"{STUDY}.1", ExplicitVRLittleEndian)
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.SOPClassUID, made.SOPInstanceUID = header.sop_class_uid, header.sop_instance_uid
        made.StudyInstanceUID, made.SeriesInstanceUID = header.study_instance_uid, header.series_instance_uid
        made.Rows, made.Columns, made.BitsAllocated = rows, 8, 16
        made.PixelData = (np.arange(8 * rows) % 65536).astype(np.uint16).tobytes()
        path = self.files.root / f"{number}.dcm"
        made.save_as(path, enforce_file_format=True)
        stored = self.files.store(path.read_bytes(), header)
        uids = header.sop_class_uid, header.sop_instance_uid, header.series_instance_uid
        return ResultRecord(STUDY, 1, "super", *uids, stored)


def uid(number: int) -> str:
    """SOP Instance UID of a result."""
    return f"{STUDY}.1.{number}"

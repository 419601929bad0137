"""A database with its files, and DICOM files to fill them with."""

from __future__ import annotations

import io
import json
from pathlib import Path

from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from sqlalchemy import select

from storage import catalogue_schema as tables
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.header import read_header
from storage.index import Index
from storage.ledger import Ledger
from storage.records import Registration, ResultRecord


class House:
    """A database and its files."""

    def __init__(self, engine, root: Path, at) -> None:
        self.engine, self.files, self.at = engine, ObjectStore(root), at
        self.index, self.ledger, self.deliveries = Index(engine), Ledger(engine), Deliveries(engine)

    def receive(self, data: bytes) -> Registration:
        header = read_header(data)
        return self.index.register(header, self.files.store(data, header), "SCANNER", self.at(0))

    def make(self, data: bytes, role: str = "role", destinations=(), revision: int = 1) -> None:
        self.ledger.record([a_result(self.files, data, role, revision)], list(destinations), self.at(0))

    def rows(self, table):
        with self.engine.connect() as connection:
            return connection.execute(select(table).order_by(table.c.identifier)).mappings().all()

    def contents(self):
        """All rows, without the identifiers that depend on the order of their making."""
        said = {}
        for table in (tables.patient, tables.study, tables.series, tables.instance):
            made_up = {"identifier", "patient", "study", "series", "object"}
            rows = ({name: value for name, value in row.items() if name not in made_up} for row in self.rows(table))
            said[table.name] = sorted(map(json.dumps, rows))
        return said


def a_result(files: ObjectStore, data: bytes, role: str = "report", revision: int = 1) -> ResultRecord:
    """A result whose file is kept, as an encoded object becomes one."""
    header = read_header(data)
    uids = header.sop_class_uid, header.sop_instance_uid, header.series_instance_uid
    return ResultRecord(header.study_instance_uid, revision, role, *uids, files.store(data, header))


def a_file(number: int = 1, series: int = 1, study: str = "1.2.3", sop_class=MRImageStorage, **values: object) -> bytes:
    image = Dataset()
    image.SpecificCharacterSet = "ISO_IR 192"
    image.PatientName, image.PatientID, image.IssuerOfPatientID = "Muster^Erika", "P1", "HOSPITAL"
    image.PatientBirthDate, image.PatientSex = "19600229", "F"
    image.StudyInstanceUID, image.SeriesInstanceUID = study, f"{study}.{series}"
    image.SOPClassUID, image.SOPInstanceUID = sop_class, f"{study}.{series}.{number}"
    image.StudyDate, image.StudyTime, image.AccessionNumber = "20260102", "0930", "A1"
    image.StudyID, image.StudyDescription = "S1", "Becken MRT"
    image.ReferringPhysicianName = "Ärztin^Eva"
    image.Modality, image.SeriesNumber, image.SeriesDescription = "MR", series, "t2 tse"
    image.InstanceNumber, image.Rows, image.Columns = number, 4, 6
    for keyword, value in values.items():
        setattr(image, keyword, value)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    dcmwrite(buffer, image, enforce_file_format=True, little_endian=True)
    return buffer.getvalue()

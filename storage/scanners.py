"""What came of studies by the scanner that made them: a row a study, from which few numbers are counted at once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, and_, delete, func, insert, or_, select

from storage import catalogue_schema as catalogue
from storage import database
from storage.known_answer import of_check
from storage.monitoring_schema import scanned_study
from storage.origin import PRODUCT
from storage.records import ENDED_STATES, ObjectOrigin, StudyState
from storage.schema import dicom_object, study, verdict


@dataclass(frozen=True, slots=True)
class Scanner:
    """A scanner as its images name it (PS3.3 C.7.5.1): (0008,0070), (0008,1090), (0018,1000); empty: not said."""

    manufacturer: str = ""
    model: str = ""
    serial: str = ""


@dataclass(frozen=True, slots=True)
class Uncounted:
    """A study revision that has ended and is not counted yet.

    Attributes:
        document: its record; empty where there is none.
        scanner: of its first series of MR images that was received, without the serial number.
        path: an object of that series, relative to the root; empty where none is there any more.
    """

    study_instance_uid: str
    revision: int
    state: StudyState
    last_received_at: datetime
    document: str
    scanner: Scanner
    path: str


@dataclass(frozen=True, slots=True)
class ScannedStudy:
    """What came of a study; `finding` is None where it was not analysed to its end."""

    study_instance_uid: str
    revision: int
    week: str
    scanner: Scanner
    state: StudyState
    outside: bool
    finding: bool | None


@dataclass(frozen=True, slots=True)
class ScannerCount:
    """So many studies of a scanner in a week (its Monday, YYYY-MM-DD) that ended alike."""

    scanner: Scanner
    week: str
    state: StudyState
    outside: bool
    finding: bool | None
    studies: int


class Scanners:
    """The studies by scanner of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def uncounted(self, limit: int) -> tuple[Uncounted, ...]:
        """Studies that have ended since they were counted last, if ever, and that the catalogue has."""
        known = scanned_study.c
        same = known.study_instance_uid == study.c.study_instance_uid
        query = (
            select(study, verdict.c.document, catalogue.study.c.identifier)
            .join(catalogue.study, catalogue.study.c.study_instance_uid == study.c.study_instance_uid)
            .outerjoin(scanned_study, same)
            .outerjoin(
                verdict,
                and_(
                    verdict.c.study_instance_uid == study.c.study_instance_uid, verdict.c.revision == study.c.revision
                ),
            )
            .where(
                study.c.state.in_(sorted(ENDED_STATES)),
                ~of_check(study.c.study_instance_uid),
                or_(known.revision.is_(None), known.revision != study.c.revision, known.state != study.c.state),
            )
            .limit(limit)
        )
        with self._engine.connect() as connection:
            found = []
            for row in connection.execute(query).all():
                scanner, path = _scanner(connection, row.identifier)
                found.append(
                    Uncounted(
                        row.study_instance_uid,
                        row.revision,
                        StudyState(row.state),
                        row.last_received_at,
                        row.document or "",
                        scanner,
                        path,
                    )
                )
            return tuple(found)

    def count(self, counted: ScannedStudy) -> None:
        """Count a study, in place of an earlier revision of it."""
        values = {name: value for name, value in asdict(counted).items() if name != "scanner"}
        with database.writing(self._engine).begin() as connection:
            this = scanned_study.c.study_instance_uid == counted.study_instance_uid
            connection.execute(delete(scanned_study).where(this))
            connection.execute(insert(scanned_study).values(**values, **asdict(counted.scanner)))


def counts(connection: Connection) -> tuple[ScannerCount, ...]:
    """All that was counted; within a transaction of the caller."""
    table = scanned_study.c
    alike = (table.manufacturer, table.model, table.serial, table.week, table.state, table.outside, table.finding)
    query = select(*alike, func.count().label("studies")).group_by(*alike).order_by(*alike[:4])
    return tuple(
        ScannerCount(
            Scanner(row.manufacturer, row.model, row.serial),
            row.week,
            StudyState(row.state),
            row.outside,
            row.finding,
            row.studies,
        )
        for row in connection.execute(query)
    )


def week_of(moment: datetime) -> str:
    """The Monday of a moment, YYYY-MM-DD, in the time zone of the moment."""
    return (moment - timedelta(days=moment.weekday())).date().isoformat()


def _scanner(connection: Connection, of_study: int) -> tuple[Scanner, str]:
    series, instance = catalogue.series, catalogue.instance
    query = (
        select(series.c.manufacturer, series.c.manufacturer_model_name, dicom_object.c.path)
        .select_from(series)
        .outerjoin(instance, instance.c.series == series.c.identifier)
        .outerjoin(dicom_object, instance.c.object == dicom_object.c.identifier)
        .where(
            series.c.study == of_study,
            series.c.modality == "MR",
            series.c.manufacturer != PRODUCT,
            or_(dicom_object.c.origin.is_(None), dicom_object.c.origin == ObjectOrigin.RECEIVED),
        )
        .order_by(series.c.identifier, instance.c.identifier)
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return Scanner(), ""
    return Scanner(row.manufacturer.strip(), row.manufacturer_model_name.strip()), row.path or ""

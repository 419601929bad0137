"""Roots of any number of studies for measuring: rows alone, as if their files had come, been analysed and delivered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dbos import DBOS
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from sqlalchemy import Connection, Table, insert

from node.analysis.queue import WORKFLOW_VERSION, Worklist, queue_engine, queue_url
from node.recognition.record import StudyPlan, to_json
from storage import catalogue_schema as catalogue
from storage import schema
from storage.database import open_engine, writing
from storage.records import DeliveryState, ObjectOrigin, StudyState

#: When the last study came; long ago, so that every one that is RECEIVING has been quiet for long enough.
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
DESTINATION = "archive"
SERIES, RESULTS = 2, 4
_CHUNK = 20_000
_FAMILIES = 5_000
_Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Size:
    """How much a root holds: the first `queued` studies are QUEUED, the next RECEIVING, all others COMPLETED.

    Those that are RECEIVING wait for the end of an association: no headers are there to be read.
    """

    studies: int
    queued: int
    receiving: int
    instances: int = 50

    def state(self, number: int) -> StudyState:
        """State of a study by its number."""
        if number < self.queued:
            return StudyState.QUEUED
        return StudyState.RECEIVING if number < self.queued + self.receiving else StudyState.COMPLETED


def fill(root: Path, url: str, size: Size) -> None:
    """Make the database of a root, and the queue of its workflow, with so many studies in them."""
    root.mkdir(parents=True, exist_ok=True)
    engine = open_engine(url)
    with writing(engine).begin() as connection:
        for table, rows in (
            (schema.study, _studies(size)),
            (schema.association, _associations(size)),
            (schema.verdict, _verdicts(size)),
            (schema.dicom_object, _objects(size)),
            (schema.result, _results(size)),
            (schema.delivery, _deliveries(size)),
            (catalogue.patient, _patients(size)),
            (catalogue.study, _catalogued_studies(size)),
            (catalogue.series, _series(size)),
            (catalogue.instance, _instances(size)),
        ):
            _insert(connection, table, rows)
    engine.dispose()
    _submit(root, size)


def _insert(connection: Connection, table: Table, rows: Iterator[_Row]) -> None:
    chunk: list[_Row] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == _CHUNK:
            connection.execute(insert(table), chunk)
            chunk = []
    if chunk:
        connection.execute(insert(table), chunk)


def _submit(root: Path, size: Size) -> None:
    engine = queue_engine(queue_url(root))
    DBOS(
        config={
            "name": "rectal-node",
            "system_database_engine": engine,
            "application_version": WORKFLOW_VERSION,
            "executor_id": "benchmark",
            "log_level": "ERROR",
        }
    )
    DBOS.launch()
    DBOS.destroy()
    engine.dispose()
    worklist = Worklist(queue_url(root))
    for number in range(size.queued):
        worklist.submit(uid(number), 1)
    worklist.close()


def uid(number: int) -> str:
    """Study Instance UID of a study by its number."""
    return f"1.2.3.{number}"


def accession(number: int) -> str:
    """Accession Number of a study by its number."""
    return f"A{number:06}"


def patient_id(number: int) -> str:
    """Patient ID in a study by its number."""
    return f"P{number:06}"


def family_name(number: int) -> str:
    """Family name in a study by its number, folded."""
    return f"family{number * 7919 % _FAMILIES:04}"


def day(number: int) -> str:
    """Study Date of a study by its number, over five years."""
    return f"{NOW - timedelta(days=number % 1800):%Y%m%d}"


def _studies(size: Size) -> Iterator[_Row]:
    for number in range(size.studies):
        state = size.state(number)
        yield {
            "study_instance_uid": uid(number),
            "revision": 1,
            "state": state,
            "series_count": SERIES,
            "instance_count": size.instances,
            "first_received_at": NOW - timedelta(minutes=number + 5),
            "last_received_at": NOW - timedelta(minutes=number),
            "changed": False,
            "reason": "waits for DWI, PVP" if state is StudyState.RECEIVING else "",
            "caution": "",
        }


def _associations(size: Size) -> Iterator[_Row]:
    until = NOW + timedelta(days=3650)
    for number in range(size.queued, size.queued + size.receiving):
        yield {"identifier": "open", "study_instance_uid": uid(number), "open_until": until}


def _verdicts(size: Size) -> Iterator[_Row]:
    for number in range(size.queued + size.receiving, size.studies):
        plan = StudyPlan(uid(number), (), (), (), ("a caution",), "RECTUM")
        yield {"study_instance_uid": uid(number), "revision": 1, "document": to_json(plan)}


def _objects(size: Size) -> Iterator[_Row]:
    for number in range(size.studies):
        for instance in range(size.instances):
            yield _object(size, number, instance, ObjectOrigin.RECEIVED)
        for instance in range(size.instances, size.instances + _made(size, number)):
            yield _object(size, number, instance, ObjectOrigin.MADE)


def _made(size: Size, number: int) -> int:
    return RESULTS if size.state(number) is StudyState.COMPLETED else 0


def _identifier(size: Size, number: int, instance: int) -> int:
    return number * (size.instances + RESULTS) + instance + 1


def _object(size: Size, number: int, instance: int, origin: ObjectOrigin) -> _Row:
    series = f"{uid(number)}.{instance % SERIES}" if origin is ObjectOrigin.RECEIVED else f"{uid(number)}.9"
    return {
        "identifier": _identifier(size, number, instance),
        "origin": origin,
        "study_instance_uid": uid(number),
        "series_instance_uid": series,
        "sop_class_uid": MRImageStorage,
        "sop_instance_uid": f"{series}.{instance}",
        "transfer_syntax_uid": ExplicitVRLittleEndian,
        "revision": 1,
        "path": f"objects/{number}/{instance}.dcm",
        "digest": f"{number:032x}{instance:032x}",
        "size": 200_000,
        "calling_ae": "SCANNER",
        "received_at": NOW,
        "catalogued": True,
    }


def _completed(size: Size) -> Iterator[tuple[int, int, int]]:
    """Number of each study with results, index and identifier of each of them."""
    for number in range(size.studies):
        for each in range(_made(size, number)):
            yield number, each, number * RESULTS + each + 1


def _results(size: Size) -> Iterator[_Row]:
    for number, each, identifier in _completed(size):
        yield {
            "identifier": identifier,
            "study_instance_uid": uid(number),
            "revision": 1,
            "role": "report",
            "object": _identifier(size, number, size.instances + each),
        }


def _deliveries(size: Size) -> Iterator[_Row]:
    for number, each, identifier in _completed(size):
        failed = number % 100 == 0
        yield {
            "result": identifier,
            "sop_instance_uid": f"{uid(number)}.9.{size.instances + each}",
            "destination": DESTINATION,
            "state": DeliveryState.FAILED if failed else DeliveryState.STORED,
            "attempts": 1,
            "next_attempt_at": NOW,
            "reason": "no connection" if failed else "",
        }


def _source(number: int) -> _Row:
    return {"attributes": '{"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}}' * 8, "source": f"0 {uid(number)}"}


def _person(column: str, value: str) -> _Row:
    return {f"{column}_alphabetic": value, f"{column}_ideographic": "", f"{column}_phonetic": ""}


def _patients(size: Size) -> Iterator[_Row]:
    for number in range(size.studies):
        yield {
            "identifier": number + 1,
            "patient_id": patient_id(number),
            "issuer_of_patient_id": "HOSPITAL",
            "only_in_study": "",
            **_person("patient_name", f"{family_name(number)}^given"),
            "patient_birth_date": "19600229",
            "patient_sex": "F",
            "study_count": 1,
            "series_count": SERIES,
            "instance_count": size.instances,
            "source_revision": 1,
            **_source(number),
        }


def _catalogued_studies(size: Size) -> Iterator[_Row]:
    for number in range(size.studies):
        yield {
            "identifier": number + 1,
            "patient": number + 1,
            "study_instance_uid": uid(number),
            "study_date": day(number),
            "study_time": "093000.000000",
            "accession_number": accession(number),
            "study_id": "1",
            "study_description": "Becken MRT",
            **_person("referring_physician_name", "arztin^eva"),
            "modalities_in_study": "MR" if size.state(number) is not StudyState.COMPLETED else "MR\\SEG\\SR",
            "sop_classes_in_study": MRImageStorage,
            "series_count": SERIES,
            "instance_count": size.instances,
            "source_revision": 1,
            **_source(number),
        }


def _series(size: Size) -> Iterator[_Row]:
    nothing = dict.fromkeys(
        (
            *("body_part_examined", "protocol_name", "manufacturer", "manufacturer_model_name", "institution_name"),
            *("station_name", "requested_procedure_ids", "scheduled_procedure_step_ids"),
        ),
        "",
    )
    for number in range(size.studies):
        for series in range(SERIES):
            yield {
                "identifier": number * SERIES + series + 1,
                "study": number + 1,
                "series_instance_uid": f"{uid(number)}.{series}",
                "modality": "MR",
                "series_number": series,
                "series_description": "t2 tse",
                "series_date": day(number),
                "series_time": "093000.000000",
                "performed_procedure_step_start_date": day(number),
                "performed_procedure_step_start_time": "093000.000000",
                "instance_count": size.instances // SERIES,
                "source_revision": 1,
                **nothing,
                **_source(number),
            }


def _instances(size: Size) -> Iterator[_Row]:
    for number in range(size.studies):
        for instance in range(size.instances):
            series = instance % SERIES
            yield {
                "series": number * SERIES + series + 1,
                "sop_instance_uid": f"{uid(number)}.{series}.{instance}",
                "object": _identifier(size, number, instance),
                "sop_class_uid": MRImageStorage,
                "instance_number": instance,
                "rows": 320,
                "columns": 320,
                "number_of_frames": None,
                "content_date": day(number),
                "content_time": "093000.000000",
                "concept_name_code": "",
                "template_identifier": "",
                "attributes": '{"00080018": {"vr": "UI"}}',
            }

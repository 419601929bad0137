"""The elements that the catalogue takes from the header of a file, by level; pixel data are not read."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.errors import InvalidDicomError

from storage.catalogue import matching
from storage.catalogue.attributes import OF_ALL, READ, Level
from storage.dicom_files import ELEMENT_ERRORS, read_dataset
from storage.errors import HeaderError

_LONGEST = 4096  # characters in JSON of one element; what is longer is no key of a query
_MALFORMED = (RecursionError, OSError, *ELEMENT_ERRORS)
"""Of a sequence that ends too soon pydicom tells by an OSError, which has no number."""

#: Makes text of a data set readable whose character set is not the declared one.
Settle = Callable[[Dataset], object]


@dataclass(frozen=True, slots=True)
class Entry:
    """The columns of the tables of the catalogue that an object gives, by level; `faults` names malformed elements."""

    patient: dict[str, Any]
    study: dict[str, Any]
    series: dict[str, Any]
    instance: dict[str, Any]
    faults: tuple[str, ...] = ()


def read_entry(path: Path, settle: Settle | None = None) -> Entry:
    """Read the header of a file.

    Raises:
        HeaderError: it is no DICOM file that can be read; the message repeats nothing of it.
        OSError: the file is not there, or cannot be read.
    """
    keywords = [*OF_ALL, *(keyword for level in Level for keyword in READ[level])]
    # Of each doubtful value pydicom warns, and repeats it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = read_dataset(path, stop_before_pixels=True, specific_tags=list(keywords))
            if settle is not None:
                settle(found)
        except (InvalidDicomError, *_MALFORMED) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # this machine's
            raise HeaderError(f"the header cannot be read: {type(error).__name__}") from error
        return _entry(_Elements(found, keywords))


class _Elements:
    """The elements of a data set that are well formed, in the DICOM JSON model and as text."""

    def __init__(self, dataset: Dataset, keywords: Iterable[str]) -> None:
        self._json: dict[str, dict[str, Any]] = {}
        self._values: dict[str, Any] = {}
        self.malformed: list[str] = []
        for keyword in keywords:
            tag = tag_for_keyword(keyword)
            if tag is None or tag not in dataset:
                continue
            try:
                element = dataset[tag]
                model = element.to_json_dict(None, _LONGEST)
                if len(json.dumps(model)) <= _LONGEST:
                    self._json[keyword] = {f"{tag:08X}": model}
                self._values[keyword] = element.value
            except _MALFORMED:  # its bytes are in memory
                self.malformed.append(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {keyword} is malformed")

    def level(self, level: Level) -> str:
        """The elements of a level that are there and not too long, as a JSON object."""
        model: dict[str, Any] = {}
        for keyword in (*OF_ALL, *READ[level]):
            model |= self._json.get(keyword, {})
        return json.dumps(model, sort_keys=True)

    def text(self, keyword: str) -> str:
        """Its value, or values with a backslash between; empty where it has none."""
        return _text(self._values.get(keyword))

    def of_items(self, sequence: str, keyword: str) -> str:
        """The values of an element of each item, with a backslash between."""
        items = self._values.get(sequence)
        return "\\".join(filter(None, (_text(item.get(keyword)) for item in items or ())))


def _text(value: Any) -> str:  # noqa: ANN401 - whatever pydicom has for a VR
    if value is None:
        return ""
    several = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
    # PostgreSQL takes no NUL.
    return "\\".join(matching.text(str(each)).replace("\0", "") for each in several)


def _entry(said: _Elements) -> Entry:
    text = said.text
    return Entry(
        patient={
            "patient_id": text("PatientID"),
            "issuer_of_patient_id": text("IssuerOfPatientID"),
            **_person("patient_name", text("PatientName")),
            "patient_birth_date": matching.date(text("PatientBirthDate")),
            "patient_sex": text("PatientSex"),
            "attributes": said.level(Level.PATIENT),
        },
        study={
            **_moment("study", said, "Study"),
            "accession_number": text("AccessionNumber"),
            "study_id": text("StudyID"),
            "study_description": text("StudyDescription"),
            **_person("referring_physician_name", text("ReferringPhysicianName")),
            "attributes": said.level(Level.STUDY),
        },
        series={
            "modality": text("Modality"),
            "series_number": matching.integer(text("SeriesNumber")),
            "series_description": text("SeriesDescription"),
            "body_part_examined": text("BodyPartExamined"),
            "protocol_name": text("ProtocolName"),
            "manufacturer": text("Manufacturer"),
            "manufacturer_model_name": text("ManufacturerModelName"),
            "institution_name": text("InstitutionName"),
            "station_name": text("StationName"),
            **_moment("series", said, "Series"),
            **_moment("performed_procedure_step_start", said, "PerformedProcedureStepStart"),
            "requested_procedure_ids": said.of_items("RequestAttributesSequence", "RequestedProcedureID"),
            "scheduled_procedure_step_ids": said.of_items("RequestAttributesSequence", "ScheduledProcedureStepID"),
            "attributes": said.level(Level.SERIES),
        },
        instance={
            "instance_number": matching.integer(text("InstanceNumber")),
            "rows": matching.integer(text("Rows")),
            "columns": matching.integer(text("Columns")),
            "number_of_frames": matching.integer(text("NumberOfFrames")),
            **_moment("content", said, "Content"),
            "concept_name_code": said.of_items("ConceptNameCodeSequence", "CodeValue"),
            "template_identifier": said.of_items("ContentTemplateSequence", "TemplateIdentifier"),
            "attributes": said.level(Level.IMAGE),
        },
        faults=tuple(said.malformed),
    )


def _person(column: str, value: str) -> dict[str, str]:
    name = matching.person_name(value)
    return {
        f"{column}_alphabetic": name.alphabetic,
        f"{column}_ideographic": name.ideographic,
        f"{column}_phonetic": name.phonetic,
    }


def _moment(column: str, said: _Elements, keyword: str) -> dict[str, str | None]:
    return {
        f"{column}_date": matching.date(said.text(f"{keyword}Date")),
        f"{column}_time": matching.time(said.text(f"{keyword}Time")),
    }

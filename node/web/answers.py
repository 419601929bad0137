"""An entity of the catalogue as an answer to a search (PS3.18 10.6.3.3), in the DICOM JSON model."""

from __future__ import annotations

from typing import Any

from pydicom.datadict import tag_for_keyword

from node.web.parameters import Search
from storage.catalogue.attributes import UNIQUE_KEYS, Level
from storage.catalogue.entity import Entity
from storage.catalogue.keys import vr_of

#: What every answer of a level has (PS3.18 Tables 10.6.3-3 to 10.6.3-5).
RETURNED: dict[Level, tuple[str, ...]] = {
    Level.STUDY: (
        *("StudyDate", "StudyTime", "AccessionNumber", "InstanceAvailability", "ModalitiesInStudy"),
        *("ReferringPhysicianName", "PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
        *("StudyInstanceUID", "StudyID", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
    ),
    Level.SERIES: (
        *("Modality", "SeriesDescription", "SeriesInstanceUID", "SeriesNumber", "NumberOfSeriesRelatedInstances"),
        *("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", "RequestAttributesSequence"),
    ),
    Level.IMAGE: (
        *("SOPClassUID", "SOPInstanceUID", "InstanceAvailability", "InstanceNumber", "Rows", "Columns"),
        *("BitsAllocated", "NumberOfFrames"),
    ),
}
_SPELLED = {Level.STUDY: "studies", Level.SERIES: "series", Level.IMAGE: "instances"}
_CHARACTER_SET, _ZONE, _RETRIEVE_URL = "00080005", "00080201", "00081190"
_UTF_8 = {"vr": "CS", "Value": ["ISO_IR 192"]}
Model = dict[str, Any]
"""A data set in the DICOM JSON model."""


def answer(entity: Entity, search: Search, service: str) -> Model:
    """The answer for an entity.

    Args:
        entity: that fits.
        search: what is asked for.
        service: address of the DICOMweb service.
    """
    level = search.query.level
    found: Model = {}
    if search.everything:
        found.update(entity.elements)
    for keyword in _keywords(level, search.fixed) | search.asked:
        tag = f"{tag_for_keyword(keyword):08X}"
        model = entity.elements.get(tag)
        found[tag] = model if model is not None else {"vr": vr_of(keyword)}
    if _ZONE in entity.elements:
        found[_ZONE] = entity.elements[_ZONE]
    # JSON is in UTF-8 whatever the objects were in (PS3.18 F.2.2).
    found[_CHARACTER_SET] = _UTF_8
    found[_RETRIEVE_URL] = {"vr": "UR", "Value": [_address(entity, level, service)]}
    return dict(sorted(found.items()))


def _keywords(level: Level, fixed: frozenset[str]) -> set[str]:
    """Attributes of the level, and of those above that the path does not say."""
    found: set[str] = set()
    for each in level.and_above[1:]:
        found.add(UNIQUE_KEYS[each])
        if each is level or UNIQUE_KEYS[each] not in fixed:
            found.update(RETURNED[each])
    return found


def _address(entity: Entity, level: Level, service: str) -> str:
    """Where the entity can be retrieved (PS3.18 10.4)."""
    parts = [service]
    for each in level.and_above[1:]:
        tag = f"{tag_for_keyword(UNIQUE_KEYS[each]):08X}"
        parts += [_SPELLED[each], str((entity.elements[tag].get("Value") or [""])[0])]
    return "/".join(parts)

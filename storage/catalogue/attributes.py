"""The attributes of each level that the catalogue has (PS3.4 C.6.1.1): read from files, or counted."""

from __future__ import annotations

from enum import StrEnum


class Level(StrEnum):
    """Query/Retrieve Level (0008,0052)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"

    @property
    def and_above(self) -> tuple[Level, ...]:
        """From the patient down to this level."""
        return LEVELS[: LEVELS.index(self) + 1]


LEVELS = tuple(Level)

UNIQUE_KEYS = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}

#: Elements that every level repeats, without which its values cannot be read; they are never matched.
OF_ALL = ("SpecificCharacterSet", "TimezoneOffsetFromUTC")

#: Elements of files.
READ = {
    Level.PATIENT: (
        *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientBirthTime", "PatientSex"),
        *("OtherPatientIDs", "OtherPatientNames", "EthnicGroup", "PatientComments"),
    ),
    Level.STUDY: (
        *("StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "IssuerOfAccessionNumberSequence"),
        *("StudyID", "StudyDescription", "ReferringPhysicianName", "NameOfPhysiciansReadingStudy"),
        *("ProcedureCodeSequence", "PatientAge", "PatientSize", "PatientWeight", "AdmittingDiagnosesDescription"),
        "RequestingPhysician",
    ),
    Level.SERIES: (
        *("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "SeriesDate", "SeriesTime"),
        *("Laterality", "BodyPartExamined", "ProtocolName", "PatientPosition", "Manufacturer", "StationName"),
        *("ManufacturerModelName", "InstitutionName", "InstitutionalDepartmentName", "OperatorsName"),
        *("PerformingPhysicianName", "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"),
        *("PerformedProcedureStepID", "PerformedProcedureStepDescription", "RequestAttributesSequence"),
        "FrameOfReferenceUID",
    ),
    Level.IMAGE: (
        *("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "AcquisitionNumber", "ImageType", "Rows", "Columns"),
        *("NumberOfFrames", "BitsAllocated", "InstanceCreationDate", "InstanceCreationTime", "AcquisitionDate"),
        *("AcquisitionTime", "AcquisitionDateTime", "ContentDate", "ContentTime", "ObservationDateTime"),
        *("ContentLabel", "ContentDescription", "ConceptNameCodeSequence", "ContentTemplateSequence"),
        *("CompletionFlag", "VerificationFlag", "DocumentTitle", "PresentationCreationDate"),
        # Of results (IHE RAD-137): who made them, of which procedure, and of a segmentation what it tracks.
        *("PresentationCreationTime", "ContentCreatorName", "ReferencedRequestSequence"),
        *("PerformedProcedureCodeSequence", "SegmentationType", "SegmentSequence"),
    ),
}

#: Attributes that no file has (PS3.4 C.3.4): the catalogue counts.
COUNTED: dict[Level, tuple[str, ...]] = {
    Level.PATIENT: (
        *("NumberOfPatientRelatedStudies", "NumberOfPatientRelatedSeries", "NumberOfPatientRelatedInstances"),
    ),
    Level.STUDY: (
        *("ModalitiesInStudy", "SOPClassesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
    ),
    Level.SERIES: ("NumberOfSeriesRelatedInstances",),
    Level.IMAGE: (),
}


def keywords(level: Level) -> frozenset[str]:
    """Attributes that can be matched and asked for at a level: its own, and those of the levels above."""
    return frozenset(keyword for each in level.and_above for keyword in (*READ[each], *COUNTED[each]))

"""From a file to the facts of its frames: every header is read once, up to the pixels."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.tag import Tag
from pydicom.uid import EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage

from node.codes import Code
from node.errors import told
from node.failure import pass_on
from node.recognition.header import charsets, converted, enhanced, patients, sheets, vendors
from node.recognition.header import elements as read
from node.recognition.header.elements import MALFORMED
from node.recognition.header.facts import (
    SOP_CLASS,
    BValue,
    Diffusion,
    Directionality,
    Fault,
    FrameFacts,
    HeaderFacts,
    ImageKind,
    Placement,
    PulseSequence,
    Settled,
    Timing,
    VendorFacts,
)
from node.recognition.header.files import DAMAGE
from node.recognition.header.kinds import image_kind, told_by_diffusion
from node.recognition.header.placement import acquired_matrix, placement
from node.recognition.header.private import PrivateElements
from node.recognition.header.words import Words
from storage.dicom_files import read_beginning, read_dataset
from storage.origin import names_this_node
from storage.records import NOBODY, PatientIdentity

# Values longer than this stay in the file until somebody asks for them; nobody here does.
_DEFER_BYTES = 16 * 1024 * 1024
_OF_EVERY_OBJECT = {
    "SOPClassUID": SOP_CLASS,
    "SOPInstanceUID": "SOP Instance UID",
    "StudyInstanceUID": "Study Instance UID",
    "SeriesInstanceUID": "Series Instance UID",
}
_PATIENT = ("PatientID", "IssuerOfPatientID", "PatientBirthDate")
_LAST_OF_PATIENT = Tag("PatientBirthDate")
UNREADABLE = (*MALFORMED, InvalidDicomError, zlib.error, RecursionError, MemoryError)


def read_frames(path: Path, vocabulary: Words) -> tuple[FrameFacts, ...] | Fault:
    """The facts of all frames of a file, or the reason why there are none.

    Raises:
        OSError, MemoryError: the file is not there, or this machine cannot read it now.
    """
    # pydicom warns of each odd value; what matters of them ends as a fault or an absent fact.
    with warnings.catch_warnings(action="ignore"):
        try:
            dataset = read_dataset(path, stop_before_pixels=True, defer_size=_DEFER_BYTES)
        except UNREADABLE as error:
            pass_on(error)
            return unreadable(path, error)
        return frames_of(dataset, path, vocabulary)


def unreadable(path: Path, error: BaseException) -> Fault:
    """That a file cannot be read, and why."""
    return Fault(Code.DECODE, f"{path.name}: {told(error, DAMAGE)}")


def read_patient(path: Path) -> PatientIdentity:
    """Whom a file names, from its first elements where they tell it; nobody where it is damaged.

    Raises:
        OSError, MemoryError: the file is not there, or this machine cannot read it now.
    """
    with warnings.catch_warnings(action="ignore"):
        try:
            dataset = read_beginning(path, _LAST_OF_PATIENT, _DEFER_BYTES)
            if "PatientID" not in dataset or not charsets.in_ascii(dataset, _PATIENT):
                # All texts of a header together tell which character set they are in.
                dataset = read_dataset(path, stop_before_pixels=True, defer_size=_DEFER_BYTES)
        except UNREADABLE as error:
            pass_on(error)
            return NOBODY
        as_stored = _identifier_as_stored(dataset)
        return _patient(dataset, charsets.settle(dataset), as_stored)


def frames_of(dataset: Dataset, path: Path, vocabulary: Words) -> tuple[FrameFacts, ...]:
    """The facts of all frames of a data set that was read from `path`; its text is settled."""
    as_stored = _identifier_as_stored(dataset)
    settled = charsets.settle(dataset)
    patient = _patient(dataset, settled, as_stored)
    sop_class = read.identifier(dataset, "SOPClassUID")
    if sop_class == LegacyConvertedEnhancedMRImageStorage:

        def as_classic(index: int) -> FrameFacts:
            image = converted.classic(dataset, index)
            return _image(image, path, patient, settled.and_then(charsets.settle(image)), vocabulary)[0]

        return enhanced.frames(dataset, as_classic, vocabulary)
    frame, special = _image(dataset, path, patient, settled, vocabulary)
    if sop_class == EnhancedMRImageStorage:
        return enhanced.frames(dataset, lambda _: frame, vocabulary)
    if isinstance(special.sheet, tuple):
        return sheets.frames(dataset, frame, special.sheet, special.stack)
    return (frame,)


def _image(
    dataset: Dataset, path: Path, patient: PatientIdentity, settled: Settled, vocabulary: Words
) -> tuple[FrameFacts, VendorFacts]:
    """What the top level of a data set says of its image, and the vendor's part of it."""
    private = PrivateElements(dataset)
    vendor = vendors.identify(read.text(dataset, "Manufacturer"), private)
    special = vendors.read(vendor, dataset, private, standard_diffusion(dataset))
    header = replace(
        _header(path, dataset, special),
        vendor=vendor,
        private_elements=vendors.has_elements(vendor, private),
        private_orphans=not vendors.has_elements(vendor, private) and private.orphans,
        missing=_missing(dataset),
        patient=patient,
        text=settled,
    )
    kind, kind_source = _kind(dataset, header, special, vocabulary)
    frame = FrameFacts(
        header=header,
        kind=kind,
        kind_source=kind_source,
        image_type=header.image_type,
        diffusion=special.diffusion,
        timing=_timing(dataset, special),
        sequence=_sequence(dataset, special),
        scaling=read.scaling(dataset, special.scale_slope),
        placement=_placement(dataset, special),
        faults=tuple(private.faults),
    )
    return frame, special


def standard_diffusion(dataset: Dataset) -> Diffusion:
    """b-value (0018,9087), directionality (0018,9075) and direction (0018,9089) where a classic header has them."""
    b_value = read.number(dataset, "DiffusionBValue")
    return Diffusion(
        b_values=() if b_value is None else (BValue(b_value, "(0018,9087)"),),
        directionality=Directionality.of(read.text(dataset, "DiffusionDirectionality")),
        direction=read.vector(dataset, "DiffusionGradientOrientation"),
    )


def _header(path: Path, dataset: Dataset, special: VendorFacts) -> HeaderFacts:
    return HeaderFacts(
        path=path,
        sop_class_uid=read.identifier(dataset, "SOPClassUID"),
        sop_instance_uid=read.identifier(dataset, "SOPInstanceUID"),
        study_instance_uid=read.identifier(dataset, "StudyInstanceUID"),
        series_instance_uid=read.identifier(dataset, "SeriesInstanceUID"),
        series_number=read.integer(dataset, "SeriesNumber"),
        description=read.text(dataset, "SeriesDescription"),
        protocol=read.text(dataset, "ProtocolName"),
        modality=read.text(dataset, "Modality"),
        manufacturer=read.text(dataset, "Manufacturer"),
        model=read.text(dataset, "ManufacturerModelName"),
        field_strength_t=read.number(dataset, "MagneticFieldStrength"),
        body_part=" ".join(read.text(dataset, "BodyPartExamined").upper().split()),
        image_type=special.image_type or read.texts(dataset, "ImageType"),
        samples_per_pixel=read.integer(dataset, "SamplesPerPixel") or 1,
        contrast_agent=_contrast_agent(dataset),
        contrast_start_s=read.time_of_day(read.text(dataset, "ContrastBolusStartTime")),
        contrast_start_to_the_minute=read.to_the_minute(dataset, "ContrastBolusStartTime"),
        three_planes=special.three_planes,
        sheet_fault=special.sheet if isinstance(special.sheet, Fault) else None,
    )


def _missing(dataset: Dataset) -> tuple[str, ...]:
    """Missing elements that no object can be without (PS3.3 C.12.1, C.7.2.1, C.7.3.1), as the standard calls them."""
    return tuple(words for keyword, words in _OF_EVERY_OBJECT.items() if not read.uid(dataset, keyword))


def _identifier_as_stored(dataset: Dataset) -> str:
    """Patient ID as its bytes stand, whatever they mean."""
    raw = read.as_it_stands(dataset, Tag("PatientID"))
    return raw.decode("latin-1") if isinstance(raw, bytes) else ""


def _patient(dataset: Dataset, settled: Settled, as_stored: str) -> PatientIdentity:
    """Whom a data set names; one whose ID nobody can read is nobody else's."""
    identifier, *others = (read.text(dataset, keyword) for keyword in _PATIENT)
    return patients.identity(as_stored if "PatientID" in settled.unreadable else identifier, *others)


def _contrast_agent(dataset: Dataset) -> bool | None:
    names = [read.text(dataset, keyword) for keyword in ("ContrastBolusAgent", "ContrastBolusIngredient")]
    named = [name.strip().lower() for name in names if name.strip()]
    if not named:
        return True if read.number(dataset, "ContrastBolusVolume") else None
    return any(name not in {"no", "none", "0", "-", "n"} for name in named)


def _kind(dataset: Dataset, header: HeaderFacts, special: VendorFacts, vocabulary: Words) -> tuple[ImageKind, str]:
    if any(map(names_this_node, _equipment(dataset))):  # results come back from archives and are never analysed
        return ImageKind.OWN_RESULT, "manufacturer, model or software"
    kind, source = image_kind(header.vendor, header.image_type, header.description, special.sequence.name, vocabulary)
    if kind is ImageKind.ACQUIRED and special.not_magnitude:
        return ImageKind.NOT_MAGNITUDE, special.not_magnitude
    return told_by_diffusion(kind, source, special.diffusion)


def _equipment(dataset: Dataset) -> Iterator[str]:
    """Names of the equipment that made an image, and of what contributed to it."""
    for item in (dataset, *read.datasets(dataset, "ContributingEquipmentSequence")):
        for keyword in ("Manufacturer", "ManufacturerModelName", "SoftwareVersions"):
            yield read.text(item, keyword)


def _timing(dataset: Dataset, special: VendorFacts) -> Timing:
    dates = ("AcquisitionDate", "SeriesDate", "ContentDate", "StudyDate")
    acquired = read.clock_s(dataset, dates, "AcquisitionTime")
    stated = read.datetime_s(dataset, "AcquisitionDateTime")
    return replace(
        special.timing,
        acquisition_s=stated if stated is not None else acquired,
        content_s=read.clock_s(dataset, ("ContentDate", *dates), "ContentTime"),
        creation_s=read.clock_s(dataset, ("InstanceCreationDate",), "InstanceCreationTime"),
        series_s=read.clock_s(dataset, ("SeriesDate", *dates), "SeriesTime"),
        to_the_minute=acquired is None and read.to_the_minute(dataset, "AcquisitionTime"),
        trigger_ms=read.number(dataset, "TriggerTime"),
        duration_s=special.timing.duration_s or read.number(dataset, "AcquisitionDuration"),
        partition_s=_partition_s(dataset),
        temporal_index=read.integer(dataset, "TemporalPositionIdentifier"),
        acquisition_number=read.integer(dataset, "AcquisitionNumber"),
        instance_number=read.integer(dataset, "InstanceNumber"),
    )


def _partition_s(dataset: Dataset) -> float | None:
    tr_ms = read.number(dataset, "RepetitionTime")
    # Acquisition Matrix: frequency rows, frequency columns, phase rows, phase columns; one of each pair is 0.
    matrix = read.numbers(dataset, "AcquisitionMatrix")
    lines = read.number(dataset, "NumberOfPhaseEncodingSteps") or (max(matrix[2:]) if len(matrix) == 4 else None)
    return None if not tr_ms or not lines else tr_ms * lines / 1000


def _sequence(dataset: Dataset, special: VendorFacts) -> PulseSequence:
    names = {name.upper() for name in read.texts(dataset, "ScanningSequence")}
    variant = {name.upper() for name in read.texts(dataset, "SequenceVariant")}
    options = {name.upper() for name in read.texts(dataset, "ScanOptions")}
    tr_ms = read.number(dataset, "RepetitionTime")
    return replace(
        special.sequence,
        acquisition_type=read.text(dataset, "MRAcquisitionType").upper(),
        spin_echo="SE" in names,
        # A repetition every few ms leaves no time for a refocusing pulse; GE writes RM on such sequences.
        gradient_echo="GR" in names or ("SE" not in names and tr_ms is not None and 0 < tr_ms < 20),
        inversion_recovery="IR" in names,
        echo_planar=special.sequence.echo_planar
        or "EP" in names
        or read.text(dataset, "EchoPlanarPulseSequence").upper() == "YES",
        balanced="SS" in variant and "SP" not in variant,
        fat_suppressed=bool(options & {"FS", "SAT_GEMS", "FAT_SAT"}),
        echo_train=read.number(dataset, "EchoTrainLength"),
        tr_ms=tr_ms,
        te_ms=read.number(dataset, "EchoTime"),
        ti_ms=read.number(dataset, "InversionTime"),
        flip_deg=read.number(dataset, "FlipAngle"),
    )


def _placement(dataset: Dataset, special: VendorFacts) -> Placement | None:
    return placement(
        dataset,
        position=read.vector(dataset, "ImagePositionPatient"),
        orientation=read.numbers(dataset, "ImageOrientationPatient"),
        measures=dataset,
        stack=special.stack,
        acquired=acquired_matrix(dataset),
    )

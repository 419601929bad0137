"""DICOM modules that all results share: patient, study, series, equipment, SOP common, references."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import NAMESPACE_OID, uuid5

import numpy as np
from highdicom.sr import CodedConcept, DeviceObserverIdentifyingAttributes, ObserverContext
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID

from node.results import attributes
from node.results.findings import AlgorithmIdentity
from node.results.identity import PRODUCT, Identity, clipped, product_version, statement
from node.results.source import UNICODE, SourceFrame, complete, inherit, put, put_all
from node.results.text import LIMITS

LOCAL_SCHEME = "99RECTALNODE"
#: What IHE AI Results calls a model in Contributing Equipment (Trial Implementation, 6.5.3.1), as it stands there: the
#: profile has no final code value yet (docs/ihe-ai-results.md).
PROCESSING_ALGORITHM = Code("Newcode1", "99IHE", "Processing Algorithm")


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """Facts that all instances of one result series share.

    Attributes:
        role: stable name of the series among the results of a study.
        number: Series Number (0020,0011); those of results start at 9000, above those that scanners use.
        algorithms: manifest kinds of the bundles that made it.
    """

    role: str
    number: int
    description: str
    modality: str
    sop_class_uid: str
    algorithms: tuple[str, ...]


def patient_and_study(target: Dataset, header: Dataset) -> None:
    """Patient, General Study, Patient Study and Clinical Trial modules as the source has them."""
    put(target, "SpecificCharacterSet", UNICODE)
    complete(target, attributes.REQUIRED_EVEN_IF_EMPTY)
    inherit(target, header, (*attributes.PATIENT, *attributes.STUDY))


def identify(target: Dataset, facts: SeriesFacts, identity: Identity, header: Dataset, content: str = "") -> None:
    """Series, equipment, SOP common and dates in the offset of the source; the instance UID is the caller's.

    Args:
        header: of the source.
    """
    made_at = identity.made_at(header)
    values = {
        "SOPClassUID": facts.sop_class_uid,
        "Modality": facts.modality,
        "SeriesInstanceUID": identity.uid(f"{facts.role}/series", content=content),
        "SeriesNumber": facts.number,
        "SeriesDescription": _description(facts, identity),
        "TimezoneOffsetFromUTC": f"{made_at:%z}",
        **dict.fromkeys(("SeriesDate", "InstanceCreationDate", "ContentDate"), f"{made_at:%Y%m%d}"),
        **dict.fromkeys(("SeriesTime", "InstanceCreationTime", "ContentTime"), f"{made_at:%H%M%S}"),
        "Manufacturer": PRODUCT,
        "ManufacturerModelName": PRODUCT,
        "DeviceSerialNumber": identity.site.uid_root.rstrip("."),
        "SoftwareVersions": software_versions(facts, identity),
        "ContributingEquipmentSequence": contributing_equipment(facts, identity, header),
    }
    put_all(target, values)
    if identity.site.institution:
        put(target, "InstitutionName", clipped(identity.site.institution, 64))


def _description(facts: SeriesFacts, identity: Identity) -> str:
    """Series Description, which says what it supersedes, however long it is otherwise."""
    revision = dict(identity.supersedes).get(facts.role)
    superseding = f", supersedes revision {revision}" if revision else ""
    return clipped(facts.description, LIMITS["LO"] - len(superseding)) + superseding


def complete_series(target: Dataset) -> None:
    """Laterality (0020,0060), type 2C: required, if empty, where no body part tells that it is not a paired one."""
    if "BodyPartExamined" not in target:
        put(target, "Laterality", None)


def software_versions(facts: SeriesFacts, identity: Identity) -> list[str]:
    """Version of the node, then name and version of each bundle used."""
    bundles = [identity.algorithm(kind) for kind in facts.algorithms]
    return [product_version(), *(clipped(f"{it.name} {it.version}", 64) for it in bundles)]


def contributing_equipment(facts: SeriesFacts, identity: Identity, header: Dataset) -> list[Dataset]:
    """Contributing Equipment Sequence (0018,A001): what was there, the scanner, each model, this node."""
    scanner = Dataset()
    inherit(scanner, header, attributes.EQUIPMENT)
    if "Manufacturer" not in scanner:
        put(scanner, "Manufacturer", "")
    put(scanner, "PurposeOfReferenceCodeSequence", [CodedConcept.from_code(codes.DCM.AcquisitionEquipment)])
    node = Dataset()
    values = {
        "PurposeOfReferenceCodeSequence": [CodedConcept.from_code(codes.DCM.ProcessingEquipment)],
        "Manufacturer": PRODUCT,
        "ManufacturerModelName": PRODUCT,
        "SoftwareVersions": software_versions(facts, identity),
        "ContributionDateTime": f"{identity.made_at(header):%Y%m%d%H%M%S%z}",
        "ContributionDescription": statement(*(identity.algorithm(kind) for kind in facts.algorithms)),
    }
    put_all(node, values)
    known = list(header.get("ContributingEquipmentSequence", ()))
    models = [_model(identity.algorithm(kind), identity, header) for kind in facts.algorithms]
    return [*known, *([scanner] if scanner.Manufacturer else []), *models, node]


def _model(algorithm: AlgorithmIdentity, identity: Identity, header: Dataset) -> Dataset:
    """A model as IHE AI Results names one: by a Device UID that is another after every training."""
    item = Dataset()
    values = {
        "PurposeOfReferenceCodeSequence": [CodedConcept.from_code(PROCESSING_ALGORITHM)],
        "Manufacturer": PRODUCT,
        "ManufacturerModelName": clipped(algorithm.name, 64),
        "SoftwareVersions": clipped(algorithm.version, 64),
        "DeviceUID": device_uid(algorithm),
        "ContributionDateTime": f"{identity.made_at(header):%Y%m%d%H%M%S%z}",
        "ContributionDescription": statement(algorithm),
    }
    put_all(item, values)
    return item


def device_uid(algorithm: AlgorithmIdentity) -> UID:
    """Device UID (0018,1002) of a model: from the digest of its bundle (PS3.5 B.2), the same at every site."""
    return UID(f"2.25.{uuid5(NAMESPACE_OID, algorithm.digest).int}")


def source_image_items(frames: Sequence[SourceFrame], preserved: bool) -> list[Dataset]:
    """Items of Source Image Sequence (0008,2112), one an object; frames of one object share an item.

    Args:
        preserved: whether the pixels kept their place (Spatial Locations Preserved); those of a sheet never do.
    """
    sheets = {frame.sop_instance_uid for frame in frames if frame.tiled}
    items = []
    for item in references(frames):
        purpose = CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
        put(item, "PurposeOfReferenceCodeSequence", [purpose])
        kept = preserved and item.ReferencedSOPInstanceUID not in sheets
        put(item, "SpatialLocationsPreserved", "YES" if kept else "NO")
        items.append(item)
    return items


def referenced_series(frames: Sequence[SourceFrame]) -> list[Dataset]:
    """Items of Referenced Series Sequence (0008,1115): every object once, by series."""
    by_series: dict[str, list[SourceFrame]] = {}
    for frame in frames:
        by_series.setdefault(frame.series_instance_uid, []).append(frame)
    items = []
    for series_instance_uid, members in by_series.items():
        item = Dataset()
        put(item, "SeriesInstanceUID", series_instance_uid)
        instances = references(members)
        for instance in instances:
            instance.pop("ReferencedFrameNumber", None)
        put(item, "ReferencedInstanceSequence", instances)
        items.append(item)
    return items


def refer_to(target: Dataset, frames: Sequence[SourceFrame], preserved: bool) -> None:
    """Name the images that an object was made from, and their series; `preserved` as in `source_image_items`."""
    put(target, "SourceImageSequence", source_image_items(frames, preserved))
    put(target, "ReferencedSeriesSequence", referenced_series(frames))


def device_observer(identity: Identity) -> ObserverContext:
    """The node as the observer of a document (TID 1002, TID 1004)."""
    return ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=identity.site.uid_root.rstrip("."),
            name=PRODUCT,
            manufacturer_name=PRODUCT,
            model_name=f"{PRODUCT} {product_version()}",
        ),
    )


def rgb_pixels(target: Dataset, pixels: np.ndarray) -> None:
    """Image Pixel module of a colour image; `pixels` (rows, columns, 3) uint8."""
    values: dict[str, object] = {
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "PlanarConfiguration": 0,
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
    }
    put_all(target, values)
    data = pixels.tobytes()
    target.add_new("PixelData", "OW", data + b"\0" * (len(data) % 2))


def refer(item: Dataset, sop_class_uid: str, sop_instance_uid: str) -> None:
    """Name an object in an item (SOP Instance Reference macro, PS3.3 table 10-11)."""
    put_all(item, {"ReferencedSOPClassUID": sop_class_uid, "ReferencedSOPInstanceUID": sop_instance_uid})


def references(frames: Sequence[SourceFrame]) -> list[Dataset]:
    """Items that name the objects of frames, one an object, with the numbers of its frames (PS3.3 table 10-3)."""
    by_object: dict[str, Dataset] = {}
    for frame in frames:
        item = by_object.setdefault(frame.sop_instance_uid, Dataset())
        refer(item, frame.sop_class_uid, frame.sop_instance_uid)
        if frame.frame_number is not None:
            numbers = item.get("ReferencedFrameNumber", [])
            known = list(numbers) if isinstance(numbers, Iterable) else [numbers]
            item.ReferencedFrameNumber = [*known, frame.frame_number]
    return list(by_object.values())

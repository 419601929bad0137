"""Associations of 128 presentation contexts: nothing is refused that could be stored, in whichever role the node is."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
)
from pynetdicom import StoragePresentationContexts
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import ModalityWorklistInformationFind, Verification

from node.dicom.contexts import acceptable
from node.dicom.outcomes import StoreResult
from node.dicom.scu import store

from ..parts.dcmtk import Tool
from ..parts.node import Node
from ..parts.storage_scp import running_storage_scp
from .conftest import NODE
from .objects import bytes_by_uid, data_set_bytes
from .users import asking

STUDY = "1.2.826.0.1.3680043.10.1599.40"
RETIRED = (
    "1.2.840.10008.5.1.1.27",  # Stored Print
    "1.2.840.10008.5.1.1.29",  # Hardcopy Grayscale Image
    "1.2.840.10008.5.1.1.30",  # Hardcopy Color Image
    "1.2.840.10008.5.1.4.1.1.3",  # Ultrasound Multi-frame Image, of 1993
    "1.2.840.10008.5.1.4.1.1.5",  # Nuclear Medicine Image, of 1993
    "1.2.840.10008.5.1.4.1.1.6",  # Ultrasound Image, of 1993
    "1.2.840.10008.5.1.4.1.1.8",  # Standalone Overlay
    "1.2.840.10008.5.1.4.1.1.9",  # Standalone Curve
    "1.2.840.10008.5.1.4.1.1.10",  # Standalone Modality LUT
    "1.2.840.10008.5.1.4.1.1.11",  # Standalone VOI LUT
    "1.2.840.10008.5.1.4.1.1.12.3",  # X-Ray Angiographic Bi-Plane Image
    "1.2.840.10008.5.1.4.1.1.77.1",  # VL Image, trial
    "1.2.840.10008.5.1.4.1.1.88.1",  # Text SR, trial
    "1.2.840.10008.5.1.4.1.1.129",  # Standalone PET Curve
)
PRIVATE = (
    "1.3.12.2.1107.5.9.1",  # Siemens: CSA Non-Image
    "1.3.46.670589.2.5.1.1",  # Philips: MR Synthetic Image
    "1.3.46.670589.11.0.0.12.1",  # Philips: Private MR Spectrum
    "1.3.46.670589.11.0.0.12.2",  # Philips: Private MR Series Data
    "1.3.46.670589.11.0.0.12.4",  # Philips: Private MR Examcard
    "1.2.840.113619.4.26",  # GE: 3D Model
    "1.2.840.113619.4.30",  # GE: Advance raw data
    "1.2.840.10008.5.1.4.1.1.9999",  # of an edition of the standard that is still to come
)
_KNOWN = [str(context.abstract_syntax) for context in StoragePresentationContexts]
#: Every fifth of those in force, so that all kinds are among them.
IN_FORCE = tuple([uid for uid in _KNOWN if uid not in RETIRED][::5][:20])
CLASSES = (*RETIRED, *PRIVATE, *IN_FORCE)
SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
#: SOP class and transfer syntax of each presentation context but one, which is for C-ECHO.
KINDS = (*((each, syntax) for each in CLASSES for syntax in SYNTAXES), (MRImageStorage, ExplicitVRBigEndian))


def an_object(number: int, sop_class: str, syntax: str, folder: Path) -> Path:
    """A small object: an image with pixels, a document of its own kind, or neither."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.SOPClassUID, made.SOPInstanceUID = UID(sop_class), f"{STUDY}.1.{number}"
    made.StudyInstanceUID, made.SeriesInstanceUID = STUDY, f"{STUDY}.1"
    made.PatientID, made.PatientName, made.Modality, made.InstanceNumber = "INTEROP-40", "Many^Classes", "OT", number
    name = UID(sop_class).name
    if "Image" in name:
        made.Rows = made.Columns = 4
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
        made.PixelData = bytes([number]) * 32
        made["PixelData"].VR = "OW"
    elif "SR" in name or "Document" in name:
        made.ValueType, made.ContinuityOfContent, made.CompletionFlag = "CONTAINER", "SEPARATE", "COMPLETE"
        made.VerificationFlag = "UNVERIFIED"
    made.private_block(0x0099, "RECTAL NODE TEST", create=True).add_new(1, "OB", bytes([number]) * 8)
    path = folder / f"{number:03d}.dcm"
    made.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One of each kind."""
    folder = tmp_path_factory.mktemp("classes")
    return [an_object(number, *kind, folder) for number, kind in enumerate(KINDS, 1)]


def test_there_are_over_forty_classes_in_128_contexts():
    assert len(set(CLASSES)) == len(CLASSES) >= 40
    assert len(set(KINDS)) + 1 == 128


def test_all_128_contexts_of_an_association_are_accepted_and_what_comes_over_them_is_stored(node: Node, objects):
    contexts = [build_context(*kind) for kind in KINDS] + [build_context(Verification, ImplicitVRLittleEndian)]
    with asking(node, contexts) as association:
        assert association.rejected_contexts == []
        assert len(association.accepted_contexts) == 128
        assert association.send_c_echo().Status == 0
        assert {association.send_c_store(path).Status for path in objects} == {0}
    assert bytes_by_uid(node.objects(STUDY)) == bytes_by_uid(objects)


def test_only_what_stores_nothing_is_refused_among_128(node: Node):
    contexts = [build_context(*kind) for kind in KINDS] + [build_context(ModalityWorklistInformationFind)]
    with asking(node, contexts) as association:
        (refused,) = association.rejected_contexts
        assert (refused.abstract_syntax, refused.result) == (ModalityWorklistInformationFind, 3)


def test_storescu_stores_every_class_that_it_knows_itself(node: Node, dcmtk: Tool, objects):
    """It leaves the private ones out."""
    files = [path for path, (_, syntax) in zip(objects, KINDS, strict=True) if syntax == ExplicitVRLittleEndian]
    sent = dcmtk("storescu", "-v", "-R", "-nh", "-aet", "DCMTK", "-aec", NODE, "127.0.0.1", node.port, *files)
    said = sent.stdout + sent.stderr
    assert said.count("unknown storage SOP class in file") == len(PRIVATE)
    assert said.count("Received Store Response (Success)") == len(files) - len(PRIVATE), said


def test_the_node_sends_all_of_them_over_one_association(objects):
    with running_storage_scp(contexts=acceptable(CLASSES)) as receiver:
        paths = [path for path, (_, syntax) in zip(objects, KINDS, strict=True) if syntax in SYNTAXES]
        outcomes = list(store(paths, "127.0.0.1", receiver.port, "PACS", NODE, 30))
    assert {outcome.result for outcome in outcomes} == {StoreResult.SENT}, outcomes
    received = {name: data_set_bytes(file) for name, file in zip(receiver.kept, receiver.files, strict=True)}
    assert received == bytes_by_uid(paths)
    assert len(receiver.kept) == len(paths)
    assert len(receiver.associations) == 1

"""In which transfer syntax an object goes: as it lies where the receiver takes that, else converted without loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    UID,
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
)
from pynetdicom import AE, evt
from pynetdicom.dsutils import encode_file_meta, split_dataset

from node.dicom.contexts import acceptable
from node.dicom.outcomes import StoreResult
from node.dicom.scu import store

EXPLICIT, IMPLICIT, DEFLATED = ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian


@dataclass
class Receiver:
    """What a storage SCP was asked for and got."""

    port: int = 0
    proposed: list[list[tuple[str, list[str]]]] = field(default_factory=list)
    data_sets: dict[str, tuple[str, bytes]] = field(default_factory=dict)


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    """Start a storage SCP that takes MR images and PDFs in some transfer syntaxes."""
    running = []

    def start(*syntaxes: str, classes: tuple[str, ...] = (MRImageStorage, EncapsulatedPDFStorage)) -> Receiver:
        found = Receiver()

        def note(event: evt.Event) -> None:
            asked = event.assoc.requestor.primitive.presentation_context_definition_list
            found.proposed.append([(str(c.abstract_syntax), [str(t) for t in c.transfer_syntax]) for c in asked])

        def keep(event: evt.Event) -> int:
            uid = str(event.request.AffectedSOPInstanceUID)
            found.data_sets[uid] = (str(event.context.transfer_syntax), event.request.DataSet.getvalue())
            return 0

        ae = AE(ae_title="PACS")
        for sop_class in classes:
            ae.add_supported_context(sop_class, list(syntaxes))
        handlers = [(evt.EVT_C_STORE, keep), (evt.EVT_REQUESTED, note)]
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        running.append(ae)
        found.port = server.server_address[1]
        return found

    yield start
    for ae in running:
        ae.shutdown()


@pytest.fixture
def make_object(tmp_path: Path) -> Callable[..., Path]:
    """Write object `number` of a SOP class in a transfer syntax."""

    def make(number: int, syntax: str = EXPLICIT, sop_class: str = MRImageStorage) -> Path:
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = EXPLICIT
        made.SOPClassUID, made.SOPInstanceUID = sop_class, f"1.2.3.4.{number}"
        made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3", "1.2.3.4"
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.Rows, made.Columns = 16, 17
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
        pixels = np.random.default_rng(number).integers(0, 4096, 16 * 17).astype("<u2")
        made.PixelData = pixels.tobytes()
        made["PixelData"].VR = "OW"
        if syntax == RLELossless:
            made.compress(RLELossless, generate_instance_uid=False)
        elif syntax == MPEG2MPML:
            made.PixelData = encapsulate([b"\0\0\1\xb3"])
            made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
        made.file_meta.TransferSyntaxUID = UID(syntax)
        path = tmp_path / f"{number}.dcm"
        made.save_as(path, enforce_file_format=True)
        return path

    return make


def send(paths: list[Path], found: Receiver):
    return list(store(paths, "127.0.0.1", found.port, "PACS", "NODE", 60))


def as_received(found: Receiver, number: int) -> Dataset:
    syntax, data_set = found.data_sets[f"1.2.3.4.{number}"]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, f"1.2.3.4.{number}"
    meta.TransferSyntaxUID = UID(syntax)
    return dcmread(BytesIO(bytes(128) + b"DICM" + encode_file_meta(meta) + data_set))


def test_stored_and_default_transfer_syntaxes_are_proposed_each_by_itself(receiver, make_object):
    found = receiver(EXPLICIT, IMPLICIT, RLELossless)
    send([make_object(1, RLELossless), make_object(2), make_object(3, sop_class=EncapsulatedPDFStorage)], found)
    assert found.proposed == [
        [
            (MRImageStorage, [RLELossless]),
            (MRImageStorage, [EXPLICIT]),
            (MRImageStorage, [IMPLICIT]),
            (EncapsulatedPDFStorage, [EXPLICIT]),
            (EncapsulatedPDFStorage, [IMPLICIT]),
        ]
    ]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, DEFLATED, RLELossless])
def test_the_bytes_go_as_they_are_where_the_receiver_takes_them(receiver, make_object, syntax):
    found, path = receiver(EXPLICIT, IMPLICIT, DEFLATED, RLELossless), make_object(1, syntax)
    assert [outcome.result for outcome in send([path], found)] == [StoreResult.SENT]
    assert found.data_sets == {"1.2.3.4.1": (syntax, path.read_bytes()[split_dataset(path)[1] :])}


@pytest.mark.parametrize("only", [IMPLICIT, EXPLICIT])
def test_a_receiver_of_one_default_transfer_syntax_gets_every_object_in_it(receiver, make_object, only):
    found = receiver(only)
    syntaxes = [EXPLICIT, IMPLICIT, DEFLATED, RLELossless, EXPLICIT]
    paths = [make_object(number, syntax) for number, syntax in enumerate(syntaxes)]
    outcomes = send(paths, found)
    assert [(outcome.path, outcome.result) for outcome in outcomes] == [(path, StoreResult.SENT) for path in paths]
    assert {syntax for syntax, _ in found.data_sets.values()} == {only}
    for number, path in enumerate(paths):
        stored, received = dcmread(path), as_received(found, number)
        assert np.array_equal(stored.pixel_array, received.pixel_array)
        del stored.PixelData, received.PixelData
        assert stored == received


def test_explicit_is_preferred_where_both_defaults_are_taken(receiver, make_object):
    found = receiver(IMPLICIT, EXPLICIT)
    send([make_object(1, RLELossless)], found)
    assert found.data_sets["1.2.3.4.1"][0] == EXPLICIT


def test_what_cannot_be_converted_fails_for_good_with_the_reason_and_the_rest_goes(receiver, make_object):
    found = receiver(IMPLICIT)
    outcomes = send([make_object(1, MPEG2MPML), make_object(2)], found)
    assert [outcome.result for outcome in outcomes] == [StoreResult.PERMANENT, StoreResult.SENT]
    assert outcomes[0].reason == f"cannot be sent: transfer syntax {MPEG2MPML} cannot be decoded here"


def test_the_defaults_count_where_more_than_128_contexts_are_needed(receiver, make_object):
    """130 SOP classes, two contexts each: 64 classes an association."""
    classes = tuple(f"1.2.840.10008.5.1.4.1.1.{n}" for n in range(9000, 9130))
    acceptable(classes)  # pynetdicom must know them for storage
    found = receiver(EXPLICIT, classes=classes)
    paths = [make_object(number, sop_class=uid) for number, uid in enumerate(classes)]
    outcomes = send(paths, found)
    assert {outcome.result for outcome in outcomes} == {StoreResult.SENT}
    assert [outcome.path for outcome in outcomes] == paths
    assert [len(contexts) for contexts in found.proposed] == [128, 128, 4]

"""Every transfer syntax of MR images, classic and Enhanced: received, kept unchanged, and used for what it holds."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage, generate_uid
from pynetdicom import AE
from pynetdicom.dsutils import split_dataset

from models.sequence import Sequence
from node.recognition.plan import recognise
from node.recognition.record import Stack
from node.results.identity import Identity, Site
from node.results.source import read_frames
from node.services.listener import Listener
from node.settings import ListenerSettings, RecognitionSettings
from node.simulator.enhanced import FrameTiming, enhanced
from node.volumes import Assembled, assembled
from storage.database import open_engine
from storage.files import ObjectStore
from storage.header import read_header
from storage.index import Index

from ..copies import copied
from ..encoded_images import ENCODINGS, Encoding, encode, plain

FORMS = {"classic": MRImageStorage, "Enhanced": EnhancedMRImageStorage}
SLICES = 4
SETTINGS = RecognitionSettings(minimum_slices=SLICES)
WAYS = [pytest.param(form, encoding, id=f"{form}-{encoding.uid}") for form in FORMS for encoding in ENCODINGS]


@dataclass
class Study:
    """An axial T2-weighted series as it was sent, and what was kept of it."""

    uid: str
    sent: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)

    def stack(self, paths: list[Path]) -> Stack:
        stack = recognise(self.uid, paths, SETTINGS).stack(Sequence.T2WI)
        assert stack is not None
        return stack

    def volume(self) -> Assembled:
        return assembled(self.stack(self.kept))


def smooth(image: Dataset, number: int) -> Dataset:
    """The image with values that change gently, as those of tissue do, and use the 12 bits."""
    y, x = np.indices((image.Rows, image.Columns))
    values = 2047 + 1500 * np.sin((x + number) / 7) * np.cos(y / 9) + 500 * np.sin((x + y) / 3)
    made = copied(image)
    made.BitsStored, made.HighBit, made.PixelRepresentation = 12, 11, 0
    made.PixelData = np.rint(values).astype("<u2").tobytes()
    return made


def in_form(slices: list[Dataset], form: str) -> list[Dataset]:
    if form == "classic":
        return slices
    starts = [FrameTiming(f"{each.AcquisitionDate}{each.AcquisitionTime}", 1.0) for each in slices]
    whole = enhanced(slices, [None] * len(slices), starts)
    whole.file_meta = deepcopy(slices[0].file_meta)
    whole.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    return [whole]


def write(images: list[Dataset], folder: Path) -> Study:
    """A study of its own."""
    study, series = generate_uid(), generate_uid()
    folder.mkdir()
    paths = []
    for number, image in enumerate(images):
        image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID = study, series, generate_uid()
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        paths.append(folder / f"{number}.dcm")
        dcmwrite(paths[-1], image, enforce_file_format=True)
    return Study(study, paths)


def send(studies: dict[Encoding, Study], form: str, port: int) -> None:
    """All studies over one association, a presentation context for each transfer syntax."""
    ae = AE("SCANNER")
    for encoding in studies:
        ae.add_requested_context(FORMS[form], encoding.uid)
    association = ae.associate("127.0.0.1", port, ae_title="RECTALNODE")
    assert len(association.accepted_contexts) == len(ENCODINGS)
    for study in studies.values():
        study.statuses = {association.send_c_store(path).Status for path in study.sent}
    association.release()


@pytest.fixture(scope="module")
def received(written_by, tmp_path_factory) -> Iterator[dict[str, dict[Encoding, Study]]]:
    """One study for each form and transfer syntax, sent to a listener."""
    root = tmp_path_factory.mktemp("node")
    engine = open_engine(f"sqlite:///{root / 'index.sqlite'}")
    store, index = ObjectStore(root), Index(engine)
    values = ListenerSettings().model_copy(update={"port": 0, "minimum_free_gb": 0.0})
    listener = Listener(values, (), store, index)
    listener.start()
    slices = [smooth(image, number) for number, image in enumerate(written_by("Skyra").series("t2_tse_tra")[:SLICES])]
    studies: dict[str, dict[Encoding, Study]] = {}
    for form in FORMS:
        images, folder = in_form(slices, form), tmp_path_factory.mktemp(form)
        studies[form] = {
            encoding: write([encode(image, encoding) for image in images], folder / encoding.uid)
            for encoding in ENCODINGS
        }
        send(studies[form], form, listener.port)
    listener.stop(patience_s=5)
    for study in (study for of_form in studies.values() for study in of_form.values()):
        study.kept = [store.absolute(record.file) for record in index.instances(study.uid)]
    yield studies
    engine.dispose()


@pytest.fixture(scope="module")
def uncompressed(written_by, tmp_path_factory):
    """The volume of the same images, as they were before they were encoded."""

    @cache
    def made(form: str, encoding: Encoding) -> Assembled:
        slices = [
            smooth(image, number) for number, image in enumerate(written_by("Skyra").series("t2_tse_tra")[:SLICES])
        ]
        folder = tmp_path_factory.mktemp("plain")
        study = write([plain(image, encoding) for image in in_form(slices, form)], folder / "study")
        return assembled(study.stack(study.sent))

    return made


def array(volume: Assembled) -> np.ndarray:
    return sitk.GetArrayFromImage(volume.image)


def test_there_are_fifteen_transfer_syntaxes_at_least():
    assert len({encoding.uid for encoding in ENCODINGS}) >= 15


@pytest.mark.parametrize(("form", "encoding"), WAYS)
def test_every_object_is_kept_byte_by_byte(received, form, encoding):
    study = received[form][encoding]
    assert study.statuses == {0}
    sent = {read_header(path).sop_instance_uid: path for path in study.sent}
    kept = {read_header(path).sop_instance_uid: path for path in study.kept}
    assert sorted(kept) == sorted(sent)
    for uid, path in kept.items():
        assert read_header(path).transfer_syntax_uid == encoding.uid
        assert data_set(path) == data_set(sent[uid])


def data_set(path: Path) -> bytes:
    return path.read_bytes()[split_dataset(path)[1] :]


@pytest.mark.parametrize(("form", "encoding"), WAYS)
def test_the_volume_holds_what_was_encoded(received, uncompressed, form, encoding):
    found, wanted = received[form][encoding].volume(), uncompressed(form, encoding)
    error = np.abs(array(found) - array(wanted))
    assert array(found).shape == (SLICES, 48, 48)
    assert error.max() <= encoding.largest_error
    assert (error.max() > 0) == bool(encoding.largest_error), "a lossy encoder that lost nothing would prove nothing"
    assert (found.image.GetOrigin(), found.image.GetSpacing(), found.image.GetDirection()) == (
        wanted.image.GetOrigin(),
        wanted.image.GetSpacing(),
        wanted.image.GetDirection(),
    )


@pytest.mark.parametrize(("form", "encoding"), WAYS)
def test_a_reader_is_told_of_lossy_compression(received, form, encoding):
    told = [remark for remark in received[form][encoding].volume().remarks if "lossy" in remark]
    assert told == (
        [
            f"the images are changed by lossy compression ({encoding.method}): what is measured in them can differ "
            f"from what the scanner showed"
        ]
        if encoding.method
        else []
    )


@pytest.mark.parametrize(("form", "encoding"), WAYS)
def test_what_is_made_from_lossy_images_will_say_so(received, form, encoding):
    """None of the headers says that it was compressed."""
    study = received[form][encoding]
    identity = Identity(Site("1.2.826.0.1.3680043.10.1599."), study.uid, "", "", datetime(2026, 12, 1, tzinfo=UTC), ())
    for frame in read_frames(study.stack(study.kept), identity):
        stated = frame.header.get("LossyImageCompression"), frame.header.get("LossyImageCompressionMethod")
        assert stated == (("01", encoding.method) if encoding.method else (None, None))
        ratio = frame.header.get("LossyImageCompressionRatio")
        assert (1 < float(ratio) < 100) if encoding.method else ratio is None


def test_what_the_header_says_of_former_compression_counts_too(received, written_by, tmp_path):
    images = [smooth(image, number) for number, image in enumerate(written_by("Skyra").series("t2_tse_tra")[:SLICES])]
    images[1].LossyImageCompression, images[1].LossyImageCompressionRatio = "01", "12.5"
    images[1].LossyImageCompressionMethod = "ISO_10918_1"
    study = write(images, tmp_path / "study")
    (told,) = assembled(study.stack(study.sent)).remarks
    assert told.startswith("1 of 4 images are changed by lossy compression (ISO_10918_1)")
    identity = Identity(Site("1.2.826.0.1.3680043.10.1599."), study.uid, "", "", datetime(2026, 12, 1, tzinfo=UTC), ())
    headers = [frame.header for frame in read_frames(study.stack(study.sent), identity)]
    assert [header.get("LossyImageCompressionRatio") for header in headers] == [12.5] * SLICES


def test_the_files_are_what_they_are_called(received):
    """dcmread and the codestreams agree: no encoder has written another syntax than it was asked for."""
    starts = {
        encoding.uid: dcmread(study.sent[0]).PixelData[:400]
        for encoding, study in received["classic"].items()
        if encoding.uid.is_encapsulated
    }
    assert {uid for uid, start in starts.items() if b"\xff\x4f\xff\x51" in start} == {
        f"1.2.840.10008.1.2.4.{number}" for number in (90, 91, 201, 202, 203)
    }
    # CAP, which says that the block coder is that of HTJ2K; the table of tile lengths.
    assert {uid for uid, start in starts.items() if b"\xff\x50" in start} >= {
        f"1.2.840.10008.1.2.4.{number}" for number in (201, 202, 203)
    }
    assert b"\xff\x55" in starts["1.2.840.10008.1.2.4.202"]
    frames = {50: b"\xff\xc0", 51: b"\xff\xc1", 57: b"\xff\xc3", 70: b"\xff\xc3", 80: b"\xff\xf7", 81: b"\xff\xf7"}
    for number, marker in frames.items():
        assert marker in starts[f"1.2.840.10008.1.2.4.{number}"]

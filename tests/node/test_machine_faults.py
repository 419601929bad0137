"""What this machine lacks while a stored file is read is no damage of the object; what the object says is."""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import pytest
import SimpleITK as sitk
from pydicom import dcmread

from node.analysis.patients import names_another, patient_of
from node.failure import Fault, fault_of
from node.recognition.header.frames import read_frames, read_patient
from node.recognition.header.words import words
from node.recognition.plan import recognise
from node.recognition.record import StudyPlan
from node.settings import RecognitionSettings
from node.stored_values.cells import read_cells
from node.viewing.contours import read_segmentation
from node.viewing.report import read_report
from node.volumes import assemble
from storage.records import PatientIdentity

PATIENT = PatientIdentity("P-1")
LARGE = 64 * 2**20
"""Bytes of an image, several times as much as `short_of_memory` leaves."""


@contextmanager
def limited(kind: int, soft: int) -> Iterator[None]:
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


@contextmanager
def no_descriptor_free() -> Iterator[None]:
    with limited(resource.RLIMIT_NOFILE, 0):
        yield


@contextmanager
def short_of_memory() -> Iterator[None]:
    """Nothing larger than 16 MB is to be had."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    with limited(resource.RLIMIT_AS, pages * resource.getpagesize() + LARGE // 4):
        yield


@pytest.fixture
def plan(written_by, tmp_path) -> StudyPlan:
    images = deepcopy(written_by("Skyra").series("t2_tse_tra"))
    paths = [tmp_path / f"{number}.dcm" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        image.save_as(path)
    return recognise(str(images[0].StudyInstanceUID), paths, RecognitionSettings())


@pytest.fixture
def path(plan) -> Path:
    return plan.stacks[0].frames[0].path


READERS: dict[str, Callable[[StudyPlan, Path], object]] = {
    "header": lambda _, path: read_frames(path, words()),
    "patient": lambda _, path: read_patient(path),
    "patient of a revision": lambda plan, _: patient_of(plan, None),
    "patient of earlier results": lambda plan, _: names_another(PATIENT, plan, []),
    "slices": lambda plan, _: assemble(plan.stacks[0]),
    "study": lambda plan, path: recognise(plan.study_instance_uid, [path], RecognitionSettings()),
    "segmentation": lambda _, path: read_segmentation(path),
    "report": lambda _, path: read_report(path),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_where_no_file_can_be_opened_nothing_is_said_of_the_object(plan, path, read):
    with no_descriptor_free(), pytest.raises(OSError) as refused:  # noqa: PT011 (its number is looked at)
        read(plan, path)
    assert refused.value.errno == errno.EMFILE


def test_memory_that_does_not_hold_an_image_says_nothing_of_it(plan, path):
    image = dcmread(path)
    image.Rows, image.Columns, image.PixelData = 4096, LARGE // 2 // 4096, bytes(LARGE)
    image.save_as(path)
    with short_of_memory(), pytest.raises(MemoryError):
        assemble(plan.stacks[0])
    whole = dcmread(path)
    with short_of_memory(), pytest.raises((MemoryError, RuntimeError)) as refused:
        read_cells(whole, 0, "1.2.3")
    assert fault_of(refused.value) is Fault.SHORT


def test_an_element_that_says_it_is_larger_than_its_file_asks_for_no_more_memory_than_that(plan, path):
    whole, content = assemble(plan.stacks[0]), path.read_bytes()
    at = content.rindex(b"\xe0\x7f\x10\x00OW\0\0") + 8
    path.write_bytes(content[:at] + LARGE.to_bytes(4, "little") + content[at + 4 :])
    with short_of_memory():
        found = assemble(plan.stacks[0])
    assert sitk.Hash(found) == sitk.Hash(whole)


def test_an_earlier_result_that_is_gone_names_nobody(plan, path):
    patient = patient_of(plan, path)
    path.unlink()
    assert not names_another(patient, plan, [path])
    with pytest.raises(FileNotFoundError):
        patient_of(plan, path)

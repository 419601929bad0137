"""Tiny studies that differ in patient and UIDs alone: a whole analysis of one costs a second or two."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import generate_uid

from node.simulator.encoding import write_instance

from ..node.tiny import volumes_of

SCANNERS = ("Skyra", "MR750", "Multiva", "uMR 770")


@dataclass(frozen=True)
class SentStudy:
    """A study that a scanner has: its UID, and its files with their SOP Instance UIDs in the order of sending."""

    uid: str
    sop_instance_uids: dict[Path, str]

    @property
    def paths(self) -> tuple[Path, ...]:
        """Its files."""
        return tuple(self.sop_instance_uids)


def tiny_studies(folder: Path, count: int, name: str = "") -> Iterator[SentStudy]:
    """Write studies of one axial T2WI, eight images of 32 x 32 pixels, one after another.

    Args:
        folder: a new folder in it holds each study.
        count: how many; the scanners take turns.
        name: UIDs are made from it, so that the same name gives the same studies.
    """
    for number in range(count):
        yield _copy(_images(SCANNERS[number % len(SCANNERS)]), folder / f"{number:03d}", f"{name}-{number}")


@cache
def _images(scanner: str) -> tuple[Dataset, ...]:
    return tuple(instance for kind, _, instance in volumes_of(scanner) if kind == "T2WI")


def _copy(images: tuple[Dataset, ...], folder: Path, patient_id: str) -> SentStudy:
    folder.mkdir(parents=True)
    uids = {}
    for number, image in enumerate(map(deepcopy, images)):
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
            setattr(image, keyword, generate_uid(entropy_srcs=[patient_id, getattr(image, keyword)]))
        image.PatientID = patient_id
        write_instance(image, folder / f"{number:03d}.dcm")
        uids[folder / f"{number:03d}.dcm"] = str(image.SOPInstanceUID)
    return SentStudy(str(image.StudyInstanceUID), uids)

"""An outline that a reader drew elsewhere (3D Slicer, OHIF), taken back as a DICOM segmentation of the study.

It is checked, compared with the node's own on the grid of the images that it was drawn on, and kept as an object of the
study, with what was compared: for monitoring, and for the next training.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from node.clock import utc_now
from node.errors import NodeError, TransientError
from node.operations.images import Images
from node.operations.intake import Giver, Intake
from node.viewing.contours import Mask, read_grid
from node.viewing.lattice import Lattice
from node.viewing.outlines import SEGMENTATIONS, Drawn, dice, laid_on, read_drawn, volume_ml
from storage import search
from storage.files import ObjectStore
from storage.header import content_of, read_header
from storage.index import Index
from storage.ledger import Ledger
from storage.readings import ReaderOutline, ReaderVerdict, Reading, Readings, segmentations
from storage.records import InstanceHeader, ResultRecord, StoredFile

_OWN = "segmentation-"


@dataclass(frozen=True, slots=True)
class Received:
    """A segmentation that came for a study by the network and was not taken back yet."""

    sop_instance_uid: str
    sender: str
    received_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Own:
    """The node's mask on a grid; no UID where it outlined nothing there."""

    sop_instance_uid: str
    mask: Mask | None


class Outlines:
    """The outlines of readers, of one storage."""

    def __init__(self, engine: Engine, files: ObjectStore, images: Images, intake: Intake) -> None:
        self._engine, self._files, self._images, self._intake = engine, files, images, intake

    def give(self, study: str, file: Path, giver: Giver, reader: str) -> Reading:
        """Take an outline back from a file, which is stored as one that was received.

        Raises:
            NodeError: it is none of a tumour on images of this study, was given before, or cannot be stored.
        """
        header = read_header(file)
        if Index(self._engine).has_uid_of_result(header.sop_instance_uid):
            raise NodeError("it has the SOP Instance UID of the node's own segmentation: save it as a new object")
        said = self._looked_at(study, file, header, reader)
        with file.open("rb") as source:
            taken = self._intake.take(file.name, source, giver, study)
        if not taken.is_kept:
            raise NodeError(f"it cannot be stored: {taken.reason}")
        Readings(self._engine).add(said)
        return said

    def adopt(self, study: str, sop_instance_uid: str, reader: str) -> Reading:
        """Take an outline back that has come by the network; raises as `give`."""
        file = self._files.absolute(self._stored(study, sop_instance_uid))
        said = self._looked_at(study, file, read_header(file), reader)
        Readings(self._engine).add(said)
        return said

    def received(self, study: str, readings: Sequence[Reading]) -> tuple[Received, ...]:
        """What came by the network and nobody has taken back, by the readings of the study."""
        known = _digests(readings)
        with self._engine.connect() as connection:
            found = segmentations(connection, study, SEGMENTATIONS)
        return tuple(Received(uid, sender, at) for uid, file, sender, at in found if file.digest not in known)

    def file(self, study: str, sop_instance_uid: str) -> Path:
        """The file of an outline that was taken back.

        Raises:
            NodeError: there is none.
        """
        given = _digests(Readings(self._engine).of_study(study))
        return self._files.absolute(self._stored(study, sop_instance_uid, given))

    def _stored(self, study: str, sop_instance_uid: str, digests: Collection[str] = ()) -> StoredFile:
        with self._engine.connect() as connection:
            for uid, file, _, _ in segmentations(connection, study, SEGMENTATIONS):
                if uid == sop_instance_uid and (not digests or file.digest in digests):
                    return file
        raise NodeError(f"{sop_instance_uid}: no segmentation that came for study {study}")

    def _looked_at(self, study: str, file: Path, header: InstanceHeader, reader: str) -> Reading:
        try:
            return self._judged(study, file, header, reader)
        except MemoryError as error:
            raise TransientError("it cannot be compared now: memory is short, try again later") from error

    def _judged(self, study: str, file: Path, header: InstanceHeader, reader: str) -> Reading:
        known = Index(self._engine).study(study)
        if known is None:
            raise NodeError(f"{study}: no study of this node")
        digest = content_of(file).digest
        if digest in _digests(Readings(self._engine).of_study(study)):
            raise NodeError("this outline was taken back before")
        drawn = read_drawn(file)
        self._require_of(study, drawn)
        series, lattice = self._drawn_on(study, drawn)
        mask = laid_on(lattice, file, drawn.tumours)
        if not mask.any():
            raise NodeError("it marks nothing; where there is no tumour, reject the results instead")
        results = Ledger(self._engine).latest_results(study)
        own = self._own(results, series, lattice)
        outline = ReaderOutline(
            series_instance_uid=header.series_instance_uid,
            sop_instance_uid=header.sop_instance_uid,
            digest=digest,
            drawn_on=series,
            volume_ml=volume_ml(mask, lattice),
            compared_with=own.sop_instance_uid,
            own_ml=0.0 if own.mask is None else volume_ml(own.mask, lattice),
            dice=None if own.mask is None else dice(mask, own.mask),
        )
        revision = results[0].revision if results else known.revision
        return Reading(study, revision, ReaderVerdict.OUTLINED, "", reader, utc_now(), outline)

    def _require_of(self, study: str, drawn: Drawn) -> None:
        if drawn.study_instance_uid != study:
            raise NodeError(f"it is of study {drawn.study_instance_uid or 'without a UID'}, not of this one")
        with self._engine.connect() as connection:
            patient = search.identifications(connection, [study]).get(study, search.Identification()).patient_id
        if patient and drawn.patient_id and drawn.patient_id != patient:
            raise NodeError("its Patient ID is not that of the study")
        if not drawn.tumours:
            segments = ", ".join(f'"{label}"' for label in drawn.others[:5]) or "there are none"
            raise NodeError(f"none of its segments is a tumour by code or label: {segments}")

    def _drawn_on(self, study: str, drawn: Drawn) -> tuple[str, Lattice]:
        """The series that the outline refers to, and the grid of its images."""
        found = [(series, grid) for series in drawn.series for grid in self._images.grids(study, series)]
        if not found:
            raise NodeError("it refers to no series of images of this study")
        same = [each for each in found if each[1].frame_of_reference_uid == drawn.frame_of_reference_uid]
        if not same:
            raise NodeError("it has another Frame of Reference UID than the images that it refers to")
        return same[0]

    def _own(self, results: Sequence[ResultRecord], series: str, lattice: Lattice) -> _Own:
        for result, file in self._candidates(results, series):
            if read_grid(file).place_in(lattice) is not None:  # others are of other sequences
                return _Own(result.sop_instance_uid, laid_on(lattice, file))
        return _Own("", None)

    def _candidates(self, results: Sequence[ResultRecord], series: str) -> Iterator[tuple[ResultRecord, Path]]:
        """The node's segmentations, those first that refer to the series, as binary masks."""
        own = [it for it in results if it.role.startswith(_OWN) and it.sop_class_uid in SEGMENTATIONS]
        files = [(it, self._files.absolute(it.file)) for it in own]
        files.sort(key=lambda each: (series not in read_drawn(each[1]).series, len(each[0].role)))
        yield from files


def _digests(readings: Iterable[Reading]) -> set[str]:
    """Of the outlines that were taken back."""
    return {it.outline.digest for it in readings if it.outline}

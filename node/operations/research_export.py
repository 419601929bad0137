"""Studies de-identified for research by PS3.15 Annex E, received objects and results alike, into a folder.

One object is in memory at a time. Of each study stands in the audit that it was exported before anything of it is in
the folder. Who stands behind a pseudonym is in `storage.pseudonyms` alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import DataElement, Dataset
from pydicom.config import IGNORE
from pydicom.tag import Tag
from sqlalchemy import Engine

from node.clock import utc_now
from node.deidentification.instance import deidentify
from node.deidentification.kinds import NotExportedError, UnreadableObjectError
from node.deidentification.patient import Pseudonym
from node.deidentification.profile import Profile
from node.errors import NodeError, told
from node.failure import pass_on
from node.operations.export_folder import ExportFolder, export_folder, require_free
from node.operations.watching import Watch, unwatched
from node.recognition.header import patients
from node.recognition.header.charsets import settle
from node.recognition.header.frames import UNREADABLE, read_patient
from node.results.identity import PRODUCT, product_version
from node.settings import Settings
from storage import search
from storage.audit import Audit, AuditAction, AuditEvent, Facts
from storage.catalogue import matching, retrieval
from storage.catalogue.filling import catch_up
from storage.catalogue.retrieval import TooManyObjectsError, UniqueKeys
from storage.database import open_engine
from storage.dicom_files import read_dataset
from storage.files import ObjectStore
from storage.index import Index
from storage.ledger import Ledger
from storage.pseudonyms import AmbiguousPatientError, Matching, PseudonymRow, Pseudonyms
from storage.records import NOBODY, InstanceHeader, PatientIdentity, StoredFile
from storage.search import Identification, StudySearch

VERSION = 1
_MOST_OBJECTS = 200_000  # of one study
_DEFER_BYTES = 1024  # longer values are not read to see whether a file can be
MATCHING = Matching(patients.contradict, patients.merged)
"""How patients of a project are told apart: as everywhere in the node."""
_Object = tuple[InstanceHeader, StoredFile]


@dataclass(frozen=True, slots=True)
class Exported:
    """An export that is whole.

    Attributes:
        path: its folder.
        project: whose pseudonyms it has.
        profile: the Basic Profile and its options.
        studies, patients, objects, size: what is in it; size in bytes.
        left_out: objects that stayed here, by reason.
        replaced: objects in which an element that is kept named somebody and was replaced, by keyword.
        missing: why studies or objects that should be in it are not, by Study or SOP Instance UID as it is here.
    """

    path: Path
    project: str
    profile: str
    studies: int
    patients: int
    objects: int
    size: int
    left_out: dict[str, int]
    replaced: dict[str, int]
    missing: dict[str, str]


@dataclass(frozen=True, slots=True)
class ExportOrder:
    """What is exported: of which studies, by which profile, under the pseudonyms of which project, and who says so.

    `studies`: Study Instance UIDs; with none those that fit `wanted`.
    """

    project: str
    profile: Profile
    by: str
    wanted: StudySearch = field(default_factory=StudySearch)
    studies: tuple[str, ...] = ()


def export(settings: Settings, target: Path, order: ExportOrder, watch: Watch[str] = unwatched) -> Exported:
    """Write a de-identified export of studies into a folder that is new or empty.

    Raises:
        NodeError: the folder is not free, or no study fits; nothing was written.
        OSError: the disk refused; the folder has no `export.json`.
        StorageError: the project has no name that can be one, or its table is damaged.
    """
    require_free(target, settings.root)
    engine, files = open_engine(settings.storage_url), ObjectStore(settings.root)
    while catch_up(engine, files, settle=settle):
        pass
    studies = _chosen(engine, order)
    with export_folder(target, settings.root) as folder:
        work = _Export(settings, engine, files, folder, order)
        late = [study for study in watch(studies, len(studies)) if not work.take(study)]
        for study in late:
            work.take(study, is_late=True)
        return work.end()


class _Export:
    """An export under way, and what is counted of it."""

    def __init__(
        self, settings: Settings, engine: Engine, files: ObjectStore, folder: ExportFolder, order: ExportOrder
    ) -> None:
        self._engine, self._files, self._folder, self._order = engine, files, folder, order
        self._index, self._audit, self._pseudonyms = Index(engine), Audit(engine), Pseudonyms(settings.root)
        self._patients: set[str] = set()
        self._studies = self._objects = self._size = 0
        self._left_out: Counter[str] = Counter()
        self._replaced: Counter[str] = Counter()
        self._missing: dict[str, str] = {}

    def take(self, study: str, is_late: bool = False) -> bool:
        """Export the objects of a study, unless it is gone or nobody can say of which one patient it is.

        Of a study that is not exported nothing is kept, neither a pseudonym nor an event of the audit. False where it
        has to come late: it states a Patient ID and no birth date, and whose it is may be told by those that state it.
        """
        with self._files.locks.using([study]):
            try:
                objects = self._objects_of(study)
                who = self._patient([file for _, file in objects])
                if who.identifier and not who.born and not is_late:
                    return False
                row = self._row(study, who)
            except (NotExportedError, AmbiguousPatientError, TooManyObjectsError) as error:
                self._missing[study] = str(error)
                return True
            self._on_record(study, objects)
            self._write(study, objects, row)
            return True

    def end(self) -> Exported:
        """The export is whole."""
        order = self._order
        done = Exported(
            path=self._folder.path,
            project=order.project,
            profile=str(order.profile),
            studies=self._studies,
            patients=len(self._patients),
            objects=self._objects,
            size=self._size,
            left_out=dict(sorted(self._left_out.items())),
            replaced=dict(sorted(self._replaced.items())),
            missing=self._missing,
        )
        self._folder.finish(
            {
                "version": VERSION,
                "made_by": f"{PRODUCT} {product_version()}",
                "made_at": utc_now().isoformat(timespec="seconds"),
                "project": order.project,
                "profile": [f"{code.meaning} ({code.value}, DCM)" for code in order.profile.codes],
                "patients": done.patients,
                "studies": done.studies,
                "objects": done.objects,
                "size": done.size,
                "left_out": done.left_out,
                "replaced": done.replaced,
                "missing": len(done.missing),
            }
        )
        return done

    def _write(self, study: str, objects: Sequence[_Object], row: PseudonymRow) -> None:
        pseudonym = Pseudonym(row.pseudonym, bytes.fromhex(row.key), row.shift_days)
        known = _Known(self._index, Ledger(self._engine), study)
        of_study, written = self._known_of(study), 0
        for header, file in objects:
            try:
                if why := known.reason_to_stay(header, file):
                    raise NotExportedError(why)
                self._one(file, pseudonym, known.is_made(file), of_study)
                written += 1
            except NotExportedError as error:
                self._leave_out(header, pseudonym, error)
        self._folder.case(pseudonym.uid(study), pseudonym.name, written, len(objects) - written)
        if written:
            self._studies += 1
            self._patients.add(pseudonym.name)

    def _known_of(self, study: str) -> Dataset:
        """What the catalogue says of whose a study is."""
        with self._engine.connect() as connection:
            found = search.identifications(connection, [study]).get(study, Identification())
        said = {
            "PatientName": ("PN", found.patient_name),
            "PatientID": ("LO", found.patient_id),
            "PatientBirthDate": ("DA", found.birth_date),
            "AccessionNumber": ("SH", found.accession),
        }
        # As they are: a value that is none of its kind would be warned of, and named.
        elements = (DataElement(Tag(name), vr, it, validation_mode=IGNORE) for name, (vr, it) in said.items())
        return Dataset({element.tag: element for element in elements})

    def _one(self, file: StoredFile, pseudonym: Pseudonym, made_here: bool, of_study: Dataset) -> None:
        try:
            found = deidentify(self._files.absolute(file), pseudonym, self._order.profile, made_here, of_study)
        except FileNotFoundError as error:
            raise UnreadableObjectError(f"its file is gone: {told(error)}") from error
        size = self._folder.add(found, pseudonym.name)
        self._objects, self._size = self._objects + 1, self._size + size
        self._replaced.update(found.replaced)

    def _leave_out(self, header: InstanceHeader, pseudonym: Pseudonym, error: NotExportedError) -> None:
        reason = str(error)
        if isinstance(error, UnreadableObjectError):
            self._missing[header.sop_instance_uid] = reason
        self._left_out[reason] += 1
        named = (header.study_instance_uid, header.series_instance_uid, header.sop_instance_uid)
        self._folder.leave_out(pseudonym.name, [*map(pseudonym.uid, named)], header.sop_class_uid, reason)

    def _objects_of(self, study: str) -> list[_Object]:
        with self._engine.connect() as connection:
            found = retrieval.objects(connection, UniqueKeys(study_instance_uids=(study,)), _MOST_OBJECTS)
        if not found:
            raise NotExportedError("nothing of it is here any more")
        return found

    def _patient(self, files: Sequence[StoredFile]) -> PatientIdentity:
        """The one patient that the objects of a study name; nobody where they name none."""
        stated = {self._stated(file) for file in files}
        if stated == {NOBODY} and not any(map(self._is_readable, files)):
            raise NotExportedError("none of its files can be read")
        persons = patients.persons(stated)
        if len(persons) > 1 or any(patients.person_of(it, persons) is None for it in stated - {NOBODY}):
            raise NotExportedError("its objects name several patients")
        return next(iter(persons), NOBODY)

    def _row(self, study: str, who: PatientIdentity) -> PseudonymRow:
        """The pseudonym of a patient; a study that names nobody has one of its own."""
        patient_id = self._audit.patient_of(study) if who.identifier else ""
        return self._pseudonyms.of_patient(self._order.project, patient_id, who, study, MATCHING)

    def _is_readable(self, file: StoredFile) -> bool:
        try:
            read_dataset(self._files.absolute(file), stop_before_pixels=True, defer_size=_DEFER_BYTES)
        except FileNotFoundError:
            return False
        except UNREADABLE as error:
            pass_on(error)
            return False
        return True

    def _stated(self, file: StoredFile) -> PatientIdentity:
        try:
            return read_patient(self._files.absolute(file))
        except FileNotFoundError:
            return NOBODY

    def _on_record(self, study: str, objects: Sequence[_Object]) -> None:
        order = self._order
        self._audit.add(
            AuditEvent(
                utc_now(),
                AuditAction.EXPORTED,
                True,
                order.by,
                study_instance_uid=study,
                subject=str(self._folder.path.absolute()),
                detail=f"de-identified for {order.project}, profile {order.profile}",
                facts=Facts(sop_classes=dict(Counter(header.sop_class_uid for header, _ in objects))),
            )
        )


class _Known:
    """What the node knows of the objects of a study beside their files."""

    def __init__(self, index: Index, ledger: Ledger, study: str) -> None:
        self._rejected = index.rejected(study)
        self._made = {it.file.path for it in ledger.all_results(study)}
        self._valid = {it.file.path for it in ledger.latest_results(study)}

    def is_made(self, file: StoredFile) -> bool:
        """Whether it is a result of this node."""
        return file.path in self._made

    def reason_to_stay(self, header: InstanceHeader, file: StoredFile) -> str:
        """Why an object is not exported whatever it holds; empty where nothing speaks against it."""
        if header.key in self._rejected:
            return "a rejection note has rejected it"
        if self.is_made(file) and file.path not in self._valid:
            return "a result that a later one has superseded"
        return ""


def _chosen(engine: Engine, order: ExportOrder) -> tuple[str, ...]:
    """The studies of an order.

    Raises:
        NodeError: there is none, one that was named is not here, or a date is none.
    """
    for day in filter(None, (order.wanted.date_from, order.wanted.date_to)):
        if matching.date(day) != day:
            raise NodeError(f"{day!r} is no day: give it as YYYYMMDD")
    index = Index(engine)
    if missing := [uid for uid in order.studies if index.study(uid) is None]:
        raise NodeError(f"nothing was exported: not here: {', '.join(missing)}")
    if order.studies:
        return tuple(dict.fromkeys(order.studies))
    with engine.connect() as connection:
        found = search.all_of(connection, order.wanted)
    if not found:
        raise NodeError("nothing was exported: no study fits")
    return found

"""The durable way of one study revision through the pipeline, a step a line.

DBOS owns the progress of the steps and nothing else: what is known of the study lives in the storage. Steps return
small values only; volumes go from step to step as files. A step that was under way when the process died runs
again, so every step gives the same files when it is repeated.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, TypeVar

from dbos import DBOS, DBOSConfig
from pydantic import TypeAdapter
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from models.sequence import ANALYSED
from node.analysis import steps, withdrawal
from node.analysis.queue import QUEUE, WORKFLOW, WORKFLOW_VERSION, queue_engine, queue_url
from node.analysis.steps import Models, Study
from node.codes import Code
from node.errors import ConfigurationError, TransientError, told
from node.recognition.plan import FOREIGN
from node.recognition.record import StudyPlan, from_json, to_json
from node.results.encode import EncodedObject
from node.results.identity import Site
from node.settings import AnalysisSettings, Settings
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.index import Index
from storage.ledger import Ledger
from storage.records import InstanceHeader, PatientIdentity, ResultRecord, Revocation, StudyState

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_RECORDS = TypeAdapter(list[ResultRecord])
_OF_REJECTED = f"{Code.REJECTED}: it was made from images that have been rejected"
_OF_ANOTHER = f"{Code.PATIENT_MIX}: it names another patient than the study, or was made from images that do"


@dataclass(frozen=True, slots=True)
class Rooms:
    """What a worker needs: settings, storage, models."""

    settings: Settings
    files: ObjectStore
    index: Index
    ledger: Ledger
    deliveries: Deliveries
    models: Models

    def study(self, study_instance_uid: str, revision: int) -> Study:
        """The study revision with its instances as the index has them now."""
        instances = {
            record.header.key: (self.files.absolute(record.file), record.content.identifier)
            for record in self.index.instances(study_instance_uid)
        }
        folder = self.settings.root / "work" / study_instance_uid / str(revision)
        return Study(
            study_instance_uid,
            revision,
            instances,
            folder,
            self._caution(study_instance_uid, revision),
            self.index.elsewhere(study_instance_uid),
            self.index.meant_patient(study_instance_uid),
            self.index.rejected(study_instance_uid),
        )

    def _caution(self, study_instance_uid: str, revision: int) -> str:
        """What completion had to say when it queued the revision."""
        found = self.index.study(study_instance_uid)
        if found is None or (found.revision, found.state) != (revision, StudyState.QUEUED):
            return ""
        return found.reason


class Worker:
    """Takes studies from the queue, one process a storage root."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._lock: IO[str] | None = None
        self._engine: Engine | None = None

    def start(self) -> None:
        """Recover what was under way and take new work.

        Raises:
            ConfigurationError: another process works on the same root; two would run a step at the same time.
        """
        root = self._rooms.settings.root
        self._lock = _exclusive(root / "worker.lock")
        self._engine = queue_engine(queue_url(root))
        config: DBOSConfig = {
            "name": "rectal-node",
            "system_database_engine": self._engine,
            "application_version": WORKFLOW_VERSION,
            "executor_id": "worker-1",
            "log_level": "ERROR",
        }
        DBOS(config=config)
        register(self._rooms)
        DBOS.launch()
        DBOS.register_queue(
            QUEUE, worker_concurrency=self._rooms.settings.analysis.concurrent_studies, polling_interval_sec=0.5
        )
        self._fail_strangers()

    def stop(self) -> None:
        """Leave the queue; a study under way goes on at the next start from its last finished step."""
        DBOS.destroy()
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _fail_strangers(self) -> None:
        """Runs of another workflow version are never recovered by DBOS: say so instead of leaving them for ever."""
        for found in DBOS.list_workflows(name=WORKFLOW, status=["PENDING", "ENQUEUED"], load_input=False):
            if found.app_version in (None, WORKFLOW_VERSION):
                continue
            study, revision = found.workflow_id.rsplit(":", 1)
            reason = f"queued by workflow version {found.app_version}, not {WORKFLOW_VERSION}: `rectal-node rerun` it"
            DBOS.cancel_workflow(found.workflow_id)
            self._rooms.index.move(study, int(revision), StudyState.FAILED, reason)


def register(rooms: Rooms) -> None:
    """Define the workflow on these rooms; DBOS must be configured and not yet launched."""

    @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=5)
    def analyse_study(study_instance_uid: str, revision: int) -> None:
        _Analysis(rooms, study_instance_uid, revision).run()


@dataclass(frozen=True, slots=True)
class _Analysis:
    """The way of one study revision; the name of a step is what an operator sees as progress."""

    rooms: Rooms
    uid: str
    revision: int

    def run(self) -> None:
        """Every step in order; raising `WORKFLOW_VERSION` goes with any change of this order."""
        started_at = self._step("start", _now)
        log.info("study %s revision %d: analysis starts", self.uid, self.revision)
        try:
            refusal = self._step("recognise", self._recognise) or self._step("assemble volumes", self._assemble)
            if not refusal:
                self._analyse()
            revoked = self._step("judge earlier results", self._judge_earlier, refusal)
            wanted = is_answered(refusal, self.rooms.settings.analysis)
            records = self._step("encode", self._encode, started_at, revoked) if wanted else []
            state = StudyState.REFUSED if refusal else StudyState.COMPLETED
            self._step("hand to delivery", self._hand_over, state, refusal, records, revoked)
            # A step of its own, after the objects are on record: a repeated encode still needs the volumes.
            self._step("discard volumes", lambda: steps.discard_volumes(self._study()))
            if refusal:
                log.warning("study %s revision %d: refused: %s", self.uid, self.revision, refusal)
        except Exception as error:
            log.exception("study %s revision %d: analysis failed", self.uid, self.revision)
            self._step("hand to delivery", self._hand_over, StudyState.FAILED, _one_line(error), [])
            raise
        log.info("study %s revision %d: analysis complete", self.uid, self.revision)

    def _analyse(self) -> None:
        models = self.rooms.models
        self._step("super-resolve", lambda: steps.super_resolve_volumes(self._study(), models))
        self._step("segment", self._segment)
        self._step("radiomics", lambda: steps.extract_features(self._study(), models))
        self._step("predict", lambda: steps.predict_outcome(self._study(), models))

    def _step(self, name: str, work: Callable[..., _T], *arguments: object) -> _T:
        return DBOS.run_step(
            {
                "name": name,
                "retries_allowed": True,
                "max_attempts": 3,
                "interval_seconds": 5.0,
                "should_retry": _is_transient,
            },
            work,
            *arguments,
        )

    def _study(self) -> Study:
        return self.rooms.study(self.uid, self.revision)

    def _recognise(self) -> str:
        study = self._study()
        plan = steps.recognise_study(study, self.rooms.settings.recognition, self.rooms.models)
        _keep_plan(self.rooms, study, plan)
        return why_refused(plan)

    def _assemble(self) -> str:
        study = self._study()
        plan = steps.assemble_volumes(study, self.rooms.settings.recognition, self.rooms.models)
        _keep_plan(self.rooms, study, plan)
        return why_refused(plan)

    def _segment(self) -> dict[str, float]:
        study = self._study()
        volumes = steps.segment_volumes(study, self.rooms.models)
        _keep_plan(self.rooms, study, steps.read_plan(study))
        return volumes

    def _judge_earlier(self, refusal: str) -> list[str]:
        """SOP Instance UIDs of results of earlier revisions that are of another patient: all, where two are named."""
        earlier = self._earlier()
        if names_two_patients(refusal) or not earlier:
            return [result.sop_instance_uid for result in earlier]
        study = self._study()
        plan = steps.read_plan(study)
        patient = withdrawal.patient_of(plan, steps.reference(study, plan))
        of_others = {
            revision for revision in {it.revision for it in earlier} if self._of_another(revision, patient, earlier)
        }
        return [result.sop_instance_uid for result in earlier if result.revision in of_others]

    def _of_another(self, revision: int, patient: PatientIdentity, earlier: Sequence[ResultRecord]) -> bool:
        series = {
            it.series_instance_uid: self.rooms.files.absolute(it.file) for it in earlier if it.revision == revision
        }
        return withdrawal.names_another(patient, self._plan_of(revision), list(series.values()))

    def _earlier(self) -> list[ResultRecord]:
        return [result for result in self.rooms.ledger.all_results(self.uid) if result.revision < self.revision]

    def _encode(self, started_at: str, revoked: list[str]) -> list[dict[str, Any]]:
        settings = self.rooms.settings
        objects = steps.encode_results(
            self._study(),
            self.rooms.models,
            datetime.fromisoformat(started_at),
            settings_digest(settings),
            site_of(settings),
            [result for result in self._earlier() if result.sop_instance_uid not in revoked],
        )
        records = [_record(self.rooms.files, self.uid, self.revision, made) for made in objects]
        return list(_RECORDS.dump_python(records, mode="json"))

    def _hand_over(
        self, state: str, reason: str, records: list[dict[str, Any]], revoked: list[str] | None = None
    ) -> bool:
        results = _RECORDS.validate_python(records)
        destinations = [destination.name for destination in self.rooms.settings.destinations]
        revocation = None if revoked is None else self._revocation(reason, revoked, results)
        ended = self.rooms.ledger.conclude(
            self.uid, self.revision, StudyState(state), reason, results, destinations, datetime.now(UTC), revocation
        )
        if not ended:
            log.info("study %s: revision %d is superseded, its results are not sent", self.uid, self.revision)
        for found in withdrawal.withdrawals(self.rooms.deliveries.records(self.uid)) if ended else ():
            log.error("study %s revision %d: %s", self.uid, self.revision, found)
        return ended

    def _revocation(self, reason: str, of_another: list[str], results: Sequence[ResultRecord]) -> Revocation:
        """What a person has to take back, and why: what is of another patient, and what was made from rejected images
        and is superseded by nothing."""
        of_rejected = self._made_from_rejected({result.role for result in results})
        whys = [reason if names_two_patients(reason) else _OF_ANOTHER] if of_another else []
        return Revocation(
            frozenset((*of_another, *of_rejected)), "; ".join([*whys, *([_OF_REJECTED] if of_rejected else [])])
        )

    def _made_from_rejected(self, superseding: Collection[str]) -> list[str]:
        """SOP Instance UIDs of earlier results, in other roles than these, made from images that are rejected."""
        rejected = self.rooms.index.rejected(self.uid)
        earlier = [result for result in self._earlier() if result.role not in superseding] if rejected else []
        made = {it.revision for it in earlier if withdrawal.made_from(self._plan_of(it.revision), rejected)}
        return [result.sop_instance_uid for result in earlier if result.revision in made]

    def _plan_of(self, revision: int) -> StudyPlan | None:
        document = self.rooms.index.verdict(self.uid, revision)
        return from_json(document) if document else None


def _is_transient(error: BaseException) -> bool:
    """Whether the same step may succeed a little later: a full disk, a locked database, memory that was short."""
    return isinstance(error, (TransientError, OSError, OperationalError, MemoryError))


def _now() -> str:
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def names_two_patients(refusal: str) -> bool:
    """Whether a study was refused because it names two patients: nothing of it leaves, no report either."""
    return refusal.startswith(f"{Code.PATIENT_MIX}:")


def is_answered(refusal: str, settings: AnalysisSettings) -> bool:
    """Whether results of a study leave, be it the report that says why it was refused; `refusal` is empty or why."""
    if names_two_patients(refusal):
        return False
    foreign = refusal.partition(":")[0] in FOREIGN
    return not refusal or (settings.report_refusals and (settings.report_foreign or not foreign))


def why_refused(plan: StudyPlan) -> str:
    """Why the whole study cannot be analysed; empty where it can.

    A study without one usable sequence is refused; one that lacks a sequence is analysed from the rest.
    """
    whole = plan.study_refusal()
    if whole is not None:
        return f"{whole.code}: {whole.reason}"
    if any(stack.role in ANALYSED for stack in plan.stacks):
        return ""
    return "; ".join(f"{refusal.code}: {refusal.reason}" for refusal in plan.refusals)


def _record(files: ObjectStore, study_instance_uid: str, revision: int, made: EncodedObject) -> ResultRecord:
    """Keep an encoded object in the object store."""
    header = InstanceHeader(
        sop_class_uid=made.sop_class_uid,
        sop_instance_uid=made.sop_instance_uid,
        study_instance_uid=study_instance_uid,
        series_instance_uid=made.series_instance_uid,
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    return ResultRecord(
        study_instance_uid=study_instance_uid,
        revision=revision,
        role=made.role,
        sop_class_uid=made.sop_class_uid,
        sop_instance_uid=made.sop_instance_uid,
        series_instance_uid=made.series_instance_uid,
        file=files.store(made.path.read_bytes(), header),
    )


def _keep_plan(rooms: Rooms, study: Study, plan: StudyPlan) -> None:
    rooms.index.keep_verdict(study.study_instance_uid, study.revision, to_json(plan))


def site_of(settings: Settings) -> Site:
    """What the installation brings to its results."""
    return Site(settings.uid_root, settings.institution, settings.time_zone, settings.results.name_patient)


def settings_digest(settings: Settings) -> str:
    """SHA-256 of the settings that can change a result."""
    relevant = {
        "recognition": settings.recognition.model_dump(mode="json"),
        "threads": settings.analysis.threads,  # sums in another order give other last bits
        "site": site_of(settings).canonical,
    }
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def _exclusive(path: Path) -> IO[str]:
    handle = path.open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise ConfigurationError(
            f"{path}: another worker runs on this root; stop it, or set another root in config.toml"
        ) from error
    return handle


def _one_line(error: BaseException) -> str:
    return " ".join(told(error).split())[:500]

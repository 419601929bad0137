"""The durable workflow of one study revision, a step a line.

DBOS owns the progress of the steps and nothing else: what is known of the study lives in the storage. Steps return
small values and references only; volumes go from step to step as files. A step that was under way when the process
ended, or that this machine could not do, runs again, so every step gives the same files when it is repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from dbos import DBOS
from dbos import error as dbos_errors

from models.memory import give_back
from node.analysis import steps, withdrawal
from node.analysis.context import AnalysisContext
from node.analysis.earlier import EarlierResults
from node.analysis.identity import settings_digest, site_of
from node.analysis.leftovers import discard_volumes, is_over
from node.analysis.manifest import ManifestReference, read_manifest, write_manifest
from node.analysis.objects import keep, renewed
from node.analysis.progress import WORKFLOW, workflow_id
from node.analysis.refusal import is_answered, why_refused
from node.analysis.runs import Runs, put_off_if_fault
from node.analysis.study import Study
from node.analysis.verification import require_whole
from node.destinations import OF_CHECK, additional_kinds, chosen, facts_of, selections, takes
from node.errors import StepSetAsideError, told
from node.failure import FAULTS
from node.recognition.record import StudyPlan, to_json
from node.settings import RemoteSettings
from storage.known_answer import is_of_check
from storage.records import ResultRecord, StudyState

log = logging.getLogger(__name__)

_T = TypeVar("_T")


def register(context: AnalysisContext, runs: Runs) -> None:
    """Define the workflow; DBOS must be configured and not yet launched."""

    # DBOS would count every start of the process, an orderly one too; `Runs` counts what a step did to its process.
    @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)
    def analyse_study(study_instance_uid: str, revision: int) -> None:
        with runs.run(workflow_id(study_instance_uid, revision)):
            _Analysis(context, runs, study_instance_uid, revision).run()


@dataclass(frozen=True, slots=True)
class _Analysis:
    """The analysis of one study revision; the name of a step is what an operator sees as progress."""

    context: AnalysisContext
    runs: Runs
    uid: str
    revision: int

    def run(self) -> None:
        """Run every step in order; raising `WORKFLOW_VERSION` goes with any change of this order."""
        started_at = self._step("start", _now)
        log.info("study %s revision %d: analysis starts", self.uid, self.revision)
        try:
            refusal = self._step("recognise", self._recognise) or self._step("assemble volumes", self._assemble)
            if not refusal:
                self._analyse()
            of_another = self._step("check earlier results", self._of_another_patient, refusal)
            wanted = is_answered(refusal, self.context.settings.analysis)
            manifest = self._step("encode", self._encode, started_at, of_another) if wanted else None
            state = StudyState.REFUSED if refusal else StudyState.COMPLETED
            self._step("hand to delivery", self._hand_over, state, refusal, manifest, of_another, started_at)
            # A step of its own, after the objects are on record: a repeated encode still needs the volumes.
            self._step("discard volumes", self._discard_volumes)
            if refusal:
                log.warning("study %s revision %d: refused: %s", self.uid, self.revision, refusal)
        except Exception as error:
            log.exception("study %s revision %d: analysis failed", self.uid, self.revision)
            self._step("hand to delivery", self._hand_over, StudyState.FAILED, _one_line(error), None)
            self._step("discard volumes", self._discard_volumes)
            if isinstance(error, StepSetAsideError):
                self.runs.is_set_aside(self.uid, self.revision, str(error))
            raise
        except (dbos_errors.DBOSWorkflowCancelledError, dbos_errors.DBOSWorkflowConflictIDError):
            # The second one too: whoever cancels takes the run from its thread, which learns it at the end of a step.
            if is_over(self.context.index, self.uid, self.revision):
                self._discard_volumes()
            raise
        log.info("study %s revision %d: analysis complete", self.uid, self.revision)

    def _discard_volumes(self) -> None:
        discard_volumes(self._study().folder)
        self.runs.is_through(self.uid, self.revision)

    def _analyse(self) -> None:
        models = self.context.models
        self._step("super-resolve", lambda: steps.super_resolve_volumes(self._study(), models))
        self._step("segment", self._segment)
        self._step("radiomics", lambda: steps.extract_features(self._study(), models))
        self._step("predict", lambda: steps.predict_outcome(self._study(), models))

    def _step(self, name: str, work: Callable[..., _T], *arguments: object) -> _T:
        give_back()
        identifier, tried = workflow_id(self.uid, self.revision), False

        def attempt() -> _T:
            nonlocal tried
            tried = True
            with self.runs.attempt(self.uid, self.revision, identifier, name):
                return work(*arguments)

        try:
            done = DBOS.run_step({"name": name}, attempt)
        except FAULTS as error:
            put_off_if_fault(error, name)  # what was done could not be recorded
            raise
        if tried:
            self.runs.goes_on(identifier)
        return done

    def _study(self) -> Study:
        return self.context.study(self.uid, self.revision)

    def _recognise(self) -> str:
        context = self.context
        require_whole(context.files, context.index, context.index.pinned(self.uid, self.revision))
        study = self._study()
        plan = steps.recognise_study(study, self.context.settings.recognition, self.context.models)
        self._keep_plan(plan)
        return why_refused(plan)

    def _assemble(self) -> str:
        study = self._study()
        plan = steps.assemble_volumes(study, self.context.settings.recognition, self.context.models)
        self._keep_plan(plan)
        return why_refused(plan)

    def _segment(self) -> dict[str, float]:
        study = self._study()
        volumes = steps.segment_volumes(
            study, self.context.models, additional_kinds(self.context.settings.destinations)
        )
        self._keep_plan(steps.read_plan(study))
        return volumes

    def _keep_plan(self, plan: StudyPlan) -> None:
        self.context.index.keep_verdict(self.uid, self.revision, to_json(plan))

    @property
    def _earlier(self) -> EarlierResults:
        context = self.context
        return EarlierResults(context.files, context.index, context.ledger, self.uid, self.revision)

    def _of_another_patient(self, refusal: str) -> list[int]:
        return self._earlier.revisions_of_another_patient(self._study(), refusal)

    def _encode(self, started_at: str, of_another: list[int]) -> ManifestReference:
        settings, study = self.context.settings, self._study()
        objects = steps.encode_results(
            study,
            self.context.models,
            datetime.fromisoformat(started_at),
            settings_digest(settings, self.context.models.executions()),
            site_of(settings),
            self._earlier.superseded(of_another),
            additional_kinds(settings.destinations),
            selections(settings.destinations),
        )
        return write_manifest(study.folder, keep(self.context.files, study, objects))

    def _hand_over(
        self,
        state: str,
        reason: str,
        manifest: ManifestReference | None,
        of_another: list[int] | None = None,
        started_at: str = "",
    ) -> bool:
        results = read_manifest(self._study().folder, manifest) if manifest else []
        if of_another is not None and not renewed(self.context.files, results):
            self._encode(started_at, of_another)  # it was put off for so long that they were taken for orphans
        remotes, nowhere = self._destinations(results)
        revocation = None if of_another is None else self._earlier.revocation(reason, of_another, results)
        ended = self.context.ledger.conclude(
            self.uid,
            self.revision,
            StudyState(state),
            "; ".join(filter(None, (reason, nowhere))),
            results,
            list(remotes),
            datetime.now(UTC),
            revocation,
            lambda name, result: takes(remotes[name], result.sop_class_uid, result.role),
        )
        if ended:
            self.context.results_are_due()
            if nowhere:
                log.warning("study %s revision %d: its results have %s", self.uid, self.revision, nowhere)
        else:
            log.info("study %s: revision %d is superseded, its results are not sent", self.uid, self.revision)
        for found in withdrawal.withdrawals(self.context.deliveries.records(self.uid)) if ended else ():
            log.error("study %s revision %d: %s", self.uid, self.revision, found)
        return ended

    def _destinations(self, results: Sequence[ResultRecord]) -> tuple[dict[str, RemoteSettings], str]:
        """The remotes that get results of the study, by name; where none gets any, why."""
        if is_of_check(self.uid):
            return {OF_CHECK.name: OF_CHECK}, ""
        configured = self.context.settings.destinations
        if not results or not configured:
            return {}, ""
        pinned = self.context.index.pinned(self.uid, self.revision)
        found, nowhere = chosen(configured, facts_of(pinned, self.context.files, configured))
        if found and not any(takes(remote, it.sop_class_uid, it.role) for remote in found for it in results):
            nowhere = f"no destination: {', '.join(remote.name for remote in found)} want other kinds of results"
        return {remote.name: remote for remote in found}, nowhere


def _now() -> str:
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def _one_line(error: BaseException) -> str:
    return " ".join(told(error).split())[:500]

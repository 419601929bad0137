"""Results of earlier revisions of a study: which are superseded, and which a person has to take back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from node.analysis import patients, steps
from node.analysis.refusal import names_two_patients
from node.analysis.study import Study
from node.codes import Code
from node.recognition.record import StudyPlan, from_json
from storage.files import ObjectStore
from storage.index import Index
from storage.ledger import Ledger
from storage.records import REJECTION_NOTE, PatientIdentity, ResultRecord, Revocation

_OF_REJECTED = f"{Code.REJECTED}: it was made from images that have been rejected"
_OF_ANOTHER = f"{Code.PATIENT_MIX}: it names another patient than the study, or was made from images that do"


@dataclass(frozen=True, slots=True)
class EarlierResults:
    """The results of the revisions of a study before one."""

    files: ObjectStore
    index: Index
    ledger: Ledger
    study_instance_uid: str
    revision: int

    def superseded(self, of_another: Collection[int]) -> list[ResultRecord]:
        """Those of the patient of this revision; `of_another` are the revisions whose results are of another."""
        return [result for result in self._all() if result.revision not in of_another]

    def revisions_of_another_patient(self, study: Study, refusal: str) -> list[int]:
        """Revisions whose results are of another patient than this one: all, where the study names two."""
        earlier = self._all()
        revisions = sorted({result.revision for result in earlier})
        if names_two_patients(refusal) or not earlier:
            return revisions
        plan = steps.read_plan(study)
        patient = patients.patient_of(plan, steps.reference(study, plan))
        return [revision for revision in revisions if self._is_of_another(revision, patient, earlier)]

    def revocation(self, reason: str, of_another: Collection[int], results: Sequence[ResultRecord]) -> Revocation:
        """Results that a person has to take back, and why.

        Those are results of another patient, and those that were made from rejected images and are superseded by
        nothing. `results` are those of this revision, `reason` is why it was refused, if it was.
        """
        uids = {result.sop_instance_uid for result in self._all() if result.revision in of_another}
        of_rejected = self._made_from_rejected({result.role for result in results})
        reasons = [reason if names_two_patients(reason) else _OF_ANOTHER] if uids else []
        reasons += [_OF_REJECTED] if of_rejected else []
        return Revocation(frozenset((*uids, *of_rejected)), "; ".join(reasons))

    def _all(self) -> list[ResultRecord]:
        results = self.ledger.all_results(self.study_instance_uid)
        return [it for it in results if it.revision < self.revision and it.role != REJECTION_NOTE]

    def _is_of_another(self, revision: int, patient: PatientIdentity, earlier: Sequence[ResultRecord]) -> bool:
        series = {it.series_instance_uid: self.files.absolute(it.file) for it in earlier if it.revision == revision}
        return patients.names_another(patient, self._plan_of(revision), list(series.values()))

    def _made_from_rejected(self, superseding: Collection[str]) -> list[str]:
        """SOP Instance UIDs of results, in other roles than these, made from images that are rejected."""
        rejected = self.index.rejected(self.study_instance_uid)
        earlier = [result for result in self._all() if result.role not in superseding] if rejected else []
        made = {it.revision for it in earlier if patients.made_from(self._plan_of(it.revision), rejected)}
        return [result.sop_instance_uid for result in earlier if result.revision in made]

    def _plan_of(self, revision: int) -> StudyPlan | None:
        document = self.index.verdict(self.study_instance_uid, revision)
        return from_json(document) if document else None

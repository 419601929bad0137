"""The next revision of a study that has ended, and whom it is of where its headers name two.

Headers are read only where a person names the patient; without, nothing is imported that reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from node.errors import NodeError
from node.settings import Settings
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index
from storage.records import PatientIdentity
from storage.reruns import reopen


@dataclass(frozen=True, slots=True)
class Rerun:
    """A revision of a study that was begun."""

    study_instance_uid: str
    revision: int


def rerun(settings: Settings, study: str, meant: PatientIdentity | None) -> Rerun:
    """Begin the next revision of a study that has ended.

    Raises:
        NodeError: no object of the study names the patient who is meant, or two patients of it fit what was said.
        TransitionError: there is no such study, or it has not ended yet.
    """
    engine = open_engine(settings.storage_url)
    index = Index(engine)
    if meant is not None and index.study(study) is not None:
        _check(study, meant, index, settings)
    return Rerun(study, reopen(engine, study, meant, datetime.now(UTC)))


def said(patient: str, issuer: str, born: str) -> PatientIdentity | None:
    """The patient whom a person names on the command line; None where no one is named.

    Raises:
        NodeError: what was said names nobody.
    """
    if not patient.strip():
        if issuer or born:
            raise NodeError("--issuer and --born say more of the patient of --patient: give the Patient ID as well")
        return None
    from node.recognition.header import patients

    if born and patients.read_birth_date(born) is None:
        raise NodeError("--born is no date: give it as YYYYMMDD")
    return patients.identity(patient, issuer, born)


def _check(study: str, meant: PatientIdentity, index: Index, settings: Settings) -> None:
    from node.recognition.header import patient_mix
    from node.recognition.plan import read_study

    store = ObjectStore(settings.root)
    files = [store.absolute(record.file) for record in index.instances(study)]
    facts = read_study(study, files, settings.recognition, rejected=index.rejected(study))
    fault = patient_mix.select(study, facts.frames, meant).fault
    if fault is not None:
        raise NodeError(f"study {study}: {fault.sentence}")

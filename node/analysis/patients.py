"""Of whom a revision of a study and its results are, by the files that they were made from."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from node.recognition.header import patients
from node.recognition.header.frames import read_patient
from node.recognition.record import StudyPlan
from storage.identity import InstanceKey
from storage.records import NOBODY, PatientIdentity


def patient_of(plan: StudyPlan, reference: Path | None) -> PatientIdentity:
    """The patient of a revision: all that its reference and one image of each of its stacks state.

    Raises:
        OSError, MemoryError: one of these is not there, or this machine cannot read it now.
    """
    paths = [reference] if reference else []
    person = NOBODY
    for path in (*paths, *(stack.frames[0].path for stack in plan.stacks)):
        person = patients.merged(person, read_patient(path))
    return person


def names_another(patient: PatientIdentity, plan: StudyPlan | None, results: Sequence[Path]) -> bool:
    """Whether the results of a revision name another patient, or were made from an image that does.

    Args:
        patient: who is meant.
        plan: of that revision, where one was kept.
        results: files of its results, one a series; one that is gone says nothing.

    Raises:
        OSError, MemoryError: this machine cannot read one now.
    """
    images = dict.fromkeys(frame.path for stack in plan.stacks for frame in stack.frames) if plan else ()
    return any(patients.contradict(patient, _stated(path)) for path in (*results, *images))


def _stated(path: Path) -> PatientIdentity:
    try:
        return read_patient(path)
    except FileNotFoundError:
        return NOBODY


def made_from(plan: StudyPlan | None, rejected: Collection[InstanceKey]) -> bool:
    """Whether the results of a revision were made from any of these objects; no where its plan was not kept."""
    return plan is not None and any(key in rejected for stack in plan.stacks for key in stack.instances)

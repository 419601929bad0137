"""Whether a study can be analysed, and whether it is answered where it cannot; a refusal is empty or says why."""

from __future__ import annotations

from models.sequence import ANALYSED
from node.codes import Code
from node.recognition.plan import FOREIGN
from node.recognition.record import StudyPlan
from node.settings import AnalysisSettings


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


def names_two_patients(refusal: str) -> bool:
    """Whether a study was refused because it names two patients: nothing of it leaves, no report either."""
    return refusal.startswith(f"{Code.PATIENT_MIX}:")


def is_answered(refusal: str, settings: AnalysisSettings) -> bool:
    """Whether results of a study leave, be it the report that says why it was refused."""
    if names_two_patients(refusal):
        return False
    foreign = refusal.partition(":")[0] in FOREIGN
    return not refusal or (settings.report_refusals and (settings.report_foreign or not foreign))

"""Remarks beside the numbers: statement, what was used, what was refused, what to be wary of.

The same remarks stand in the report and on the summary page.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.sr.coding import Code

from models.prediction.records import Prediction
from node.recognition.record import StudyPlan
from node.results.explanation import describe_prediction, explanation, other_answers, substitution, title
from node.results.figures import largest_section, millilitres, selection, slice_number, tumour_volumes
from node.results.findings import SequenceResult, StudyResults
from node.results.identity import RESEARCH_STATEMENT, bundle_statements, clipped, describe
from node.results.modules import LOCAL_SCHEME
from node.results.set_aside import no_reliable_finding, not_reported

NO_TUMOUR = "No tumour found: none of the analysed sequences holds a segmented tumour."
NOT_ANALYSED = "Not analysed: no series of this study could be used."

LIMITATION = Code("AI-LIMITATION", LOCAL_SCHEME, "Limitation of use")
RESULT = Code("AI-RESULT", LOCAL_SCHEME, "Result")
NOT_REPORTED = Code("AI-NOT-REPORTED", LOCAL_SCHEME, "Finding not reported")
LOCATION = Code("AI-LOCATION", LOCAL_SCHEME, "Location of the finding")
EXPLANATION = Code("AI-EXPLANATION", LOCAL_SCHEME, "Explanation of the prediction")
USED = Code("SERIES-USED", LOCAL_SCHEME, "Series used")
NOT_USED = Code("SERIES-NOT-USED", LOCAL_SCHEME, "Series not used")
REFUSAL = Code("REFUSAL", LOCAL_SCHEME, "Not analysed")
WARNING = Code("WARNING", LOCAL_SCHEME, "Warning")
SUPERSEDES = Code("SUPERSEDES", LOCAL_SCHEME, "Supersedes")
MODEL = Code("AI-MODEL", LOCAL_SCHEME, "Model")


@dataclass(frozen=True, slots=True)
class Remark:
    """One sentence and what kind of sentence it is."""

    concept: Code
    text: str


def remarks(results: StudyResults) -> Iterator[Remark]:
    """All remarks on a study, the most important first."""
    yield Remark(LIMITATION, f"{RESEARCH_STATEMENT} {bundle_statements(results.algorithms)}")
    yield Remark(RESULT, conclusion(results))
    for result in results.sequences:
        yield Remark(RESULT, _measured(result, results.plan))
    for sentence in not_reported(results.plan):
        yield Remark(NOT_REPORTED, clipped(sentence, 1024))
    for location in results.plan.locations:
        yield Remark(LOCATION, f"{location}.")
    if results.prediction is not None:
        yield from _on_prediction(results.prediction)
    if results.supersedes is not None:
        yield Remark(SUPERSEDES, f"These results supersede those of revision {results.supersedes.revision}.")
    for refusal in results.plan.refusals:
        yield Remark(REFUSAL, clipped(f"{refusal.role}: {refusal.reason} ({refusal.code})", 1024))
    for warning in warnings(results):
        yield Remark(WARNING, warning)
    yield from _series(results.plan)
    for _, algorithm in sorted(results.algorithms.items()):
        yield Remark(MODEL, clipped(describe(algorithm), 1024))


def _on_prediction(prediction: Prediction) -> Iterator[Remark]:
    yield Remark(RESULT, describe_prediction(prediction))
    if prediction.others:
        yield Remark(RESULT, other_answers(prediction))
    for line in explanation(prediction.main):
        yield Remark(EXPLANATION, line)


def conclusion(results: StudyResults) -> str:
    """The finding in one sentence."""
    if not results.sequences:
        return NOT_ANALYSED
    volumes = [f"{millilitres(it.volume_ml)} on {it.sequence}" for it in results.sequences if it.has_tumour]
    if volumes:
        return f"Tumour segmented: {', '.join(volumes)}."
    return no_reliable_finding(results.plan) if results.plan.set_aside else NO_TUMOUR


def found_nothing(sequence: str, plan: StudyPlan) -> str:
    """The words for a sequence in which no tumour is reported."""
    return "no reliable finding" if any(it.sequence == sequence for it in plan.set_aside) else "no tumour found"


def _measured(result: SequenceResult, plan: StudyPlan) -> str:
    """Which volume was looked at, and what was delivered of it."""
    taken = selection(result.stack)
    subject = f"{result.sequence} ({taken})" if taken else result.sequence
    section = largest_section(result.mask)
    if section is None:
        return f"{subject}: {found_nothing(result.sequence, plan)}."
    return f"{subject}: {tumour_volumes(result)}; largest section on {slice_number(section, result.mask)}."


def warnings(results: StudyResults) -> list[str]:
    """Warnings of recognition, of the volumes and of the prediction."""
    lines = [clipped(text, 1024) for text in results.plan.warnings]
    lines += [line for result in results.sequences for line in _volume_warnings(result)]
    if results.prediction is not None:
        lines += _prediction_warnings(results.prediction)
    return lines


def _volume_warnings(result: SequenceResult) -> Iterator[str]:
    if not result.has_tumour and result.super_ml > 0:
        yield (
            f"{result.sequence}: {millilitres(result.super_ml)} were segmented on the super-resolved grid and none on "
            "the acquired one; not reported as a tumour."
        )


def _prediction_warnings(prediction: Prediction) -> Iterator[str]:
    if prediction.unanswered is not None:
        yield substitution(prediction)
    outside = prediction.main.out_of_range
    if outside:
        names = "; ".join(clipped(title(it), 80) for it in outside[:3])
        more = f" and {len(outside) - 3} more" if len(outside) > 3 else ""
        yield f"The prediction uses {len(outside)} feature(s) outside the range of the training cohort: {names}{more}."


def _series(plan: StudyPlan) -> Iterator[Remark]:
    for verdict in plan.verdicts:
        label = f"Series {verdict.series_number} ({verdict.description})"
        doubts = f": {'; '.join(verdict.doubts)}" if verdict.doubts else ""
        confidence = f" Recognised with {verdict.confidence} confidence{doubts}." if verdict.used else ""
        concept = USED if verdict.used else NOT_USED
        yield Remark(concept, clipped(f"{label}: {verdict.reason}.{confidence}", 1024))

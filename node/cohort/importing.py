"""Studies into cases, one after the other; each is written, was there already, or is left out with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeVar

import SimpleITK as sitk

from models.research.cohort.records import CaseFacts, Equipment
from models.research.cohort.writing import NewVolume, write_case, written_cases
from models.research.errors import CohortError
from models.sequence import ANALYSED, Sequence
from node.cohort.masks import MaskSources, mask_of, no_tumour
from node.cohort.register import Registered, registered
from node.cohort.segmentations import SegmentationFile, segmentation_files
from node.errors import Refusal
from node.planning import plan_from, plan_with_volumes
from node.recognition.folder import read_given, studies_in
from node.recognition.header.facts import Vendor
from node.recognition.plan import HeaderFinding, StudyFacts
from node.recognition.record import Stack, StudyPlan
from node.settings import RecognitionSettings

T = TypeVar("T")


class Track(Protocol):
    """Goes round a list and shows how far it is, such as a progress bar."""

    def __call__(self, description: str, items: SequenceOf[T], /) -> Iterable[T]:
        """The items, one after the other."""


def untracked(_: str, items: SequenceOf[T], /) -> Iterable[T]:
    """Shows nothing."""
    return items


class Outcome(StrEnum):
    """What became of a study."""

    WRITTEN = "written"
    PRESENT = "there already"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class Imported:
    """One study and what became of it; `reason` is recognition's or the mask's."""

    study_instance_uid: str
    case_id: str
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What is wanted of the studies.

    Attributes:
        sequences: a study that lacks one of them is left out.
        masks: where masks come from.
        table: CSV of the site with a row for each study that is to be taken; None takes all.
    """

    sequences: tuple[Sequence, ...] = ANALYSED
    masks: MaskSources = field(default_factory=MaskSources)
    table: Path | None = None


def import_studies(
    source: Path,
    folder: Path,
    options: ImportOptions,
    settings: RecognitionSettings,
    track: Track = untracked,
) -> Iterator[Imported]:
    """Make cases in the cohort `folder` of the studies in `source`; what is there already is not made again.

    Stacks are chosen and assembled as the node does for an analysis, but for the limits of today's models: a cohort
    may hold what they were not trained on. `track` goes round the files and then the studies.

    Raises:
        NodeError: there is no DICOM file in `source`, or the table cannot be understood.
        CohortError: the cohort's own table cannot be understood.
    """
    done = {facts.case_id for facts in written_cases(folder)}

    def read(files: list[Path], settings: RecognitionSettings) -> Iterable[HeaderFinding]:
        return read_given(track("headers", files), settings)

    studies = {facts.study_instance_uid: facts for facts in studies_in(source, settings, read)}
    known = registered(studies.values(), options.table)
    folder.mkdir(parents=True, exist_ok=True)
    for uid in track("studies", sorted({*studies, *known})):
        entry = known.get(uid)
        if entry is None:
            yield Imported(uid, "", Outcome.LEFT_OUT, "not in the table")
        elif entry.case_id in done:
            yield Imported(uid, entry.case_id, Outcome.PRESENT)
        elif uid not in studies:
            yield Imported(uid, entry.case_id, Outcome.LEFT_OUT, f"in the table, but no file of it lies in {source}")
        else:
            yield _import(studies[uid], entry, folder, options, settings)


def _import(
    facts: StudyFacts, entry: Registered, folder: Path, options: ImportOptions, settings: RecognitionSettings
) -> Imported:
    uid = facts.study_instance_uid
    plan, images = plan_with_volumes(plan_from(facts, settings, ()), lambda: facts, settings, ())
    missing = [role for role in options.sequences if role not in images]
    if missing:
        return Imported(uid, entry.case_id, Outcome.LEFT_OUT, _why(plan, missing))
    segmentations = segmentation_files(facts.frames)
    volumes, faults = {}, []
    for stack in plan.stacks:
        if stack.role in options.sequences:
            try:
                volumes[stack.role] = _volume(stack, images[stack.role], entry, segmentations, options.masks, uid)
            except Refusal as refusal:
                faults.append(f"{stack.role}: {refusal}")
    if faults:
        return Imported(uid, entry.case_id, Outcome.LEFT_OUT, "; ".join(faults))
    try:
        write_case(folder, _facts(facts, plan, entry), volumes)
    except CohortError as error:
        return Imported(uid, entry.case_id, Outcome.LEFT_OUT, "; ".join(error.faults))
    return Imported(uid, entry.case_id, Outcome.WRITTEN)


def _volume(
    stack: Stack,
    image: sitk.Image,
    entry: Registered,
    segmentations: SequenceOf[SegmentationFile],
    sources: MaskSources,
    study_instance_uid: str,
) -> NewVolume:
    mask = None
    if sources.wanted and entry.tumour:
        mask = mask_of(stack, image, (entry.case_id, study_instance_uid), segmentations, sources)
    elif sources.wanted:
        mask = no_tumour(image)
    acquisition = {name: value for name, value in asdict(stack.acquisition).items() if value is not None}
    return NewVolume(image, mask, acquisition)


def _why(plan: StudyPlan, missing: SequenceOf[Sequence]) -> str:
    """Recognition's reason for the whole study, else for each sequence that is missing."""
    whole = plan.study_refusal()
    if whole is not None:
        return f"{whole.code}: {whole.reason}"
    refusals = [plan.refusal(role) for role in missing]
    return "; ".join(f"{refusal.role}: {refusal.code}: {refusal.reason}" for refusal in refusals if refusal) or (
        f"no {', '.join(missing)}"
    )


def _facts(facts: StudyFacts, plan: StudyPlan, entry: Registered) -> CaseFacts:
    used = {stack.series_instance_uid for stack in plan.stacks}
    header = next(frame.header for frame in facts.frames if frame.header.series_instance_uid in used)
    manufacturer = header.manufacturer if header.vendor is Vendor.OTHER else header.vendor.value
    return CaseFacts(
        case_id=entry.case_id,
        patient_id=entry.patient_id,
        equipment=Equipment(manufacturer, header.model, header.field_strength_t or 0.0),
        split=entry.split,
        label=entry.label,
        tumour=entry.tumour,
        clinical=_without_empty(entry.clinical),
    )


def _without_empty(clinical: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in clinical.items() if value}

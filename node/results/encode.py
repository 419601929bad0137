"""All objects of one study revision, written once as Part 10 files in the order in which they are sent."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter
from pydicom import config
from pydicom.dataset import Dataset

from models import interruption
from models.prediction.records import Prediction
from node.errors import PermanentError
from node.recognition.record import StudyPlan
from node.results import additional, derived_mr, key_objects, pdf, report, segmentation, summary
from node.results.encoded import EncodedImage, EncodedObject, file_of, uids_of
from node.results.findings import SequenceResult, StudyResults
from node.results.identity import Identity, Site
from node.results.image_planes import require_same_place
from node.results.kinds import selection_role
from node.results.modules import SeriesFacts
from node.results.page import Page
from node.results.set_aside import is_in_rectum
from node.results.source import SourceFrame, read_frames, read_header, with_patient
from node.results.supersession import predecessor, superseding
from node.settings import ResultKind
from storage.records import ResultRecord

_PLAN = TypeAdapter(StudyPlan)
_PREDICTION = TypeAdapter(Prediction | None)


def encode(
    results: StudyResults,
    folder: Path,
    site: Site,
    reference: Path | None = None,
    earlier: Sequence[ResultRecord] = (),
    kinds: Collection[ResultKind] = (),
    selections: Collection[frozenset[ResultKind]] = (),
) -> tuple[EncodedObject, ...]:
    """Write derived series, segmentations, report and summary (picture and PDF) of a study into `folder`.

    The same arguments give the same bytes. Objects are written in sending order: what is referred to comes first.

    Args:
        results: what was found.
        folder: exists; files of the same name are replaced.
        site: what this installation brings to its results.
        reference: an instance of the patient; patient and study are taken from it where no stack could be used, the
            patient also where an image states no Patient ID.
        earlier: results of earlier revisions of the study, the earliest first: those made now say which they supersede.
        kinds: of objects asked for beyond the usual ones; they change nothing of these, and follow them.
        selections: kinds of which a Key Object Selection names all objects; one for each, after the others.

    Raises:
        PermanentError: an image does not lie where its source does, or there is no instance to take the patient from.
    """
    identity = Identity.of(results, site)
    results = replace(results, supersedes=_superseded_report(results, identity, earlier))
    identity = superseding(identity, earlier, results.supersedes)
    patient = None if reference is None else read_header(reference)
    sources = {
        result.sequence: with_patient(read_frames(result.stack, identity), patient) for result in results.sequences
    }
    # Values of sources were checked when they were read, and pydicom would complain of each UID with a leading zero.
    with config.disable_value_validation():
        objects = tuple(_objects(results, sources, identity, folder, patient, frozenset(kinds)))
        if not selections:
            return objects
        header, content = _any_header(results, sources, patient), _content_digest(results)
        return objects + tuple(_selections(selections, results, objects, header, identity, content, folder))


def _selections(
    selections: Collection[frozenset[ResultKind]],
    results: StudyResults,
    objects: Sequence[EncodedObject],
    header: Dataset,
    identity: Identity,
    content: str,
    folder: Path,
) -> Iterator[EncodedObject]:
    """A Key Object Selection for each of the kinds, none where nothing is of them."""
    for role, kinds in sorted((selection_role(kinds), kinds) for kinds in selections):
        if named := key_objects.named_by(kinds, objects):
            selection = key_objects.key_objects(results, role, named, header, identity, content)
            yield write_object(selection, role, folder / f"{role}.dcm", identity)


def _objects(
    results: StudyResults,
    sources: Mapping[str, tuple[SourceFrame, ...]],
    identity: Identity,
    folder: Path,
    patient: Dataset | None,
    kinds: Collection[ResultKind],
) -> Iterator[EncodedObject]:
    derived: dict[str, list[SourceFrame]] = {}
    for result in results.sequences:
        frames = sources[result.sequence]
        require_same_place(result.acquired, frames)
        derived[result.sequence] = []
        role = derived_mr.series_facts(result).role
        for image, frame in derived_mr.derived_images(result, frames, identity):
            derived[result.sequence].append(frame)
            yield write_object(image, role, folder / f"{role}-{len(derived[result.sequence]):04d}.dcm", identity)
    segmentations: dict[str, Dataset] = {}
    for result in results.sequences:
        in_rectum = is_in_rectum(results.plan.location(result.sequence))
        made = _segmentations(result, sources[result.sequence], derived[result.sequence], identity, in_rectum)
        for facts, dataset in made:
            segmentations[facts.role] = dataset
            yield write_object(dataset, facts.role, folder / f"{facts.role}.dcm", identity)
    header, content = _any_header(results, sources, patient), _content_digest(results)
    evidence = report.Evidence(
        frames=sources,
        segmentations={
            result.sequence: segmentations[role]
            for result in results.sequences
            if (role := segmentation.series_facts(result.sequence, super_resolved=False).role) in segmentations
        },
        header=header,
    )
    findings = report.report(results, evidence, identity, content)
    yield write_object(findings, "report", folder / "report.dcm", identity)
    used = [frame for frames in sources.values() for frame in frames]
    page = Page(results)
    picture = summary.summary(results, page, used, header, identity, content)
    yield write_object(picture, "summary", folder / "summary.dcm", identity)
    document = pdf.summary_pdf(results, page, used, findings, header, identity, content)
    yield write_object(document, "summary-pdf", folder / "summary-pdf.dcm", identity)
    for result in results.sequences:
        in_rectum = is_in_rectum(results.plan.location(result.sequence))
        source = additional.Source(result, sources[result.sequence], derived[result.sequence], identity, in_rectum)
        for role, name, content_of in additional.objects(source, kinds):
            yield write_object(content_of, role, folder / f"{name}.dcm", identity)


def _any_header(
    results: StudyResults, sources: Mapping[str, tuple[SourceFrame, ...]], patient: Dataset | None
) -> Dataset:
    header = next((frames[0].header for frames in sources.values()), patient)
    if header is None:
        raise PermanentError(f"study {results.study_instance_uid}: no instance to take patient and study from")
    return header


def _segmentations(
    result: SequenceResult,
    frames: tuple[SourceFrame, ...],
    derived: list[SourceFrame],
    identity: Identity,
    in_rectum: bool,
) -> Iterator[tuple[SeriesFacts, Dataset]]:
    """None for an empty mask: a segmentation without a segment's pixels would say that something was found."""
    if not result.has_tumour:
        return
    scanner = frames[0].header
    facts = segmentation.series_facts(result.sequence, super_resolved=False)
    yield facts, segmentation.segmentation(result.mask, frames, facts, identity, scanner, in_rectum)
    if result.mask_super is not None:
        facts = segmentation.series_facts(result.sequence, super_resolved=True)
        yield facts, segmentation.segmentation(result.mask_super, derived, facts, identity, scanner, in_rectum)


def _superseded_report(
    results: StudyResults, identity: Identity, earlier: Sequence[ResultRecord]
) -> ResultRecord | None:
    role = report.series_facts(results).role

    def series_uid(previous: ResultRecord | None) -> str:
        return identity.uid(f"{role}/series", content=_content_digest(replace(results, supersedes=previous)))

    return predecessor(earlier, role, series_uid)


def _content_digest(results: StudyResults) -> str:
    """Digest of what report and page say beyond the images used.

    That is verdicts, refusals, warnings and prediction, and which report they supersede.
    """
    text = _PLAN.dump_json(replace(results.plan, stacks=())) + _PREDICTION.dump_json(results.prediction)
    if results.supersedes is not None:
        text += f"{results.supersedes.sop_instance_uid} {results.supersedes.revision}".encode()
    return hashlib.sha256(text).hexdigest()


def write_object(content: Dataset | EncodedImage, role: str, path: Path, identity: Identity) -> EncodedObject:
    """Part 10 file under its final name only when it is whole."""
    interruption.check()
    partial = path.with_name(f"partial-{path.name}")
    with partial.open("wb") as file:
        file.writelines(file_of(content, identity))
    os.replace(partial, path)
    return EncodedObject(role, path, *map(str, uids_of(content)))

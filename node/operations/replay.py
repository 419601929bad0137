"""The differences between the plans on record and those that the rules of a configuration would make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from models.sequence import Sequence
from node.codes import Code
from node.errors import NodeError
from node.operations.headers import in_processes
from node.operations.watching import Watch, unwatched
from node.planning import plan_from, trained_protocols
from node.recognition.plan import StudyFacts, read_study
from node.recognition.protocol import TrainedProtocol
from node.recognition.record import Revealed, SeriesVerdict, StudyPlan, from_json
from node.settings import RecognitionSettings, Settings
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index
from storage.records import StudyRecord


@dataclass(frozen=True, slots=True)
class Replayed:
    """A study with the differences between its record and today's plan, one line each; none where nothing changes."""

    study_instance_uid: str
    revision: int
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Replay:
    """Every study that was planned again."""

    studies: tuple[Replayed, ...]


def replay(settings: Settings, studies: tuple[str, ...] = (), watch: Watch[StudyRecord] = unwatched) -> Replay:
    """Plan stored studies again with `settings` and compare; nothing is changed in the storage.

    What the images told when the study was analysed (an injection that was measured, stacks that could not be used)
    is taken from its record, so that only headers are read.

    Raises:
        NodeError: the node does not know one of `studies`.
    """
    settings.root.mkdir(parents=True, exist_ok=True)
    index, store = Index(open_engine(settings.storage_url)), ObjectStore(settings.root)
    trained = trained_protocols(settings.analysis.bundles)
    wanted = tuple(_wanted(index, studies))
    found = (_replayed(study, index, store, settings, trained) for study in watch(wanted, len(wanted)))
    return Replay(tuple(replayed for replayed in found if replayed is not None))


def _replayed(
    study: StudyRecord,
    index: Index,
    store: ObjectStore,
    settings: Settings,
    trained: tuple[TrainedProtocol, ...],
) -> Replayed | None:
    """One study; None where it has no record yet."""
    uid = study.study_instance_uid
    document = index.verdict(uid)
    if document is None:
        return None
    before = from_json(document)
    facts = _facts(uid, index, store, settings.recognition)
    after = plan_from(facts, settings.recognition, trained, _revealed(before))
    return Replayed(uid, study.revision, tuple(differences(before, after)))


def replanned(
    uid: str,
    index: Index,
    store: ObjectStore,
    rules: Iterable[RecognitionSettings],
    trained: tuple[TrainedProtocol, ...],
) -> tuple[StudyPlan, ...] | None:
    """The plans of a study by several settings, as its images told when it was analysed; None without a record."""
    document = index.verdict(uid)
    if document is None:
        return None
    revealed = _revealed(from_json(document))
    facts: dict[object, StudyFacts] = {}
    plans = []
    for each in rules:
        if each.words_of_site not in facts:  # of the settings nothing else plays a part in reading
            facts[each.words_of_site] = _facts(uid, index, store, each)
        without_images = each.model_copy(update={"measure_injection": False}) if revealed.injection is None else each
        plans.append(plan_from(facts[each.words_of_site], without_images, trained, revealed))
    return tuple(plans)


def _facts(uid: str, index: Index, store: ObjectStore, recognition: RecognitionSettings) -> StudyFacts:
    files = [store.absolute(record.file) for record in index.instances(uid)]
    return read_study(uid, files, recognition, index.meant_patient(uid), index.rejected(uid), in_processes())


def differences(before: StudyPlan, after: StudyPlan) -> Iterator[str]:
    """The changes from one plan of a study to another, a line each."""
    for role in Sequence:
        one, two = _role(before, role), _role(after, role)
        if one != two:
            yield f"{role}: {one} -> {two}"
    old = {verdict.series_instance_uid: verdict for verdict in before.verdicts}
    for verdict in after.verdicts:
        known = old.pop(verdict.series_instance_uid, None)
        if known is None:
            yield f"series {verdict.series_number} ({verdict.description}): new, {verdict.reason}"
        elif _named(known) != _named(verdict):
            yield f"series {verdict.series_number} ({verdict.description}): {known.reason} -> {verdict.reason}"
    yield from (f"series {gone.series_number} ({gone.description}): no longer there" for gone in old.values())


def _wanted(index: Index, studies: tuple[str, ...]) -> Iterator[StudyRecord]:
    if not studies:
        yield from index.studies()
    for uid in studies:
        study = index.study(uid)
        if study is None:
            raise NodeError(f"{uid}: no study of this node")
        yield study


def _revealed(plan: StudyPlan) -> Revealed:
    """Facts that the images told. Ranges of models are compared anew: another bundle may have been configured since."""
    kept = tuple((key, fault) for key, fault in plan.revealed.unusable if fault.code != Code.PROTOCOL)
    return Revealed(kept, plan.revealed.injection)


def _role(plan: StudyPlan, role: Sequence) -> str:
    stack = plan.stack(role)
    if stack is None:
        refusal = plan.refusal(role) or plan.study_refusal()
        return refusal.code if refusal else "not there"
    number = next(
        (it.series_number for it in plan.verdicts if it.series_instance_uid == stack.series_instance_uid), "?"
    )
    weighting = "" if stack.b_value is None else f" b = {stack.b_value:g}"
    time = "" if stack.phase_time_s is None else f" at {stack.phase_time_s:.1f} s"
    return f"series {number}{weighting}{time}"


def _named(verdict: SeriesVerdict) -> tuple[object, ...]:
    return verdict.role, verdict.used, verdict.rule, verdict.reason

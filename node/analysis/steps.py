"""The steps of an analysis as functions from files to files; the workflow calls one after the other.

Each step reads what earlier steps left in the study's work folder, writes its own files under temporary names, has them
survive a power cut and renames them, so that running a step again after a crash gives the same files.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import SimpleITK as sitk
from pydantic import TypeAdapter

import models.volume
from models import analysis, interruption
from models.findings import Found, find_tumours
from models.memory import give_back
from models.prediction.predictor import predict
from models.prediction.records import Prediction
from models.radiomics.provenance import Provenance
from models.radiomics.t2_contrast import SpinEcho, spin_echo
from models.sequence import ANALYSED, Sequence
from models.super_resolution.inference import super_resolve
from models.volume_files import keep, kept
from node.analysis import identity
from node.analysis.bundles import Models
from node.analysis.study import Study
from node.planning import plan_from, plan_with_volumes
from node.recognition.header import clashes
from node.recognition.plan import StudyFacts, read_study
from node.recognition.record import Stack, StudyPlan, from_json, to_json
from node.results.encode import encode
from node.results.encoded import EncodedObject
from node.results.findings import SequenceResult, StudyResults
from node.results.identity import Site
from node.results.trial import require_encodable
from node.settings import RecognitionSettings, ResultKind
from storage.durability import sync, write
from storage.records import ResultRecord

#: File of the plan in the work folder.
PLAN = "plan.json"
_PREDICTION = TypeAdapter(Prediction | None)
_PROVENANCE = TypeAdapter(dict[str, Provenance])
_log = logging.getLogger(__name__)


def recognise_study(study: Study, settings: RecognitionSettings, bundles: Models) -> StudyPlan:
    """Find out what every series is and write the plan."""
    plan = plan_from(_facts(study, settings), settings, bundles.trained_protocols())
    _write_plan(study, plan)
    return plan


def assemble_volumes(study: Study, settings: RecognitionSettings, bundles: Models) -> StudyPlan:
    """Decode the pixels of the chosen stacks; where they cannot be used the study is planned again without them."""
    trained = bundles.trained_protocols()
    plan, volumes = plan_with_volumes(
        read_plan(study), lambda: _facts(study, settings), settings, trained, require_encodable
    )
    for role in ANALYSED:
        if role in volumes:
            keep(volumes[role], study.image(role, "acquired"))
    _write_plan(study, plan)
    return plan


def super_resolve_volumes(study: Study, bundles: Models) -> None:
    """Refine every acquired volume."""
    for stack in _analysed(read_plan(study)):
        interruption.check()
        _super_resolve(study, stack, bundles)
        give_back()


def _super_resolve(study: Study, stack: Stack, bundles: Models) -> None:
    image = kept(study.image(stack.role, "acquired"))
    refined = super_resolve(image, bundles.super_resolver, thickness_mm=stack.acquisition.slice_thickness_mm)
    keep(refined, study.image(stack.role, "super"))


def segment_volumes(study: Study, bundles: Models, kinds: Collection[ResultKind] = ()) -> dict[str, float]:
    """Find the tumour in every sequence; returns its volume in ml by role, 0 where none is reported.

    The sequences of one patient space are read together; one of another cannot be laid over them. What is set aside,
    and whether the place of the rest was established, goes into the plan. `kinds` are those asked for beyond the usual.
    """
    plan = read_plan(study)
    stacks: defaultdict[str, list[Sequence]] = defaultdict(list)
    for stack in _analysed(plan):
        stacks[stack.space].append(stack.role)
    volumes: dict[str, float] = {}
    readings: list[Found] = []
    probabilities = ResultKind.FRACTIONAL in kinds
    for sequences in stacks.values():
        acquired, refined = (_Volumes(study, sequences, kind) for kind in ("acquired", "super"))
        readings.append(found := find_tumours(acquired, refined, bundles.segmenter, probabilities))
        for sequence, tumour in found.tumours.items():
            keep(tumour.mask, study.image(sequence, "mask"))
            keep(tumour.mask_super, study.image(sequence, "mask_super"))
            if tumour.probability is not None:
                keep(tumour.probability, study.image(sequence, "probability"))
            volumes[sequence.value] = tumour.volume_ml
    set_aside = tuple(finding for found in readings for finding in found.set_aside)
    for finding in set_aside:
        _log.warning("study %s: %s", study.study_instance_uid, finding)
    locations = tuple(found.location for found in readings if found.location is not None)
    _write_plan(study, replace(plan, set_aside=set_aside, locations=locations))
    return volumes


def extract_features(study: Study, bundles: Models) -> int:
    """Radiomics of every sequence at both resolutions, with where they come from; returns how many were computed.

    The mask is the super-resolved one, brought to the acquired grid, so that both differ by their images alone.
    """
    stacks = _analysed(read_plan(study))
    resolutions = {analysis.NORMAL: "acquired", analysis.SUPER: "super"}
    measured = analysis.measure(
        {
            stack.role: {resolution: kept(study.image(stack.role, kind)) for resolution, kind in resolutions.items()}
            for stack in stacks
        },
        {stack.role: kept(study.image(stack.role, "mask_super")) for stack in stacks},
        bundles.predictor.radiomics,
        _t2wi_protocol(stacks),
        bundles.threads,
        lambda share: _log.debug("study %s: radiomics %.0f %%", study.study_instance_uid, 100 * share),
    )
    write(study.folder / "features.json", json.dumps(measured.features, indent=1).encode())
    write(study.folder / "provenance.json", _PROVENANCE.dump_json(measured.provenance, indent=1))
    return len(measured.features)


class _Volumes(Mapping[Sequence, sitk.Image]):
    """Volumes of a study, read whenever one is asked for: all of them together are not held."""

    def __init__(self, study: Study, sequences: SequenceOf[Sequence], kind: str) -> None:
        self._files = {sequence: study.image(sequence, kind) for sequence in sequences}

    def __getitem__(self, sequence: Sequence) -> sitk.Image:
        return kept(self._files[sequence])

    def __iter__(self) -> Iterator[Sequence]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _t2wi_protocol(stacks: SequenceOf[Stack]) -> SpinEcho | None:
    """Repetition and echo time of the T2WI and field strength, as its header says."""
    for said in (stack.acquisition for stack in stacks if stack.role is Sequence.T2WI):
        return spin_echo(said.tr_ms, said.te_ms, said.field_strength_t)
    return None


def predict_outcome(study: Study, bundles: Models) -> float | None:
    """Predict from the features; None where no model has its inputs. Returns the main probability."""
    prediction = predict(_features(study), bundles.predictor)
    write(study.folder / "prediction.json", _PREDICTION.dump_json(prediction, indent=1))
    return prediction.main.probability if prediction else None


def encode_results(
    study: Study,
    bundles: Models,
    created_at: datetime,
    settings_digest: str,
    site: Site,
    earlier: SequenceOf[ResultRecord] = (),
    kinds: Collection[ResultKind] = (),
    selections: Collection[frozenset[ResultKind]] = (),
) -> tuple[EncodedObject, ...]:
    """Write the DICOM objects that leave; the same arguments give the same bytes.

    `earlier` are the results of earlier revisions: what is made now says which of them it supersedes.
    `kinds` are those asked for beyond the usual; of `selections` each gets a Key Object Selection.
    """
    plan = read_plan(study)
    results = StudyResults(
        study_instance_uid=study.study_instance_uid,
        revision=study.revision,
        input_digest=identity.input_digest(study, plan),
        settings_digest=settings_digest,
        created_at=created_at,
        sequences=tuple(_sequence_result(study, stack) for stack in _analysed(plan)),
        prediction=_prediction(study),
        algorithms=bundles.identities(),
        plan=plan,
    )
    study.results.mkdir(exist_ok=True)
    return encode(results, study.results, site, reference(study, plan), earlier, kinds, selections)


def reference(study: Study, plan: StudyPlan) -> Path:
    """File of the instance that results take the patient from where their own images state no ID."""
    known = study.instances.get(plan.reference) if plan.reference else None
    return known[0] if known else next(path for path, _ in study.instances.values())


def _facts(study: Study, settings: RecognitionSettings) -> StudyFacts:
    paths = [path for path, _ in study.instances.values()]
    facts = read_study(study.study_instance_uid, paths, settings, study.meant, study.rejected)
    clashing = clashes.across(facts.frames, study.elsewhere)
    return replace(facts, warnings=(*filter(None, [study.caution]), *facts.warnings, *clashing))


def read_plan(study: Study) -> StudyPlan:
    """The plan that an earlier step wrote."""
    return from_json((study.folder / PLAN).read_text("utf-8"))


def _sequence_result(study: Study, stack: Stack) -> SequenceResult:
    interruption.check()
    masks = {kind: kept(study.image(stack.role, kind)) for kind in ("mask", "mask_super")}
    probability = study.image(stack.role, "probability")
    prefix = f"{stack.role}|{analysis.SUPER}|"
    return SequenceResult(
        sequence=stack.role,
        stack=stack,
        acquired=kept(study.image(stack.role, "acquired")),
        super_resolved=kept(study.image(stack.role, "super")),
        mask=masks["mask"],
        mask_super=masks["mask_super"] if stack.role is Sequence.T2WI else None,
        super_ml=models.volume.volume_ml(masks["mask_super"]),
        features={
            name.removeprefix(prefix): value for name, value in _features(study).items() if name.startswith(prefix)
        },
        probability=kept(probability) if probability.exists() else None,
    )


def _analysed(plan: StudyPlan) -> SequenceOf[Stack]:
    return [stack for role in ANALYSED for stack in plan.stacks if stack.role is role]


def _prediction(study: Study) -> Prediction | None:
    """The prediction; None too for a study that was refused before it came so far."""
    path = study.folder / "prediction.json"
    return _PREDICTION.validate_json(path.read_text("utf-8")) if path.exists() else None


def _features(study: Study) -> dict[str, float]:
    return TypeAdapter(dict[str, float]).validate_json((study.folder / "features.json").read_text())


def _write_plan(study: Study, plan: StudyPlan) -> None:
    study.folder.mkdir(parents=True, exist_ok=True)
    for folder in study.folder.parents[:3]:  # with the entries of the revision, of the study and of `work`
        sync(folder)
    write(study.folder / PLAN, to_json(plan, indent=1).encode())

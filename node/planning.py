"""The plan of a study with all that the node can know: headers, models' training ranges, and pixels.

Recognition plans from headers. What else is found out goes back to it as `Revealed`, and the study is planned again
from the same facts, so that another series can take the place of one that cannot be used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import replace
from pathlib import Path

import SimpleITK as sitk

from models.enhancement.injection_time import InjectionTime
from models.enhancement.phases import Phase
from models.errors import EnhancementError
from models.manifest import load_manifest
from models.sequence import Sequence
from node.codes import Code
from node.errors import Refusal
from node.recognition import protocol
from node.recognition.header.facts import Fault
from node.recognition.plan import StudyFacts, plan_study
from node.recognition.protocol import TrainedProtocol
from node.recognition.record import DynamicRun, Revealed, Stack, StudyPlan
from node.settings import RecognitionSettings
from node.volumes import Assembled, assemble, assembled

log = logging.getLogger(__name__)

#: Study Instance UID, stack, its volume.
Trial = Callable[[str, Stack, sitk.Image], None]


def _no_trial(study_instance_uid: str, stack: Stack, image: sitk.Image) -> None:
    """Takes every stack."""


def trained_protocols(folders: SequenceOf[Path]) -> tuple[TrainedProtocol, ...]:
    """The ranges of acquisition parameters in the training of bundles, from their manifests.

    Raises:
        BundleError: a manifest is missing or not understood.
    """
    return tuple(load_manifest(folder).protocol for folder in folders)


def plan_from(
    facts: StudyFacts,
    settings: RecognitionSettings,
    trained: SequenceOf[TrainedProtocol],
    revealed: Revealed | None = None,
) -> StudyPlan:
    """The plan from headers and training ranges; only an unknown time of injection is looked for in the images."""
    plan = plan_study(facts, settings, revealed)
    if _injection_is_wanted(plan, settings):
        assert plan.dynamic is not None
        injection = _injection(plan.dynamic)
        plan = plan_study(facts, settings, replace(plan.revealed, injection=injection))
    for stack in plan.stacks:
        fault = protocol.far_outside(stack, trained, settings.protocol_factor)
        if fault is not None:
            return plan_from(facts, settings, trained, _without(plan.revealed, stack, fault))
    return replace(plan, warnings=(*plan.warnings, *_measured(plan), *protocol.warnings(plan, trained)))


def plan_with_volumes(
    plan: StudyPlan,
    facts: Callable[[], StudyFacts],
    settings: RecognitionSettings,
    trained: SequenceOf[TrainedProtocol],
    trial: Trial = _no_trial,
) -> tuple[StudyPlan, dict[Sequence, sitk.Image]]:
    """The plan whose stacks can all be used and are what they must be, and their volumes (as `assemble` gives them).

    `facts` is asked only when a stack cannot be used and the study has to be planned again. `trial` raises a Refusal
    where a stack that can be decoded is of no use to what comes after.
    """
    volumes: dict[Sequence, Assembled] = {}
    for stack in plan.stacks:
        try:
            volumes[stack.role] = assembled(stack)
            trial(plan.study_instance_uid, stack, volumes[stack.role].image)
        except Refusal as refusal:
            log.warning("study %s: %s not usable: %s", plan.study_instance_uid, stack.role, refusal)
            revealed = _without(plan.revealed, stack, Fault(refusal.code, refusal.reason))
            return plan_with_volumes(plan_from(facts(), settings, trained, revealed), facts, settings, trained, trial)
    bright_fat = _bright_fat(plan, volumes)
    if bright_fat is not None:
        log.warning("study %s: PVP not usable: %s", plan.study_instance_uid, bright_fat.reason)
        revealed = _without_run(plan, bright_fat)
        return plan_with_volumes(plan_from(facts(), settings, trained, revealed), facts, settings, trained, trial)
    remarks = (f"{role}: {remark}" for role, volume in volumes.items() for remark in volume.remarks)
    # A step that is repeated finds its own remarks in the plan.
    warned = replace(plan, warnings=tuple(dict.fromkeys((*plan.warnings, *remarks))))
    return warned, {role: volume.image for role, volume in volumes.items()}


def _bright_fat(plan: StudyPlan, volumes: Mapping[Sequence, Assembled]) -> Fault | None:
    """E-FAT-BRIGHT where fat is not suppressed in the portal-venous phase; T2WI of its space tells where fat is."""
    pvp, t2wi = plan.stack(Sequence.PVP), plan.stack(Sequence.T2WI)
    if pvp is None:
        return None
    # It and what measures the injection need scipy, which takes half a second at the start of a process.
    from models.plausibility.fat_suppression import BRIGHT_FAT, fat_to_muscle

    beside = volumes[Sequence.T2WI].image if t2wi is not None and t2wi.space == pvp.space else None
    ratio = fat_to_muscle(volumes[Sequence.PVP].image, beside)
    if ratio is None or ratio < BRIGHT_FAT:
        return None
    return Fault(
        Code.FAT_BRIGHT, f"fat is {ratio:.1f} times as bright as muscle: it is not suppressed, and taken for a tumour"
    )


def _without_run(plan: StudyPlan, fault: Fault) -> Revealed:
    """Without any phase of the dynamic run: all have the protocol of the one that was looked at."""
    stack = plan.stack(Sequence.PVP)
    assert stack is not None
    keys = {stack.key, *(phase.key for phase in (plan.dynamic.phases if plan.dynamic else ()) if phase.key)}
    return replace(plan.revealed, unusable=(*plan.revealed.unusable, *((key, fault) for key in sorted(keys))))


def _injection_is_wanted(plan: StudyPlan, settings: RecognitionSettings) -> bool:
    refusal = plan.refusal(Sequence.PVP)
    return (
        settings.measure_injection
        and refusal is not None
        and refusal.code == Code.DCE_T0
        and plan.dynamic is not None
        and plan.revealed.injection is None
    )


def _injection(run: DynamicRun) -> InjectionTime | Fault:
    """Measured in seconds from the first phase, so that the evidence can be read, and brought to the run's clock."""
    stacks = [(phase.stack, phase.time_s) for phase in run.phases if phase.stack]
    if len({stack.space for stack, _ in stacks}) > 1:
        return Fault(Code.DCE_T0, "the phases share no frame of reference, so none can be laid over another")
    try:
        from models.enhancement.injection import measure_injection

        found = measure_injection([_phase(stack, time_s) for stack, time_s in stacks])
    except Refusal as refusal:
        return Fault(refusal.code, refusal.reason)
    except EnhancementError as error:
        return Fault(Code.DCE_T0, str(error))
    return replace(found, time_s=run.phases[0].clock_s + found.time_s)


def _phase(stack: Stack, time_s: float) -> Phase:
    acquisition = stack.acquisition
    return Phase(assemble(stack), time_s, acquisition.tr_ms, acquisition.flip_deg, acquisition.field_strength_t)


def _measured(plan: StudyPlan) -> tuple[str, ...]:
    injection = plan.revealed.injection
    if not isinstance(injection, InjectionTime) or plan.stack(Sequence.PVP) is None:
        return ()
    return (
        f"PVP: no header and no site rule gives the time of injection; it was measured in the images, "
        f"±{injection.uncertainty_s:.0f} s ({injection.evidence})",
    )


def _without(revealed: Revealed, stack: Stack, fault: Fault) -> Revealed:
    return replace(revealed, unusable=(*revealed.unusable, (stack.key, fault)))

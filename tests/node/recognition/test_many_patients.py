"""Six scanners, their patients' headers varied as sites vary them: every role is found, and rightly.

In memory, with four slices of 16 x 16 pixels a volume. `make damage` has fifty patients each.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import Dataset
from pydicom.uid import generate_uid

from models.research.phantom.scanners import Scanner, load_scanners
from models.research.phantom.study import SimulatedSeries, SimulatedStudy
from node.recognition.header.frames import frames_of
from node.recognition.header.words import words
from node.recognition.plan import gather, plan_study
from node.recognition.record import StudyPlan
from node.settings import RecognitionSettings
from node.simulator.elements import copied
from node.simulator.enhanced import FrameTiming, enhanced
from node.simulator.measurement import duration_s, phase_start_s
from node.simulator.session import Session, open_session
from node.simulator.sheets import mosaic, vframe
from node.simulator.study import instances_of

from ..conftest import make_series

SEEDS = range(50 if os.environ.get("RECTAL_NODE_LONG") else 12)
SLICES, MATRIX = 4, 16
SETTINGS = RecognitionSettings(minimum_slices=SLICES)
OPTIONAL = ("ContentTime", "SliceLocation", "ProtocolName", "PatientSex", "PercentSampling", "NumberOfAverages")
CHINESE = {
    "LOCALIZER": "定位像",
    "T2WI_SAG": "T2矢状位 直肠",
    "T2WI": "T2横断位 直肠",
    "DWI": "弥散加权 横轴",
    "ADC": "表观扩散系数图",
    "DCE": "T1增强 动态",
    "SUBTRACTION": "增强 减影",
}
SHEETS: dict[str, Callable[..., Dataset]] = {"Siemens": mosaic, "UIH": vframe}
MULTI_FRAME = dict.fromkeys(("Siemens", "Philips", "GE"), ("T2WI", "DWI", "DCE"))

Slice = tuple[SimulatedSeries, Dataset]


@dataclass(frozen=True)
class Variation:
    """The differences in one patient's headers."""

    missing: tuple[str, ...]
    chinese: str
    numbers: int
    split_diffusion: bool
    sheets: bool
    multi_frame: tuple[str, ...]
    phase_times_s: tuple[float, ...]
    tilt_deg: float


def draw(seed: int, manufacturer: str) -> Variation:
    """The variation of a seed; each kind comes up in a good share of the patients."""
    dice = random.Random(f"{manufacturer} {seed}")
    phases = [-dice.uniform(20, 60), dice.uniform(20, 28), dice.uniform(38, 44), dice.uniform(64, 76)]
    return Variation(
        missing=tuple(dice.sample(OPTIONAL, dice.randrange(len(OPTIONAL)))),
        chinese=dice.choice(("", "", "GB18030", "ISO_IR 192")),
        numbers=dice.randrange(1000),
        split_diffusion=dice.random() < 0.3,
        sheets=manufacturer in SHEETS and dice.random() < 0.4,
        multi_frame=tuple(dice.sample(("T2WI", "DWI", "DCE"), dice.randrange(3)))
        if manufacturer in MULTI_FRAME
        else (),
        phase_times_s=(*phases, *(dice.uniform(110, 130) + 60 * k for k in range(dice.randrange(3)))),
        tilt_deg=dice.uniform(0, 35),
    )


def make_image(spacing_mm: float, step_mm: float, direction: np.ndarray) -> sitk.Image:
    image = sitk.Image((MATRIX, MATRIX, SLICES), sitk.sitkFloat32)
    image.SetSpacing((spacing_mm, spacing_mm, step_mm))
    image.SetDirection(direction.ravel().tolist())
    return image + 100


def make_study(seed: int, scanner: Scanner, variation: Variation) -> SimulatedStudy:
    """Localizer, sagittal and axial T2, b 0 and 800 with ADC, dynamic run with subtraction."""
    angle = np.deg2rad(variation.tilt_deg)
    axial = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    sagittal, coronal = (np.array(a) for a in ([[0, 0, -1], [1, 0, 0], [0, -1, 0]], [[1, 0, 0], [0, 0, 1], [0, -1, 0]]))
    t2wi, dwi, dce = scanner.t2wi, scanner.dwi, scanner.dce

    def series(kind, protocol, direction=axial, gap_mm=1.0, **what):
        image = make_image(protocol.pixel_spacing_mm, protocol.slice_thickness_mm + gap_mm, direction)
        return make_series(kind, image, protocol, **what)

    return SimulatedStudy(
        seed=seed,
        scanner=scanner,
        truth=None,
        series=(
            *(series("LOCALIZER", t2wi, plane, 20.0) for plane in (axial, sagittal, coronal)),
            series("T2WI_SAG", t2wi, sagittal),
            series("T2WI", t2wi),
            *(series("DWI", dwi, b_value=b_value) for b_value in (0.0, 800.0)),
            series("ADC", dwi),
            *(series("DCE", dce, gap_mm=0.0, phase_time_s=time_s) for time_s in variation.phase_times_s),
            series("SUBTRACTION", dce, gap_mm=0.0, phase_time_s=70.0),
        ),
    )


def vary(source: SimulatedSeries, instance: Dataset, variation: Variation) -> None:
    """Change one header in place."""
    for keyword in variation.missing:
        instance.pop(keyword, None)
    if variation.chinese:
        instance.SpecificCharacterSet = variation.chinese
        instance.SeriesDescription = CHINESE[source.kind]
    # Another order of the series, as a site or an archive numbers them; a phase keeps its time, not its place.
    instance.SeriesNumber = str((crc32(instance.SeriesInstanceUID.encode()) + variation.numbers) % 997)
    if variation.split_diffusion and source.kind == "DWI" and source.b_value:
        instance.SeriesInstanceUID = generate_uid(entropy_srcs=[str(instance.StudyInstanceUID), "high b"])


def frame_timing(source: SimulatedSeries, session: Session) -> FrameTiming:
    """A dynamic phase lies around the injection; the other volumes need no time."""
    start_s = 0.0 if source.phase_time_s is None else phase_start_s(source)
    return FrameTiming(session.date + session.time(start_s), duration_s(source, 1))


def joined(slices: list[Slice], variation: Variation, manufacturer: str, session: Session) -> Iterator[Slice]:
    """One instance for many slices, where the variation says so."""
    groups: dict[tuple[object, ...], list[Slice]] = {}
    for source, instance in slices:
        as_frames = source.kind in variation.multi_frame
        as_sheet = variation.sheets and source.kind == "DWI" and not as_frames
        volume = (source.b_value, source.phase_time_s) if as_sheet else ()
        key = (instance.SeriesInstanceUID, *volume) if as_frames or as_sheet else (instance.SOPInstanceUID,)
        groups.setdefault(key, []).append((source, instance))
    for group in groups.values():
        source = group[0][0]
        if len(group) == 1:
            yield group[0]
        elif source.kind in variation.multi_frame:
            yield (
                source,
                enhanced(
                    [each for _, each in group],
                    [each.b_value for each, _ in group],
                    [frame_timing(each, session) for each, _ in group],
                ),
            )
        else:
            yield source, SHEETS[manufacturer]([each for _, each in group])


def recognised(study: SimulatedStudy, variation: Variation) -> tuple[StudyPlan, dict[str, str]]:
    """The plan, and the truth: what each instance is an image of, by SOP Instance UID."""
    dice = random.Random(study.seed)
    manufacturer = study.scanner.manufacturer
    session = open_session(study.seed, manufacturer, study.scanner.model)
    kept: list[Slice] = []
    found = []
    together = {"DWI"} if variation.sheets else set()
    together |= set(variation.multi_frame)
    for source, instance in instances_of(study):
        vary(source, instance, variation)
        if source.kind in together:
            kept.append((source, copied(instance)))
        else:
            found.append((source, *facts(instance)))
    found += [(source, *facts(instance)) for source, instance in joined(kept, variation, manufacturer, session)]
    dice.shuffle(found)
    uid = str(instance.StudyInstanceUID)
    plan = plan_study(gather(uid, ((path, frames) for _, path, frames in found)), SETTINGS)
    return plan, {frames[0].header.sop_instance_uid: source.kind for source, _, frames in found}


def facts(instance: Dataset):
    path = Path(f"{instance.SOPInstanceUID}.dcm")
    return path, frames_of(instance, path, words())


def wrong(plan: StudyPlan, kinds: dict[str, str], variation: Variation) -> list[str]:
    """The faults of a plan."""
    if plan.refusals:
        return [f"{refusal.role} {refusal.code}: {refusal.reason}" for refusal in plan.refusals]
    chosen = {
        stack.role.value: ({kinds[frame.sop_instance_uid] for frame in stack.frames}, stack) for stack in plan.stacks
    }
    wanted_s = min(variation.phase_times_s, key=lambda time_s: abs(time_s - 70))
    rights = {
        "roles": {role: kinds for role, (kinds, _) in chosen.items()}
        == {"T2WI": {"T2WI"}, "DWI": {"DWI"}, "ADC": {"ADC"}, "PVP": {"DCE"}},
        "b-value": chosen["DWI"][1].b_value == 800,
        "phase": chosen["PVP"][1].phase_time_s == pytest.approx(wanted_s, abs=1.5),
        "slices": all(len(set(stack.frames)) == SLICES for stack in plan.stacks),
        "size": all((stack.rows, stack.columns) == (MATRIX, MATRIX) for stack in plan.stacks),
    }
    return [name for name, right in rights.items() if not right]


@pytest.mark.parametrize("scanner", load_scanners(), ids=lambda scanner: scanner.model)
def test_every_role_is_found_however_the_headers_of_patients_vary(scanner):
    faults = {}
    for seed in SEEDS:
        variation = draw(seed, scanner.manufacturer)
        plan, kinds = recognised(make_study(seed, scanner, variation), variation)
        if found := wrong(plan, kinds, variation):
            faults[seed] = found, variation
    assert faults == {}

"""Siemens MAGNETOM Skyra, syngo MR E11: b-values in a private block, one series a DCE phase.

Habits read in real files (TrioTim VB17, Prisma): ``SIEMENS MR HEADER`` in 0019 and 0051, trace images
DERIVED\\PRIMARY\\DIFFUSION\\TRACEW with b 0 in the same series, SpacingBetweenSlices on 2D series only, 12 bits,
Acquisition Time rising from slice to slice. The contrast start time stands where the technologist fills in the
contrast card, which is assumed here; one card holds for all phases of the protocol, so the mask before the
injection carries it too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pydicom import Dataset

from models.research.phantom.study import SimulatedSeries, SimulatedStudy
from node.simulator.elements import add_private, decimal, field_of_view, plane_text, slice_step, standard
from node.simulator.measurement import (
    Recipe,
    b_text,
    bolus,
    duration_s,
    of_kind,
    phase_start_s,
    protocol,
    window,
)
from node.simulator.series import ScannerSeries, ScannerVolume, SlicePlace, StorageFormat
from node.simulator.session import AXIAL_S, DIFFUSION_S, LOCALIZER_S, SAGITTAL_S, Session
from node.simulator.vendors.csa import csa_header

FORMAT = StorageFormat(bits_stored=12, signed=False, extremes=True, time_digits=6)
CHARACTER_SET = "ISO_IR 100"
CREATOR = "SIEMENS MR HEADER"

MAGNITUDE = ("ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D")
TSE = Recipe("t2_tse_tra", MAGNITUDE, ("SE",), ("SK", "SP", "OSP"), ("PFP",), "*tse2d1_15", 15)
HASTE = replace(TSE, description="localizer", sequence="*h2d1_205", echo_train=205)
TRACE = Recipe(
    description="ep2d_diff_tra_TRACEW",
    image_type=("DERIVED", "PRIMARY", "DIFFUSION", "TRACEW", "NORM", "DIS2D"),
    scanning=("EP",),
    variant=("SK", "SP"),
    options=("PFP", "FS"),
    sequence="*ep_b",
    echo_train=52,
)
ADC = replace(
    TRACE,
    description="ep2d_diff_tra_ADC",
    image_type=("DERIVED", "PRIMARY", "DIFFUSION", "ADC", "NORM", "DIS2D"),
)
VIBE = Recipe("t1_vibe_fs_tra_dyn", MAGNITUDE, ("GR",), ("SP", "OSP"), ("PFP", "SFS"), "*fl3d1", 1)
SUBTRACTION = replace(
    VIBE, description="t1_vibe_fs_tra_dyn_SUB", image_type=("DERIVED", "PRIMARY", "M", "SUB", "DIS2D")
)


def equipment(model: str) -> Dataset:
    """General equipment and habits that do not depend on the series."""
    return standard(
        {
            "Manufacturer": "SIEMENS",
            "ManufacturerModelName": "Skyra",
            "SoftwareVersions": "syngo MR E11",
            "StationName": "SIMSKYRA",
            "DeviceSerialNumber": "45001",
            "BodyPartExamined": "PELVIS",
            "PatientPosition": "FFS",
            "AngioFlag": "N",
            "VariableFlipAngleFlag": "N",
            "TransmitCoilName": "Body",
        }
    )


def series(study: SimulatedStudy, session: Session) -> tuple[ScannerSeries, ...]:
    """All MR series: localizer 1, T2 sagittal 2 and axial 3, trace 4, ADC 5, DCE phases from 6, subtraction last."""
    stored: list[ScannerSeries] = []
    for kind, recipe, start_s in (
        ("LOCALIZER", HASTE, LOCALIZER_S),
        ("T2WI_SAG", replace(TSE, description="t2_tse_sag"), SAGITTAL_S),
        ("T2WI", TSE, AXIAL_S),
    ):
        stored.append(_plain(study, len(stored) + 1, of_kind(study, kind), recipe, start_s))
    stored.append(_trace(study, len(stored) + 1))
    stored.append(_adc(study, len(stored) + 1))
    for phase in of_kind(study, "DCE"):
        stored.append(_phase(study, session, len(stored) + 1, phase, VIBE))
    for difference in of_kind(study, "SUBTRACTION"):
        stored.append(_phase(study, session, len(stored) + 1, difference, SUBTRACTION))
    return tuple(stored)


def _plain(
    study: SimulatedStudy,
    number: int,
    sources: tuple[SimulatedSeries, ...],
    recipe: Recipe,
    start_s: float,
    diffusion: Callable[[SimulatedSeries], Dataset] = lambda source: Dataset(),
) -> ScannerSeries:
    taken_s = duration_s(sources[0], recipe.echo_train)
    volumes = []
    for index, source in enumerate(sources):
        elements = _volume_header(source, recipe)
        elements.update(diffusion(source))
        volumes.append(ScannerVolume(source.image, start_s + index * taken_s, elements))
    return ScannerSeries(
        number=number,
        description=recipe.description,
        elements=_header(study, sources[0], recipe),
        volumes=tuple(volumes),
        reconstructed_s=start_s + taken_s * len(sources),
        slice_elements=_slice_position,
        slice_period_s=sources[0].tr_ms / 1000 / sources[0].image.GetDepth(),
    )


def _trace(study: SimulatedStudy, number: int) -> ScannerSeries:
    sources = of_kind(study, "DWI")
    recipe = replace(TRACE, description=f"ep2d_diff_b{b_text(sources, '_')}_tra_TRACEW")
    return replace(_plain(study, number, sources, recipe, DIFFUSION_S, _trace_elements), tileable=True)


def _trace_elements(source: SimulatedSeries) -> Dataset:
    b_value = round(source.b_value or 0)
    elements = _diffusion(b_value, "ISOTROPIC" if b_value else "NONE")
    elements.SequenceName = f"*ep_b{b_value}" + ("t" if b_value else "")
    return elements


def _adc(study: SimulatedStudy, number: int) -> ScannerSeries:
    """The map carries the highest b-value of its run in (0019,100C), as real maps do."""
    weighted = of_kind(study, "DWI")
    b_values, highest = b_text(weighted, "_"), round(weighted[-1].b_value or 0)
    recipe = replace(ADC, description=f"ep2d_diff_b{b_values}_tra_ADC", sequence=f"*ep_b{b_values}")
    sources = of_kind(study, "ADC")
    return _plain(study, number, sources, recipe, DIFFUSION_S, lambda source: _diffusion(highest, "ISOTROPIC"))


def _phase(
    study: SimulatedStudy, session: Session, number: int, source: SimulatedSeries, recipe: Recipe
) -> ScannerSeries:
    start_s, taken_s = phase_start_s(source), duration_s(source, 1)
    elements = _header(study, source, recipe)
    elements.update(bolus(session, FORMAT.time_digits))
    return ScannerSeries(
        number=number,
        description=recipe.description,
        elements=elements,
        volumes=(ScannerVolume(source.image, start_s, _volume_header(source, recipe)),),
        reconstructed_s=start_s + taken_s,
        slice_elements=_slice_position,
    )


def _header(study: SimulatedStudy, source: SimulatedSeries, recipe: Recipe) -> Dataset:
    elements = protocol(source, recipe, study.scanner.field_strength_t)
    elements.ProtocolName = recipe.description.removesuffix("_TRACEW").removesuffix("_ADC").removesuffix("_SUB")
    elements.SequenceName = recipe.sequence
    elements.NumberOfPhaseEncodingSteps = str(source.acquisition_matrix[1])
    elements.PixelBandwidth = "1250" if "EP" in recipe.scanning else "200"
    elements.SAR = "1.2"
    elements.dBdt = "0"
    elements.AcquisitionNumber = "1"
    if source.mr_acquisition_type == "2D":
        elements.SpacingBetweenSlices = decimal(slice_step(source.image))
    return elements


def _volume_header(source: SimulatedSeries, recipe: Recipe) -> Dataset:
    elements = window([source.image])
    elements.WindowCenterWidthExplanation = "Algo1"
    add_private(
        elements,
        0x0019,
        CREATOR,
        {
            0x08: ("CS", "IMAGE NUM 4"),
            0x09: ("LO", "1.0"),
            0x0F: ("SH", "Fast"),
            0x11: ("SH", "No"),
            0x17: ("DS", "1"),
            0x18: ("IS", "2500"),
        },
    )
    add_private(elements, 0x0051, CREATOR, _protocol_text(source, recipe))
    return elements


def _protocol_text(source: SimulatedSeries, recipe: Recipe) -> dict[int, tuple[str, object]]:
    frequency, phase = source.acquisition_matrix
    rows, columns = field_of_view(source.image)
    minutes, seconds = divmod(round(duration_s(source, recipe.echo_train)), 60)
    plane = plane_text(source.image, ("Sag", "Cor", "Tra"), ">{}({:.1f})")
    return {
        0x08: ("CS", "IMAGE NUM 4"),
        0x09: ("LO", "1.0"),
        0x0A: ("LO", f"TA {minutes:02d}:{seconds:02d}"),
        0x0B: ("LO", f"{phase}*{frequency}"),
        0x0C: ("LO", f"FoV {rows}*{columns}"),
        0x0E: ("LO", plane),
        0x0F: ("LO", "BO1,2;SP2-4"),
        0x11: ("LO", "p2"),
        0x12: ("SH", "TP 0"),
        0x13: ("SH", "+LPH"),
        0x16: ("LO", "p2 " + "/".join(recipe.image_type[2:])),
        0x17: ("SH", f"SL {source.slice_thickness_mm:.1f}"),
        0x19: ("LO", "A1" + ("/PFP" if "PFP" in recipe.options else "") + ("/FS" if _fat_suppressed(recipe) else "")),
    }


def _fat_suppressed(recipe: Recipe) -> bool:
    return bool({"FS", "SFS"} & set(recipe.options))


def _diffusion(b_value: int, directionality: str) -> Dataset:
    """b-value in 0019 and, as the V series writes it a second time, in the CSA image header."""
    elements = Dataset()
    add_private(elements, 0x0019, CREATOR, {0x0C: ("IS", b_value), 0x0D: ("CS", directionality)})
    coded = csa_header({"B_value": ("IS", [b_value]), "DiffusionDirectionality": ("CS", [directionality])})
    add_private(
        elements,
        0x0029,
        "SIEMENS CSA HEADER",
        {0x08: ("CS", "IMAGE NUM 4"), 0x09: ("LO", "20170101"), 0x10: ("OB", coded)},
    )
    return elements


def _slice_position(volume: ScannerVolume, place: SlicePlace) -> Dataset:
    elements = Dataset()
    add_private(elements, 0x0019, CREATOR, {0x15: ("FD", list(place.position))})
    return elements

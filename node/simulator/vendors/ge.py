"""GE DISCOVERY MR750, DV26: b-value in (0043,1039), b 0 and high b in one series, one combined LAVA series.

Habits read in real files (SIGNA Pioneer, Signa HDxt, SIGNA Premier) and told by GE in public threads: ImageType
ORIGINAL\\PRIMARY\\OTHER for nearly everything, private blocks GEMS_*, times in whole seconds, 16 bits signed, the ADC
map as DERIVED\\SECONDARY\\PROCESSED named by text only. DV26 writes no (0018,9087). In the combined LAVA series
TemporalPositionIdentifier is absent; phases differ by AcquisitionTime, TriggerTime (ms after the first phase) and
the raw data run number (0019,10A2). The contrast start time is the technologist's entry, assumed here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pydicom import Dataset

from models.research.phantom.study import SimulatedSeries, SimulatedStudy
from node.simulator.elements import add_private, decimal, field_of_view, plane_axis, slice_step, standard
from node.simulator.measurement import Recipe, bolus, duration_s, of_kind, phase_start_s, protocol, window
from node.simulator.series import ScannerSeries, ScannerVolume, SlicePlace, StorageFormat
from node.simulator.session import AXIAL_S, DIFFUSION_S, LOCALIZER_S, SAGITTAL_S, Session

FORMAT = StorageFormat(bits_stored=16, signed=True, extremes=True, time_digits=0)
CHARACTER_SET = "ISO_IR 100"

ACQUISITION, RELATION, SERIES, IMAGE, PARAMETERS = (
    "GEMS_ACQU_01",
    "GEMS_RELA_01",
    "GEMS_SERS_01",
    "GEMS_IMAG_01",
    "GEMS_PARM_01",
)
# (0019,1017) and (0027,1035) by axis of the slice normal: sagittal, coronal, axial; 256 is the 3-plane localizer.
PLANE = (4, 8, 2)
THREE_PLANES = 256
# (0021,105A): 7 is ALL, three directions combined. (0043,1030): 14 is the T2 image of a run (read in real files);
# that 15 is the combined image is an assumption.
ALL_DIRECTIONS = 7
T2_IMAGE, COMBINED_IMAGE = 14, 15

ORIGINAL = ("ORIGINAL", "PRIMARY", "OTHER")
FAST = ("FAST_GEMS", "EDR_GEMS", "TRF_GEMS", "FILTERED_GEMS", "ACC_GEMS")
FSE = Recipe("Ax T2 FRFSE", ORIGINAL, ("SE",), ("SK",), FAST, "frfse", 18)
SSFSE = Recipe("3-Plane Localizer", ORIGINAL, ("SE",), ("SK",), ("FAST_GEMS", "SS_GEMS"), "ssfse", 120)
EPI = Recipe(
    "Ax DWI b800",
    ORIGINAL,
    ("EP", "SE"),
    ("NONE",),
    ("SAT_GEMS", "EDR_GEMS", "EPI_GEMS", "ACC_GEMS", "PFF", "FS"),
    "epi2",
    1,
)
ADC = replace(
    EPI, description="Apparent Diffusion Coefficient (mm2/s)", image_type=("DERIVED", "SECONDARY", "PROCESSED")
)
LAVA = Recipe(
    "Ax LAVA+C Dyn", ORIGINAL, ("GR",), ("SS", "SP", "SK"), ("FAST_GEMS", "EDR_GEMS", "ACC_GEMS", "FS"), "efgre3d", 1
)
SUBTRACTION = replace(LAVA, description="SUB: Ax LAVA+C Dyn", image_type=("DERIVED", "PRIMARY", "OTHER", "SUBTRACT"))
INTERNAL_NAMES = {"frfse": "FSE-XL", "ssfse": "SSFSE", "epi2": "EPI2", "efgre3d": "EFGRE3D"}


def equipment(model: str) -> Dataset:
    """General equipment and habits that do not depend on the series."""
    elements = standard(
        {
            "Manufacturer": "GE MEDICAL SYSTEMS",
            "ManufacturerModelName": "DISCOVERY MR750",
            "SoftwareVersions": ["27", "LX", "MR Software release:DV26.0_R01_1725.a"],
            "StationName": "SIMMR750",
            "DeviceSerialNumber": "0000000SIM750",
            "BodyPartExamined": "PELVIS",
            "PatientPosition": "FFS",
            "ProtocolName": "Pelvis/Rectum",
            "AngioFlag": "N",
            "VariableFlipAngleFlag": "N",
            "HeartRate": "0",
            "CardiacNumberOfImages": "0",
            "TriggerWindow": "0",
            "ReceiveCoilName": "8US TORSOPA",
        }
    )
    add_private(elements, 0x0009, "GEMS_IDEN_01", {0x02: ("SH", "SIM7"), 0x04: ("SH", "SIGNA")})
    return elements


def series(study: SimulatedStudy, session: Session) -> tuple[ScannerSeries, ...]:
    """All MR series: localizer 1, T2 sagittal 2, axial 3, DWI 4, LAVA 5, subtraction 6, ADC 450."""
    stored = [
        _plain(study, 1, of_kind(study, "LOCALIZER"), SSFSE, LOCALIZER_S),
        _plain(study, 2, of_kind(study, "T2WI_SAG"), replace(FSE, description="Sag T2 FRFSE"), SAGITTAL_S),
        _plain(study, 3, of_kind(study, "T2WI"), FSE, AXIAL_S),
        _diffusion(study),
        _dynamic(study, session),
    ]
    stored += [_subtraction(study, session, source) for source in of_kind(study, "SUBTRACTION")]
    stored += [_map(study)]
    return tuple(stored)


def _plain(
    study: SimulatedStudy,
    number: int,
    sources: tuple[SimulatedSeries, ...],
    recipe: Recipe,
    start_s: float,
    more: Callable[[SimulatedSeries], Dataset] = lambda source: Dataset(),
) -> ScannerSeries:
    taken_s = duration_s(sources[0], recipe.echo_train)
    volumes = []
    for source in sources:
        elements = window([source.image])
        elements.update(_private(source, recipe, sources))
        elements.update(more(source))
        volumes.append(ScannerVolume(source.image, start_s, elements))
    return ScannerSeries(
        number=number,
        description=recipe.description,
        elements=_header(study, sources, recipe),
        volumes=tuple(volumes),
        reconstructed_s=start_s + taken_s,
        slice_elements=_slice_elements,
    )


def _diffusion(study: SimulatedStudy) -> ScannerSeries:
    sources = of_kind(study, "DWI")
    recipe = replace(EPI, description=f"Ax DWI b{round(sources[-1].b_value or 0)}")
    return _plain(study, 4, sources, recipe, DIFFUSION_S, _diffusion_elements)


def _diffusion_elements(source: SimulatedSeries) -> Dataset:
    b_value = round(source.b_value or 0)
    return _diffusion_private(b_value, COMBINED_IMAGE if b_value else T2_IMAGE)


def _map(study: SimulatedStudy) -> ScannerSeries:
    """The ADC map, made by FuncTool: it keeps the private b-value of its source, as real maps do."""
    highest = round(of_kind(study, "DWI")[-1].b_value or 0)
    sources = of_kind(study, "ADC")
    return _plain(study, 450, sources, ADC, DIFFUSION_S, lambda source: _diffusion_private(highest, 0))


def _diffusion_private(b_value: int, image_kind: int) -> Dataset:
    elements = Dataset()
    add_private(elements, 0x0021, RELATION, {0x5A: ("SL", ALL_DIRECTIONS)})
    add_private(elements, 0x0043, PARAMETERS, {0x30: ("SS", image_kind), 0x39: ("IS", [b_value, 8, 0, 0])})
    return elements


def _dynamic(study: SimulatedStudy, session: Session) -> ScannerSeries:
    sources = of_kind(study, "DCE")
    stored = _plain(study, 5, sources, LAVA, 0)
    first_s = phase_start_s(sources[0])
    volumes = []
    for run, (volume, source) in enumerate(zip(stored.volumes, sources, strict=True)):
        start_s = phase_start_s(source)
        elements = standard({"TriggerTime": decimal(round(1000 * (start_s - first_s)))})
        elements.update(volume.elements)
        add_private(elements, 0x0019, ACQUISITION, {0xA2: ("SL", 4100 + run)})
        volumes.append(ScannerVolume(volume.image, start_s, elements))
    elements = Dataset()
    elements.update(stored.elements)
    elements.update(bolus(session, FORMAT.time_digits))
    elements.NumberOfTemporalPositions = str(len(sources))
    end_s = phase_start_s(sources[-1]) + duration_s(sources[-1], 1)
    return replace(stored, elements=elements, volumes=tuple(volumes), reconstructed_s=end_s)


def _subtraction(study: SimulatedStudy, session: Session, source: SimulatedSeries) -> ScannerSeries:
    stored = _plain(study, 6, (source,), SUBTRACTION, phase_start_s(source))
    elements = Dataset()
    elements.update(stored.elements)
    elements.update(bolus(session, FORMAT.time_digits))
    return replace(stored, elements=elements)


def _header(study: SimulatedStudy, sources: tuple[SimulatedSeries, ...], recipe: Recipe) -> Dataset:
    source = sources[0]
    elements = protocol(source, recipe, study.scanner.field_strength_t)
    instances = sum(source.image.GetDepth() for source in sources)
    elements.SpacingBetweenSlices = decimal(slice_step(source.image))
    elements.ReconstructionDiameter = decimal(max(field_of_view(source.image)))
    elements.PixelBandwidth = "1953.12" if "EP" in recipe.scanning else "244.141"
    elements.SAR = "0.9"
    elements.AcquisitionNumber = "1"
    elements.ImagesInAcquisition = str(instances)
    add_private(elements, 0x0025, SERIES, {0x07: ("SL", instances), 0x19: ("SL", instances)})
    return elements


def _private(source: SimulatedSeries, recipe: Recipe, sources: tuple[SimulatedSeries, ...]) -> Dataset:
    plane = PLANE[plane_axis(source.image)]
    three_planes = len({plane_axis(each.image) for each in sources}) > 1
    locations = sum(each.image.GetDepth() for each in sources) if three_planes else source.image.GetDepth()
    elements = Dataset()
    add_private(
        elements,
        0x0019,
        ACQUISITION,
        {
            0x17: ("SS", THREE_PLANES if three_planes else plane),
            0x5A: ("FL", 1e6 * duration_s(source, recipe.echo_train)),
            0x9C: ("LO", recipe.sequence),
            0x9E: ("LO", INTERNAL_NAMES[recipe.sequence]),
            0xA2: ("SL", 4100),
            0xBB: ("DS", "0"),
            0xBC: ("DS", "0"),
            0xBD: ("DS", "0"),
            0xDF: ("DS", "1" if "EP" in recipe.scanning else "0"),
            0xE0: ("DS", "0"),
        },
    )
    add_private(
        elements,
        0x0021,
        RELATION,
        {0x4F: ("SS", locations), 0x5A: ("SL", 0), 0x5E: ("DS", "0")},
    )
    add_private(
        elements,
        0x0043,
        PARAMETERS,
        {0x2F: ("SS", 0), 0x30: ("SS", 0), 0x39: ("IS", [0, 268435456, 0, 0])},
    )
    add_private(elements, 0x0027, IMAGE, {0x35: ("SS", plane)})
    return elements


def _slice_elements(volume: ScannerVolume, place: SlicePlace) -> Dataset:
    elements = Dataset()
    add_private(elements, 0x0027, IMAGE, {0x41: ("FL", place.location)})
    return elements

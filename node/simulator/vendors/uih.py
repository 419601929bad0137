"""UIH uMR 560, 570 and 770: UTF-8, b-value in (0065,1009) and (0065,100A), one series a b-value and a DCE phase.

Habits read in real files (one uMR 770, R002) and in the vendor's published table of private elements: ISO_IR 192,
Imaging Frequency in Hz, SequenceVariant NONE, SpacingBetweenSlices = thickness + gap with the gap in (0065,1025),
16 bits unsigned, no (0018,9087). Series names follow public scripts. What no public file shows and is assumed here:
headers of the 560 and 570 (taken to be those of the 770), ImageType of the ADC map (DERIVED\\PRIMARY\\M; only the
name says ADC), and that the contrast start time is filled in (on all phases, because they are one protocol).
"""

from __future__ import annotations

from dataclasses import replace

from pydicom import Dataset

from models.research.phantom.study import SimulatedSeries, SimulatedStudy
from node.simulator.elements import add_private, decimal, decimals, field_of_view, plane_text, slice_step, standard
from node.simulator.measurement import Recipe, bolus, duration_s, of_kind, phase_start_s, protocol, window
from node.simulator.series import ScannerSeries, ScannerVolume, SlicePlace, StorageFormat
from node.simulator.session import AXIAL_S, DIFFUSION_S, LOCALIZER_S, SAGITTAL_S, Session

FORMAT = StorageFormat(bits_stored=16, signed=False, extremes=True, time_digits=6)
CHARACTER_SET = "ISO_IR 192"
CREATOR = "Image Private Header"
# The imaging gradients alone weight by about 1.25 s/mm² and take 0.03 % off the nominal value (real file: 929.75).
IMAGING_GRADIENTS_B = 1.25

MAGNITUDE = ("ORIGINAL", "PRIMARY", "M")
DERIVED = ("DERIVED", "PRIMARY", "M")
FSE = Recipe("t2_fse_tra", MAGNITUDE, ("SE",), ("NONE",), (), "fse", 15)
SSFSE = replace(FSE, description="localizer", sequence="ssfse", echo_train=100)
DWI = Recipe("epi_dwi_tra", MAGNITUDE, ("EP",), ("NONE",), ("FS",), "epi_dwi", 45)
ADC = replace(DWI, description="epi_dwi_tra_ADC", image_type=DERIVED)
QUICK3D = Recipe("t1_quick3d_tra_fs", MAGNITUDE, ("GR",), ("NONE",), ("FS",), "gre_quick3d", 1)


def equipment(model: str) -> Dataset:
    """General equipment and habits that do not depend on the series; `model` with its space, as in ``uMR 560``."""
    elements = standard(
        {
            "Manufacturer": "UIH",
            "ManufacturerModelName": model,
            "SoftwareVersions": "R002",
            "StationName": "SIM" + model.replace(" ", "").upper(),
            "DeviceSerialNumber": "120" + model[-3:],
            "BodyPartExamined": "RECTUM",
            "PatientPosition": "HFS",
            "ComplexImageComponent": "MAGNITUDE",
            "TransmitCoilName": "VTC",
            "BurnedInAnnotation": "NO",
            "LossyImageCompression": "00",
        }
    )
    elements.add_new(0x00610040, "LO", "Common Private Header")
    add_private(elements, 0x0061, "DB Dicom Private Creator", {0x02: ("US", 0)})
    return elements


def series(study: SimulatedStudy, session: Session) -> tuple[ScannerSeries, ...]:
    """All MR series: localizer, T2 sagittal and axial, one a b-value, ADC, one a DCE phase, subtraction."""
    diffusion = [
        (replace(DWI, description=f"epi_dwi_tra_b{round(each.b_value or 0)}"), each) for each in of_kind(study, "DWI")
    ]
    plain = [
        (SSFSE, of_kind(study, "LOCALIZER"), LOCALIZER_S),
        (replace(FSE, description="t2_fse_sag"), of_kind(study, "T2WI_SAG"), SAGITTAL_S),
        (FSE, of_kind(study, "T2WI"), AXIAL_S),
        *((recipe, (each,), DIFFUSION_S) for recipe, each in diffusion),
        (ADC, of_kind(study, "ADC"), DIFFUSION_S),
    ]
    stored = [
        _series(study, number, recipe, sources, start_s)
        for number, (recipe, sources, start_s) in enumerate(plain, start=1)
    ]
    return (*stored, *_dynamic(study, session, len(stored) + 1))


def _dynamic(study: SimulatedStudy, session: Session, number: int) -> list[ScannerSeries]:
    phases = of_kind(study, "DCE")
    name = f"{QUICK3D.description}_1+{len(phases) - 1}steps"
    measured = [(replace(QUICK3D, description=f"{name}_R{i}"), each) for i, each in enumerate(phases, 1)]
    subtracted = replace(QUICK3D, description=f"{name}_SUB", image_type=DERIVED)
    measured += [(subtracted, each) for each in of_kind(study, "SUBTRACTION")]
    stored = []
    for offset, (recipe, source) in enumerate(measured):
        one = _series(study, number + offset, recipe, (source,), phase_start_s(source))
        one.elements.update(bolus(session, FORMAT.time_digits))
        stored.append(one)
    return stored


def _series(
    study: SimulatedStudy, number: int, recipe: Recipe, sources: tuple[SimulatedSeries, ...], start_s: float
) -> ScannerSeries:
    taken_s = duration_s(sources[0], recipe.echo_train)
    planar = sources[0].mr_acquisition_type == "2D"
    return ScannerSeries(
        number=number,
        description=recipe.description,
        elements=_header(study, sources, recipe),
        volumes=tuple(
            ScannerVolume(source.image, start_s + index * taken_s, _volume_header(source, recipe, index))
            for index, source in enumerate(sources)
        ),
        reconstructed_s=start_s + len(sources) * taken_s,
        slice_elements=_slice_elements,
        slice_period_s=sources[0].tr_ms / 1000 / sources[0].image.GetDepth() if planar else 0.0,
        tileable=sources[0].kind == "DWI",
    )


def _header(study: SimulatedStudy, sources: tuple[SimulatedSeries, ...], recipe: Recipe) -> Dataset:
    source = sources[0]
    elements = protocol(source, recipe, study.scanner.field_strength_t)
    elements.ImagingFrequency = str(round(1e6 * float(elements.ImagingFrequency)))
    elements.EchoNumbers = None
    elements.ProtocolName = recipe.description
    elements.SequenceName = recipe.sequence
    elements.PixelBandwidth = "1750" if "EP" in recipe.scanning else "250"
    elements.SpacingBetweenSlices = decimal(slice_step(source.image))
    # In ms, as in real files, although the standard has seconds.
    elements.AcquisitionDuration = 1000 * duration_s(source, recipe.echo_train)
    elements.SAR = "0.7"
    elements.dBdt = "0.8"
    elements.NumberOfSlices = sum(each.image.GetDepth() for each in sources)
    elements.add_new(0x00610040, "LO", "Common Private Header")
    rows, columns = field_of_view(source.image)
    add_private(elements, 0x0061, "Common Private Header", {0x02: ("SH", f"{columns}*{rows}")})
    return elements


def _volume_header(source: SimulatedSeries, recipe: Recipe, stack: int) -> Dataset:
    elements = window([source.image])
    elements.WindowCenterWidthExplanation = "AWT2-63-1.00-1.20_1.0/1.0"
    minutes, seconds = divmod(round(duration_s(source, recipe.echo_train)), 60)
    size = source.image.GetSize()
    interpolated = " I" if tuple(source.acquisition_matrix) != size[:2] else ""
    gap = slice_step(source.image) - source.slice_thickness_mm
    name = recipe.sequence
    values: dict[int, tuple[str, object]] = {
        0x02: ("LO", plane_text(source.image, ("SAG", "COR", "TRA"), " > {}{:.1f}")),
        0x03: ("LO", "BA1-3;SP2-4"),
        0x04: ("SH", f"{size[0]}*{size[1]}{interpolated}"),
        0x05: ("SH", "A->P"),
        0x06: ("IS", str(stack)),
        0x14: ("DS", decimals(_normal(source))),
        0x25: ("DS", decimal(round(max(gap, 0.0), 6))),
        0x29: ("SH", f"{minutes:02d}:{seconds:02d}"),
        0x2C: ("IS", "0"),
        0x2F: ("FL", 0.4),
    }
    if source.kind == "DWI":
        b_value = source.b_value or 0.0
        name = f"{recipe.sequence}_b{round(b_value)}"
        values |= {
            0x09: ("FD", b_value * (1 - 3e-4) + IMAGING_GRADIENTS_B),
            0x0A: ("FD", b_value),
            0x37: ("FD", [0.0, 0.0, 0.0]),
        }
    values[0x2D] = ("ST", name)
    add_private(elements, 0x0065, CREATOR, values)
    return elements


def _normal(source: SimulatedSeries) -> list[float]:
    direction = source.image.GetDirection()
    return [direction[2], direction[5], direction[8]]


def _slice_elements(volume: ScannerVolume, place: SlicePlace) -> Dataset:
    elements = Dataset()
    add_private(
        elements,
        0x0065,
        CREATOR,
        {0x0F: ("SH", _side(place)), 0x15: ("DS", decimals(_centre(volume, place)))},
    )
    return elements


def _centre(volume: ScannerVolume, place: SlicePlace) -> tuple[float, ...]:
    columns, rows, _ = volume.image.GetSize()
    middle = ((columns - 1) / 2, (rows - 1) / 2, float(place.index))
    return tuple(volume.image.TransformContinuousIndexToPhysicalPoint(middle))


def _side(place: SlicePlace) -> str:
    """Distance of the slice from the origin along its normal, with the letter of the side on which it lies."""
    letter = "H" if place.location >= 0 else "F"
    return f"{letter}{abs(place.location):.1f}"

"""Synthetic studies as four vendors write their headers, and results on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from models.plausibility.records import PLACE, UNCONFIRMED, Location, SetAside
from models.prediction.records import CodedConcept, Contribution, ModelPrediction, Prediction, Target
from models.radiomics.words import REPORTED
from models.sequence import ANALYSED, Sequence
from models.volume import divided, grid_of, resample_onto
from node.recognition.record import FrameRef, RoleRefusal, SeriesVerdict, Stack, StudyPlan
from node.recognition.rules.findings import Confidence
from node.results.encode import encode
from node.results.encoded import EncodedObject
from node.results.findings import AlgorithmIdentity, SequenceResult, StudyResults
from node.results.identity import Site
from node.settings import ADDITIONAL, ResultKind

#: The kinds beyond the usual ones that are made of each sequence.
OF_SEQUENCES = tuple(kind for kind in ADDITIONAL if kind is not ResultKind.KEY_OBJECTS)
#: A destination that gets all, with a Key Object Selection of them.
EVERYTHING = frozenset(ResultKind)
UID_ROOT = "1.2.826.0.1.3680043.10.1599."
SITE = Site(UID_ROOT, "Our Hospital", "UTC")
STUDY_UID = "1.2.840.99999.1"
SCALE = 4  # super-resolution through the slices


Edit = Callable[[Dataset, str], None]


@dataclass(frozen=True)
class Vendor:
    """How a scanner writes what differs between vendors."""

    name: str
    character_set: str | None
    patient_name: bytes
    patient_name_unicode: str
    slope: float
    intercept: float


VENDORS = {
    "siemens": Vendor(
        "SIEMENS",
        "GB18030",
        "Wang^XiaoDong=王^小东".encode("gb18030"),
        "Wang^XiaoDong=王^小东",
        1.0,
        0.0,
    ),
    "philips": Vendor("Philips", "ISO_IR 192", "Müller^Änne=穆勒".encode(), "Müller^Änne=穆勒", 10.218, 0.0),
    "ge": Vendor("GE MEDICAL SYSTEMS", None, "李^雷".encode("gb18030"), "李^雷", 1.0, 0.0),
    "uih": Vendor(
        "UIH",
        "\\ISO 2022 IR 58",
        b"Han^Mei=\x1b$)A\xba\xab^\x1b$)A\xc3\xb7",
        "Han^Mei=韩^梅",
        2.0,
        0.0,
    ),
}

#: (columns, rows, slices), (mm), and the oblique frame of each sequence.
GRIDS = {
    "T2WI": ((64, 56, 8), (0.7, 0.7, 3.6)),
    "DWI": ((40, 40, 7), (1.6, 1.6, 4.4)),
    "PVP": ((48, 44, 9), (1.2, 1.2, 3.0)),
}
ROLES = {"T2WI": Sequence.T2WI, "DWI": Sequence.DWI, "PVP": Sequence.PVP}
TUMOUR_CENTRE, TUMOUR_RADII = np.array((12.0, -31.0, 47.0)), np.array((9.0, 7.0, 8.0))


def oblique() -> np.ndarray:
    """A right-handed double-oblique direction matrix."""
    a, b = np.radians(17.0), np.radians(-9.0)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    return about_x @ about_y


def phantom(sequence: str) -> sitk.Image:
    """An image whose bright ellipsoid lies at a known place in patient space."""
    size, spacing = GRIDS[sequence]
    direction = oblique()
    image = sitk.Image(*size, sitk.sitkFloat32)
    image.SetSpacing(spacing)
    image.SetDirection(direction.ravel().tolist())
    middle = direction @ (np.array(spacing) * (np.array(size) - 1) / 2)
    image.SetOrigin((TUMOUR_CENTRE - middle + np.array((4.0, -3.0, 2.0))).tolist())
    values = 300.0 + 400.0 * inside(image) + 20 * np.random.default_rng(1).standard_normal(size[::-1])
    result = sitk.GetImageFromArray(np.rint(values).astype(np.float32))
    result.CopyInformation(image)
    return result


def inside(image: sitk.Image) -> np.ndarray:
    """Which voxel centres lie in the ellipsoid; computed from patient coordinates."""
    k, j, i = np.indices(image.GetSize()[::-1])
    index = np.stack([i, j, k], -1) * np.array(image.GetSpacing())
    points = index @ np.reshape(image.GetDirection(), (3, 3)).T + np.array(image.GetOrigin())
    return (((points - TUMOUR_CENTRE) / TUMOUR_RADII) ** 2).sum(-1) <= 1


def mask_on(image: sitk.Image) -> sitk.Image:
    """The ellipsoid on the grid of an image."""
    mask = sitk.GetImageFromArray(inside(image).astype(np.uint8))
    mask.CopyInformation(image)
    return mask


def probability_on(mask: sitk.Image) -> sitk.Image:
    """A probability that falls off around a mask, on its grid."""
    return sitk.DiscreteGaussian(sitk.Cast(mask, sitk.sitkFloat32), 2.0)


def empty_like(image: sitk.Image) -> sitk.Image:
    """A mask without a voxel."""
    mask = sitk.Image(image.GetSize(), sitk.sitkUInt8)
    mask.CopyInformation(image)
    return mask


def write_series(folder: Path, vendor: Vendor, sequence: str, edit: Edit | None = None) -> Stack:
    """One series as the vendor writes it; instance numbers run against the slice normal.

    `edit` changes an instance of a sequence before it is written.
    """
    image = phantom(sequence)
    size, spacing = image.GetSize(), image.GetSpacing()
    direction = np.reshape(image.GetDirection(), (3, 3))
    array = sitk.GetArrayFromImage(image)
    number = {"T2WI": 5, "DWI": 8, "PVP": 12}[sequence]
    series_uid = f"{STUDY_UID}.{number}"
    frames = []
    for k in range(size[2]):
        ds = _instance(vendor, sequence, series_uid, number, k, size[2])
        ds.Rows, ds.Columns = size[1], size[0]
        ds.PixelSpacing = [f"{v:.10g}" for v in spacing[1::-1]]
        ds.SliceThickness = f"{spacing[2] - 0.6:.10g}"
        if vendor.name != "SIEMENS":
            ds.SpacingBetweenSlices = f"{spacing[2]:.10g}"
        ds.ImageOrientationPatient = [f"{v:.12f}"[:16] for v in (*direction[:, 0], *direction[:, 1])]
        ds.ImagePositionPatient = [f"{v:.8f}"[:16] for v in image.TransformIndexToPhysicalPoint((0, 0, k))]
        stored = np.rint((array[k] - vendor.intercept) / vendor.slope).astype("<u2")
        ds.add_new("PixelData", "OW", stored.tobytes())
        if edit is not None:
            edit(ds, sequence)
        path = folder / f"{number}-{size[2] - k:03d}.dcm"
        with pydicom.config.disable_value_validation():
            pydicom.dcmwrite(path, ds, enforce_file_format=True)
        frames.append(FrameRef(path, 0, str(ds.SOPInstanceUID), ds.SOPClassUID))
    return Stack(
        role=ROLES[sequence],
        series_instance_uid=str(ds.SeriesInstanceUID),
        frames=tuple(frames),
        b_value=800.0 if sequence == "DWI" else None,
        phase_time_s=70.0 if sequence == "PVP" else None,
        origin=image.GetOrigin(),
        row_direction=tuple(direction[:, 0]),
        column_direction=tuple(direction[:, 1]),
        normal=tuple(direction[:, 2]),
        pixel_spacing=(spacing[1], spacing[0]),
        slice_step_mm=spacing[2],
        frame_of_reference_uid=str(ds.get("FrameOfReferenceUID", "")),
        rows=size[1],
        columns=size[0],
    )


def _instance(vendor: Vendor, sequence: str, series_uid: str, number: int, k: int, count: int) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if vendor.character_set is not None:
        ds.SpecificCharacterSet = vendor.character_set.split("\\")
    ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, f"{series_uid}.{count - k}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY_UID, series_uid
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20240315", "101112.5", "S7", "A-4711"
    ds.StudyDescription = "MRI RECTUM"
    # Raw bytes, so that the file holds what the scanner's character set makes of the name.
    ds.add(pydicom.dataelem.DataElement("PatientName", "PN", pydicom.valuerep.PersonName(vendor.patient_name)))
    ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "P-0815", "19600229", "F"
    ds.PatientAge, ds.PatientWeight = "064Y", "61.5"
    ds.Modality, ds.SeriesNumber, ds.SeriesDescription = "MR", number, f"{sequence} tra"
    ds.Manufacturer, ds.ManufacturerModelName, ds.SoftwareVersions = vendor.name, "Model X", ["1", "2"]
    ds.DeviceSerialNumber, ds.StationName, ds.InstitutionName = "4242", "MR1", "General Hospital"
    ds.OperatorsName, ds.PerformedProcedureStepID = "Operator^Olga", "PPS1"
    ds.BodyPartExamined, ds.PatientPosition, ds.ProtocolName = "RECTUM", "HFS", "rectum staging"
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = f"{STUDY_UID}.77", ""
    request = Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepID = "RP1", "SPS1"
    ds.RequestAttributesSequence = [request]
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "NORM"]
    ds.AcquisitionDate, ds.AcquisitionTime, ds.AcquisitionNumber = "20240315", "101530", 1
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions = "SE", "SK", "PFP"
    ds.MRAcquisitionType, ds.RepetitionTime, ds.EchoTime = "2D", "4000", "101"
    ds.EchoTrainLength, ds.FlipAngle, ds.MagneticFieldStrength = 15, "150", "3"
    ds.InstanceNumber = count - k
    ds.SliceLocation = f"{-3.3 * k:.3f}"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.SmallestImagePixelValue, ds.LargestImagePixelValue = 0, 1852
    ds.WindowCenter, ds.WindowWidth = "500", "900"
    if vendor.slope != 1.0:
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = str(vendor.slope), "0", "normalized"
    block = ds.private_block(0x0029 if vendor.name == "SIEMENS" else 0x2005, f"{vendor.name} HEADER", create=True)
    block.add_new(0x10, "OB", b"SV10" * 8)
    block.add_new(0x0E, "DS", "0.0123")
    return ds


def verdict(stack: Stack, sequence: str) -> SeriesVerdict:
    """A verdict that says the series is used."""
    return SeriesVerdict(
        series_instance_uid=stack.series_instance_uid,
        series_number=int(stack.series_instance_uid.rpartition(".")[2]),
        description=f"{sequence} tra",
        modality="MR",
        instance_count=len(stack.frames),
        role="DCE" if sequence == "PVP" else sequence,
        used=True,
        plane="axial",
        b_values=(800.0,) if sequence == "DWI" else (),
        phase_times_s=(70.0,) if sequence == "PVP" else (),
        reason=f"axial images: used as {sequence}",
        manufacturer="",
        confidence=Confidence.MEDIUM,
        doubts=("echo train length is not stated",),
    )


def sequence_result(stack: Stack, sequence: str, with_tumour: bool = True) -> SequenceResult:
    """The result of one stack, as the analysis hands it over."""
    acquired = phantom(sequence)
    fine = resample_onto(acquired, divided(grid_of(acquired), (1, 1, SCALE)))
    mask = mask_on(acquired) if with_tumour else empty_like(acquired)
    mask_super = mask_on(fine) if with_tumour else empty_like(fine)
    voxels = np.count_nonzero(sitk.GetArrayViewFromImage(mask_super))
    return SequenceResult(
        sequence=sequence,
        stack=stack,
        acquired=acquired,
        super_resolved=fine,
        mask=mask,
        mask_super=mask_super if sequence == "T2WI" else None,
        probability=probability_on(mask),
        super_ml=float(voxels * np.prod(fine.GetSpacing()) / 1000),
        features={name: 0.5 + n for n, name in enumerate(REPORTED)} if with_tumour else {},
    )


ALGORITHMS = {
    "super-resolution": AlgorithmIdentity("sr-gan", "0.3.0", "a1" * 32, "trained on simulated studies"),
    "segmentation": AlgorithmIdentity("unet++", "0.4.1", "b2" * 32, "trained on simulated studies; research use only"),
    "prediction": AlgorithmIdentity("grade", "0.2.0", "c3" * 32, "trained on simulated labels"),
}

CONTRIBUTIONS = (
    Contribution("T2WI|super|original_shape_Maximum3DDiameter", 6.5, 5.0, 84.8, 0.62),
    Contribution("DWI|super|log-sigma-3-0-mm-3D_glszm_SmallAreaEmphasis", 0.71, 0.6, 0.8, -0.31),
    Contribution("PVP|super|original_firstorder_90Percentile", 2079.0, 583.6, 2477.2, 0.2),
    Contribution("PVP|super|original_glcm_ClusterShade", -12.5, -989.0, 241.0, 0.12),
    Contribution("DWI|super|original_shape_Elongation", 0.5, 0.1, 0.9, -0.05),
    Contribution("T2WI|super|original_shape_Flatness", 5.5, 0.3, 0.9, 0.01),
)


def model_prediction(inputs: tuple[Sequence, ...], resolution: str, probability: float) -> ModelPrediction:
    """The answer of one of eight models; only that of all sequences at super resolution has contributions."""
    main = len(inputs) == 3 and resolution == "super"
    return ModelPrediction(
        name=f"{'+'.join(inputs)} {resolution}",
        version="0.2.0",
        inputs=inputs,
        resolution=resolution,
        probability=probability,
        cutoff=0.41,
        cross_validated_auc=0.81,
        base=0.3947 if main else 0.0,
        contributions=CONTRIBUTIONS if main else (),
    )


PREDICTION = Prediction(
    main=model_prediction(ANALYSED, "super", 0.73),
    others=tuple(
        model_prediction(inputs, resolution, 0.4 + 0.03 * number)
        for number, (inputs, resolution) in enumerate(
            [*product([(sequence,) for sequence in ANALYSED], ("normal", "super")), (ANALYSED, "normal")]
        )
    ),
    target=Target(
        "simulated histologic grade", "high grade", CodedConcept("SIM-GRADE", "99RECTALNODE", "Simulated high grade")
    ),
)


def study_results(stacks: dict[str, Stack], with_tumour: bool = True, study_uid: str = STUDY_UID) -> StudyResults:
    """Results of a study with the given sequences."""
    return StudyResults(
        study_instance_uid=study_uid,
        revision=1,
        input_digest="d4" * 32,
        settings_digest="e5" * 32,
        created_at=datetime(2024, 3, 15, 12, 30, 5, tzinfo=UTC),
        sequences=tuple(sequence_result(stack, name, with_tumour) for name, stack in stacks.items()),
        prediction=PREDICTION if with_tumour else None,
        algorithms=ALGORITHMS,
        plan=StudyPlan(
            study_instance_uid=study_uid,
            verdicts=tuple(verdict(stack, name) for name, stack in stacks.items()),
            stacks=tuple(stacks.values()),
            refusals=tuple(
                RoleRefusal(ROLES[name], "NO_CANDIDATE", f"no series can serve as {name}")
                for name in ROLES
                if name not in stacks
            ),
            warnings=("DWI: b 800 taken from a private element",),
            locations=(Location(tuple(stacks), True, "the sequences show it in the corridor"),) if with_tumour else (),
            body_part="RECTUM",
        ),
    )


@dataclass(frozen=True)
class Encoded:
    """A study that went through `encode`."""

    vendor: Vendor
    results: StudyResults
    objects: tuple[EncodedObject, ...]
    folder: Path

    def datasets(self, role: str) -> list[Dataset]:
        """All objects of a role, read back."""
        return [pydicom.dcmread(it.path) for it in self.objects if it.role == role]

    def first(self, role: str) -> EncodedObject:
        """The first object of a role."""
        return next(it for it in self.objects if it.role == role)


@pytest.fixture(scope="session")
def make_encoded(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Encoded]:
    """Write a vendor's study, analyse it on paper, encode it."""

    @cache
    def make(
        name: str = "siemens",
        sequences: tuple[str, ...] = ("T2WI", "DWI", "PVP"),
        with_tumour: bool = True,
        change: Callable[[StudyResults], StudyResults] | None = None,
        edit: Edit | None = None,
        site: Site = SITE,
        kinds: tuple[ResultKind, ...] = (),
        selections: tuple[frozenset[ResultKind], ...] = (),
    ) -> Encoded:
        source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("results")
        stacks = {sequence: write_series(source, VENDORS[name], sequence, edit) for sequence in sequences}
        results = study_results(stacks, with_tumour)
        results = change(results) if change else results
        objects = encode(results, folder, site, kinds=kinds, selections=selections)
        return Encoded(VENDORS[name], results, objects, folder)

    return make


@pytest.fixture(scope="session", params=sorted(VENDORS))
def encoded(request: pytest.FixtureRequest, make_encoded: Callable[..., Encoded]) -> Encoded:
    """A complete study of each vendor."""
    return make_encoded(request.param)


@pytest.fixture(scope="session")
def siemens(make_encoded: Callable[..., Encoded]) -> Encoded:
    """A complete study of one vendor, for what does not depend on the vendor."""
    return make_encoded("siemens")


@pytest.fixture(scope="session")
def without_tumour(make_encoded: Callable[..., Encoded]) -> Encoded:
    """A study in which nothing was segmented."""
    return make_encoded("siemens", with_tumour=False)


@pytest.fixture(scope="session")
def only_t2(make_encoded: Callable[..., Encoded]) -> Encoded:
    """A study without DWI and DCE: no prediction."""
    return make_encoded("ge", ("T2WI",), change=lambda results: replace(results, prediction=None))


@pytest.fixture(scope="session")
def not_located(make_encoded: Callable[..., Encoded]) -> Encoded:
    """A study whose finding could be anywhere."""

    def change(results: StudyResults) -> StudyResults:
        location = Location(("T2WI", "DWI", "PVP"), False, "the fields of view do not tell")
        return replace(results, plan=replace(results.plan, locations=(location,)))

    return make_encoded("siemens", change=change)


@pytest.fixture(scope="session")
def set_aside(make_encoded: Callable[..., Encoded]) -> Encoded:
    """A study in which all that was outlined was set aside."""
    alone = "none of T2WI, DWI shows it when it is read without the others"
    anterior = "in the anterior pelvis (bladder, prostate or uterus), near the midline"
    findings = (
        SetAside("T2WI", 8.21, "at the left gluteal region", PLACE, "no rectum lies there", (61.0, 70.0, -20.0)),
        SetAside("T2WI", 0.447, anterior, UNCONFIRMED, alone, (2.0, -31.0, -20.0)),
        SetAside("DWI", 9.34, "at the left gluteal region", PLACE, "no rectum lies there", (60.0, 71.0, -20.0)),
    )

    def change(results: StudyResults) -> StudyResults:
        return replace(results, prediction=None, plan=replace(results.plan, set_aside=findings))

    return make_encoded("siemens", with_tumour=False, change=change)


@pytest.fixture(scope="session")
def additional(make_encoded: Callable[..., Encoded]) -> Encoded:
    """A complete study of one vendor, every kind of result that a destination can ask for."""
    return make_encoded("siemens", kinds=OF_SEQUENCES)

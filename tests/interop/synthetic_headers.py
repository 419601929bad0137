"""Headers of small synthetic instances (MR, SEG, SR, PR), whole enough to be stored."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_VR
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    BasicTextSRStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    MRImageStorage,
    SegmentationStorage,
)

SOP_CLASSES = {
    "MR": MRImageStorage,
    "SEG": SegmentationStorage,
    "SR": BasicTextSRStorage,
    "PR": GrayscaleSoftcopyPresentationStateStorage,
}


def put(to: Dataset, **values: Any) -> Dataset:
    """The data set with these attributes added; unchecked, because values of queries and odd values are wanted."""
    for keyword, value in values.items():
        to.add(DataElement(keyword, dictionary_VR(keyword), value, validation_mode=config.IGNORE))
    return to


def uid(chance: random.Random) -> str:
    return f"2.25.{chance.getrandbits(120)}"


def a_date(chance: random.Random, first: int = 2015) -> str:
    return (date(first, 1, 1) + timedelta(days=chance.randrange(3650))).strftime("%Y%m%d")


def a_time(chance: random.Random) -> str:
    """Time of more or less precision; now and then none."""
    whole = f"{chance.randrange(24):02}{chance.randrange(60):02}{chance.randrange(60):02}"
    return chance.choice((whole, whole, whole[:4], whole[:2], f"{whole}.{chance.randrange(10**6):06}", ""))


def code(value: str, scheme: str, meaning: str) -> Dataset:
    return put(Dataset(), CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def instance(chance: random.Random, study: Dataset, series: Dataset, number: int) -> Dataset:
    made = Dataset()
    made.update(study)
    made.update(series)
    put(
        made,
        SOPClassUID=SOP_CLASSES[series.Modality],
        SOPInstanceUID=uid(chance),
        InstanceNumber=number,
        InstanceCreationDate=a_date(chance),
        InstanceCreationTime=a_time(chance),
        ContentDate=a_date(chance),
        ContentTime=a_time(chance) or "120000",
    )
    {"MR": _magnetic_resonance, "SEG": _segmentation, "SR": _report, "PR": _presentation}[series.Modality](chance, made)
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return made


def _pixels(to: Dataset, bits: int, data: bytes) -> None:
    put(to, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2", Rows=2, Columns=2, PixelRepresentation=0)
    put(to, BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1)
    to.add(DataElement("PixelData", "OW", data))


def _magnetic_resonance(chance: random.Random, made: Dataset) -> None:
    offset = chance.choice(("+0000", "+0100", "-0500", "+0530"))
    whole = f"{a_date(chance)}{chance.randrange(24):02}{chance.randrange(60):02}{chance.randrange(60):02}"
    put(
        made,
        ImageType=chance.choice((["ORIGINAL", "PRIMARY", "M", "NORM"], ["DERIVED", "SECONDARY", "ADC"])),
        AcquisitionDateTime=chance.choice(
            (whole + offset, whole[:12] + offset, f"{whole}.{chance.randrange(10**6):06}{offset}", "")
        ),
        AcquisitionNumber=chance.choice((1, 2, None)),
        ScanningSequence="SE",
        SequenceVariant="SK",
        ScanOptions="",
        MRAcquisitionType="2D",
        RepetitionTime="4000",
        EchoTime="100",
        EchoTrainLength="16",
        SliceThickness="3",
        PixelSpacing=["0.5", "0.5"],
        ImageOrientationPatient=["1", "0", "0", "0", "1", "0"],
        ImagePositionPatient=["0", "0", str(3 * made.InstanceNumber)],
    )
    _pixels(made, 16, bytes(8))


def _segmentation(chance: random.Random, made: Dataset) -> None:
    segment = put(
        Dataset(),
        SegmentNumber=1,
        SegmentLabel=chance.choice(("Tumour", "tumour")),
        SegmentAlgorithmType="MANUAL",
        SegmentedPropertyCategoryCodeSequence=[code("49755003", "SCT", "Morphologically Abnormal Structure")],
        SegmentedPropertyTypeCodeSequence=[code("108369006", "SCT", "Neoplasm")],
    )
    organisation = uid(chance)
    index = put(Dataset(), DimensionOrganizationUID=organisation, DimensionIndexPointer=0x0062000B)
    put(index, FunctionalGroupPointer=0x0062000A)
    frame = put(Dataset(), FrameContentSequence=[put(Dataset(), DimensionIndexValues=[1])])
    put(frame, SegmentIdentificationSequence=[put(Dataset(), ReferencedSegmentNumber=1)])
    put(frame, PlanePositionSequence=[put(Dataset(), ImagePositionPatient=["0", "0", "0"])])
    shared = put(Dataset(), PlaneOrientationSequence=[put(Dataset(), ImageOrientationPatient=[1, 0, 0, 0, 1, 0])])
    put(shared, PixelMeasuresSequence=[put(Dataset(), SliceThickness="3", PixelSpacing=["0.5", "0.5"])])
    put(
        made,
        ImageType=["DERIVED", "PRIMARY"],
        Manufacturer="Maker",
        ManufacturerModelName="Model",
        DeviceSerialNumber="1",
        SoftwareVersions="1",
        LossyImageCompression="00",
        SegmentationType="BINARY",
        SegmentSequence=[segment],
        ContentLabel="SEGMENTATION",
        ContentDescription="",
        ContentCreatorName="",
        NumberOfFrames=1,
        DimensionOrganizationSequence=[put(Dataset(), DimensionOrganizationUID=organisation)],
        DimensionIndexSequence=[index],
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=[frame],
    )
    _pixels(made, 1, b"\x0f\x00")


def _report(chance: random.Random, made: Dataset) -> None:
    text = put(Dataset(), RelationshipType="CONTAINS", ValueType="TEXT", TextValue="No finding.")
    put(text, ConceptNameCodeSequence=[code("121071", "DCM", "Finding")])
    put(
        made,
        CompletionFlag=chance.choice(("COMPLETE", "PARTIAL")),
        VerificationFlag="UNVERIFIED",
        PerformedProcedureCodeSequence=[],
        ValueType="CONTAINER",
        ContinuityOfContent="SEPARATE",
        ConceptNameCodeSequence=[code("18748-4", "LN", "Diagnostic imaging report")],
        ContentSequence=[text],
    )


def _presentation(chance: random.Random, made: Dataset) -> None:
    image = put(Dataset(), ReferencedSOPClassUID=MRImageStorage, ReferencedSOPInstanceUID=uid(chance))
    area = put(Dataset(), DisplayedAreaTopLeftHandCorner=[1, 1], DisplayedAreaBottomRightHandCorner=[2, 2])
    put(area, PresentationSizeMode="SCALE TO FIT", PresentationPixelAspectRatio=[1, 1])
    put(
        made,
        ContentLabel=chance.choice(("KEY", "WINDOW_1")),
        ContentDescription="",
        ContentCreatorName="",
        PresentationCreationDate=a_date(chance),
        PresentationCreationTime=a_time(chance) or "120000",
        ReferencedSeriesSequence=[put(Dataset(), SeriesInstanceUID=uid(chance), ReferencedImageSequence=[image])],
        DisplayedAreaSelectionSequence=[area],
        PresentationLUTShape="IDENTITY",
    )

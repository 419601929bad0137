"""Which attributes of a source image a result inherits, by module; everything else stays behind.

The lists are closed: private groups, scanner steps, stale pixel statistics, rescale and window of the source are
left out by not being named (PS3.3 C.7 and C.8.3.1).
"""

from __future__ import annotations

from pydicom.uid import UID

#: Of Supplement 243; pydicom's dictionary does not have it yet.
LABEL_MAP_SEGMENTATION = UID("1.2.840.10008.5.1.4.1.1.66.7")

PATIENT = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "PatientBirthDate",
    "PatientBirthTime",
    "PatientSex",
    "OtherPatientIDsSequence",
    "OtherPatientNames",
    "EthnicGroup",
    "PatientComments",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID",
    "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
)

STUDY = (
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName",
    "StudyDescription",
    "ProcedureCodeSequence",
    "AdmittingDiagnosesDescription",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "ClinicalTrialTimePointID",
    "ClinicalTrialTimePointDescription",
)

#: Attributes of type 2: present, empty where the source is silent.
REQUIRED_EVEN_IF_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)

#: Of an image series: what was examined and how the patient lay; ties the result to the order. Not Laterality: it is
#: for paired organs only.
SERIES = ("BodyPartExamined", "PatientPosition", "ProtocolName", "RequestAttributesSequence")

FRAME_OF_REFERENCE = ("FrameOfReferenceUID", "PositionReferenceIndicator")

LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")

#: Facts of the acquisition that stay true of a resampled image.
ACQUISITION = (
    "AcquisitionDate",
    "AcquisitionTime",
    "AcquisitionDateTime",
    "AcquisitionNumber",
    "ScanningSequence",
    "SequenceVariant",
    "ScanOptions",
    "MRAcquisitionType",
    "SequenceName",
    "AngioFlag",
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "NumberOfAverages",
    "ImagingFrequency",
    "ImagedNucleus",
    "EchoNumbers",
    "MagneticFieldStrength",
    "NumberOfPhaseEncodingSteps",
    "EchoTrainLength",
    "PercentSampling",
    "PercentPhaseFieldOfView",
    "PixelBandwidth",
    "ReconstructionDiameter",
    "ReceiveCoilName",
    "TransmitCoilName",
    "AcquisitionMatrix",
    "InPlanePhaseEncodingDirection",
    "FlipAngle",
    "VariableFlipAngleFlag",
    "SAR",
    "ContrastBolusAgent",
    "ContrastBolusRoute",
    "ContrastBolusVolume",
    "ContrastBolusStartTime",
    "ContrastBolusTotalDose",
    "ContrastBolusIngredient",
    "ContrastBolusIngredientConcentration",
    *LOSSY,
)

EQUIPMENT = (
    "Manufacturer",
    "ManufacturerModelName",
    "StationName",
    "DeviceSerialNumber",
    "SoftwareVersions",
    "InstitutionName",
    "InstitutionalDepartmentName",
)

GEOMETRY = (
    "Rows",
    "Columns",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
)

#: Of the image as stored: on a sheet of tiled slices it is not said whether they mean the sheet or one slice.
OF_WHOLE_IMAGE = ("ReconstructionDiameter", "AcquisitionMatrix")

#: Read, but not passed on as they are.
IDENTIFICATION = (
    "SpecificCharacterSet",
    "TimezoneOffsetFromUTC",
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "Modality",
    "BurnedInAnnotation",
    "EchoPulseSequence",
    "ContributingEquipmentSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "PhotometricInterpretation",
    "PresentationLUTShape",
    "ApplicableSafetyStandardAgency",
)

FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")

READ = (
    *PATIENT,
    *STUDY,
    *SERIES,
    *FRAME_OF_REFERENCE,
    *ACQUISITION,
    *EQUIPMENT,
    *GEOMETRY,
    *IDENTIFICATION,
    *FUNCTIONAL_GROUPS,
)

#: Functional group macro of a multi-frame image, its attribute, and the attribute of a classic image that says
#: the same (PS3.3 C.7.6.16.2 and C.8.13.5).
CLASSIC_FROM_FUNCTIONAL_GROUPS = (
    ("PixelMeasuresSequence", "PixelSpacing", "PixelSpacing"),
    ("PixelMeasuresSequence", "SliceThickness", "SliceThickness"),
    ("PixelMeasuresSequence", "SpacingBetweenSlices", "SpacingBetweenSlices"),
    ("PlanePositionSequence", "ImagePositionPatient", "ImagePositionPatient"),
    ("PlaneOrientationSequence", "ImageOrientationPatient", "ImageOrientationPatient"),
    ("FrameContentSequence", "FrameAcquisitionDateTime", "AcquisitionDateTime"),
    ("FrameContentSequence", "FrameAcquisitionNumber", "AcquisitionNumber"),
    ("MRTimingAndRelatedParametersSequence", "RepetitionTime", "RepetitionTime"),
    ("MRTimingAndRelatedParametersSequence", "FlipAngle", "FlipAngle"),
    ("MRTimingAndRelatedParametersSequence", "EchoTrainLength", "EchoTrainLength"),
    ("MREchoSequence", "EffectiveEchoTime", "EchoTime"),
    ("MRAveragesSequence", "NumberOfAverages", "NumberOfAverages"),
    ("MRImagingModifierSequence", "PixelBandwidth", "PixelBandwidth"),
    ("MRImagingModifierSequence", "TransmitterFrequency", "ImagingFrequency"),
    ("MRReceiveCoilSequence", "ReceiveCoilName", "ReceiveCoilName"),
    ("MRTransmitCoilSequence", "TransmitCoilName", "TransmitCoilName"),
    ("PixelValueTransformationSequence", "RescaleSlope", "RescaleSlope"),
    ("PixelValueTransformationSequence", "RescaleIntercept", "RescaleIntercept"),
    ("MRFOVGeometrySequence", "PercentSampling", "PercentSampling"),
    ("MRFOVGeometrySequence", "PercentPhaseFieldOfView", "PercentPhaseFieldOfView"),
)

#: The same for attributes of a Legacy Converted Enhanced MR image that have no macro: what all frames share, then what
#: each has of its own (PS3.3 C.7.6.16.2.25).
CLASSIC_FROM_CONVERTED = tuple(
    (f"Unassigned{of}ConvertedAttributesSequence", keyword, keyword)
    for of in ("Shared", "PerFrame")
    for keyword in (*SERIES, *ACQUISITION, *EQUIPMENT)
)

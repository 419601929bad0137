"""Features in words: what a reader who knows no radiomics can picture, beside the name and code of IBSI.

Names and codes are those of the DICOM context groups 7467 (GLCM), 7475 (GLRLM), 7476 (GLSZM), 7477 (shape), 7500
(NGTDM) and 7501 (NGLDM, which pyradiomics calls GLDM). A code speaks of the image as it is: a feature of a filtered
image has the name and the filter, but no code. First-order features have IBSI names without codes, for the reason
given in `models.radiomics.codes`; what IBSI does not define has neither.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LOG = re.compile(r"log-sigma-(?P<sigma>\d+-\d+)-mm-3D")
_UNITS = {
    "mm": "millimeter",
    "mm2": "square millimeter",
    "mm3": "cubic millimeter",
    "/mm": "per millimeter",
    "1": "no units",
}

#: By class and feature of pyradiomics: words, IBSI name, IBSI code, UCUM unit where it is not 1.
_TABLE: dict[str, tuple[str, ...]] = {
    "shape_Elongation": ("width over length", "Elongation", "Q3CK"),
    "shape_Flatness": ("thickness over length", "Flatness", "N17B"),
    "shape_LeastAxisLength": ("thickness", "Least Axis in 3D Length", "7J51", "mm"),
    "shape_MajorAxisLength": ("length", "Major Axis in 3D Length", "TDIC", "mm"),
    "shape_Maximum2DDiameterColumn": ("largest diameter, coronal", "", "", "mm"),
    "shape_Maximum2DDiameterRow": ("largest diameter, sagittal", "", "", "mm"),
    "shape_Maximum2DDiameterSlice": ("largest diameter in a slice", "", "", "mm"),
    "shape_Maximum3DDiameter": ("largest diameter", "Maximum 3D Diameter of a Mesh", "L0JK", "mm"),
    "shape_MeshVolume": ("volume", "Volume of Mesh", "RNU0", "mm3"),
    "shape_MinorAxisLength": ("width", "Minor Axis in 3D Length", "P9VJ", "mm"),
    "shape_Sphericity": ("roundness", "Sphericity", "QCFX"),
    "shape_SurfaceArea": ("surface area", "Surface Area of Mesh", "C0JK", "mm2"),
    "shape_SurfaceVolumeRatio": ("surface for its volume", "Surface to Volume Ratio", "2PR5", "/mm"),
    "shape_VoxelVolume": ("volume", "Volume from Voxel Summation", "YEKZ", "mm3"),
    "firstorder_10Percentile": ("signal of the darkest tenth", "10th Intensity Percentile", ""),
    "firstorder_90Percentile": ("signal of the brightest tenth", "90th Intensity Percentile", ""),
    "firstorder_Energy": ("signal energy", "Intensity-based Energy", ""),
    "firstorder_Entropy": ("variety of signal", "Intensity Histogram Entropy", ""),
    "firstorder_InterquartileRange": ("spread of signal, middle half", "Intensity Interquartile Range", ""),
    "firstorder_Kurtosis": ("share of extreme signal", "Intensity Kurtosis", ""),
    "firstorder_Maximum": ("brightest signal", "Maximum Intensity", ""),
    "firstorder_MeanAbsoluteDeviation": ("spread of signal", "Intensity-based Mean Absolute Deviation", ""),
    "firstorder_Mean": ("mean signal", "Mean Intensity", ""),
    "firstorder_Median": ("median signal", "Median Intensity", ""),
    "firstorder_Minimum": ("darkest signal", "Minimum Intensity", ""),
    "firstorder_Range": ("darkest to brightest signal", "Intensity Range", ""),
    "firstorder_RobustMeanAbsoluteDeviation": (
        "spread of signal, no extremes",
        "Intensity-based Robust Mean Absolute Deviation",
        "",
    ),
    "firstorder_RootMeanSquared": ("strength of signal", "Root Mean Square Intensity", ""),
    "firstorder_Skewness": ("tail towards bright signal", "Intensity Skewness", ""),
    "firstorder_TotalEnergy": ("signal energy over the volume", "", ""),
    "firstorder_Uniformity": ("sameness of signal", "Intensity Histogram Uniformity", ""),
    "firstorder_Variance": ("variance of signal", "Intensity Variance", ""),
    "glcm_Autocorrelation": ("bright beside bright", "Autocorrelation of GLCM", "QWB0"),
    "glcm_ClusterProminence": ("extreme neighbouring grey levels", "Cluster Prominence of GLCM", "AE86"),
    "glcm_ClusterShade": ("tail towards bright clusters", "Cluster Shade of GLCM", "7NFM"),
    "glcm_ClusterTendency": ("clusters of like grey levels", "Cluster Tendency of GLCM", "DG8W"),
    "glcm_Contrast": ("contrast between neighbours", "Contrast of GLCM", "ACUI"),
    "glcm_Correlation": ("neighbours resemble each other", "Correlation of GLCM", "NI2N"),
    "glcm_DifferenceAverage": ("mean step between neighbours", "Difference Average of GLCM", "TF7R"),
    "glcm_DifferenceEntropy": ("variety of steps between neighbours", "Difference Entropy of GLCM", "NTRS"),
    "glcm_DifferenceVariance": ("spread of steps between neighbours", "Difference Variance of GLCM", "D3YU"),
    "glcm_Id": ("smoothness", "Inverse Difference of GLCM", "IB1Z"),
    "glcm_Idm": ("smoothness, strict", "Inverse Difference Moment of GLCM", "WF0Z"),
    "glcm_Idmn": ("smoothness, strict, scaled", "Normalized Inverse Difference Moment of GLCM", "1QCO"),
    "glcm_Idn": ("smoothness, scaled", "Normalized Inverse Difference of GLCM", "NDRX"),
    "glcm_Imc1": ("order of the texture (1)", "First Measure of Information Correlation of GLCM", "R8DG"),
    "glcm_Imc2": ("order of the texture (2)", "Second Measure of Information Correlation of GLCM", "JN9H"),
    "glcm_InverseVariance": ("small steps between neighbours", "Inverse Variance of GLCM", "E8JP"),
    "glcm_JointAverage": ("mean grey level of neighbours", "Joint Average of GLCM", "60VM"),
    "glcm_JointEnergy": ("repetition of the texture", "Angular Second Moment of GLCM", "8ZQL"),
    "glcm_JointEntropy": ("disorder of the texture", "Joint Entropy of GLCM", "TU9B"),
    "glcm_MCC": ("complexity of the texture", "", ""),
    "glcm_MaximumProbability": ("share of the commonest pair", "Joint Maximum of GLCM", "GYBY"),
    "glcm_SumAverage": ("mean sum of neighbours", "Sum Average of GLCM", "ZGXS"),
    "glcm_SumEntropy": ("variety of sums of neighbours", "Sum Entropy of GLCM", "P6QZ"),
    "glcm_SumSquares": ("spread of neighbouring grey levels", "Joint Variance of GLCM", "UR99"),
    "gldm_DependenceEntropy": ("variety of grain", "Dependence count entropy", "FCBV"),
    "gldm_DependenceNonUniformity": ("uneven grain", "Dependence count non-uniformity", "Z87G"),
    "gldm_DependenceNonUniformityNormalized": (
        "uneven grain, scaled",
        "Dependence count non-uniformity normalized",
        "OKJI",
    ),
    "gldm_DependenceVariance": ("spread of grain", "Dependence count variance", "DNX2"),
    "gldm_GrayLevelNonUniformity": ("uneven brightness", "Grey level non-uniformity of NGLDM", "FP8K"),
    "gldm_GrayLevelVariance": ("spread of grey levels", "Grey level variance of NGLDM", "1PFV"),
    "gldm_HighGrayLevelEmphasis": ("share of bright voxels", "High grey level count emphasis", "OAE7"),
    "gldm_LargeDependenceEmphasis": ("coarse texture", "High dependence emphasis", "IMOQ"),
    "gldm_LargeDependenceHighGrayLevelEmphasis": (
        "coarse bright texture",
        "High dependence high grey level emphasis",
        "9QMG",
    ),
    "gldm_LargeDependenceLowGrayLevelEmphasis": (
        "coarse dark texture",
        "High dependence low grey level emphasis",
        "NBZI",
    ),
    "gldm_LowGrayLevelEmphasis": ("share of dark voxels", "Low grey level count emphasis", "TL9H"),
    "gldm_SmallDependenceEmphasis": ("fine texture", "Low dependence emphasis", "SODN"),
    "gldm_SmallDependenceHighGrayLevelEmphasis": (
        "fine bright texture",
        "Low dependence high grey level emphasis",
        "JA6D",
    ),
    "gldm_SmallDependenceLowGrayLevelEmphasis": (
        "fine dark texture",
        "Low dependence low grey level emphasis",
        "EQ3F",
    ),
    "glrlm_GrayLevelNonUniformity": (
        "uneven streak brightness",
        "Gray Level Nonuniformity in Runs",
        "R5YN",
    ),
    "glrlm_GrayLevelNonUniformityNormalized": (
        "uneven streak brightness, scaled",
        "Normalized Gray Level Nonuniformity in Runs",
        "OVBL",
    ),
    "glrlm_GrayLevelVariance": ("spread of streak brightness", "Gray Level Variance in Runs", "8CE5"),
    "glrlm_HighGrayLevelRunEmphasis": ("bright streaks", "High Gray Level Run Emphasis", "G3QZ"),
    "glrlm_LongRunEmphasis": ("long streaks", "Long Runs Emphasis", "W4KF"),
    "glrlm_LongRunHighGrayLevelEmphasis": ("long bright streaks", "Long Run High Gray Level Emphasis", "3KUM"),
    "glrlm_LongRunLowGrayLevelEmphasis": ("long dark streaks", "Long Run Low Gray Level Emphasis", "IVPO"),
    "glrlm_LowGrayLevelRunEmphasis": ("dark streaks", "Low Gray Level Run Emphasis", "V3SW"),
    "glrlm_RunEntropy": ("variety of streaks", "Run Entropy", "HJ9O"),
    "glrlm_RunLengthNonUniformity": ("uneven streak lengths", "Run Length Nonuniformity", "W92Y"),
    "glrlm_RunLengthNonUniformityNormalized": (
        "uneven streak lengths, scaled",
        "Normalized Run Length Nonuniformity",
        "IC23",
    ),
    "glrlm_RunPercentage": ("fineness of streaks", "Run Percentage", "9ZK5"),
    "glrlm_RunVariance": ("spread of streak lengths", "Run Length Variance", "SXLW"),
    "glrlm_ShortRunEmphasis": ("short streaks", "Short Runs Emphasis", "22OV"),
    "glrlm_ShortRunHighGrayLevelEmphasis": ("short bright streaks", "Short Run High Gray Level Emphasis", "GD3A"),
    "glrlm_ShortRunLowGrayLevelEmphasis": ("short dark streaks", "Short Run Low Gray Level Emphasis", "HTZT"),
    "glszm_GrayLevelNonUniformity": (
        "uneven patch brightness",
        "Gray Level Nonuniformity of Size Zone Counts",
        "JNSA",
    ),
    "glszm_GrayLevelNonUniformityNormalized": (
        "uneven patch brightness, scaled",
        "Normalized Gray Level Nonuniformity of Size Zone Counts",
        "Y1RO",
    ),
    "glszm_GrayLevelVariance": ("spread of patch brightness", "Gray Level Variance in Size Zones", "BYLV"),
    "glszm_HighGrayLevelZoneEmphasis": ("bright patches", "High Gray Level Zone Emphasis", "5GN9"),
    "glszm_LargeAreaEmphasis": ("large patches", "Large Zone Emphasis", "48P8"),
    "glszm_LargeAreaHighGrayLevelEmphasis": ("large bright patches", "Large Zone High Gray Level Emphasis", "J17V"),
    "glszm_LargeAreaLowGrayLevelEmphasis": ("large dark patches", "Large Zone Low Gray Level Emphasis", "YH51"),
    "glszm_LowGrayLevelZoneEmphasis": ("dark patches", "Low Gray Level Zone Emphasis", "XMSY"),
    "glszm_SizeZoneNonUniformity": ("uneven patch sizes", "Zone Size Nonuniformity", "4JP3"),
    "glszm_SizeZoneNonUniformityNormalized": (
        "uneven patch sizes, scaled",
        "Normalized Zone Size Nonuniformity",
        "VB3A",
    ),
    "glszm_SmallAreaEmphasis": ("small patches", "Small Zone Emphasis", "5QRC"),
    "glszm_SmallAreaHighGrayLevelEmphasis": ("small bright patches", "Small Zone High Gray Level Emphasis", "HW1V"),
    "glszm_SmallAreaLowGrayLevelEmphasis": ("small dark patches", "Small Zone Low Gray Level Emphasis", "5RAI"),
    "glszm_ZoneEntropy": ("variety of patches", "Zone Size Entropy", "GU8N"),
    "glszm_ZonePercentage": ("fineness of patches", "Size Zone Percentage", "P30P"),
    "glszm_ZoneVariance": ("spread of patch sizes", "Zone Size Variance", "3NSA"),
    "ngtdm_Busyness": ("rapid change of grey levels", "Busyness of NGTDM", "NQ30"),
    "ngtdm_Coarseness": ("coarseness", "Coarseness of NGTDM", "QCDE"),
    "ngtdm_Complexity": ("many primitive structures", "Complexity of NGTDM", "HDEZ"),
    "ngtdm_Contrast": ("local contrast", "Contrast of NGTDM", "65HE"),
    "ngtdm_Strength": ("distinctness of structures", "Strength of NGTDM", "1X9X"),
}


@dataclass(frozen=True, slots=True)
class FeatureWords:
    """One measured feature, in words.

    Attributes:
        sequence: T2WI, DWI or PVP.
        resolution: ``normal`` or ``super``.
        name: of pyradiomics, filter included.
        words: what it is in plain English; the pyradiomics name where it is not known.
        filter: what the image went through before, such as ``3 mm filter``; empty for the image as it is.
        ibsi: name in the words of IBSI; empty where IBSI defines none.
        code: IBSI code; empty where there is none, and for filtered images.
        unit: UCUM code.
        unit_meaning: of that code.
    """

    sequence: str
    resolution: str
    name: str
    words: str
    filter: str
    ibsi: str
    code: str
    unit: str
    unit_meaning: str


def in_words(name: str) -> FeatureWords:
    """The feature ``<sequence>|<resolution>|<pyradiomics name>`` in words."""
    sequence, resolution, feature = name.split("|", 2)
    image, _, measured = feature.partition("_")
    words, ibsi, code, unit = (*_TABLE.get(measured, (feature, "", "")), "1")[:4]
    through = _filter(image) if measured in _TABLE else ""
    return FeatureWords(
        sequence=sequence,
        resolution=resolution,
        name=feature,
        words=words,
        filter=through,
        ibsi=ibsi,
        code="" if image != "original" else code,
        unit=unit,
        unit_meaning=_UNITS[unit],
    )


def _filter(image: str) -> str:
    if image == "original":
        return ""
    gaussian = _LOG.fullmatch(image)
    if gaussian:
        return f"{float(gaussian['sigma'].replace('-', '.')):g} mm filter"
    return image.replace("-", " ")

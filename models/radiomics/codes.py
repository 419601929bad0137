"""The features that a structured report names by IBSI code.

Codes and meanings are those of the DICOM context groups 7467 (GLCM), 7477 (shape) and 7500 (NGTDM), coding
scheme `IBSI`. The groups hold no code for statistics of undiscretised intensities, so no first-order feature
is here: an intensity-histogram code on them would be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FeatureCode:
    """One reportable feature: pyradiomics name, IBSI code and meaning, UCUM unit and its meaning."""

    name: str
    value: str
    meaning: str
    unit: str
    unit_meaning: str


_MM, _MM2, _MM3, _ONE = (
    ("mm", "millimeter"),
    ("mm2", "square millimeter"),
    ("mm3", "cubic millimeter"),
    ("1", "no units"),
)

REPORTED: tuple[FeatureCode, ...] = (
    FeatureCode("original_shape_MeshVolume", "RNU0", "Volume of Mesh", *_MM3),
    FeatureCode("original_shape_VoxelVolume", "YEKZ", "Volume from Voxel Summation", *_MM3),
    FeatureCode("original_shape_SurfaceArea", "C0JK", "Surface Area of Mesh", *_MM2),
    FeatureCode("original_shape_Sphericity", "QCFX", "Sphericity", *_ONE),
    FeatureCode("original_shape_Elongation", "Q3CK", "Elongation", *_ONE),
    FeatureCode("original_shape_Flatness", "N17B", "Flatness", *_ONE),
    FeatureCode("original_shape_Maximum3DDiameter", "L0JK", "Maximum 3D Diameter of a Mesh", *_MM),
    FeatureCode("original_shape_MajorAxisLength", "TDIC", "Major Axis in 3D Length", *_MM),
    FeatureCode("original_glcm_JointEntropy", "TU9B", "Joint Entropy of GLCM", *_ONE),
    FeatureCode("original_glcm_Contrast", "ACUI", "Contrast of GLCM", *_ONE),
    FeatureCode("original_glcm_Correlation", "NI2N", "Correlation of GLCM", *_ONE),
    FeatureCode("original_glcm_Idm", "WF0Z", "Inverse Difference Moment of GLCM", *_ONE),
    FeatureCode("original_ngtdm_Coarseness", "QCDE", "Coarseness of NGTDM", *_ONE),
)

"""Pieces of MR headers that several vendors write alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import SimpleITK as sitk
from pydicom import DataElement, Dataset
from pydicom.valuerep import DSfloat

AGENT = "Gadobutrol"


def decimal(value: float) -> DSfloat:
    """DS with as many digits as its 16 characters hold (PS3.5 6.2)."""
    return DSfloat(value, auto_format=True)


def decimals(values: Sequence[float]) -> list[DSfloat]:
    """Multi-valued DS."""
    return [decimal(float(value)) for value in values]


def standard(elements: Mapping[str, object]) -> Dataset:
    """Data set of standard elements by keyword."""
    data_set = Dataset()
    for keyword, value in elements.items():
        setattr(data_set, keyword, value)
    return data_set


def copied(instance: Dataset) -> Dataset:
    """The same elements with the same values, to be given others without a change of `instance`.

    Sequences and lists are shared. A deep copy of an image's header takes several times as long.
    """
    copy = Dataset()
    copy.update({it.tag: DataElement(it.tag, it.VR, it.value, already_converted=True) for it in instance})
    return copy


def add_private(data_set: Dataset, group: int, creator: str, elements: Mapping[int, tuple[str, object]]) -> None:
    """Add private elements by element offset (0x00 to 0xFF) to the block of `creator`, reserving it if needed."""
    block = data_set.private_block(group, creator, create=True)
    for offset, (vr, value) in elements.items():
        block.add_new(offset, vr, value)


def plane_axis(image: sitk.Image) -> int:
    """Axis of the slice normal: 0 sagittal, 1 coronal, 2 axial."""
    normal = np.reshape(image.GetDirection(), (3, 3))[:, 2]
    return int(np.argmax(np.abs(normal)))


def plane_text(image: sitk.Image, names: Sequence[str], separator: str) -> str:
    """Main plane and tilt towards the next one in degrees, for example ``Tra>Cor(-6.2)``.

    `names` are those of sagittal, coronal and axial; `separator` has room for name and angle.
    """
    normal = np.reshape(image.GetDirection(), (3, 3))[:, 2]
    first, second = (int(axis) for axis in np.argsort(-np.abs(normal))[:2])
    angle = float(np.degrees(np.arctan2(normal[second], normal[first] * np.sign(normal[first]))))
    if abs(angle) < 0.05:
        return names[first]
    return names[first] + separator.format(names[second], angle)


def field_of_view(image: sitk.Image) -> tuple[int, int]:
    """Rows and columns in whole mm."""
    columns, rows, _ = image.GetSize()
    column_spacing, row_spacing, _ = image.GetSpacing()
    return round(rows * row_spacing), round(columns * column_spacing)


def slice_step(image: sitk.Image) -> float:
    """Distance of neighbouring slice centres, mm."""
    return float(image.GetSpacing()[2])

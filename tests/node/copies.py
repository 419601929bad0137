"""Copies of data sets."""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar

from pydicom import Dataset
from pydicom.dataelem import RawDataElement

Image = TypeVar("Image", bound=Dataset)


def copied(image: Image) -> Image:
    """An image that can be changed without the one it was copied from.

    It shares what nobody can change, which `deepcopy` alone would take ten times as long for: the tags, and the
    elements that were read and not looked at.
    """
    shared: dict[int, object] = {}
    for part in (image, getattr(image, "file_meta", Dataset())):
        for tag, element in part._dict.items():
            shared[id(tag)] = tag
            if isinstance(element, RawDataElement):
                shared[id(element)] = element
    return deepcopy(image, shared)

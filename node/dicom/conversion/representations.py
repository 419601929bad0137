"""Value representations of elements that come without one (PS3.6; the ambiguous ones: PS3.5 Annex A)."""

from __future__ import annotations

from collections.abc import Mapping

from pydicom.datadict import dictionary_VR

PIXEL_DATA = 0x7FE00010
BITS_ALLOCATED, PIXEL_REPRESENTATION = 0x00280100, 0x00280103
#: Elements on which depends how others are to be read; both are US.
DECISIVE = frozenset({BITS_ALLOCATED, PIXEL_REPRESENTATION})


def representation(tag: int, decisive: Mapping[int, int]) -> str:
    """The VR of an element; UN where nobody knows it.

    Args:
        tag: the element.
        decisive: values of `DECISIVE` elements, of the nearest data set that has them.
    """
    group, element = tag >> 16, tag & 0xFFFF
    if element == 0:
        return "UL"
    if group % 2:
        return "LO" if 0x10 <= element <= 0xFF else "UN"
    try:
        found = dictionary_VR(tag)
    except KeyError:
        return "UN"
    if found == "US or SS":
        return "SS" if decisive.get(PIXEL_REPRESENTATION) else "US"
    # Pixels, waveforms and overlays are OW where no representation is written, and may be of any size (PS3.5 A.1, A.2);
    # look-up tables may be too long for US.
    return "OW" if " or " in found else found

"""Legacy Converted Enhanced MR (PS3.3 A.71): what its frames were as classic images, wherever the conversion put it.

Elements of classic images for which there is no functional group, vendors' private ones among them, stand in Unassigned
Shared and Unassigned Per-Frame Converted Attributes (0020,9170), (0020,9171; PS3.3 C.7.6.16.2.25).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydicom import Dataset, config
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from node.recognition.header import elements as read

_FUNCTIONAL_GROUPS = frozenset({Tag("SharedFunctionalGroupsSequence"), Tag("PerFrameFunctionalGroupsSequence")})
_SHARED, _PER_FRAME = "UnassignedSharedConvertedAttributesSequence", "UnassignedPerFrameConvertedAttributesSequence"
#: Body Part Examined (0018,0015) by the meaning of its code, where that is not the term itself (PS3.16 Annex L). The
#: macro wants a region, so that converters write the entire body where the images name none.
_BODY_PARTS = {"ABDOMEN AND PELVIS": "ABDOMENPELVIS", "ENTIRE BODY": ""}
#: Where a frame lies, by functional group.
_PLACE = (
    ("PlanePositionSequence", "ImagePositionPatient"),
    ("PlaneOrientationSequence", "ImageOrientationPatient"),
    ("PixelMeasuresSequence", "PixelSpacing"),
    ("PixelMeasuresSequence", "SliceThickness"),
)
_FIRST_BLOCK, _LAST_BLOCK = 0x10, 0xFF

_Element = DataElement | RawDataElement
_Elements = Mapping[BaseTag, _Element]


def unassigned(dataset: Dataset, frame: int) -> tuple[Dataset, Dataset]:
    """The elements without a functional group of a 0-based frame: its own, the shared ones; empty for other images."""
    own, shared = _groups(dataset, frame)
    return read.item(own, _PER_FRAME), read.item(shared, _SHARED)


def holding(dataset: Dataset, frame: int, keyword: str) -> Dataset:
    """Where an element of classic images is stated: the data set itself, or what was not assigned of a frame."""
    if read.stated(dataset, keyword):
        return dataset
    return next((each for each in unassigned(dataset, frame) if read.stated(each, keyword)), dataset)


def classic(dataset: Dataset, frame: int) -> Dataset:
    """A 0-based frame as the image that it was: what was not assigned stands at the top level again.

    Of the functional groups come along what vendors' readers go by, where the frame lies and of what type it is, and
    the body part, which a conversion takes from the top level (A.71.4). What a frame says itself comes before what all
    share, and this before the top level, where a conversion sums up.
    """
    elements = {tag: element for tag, element in dataset.items() if tag not in _FUNCTIONAL_GROUPS}
    own, shared = unassigned(dataset, frame)
    for each in (shared, own):
        elements.update({element.tag: element for element in _without_clash(each, elements)})
    for macro, keyword in _PLACE:
        place = _macro(dataset, frame, macro)
        if keyword in place:
            elements[Tag(keyword)] = place.get_item(keyword, keep_deferred=True)
    # At once, because a data set converts private elements that are put into it, and some cannot be.
    image = Dataset({tag: element for tag, element in elements.items() if not _left_in_file(element)})
    frame_type = read.texts(_macro(dataset, frame, "MRImageFrameTypeSequence"), "FrameType")
    if frame_type:
        _put(image, "ImageType", list(frame_type))
    region = read.item(_macro(dataset, frame, "FrameAnatomySequence"), "AnatomicRegionSequence")
    meaning = read.text(region, "CodeMeaning").upper()
    body_part = _BODY_PARTS.get(meaning, meaning)
    if body_part and not read.stated(image, "BodyPartExamined"):
        _put(image, "BodyPartExamined", body_part)
    return image


def _put(image: Dataset, keyword: str, value: object) -> None:
    image.add(DataElement(Tag(keyword), "CS", value, validation_mode=config.IGNORE))


def _macro(dataset: Dataset, frame: int, keyword: str) -> Dataset:
    """A functional group of a frame: its own or, without one, the shared one."""
    return next((read.item(each, keyword) for each in _groups(dataset, frame) if keyword in each), Dataset())


def _groups(dataset: Dataset, frame: int) -> tuple[Dataset, Dataset]:
    """The functional groups of a frame: its own, and the shared ones."""
    frames = read.value(dataset, "PerFrameFunctionalGroupsSequence")
    own = frames[frame] if isinstance(frames, Sequence) and frame < len(frames) else Dataset()
    return own, read.item(dataset, "SharedFunctionalGroupsSequence")


def _left_in_file(element: _Element) -> bool:
    """Whether an element was too long to be read at once; nothing else knows the file that it is in."""
    return isinstance(element, RawDataElement) and element.value is None and element.length > 0


def _without_clash(item: Dataset, image: _Elements) -> Iterator[_Element]:
    """The elements of an item; private blocks (PS3.5 7.8.1) move where the image has another creator's in the place."""
    moved = _moved_blocks(item, image)
    for tag, element in item.items():
        block = (tag.group, tag.element if tag.is_private_creator else tag.element >> 8)
        if not tag.is_private or block not in moved:
            yield element
        elif tag.is_private_creator:
            yield _at(element, Tag(tag.group, moved[block]))
        else:
            yield _at(element, Tag(tag.group, moved[block] << 8 | tag.element & 0xFF))


def _moved_blocks(item: Dataset, image: _Elements) -> dict[tuple[int, int], int]:
    """By group and block of an item the free block for it; only blocks that the image has of another creator."""
    moved: dict[tuple[int, int], int] = {}
    for tag in item.keys():  # noqa: SIM118 - iterating a Dataset would convert every element
        if not tag.is_private_creator or tag not in image or _name(image[tag]) == _name(item.get_item(tag)):
            continue
        taken = {block for (group, _), block in moved.items() if group == tag.group}
        places = ((block, Tag(tag.group, block)) for block in range(_FIRST_BLOCK, _LAST_BLOCK + 1))
        free = (block for block, at in places if block not in taken and at not in image and at not in item)
        block = next(free, None)
        if block is not None:
            moved[tag.group, tag.element] = block
    return moved


def _name(creator: _Element) -> str:
    value = creator.value
    return value.decode("latin-1").strip("\0 ") if isinstance(value, bytes) else str(value).strip()


def _at(element: _Element, tag: BaseTag) -> _Element:
    """The same element under another tag."""
    if isinstance(element, RawDataElement):
        return element._replace(tag=tag)
    return DataElement(tag, element.VR, element.value)

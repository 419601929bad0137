"""Elements that a conversion had no functional group for are where a classic image has them."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from node.recognition.header.converted import classic, holding
from node.recognition.header.private import PrivateElements

GROUP = 0x0019


def private(creator: str, **elements: str) -> Dataset:
    """An item whose private block 0x10 is this creator's."""
    item = Dataset()
    block = item.private_block(GROUP, creator, create=True)
    for number, value in enumerate(elements.values()):
        block.add_new(number, "LO", value)
    return item


def whole(shared: Dataset, *own: Dataset) -> Dataset:
    dataset, group = Dataset(), Dataset()
    dataset.EchoTime = "1"
    group.UnassignedSharedConvertedAttributesSequence = [shared]
    dataset.SharedFunctionalGroupsSequence = [group]
    frames = []
    for item in own:
        frames.append(Dataset())
        frames[-1].UnassignedPerFrameConvertedAttributesSequence = [item]
    dataset.PerFrameFunctionalGroupsSequence = frames
    return dataset


def test_what_a_frame_says_itself_comes_first_then_what_all_share():
    shared, own = Dataset(), Dataset()
    shared.EchoTime, shared.RepetitionTime = "2", "20"
    own.RepetitionTime = "30"
    dataset = whole(shared, Dataset(), own)
    assert [(classic(dataset, index).EchoTime, classic(dataset, index).RepetitionTime) for index in (0, 1)] == [
        (2, 20),
        (2, 30),
    ]
    assert "PerFrameFunctionalGroupsSequence" not in classic(dataset, 0)


def test_blocks_of_two_creators_in_one_place_are_both_read():
    dataset = whole(private("SIEMENS MR HEADER", a="shared"), private("ANOTHER MAKER", a="own", b="more"))
    found = PrivateElements(classic(dataset, 0))
    assert found.text(GROUP, "SIEMENS MR HEADER", 0) == "shared"
    assert [found.text(GROUP, "ANOTHER MAKER", element) for element in (0, 1)] == ["own", "more"]
    assert not found.orphans


def test_a_block_of_one_creator_is_one_block():
    dataset = whole(private("SIEMENS MR HEADER", a="shared", b="of all"), private("SIEMENS MR HEADER", a="own"))
    found = PrivateElements(classic(dataset, 0))
    assert [found.text(GROUP, "SIEMENS MR HEADER", element) for element in (0, 1)] == ["own", "of all"]


def test_a_private_element_that_cannot_be_read_ends_nothing():
    shared = private("SIEMENS MR HEADER", a="shared")
    broken = Tag(GROUP, 0x1015)
    shared._dict[broken] = RawDataElement(broken, "FD", 5, b"12345", 0, False, True)
    found = PrivateElements(classic(whole(shared, Dataset()), 0))
    assert found.text(GROUP, "SIEMENS MR HEADER", 0) == "shared"
    assert found.numbers(GROUP, "SIEMENS MR HEADER", 0x15, "FD") == ()


def test_an_element_is_looked_for_in_the_data_set_then_in_the_frame_then_in_all():
    shared, own = Dataset(), Dataset()
    shared.RescaleSlope, own.RescaleSlope = "2", "3"
    dataset = whole(shared, own, Dataset())
    assert [holding(dataset, index, "RescaleSlope").RescaleSlope for index in (0, 1)] == [3, 2]
    dataset.RescaleSlope = "4"
    assert holding(dataset, 0, "RescaleSlope").RescaleSlope == 4
    assert holding(Dataset(), 0, "RescaleSlope") == Dataset()

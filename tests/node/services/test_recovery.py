"""A power cut between the row of an object and the durability of its name: the state that it leaves, made by hand."""

from __future__ import annotations

import os
import shutil

import pytest

from node.dicom.scu import store
from storage.recovery import clear_spool, finish_names


@pytest.fixture
def received(receiving, make_image):
    """An object that was received."""
    (outcome,) = store([make_image()], "127.0.0.1", receiving.port, "RECTALNODE", "SCANNER", 10)
    assert outcome.status == 0
    (record,) = receiving.index.instances("1.2.3")
    return receiving.store.absolute(record.file)


def back_in_the_spool(receiving, file):
    lost = receiving.store.spool / "of-a-writer-that-is-gone.part"
    shutil.move(file, lost)
    return lost


def test_a_complete_file_that_has_a_row_gets_its_name(receiving, received):
    content = received.read_bytes()
    lost = back_in_the_spool(receiving, received)
    assert finish_names(receiving.store, receiving.index) == 1
    assert received.read_bytes() == content
    assert not lost.exists()


def test_so_does_that_of_a_result_which_came_back_under_other_uids(receiving, make_image):
    """It was acknowledged as every other object."""
    image = make_image(Manufacturer="rectal-node")
    (outcome,) = store([image], "127.0.0.1", receiving.port, "RECTALNODE", "PACS", 10)
    assert outcome.status == 0
    assert receiving.index.instances("1.2.3") == ()
    (returned,) = (receiving.store.root / "objects").rglob("*.dcm")
    content = returned.read_bytes()
    os.utime(back_in_the_spool(receiving, returned), (0, 0))
    assert clear_spool(receiving.store, receiving.index, 3600) == 0
    assert returned.read_bytes() == content


def test_what_is_cut_short_or_has_no_row_stays_where_it_is(receiving, received, make_image):
    lost = back_in_the_spool(receiving, received)
    lost.write_bytes(lost.read_bytes()[:-10])
    unknown = receiving.store.spooled(make_image(9).read_bytes())
    assert finish_names(receiving.store, receiving.index) == 0
    assert sorted(receiving.store.leftovers()) == sorted([lost, unknown])
    assert not received.exists()


def test_a_file_that_has_its_name_is_left_alone(receiving, received):
    shutil.copy(received, receiving.store.spool / "copy.part")
    before = received.stat().st_ino
    assert finish_names(receiving.store, receiving.index) == 0
    assert received.stat().st_ino == before


def test_no_file_leaves_the_spool_before_it_is_known_that_no_object_lacks_it(receiving, received, make_image):
    lost = back_in_the_spool(receiving, received)
    unknown, fresh = (receiving.store.spooled(make_image(number).read_bytes()) for number in (8, 9))
    for path in (lost, unknown):
        os.utime(path, (0, 0))
    assert clear_spool(receiving.store, receiving.index, 3600) == 1
    assert received.exists()
    assert receiving.store.leftovers() == [fresh]


def test_a_file_whose_name_the_disk_refuses_stays_and_the_others_are_seen_to(receiving, received, make_image):
    lost = back_in_the_spool(receiving, received)
    received.parent.rmdir()
    received.parent.write_bytes(b"no folder")
    unknown = receiving.store.spooled(make_image(9).read_bytes())
    for path in (lost, unknown):
        os.utime(path, (0, 0))
    with pytest.raises(FileExistsError):
        clear_spool(receiving.store, receiving.index, 3600)
    assert receiving.store.leftovers() == [lost]
    received.parent.unlink()
    clear_spool(receiving.store, receiving.index, 3600)
    assert received.exists()

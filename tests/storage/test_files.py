"""The object store: whole or not there, never outside its root, never overwritten."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from storage.errors import HeaderError
from storage.files import ObjectStore
from storage.header import content_of
from storage.records import InstanceHeader

META = bytes(128) + b"DICM" + bytes.fromhex("02001000") + b"UI" + bytes([18, 0]) + b"1.2.840.10008.1.2\0"


@pytest.fixture
def store(tmp_path):
    return ObjectStore(tmp_path / "root")


@pytest.fixture
def header(make_header):
    return make_header()


def everything(store):
    return sorted(path for path in store.root.rglob("*") if path.is_file())


def test_bytes_come_back_as_they_were(store, header):
    file = store.store(META + b"data", header)
    assert store.absolute(file).read_bytes() == META + b"data"
    assert file.size == len(META) + 4
    assert file.digest == content_of(b"data").digest
    assert not file.path.is_absolute()


def test_a_file_of_the_spool_is_moved(store, header):
    spooled = store.spooled(META, memoryview(b"da"), b"ta")
    file = store.store(spooled, header)
    assert store.absolute(file).read_bytes() == META + b"data"
    assert everything(store) == [store.absolute(file)]


def test_the_same_data_set_is_one_file(store, header):
    first = store.store(META + b"data", header)
    second = store.store(store.spooled(META, b"data"), header)
    assert first == second
    assert everything(store) == [store.absolute(first)]


def test_a_revision_does_not_overwrite(store, header):
    first, second = store.store(META + b"one", header), store.store(META + b"two", header)
    assert first.path != second.path
    assert store.absolute(first).read_bytes() == META + b"one"


def test_a_damaged_file_is_written_anew(store, header):
    file = store.store(META + b"data", header)
    store.absolute(file).write_bytes(META + b"d")
    assert store.absolute(store.store(META + b"data", header)).read_bytes() == META + b"data"


@pytest.mark.parametrize("uid", ["..", "../../x", "/etc", "1.2/../3", "", "1" * 65])
@pytest.mark.parametrize("place", range(3))
def test_no_uid_leads_out_of_the_root(store, uid, place):
    uids = ["1.2.3.4.5", "1.2.3", "1.2.3.4"]
    uids[place] = uid
    with pytest.raises(HeaderError, match="is not a UID"):
        store.store(META + b"data", InstanceHeader("1.2", *uids, "1.2.840.10008.1.2"))
    assert everything(store) == []


def test_a_failed_write_leaves_nothing(store, header, monkeypatch):
    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        store.store(META + b"data", header)
    monkeypatch.undo()
    assert everything(store) == []


def test_the_file_is_durable_before_it_has_its_name_and_the_name_before_store_returns(store, header, monkeypatch):
    calls = []
    sync, replace = os.fsync, os.replace

    def noted_sync(descriptor: int) -> None:
        calls.append("directory" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        sync(descriptor)

    def noted_replace(source, target) -> None:
        calls.append("rename")
        replace(source, target)

    store.store(META + b"first, so that the folders exist", header)
    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted_replace)
    store.store(META + b"data", header)
    assert calls == ["file", "rename", "directory"]


def test_quarantine_keeps_bytes_and_reason_once(store):
    first = store.quarantine(b"no DICOM", "there is no DICM prefix")
    second = store.quarantine(store.spooled(b"no DICOM"), "there is no DICM prefix")
    assert first == second
    assert store.absolute(first).read_bytes() == b"no DICOM"
    note = json.loads(store.absolute(first).with_suffix(".json").read_text())
    assert note["reason"] == "there is no DICM prefix"
    assert len(everything(store)) == 2


def test_many_writers_of_the_same_object_leave_one_whole_file(store, header):
    data = META + bytes(100_000)
    with ThreadPoolExecutor(8) as pool:
        files = list(pool.map(lambda _: store.store(data, header), range(24)))
    assert len(set(files)) == 1
    assert everything(store) == [store.absolute(files[0])]
    assert store.absolute(files[0]).read_bytes() == data


def test_a_store_can_be_moved_to_another_root(store, header, tmp_path):
    file = store.store(META + b"data", header)
    store.root.rename(tmp_path / "elsewhere")
    assert ObjectStore(tmp_path / "elsewhere").absolute(file).read_bytes() == META + b"data"


def test_free_space_is_that_of_the_disk(store):
    assert 0 < store.free_bytes() < 1e18


def test_what_would_go_through_a_link_in_the_root_is_not_stored(store, header, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (store.root / "objects").mkdir(exist_ok=True)
    (store.root / "objects" / header.study_instance_uid).symlink_to(elsewhere)
    with pytest.raises(OSError, match="is not followed"):
        store.store(META + b"data", header)
    assert list(elsewhere.iterdir()) == []


def test_the_objects_may_lie_on_another_disk(store, header, tmp_path):
    (tmp_path / "disk").mkdir()
    (store.root / "objects").symlink_to(tmp_path / "disk")
    file = store.store(META + b"data", header)
    assert (tmp_path / "disk" / file.path.relative_to("objects")).read_bytes() == META + b"data"

"""Files, folders and archives that a person uploads go the way of what is received."""

from __future__ import annotations

import errno
import io
import logging
import re
import stat
import struct
import zipfile

import pytest

from node.operations import archives
from node.settings import ListenerSettings
from storage.audit import Audit, AuditSearch
from storage.records import StudyState

from ...storage.house import a_file
from .conftest import running_page


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Without any study."""
    with running_page(tmp_path_factory.mktemp("page")) as found:
        yield found


def became(answer):
    """What became of the files, and of how many."""
    return {kind: int(count) for kind, count in re.findall(r'data-became="(\w+)">(\d+)', answer.text)}


def an_archive(*entries, compression=zipfile.ZIP_DEFLATED):
    """A ZIP of (name or ZipInfo, bytes)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return buffer.getvalue()


def stored(page):
    return sorted(it.name for it in (page.settings.root / "objects").rglob("*.dcm"))


def test_a_file_is_stored_byte_for_byte_in_its_study_which_is_received(page, olga):
    data = a_file(1, study="1.2.10")
    answer = olga.send("/upload/file", data, "CD/IMG 1")
    assert "CD/IMG 1: stored" in answer.text
    assert 'href="/studies/1.2.10"' in answer.text
    (record,) = page.house.index.instances("1.2.10")
    assert page.house.files.absolute(record.file).read_bytes() == data
    assert (record.calling_ae, page.house.index.study("1.2.10").state) == ("PAGE", StudyState.RECEIVING)
    assert "was here before" in olga.send("/upload/file", data, "again").text


def test_each_file_of_an_archive_is_told_of(page, olga):
    broken = a_file(2, study="1.2.11", StudyInstanceUID="")
    data = an_archive(
        ("series/1", a_file(1, study="1.2.11")),
        ("series/2", broken),
        ("README.txt", b"drop the CD into the drive"),
        ("DICOMDIR", a_file(9, study="1.2.11")),
        ("more.zip", an_archive(("1", b"x"))),
    )
    answer = olga.send("/upload/file", data, "cd.zip")
    assert became(answer) == {"NEW": 1, "QUARANTINED": 1, "REFUSED": 3}
    assert "README.txt: not taken: no DICOM file" in answer.text
    assert "more.zip: not taken: an archive within an archive is not opened" in answer.text
    assert "DICOMDIR: not taken: the directory of a medium" in answer.text
    assert re.search("series/2: in quarantine: .*Study Instance UID", answer.text)
    assert len(page.house.index.instances("1.2.11")) == 1
    assert "PAGE" in olga.get("/quarantine").text
    assert page.house.files.leftovers() == []


def test_no_lease_is_left_when_an_upload_has_ended(page, olga):
    olga.send("/upload/file", a_file(1, study="1.2.12"))
    with page.house.engine.connect() as connection:
        assert connection.exec_driver_sql("select count(*) from association").scalar() == 0


def link(name):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info


TRICKS = {
    "../up.dcm": "leads out of its folder",
    "a/../../up.dcm": "leads out of its folder",
    "..\\up.dcm": "leads out of its folder",
    "/etc/cron.d/x": "has an absolute path",
    "\\\\host\\share\\x": "has an absolute path",
    "C:\\x.dcm": "names a drive",
    "d:x.dcm": "names a drive",
    "/".join("a" * 40): "lies in more than 32 folders",
    "x" * 1025: "has a name of more than 1024 characters",
}


@pytest.mark.parametrize("name", TRICKS)
def test_an_archive_with_a_name_that_leads_elsewhere_is_refused_as_a_whole(page, olga, name):
    before = stored(page)
    data = an_archive(("good.dcm", a_file(1, study="1.2.13")), (name, a_file(2, study="1.2.13")))
    answer = olga.send("/upload/file", data, "trick.zip")
    assert "the archive is refused" in answer.text
    assert TRICKS[name] in answer.text
    assert stored(page) == before
    assert page.house.files.leftovers() == []


def test_links_and_zero_bytes_are_refused(page, olga):
    assert "is a link" in olga.send("/upload/file", an_archive((link("passwd"), b"/etc/passwd"))).text
    data = an_archive(("good.dcmX../etc", b"x")).replace(b"good.dcmX", b"good.dcm\0")
    assert "has a zero byte" in olga.send("/upload/file", data).text


def test_what_unpacks_to_too_much_is_refused_before_it_is_unpacked(page, olga):
    answer = olga.send("/upload/file", an_archive(("zeros", bytes(2**27 + 1))))
    assert "more than 200 times its size" in answer.text


def test_what_an_archive_says_of_its_size_is_not_believed(page, olga):
    """It says that it unpacks to little; what comes out is counted, and ends where it said."""
    size = 2**20
    data = an_archive(("zeros", bytes(size))).replace(struct.pack("<L", size), struct.pack("<L", 10))
    answer = olga.send("/upload/file", data)
    assert "not taken" in answer.text or "broken" in answer.text


def test_an_archive_has_so_many_bytes_and_entries_at_most(tmp_path, monkeypatch):
    path = tmp_path / "x.zip"
    path.write_bytes(an_archive(("1", b"x" * 900), ("2", b"x" * 900), compression=zipfile.ZIP_STORED))
    with pytest.raises(archives.NodeError, match="unpacks to more than"), archives.opened(path, 1700):
        pass
    monkeypatch.setattr(archives, "MOST_ENTRIES", 1)
    with pytest.raises(archives.NodeError, match="more than 1 entries"), archives.opened(path, 2000):
        pass
    monkeypatch.setattr(archives, "LARGEST_DIRECTORY", 60)
    with pytest.raises(archives.NodeError, match="directory of the archive"), archives.opened(path, 2000):
        pass


def test_entries_are_counted_before_any_is_made_an_object(tmp_path, monkeypatch):
    """Whatever their count is said to be, also in ZIP64."""
    path = tmp_path / "x.zip"
    monkeypatch.setattr(archives, "MOST_ENTRIES", 2**16)
    small = an_archive(("1", b""), compression=zipfile.ZIP_STORED)
    entry = small[small.index(b"PK\x01\x02") : small.index(b"PK\x05\x06")]
    directory = entry * (2**16 + 1)
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(directory), 0)
    located = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(directory), 1)
    path.write_bytes(directory + end64 + located + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 2**32 - 1, 0, 0))
    monkeypatch.delattr(zipfile, "ZipInfo")
    with pytest.raises(archives.NodeError, match="more than 65536 entries"), archives.opened(path, 2000):
        pass


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_entry_of_which_a_few_bytes_unpack_to_many_is_not_opened(page, olga, method):
    data = an_archive(("1", a_file(1, study="1.2.16")), compression=method)
    assert f"it is packed by method {method}" in olga.send("/upload/file", data).text
    assert page.house.index.study("1.2.16") is None


def test_what_came_before_damage_is_told_and_put_on_record_without_a_name(page, olga, caplog):
    marked = "Müller^Eva"  # in UTF-8, which the entry states
    data = an_archive(("1", a_file(1, study="1.2.17")), (marked, a_file(2, study="1.2.17")))
    cut = bytearray(data)
    cut[data.index(marked.encode()) + 1] = 0xFF  # in front of its bytes, not in the directory
    answer = olga.send("/upload/file", bytes(cut), "broken.zip")
    assert "the archive is broken: UnicodeDecodeError" in answer.text
    assert became(answer) == {"NEW": 1}
    (event,) = Audit(page.house.engine).find(AuditSearch(limit=1))
    assert (event.succeeded, event.study_instance_uid) == (False, "1.2.17")
    assert event.detail == "1 NEW; the archive is broken: UnicodeDecodeError"
    with caplog.at_level(logging.INFO):
        answer = olga.send("/upload/file", an_archive((f"../{marked}", b"x")))
    assert marked in answer.text
    (event,) = Audit(page.house.engine).find(AuditSearch(limit=1))
    assert event.detail == "the archive is refused: an entry leads out of its folder"
    assert "leads out of its folder" in caplog.text
    assert "Eva" not in caplog.text


def test_what_came_before_the_disk_fails_is_told_and_put_on_record(page, olga, monkeypatch):
    """The disk does not give what lies in the second entry."""
    read, data = zipfile.ZipExtFile.read, an_archive(("1", a_file(1, study="1.2.18")), ("2", b"x"))

    def failing(source, size=-1):
        if source.name == "2":
            raise OSError(errno.EIO, "Input/output error")
        return read(source, size)

    monkeypatch.setattr(zipfile.ZipExtFile, "read", failing)
    answer = olga.send("/upload/file", data)
    assert "the node could not go on: OSError: Input/output error" in answer.text
    assert became(answer) == {"NEW": 1}
    (event,) = Audit(page.house.engine).find(AuditSearch(limit=1))
    assert event.detail.startswith("1 NEW; the node could not go on")


def test_an_order_that_ends_in_an_error_nobody_foresaw_is_put_on_record(page, olga, monkeypatch):
    read, data = zipfile.ZipExtFile.read, an_archive(("1", a_file(1, study="1.2.19")), ("2", b"x"))

    def failing(source, size=-1):
        if source.name == "2":
            raise KeyError
        return read(source, size)

    monkeypatch.setattr(zipfile.ZipExtFile, "read", failing)
    assert olga.send("/upload/file", data).status_code == 500
    (event,) = Audit(page.house.engine).find(AuditSearch(limit=1))
    assert (event.succeeded, event.study_instance_uid, event.detail) == (False, "1.2.19", "1 NEW")


def test_what_is_broken_or_encrypted_is_told(page, olga):
    data = an_archive(("1", a_file(1, study="1.2.14")))
    assert "the archive is broken" in olga.send("/upload/file", data[:-40]).text
    locked = bytearray(data)
    for place in (data.index(b"PK\x03\x04") + 6, data.index(b"PK\x01\x02") + 8):
        locked[place] |= 1
    assert "it is encrypted" in olga.send("/upload/file", bytes(locked)).text


def test_a_viewer_uploads_nothing_and_nobody_does_without_the_proof(page, olga, viktor):
    data = a_file(1, study="1.2.15")
    assert viktor.send("/upload/file", data).status_code == 403
    assert "operator" in viktor.get("/upload").text
    assert olga.send("/upload/file", data, **{"X-CSRF-Token": ""}).status_code == 403
    assert olga.send("/upload/file", data, Origin="https://evil.example").status_code == 403
    assert page.nobody().send("/upload/file", data).headers["HX-Redirect"].startswith("/sign-in")
    assert page.house.index.study("1.2.15") is None


def test_a_file_that_is_too_large_is_refused_before_it_comes(tmp_path):
    with running_page(tmp_path, largest_request_gb=1e-6) as found:
        answer = found.signed_in("olga").send("/upload/file", bytes(1001))
        assert answer.status_code == 413
        assert "at most 1e-06 GB" in answer.text
        assert found.house.files.leftovers() == []


def test_where_the_disk_is_short_nothing_is_taken(tmp_path):
    with running_page(tmp_path, {"listener": ListenerSettings(minimum_free_gb=1e9)}) as found:
        answer = found.signed_in("olga").send("/upload/file", a_file(1))
        assert (answer.status_code, "disk space is low" in answer.text) == (507, True)

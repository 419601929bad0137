"""Files, folders and archives that a person uploads go the way of what is received."""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile

import pytest

from node.operations import archives
from node.settings import ListenerSettings
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
    with pytest.raises(archives.NodeError, match="2 entries, 1 are allowed"), archives.opened(path, 2000):
        pass


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

"""A file as bytes by position, also when it changes below the reader."""

from __future__ import annotations

import hashlib

import pytest

from storage.errors import HeaderError
from storage.filebytes import FileBytes
from storage.header import content_of, file_meta


@pytest.fixture
def content(tmp_path):
    found = bytes(range(256)) * 400 + b"end"
    (tmp_path / "file").write_bytes(found)
    return found


@pytest.mark.parametrize(("begin", "end"), [(0, 4), (100, 20000), (16380, 16390), (102400, 102403), (0, None), (5, 5)])
def test_slices_are_those_of_the_bytes(tmp_path, content, begin, end):
    with (tmp_path / "file").open("rb") as file:
        found = FileBytes(file)
        assert len(found) == len(content)
        assert found[begin:end] == content[begin:end]
        assert found[0:3] == content[0:3]  # and back again


def test_beyond_the_end_there_is_nothing(tmp_path, content):
    with (tmp_path / "file").open("rb") as file:
        assert FileBytes(file)[len(content) - 1 : len(content) + 50] == content[-1:]
        assert FileBytes(file)[len(content) + 5 : len(content) + 50] == b""


def test_a_file_that_is_cut_short_while_it_is_read_ends_early_and_not_the_process(tmp_path, content):
    """Touching a mapping of it would be SIGBUS, as for a disk that fails."""
    with (tmp_path / "file").open("rb") as file:
        found = FileBytes(file)
        (tmp_path / "file").write_bytes(content[:5000])
        assert found[4000:90000] == content[4000:5000]
        assert found[90000:90010] == b""


def test_a_disk_that_cannot_be_read_is_an_error_of_the_system(tmp_path, content):
    with (tmp_path / "file").open("rb") as file:
        found = FileBytes(file)
    with pytest.raises(OSError, match="Bad file descriptor"):
        found[0:10]


def test_an_empty_file_is_no_dicom_file(tmp_path):
    (tmp_path / "empty").touch()
    with (tmp_path / "empty").open("rb") as file, pytest.raises(HeaderError, match="no DICM prefix"):
        file_meta(FileBytes(file))


def test_the_digest_is_that_of_the_whole_content(tmp_path):
    big = b"no DICOM " * 200_000
    (tmp_path / "big").write_bytes(big)
    assert content_of(tmp_path / "big").digest == hashlib.sha256(big).hexdigest()

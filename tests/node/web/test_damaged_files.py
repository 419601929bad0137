"""Stored files whose bytes have changed: whatever is asked of them, the caller is told and the service goes on."""

from __future__ import annotations

import random

import pytest
import requests

from ..encoded_images import ENCODINGS, encode
from .conftest import running_web
from .test_transfer_syntaxes import an_image_of_frames, as_file
from .test_wado import FILES, OCTETS

CHANGES = 6
"""Changed files of each transfer syntax."""

ASKED = (
    ("", FILES),
    ("/metadata", "application/dicom+json"),
    ("/frames/1,2,3", OCTETS),
    ("/frames/2", OCTETS + "; transfer-syntax=*"),
    ("/bulkdata/7FE00010", "*/*"),
    ("/rendered", "image/png"),
)
_META = 132
_HEADER = 1100


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    with running_web(tmp_path_factory.mktemp("web")) as found:
        yield found


def changed(data: bytes, dice: random.Random) -> bytes:
    """A few bytes are others, behind the preamble; half of them before the pixels."""
    made = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 5, 20))):
        end = len(made) if dice.random() < 0.5 else min(len(made), _HEADER)
        made[dice.randrange(_META, end)] = dice.randrange(256)
    return bytes(made)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_of_a_changed_file_the_caller_is_told(web, encoding):
    number = ENCODINGS.index(encoding)
    made = encode(an_image_of_frames(), encoding)
    made.StudyInstanceUID, made.SeriesInstanceUID = f"1.2.{number}", f"1.2.{number}.1"
    place = f"/studies/1.2.{number}/series/1.2.{number}.1/instances/1.2.{number}.1.1"
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = f"1.2.{number}.1.1"
    web.receive(as_file(made))
    (path,) = (web.files.root / "objects" / f"1.2.{number}").rglob("*.dcm")
    whole, dice = path.read_bytes(), random.Random(number)
    for _ in range(CHANGES):
        path.write_bytes(changed(whole, dice))
        for asked, accept in ASKED:
            try:
                answer = web.get(place + asked, accept)
            except requests.RequestException:
                assert asked in ("/frames/1,2,3", "/bulkdata/7FE00010")  # a frame behind the first one is damaged
                continue
            assert answer.status_code in (200, 404, 406, 500)
            assert answer.status_code != 500 or answer.text == "a stored file cannot be read\n"
    path.write_bytes(whole)
    assert web.get(f"/studies/1.2.{number}/metadata").status_code == 200

"""STOW-RS on a real socket: what is stored, refused and told (PS3.18 10.5)."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import socket
import time
from datetime import UTC, datetime

import pytest
import requests
from pydicom import dcmread
from sqlalchemy import select

from storage.schema import quarantine

from .conftest import an_image

TYPE = 'multipart/related; type="application/dicom"; boundary=limit'
REFERENCED, FAILED, OTHERS = "00081199", "00081198", "0008119A"


def a_message(*files, part_type="application/dicom"):
    body = b"".join(b"--limit\r\nContent-Type: %s\r\n\r\n%s\r\n" % (part_type.encode(), data) for data in files)
    return body + b"--limit--\r\n"


def post(web, body, path="/studies", content_type=TYPE, **headers):
    return requests.post(web.url + path, data=body, headers={"Content-Type": content_type} | headers, timeout=60)


def reasons(answer, sequence=FAILED):
    return [item["00081197"]["Value"][0] for item in answer.json()[sequence]["Value"]]


@pytest.fixture
def web(start):
    return start()


def test_objects_are_stored_byte_for_byte_and_told(web):
    files = [an_image(1), an_image(2)]
    answer = post(web, a_message(*files))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/dicom+json")
    told = answer.json()
    assert [item["00081155"]["Value"] for item in told[REFERENCED]["Value"]] == [["1.2.3.1.1"], ["1.2.3.1.2"]]
    assert told["00081190"]["Value"] == [f"{web.url}/studies/1.2.3"]
    assert FAILED not in told
    kept = {path.read_bytes() for path in (web.files.root / "objects").rglob("*.dcm")}
    assert kept == set(files)
    assert len(web.index.instances("1.2.3")) == 2


def test_what_was_stored_can_be_retrieved_at_once(web):
    told = post(web, a_message(an_image(1))).json()
    address = told[REFERENCED]["Value"][0]["00081190"]["Value"][0]
    assert requests.get(address, headers={"Accept": "application/dicom"}, timeout=60).content == an_image(1)


def test_one_object_can_come_without_a_message_around_it(web):
    assert post(web, an_image(1), content_type="application/dicom").status_code == 200
    assert len(web.index.instances("1.2.3")) == 1


def test_the_same_object_again_is_a_duplicate_and_success(web):
    assert [post(web, a_message(an_image(1))).status_code for _ in range(2)] == [200, 200]
    assert len(web.stored()) == 1


def test_other_content_under_the_same_uid_is_a_revision_and_nothing_is_lost(web):
    files = [an_image(1), an_image(1, ImageComments="corrected")]
    assert [post(web, a_message(data)).status_code for data in files] == [200, 200]
    assert {path.read_bytes() for path in (web.files.root / "objects").rglob("*.dcm")} == set(files)
    (latest,) = web.index.instances("1.2.3")
    assert latest.revision == 2


def test_an_object_of_another_study_than_that_of_the_path_is_refused_and_kept_in_quarantine(web):
    answer = post(web, a_message(an_image(1), an_image(1, study="1.2.4")), "/studies/1.2.3")
    assert answer.status_code == 202
    assert reasons(answer) == [0xA900]
    assert answer.json()[FAILED]["Value"][0]["00081155"]["Value"] == ["1.2.4.1.1"]
    assert web.index.instances("1.2.4") == ()
    with web.engine.connect() as connection:
        (row,) = connection.execute(select(quarantine)).all()
    assert "Study Instance UID is 1.2.4" in row.reason
    assert row.calling_ae == "LOCAL"


def test_a_part_that_is_no_dicom_is_refused_and_the_others_are_stored(web):
    answer = post(web, a_message(b"no DICOM at all", an_image(1), an_image(2)[:-20]))
    assert answer.status_code == 202
    assert reasons(answer, OTHERS) == [0xC000]
    assert reasons(answer) == [0xC000]
    assert answer.json()[FAILED]["Value"][0]["00081155"]["Value"] == ["1.2.3.1.2"]
    assert len(web.index.instances("1.2.3")) == 1


def test_where_nothing_could_be_stored_the_status_says_so(web):
    assert post(web, a_message(b"no DICOM at all")).status_code == 409


def test_an_object_that_is_too_large_is_refused_alone(start):
    web = start(largest_object_gb=20_000 / 1e9)
    answer = post(web, a_message(an_image(1, PixelData=bytes(30_000)), an_image(2)))
    assert answer.status_code == 202
    assert reasons(answer) == [0xA700]
    assert answer.json()[FAILED]["Value"][0]["00081155"]["Value"] == ["1.2.3.1.1"]
    assert not list(web.files.spool.iterdir())


def test_a_request_that_is_too_large_is_refused(start):
    web = start(largest_request_gb=2_000_000 / 1e9)
    body = a_message(an_image(1, PixelData=bytes(3_000_000)))
    answer = post(web, body)
    assert answer.status_code == 413
    in_pieces = (body[begin : begin + 2**16] for begin in range(0, len(body), 2**16))
    with contextlib.suppress(requests.ConnectionError):  # the rest of the body is not waited for
        assert post(web, in_pieces).status_code == 413
    assert web.index.instances("1.2.3") == ()
    assert not list(web.files.spool.iterdir())


def test_without_room_on_the_disk_the_sender_keeps_its_objects(start):
    web = start(minimum_free_gb=1e6)
    answer = post(web, a_message(an_image(1)))
    assert answer.status_code == 503
    assert reasons(answer) == [0xA700]


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ('multipart/related; type="application/dicom+json"; boundary=limit', b"", 415),
        ('multipart/related; type="application/dicom"', a_message(b""), 400),
        (TYPE, b"", 400),
        (TYPE, b"--limit--\r\n", 400),
        (TYPE, b"no message", 400),
        (TYPE, a_message(b"x")[:-12], 400),
        ("multipart/related; boundary=limit", a_message(an_image(1)), 200),
        ('multipart/related; type=application/dicom; boundary="limit"', a_message(an_image(1)), 200),
    ],
)
def test_a_body_is_a_message_of_dicom_objects_or_refused(web, content_type, body, status):
    assert post(web, body, content_type=content_type).status_code == status


def test_a_message_that_breaks_off_keeps_what_was_whole(web):
    answer = post(web, a_message(an_image(1), an_image(2))[:-300])
    assert answer.status_code == 400
    assert "1 objects before it were stored" in answer.text
    assert len(web.index.instances("1.2.3")) == 1
    assert not list(web.files.spool.iterdir())


def test_an_open_request_holds_its_study_until_it_ends(web):
    whole = a_message(an_image(1), an_image(2))
    connection = http.client.HTTPConnection("127.0.0.1", web.server.port, timeout=60)
    connection.putrequest("POST", "/dicom-web/studies")
    connection.putheader("Content-Type", TYPE)
    connection.putheader("Content-Length", str(len(whole) + 2**19))
    connection.endheaders()
    first = a_message(an_image(1)).removesuffix(b"--limit--\r\n")
    connection.send(first + b"--limit\r\n\r\n" + bytes(2**18))
    until = time.monotonic() + 30
    while not web.index.open_associations(datetime.now(UTC)) and time.monotonic() < until:
        time.sleep(0.02)
    assert web.index.open_associations(datetime.now(UTC)) == {"1.2.3": 1}
    connection.close()
    while web.index.open_associations(datetime.now(UTC)) and time.monotonic() < until:
        time.sleep(0.02)
    assert web.index.open_associations(datetime.now(UTC)) == {}
    assert not list(web.files.spool.iterdir())


def test_a_body_that_comes_too_slowly_is_not_waited_for(start):
    web = start(network_timeout_s=0.3)
    with socket.create_connection(("127.0.0.1", web.server.port), 30) as slow:
        slow.sendall(
            f"POST /dicom-web/studies HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {TYPE}\r\n"
            "Content-Length: 100\r\n\r\n--limit".encode()
        )
        assert b" 408 " in slow.recv(1000).splitlines()[0]


def test_a_large_object_is_never_held_whole(web):
    """Of 64 MB of pixels, on their way in and out, what the process holds more at its most is a small part."""
    body = a_message(an_image(1, PixelData=bytes(2**26)))
    _peak_kb()
    before = _peak_kb()
    assert post(web, _in_pieces(body)).status_code == 200
    accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
    with requests.get(f"{web.url}/studies/1.2.3", headers=accept, timeout=60, stream=True) as answer:
        assert sum(len(piece) for piece in answer.iter_content(2**16)) > 2**26
    assert _peak_kb() - before < 2**14


def _in_pieces(body):
    view = memoryview(body)
    for begin in range(0, len(view), 2**16):
        yield bytes(view[begin : begin + 2**16])


def _peak_kb():
    """The most that this process, which is that of the service as well, has held since it was asked the last time."""
    with open("/proc/self/status") as status:
        found = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    with open("/proc/self/clear_refs", "w") as reset:
        reset.write("5")
    return found


def test_refusals_are_text_and_data_sets_are_json(web):
    refused = post(web, a_message(an_image(1)), Accept='multipart/related; type="application/dicom+xml"')
    assert refused.status_code == 406
    told = json.loads(post(web, a_message(an_image(1)), Accept="application/json").content)
    assert REFERENCED in told
    assert dcmread(io.BytesIO(an_image(1))).SOPInstanceUID == told[REFERENCED]["Value"][0]["00081155"]["Value"][0]

"""What is held in quarantine can be looked at, loaded down, mended and ended on the page."""

from __future__ import annotations

import pytest

from storage.audit import Audit, AuditAction, AuditSearch
from storage.quarantine import DAMAGED_HERE

from ...storage.house import a_file
from .conftest import NOW, running_page

BROKEN = a_file(1, study="1.2.20", StudyInstanceUID="")


@pytest.fixture
def page(tmp_path):
    """With one entry, number 1."""
    with running_page(tmp_path) as found:
        found.signed_in("olga").send("/upload/file", BROKEN)
        yield found


def test_an_entry_says_why_it_is_held_and_what_the_node_of_today_makes_of_it(page):
    viktor = page.signed_in("viktor")
    assert 'href="/quarantine/1"' in viktor.get("/quarantine").text
    text = viktor.get("/quarantine/1").text
    assert text.count("Study Instance UID") == 2
    assert "from PAGE" in text
    assert "/discard" not in text
    assert viktor.get("/quarantine/1/file").content == BROKEN
    assert viktor.get("/quarantine/9").status_code == 404


def test_a_mended_file_takes_its_place(page):
    olga = page.signed_in("olga")
    still = olga.send("/quarantine/1/file", BROKEN).text
    assert "stays, the mended file is not taken in" in still
    mended = a_file(1, study="1.2.20")
    assert "of study 1.2.20: NEW" in olga.send("/quarantine/1/file", mended).text
    assert "released: mended by olga" in olga.get("/quarantine/1").text
    assert len(page.house.index.instances("1.2.20")) == 1
    assert olga.get("/quarantine/1/file").status_code == 404
    assert "was released before" in olga.send("/quarantine/1/file", mended).text
    found = Audit(page.house.engine).find(AuditSearch(study_instance_uid="1.2.20"))
    assert [(it.action, it.detail) for it in found] == [(AuditAction.RELEASED, "mended")]


OTHERS = {
    "another patient's": (a_file(1, study="1.2.21"), "its Series Instance UID is 1.2.21.1, that of the entry 1.2.20.1"),
    "another image": (a_file(2, study="1.2.20"), "its SOP Instance UID is 1.2.20.1.2, that of the entry 1.2.20.1.1"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_file_of_another_object_does_not_take_its_place(page, other):
    olga, (data, sentence) = page.signed_in("olga"), OTHERS[other]
    assert sentence in olga.send("/quarantine/1/file", data).text
    assert olga.get("/quarantine/1/file").content == BROKEN
    assert [page.house.index.study(it) for it in ("1.2.20", "1.2.21")] == [None, None]


UID_TAGS = (b"\x08\x00\x18\x00UI", b"\x20\x00\x0e\x00UI", b"\x20\x00\x0d\x00UI")


@pytest.mark.parametrize("missing", [UID_TAGS[:1], UID_TAGS])
def test_what_need_not_be_of_the_entry_leaves_its_file(page, missing):
    """An object that is here already, and an entry that does not say which it is."""
    olga, whole = page.signed_in("olga"), a_file(1, study="1.2.22")
    unnamed = whole
    for tag in missing:
        unnamed = unnamed.replace(tag, tag[:2] + b"\x0b\x00UI")
    for data in (unnamed, whole):
        olga.send("/upload/file", data)
    assert "stays, the mended file is not taken in" in olga.send("/quarantine/2/file", whole).text
    assert olga.get("/quarantine/2/file").content == unnamed


def test_a_result_of_this_node_takes_no_place(page):
    """Nothing of it is stored."""
    own = a_file(1, study="1.2.23")
    page.house.receive(a_file(2, study="1.2.23"))
    page.house.make(own, "report")
    olga, cut = page.signed_in("olga"), own[:-3]
    olga.send("/upload/file", cut)
    assert "it is a result of this node" in olga.send("/quarantine/2/file", own).text
    assert olga.get("/quarantine/2/file").content == cut


def test_what_was_damaged_here_is_not_mended_by_hand(page):
    cut = a_file(1, study="1.2.24")[:-3]
    reason = f"object 1.2.24.1.1 {DAMAGED_HERE}"
    page.house.index.keep_quarantine(page.house.files.quarantine(cut, reason), reason, "SCANNER", NOW)
    olga = page.signed_in("olga")
    assert DAMAGED_HERE in olga.send("/quarantine/2/file", a_file(1, study="1.2.24")).text
    assert olga.get("/quarantine/2/file").content == cut


def test_what_can_be_indexed_today_is_released_and_what_is_discarded_needs_a_reason(page):
    olga = page.signed_in("olga")
    assert "stays" in olga.post("/quarantine/1/release").text
    assert "say why" in olga.post("/quarantine/1/discard").text
    assert "It is discarded." in olga.post("/quarantine/1/discard", {"reason": "a phantom"}).text
    assert "discarded by olga: a phantom" in olga.get("/quarantine/1").text


def test_a_viewer_mends_nothing(page):
    assert page.signed_in("viktor").send("/quarantine/1/file", a_file(1, study="1.2.20")).status_code == 403

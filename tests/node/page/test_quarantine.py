"""What is held in quarantine can be looked at, loaded down, mended and ended on the page."""

from __future__ import annotations

import pytest

from ...storage.house import a_file
from .conftest import running_page

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


def test_what_can_be_indexed_today_is_released_and_what_is_discarded_needs_a_reason(page):
    olga = page.signed_in("olga")
    assert "stays" in olga.post("/quarantine/1/release").text
    assert "say why" in olga.post("/quarantine/1/discard").text
    assert "It is discarded." in olga.post("/quarantine/1/discard", {"reason": "a phantom"}).text
    assert "discarded by olga: a phantom" in olga.get("/quarantine/1").text


def test_a_viewer_mends_nothing(page):
    assert page.signed_in("viktor").send("/quarantine/1/file", a_file(1, study="1.2.20")).status_code == 403

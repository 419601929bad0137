"""Rules of recognition are tried on headers that are dropped and on the studies that are here; nothing is kept."""

from __future__ import annotations

import io
import re
import struct
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydicom import dcmread

from node.operations import rule_trial
from node.operations.rule_trial import as_text, starting_text
from node.recognition.rules.table import shipped
from node.settings import RecognitionSettings, Settings, recognition_in
from storage.audit import Audit, AuditSearch

from ...storage.house import a_file
from ..results.conftest import STUDY_UID

UNWANTED = """[[recognition.rules]]
name = "long echo"
finding = "UNWANTED"
when.te_ms = { min = 90 }
"""


def together(text, *files):
    """What the browser sends: parts, each after its length."""
    parts = [text.encode(), *(part for name, data in files for part in (name.encode(), data))]
    return b"".join(struct.pack("<L", len(part)) + part for part in parts)


@pytest.fixture(scope="module")
def headers(t2wi):
    """The headers of a series, up to their pixels, by name."""
    found = []
    for number, frame in enumerate(t2wi.results.plan.stacks[0].frames):
        data = frame.path.read_bytes()
        found.append((f"T2/IM{number}", data[: data.rindex(b"\xe0\x7f\x10\x00")]))
    return found


def kept(page):
    return sorted(it for it in page.settings.root.rglob("*") if it.is_file() and it.suffix in (".dcm", ".part"))


def series(text):
    """What is said of the series."""
    return re.search(rf'<article data-series="{re.escape(STUDY_UID)}.5">(.*?)</article>', text, re.DOTALL).group(1)


def test_headers_alone_tell_the_role_of_a_series_and_what_every_rule_found(page, olga, headers):
    before = kept(page)
    said = series(olga.send("/rules/file", together("", *headers)).text)
    assert '<strong class="good">T2WI</strong>' in said
    assert [name for name in (rule.name for rule in shipped()) if f">{name} <small>" not in said] == []
    deciding = said.partition('<tr class="decides">')[2].partition("</tr>")[0]
    assert "✓" in deciding
    assert "✗" in said
    assert "8 slices" in said
    assert kept(page) == before


def test_an_edited_rule_is_seen_at_once(olga, headers):
    said = series(olga.send("/rules/file", together(UNWANTED, *headers)).text)
    assert "not used" in said
    assert "rule: long echo" in said
    assert re.search(r"at least 90 ms</td>\s*<td class=\"good\">✓ 101 ms", said)


def test_what_it_would_change_of_stored_studies_is_told_with_how_many_were_looked_at(page, olga):
    nothing = olga.post("/rules/stored", {"text": ""})
    assert "1 of 1 stored studies were looked at, those that came last; 0 would change." in nothing.text
    answer = olga.post("/rules/stored", {"text": UNWANTED})
    assert "1 would change" in answer.text
    assert f"/studies/{STUDY_UID}" in answer.text
    assert "T2WI: series 5 -&gt; " in answer.text
    assert page.settings.recognition.rules == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[recognition.rules]\n", "not valid TOML"),
        (UNWANTED.replace("te_ms", "te"), "recognition.rules &#39;long echo&#39;: unknown fact"),
        (UNWANTED.replace("UNWANTED", "NONE"), "recognition.rules &#39;long echo&#39;: unknown finding"),
        ("[recognition]\nminimum_slices = 'x'", "text:2: recognition.minimum_slices"),
        ("root = '/'", "text:1: root: unknown key"),
        (UNWANTED.replace("te_ms = { min = 90 }", "description = { matches = 't2' }"), "text and circumstances alone"),
    ],
)
def test_a_text_that_cannot_be_is_refused_by_its_line(olga, text, sentence):
    for answer in (olga.post("/rules/stored", {"text": text}), olga.send("/rules/file", together(text))):
        assert sentence in answer.text


def test_a_pattern_that_never_ends_is_ended_and_stops_nobody_meanwhile(olga, viktor, headers, monkeypatch):
    monkeypatch.setattr(rule_trial, "LIMIT_S", 5.0)
    endless = "(" + "|".join([".*"] * 9) + ")+#"
    text = UNWANTED + f"when.description = {{ matches = '(({endless})+)+' }}\n"
    with ThreadPoolExecutor(1) as pool:
        trial = pool.submit(olga.send, "/rules/file", together(text, *headers))
        while not trial.done():
            began = time.monotonic()
            assert viktor.get("/rules").status_code == 200
            assert time.monotonic() - began < 5
            time.sleep(0.5)
    assert "the trial of the rules was ended" in trial.result().text


def test_files_that_tell_nothing_are_named_as_the_person_knows_them_and_to_nobody_else(page, olga, headers):
    answer = olga.send("/rules/file", together("", ("notes.txt", b"no DICOM")))
    assert "notes.txt" in answer.text
    assert ".part" not in answer.text
    (event,) = Audit(page.house.engine).find(AuditSearch(limit=1))
    assert "no DICOM file that can be read" in event.detail
    assert "notes" not in event.detail
    answer = olga.send("/rules/file", together("", ("notes.txt", b"no DICOM"), *headers))
    assert "notes.txt" in answer.text
    assert '<strong class="good">' in answer.text


def test_what_the_page_begins_with_means_what_is_configured():
    assert recognition_in(as_text(shipped()), RecognitionSettings()).rules == shipped()
    own = recognition_in(UNWANTED, RecognitionSettings())
    text = starting_text(Settings(recognition=own), "localizer")
    names = [rule.name for rule in recognition_in(text, RecognitionSettings()).rules]
    assert names == ["long echo", "localizer"]


def test_the_page_shows_the_text_of_a_shipped_rule(olga, viktor):
    assert "name = &#34;localizer&#34;" in olga.get("/rules?start=localizer").text
    assert "operator" in viktor.get("/rules").text


def test_a_viewer_tries_nothing(viktor, headers):
    assert viktor.send("/rules/file", together("", *headers)).status_code == 403
    assert viktor.post("/rules/stored", {"text": ""}).status_code == 403


def test_names_in_headers_are_text(olga):
    data = a_file(1, SeriesDescription="<script>alert(1)</script>")
    cut = io.BytesIO()
    dcmread(io.BytesIO(data)).save_as(cut)
    text = olga.send("/rules/file", together("", ("<b>", cut.getvalue()))).text
    assert "<script>" not in text
    assert "&lt;script&gt;" in text

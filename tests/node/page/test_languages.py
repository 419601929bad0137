"""The page in Chinese: every text has its words, and who reads gets his language."""

from __future__ import annotations

import re

import pytest
import requests

from node.page.languages import COOKIE, LANGUAGES, LOCALE, SOURCE, asked_for, read_po, words
from node.page.rendering import HERE

from ..results.conftest import STUDY_UID
from .conftest import running_page
from .texts import as_po, texts

_PLACES = re.compile(r"%\(\w+\)s|%\(num\)d|\{\w+\}|`[^`]+`|\bE-[A-Z-]+")
_HAN = re.compile("[一-鿿]")
#: Texts without any word.
_WITHOUT = {"b = {b}", "%(ml)s ml", "PACS"}
#: The same in every language.
_NAMES = {"rectal-node", "TLS", "C-ECHO"}


@pytest.fixture(params=[tag for tag in LANGUAGES if tag != SOURCE])
def tag(request) -> str:
    """A language other than that of the templates."""
    return request.param


def test_every_text_of_templates_and_codes_has_words_and_no_other_text_has(tag):
    """`python -m tests.node.page.texts` brings new texts in."""
    kept = (LOCALE / f"{tag}.po").read_text("utf-8")
    known = read_po(kept)
    assert [text for text, _ in texts() if not known.get(text)] == []
    assert kept == as_po(tag, known)


def test_words_have_the_same_places_for_values_and_commands(tag):
    """Values, what stands between back quotes, and codes."""
    for text, said in read_po((LOCALE / f"{tag}.po").read_text("utf-8")).items():
        assert sorted(_PLACES.findall(said)) == sorted(_PLACES.findall(text)), text
        assert _HAN.search(said) or text in _WITHOUT, text


def test_no_template_says_anything_that_is_not_translated():
    """What a reader sees outside of tags, expressions and code, in attributes of text as well."""
    for path in (HERE / "templates").glob("*.html"):
        text = re.sub(r"<code>.*?</code>|\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", path.read_text("utf-8"), flags=re.DOTALL)
        shown = re.findall(r">([^<]*[A-Za-z]{2}[^<]*)<", text)
        shown += re.findall(r'(?:aria-label|placeholder|title|alt)="([^"]*[A-Za-z]{2}[^"]*)"', text)
        assert [it for it in map(str.strip, shown) if it.strip(" ·:") not in _NAMES] == [], path.name


def test_a_po_file_is_read_as_gettext_has_it():
    text = """# of nobody
msgid ""
msgstr "Language: x\\n"

msgid "a \\"b\\""
msgstr ""
"c"
"d"

msgid "n"
msgid_plural "ns"
msgstr[0] "m"
"""
    assert read_po(text) == {'a "b"': "cd", "n": "m"}
    for wrong in ("msgid a", text + '\nmsgid "n"\nmsgstr "x"\n'):
        with pytest.raises(ValueError, match="PO file"):
            read_po(wrong)


def test_words_for_a_number_are_the_same_for_every_number():
    chinese = words("zh-Hans")
    assert chinese.ngettext("%(num)d image", "%(num)d images", 1) == chinese.ngettext(
        "%(num)d image", "%(num)d images", 2
    )
    assert chinese.ngettext("%(num)d of none", "%(num)d of nones", 2) == "%(num)d of nones"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("de,zh-Hans-CN;q=0.5,en;q=0.4", "zh-Hans"),
        ("zh;q=0.1,en;q=0.2", "en"),
        ("zh-TW,de", "en"),
        ("zh;q=0", "en"),
        ("zh;q=x,*", "en"),
    ],
)
def test_the_language_is_the_first_that_a_browser_asks_for_and_that_is_here(header, language):
    assert asked_for(header) == language


def language_of(answer: requests.Response) -> str:
    assert answer.headers["Content-Language"] in answer.text
    return re.search('<html lang="([^"]+)">', answer.text).group(1)


def test_a_choice_outlasts_what_the_browser_asks_for(page, olga):
    browser = page.nobody()
    chinese = {"Accept-Language": "zh-CN"}
    assert language_of(browser.get("/sign-in", headers=chinese)) == "zh-Hans"
    answer = browser.post("/language", {"language": "en", "next": "/sign-in?next=%2Fquarantine"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in?next=%2Fquarantine")
    assert language_of(browser.get("/sign-in", headers=chinese)) == "en"
    browser.post("/language", {"language": "../x"})
    assert browser.session.cookies[COOKIE] == "en"
    assert browser.post("/language", {"language": "en"}, Origin="https://evil.example").status_code == 403
    assert browser.post("/language", {"language": "en", "next": "//evil.example"}).headers["Location"] == "/"


def test_the_settings_say_the_language_of_who_has_chosen_none(tmp_path):
    with running_page(tmp_path, language="zh-Hans") as found:
        assert language_of(found.nobody().get("/sign-in", headers={"Accept-Language": "en"})) == "zh-Hans"


def test_a_study_reads_in_chinese_with_its_dates_and_numbers(olga):
    text = olga.get(f"/studies/{STUDY_UID}", headers={"Accept-Language": "zh"}).text
    assert "系列" not in text
    for said in ("概率", "2026-01-02 03:04:05", "您的判读意见", 'data-slice="第 {n}/{all} 层，位置 {mm} mm"', "操作员"):
        assert said in text
    part = olga.get(f"/studies/{STUDY_UID}/live", headers={"Accept-Language": "zh", "HX-Request": "true"}).text
    assert "重新分析" in part

"""The languages of the page: which one somebody reads, and the words of each.

The words stand in `locale/<tag>.po` as gettext has them, and are read from there: there is nothing to compile, and
nothing that could be older than its source.
"""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from starlette.requests import Request

COOKIE = "rectal-node-language"
SOURCE = "en"
LANGUAGES: Mapping[str, str] = {SOURCE: "English", "zh-Hans": "简体中文"}
"""By the tag that stands in `lang` (BCP 47), each by its own name; the first is that of the templates."""

LOCALE = Path(__file__).parent / "locale"
_LINE = re.compile(r'(?:(msgid_plural|msgid|msgstr(?:\[0\])?) )?(".*")')
#: What browsers ask for and these are, beside the tags: Chinese of the mainland, Singapore, or without a region.
_SUITS = {"zh": "zh-Hans", "zh-cn": "zh-Hans", "zh-sg": "zh-Hans", "zh-hans": "zh-Hans"}


class Words(gettext.NullTranslations):
    """The words of a language that has one form for every number, as Chinese."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        super().__init__()
        self._texts = texts

    def gettext(self, message: str) -> str:
        """The words for a text; the text itself where there are none."""
        return self._texts.get(message) or message

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        """The words for a text with a number."""
        return self._texts.get(msgid1) or (msgid1 if n == 1 else msgid2)


@cache
def words(tag: str) -> gettext.NullTranslations:
    """The words of a language."""
    return gettext.NullTranslations() if tag == SOURCE else Words(read_po((LOCALE / f"{tag}.po").read_text("utf-8")))


def read_po(text: str) -> dict[str, str]:
    """Texts and their words of a PO file (GNU gettext 3); of a text with a number its one form.

    Raises:
        ValueError: a line is none of such a file, or a text stands in it twice.
    """
    found: dict[str, str] = {}
    entry: dict[str, str] = {}
    keyword = ""

    def keep() -> None:
        if entry.get("msgid"):  # that of the header is empty
            if entry["msgid"] in found:
                raise ValueError(f"twice in a PO file: {entry['msgid']!r}")
            found[entry["msgid"]] = entry.get("msgstr", "") or entry.get("msgstr[0]", "")

    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"no line of a PO file: {line!r}")
        keyword = match[1] or keyword
        if match[1] == "msgid":
            keep()
            entry = {}
        entry[keyword] = entry.get(keyword, "") + ast.literal_eval(match[2])
    keep()
    return found


def language_of(request: Request, usual: str = "") -> str:
    """The language somebody has chosen; else that of the settings (`usual`), else the first that the browser asks for
    and that is here."""
    chosen = request.cookies.get(COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    return usual or asked_for(request.headers.get("accept-language", ""))


def asked_for(header: str) -> str:
    """The best of what a browser asks for (RFC 9110 12.5.4)."""
    wanted: list[tuple[float, str]] = []
    for part in header.lower().split(","):
        tag, _, quality = part.strip().partition(";q=")
        try:
            wanted.append((float(quality or 1), tag.strip()))
        except ValueError:
            continue
    for weight, tag in sorted(wanted, key=lambda it: -it[0]):
        parts = tag.split("-")
        found = SOURCE if parts[0] == SOURCE else _SUITS.get("-".join(parts[:2]))
        if weight > 0 and found:
            return found
    return SOURCE

"""The texts of reports, and how they read when they were last looked over."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

RECORDED = Path(__file__).parent / "reports"


class _Words(HTMLParser):
    """The words of a page, without its style sheet."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._silent = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._silent = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._silent = False

    def handle_data(self, data: str) -> None:
        if not self._silent and data.strip():
            self.found.append(" ".join(data.split()))


@pytest.fixture
def words_of_page() -> Callable[[str], str]:
    """The text of an HTML page, a line an element."""

    def words(page: str) -> str:
        parser = _Words()
        parser.feed(page)
        return "\n".join(parser.found)

    return words


@pytest.fixture
def reads_as_before() -> Callable[[str, str], None]:
    """Fails where a report has other words or figures than those recorded in `reports`.

    Where lines end and how columns are aligned does not count.
    """

    def check(name: str, text: str) -> None:
        told = re.sub(r"-{3,}:?", "---", text).split()
        assert told == (RECORDED / f"{name}.txt").read_text("utf-8").split()

    return check

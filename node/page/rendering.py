"""Templates of the page: what stands in them is escaped, their words go through gettext, times are the site's.

Dates stand as ISO 8601 has them, and numbers with a point, in every language: they are right in each.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from node.page.languages import LANGUAGES, language_of, words
from node.page.visitors import Visitor

HERE = Path(__file__).parent


class Pages:
    """Renders templates.

    Args:
        time_zone: the site's by its IANA name, empty: the machine's.
        language: tag of the usual one; empty: that of the browser.
    """

    def __init__(self, time_zone: str = "", language: str = "") -> None:
        self._zone: tzinfo | None = ZoneInfo(time_zone) if time_zone else None
        self._usual = language
        self._environments = {tag: self._environment(tag) for tag in LANGUAGES}

    def _environment(self, language: str) -> Environment:
        made, known = environment(), words(language)
        made.install_gettext_translations(known, newstyle=True)  # type: ignore[attr-defined]
        made.filters |= {"moment": self._moment, "minute": self._minute, "day": day, "figure": figure}
        # Of a text that is known when it is shown, such as that of a code; unlike `_` it takes none for markup.
        made.filters["worded"] = known.gettext
        made.globals |= {"language": language, "languages": LANGUAGES}
        return made

    def page(
        self, request: Request, name: str, visitor: Visitor | None, said: Mapping[str, Any], status: int = 200
    ) -> HTMLResponse:
        """A template as an answer; it knows of `visitor`, of whether a part is asked for (`is_part`), and of where it
        stands (`current`)."""
        is_part = "hx-request" in request.headers
        language = language_of(request, self._usual)
        there = request.method == "GET" and status < 400
        current = f"{request.url.path}?{request.url.query}".rstrip("?") if there else "/"
        template = self._environments[language].get_template(name)
        text = template.render(visitor=visitor, is_part=is_part, current=current, **said)
        headers = {"Vary": "HX-Request, Accept-Language, Cookie", "Cache-Control": "no-store"}
        return HTMLResponse(text, status, headers | {"Content-Language": language})

    def local(self, moment: datetime) -> datetime:
        """A moment in the time zone of the site."""
        return moment.astimezone(self._zone)

    def _moment(self, moment: datetime) -> str:
        return self.local(moment).strftime("%Y-%m-%d %H:%M:%S")

    def _minute(self, moment: datetime) -> str:
        return self.local(moment).strftime("%m-%d %H:%M")


def environment() -> Environment:
    """How the templates are read; without words."""
    return Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )


def day(value: str) -> str:
    """A date of DICOM (YYYYMMDD) as YYYY-MM-DD; anything else as it is."""
    return f"{value[:4]}-{value[4:6]}-{value[6:]}" if len(value) == 8 and value.isdecimal() else value


def figure(value: float) -> str:
    """A number with three digits that count."""
    return f"{value:.0f}" if 100 <= abs(value) < 1e6 else f"{value:.3g}"

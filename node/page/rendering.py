"""Templates of the page: what stands in them is escaped, their words go through gettext, times are the site's."""

from __future__ import annotations

import gettext
from collections.abc import Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from node.page.visitors import Visitor

HERE = Path(__file__).parent


class Pages:
    """Renders templates; `time_zone` is the site's by its IANA name, empty: the machine's."""

    def __init__(self, time_zone: str = "") -> None:
        self._zone: tzinfo | None = ZoneInfo(time_zone) if time_zone else None
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        self._environment.install_gettext_translations(gettext.NullTranslations(), newstyle=True)  # type: ignore[attr-defined]
        self._environment.filters |= {"moment": self._moment, "minute": self._minute, "day": day, "figure": figure}

    def page(
        self, request: Request, name: str, visitor: Visitor | None, said: Mapping[str, Any], status: int = 200
    ) -> HTMLResponse:
        """A template as an answer; it knows of `visitor`, and of whether a part is asked for (`is_part`)."""
        is_part = "hx-request" in request.headers
        text = self._environment.get_template(name).render(visitor=visitor, is_part=is_part, **said)
        return HTMLResponse(text, status, {"Vary": "HX-Request", "Cache-Control": "no-store"})

    def local(self, moment: datetime) -> datetime:
        """A moment in the time zone of the site."""
        return moment.astimezone(self._zone)

    def _moment(self, moment: datetime) -> str:
        return self.local(moment).strftime("%Y-%m-%d %H:%M:%S")

    def _minute(self, moment: datetime) -> str:
        return self.local(moment).strftime("%m-%d %H:%M")


def day(value: str) -> str:
    """A date of DICOM (YYYYMMDD) as YYYY-MM-DD; anything else as it is."""
    return f"{value[:4]}-{value[4:6]}-{value[6:]}" if len(value) == 8 and value.isdecimal() else value


def figure(value: float) -> str:
    """A number with three digits that count."""
    return f"{value:.0f}" if 100 <= abs(value) < 1e6 else f"{value:.3g}"

"""The known-answer check: when it is made."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from node.settings.values import Seconds, Section


def _time_of_day(value: str) -> str:
    if value and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        raise ValueError('a time of day has the form "04:30"')
    return value


class KnownAnswerSettings(Section):
    """When the node is asked what it must know.

    Attributes:
        at: time of day, in the site's time zone; empty: only by `rectal-node check-answer`.
        within_s: so long it may take, with what is analysed before it.
    """

    at: Annotated[str, AfterValidator(_time_of_day)] = ""
    within_s: Seconds = 3600

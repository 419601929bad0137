"""What a remote gets of the results: which kinds, of which studies, and when."""

from __future__ import annotations

import re
from datetime import time
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator

from node.settings.values import Pattern, Section

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class ResultKind(StrEnum):
    """A kind of DICOM object that the node makes of a study."""

    SUPER_RESOLVED = "super-resolved"
    SEGMENTATION = "segmentation"
    REPORT = "report"
    PICTURE = "picture"
    PDF = "pdf"
    KEY_OBJECTS = "key-objects"


#: What a remote gets that does not say: no Key Object Selection, which many archives show as a series without images.
USUAL_RESULTS = tuple(kind for kind in ResultKind if kind is not ResultKind.KEY_OBJECTS)


class Conditions(Section):
    """Studies whose results a remote gets: each pattern that is given is found in what one series of the study says.

    `calling_ae_title` is who sent images of it; the others are elements of their headers.
    """

    calling_ae_title: Pattern = ""
    station_name: Pattern = ""
    institution_name: Pattern = ""
    modality: Pattern = ""
    study_description: Pattern = ""


def _hours(value: str) -> str:
    if value and not _HOURS.fullmatch(value):
        raise ValueError('hours have the form "20:00-06:30"')
    return value


Hours = Annotated[str, AfterValidator(_hours)]


def within(hours: str, now: time) -> bool:
    """Whether it is one of these hours, which may go over midnight; without any it always is."""
    found = _HOURS.fullmatch(hours)
    if found is None:
        return True
    first, last = (time(int(found[place]), int(found[place + 1])) for place in (1, 3))
    return first <= now < last if first <= last else now >= first or now < last

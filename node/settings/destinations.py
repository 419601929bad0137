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
    FRACTIONAL = "segmentation-fractional"
    LABELMAP = "segmentation-labelmap"
    PRESENTATION_STATE = "presentation-state"
    CONTOUR_IMAGES = "contour-images"
    ENHANCED = "super-resolved-enhanced"


#: Made of every study, and what a remote gets that names no kinds. No Key Object Selection is among them, which many
#: archives show as a series without images.
USUAL_RESULTS = (
    ResultKind.SUPER_RESOLVED,
    ResultKind.SEGMENTATION,
    ResultKind.REPORT,
    ResultKind.PICTURE,
    ResultKind.PDF,
)
#: Made where a destination names them; roles of such results begin with the name of the kind.
ADDITIONAL = tuple(kind for kind in ResultKind if kind not in USUAL_RESULTS)


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

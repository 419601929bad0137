"""Which studies of a remote are wanted: asked by C-FIND before anything is fetched, with a ceiling."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from node.dicom.association import RemoteAE
from node.dicom.find import StudyThere, find_studies
from node.errors import NodeError
from node.settings import RemoteSettings

_NOTHING = "nothing is fetched; ask for less, or allow more"


class CeilingError(NodeError):
    """More would be fetched than may be."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most that one order fetches."""

    studies: int
    images: int

    def check(self, found: Sequence[StudyThere]) -> None:
        """Refuse too much.

        Raises:
            CeilingError: more studies, or more images as far as the remote tells how many.
        """
        if len(found) > self.studies:
            raise CeilingError(f"more than {self.studies} studies match: {_NOTHING}")
        images = sum(study.instances for study in found)
        if images > self.images:
            raise CeilingError(
                f"{len(found)} studies with {images} images match, {self.images} are allowed: {_NOTHING}"
            )


def search(remote: RemoteSettings, keys: Mapping[str, str], most: int, description: str = "") -> list[StudyThere]:
    """Studies that fit keys, and whose description fits a regular expression, whatever the case.

    Raises:
        TransientError: the remote cannot be asked.
        CeilingError: more than `most` fit the keys.
    """
    found = find_studies(RemoteAE.of(remote), keys, most)
    if len(found) > most:
        raise CeilingError(f"more than {most} studies match: {_NOTHING}")
    pattern = re.compile(description, re.IGNORECASE)
    return [study for study in found if pattern.search(study.description)]


def last_days(today: date, days: int) -> str:
    """A range of dates (DA) that ends today and has so many days."""
    return f"{today - timedelta(days=days - 1):%Y%m%d}-{today:%Y%m%d}"

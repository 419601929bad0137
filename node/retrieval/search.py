"""Which studies of a remote are wanted: asked by C-FIND before anything is fetched, with a ceiling."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

from node.dicom.association import RemoteAE
from node.dicom.find import StudyThere, count_images, find_studies
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

    def counted(self, remote: RemoteSettings, studies: Iterable[StudyThere]) -> list[StudyThere]:
        """Studies, with the number of images of each, which is asked for where the remote did not tell it.

        Raises:
            CeilingError: they are more studies, or have more images.
            TransientError: the remote cannot be asked.
        """
        found = list(studies)
        if len(found) > self.studies:
            raise CeilingError(f"more than {self.studies} studies match: {_NOTHING}")
        found = [study if study.instances else _counted(remote, study) for study in found]
        images = sum(study.instances for study in found)
        if images > self.images:
            raise CeilingError(
                f"{len(found)} studies with {images} images match, {self.images} are allowed: {_NOTHING}"
            )
        return found


def _counted(remote: RemoteSettings, study: StudyThere) -> StudyThere:
    images = count_images(RemoteAE.of(remote), study.study_instance_uid, "")
    return replace(study, instances=sum(images.values()))


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

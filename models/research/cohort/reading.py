"""A cohort from its folder: table, headers and pixels are looked through once, and all faults are told together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import SimpleITK as sitk

from models.errors import VolumeError
from models.research.cohort.files import FoundCase, read_case
from models.research.cohort.records import Case, CaseFacts, CaseVolume, Cohort, Needs, image_path
from models.research.cohort.table import consistency, read_table
from models.research.errors import CohortError
from models.sequence import ANALYSED, Sequence
from models.volume_files import read


def read_cohort(
    folder: Path, needs: Needs | None = None, track: Callable[[list[CaseFacts]], Iterable[CaseFacts]] = list
) -> Cohort:
    """The cohort in `folder`, every case of it fit for a training with these needs (all sequences and masks when None).

    Headers are read first; pixels only of files whose headers are right, one volume at a time. `track` goes round the
    list of cases, such as `rich.progress.track`.

    Raises:
        CohortError: with a line for each fault of table, headers and pixels.
    """
    needs = needs or Needs()
    entries, faults = read_table(folder)
    collected = [*faults, *consistency(entries, needs)] if entries or not faults else [*faults]
    unique = list({facts.case_id: facts for facts in entries}.values())
    found = [read_case(folder, facts, needs) for facts in track(unique)]
    collected += [fault for case in found for fault in case.faults]
    collected += [*_copies(found), *_unlisted(folder, {facts.case_id for facts in entries}, bool(faults))]
    if collected:
        raise CohortError(tuple(collected))
    return Cohort(folder, tuple(case.case for case in found))


def read_image(volume: CaseVolume) -> sitk.Image:
    """The image of a volume (float32, LPS, mm)."""
    return read(volume.image)


def read_mask(volume: CaseVolume) -> sitk.Image:
    """The tumour mask (uint8, 0 or 1) on exactly the image's grid.

    Raises:
        VolumeError: the volume has no mask.
    """
    if volume.mask is None:
        raise VolumeError(f"{volume.image.name}: no mask lies beside it")
    mask = sitk.Cast(read(volume.mask) != 0, sitk.sitkUInt8)
    mask.SetSpacing(volume.grid.spacing)
    mask.SetOrigin(volume.grid.origin)
    mask.SetDirection(volume.grid.direction)
    return mask


def volumes_of(case: Case) -> tuple[dict[Sequence, sitk.Image], dict[Sequence, sitk.Image]]:
    """Images and masks of a case by sequence."""
    images = {sequence: read_image(volume) for sequence, volume in case.volumes.items()}
    return images, {sequence: read_mask(volume) for sequence, volume in case.volumes.items()}


def _copies(found: list[FoundCase]) -> Iterator[str]:
    """The same pixels under two names would be trained on and tested with."""
    first: dict[str, str] = {}
    for case in found:
        for sequence, digest in case.digests:
            name = f"{case.case.facts.case_id}/{sequence}"
            if digest in first:
                yield f"case {case.case.facts.case_id}: {sequence} is a duplicate: same pixels as {first[digest]}"
            first.setdefault(digest, name)


def _unlisted(folder: Path, listed: set[str], rows_unread: bool) -> Iterator[str]:
    """Folders of cases that no row names; not asked while rows could not be read."""
    if rows_unread or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        named = path.name in listed or path.name.startswith(".") or not path.is_dir()
        if not named and any(image_path(path, sequence).exists() for sequence in ANALYSED):
            yield f"case {path.name}: no row in labels.csv; add one or take the folder away"

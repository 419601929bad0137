"""Ranking of the usable volumes of a role by stated preferences, each decided in turn within its tolerance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from node.recognition.rules.series import SeriesVolume
from node.recognition.volumes.stacks import VolumeKey

SAME_TIME_S = 0.5
#: What decides between volumes that no preference tells apart.
FIRST_OF_EQUALS = "the first of equals"
# A stack that is shorter by one slice covers as much.
_SLICES_NOT_MISSED = 1.01
_SAME_RESOLUTION_MM = 0.01


@dataclass(frozen=True, slots=True)
class Preference:
    """A value of which the larger is better; values that differ by no more than `tolerance` are equal."""

    name: str
    value: float
    tolerance: float = 0.0


# The stated preference, the most important first.
Ranking = tuple[Preference, ...]
Rank = Callable[[SeriesVolume], Ranking]


def ranked(usable: Sequence[SeriesVolume], rank: Rank) -> tuple[SeriesVolume, dict[VolumeKey, str]]:
    """The volume that is left when each preference in turn keeps the best, and the one that decided against each other.

    Rankings are not compared as a whole: what is equal within a tolerance is not ordered.
    """
    left = list(usable)
    decided_by: dict[VolumeKey, str] = {}
    rankings = {entry.key: rank(entry) for entry in usable}
    for place in range(len(rankings[left[0].key])):
        best = max((rankings[entry.key][place] for entry in left), key=lambda preference: preference.value)
        beaten = [entry for entry in left if rankings[entry.key][place].value < best.value - best.tolerance]
        decided_by.update({entry.key: best.name for entry in beaten})
        left = [entry for entry in left if entry.key not in decided_by]
    decided_by.update({entry.key: FIRST_OF_EQUALS for entry in left[1:]})
    return left[0], decided_by


def common_rank(entry: SeriesVolume) -> Ranking:
    """Corrected before uncorrected, then extent, of which one slice is not missed, and in-plane resolution."""
    volume, frame, geometry = entry.volume, entry.volume.first, entry.volume.geometry
    assert geometry is not None
    extent_mm = geometry.slice_step_mm * volume.slices
    return (
        Preference("corrected for distortion", float(bool({"DIS2D", "DIS3D"} & set(frame.image_type)))),
        Preference("larger extent", extent_mm, _SLICES_NOT_MISSED * geometry.slice_step_mm),
        Preference("finer in plane", -frame.placed.resolution_mm, _SAME_RESOLUTION_MM),
    )


def later_rank(entry: SeriesVolume) -> Ranking:
    """A series is repeated after motion, so of two equal ones the later is the better.

    One acquisition that was stored twice, with and without prescan normalisation, is taken with it.
    """
    volume, frame = entry.volume, entry.volume.first
    return (
        Preference("acquired later", frame.timing.acquisition_s or frame.timing.series_s or 0.0, SAME_TIME_S),
        Preference("normalised", float("NORM" in frame.image_type)),
        Preference("higher number", float(frame.header.series_number or 0)),
        Preference("written later", frame.timing.content_s or 0.0, SAME_TIME_S),
        Preference("higher acquisition number", float(frame.timing.acquisition_number or 0)),
        Preference("higher instance numbers", float(max(each.timing.instance_number or 0 for each in volume.frames))),
    )

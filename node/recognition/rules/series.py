"""A series of a study: its frames, and its volumes with what the rules say of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from node.recognition.header.facts import Fault, FrameFacts, HeaderFacts
from node.recognition.header.words import Words, words
from node.recognition.rules.conditions import Rule
from node.recognition.rules.confidence import Doubt, doubts
from node.recognition.rules.findings import Finding
from node.recognition.rules.table import Classification, classify, table
from node.recognition.rules.volume_facts import describe, facts_of_series, sources
from node.recognition.volumes.stacks import Volume, VolumeKey, split_series
from node.settings import RecognitionSettings


@dataclass(frozen=True, slots=True)
class SeriesVolume:
    """A volume with what it is and why; `doubts` is what lowers the confidence in that."""

    volume: Volume
    classification: Classification
    doubts: tuple[Doubt, ...] = ()

    @property
    def key(self) -> VolumeKey:
        """The key of its volume, by which choices know it."""
        return self.volume.key

    @property
    def finding(self) -> Finding:
        """The finding of the rule that applies to the volume."""
        return self.classification.finding


@dataclass(frozen=True, slots=True)
class Series:
    """All frames of a series and the volumes that they make."""

    uid: str
    frames: tuple[FrameFacts, ...]
    volumes: tuple[SeriesVolume, ...]

    @property
    def header(self) -> HeaderFacts:
        """The header of its first frame."""
        return self.frames[0].header


def by_series(frames: Iterable[FrameFacts]) -> dict[str, tuple[FrameFacts, ...]]:
    """Frames by their Series Instance UID."""
    groups: dict[str, list[FrameFacts]] = defaultdict(list)
    for frame in frames:
        groups[frame.header.series_instance_uid].append(frame)
    return {uid: tuple(group) for uid, group in groups.items()}


def series_of(
    frames: Iterable[FrameFacts], settings: RecognitionSettings, unusable: Mapping[str, Fault] | None = None
) -> tuple[Series, ...]:
    """The series of a study by their numbers; `unusable` are faults that no header shows, by `Volume.stack_key`."""
    ordered = sorted(by_series(frames).items(), key=lambda entry: (entry[1][0].header.series_number or 0, entry[0]))
    vocabulary, rows = words(settings.words_of_site), table(settings)
    return tuple(_series(uid, group, vocabulary, rows, unusable or {}) for uid, group in ordered)


def _series(
    uid: str,
    frames: tuple[FrameFacts, ...],
    vocabulary: Words,
    rows: tuple[Rule, ...],
    unusable: Mapping[str, Fault],
) -> Series:
    volumes, together = [], facts_of_series(frames)
    for found in split_series(frames):
        fault = unusable.get(found.stack_key) or unusable.get(found.former_stack_key)
        volume = found if fault is None else replace(found, fault=fault)
        classification = classify(describe(volume, together, vocabulary), rows, sources(volume))
        volumes.append(SeriesVolume(volume, classification, doubts(volume, classification, vocabulary)))
    return Series(uid, frames, tuple(volumes))


def volumes_of(series: tuple[Series, ...], *findings: Finding) -> tuple[SeriesVolume, ...]:
    """All volumes of some findings, in the order of the series."""
    return tuple(volume for one in series for volume in one.volumes if volume.finding in findings)


def series_name(entry: SeriesVolume) -> str:
    """The number that people know a series by."""
    number = entry.volume.first.header.series_number
    return "a series without number" if number is None else f"series {number}"


def one_series(one: SeriesVolume, other: SeriesVolume) -> bool:
    """Whether two volumes stand in the same series."""
    return one.key.series_instance_uid == other.key.series_instance_uid

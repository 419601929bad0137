"""Rules of recognition tried before they stand in the configuration: on headers that a person has, and on what is here.

Nothing is stored, and no configuration is written.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from node.errors import NodeError
from node.operations.bounded import within
from node.operations.replay import differences, replanned
from node.planning import trained_protocols
from node.recognition.folder import studies_of
from node.recognition.plan import plan_study
from node.recognition.record import SeriesVerdict, StudyPlan
from node.recognition.rules.table import check, shipped
from node.recognition.rules.trial import VolumesTried, trials
from node.settings import Limits, Match, RecognitionRule, RecognitionSettings, Settings, recognition_in
from storage import search
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index

LONGEST_TEXT = 20_000
"""Characters of rules that are tried."""

MOST_FILES = 10_000
MOST_STUDIES = 20
"""Stored studies that are looked at, those that came last …"""

WITHIN_S = 20.0
"""… for so long: of a study each header is read."""

LIMIT_S = 120.0
"""After so long a trial is ended, whatever it does: a pattern can take longer than anybody waits."""

_TRIAL = "the trial of the rules"


@dataclass(frozen=True, slots=True)
class SeriesTried:
    """A series: what it is by the rules, and what each rule found on its volumes."""

    verdict: SeriesVerdict
    volumes: tuple[VolumesTried, ...]


@dataclass(frozen=True, slots=True)
class StudyTried:
    """A study of which headers were given."""

    plan: StudyPlan
    series: tuple[SeriesTried, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """A stored study that the rules would change: a line each difference."""

    study_instance_uid: str
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """What rules would change: `looked_at` of `stored` studies, those that came last."""

    looked_at: int
    stored: int
    changed: tuple[Changed, ...]


def edited(settings: Settings, text: str) -> RecognitionSettings:
    """The settings of recognition with what a text in the form of config.toml says.

    Raises:
        ConfigurationError: it says something that cannot be; names the line.
    """
    found = recognition_in(text, settings.recognition)
    check(found)
    return found


def of_headers(settings: Settings, files: ObjectStore, given: Path) -> tuple[StudyTried, ...]:
    """What the rules of a text make of headers, both in one file: parts, each after its length.

    The text is the first part; of each header its name and its bytes follow.

    Raises:
        NodeError: the text is wrong, there are too many headers, none that can be read, or it takes too long.
    """
    with given.open("rb") as source, _headers(files, source) as (text, paths, names):
        recognition = edited(settings, text)
        # Where the time of injection is not stated it is measured in the images, which are not here.
        recognition = recognition.model_copy(update={"measure_injection": False})
        return within(LIMIT_S, _TRIAL, partial(_tried, recognition, paths, names))


def of_stored(settings: Settings, text: str) -> Changes:
    """What the rules of a text would change of stored studies, against the rules of today; headers alone are read.

    Raises:
        NodeError: the text is wrong, or it takes too long.
    """
    return within(LIMIT_S, _TRIAL, partial(_changes, settings, edited(settings, text)))


def _tried(recognition: RecognitionSettings, paths: list[Path], names: dict[Path, str]) -> tuple[StudyTried, ...]:
    found = []
    for facts in studies_of(paths, recognition, names):
        plan = plan_study(facts, recognition)
        tried = trials(facts.frames, recognition)
        series = tuple(SeriesTried(it, tried.get(it.series_instance_uid, ())) for it in plan.verdicts)
        found.append(StudyTried(plan, series))
    return tuple(found)


def _changes(settings: Settings, rules: RecognitionSettings) -> Changes:
    engine, files = open_engine(settings.storage_url), ObjectStore(settings.root)
    index, trained = Index(engine), trained_protocols(settings.analysis.bundles)
    with engine.connect() as connection:
        latest = search.page_of(connection, search.StudySearch(limit=MOST_STUDIES))
        stored = search.matching_studies(connection, search.StudySearch())
    ends, looked_at, changed = time.monotonic() + WITHIN_S, 0, []
    for study in latest:
        if time.monotonic() > ends:
            break
        plans = replanned(study.study_instance_uid, index, files, (settings.recognition, rules), trained)
        if plans is None:
            continue
        looked_at += 1
        if lines := tuple(differences(*plans)):
            changed.append(Changed(study.study_instance_uid, lines))
    return Changes(looked_at, stored, tuple(changed))


def as_text(rules: tuple[RecognitionRule, ...]) -> str:
    """Rules in the form in which they stand in config.toml."""
    return "\n".join(map(_rule, rules))


def rule_names() -> tuple[str, ...]:
    """The names of the shipped rules, in their order."""
    return tuple(rule.name for rule in shipped())


def starting_text(settings: Settings, name: str = "") -> str:
    """The rules of the site, with a shipped one, by its name, to be edited."""
    own = settings.recognition.rules
    added = tuple(rule for rule in shipped() if rule.name == name and name not in {it.name for it in own})
    return as_text((*own, *added))


def _rule(rule: RecognitionRule) -> str:
    lines = ["[[recognition.rules]]", f"name = {_value(rule.name)}", f"finding = {_value(rule.finding)}"]
    lines += [f"before = {_value(rule.before)}"] if rule.before else []
    lines += [f"when.{fact} = {_value(wanted)}" for fact, wanted in rule.when.items()]
    return "\n".join((*lines, ""))


def _value(value: object) -> str:
    """A value of TOML; its basic strings and numbers are those of JSON."""
    if isinstance(value, Limits):
        parts = value.model_dump(exclude_defaults=True)
        return f"{{ {', '.join(f'{key} = {_value(part)}' for key, part in parts.items())} }}"
    if isinstance(value, Match):
        return f"{{ matches = {_value(value.matches)} }}"
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


@contextmanager
def _headers(files: ObjectStore, source: BinaryIO) -> Iterator[tuple[str, list[Path], dict[Path, str]]]:
    """The text, and each header as a file of the spool, for as long as they are looked at; by what name it came."""
    text = (_part(source) or b"").decode("utf-8", "replace")[:LONGEST_TEXT]
    names: dict[Path, str] = {}
    try:
        while (name := _part(source)) is not None:
            if len(names) >= MOST_FILES:
                raise NodeError(f"at most {MOST_FILES} files are looked at")
            names[files.spooled(_part(source) or b"")] = name.decode("utf-8", "replace")
        yield text, list(names), names
    finally:
        for path in names:
            path.unlink(missing_ok=True)


def _part(source: BinaryIO) -> bytes | None:
    """The next of the parts of what a browser sends: its length (4 bytes, little endian), and so many bytes."""
    stated = source.read(4)
    if len(stated) < 4:
        return None
    return source.read(struct.unpack("<L", stated)[0])

"""Scanners: how many studies came of each, how many lie outside the models' training, hold a finding, or failed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import Engine

from storage.records import StudyState
from storage.scanners import Scanner, ScannerCount, counts

WEEKS = 26
"""Weeks that are told of one by one."""


@dataclass(frozen=True, slots=True)
class Week:
    """Studies of a scanner in a week (its Monday, YYYY-MM-DD)."""

    week: str
    studies: int
    outside: int
    findings: int
    failed: int


@dataclass(frozen=True, slots=True)
class ScannerLine:
    """A scanner, over all the time that is on record.

    Attributes:
        outside: studies with a parameter outside the range of the models' training.
        analysed: studies that were analysed to their end, of which `findings` report a tumour.
        failed: studies whose analysis has failed; refused: those that cannot be analysed.
        weeks: the latest, up to the last one that had any, the first one first.
    """

    scanner: Scanner
    studies: int
    outside: int
    analysed: int
    findings: int
    failed: int
    refused: int
    weeks: tuple[Week, ...]


def scanners(engine: Engine) -> tuple[ScannerLine, ...]:
    """Every scanner, that with the most studies first."""
    by_scanner: dict[Scanner, list[ScannerCount]] = defaultdict(list)
    with engine.connect() as connection:
        for it in counts(connection):
            by_scanner[it.scanner].append(it)
    lines = [_line(scanner, found) for scanner, found in by_scanner.items()]
    return tuple(sorted(lines, key=lambda it: -it.studies))


def _line(scanner: Scanner, found: Sequence[ScannerCount]) -> ScannerLine:
    by_week: dict[str, list[ScannerCount]] = defaultdict(list)
    for it in found:
        by_week[it.week].append(it)
    return ScannerLine(
        scanner=scanner,
        studies=sum(it.studies for it in found),
        outside=sum(it.studies for it in found if it.outside),
        analysed=sum(it.studies for it in found if it.finding is not None),
        findings=sum(it.studies for it in found if it.finding),
        failed=sum(it.studies for it in found if it.state is StudyState.FAILED),
        refused=sum(it.studies for it in found if it.state is StudyState.REFUSED),
        weeks=tuple(_week(week, by_week[week]) for week in _weeks(min(by_week), max(by_week))),
    )


def _weeks(first: str, last: str) -> Iterator[str]:
    """The Mondays from one to another, the latest of them."""
    end = date.fromisoformat(last)
    begin = max(date.fromisoformat(first), end - timedelta(weeks=WEEKS - 1))
    for number in range((end - begin).days // 7 + 1):
        yield (begin + timedelta(weeks=number)).isoformat()


def _week(week: str, found: Sequence[ScannerCount]) -> Week:
    return Week(
        week=week,
        studies=sum(it.studies for it in found),
        outside=sum(it.studies for it in found if it.outside),
        findings=sum(it.studies for it in found if it.finding),
        failed=sum(it.studies for it in found if it.state is StudyState.FAILED),
    )

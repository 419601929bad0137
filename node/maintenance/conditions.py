"""Alerts of what the storage holds: whatever waits there for a person, for as long as it waits.

They follow from rows alone, so that none is missed because a process died, and each ends with its rows. What has only
more of the same is counted again; what is as it was is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Engine

from node.codes import Alert
from node.settings import Settings
from storage import outstanding
from storage.alerts import AlertRecord, Alerts
from storage.commitments import Uncommitted
from storage.outstanding import Outstanding
from storage.overview import Overview
from storage.records import CommitmentState

_T = TypeVar("_T")

ENDED_BY_PERSON = frozenset({Alert.RESULT_WITHDRAWN, Alert.PROCESS_DIED})
"""What the node cannot see the end of: who acknowledges it says that it is done."""
OF_THE_STORAGE = frozenset(
    {
        Alert.DELIVERY_FAILED,
        Alert.RESULT_WITHDRAWN,
        Alert.NOT_COMMITTED,
        Alert.QUARANTINED,
        Alert.NOT_CATALOGUED,
        Alert.NOT_RETRIEVED,
        Alert.STUDY_FAILED,
    }
)
MOST_STUDIES = 50
"""Studies that have an alert each; of more there is one for all."""
_UNWILLING = frozenset({CommitmentState.REFUSED, CommitmentState.UNSUPPORTED})


@dataclass(frozen=True, slots=True)
class Condition:
    """What has to be an alert."""

    code: Alert
    subject: str
    text: str


class Conditions:
    """Brings the alerts of the storage in line with it."""

    def __init__(self, settings: Settings, engine: Engine, alerts: Alerts) -> None:
        self._most_asked = {it.name: it.commitment_attempts for it in settings.destinations if it.commitment}
        self._engine, self._alerts = engine, alerts

    def look(self) -> None:
        """Raise what is there and was not told so, clear what is there no more."""
        with self._engine.connect() as connection:
            found = list(conditions(Overview(connection), self._most_asked))
        open_ones = {(it.code, it.subject): it for it in self._alerts.open()}
        for condition in found:
            known = open_ones.pop((condition.code, condition.subject), None)
            if not self._is_told(condition, known):
                self._alerts.raise_(condition.code, condition.subject, condition.text)
            elif known is not None:
                self._end_if_seen(known)
        for alert in open_ones.values():
            if alert.code in OF_THE_STORAGE:
                self._alerts.clear(alert.code, alert.subject)
            else:
                self._end_if_seen(alert)

    def _is_told(self, condition: Condition, known: AlertRecord | None) -> bool:
        if known is None and condition.code in ENDED_BY_PERSON:
            last = self._alerts.last(condition.code, condition.subject)
            known = last if last is not None and last.acknowledged_at is not None else None
        return known is not None and known.text == condition.text

    def _end_if_seen(self, alert: AlertRecord) -> None:
        if alert.code in ENDED_BY_PERSON and alert.acknowledged_at is not None:
            self._alerts.clear(alert.code, alert.subject)


def conditions(overview: Overview, most_asked: Mapping[str, int]) -> Iterator[Condition]:
    """Everything in the storage that waits for a person.

    Args:
        overview: the storage.
        most_asked: the destinations that are asked for commitment, and how often at the most.
    """
    connection = overview.connection
    yield from _each(Alert.DELIVERY_FAILED, outstanding.failed_deliveries(connection), "results have failed for good")
    yield from _each(Alert.QUARANTINED, outstanding.quarantined(connection), "files are held in quarantine")
    yield from map(_uncommitted, filter(_is_given_up, overview.uncommitted(most_asked)))
    if faults := overview.catalogue_faults():
        yield Condition(Alert.NOT_CATALOGUED, "", f"files that the catalogue lacks, wholly or in part: {faults}")
    revoked, short = outstanding.to_withdraw(connection), outstanding.failed_retrievals(connection)
    yield from _few(Alert.RESULT_WITHDRAWN, revoked, lambda it: f"{it.count} results to be taken back: {it.reason}")
    yield from _few(Alert.NOT_RETRIEVED, short, lambda it: it.reason)
    yield from _few(Alert.STUDY_FAILED, outstanding.failed_studies(connection), str)


def _each(code: Alert, found: Mapping[str, Outstanding], words: str) -> Iterator[Condition]:
    for subject, it in found.items():
        yield Condition(code, subject, f"{it.count} {words}; the last: {it.reason}")


def _few(code: Alert, found: Mapping[str, _T], text: Callable[[_T], str]) -> Iterator[Condition]:
    """One for each study, or one for all where they are many."""
    if len(found) > MOST_STUDIES:
        yield Condition(code, "", f"{len(found)} studies")
        return
    for study, it in found.items():
        yield Condition(code, study, text(it))


def _is_given_up(line: Uncommitted) -> bool:
    return line.given_up > 0 or line.state in _UNWILLING


def _uncommitted(line: Uncommitted) -> Condition:
    refused = f"commitment {line.state.lower()}" if line.state in _UNWILLING and line.state else "commitment"
    reason = f": {line.reason}" if line.reason else ""
    text = f"{refused}{reason}; {line.given_up} results stored and not asked for any more"
    return Condition(Alert.NOT_COMMITTED, line.destination, text)

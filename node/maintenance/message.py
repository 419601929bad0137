"""A message of alerts: the same facts as JSON and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from node.codes import Alert
from storage.alerts import AlertRecord

MOST = 50
"""Alerts, and ends of alerts, that a message tells one by one; of more it says how many."""


class NotTakenError(Exception):
    """A channel has not taken a message; the text says why."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is told of.

    Attributes:
        node: AE title of the node that tells.
        alerts: the newest first.
        ended: those that have ended since they were told, the newest first.
    """

    node: str
    alerts: Sequence[AlertRecord]
    ended: Sequence[AlertRecord] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each code, the most frequent first."""
        return _counts(self.alerts)

    @property
    def headline(self) -> str:
        """In a line."""
        number = "1 alert" if len(self.alerts) == 1 else f"{len(self.alerts)} alerts"
        lasting = [f"{number} ({', '.join(self.counts)})"] if self.alerts else []
        ended = [f"{len(self.ended)} ended ({', '.join(_counts(self.ended))})"] if self.ended else []
        return f"{self.node}: {', '.join(lasting + ended)}"

    def document(self) -> dict[str, Any]:
        """As it goes by webhook; times are ISO 8601 in UTC. What is added later is added."""
        return {
            "node": self.node,
            "counts": self.counts,
            "alerts": [_facts(it) for it in self.alerts[:MOST]],
            "not_listed": max(0, len(self.alerts) - MOST),
            "ended": [_facts_of_end(it) for it in self.ended[:MOST]],
            "ended_not_listed": max(0, len(self.ended) - MOST),
        }

    def text(self) -> str:
        """As it goes by mail."""
        parts = [self.headline, *map(_paragraph, self.alerts[:MOST])]
        if len(self.alerts) > MOST:
            parts.append(f"{len(self.alerts) - MOST} others: `rectal-node alerts`")
        if self.alerts:
            parts.append("`rectal-node alerts acknowledge NO.` ends the repetition of an alert.")
        parts += map(_paragraph_of_end, self.ended[:MOST])
        if len(self.ended) > MOST:
            parts.append(f"{len(self.ended) - MOST} others have ended: `rectal-node alerts --all`")
        return "\n\n".join(parts) + "\n"


def advice(code: str) -> tuple[str, str]:
    """What a code means and what to do; of one of another release nothing is known."""
    known = next((it for it in Alert if it == code), None)
    return (known.meaning, known.advice) if known else ("", "")


def _counts(alerts: Sequence[AlertRecord]) -> dict[str, int]:
    return dict(Counter(it.code for it in alerts).most_common())


def _facts(alert: AlertRecord) -> dict[str, Any]:
    meaning, what_to_do = advice(alert.code)
    return {
        "number": alert.number,
        "code": alert.code,
        "subject": alert.subject,
        "text": alert.text,
        "meaning": meaning,
        "what_to_do": what_to_do,
        "since": alert.since.isoformat(),
        "last": alert.last.isoformat(),
        "times": alert.times,
    }


def _facts_of_end(alert: AlertRecord) -> dict[str, Any]:
    assert alert.cleared_at is not None, "it has ended"
    return {**_facts(alert), "ended": alert.cleared_at.isoformat()}


def _paragraph(alert: AlertRecord) -> str:
    meaning, what_to_do = advice(alert.code)
    since = (
        f"since {alert.since:%Y-%m-%d %H:%M} UTC, {alert.times} times"
        if alert.times > 1
        else (f"{alert.since:%Y-%m-%d %H:%M} UTC")
    )
    return f"{_name(alert)}, {since}\n{alert.text}\n{meaning} {what_to_do}"


def _paragraph_of_end(alert: AlertRecord) -> str:
    assert alert.cleared_at is not None, "it has ended"
    return f"{_name(alert)} has ended after {_lasted(alert.cleared_at - alert.since)}, seen {alert.times} times"


def _name(alert: AlertRecord) -> str:
    of = f" ({alert.subject})" if alert.subject else ""
    return f"{alert.number}  {alert.code}{of}"


def _lasted(time: timedelta) -> str:
    """In the two largest units; nothing below seconds."""
    minutes, seconds = divmod(max(0, round(time.total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    first = next((place for place, (number, _) in enumerate(units) if number), len(units) - 1)
    return " ".join(f"{number} {unit}" for number, unit in units[first : first + 2])

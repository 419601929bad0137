"""A message of alerts: the same facts as JSON and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from node.codes import Alert
from storage.alerts import AlertRecord

MOST = 50
"""Alerts that a message tells one by one; of more it says how many."""


class NotTakenError(Exception):
    """A channel has not taken a message; the text says why."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is told of.

    Attributes:
        node: AE title of the node that tells.
        alerts: the newest first.
    """

    node: str
    alerts: Sequence[AlertRecord]

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each code, the most frequent first."""
        return dict(Counter(it.code for it in self.alerts).most_common())

    @property
    def headline(self) -> str:
        """In a line."""
        number = "1 alert" if len(self.alerts) == 1 else f"{len(self.alerts)} alerts"
        return f"{self.node}: {number} ({', '.join(self.counts)})"

    def document(self) -> dict[str, Any]:
        """As it goes by webhook; times are ISO 8601 in UTC. What is added later is added."""
        return {
            "node": self.node,
            "counts": self.counts,
            "alerts": [_facts(it) for it in self.alerts[:MOST]],
            "not_listed": max(0, len(self.alerts) - MOST),
        }

    def text(self) -> str:
        """As it goes by mail."""
        parts = [self.headline, *map(_paragraph, self.alerts[:MOST])]
        if len(self.alerts) > MOST:
            parts.append(f"{len(self.alerts) - MOST} others: `rectal-node alerts`")
        parts.append("`rectal-node alerts acknowledge NO.` ends the repetition of an alert.")
        return "\n\n".join(parts) + "\n"


def advice(code: str) -> tuple[str, str]:
    """What a code means and what to do; of one of another release nothing is known."""
    known = next((it for it in Alert if it == code), None)
    return (known.meaning, known.advice) if known else ("", "")


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


def _paragraph(alert: AlertRecord) -> str:
    meaning, what_to_do = advice(alert.code)
    of = f" ({alert.subject})" if alert.subject else ""
    since = (
        f"since {alert.since:%Y-%m-%d %H:%M} UTC, {alert.times} times"
        if alert.times > 1
        else (f"{alert.since:%Y-%m-%d %H:%M} UTC")
    )
    return f"{alert.number}  {alert.code}{of}, {since}\n{alert.text}\n{meaning} {what_to_do}"

"""What has to be told of alerts through a channel, and what was: each condition at most once in a time, and its end.

An alert that somebody has acknowledged, or that has ended, is not told. One that was is told again where it was raised
again since, and the time since then has passed. Of one that was told the end is told, too, once it has lasted for a
while: what comes and goes within it is told of as rarely as what stays. What comes back after its end was told is told
at once. A clock that was set back makes nothing wait longer than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Engine, Select, and_, delete, false, insert, or_, select, true, tuple_, update

from storage import database
from storage.alert_schema import alert, alert_notice
from storage.alerts import IS_UNSEEN, AlertRecord, record

_AT_ONCE = 200
"""Conditions of one statement, which has parameters for each."""
_TOLD = alert_notice.c
_KEY = _TOLD.channel, _TOLD.code, _TOLD.subject


@dataclass(frozen=True, slots=True)
class Due:
    """An alert that has to be told, or whose end has to be, and the how manieth of its code and subject it is."""

    alert: AlertRecord
    opening: int


class Notices:
    """What one channel has told; safe for use by several threads and processes."""

    def __init__(self, engine: Engine, channel: str) -> None:
        self._engine, self._channel = engine, channel

    def due(self, now: datetime, repeat_after: timedelta) -> tuple[Due, ...]:
        """What has to be told now, the newest first."""
        came_again = or_(_TOLD.opening != alert.c.opening, _TOLD.times < alert.c.times)
        may_be_told = or_(_TOLD.end_told, _is_past(_TOLD.told_at, now - repeat_after, now))
        query = select(alert).outerjoin(alert_notice, self._of_channel)
        return self._found(query.where(IS_UNSEEN, or_(_TOLD.channel.is_(None), and_(came_again, may_be_told))))

    def ended(self, now: datetime, after: timedelta) -> tuple[Due, ...]:
        """What was told and has ended so long ago that its end has to be told now, the newest first."""
        query = select(alert).join(alert_notice, and_(self._of_channel, _TOLD.opening == alert.c.opening))
        return self._found(query.where(_TOLD.end_told == false(), _is_past(alert.c.cleared_at, now - after, now)))

    def told(self, due: Sequence[Due], now: datetime) -> None:
        """Note that these were told."""
        with database.writing(self._engine).begin() as connection:
            for part in _parts(due):
                connection.execute(delete(alert_notice).where(tuple_(*_KEY).in_(self._keys(part))))
                rows = [
                    {
                        "channel": self._channel,
                        "code": it.alert.code,
                        "subject": it.alert.subject,
                        "told_at": now,
                        "opening": it.opening,
                        "times": it.alert.times,
                        "end_told": False,
                    }
                    for it in part
                ]
                connection.execute(insert(alert_notice), rows)

    def end_told(self, ended: Sequence[Due]) -> None:
        """Note that the ends of these were told; what was raised again since has come again."""
        with database.writing(self._engine).begin() as connection:
            for part in _parts(ended):
                which = tuple_(*_KEY).in_(self._keys(part))
                connection.execute(update(alert_notice).where(which).values(end_told=true()))

    @property
    def _of_channel(self) -> ColumnElement[bool]:
        return and_(_TOLD.channel == self._channel, _TOLD.code == alert.c.code, _TOLD.subject == alert.c.subject)

    def _keys(self, part: Sequence[Due]) -> list[tuple[str, str, str]]:
        return [(self._channel, it.alert.code, it.alert.subject) for it in part]

    def _found(self, query: Select[tuple[object, ...]]) -> tuple[Due, ...]:
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(alert.c.identifier.desc())).all()
        return tuple(Due(record(row), row.opening) for row in rows)


def _is_past(moment: ColumnElement[datetime], limit: datetime, now: datetime) -> ColumnElement[bool]:
    """Whether a moment lies before a limit; or after now, since the clock was set back."""
    return or_(moment <= limit, moment > now)


def _parts(due: Sequence[Due]) -> list[Sequence[Due]]:
    return [due[begin : begin + _AT_ONCE] for begin in range(0, len(due), _AT_ONCE)]

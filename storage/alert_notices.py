"""What has to be told of alerts through a channel, and what was: each condition at most once in a time.

An alert that somebody has acknowledged, or that has ended, is not told. One that was is told again where it was raised
again since, and the time since then has passed; a clock that was set back makes nothing wait longer than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, and_, delete, insert, or_, select, tuple_

from storage import database
from storage.alert_schema import alert, alert_notice
from storage.alerts import IS_UNSEEN, AlertRecord, record

_AT_ONCE = 200
"""Conditions of one statement, which has parameters for each."""


@dataclass(frozen=True, slots=True)
class Due:
    """An alert that has to be told, and the how manieth of its code and subject it is."""

    alert: AlertRecord
    opening: int


class Notices:
    """What one channel has told; safe for use by several threads and processes."""

    def __init__(self, engine: Engine, channel: str) -> None:
        self._engine, self._channel = engine, channel

    def due(self, now: datetime, repeat_after: timedelta) -> tuple[Due, ...]:
        """What has to be told now, the newest first."""
        told = alert_notice.c
        of_channel = and_(told.channel == self._channel, told.code == alert.c.code, told.subject == alert.c.subject)
        came_again = or_(told.opening != alert.c.opening, told.times < alert.c.times)
        long_ago = or_(told.told_at <= now - repeat_after, told.told_at > now)
        query = select(alert).outerjoin(alert_notice, of_channel)
        query = query.where(IS_UNSEEN, or_(told.channel.is_(None), and_(came_again, long_ago)))
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(alert.c.identifier.desc())).all()
        return tuple(Due(record(row), row.opening) for row in rows)

    def told(self, due: Sequence[Due], now: datetime) -> None:
        """Note that these were told."""
        with database.writing(self._engine).begin() as connection:
            for begin in range(0, len(due), _AT_ONCE):
                part = due[begin : begin + _AT_ONCE]
                keys = [(self._channel, it.alert.code, it.alert.subject) for it in part]
                columns = alert_notice.c.channel, alert_notice.c.code, alert_notice.c.subject
                connection.execute(delete(alert_notice).where(tuple_(*columns).in_(keys)))
                rows = [
                    {
                        "channel": self._channel,
                        "code": it.alert.code,
                        "subject": it.alert.subject,
                        "told_at": now,
                        "opening": it.opening,
                        "times": it.alert.times,
                    }
                    for it in part
                ]
                connection.execute(insert(alert_notice), rows)

"""Telling operators of alerts: each channel in a thread of its own, so that one that hangs holds nobody."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from node.clock import Clock, utc_now
from node.codes import Alert
from node.maintenance.mail import Mail
from node.maintenance.message import Message, NotTakenError
from node.maintenance.webhook import Webhook
from node.settings import AlertSettings
from storage.alert_notices import Due, Notices
from storage.alerts import Alerts

log = logging.getLogger(__name__)

_STOP_WITHIN_S = 1.0


class Channel(Protocol):
    """What takes messages."""

    @property
    def name(self) -> str:
        """By which log and alerts call it."""

    def tell(self, message: Message) -> str:
        """Send a message; returns what is wrong although it was taken, or nothing.

        Raises:
            NotTakenError: it was not taken.
        """


def channels(settings: AlertSettings) -> tuple[Channel, ...]:
    """Those of the settings."""
    webhook = (Webhook(settings.webhook),) if settings.webhook else ()
    mail = (Mail(settings.mail),) if settings.mail else ()
    return (*webhook, *mail)


class Teller:
    """Tells one channel what is due, and what of it has ended, until it is stopped.

    A channel that does not take a message is left alone for a wait that doubles each time, and is an alert itself,
    which the others tell. What it was not told stays due.
    """

    def __init__(
        self, channel: Channel, settings: AlertSettings, node: str, engine: Engine, clock: Clock = utc_now
    ) -> None:
        self._channel, self._settings, self._node, self._clock = channel, settings, node, clock
        self._notices, self._alerts = Notices(engine, channel.name), Alerts(engine, clock)
        self._stopping = threading.Event()
        self._in_vain, self._not_before = 0, 0.0
        # A look-up of a name cannot be interrupted: the process must be able to end during one.
        self._thread = threading.Thread(target=self._run, name=f"alerts-{channel.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; a message that is under way is told again after the next start."""
        self._stopping.set()
        self._thread.join(_STOP_WITHIN_S)

    def look(self) -> None:
        """Tell what is due, unless the channel is left alone."""
        if time.monotonic() < self._not_before:
            return
        now = self._clock()
        due = self._notices.due(now, timedelta(seconds=self._settings.repeat_after_s))
        ended = self._notices.ended(now, timedelta(seconds=self._settings.end_after_s))
        if due or ended:
            self._tell(due, ended)

    def _tell(self, due: Sequence[Due], ended: Sequence[Due]) -> None:
        numbers = f"{len(due)} alerts and {len(ended)} ends"
        try:
            fault = self._channel.tell(
                Message(self._node, tuple(it.alert for it in due), tuple(it.alert for it in ended))
            )
        except NotTakenError as error:
            self._not_before = time.monotonic() + self._wait_s()
            self._in_vain += 1
            self._alerts.raise_(Alert.NOT_SENT, self._channel.name, f"{numbers} not told: {error}")
            return
        self._in_vain = 0
        self._notices.end_told(ended)  # first: of one that came back after a day its end and it are told
        self._notices.told(due, self._clock())
        if fault:
            self._alerts.raise_(Alert.NOT_SENT, self._channel.name, fault)
        else:
            self._alerts.clear(Alert.NOT_SENT, self._channel.name)
        log.info("%s told by %s", numbers, self._channel.name)

    def _wait_s(self) -> float:
        longest = self._settings.longest_retry_s
        # Beyond that many doublings every wait is the longest; a larger power would be no number any more.
        return min(longest, self._settings.first_retry_s * 2.0 ** min(self._in_vain, 30))

    def _run(self) -> None:
        while not self._stopping.wait(self._settings.look_every_s):
            try:
                self.look()
            except SQLAlchemyError as error:
                log.error(
                    "alerts are not told by %s: the database fails (%s)", self._channel.name, type(error).__name__
                )

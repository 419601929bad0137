"""Conditions that an operator has to see: listed with what to do, acknowledged, counted; the channels tried."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from node.clock import utc_now
from node.codes import Alert
from node.errors import NodeError
from node.maintenance.message import Message, NotTakenError, advice
from node.maintenance.telling import channels
from node.settings import Settings
from storage.alerts import AlertCount, AlertRecord, Alerts
from storage.database import open_engine


@dataclass(frozen=True, slots=True)
class AlertLine:
    """An alert with what its code means and what to do."""

    alert: AlertRecord
    meaning: str
    what_to_do: str


@dataclass(frozen=True, slots=True)
class AlertList:
    """Alerts, the newest first; `counts` by code, of every one that was ever raised."""

    as_of: datetime
    alerts: tuple[AlertLine, ...]
    counts: dict[str, AlertCount]


@dataclass(frozen=True, slots=True)
class Told:
    """A message that was sent to try a channel; `reason` says why it was not taken, or not by all."""

    channel: str
    taken: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Tried:
    """All channels of the settings."""

    channels: tuple[Told, ...]


def alerts(settings: Settings, ended: bool = False, limit: int = 50) -> AlertList:
    """The latest alerts that are open, and those that have ended where asked for."""
    kept = Alerts(open_engine(settings.storage_url))
    found = kept.all(limit) if ended else kept.open()[:limit]
    return AlertList(utc_now(), tuple(map(line, found)), kept.counts())


def acknowledge(settings: Settings, number: int, by: str) -> AlertLine:
    """Note that somebody has seen an alert; it is not told again while it lasts.

    Raises:
        NodeError: nobody is named.
        StorageError: there is no such alert.
    """
    if not by.strip():
        raise NodeError(f"alert {number}: say who acknowledges it")
    return line(Alerts(open_engine(settings.storage_url)).acknowledge(number, by.strip()))


def counts(settings: Settings) -> dict[str, AlertCount]:
    """Of every code, those that were never raised too: what a metric has to show from the beginning."""
    found = Alerts(open_engine(settings.storage_url)).counts()
    return {**{code.value: AlertCount(0, 0, 0) for code in Alert}, **found}


def try_channels(settings: Settings) -> Tried:
    """Send a message to every channel now, with an alert that is none.

    Raises:
        NodeError: the settings name no channel.
    """
    found = channels(settings.alerts)
    if not found:
        raise NodeError("alerts: neither [alerts.webhook] nor [alerts.mail] is there: nobody is told of alerts")
    now = utc_now()
    trial = AlertRecord(0, "TEST", "", "This is a test; nothing is wrong.", now, now, 1, "", None, None)
    message = Message(settings.listener.ae_title, (trial,))
    told = []
    for channel in found:
        try:
            told.append(Told(channel.name, True, channel.tell(message)))
        except NotTakenError as error:
            told.append(Told(channel.name, False, str(error)))
    return Tried(tuple(told))


def line(alert: AlertRecord) -> AlertLine:
    """An alert with what its code means."""
    return AlertLine(alert, *advice(alert.code))

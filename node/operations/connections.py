"""Who the node speaks with: whether remotes answer, what waits for destinations, and what waits here, step by step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine

from node.analysis.progress import running_steps
from node.clock import utc_now
from node.maintenance import echoing
from node.operations.transfer import askable
from node.settings import RemoteSettings, Settings
from node.settings.destinations import within
from storage import echoes, rests, waiting
from storage.echoes import Echo
from storage.records import DeliveryState, StudyState
from storage.rests import Rest
from storage.waiting import Waiting, WaitingResults

HISTORY = 30
"""Answers of a remote that are shown."""


@dataclass(frozen=True, slots=True)
class RemoteLine:
    """A remote, and how it has answered.

    `history`: the latest answers, the last one first. `last_success` may be older than all of these.
    """

    remote: RemoteSettings
    history: tuple[Echo, ...]
    last_success: Echo | None


@dataclass(frozen=True, slots=True)
class DestinationLine:
    """A destination: its deliveries by state, what waits for it and why.

    `rest` is there while it is left alone. `is_open`: this is one of its delivery hours. `is_configured`: results are
    sent to it; False of one that the settings have no more.
    """

    name: str
    states: dict[DeliveryState, int]
    waiting: WaitingResults | None
    rest: Rest | None
    hours: str
    is_open: bool
    is_configured: bool


@dataclass(frozen=True, slots=True)
class QueueLine:
    """So many things wait for a step; `of` is the destination or remote that they wait for, empty where it is none.

    `step`: `receiving`, `analysis`, `running` (then `of` is the last step that has ended), `delivery`, `commitment`,
    `report`, `retrieval` or `quarantine`.
    """

    step: str
    of: str
    count: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Connections:
    """All of it at one moment."""

    as_of: datetime
    queues: tuple[QueueLine, ...]
    destinations: tuple[DestinationLine, ...]
    remotes: tuple[RemoteLine, ...]


def connections(settings: Settings, engine: Engine) -> Connections:
    """Queues, destinations and remotes as they are now."""
    now, running = utc_now(), running_steps(settings.root)
    with engine.connect() as connection:
        results = waiting.results(connection)
        return Connections(
            as_of=now,
            queues=tuple(_queues(connection, running, results)),
            destinations=tuple(_destinations(connection, settings, results, now)),
            remotes=tuple(
                RemoteLine(it, echoes.latest(connection, it.name, HISTORY), echoes.last_success(connection, it.name))
                for it in settings.remotes
            ),
        )


def ask(settings: Settings, engine: Engine, name: str, by: str) -> Echo:
    """Ask a remote whether it answers, and keep what came of it.

    Raises:
        NodeError: there is none of that name with url, or with host and port.
    """
    return echoing.ask(askable(settings, name), engine, by)


def _queues(connection: Connection, running: dict[str, str], results: dict[str, WaitingResults]) -> Iterator[QueueLine]:
    studies = waiting.studies(connection, list(running))
    for step, state in (("receiving", StudyState.RECEIVING), ("analysis", StudyState.QUEUED)):
        found = studies.get(state, Waiting(0, None))
        yield QueueLine(step, "", found.count, found.oldest)
    by_step: dict[str, list[datetime]] = defaultdict(list)
    for uid, arrived in waiting.arrivals(connection, list(running)).items():
        by_step[running[uid]].append(arrived)
    for step, moments in by_step.items():
        yield QueueLine("running", step, len(moments), min(moments))
    for name, it in results.items():
        yield QueueLine("delivery", name, it.count, it.oldest)
    for step, by_name in (
        ("commitment", waiting.uncommitted(connection)),
        ("report", waiting.reports(connection)),
        ("retrieval", waiting.retrievals(connection)),
    ):
        for name, each in by_name.items():
            yield QueueLine(step, name, each.count, each.oldest)
    held = waiting.quarantined(connection)
    yield QueueLine("quarantine", "", held.count, held.oldest)


def _destinations(
    connection: Connection, settings: Settings, results: dict[str, WaitingResults], now: datetime
) -> Iterator[DestinationLine]:
    states, resting = waiting.deliveries(connection), rests.rests(connection)
    local = now.astimezone(ZoneInfo(settings.time_zone) if settings.time_zone else None).time()
    configured = {it.name: it for it in settings.destinations}
    for name in dict.fromkeys((*configured, *states)):
        remote, rest = configured.get(name), resting.get(name)
        hours = remote.delivery_hours if remote else ""
        yield DestinationLine(
            name=name,
            states=states.get(name, {}),
            waiting=results.get(name),
            rest=rest if rest is not None and rest.since <= now < rest.until else None,
            hours=hours,
            is_open=within(hours, local),
            is_configured=remote is not None,
        )

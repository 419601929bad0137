"""What rules of retention remove: looked at without a change, done at once, and what was removed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from node.clock import utc_now
from node.errors import NodeError
from node.maintenance.retention import Found, Retention
from node.settings import Settings
from storage import removal_records
from storage.database import open_engine
from storage.files import ObjectStore
from storage.records import StudyState
from storage.removal_records import Removal


@dataclass(frozen=True, slots=True)
class Fitting:
    """A study that fits a rule: how much of it the rule removes, and what keeps it, in words; empty where nothing."""

    study_instance_uid: str
    state: StudyState
    last_received_at: datetime
    rule: str
    remove: str
    objects: int
    size: int
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """What the rules would remove at this moment, sizes in bytes.

    `going` and `kept` hold the studies that rested longest, as many as were asked for; the counts are of all.
    `kept_because` counts the studies by each reason that keeps them; a study may have several.
    """

    as_of: datetime
    enabled: bool
    free: int
    going: tuple[Fitting, ...]
    kept: tuple[Fitting, ...]
    going_count: int
    going_size: int
    kept_count: int
    kept_size: int
    kept_because: dict[str, int]


@dataclass(frozen=True, slots=True)
class Removals:
    """Removals, the last first; one whose `ended_at` is null has files left, and goes on."""

    removals: tuple[Removal, ...]


def plan(settings: Settings, limit: int = 50) -> RetentionPlan:
    """What the rules would remove now, whether or not they are enabled; nothing is changed."""
    files = ObjectStore(settings.root)
    going: list[Fitting] = []
    kept: list[Fitting] = []
    counts: Counter[bool] = Counter()
    sizes: Counter[bool] = Counter()
    because: Counter[str] = Counter()
    for found in Retention(settings, open_engine(settings.storage_url), files).found():
        is_kept = bool(found.candidate.kept)
        counts[is_kept] += 1
        sizes[is_kept] += found.size
        because.update(found.candidate.kept)
        listed = kept if is_kept else going
        if len(listed) < limit:
            listed.append(_fitting(found))
    return RetentionPlan(
        as_of=utc_now(),
        enabled=settings.retention.enabled,
        free=files.free_bytes(),
        going=tuple(going),
        kept=tuple(kept),
        going_count=counts[False],
        going_size=sizes[False],
        kept_count=counts[True],
        kept_size=sizes[True],
        kept_because=dict(because.most_common()),
    )


def remove(settings: Settings) -> Removals:
    """Do now what a running node does every `retention.every_s`.

    Raises:
        NodeError: retention is not enabled.
    """
    if not settings.retention.enabled:
        raise NodeError("retention.enabled is false: nothing is removed; `--dry-run` shows what the rules would remove")
    looking = Retention(settings, open_engine(settings.storage_url), ObjectStore(settings.root))
    return Removals(looking.look())


def removed(settings: Settings, limit: int = 50) -> Removals:
    """The latest removals on record."""
    with open_engine(settings.storage_url).connect() as connection:
        return Removals(removal_records.latest(connection, limit))


def _fitting(found: Found) -> Fitting:
    study = found.candidate
    return Fitting(
        study_instance_uid=study.study_instance_uid,
        state=study.state,
        last_received_at=study.last_received_at,
        rule=found.rule.name,
        remove=found.rule.remove,
        objects=found.objects,
        size=found.size,
        kept=tuple(map(str, study.kept)),
    )

"""Retention: what the rules of the settings remove, and what keeps a study from them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from node.clock import Clock, utc_now
from node.codes import Alert
from node.maintenance.removing import Remover
from node.recognition.header import patients
from node.settings import Remove, RetentionRule, Settings
from node.settings.destinations import within
from storage import clock_gaps, retention
from storage.alerts import Alerts
from storage.files import ObjectStore
from storage.removal import Order
from storage.removal_records import Removal, Scope
from storage.retention import Candidate, Circumstances, Terms
from storage.site_secret import SiteSecret

GIGABYTE = 1e9
_PAGE = 500  # studies that are looked at together
_SCOPES = {Remove.IMAGES: Scope.IMAGES, Remove.STUDY: Scope.STUDY}


@dataclass(frozen=True, slots=True)
class Found:
    """A study that fits a rule; nothing keeps it where `candidate.kept` is empty."""

    candidate: Candidate
    rule: RetentionRule

    @property
    def objects(self) -> int:
        """How many go."""
        return self.candidate.images if self.rule.remove is Remove.IMAGES else self.candidate.objects

    @property
    def size(self) -> int:
        """Their bytes."""
        return self.candidate.images_size if self.rule.remove is Remove.IMAGES else self.candidate.size


class Retention:
    """Removes what the rules say."""

    def __init__(self, settings: Settings, engine: Engine, files: ObjectStore, clock: Clock = utc_now) -> None:
        self._settings, self._engine, self._files, self._clock = settings, engine, files, clock
        self._remover = Remover(engine, files, clock)
        self._alerts = Alerts(engine, clock)
        self._secret = SiteSecret(files.root)
        self._stopping = threading.Event()

    def look(self) -> tuple[Removal, ...]:
        """Go on with what was interrupted, then remove what the rules say, so many studies at the most.

        Raises:
            OSError: the disk refused to remove a file; the next look goes on with it.
        """
        clock_gaps.see(self._engine, self._clock())
        refused = self._finish()
        removed = tuple(self._remove()) if self._settings.retention.enabled else ()
        if refused is not None:
            raise refused
        return removed

    def stop(self) -> None:
        """Have a look that is under way end after the study that it removes."""
        self._stopping.set()

    def found(self) -> Iterator[Found]:
        """Every study that fits a rule at this moment, and what keeps it; changes nothing.

        A study that fits several is given with the first of them that removes anything of it.
        """
        seen: set[str] = set()
        free = float(self._files.free_bytes())
        for rule in self._settings.retention.rules:
            if not _is_short(rule, free):
                continue
            for each in self._fitting(rule, free_only=False):
                if rule.free_below_gb and free >= rule.free_again_gb * GIGABYTE:
                    break
                if each.candidate.study_instance_uid in seen:
                    continue
                seen.add(each.candidate.study_instance_uid)
                free += 0 if each.candidate.kept else each.size
                yield each

    def circumstances(self) -> Circumstances:
        """What decides beside the rows of a study, now."""
        settings = self._settings
        return Circumstances(
            now=self._clock(),
            committing=frozenset(it.name for it in settings.destinations if it.commitment),
            delivers=bool(settings.destinations),
            promises_hold=settings.retention.promises_hold,
        )

    def _finish(self) -> OSError | None:
        """Go on with what was interrupted; one file that stays keeps nothing else from its removal."""
        try:
            self._remover.finish(self._stopping.is_set)
        except OSError as error:
            self._alerts.raise_(Alert.REMOVAL_UNFINISHED, "", f"files that are to be removed stay: {error.strerror}")
            return error
        if not self._stopping.is_set():
            self._alerts.clear(Alert.REMOVAL_UNFINISHED, "")
        return None

    def _remove(self) -> Iterator[Removal]:
        left = self._settings.retention.most_at_once
        for rule in self._settings.retention.rules:
            if not self._is_time_for(rule) or not _is_short(rule, self._files.free_bytes()):
                continue
            for each in self._fitting(rule, free_only=True):
                if self._stopping.is_set():
                    return
                if left <= 0 or self._is_enough(rule):
                    break
                order = Order(rule.name, self._patient(each.candidate))
                uid = each.candidate.study_instance_uid
                now = self.circumstances()
                removed = self._remover.remove(uid, _SCOPES[rule.remove], order, now, terms=self._terms(rule, now.now))
                if isinstance(removed, Removal):
                    left -= 1
                    yield removed

    def _patient(self, candidate: Candidate) -> str:
        """Digest of whose study it is: an order to erase a patient finds by it what rules removed before."""
        return self._secret.digest(patients.identity(candidate.patient_id or "").identifier)

    def _fitting(self, rule: RetentionRule, free_only: bool) -> Iterator[Found]:
        """Studies that fit a rule, the one that rested longest first."""
        circumstances = self.circumstances()
        terms = self._terms(rule, circumstances.now)
        after: tuple[datetime, str] | None = None
        while True:
            with self._engine.connect() as connection:
                images = rule.remove is Remove.IMAGES
                page = retention.candidates(
                    connection, terms, circumstances, after, _PAGE, free_only, with_images=images
                )
            for candidate in page:
                found = Found(candidate, rule)
                if found.objects and rule.is_for(candidate.patient_id):
                    yield found
            if len(page) < _PAGE:
                return
            after = page[-1].last_received_at, page[-1].study_instance_uid

    def _is_time_for(self, rule: RetentionRule) -> bool:
        zone = ZoneInfo(self._settings.time_zone) if self._settings.time_zone else None
        return bool(rule.free_below_gb) or within(self._settings.retention.hours, self._clock().astimezone(zone).time())

    def _is_enough(self, rule: RetentionRule) -> bool:
        return bool(rule.free_below_gb) and self._files.free_bytes() >= rule.free_again_gb * GIGABYTE

    def _terms(self, rule: RetentionRule, now: datetime) -> Terms:
        with self._engine.connect() as connection:
            gaps = clock_gaps.gaps(connection, now)
        return Terms(frozenset(rule.states), now - timedelta(days=rule.older_than_days), gaps)


def _is_short(rule: RetentionRule, free: float) -> bool:
    """Whether a rule on free disk is to be followed now; one without always is."""
    return not rule.free_below_gb or free < rule.free_below_gb * GIGABYTE

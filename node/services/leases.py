"""Keeps the storage told which associations are open, and for which studies.

The first instance of a study in an association is registered together with a lease, the end of the association takes
it back, and a thread renews the leases of the others. What dies without an end, dies with its lease.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import uuid4

from sqlalchemy.exc import SQLAlchemyError

from storage.index import Index
from storage.records import OpenAssociation

log = logging.getLogger(__name__)

#: Long beside the stalls of a busy machine, short beside the patience of those who wait for the study, in s.
LEASE_S = 15.0


class Sender(Protocol):
    """Who sends objects over an association; hashed by identity."""

    @property
    def ae_title(self) -> str:
        """What it calls itself."""

    @property
    def address(self) -> str:
        """Where from."""

    def is_alive(self) -> bool:
        """Whether the association stands."""


@dataclass(frozen=True, slots=True)
class _Open:
    identifier: str
    studies: set[str] = field(default_factory=set)


class Leases:
    """The open associations of one listener that have stored something."""

    def __init__(self, index: Index, lease_s: float = LEASE_S) -> None:
        self._index = index
        self._lease = timedelta(seconds=lease_s)
        self._open: dict[Sender, _Open] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="association-leases", daemon=True)

    def start(self) -> None:
        """Begin to renew."""
        self._index.discard_expired_associations(datetime.now(UTC))
        self._thread.start()

    def stop(self) -> None:
        """End what is left; no association stores anything any more."""
        self._stop.set()
        self._thread.join()
        self._end(list(self._open))

    def claim(self, association: Sender, study_uid: str, now: datetime) -> OpenAssociation | None:
        """The lease that has to be registered with an instance; None where it has been before."""
        with self._lock:
            found = self._open.get(association)
        if found is None:
            return OpenAssociation(uuid4().hex, now + self._lease)
        return None if study_uid in found.studies else OpenAssociation(found.identifier, now + self._lease)

    def keep(self, association: Sender, study_uid: str, claim: OpenAssociation) -> None:
        """The claim was registered; from now on it is renewed."""
        with self._lock:
            self._open.setdefault(association, _Open(claim.identifier)).studies.add(study_uid)

    def end(self, association: Sender) -> None:
        """The association was released or aborted."""
        self._end([association])

    def renew(self) -> None:
        """Prolong what is open; end what has died without saying so."""
        with self._lock:
            known = list(self._open)
        self._end([association for association in known if not association.is_alive()])
        with self._lock:
            identifiers = [found.identifier for found in self._open.values()]
        if identifiers:
            self._index.renew_associations(identifiers, datetime.now(UTC) + self._lease)

    def _end(self, associations: Iterable[Sender]) -> None:
        with self._lock:
            ended = {each: self._open[each].identifier for each in associations if each in self._open}
        if not ended:
            return
        self._index.end_associations(ended.values())
        with self._lock:
            for each in ended:
                self._open.pop(each, None)

    def _run(self) -> None:
        while not self._stop.wait(self._lease.total_seconds() / 3):
            try:
                self.renew()
            except SQLAlchemyError:
                log.exception("leases of associations not renewed, trying again")

"""Retrievals of one remote worked off: claimed, fetched, settled; what is short comes back after a wait, to an end.

A retrieval that was under way when the process died is due again when its claim has run out. What had come by then is
here, and is not asked for again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta

from node.clock import Clock, utc_now
from node.dicom.association import RemoteAE
from node.errors import TransientError
from node.retrieval.exchange import Line
from node.retrieval.route import Route
from node.retrieval.study import Fetched, Progress, fetch
from node.settings import RemoteSettings, RetrievalSettings
from storage.retrievals import Attempt, RetrievalRecord, Retrievals

log = logging.getLogger(__name__)

CLAIM_S = 120.0
_EXTEND_S = 20.0
PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Terms:
    """How a remote is asked, and how often.

    Attributes:
        maximum_attempts: of one study.
        first_retry_s: wait after the first failure; it doubles with each …
        longest_retry_s: … up to this.
        patience_s: for objects that come after the last answer.
    """

    maximum_attempts: int
    first_retry_s: float
    longest_retry_s: float
    patience_s: float = PATIENCE_S

    @classmethod
    def of(cls, settings: RetrievalSettings) -> Terms:
        """Those of an entry of the configuration."""
        return cls(settings.maximum_attempts, settings.first_retry_s, settings.longest_retry_s)

    @property
    def longest_wait(self) -> timedelta:
        """For which a study, or a claim, is ever put off."""
        return timedelta(seconds=max(self.longest_retry_s, self.first_retry_s, CLAIM_S))

    def wait_after(self, attempts: int) -> timedelta | None:
        """Until the next attempt; None where there is none after so many."""
        if attempts >= self.maximum_attempts:
            return None
        return self.wait(attempts)

    def wait(self, times: int) -> timedelta:
        """After a failure of this number in a row."""
        return timedelta(seconds=min(self.first_retry_s * 2.0 ** min(times - 1, 64), self.longest_retry_s))


class RetrievalWorker:
    """Fetches studies of one remote, one after the other."""

    def __init__(
        self,
        remote: RemoteSettings,
        answer_timeout_s: float,
        route: Route,
        retrievals: Retrievals,
        terms: Terms,
        clock: Clock = utc_now,
    ) -> None:
        self.remote = remote
        self._receiver = replace(RemoteAE.of(remote), timeout_s=max(answer_timeout_s, remote.timeout_s))
        self._line = Line()
        self._in_vain: dict[int, int] = {}  # of a retrieval, how often in a row the remote could not be asked
        self._route, self._retrievals, self._terms, self._clock = route, retrievals, terms, clock

    def stop(self) -> None:
        """End the request that is under way, and make no other; in any thread."""
        self._line.end()

    @property
    def longest_wait(self) -> timedelta:
        """For which a study of the remote is ever put off."""
        return self._terms.longest_wait

    def fetch(self, record: RetrievalRecord) -> Generator[Progress, None, Attempt | None]:
        """Make one attempt; None where another process has it. Closing the generator gives it back untried.

        Raises:
            TransientError: it was stopped.
        """
        now = self._clock()
        claimed = self._retrievals.claim(
            record.identifier, now, now + timedelta(seconds=CLAIM_S), self._terms.longest_wait
        )
        if not claimed:
            return None
        settled = False
        try:
            attempt = yield from self._attempt(record)
            settled = self._retrievals.settle(record.identifier, attempt, self._clock())
        finally:
            if not settled:
                self._retrievals.give_back(record.identifier)
        _tell(record, attempt)
        return attempt

    def _attempt(self, record: RetrievalRecord) -> Generator[Progress, None, Attempt]:
        study, terms = record.study_instance_uid, self._terms
        attempts = record.attempts + 1
        try:
            fetched = yield from self._fetched(record)
        except TransientError as error:
            if self._line.is_ended:
                raise
            arrived = sum(map(len, self._retrievals.here(study).values()))
            fetched = Fetched(record.at_remote, arrived, f"{self.remote.name}: {error}")
            if terms.maximum_attempts > 1:
                return self._put_off(record, fetched)
        if fetched.reason and self._line.is_ended:
            raise TransientError("stopped")
        self._in_vain.pop(record.identifier, None)
        wait = None if fetched.hopeless or not fetched.reason else terms.wait_after(attempts)
        reason = fetched.reason
        if reason and wait is None and not fetched.hopeless and terms.maximum_attempts > 1:
            reason = f"given up after {attempts} attempts: {reason}"
        return Attempt(fetched.there, fetched.here, reason, None if wait is None else self._clock() + wait)

    def _put_off(self, record: RetrievalRecord, fetched: Fetched) -> Attempt:
        """The remote could not be asked, or not to the end, which says nothing of the study: as often as it takes."""
        times = self._in_vain[record.identifier] = self._in_vain.get(record.identifier, 0) + 1
        again_at = self._clock() + self._terms.wait(times)
        return Attempt(fetched.there, fetched.here, fetched.reason, again_at, counted=False)

    def _fetched(self, record: RetrievalRecord) -> Generator[Progress, None, Fetched]:
        """The same as `study.fetch`, while the claim is extended."""
        extended = time.monotonic()
        fetching = fetch(
            self._receiver,
            record.study_instance_uid,
            self._route,
            self._line,
            self._retrievals.here,
            self._terms.patience_s,
        )
        with closing(fetching):
            while True:
                try:
                    progress = next(fetching)
                except StopIteration as stop:
                    fetched: Fetched = stop.value
                    return fetched
                yield progress
                if time.monotonic() > extended + _EXTEND_S:
                    extended = time.monotonic()
                    self._retrievals.extend(record.identifier, self._clock() + timedelta(seconds=CLAIM_S))


def _tell(record: RetrievalRecord, attempt: Attempt) -> None:
    counted = f"{attempt.here} of {attempt.at_remote} objects are here"
    what = f"study {record.study_instance_uid} of {record.remote}: {counted}"
    if not attempt.reason:
        log.info("%s", what)
    elif attempt.again_at is not None:
        log.warning("%s; next attempt at %s: %s", what, f"{attempt.again_at:%Y-%m-%d %H:%M:%S %Z}", attempt.reason)
    else:
        log.error("%s: %s", what, attempt.reason)

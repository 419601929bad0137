"""Reports of storage commitment to those that asked for it, each over an association that this node opens.

It is the SCP there and says so by role selection (PS3.4 J.3.3, PS3.7 D.3.3.4). A report is repeated with back-off until
it is taken, and given up after `maximum_attempts` of the remote. What a process that died had claimed is claimed again
when its lease has run out: the asker may then get the same report twice.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from node.clock import PARTING_S, Clock, utc_now
from node.dicom.association import RemoteAE
from node.dicom.commitment import report_to
from node.errors import TransientError
from node.local_faults import LocalFaults
from node.services.commitment import judged
from node.settings import RemoteSettings
from storage.alerts import Alerts
from storage.commitment_requests import CommitmentRequests
from storage.files import ObjectStore
from storage.records import CommitmentRequest

log = logging.getLogger(__name__)

#: Of a claim, in s: long beside a report, short beside the patience of an asker.
LEASE_S = 30.0
_LOOK_S = 0.25
_NOT_CALLED = "no remote with this name, may_commit, host and port is configured: nobody can be called"
_AGAIN_S = 5.0  # after a fault of this machine


class Reporter:
    """Sends the reports that are due to one remote, in a thread of its own: one that is away delays no other."""

    def __init__(
        self,
        remote: RemoteSettings,
        files: ObjectStore,
        requests: CommitmentRequests,
        clock: Clock = utc_now,
        lease_s: float = LEASE_S,
        alerts: Alerts | None = None,
    ) -> None:
        self._remote, self._files, self._requests, self._clock = remote, files, requests, clock
        self._lease = timedelta(seconds=max(lease_s, 2 * remote.timeout_s))
        self._longest = max(self._lease, timedelta(seconds=remote.longest_retry_s))
        self._faults = LocalFaults(alerts, f"commitment reports to {remote.name}", clock)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"commitment-reports-{remote.name}", daemon=True)

    def start(self) -> None:
        """Begin to report."""
        self._thread.start()

    def stop(self) -> None:
        """End after the report that is under way."""
        self._stop.set()
        self._thread.join(timeout=min(PARTING_S, self._remote.timeout_s))

    def report_due(self) -> bool:
        """Report one request that is due; whether there was any."""
        now, remote = self._clock(), self._remote
        request = self._requests.claim(remote.name, now, now + self._lease, self._longest)
        if request is None:
            return False
        committed, failed = judged(request, self._requests, self._files)
        try:
            called = replace(RemoteAE.of(remote), calling_ae=request.called_ae)  # as the asker knows this node
            report_to(called, request.transaction_uid, committed, failed)
        except TransientError as error:
            self._postpone(request, str(error))
            return True
        self._requests.taken(request.identifier)
        what = f"transaction {request.transaction_uid}: {len(committed)} objects committed, {len(failed)} not"
        log.info("remote %s: %s", remote.name, what)
        return True

    def _postpone(self, request: CommitmentRequest, reason: str) -> None:
        remote, uid = self._remote, request.transaction_uid
        if request.attempts >= remote.maximum_attempts:
            words = f"gave up after {request.attempts} attempts: {reason}"
            self._requests.give_up(request.identifier, words)
            log.error("remote %s: commitment report %s: %s", remote.name, uid, words)
            return
        delay = remote.retry_delay_s(request.attempts - 1)
        self._requests.postpone(request.identifier, reason, self._clock() + timedelta(seconds=delay))
        words = f"{reason}; next try in {delay:.0f} s"
        log.warning("remote %s: commitment report %s not taken: %s", remote.name, uid, words)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                pause = 0.0 if self.report_due() else _LOOK_S
                self._faults.over()
            except Exception as error:
                # The thread is the only one that reports to the remote: whatever a request brings must not end it.
                pause = _AGAIN_S
                if not self._faults.takes(error, self._thread.name):
                    log.exception("commitment reports to %s: a report failed", self._remote.name)
            self._stop.wait(pause)


def reporters(
    remotes: Sequence[RemoteSettings],
    files: ObjectStore,
    requests: CommitmentRequests,
    alerts: Alerts | None = None,
) -> tuple[Reporter, ...]:
    """One for each remote that may ask and can be called; what is owed to any other is given up."""
    called = [remote for remote in remotes if remote.may_commit and remote.can_be_called]
    if count := requests.give_up_others([remote.name for remote in called], _NOT_CALLED):
        log.error("%d commitment reports are not sent any more: %s", count, _NOT_CALLED)
    return tuple(Reporter(remote, files, requests, alerts=alerts) for remote in called)

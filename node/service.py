"""The only place that wires the rooms together: roles, scheduled jobs, signals, orderly stop.

The stages meet only in the storage, so each role may run in a process of its own on the same root; by default one
process has them all. A role's rooms are imported when it starts: a listener needs no torch, and one that starts beside
the analysis listens while the models still load. What arrives before they are there is acknowledged and waits.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from enum import StrEnum
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

from models.interruption import Interrupted, ended_by
from models.memory import share_arenas
from node.analysis.progress import require_readable
from node.audit.recorder import Recorder
from node.audit.writer import AuditWriter
from node.clock import PARTING_S, STOPS_WITHIN_S, utc_now
from node.errors import ConfigurationError
from node.settings import Settings
from storage.alerts import Alerts
from storage.audit import AuditAction, AuditEvent
from storage.database import close
from storage.deliveries import Deliveries
from storage.index import Index
from storage.ledger import Ledger
from storage.root import open_root

if TYPE_CHECKING:
    from node.completion.settling import Completion
    from node.completion.shortage import Inquiry
    from node.scheduler import SteadyScheduler

log = logging.getLogger(__name__)

_CATALOGUE_EVERY_S = 2
#: What completion queues is submitted at once; this finds what a crash left between.
_INTAKE_EVERY_S = 5
_RECONCILE_EVERY_H = 24
_REJECT_EVERY_S = 5
_SETTLING = "settling"
#: Of the time of a stop, for the databases and the end of the interpreter …
_LAST_S = 1.0
#: … and, after that, for the system to take back what the process held: hard ends were seen to take 0.2 to 0.9 s.
_TEARDOWN_S = 1.0
#: Exit status of a process that did not come to its end in the time of a stop.
_ENDED_HARD = 1
#: A sweep does not begin before the one that ordered it has returned.
_AFTER_A_SWEEP = timedelta(seconds=0.05)


class ServiceRole(StrEnum):
    """A part of the node that can run in a process of its own; in the order in which data flows."""

    LISTENER = "listener"
    WEB = "web"
    RETRIEVAL = "retrieval"
    ANALYSIS = "analysis"
    DELIVERY = "delivery"
    MAINTENANCE = "maintenance"


class Service:
    """A running node."""

    def __init__(self, settings: Settings, roles: frozenset[ServiceRole] = frozenset(ServiceRole)) -> None:
        self._settings = settings
        self._roles = roles
        self._engine, self._files = engine, _ = open_root(settings.root, settings.storage_url)
        if ServiceRole.ANALYSIS in roles:
            require_readable(settings.root)
        self._index = Index(engine)
        self._ledger = Ledger(engine)
        self._deliveries = Deliveries(engine)
        self._wake_delivery: list[Callable[[], None]] = []
        # What a role started, in the order of it; parts that know nothing of one another are apart.
        self._stops: list[tuple[ServiceRole, list[Callable[[], object]]]] = []
        self._stopping = threading.Event()
        self._told_to_stop: float | None = None
        self._since = utc_now()
        self._recorder, self._audit = Recorder(engine), AuditWriter(settings, engine)

    def start(self) -> None:
        """Start every role, that first which is up soonest; a role that cannot start stops those before it.

        Where it is told to stop meanwhile, it returns without having loaded the models, which may take long.
        """
        starters = {
            ServiceRole.LISTENER: self._start_listener,
            ServiceRole.WEB: self._start_web,
            ServiceRole.DELIVERY: self._start_delivery,
            ServiceRole.RETRIEVAL: self._start_retrieval,
            ServiceRole.MAINTENANCE: self._start_maintenance,
            ServiceRole.ANALYSIS: self._start_analysis,
        }
        if ServiceRole.ANALYSIS in self._roles:
            share_arenas()  # before the first thread has made one
            # DBOS imports it, while other roles have begun to make statements: these look into it half made.
            importlib.import_module("sqlalchemy.orm")
        self._audit.start()
        self._on_record(AuditAction.STARTED)
        try:
            with suppress(Interrupted):
                for role, start in starters.items():
                    if role in self._roles:
                        start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> bool:
        """Stop all parts at the same time: what is under way ends at a point from which it goes on.

        Returns:
            whether all of it did, within the time of a stop, which begins with the signal.
        """
        self._stopping.set()
        begun = time.monotonic() if self._told_to_stop is None else self._told_to_stop
        until = begun + STOPS_WITHIN_S - _TEARDOWN_S - _LAST_S
        stopped = [_Stopped(*part) for part in self._stops]
        self._stops.clear()
        for part in stopped:
            part.start()
        for part in stopped:
            part.join(max(0.0, until - time.monotonic()))
        self._on_record(AuditAction.STOPPED)
        self._recorder.close()
        late = {str(part.role) for part in stopped if not part.in_order}
        if not self._audit.stop():
            late.add("audit")
        if late:
            log.error("stopping: not at an end: %s", ", ".join(sorted(late)))
        else:
            close(self._engine)
        return not late

    def _on_record(self, action: AuditAction) -> None:
        roles = ", ".join(sorted(self._roles))
        self._recorder.add(AuditEvent(utc_now(), action, True, detail=f"process {os.getpid()}: {roles}"))

    def _parts(self, role: ServiceRole, *stops: Callable[[], object]) -> list[Callable[[], object]]:
        """What is to be stopped of parts of a role, the last first; it may be added to."""
        found = list(stops)
        self._stops.append((role, found))
        return found

    def run(self) -> None:
        """Start, serve until SIGTERM or SIGINT, stop; the process ends in the time of a stop, whatever is under way."""
        done = threading.Event()

        def finish(number: int, _frame: FrameType | None) -> None:
            if done.is_set():
                _end_hard("stopped a second time")
            self._told_to_stop, longest_s = time.monotonic(), STOPS_WITHIN_S - _TEARDOWN_S
            log.info("signal %s: stopping", signal.Signals(number).name)
            end = threading.Timer(longest_s, _end_hard, [f"stopping: not at an end in {longest_s:.0f} s"])
            end.daemon = True  # goes on while the interpreter waits for threads that do not end
            end.start()
            self._stopping.set()
            done.set()

        signal.signal(signal.SIGTERM, finish)
        signal.signal(signal.SIGINT, finish)
        self.start()
        done.wait()
        if not self.stop():
            _end_hard("stopping")
        log.info("stopped")

    def _start_listener(self) -> None:
        from node.dicom.tls import CredentialsError
        from node.maintenance.known_answer.remote import as_remote
        from node.services.listener import Listener
        from node.services.reporter import reporters
        from storage.commitment_requests import CommitmentRequests

        where = self._settings.listener
        remotes, time_zone = (*self._settings.remotes, as_remote(self._settings)), self._settings.time_zone
        listener = Listener(where, remotes, self._files, self._index, time_zone=time_zone)
        try:
            listener.start()
        except CredentialsError as error:
            raise ConfigurationError(f"tls: {error.strerror}") from error
        except OSError as error:
            ports = " and ".join(map(str, where.ports))
            raise ConfigurationError(
                f"listener: cannot listen on {where.host}:{ports}: {error.strerror}; is another node running?"
            ) from error
        self._parts(ServiceRole.LISTENER, partial(listener.stop, PARTING_S))
        for reporter in reporters(
            self._settings.remotes, self._files, CommitmentRequests(self._engine), Alerts(self._engine)
        ):
            reporter.start()
            self._parts(ServiceRole.LISTENER, reporter.stop)
        log.info("listening as %s on %s:%s", where.ae_title, where.host, where.ports_in_words)

    def _start_web(self) -> None:
        where = self._settings.web
        if not where.enabled:
            if self._roles == {ServiceRole.WEB}:
                raise ConfigurationError("web.enabled is false: there is nothing to run")
            return
        from node.dicom.tls import CredentialsError
        from node.web.server import WebServer

        settings, page = self._settings, None
        if where.page:
            from node.page.app import page as made

            page = made(settings, self._engine, self._files)
        server = WebServer(
            where,
            settings.listener,
            settings.remotes,
            self._files,
            self._index,
            time_zone=settings.time_zone,
            page=page,
        )
        try:
            server.start()
        except CredentialsError as error:
            raise ConfigurationError(f"web.tls: {error.strerror}") from error
        except OSError as error:
            raise ConfigurationError(f"web: cannot listen on {where.host}:{where.port}: {error.strerror}") from error
        self._parts(ServiceRole.WEB, *([page.state.recorder.close] if page is not None else []), server.stop)
        log.info("DICOMweb on %s://%s:%d", "https" if where.tls else "http", where.host, where.port)
        if page is not None:
            from node.operations.accounts import first_link

            log.info("the page is on %s", where.address)
            link = first_link(self._engine)
            if link is not None:
                # Not into the log: whoever has it can become the operator.
                print(f"Set the password of {link.account}, once: {where.address}{link.path}", flush=True)

    def _start_delivery(self) -> None:
        from node.delivery.commitment import CommitmentWorker
        from node.delivery.worker import DeliveryWorker
        from storage.commitments import Commitments

        for destination in self._settings.destinations:
            zone = self._settings.time_zone
            alerts = Alerts(self._engine)
            delivery = DeliveryWorker(destination, self._deliveries, self._files, time_zone=zone, alerts=alerts)
            delivery.start()
            self._wake_delivery.append(delivery.wake)
            self._parts(ServiceRole.DELIVERY, delivery.stop)
            if destination.commitment:
                asking = CommitmentWorker(destination, Commitments(self._engine), alerts=alerts)
                asking.start()
                self._parts(ServiceRole.DELIVERY, asking.stop)

    def _start_retrieval(self) -> None:
        if not self._settings.retrieval:
            return
        from node.retrieval.service import RetrievalService

        retrieval = RetrievalService(self._settings, self._files, self._index)
        retrieval.start()
        self._parts(ServiceRole.RETRIEVAL, retrieval.stop)

    def _start_maintenance(self) -> None:
        from node.maintenance.service import MaintenanceService

        maintenance = MaintenanceService(self._settings, self._files, self._index)
        maintenance.start()
        self._parts(ServiceRole.MAINTENANCE, maintenance.stop)

    def _start_analysis(self) -> None:
        from node.analysis.bundles import Models
        from node.analysis.context import AnalysisContext
        from node.analysis.intake import Intake
        from node.analysis.queue import Worklist, queue_url
        from node.analysis.reconciliation import Reconciliation
        from node.analysis.rejecting import Rejecting
        from node.analysis.worker import Worker
        from node.completion.settling import Completion
        from node.recognition.rules.table import check as check_rules
        from node.scheduler import SteadyScheduler
        from storage.catalogue import faults

        settings, stops = self._settings, self._parts(ServiceRole.ANALYSIS)
        check_rules(settings.recognition)
        models = Models(settings.analysis, settings.engines_folder)
        with ended_by(self._stopping.is_set):
            models.check()
        storage = self._files, self._index, self._ledger, self._deliveries
        worker = Worker(AnalysisContext(settings, *storage, models, self._results_are_due))
        worker.start()
        stops.append(worker.stop)
        worklist = Worklist(queue_url(settings.root))
        stops.append(worklist.close)
        intake = Intake(self._index, worklist)
        completion = Completion(
            settings.completion, settings.recognition, self._files, self._index, self._inquiry(), queued=intake.submit
        )
        scheduler = SteadyScheduler("analysis", Alerts(self._engine))
        every = settings.completion.sweep_every_s
        scheduler.add_job(self._settle, "interval", [completion, scheduler], seconds=every, id=_SETTLING)
        scheduler.add_job(intake.look, "interval", seconds=_INTAKE_EVERY_S, next_run_time=utc_now())
        faults.forget(self._engine)
        reconciliation = Reconciliation(settings.root, self._index, worklist)
        scheduler.add_job(reconciliation.all, "interval", hours=_RECONCILE_EVERY_H, next_run_time=utc_now())
        rejecting = Rejecting(settings, self._index, self._files, self._results_are_due)
        scheduler.add_job(rejecting.look, "interval", seconds=_REJECT_EVERY_S, next_run_time=utc_now())
        scheduler.add_job(self._catalogue, "interval", seconds=_CATALOGUE_EVERY_S)
        scheduler.when_the_clock_is_set(self._follow_clock)
        scheduler.start()
        stops.append(scheduler.shutdown)
        stops.append(worker.interrupt)  # the first, so that steps end while jobs do
        log.info("analysing with %s", ", ".join(f"{it.name} {it.version}" for it in models.identities().values()))

    def _settle(self, completion: Completion, scheduler: SteadyScheduler) -> None:
        """Queue what has settled, and look again at the moment when the next study can, if that comes first."""
        settles = None
        with suppress(Interrupted), ended_by(self._stopping.is_set):
            settles = completion.sweep()
        if settles is not None:
            regular = utc_now() + timedelta(seconds=self._settings.completion.sweep_every_s)
            scheduler.modify_job(_SETTLING, next_run_time=min(regular, max(settles, utc_now() + _AFTER_A_SWEEP)))

    def _follow_clock(self, moved: timedelta) -> None:
        self._index.follow_clock(moved, utc_now(), self._since)
        self._since += moved

    def _results_are_due(self) -> None:
        for wake in self._wake_delivery:
            wake()

    def _catalogue(self) -> None:
        """Catalogue what has come; of very much only some, so that a stop does not wait for it."""
        from node.recognition.header.charsets import settle
        from storage.catalogue.filling import catch_up

        until = time.monotonic() + _CATALOGUE_EVERY_S
        while catch_up(self._engine, self._files, settle=settle) and time.monotonic() < until:
            pass

    def _inquiry(self) -> Inquiry | None:
        """The PACS that is asked for its counts, where the settings name one."""
        from node.completion.shortage import Inquiry

        pacs = self._settings.counts_at
        return Inquiry(pacs, self._index, self._ledger) if pacs else None


class _Stopped(threading.Thread):
    """A part that is being stopped; `in_order` once it is."""

    def __init__(self, role: ServiceRole, stops: list[Callable[[], object]]) -> None:
        super().__init__(name=f"stop-{role}", daemon=True)
        self.role, self._stops, self.in_order = role, stops, False

    def run(self) -> None:
        """Stop it; each of its parts is stopped, whatever becomes of another."""
        ends = [self._end(stop) for stop in reversed(self._stops)]
        self.in_order = all(ends)

    def _end(self, stop: Callable[[], object]) -> bool:
        try:
            return stop() is not False
        except Exception:
            log.exception("stopping: %s", self.role)
            return False


def _end_hard(why: str) -> None:
    """End the process as a kill does, which takes nothing that the next start does not have."""
    log.error("%s: the process ends now; what was under way is done again at the next start", why)
    logging.shutdown()
    os._exit(_ENDED_HARD)

"""Studies fetched from a remote because a person says so, and what was fetched before."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from node.clock import utc_now
from node.dicom.find import StudyThere
from node.errors import NodeError
from node.operations.watching import Watch, unwatched
from node.retrieval.route import ByMove, Route, by_get
from node.retrieval.search import Ceiling, search
from node.retrieval.worker import PATIENCE_S, RetrievalWorker, Terms
from node.settings import Method, RemoteSettings, RetrievalSettings, Settings
from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index
from storage.retrievals import RetrievalRecord, Retrievals

_CONNECT_S = 5.0
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True, slots=True)
class Order:
    """What to fetch.

    Attributes:
        remote: its name.
        study: Study Instance UID.
        accession: Accession Number.
        patient: Patient ID.
        dates: Study Date: one (YYYYMMDD), or a range (YYYYMMDD-YYYYMMDD, one end may be missing).
        modality: of Modalities in Study.
        method: how objects come.
        destination: AE title by which the remote knows this node's listener; empty: that of the listener.
    """

    remote: str
    study: str = ""
    accession: str = ""
    patient: str = ""
    dates: str = ""
    modality: str = ""
    method: Method = Method.MOVE
    destination: str = ""

    @property
    def keys(self) -> dict[str, str]:
        """Of the query."""
        values = {
            "StudyInstanceUID": self.study,
            "AccessionNumber": self.accession,
            "PatientID": self.patient,
            "StudyDate": self.dates,
            "ModalitiesInStudy": self.modality,
        }
        return {keyword: value for keyword, value in values.items() if value}


@dataclass(frozen=True, slots=True)
class StudyRetrieval:
    """A study at a remote, and what of it is here.

    `state` is empty where it was not fetched; `reason` says why something is short.
    """

    study_instance_uid: str
    study_date: str
    description: str
    modalities: tuple[str, ...]
    at_remote: int
    here: int
    state: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The end of an order; `fetched` is False where it was only looked what there is."""

    remote: str
    method: Method
    fetched: bool
    studies: tuple[StudyRetrieval, ...]

    @property
    def short(self) -> tuple[StudyRetrieval, ...]:
        """Studies of which something is not here."""
        return tuple(study for study in self.studies if study.reason)


@dataclass(frozen=True, slots=True)
class Known:
    """Studies that were ordered or scheduled, the last first."""

    retrievals: tuple[RetrievalRecord, ...]


def retrieve(
    settings: Settings,
    order: Order,
    ceiling: Ceiling,
    dry_run: bool = False,
    watch: Watch[None] = unwatched,
    patience_s: float = PATIENCE_S,
) -> Retrieved:
    """Find studies, and fetch what of them is not here.

    Args:
        settings: where the remote and the storage are.
        order: what is wanted.
        ceiling: the most of it.
        dry_run: only look what there is.
        watch: sees each object that comes.
        patience_s: for objects that come after the last answer.

    Raises:
        NodeError: the order is none, the remote cannot be asked, too much matches, or the node does not listen.
    """
    if not set(order.keys) - {"ModalitiesInStudy"}:
        raise NodeError("say what to fetch: a study, an accession number, a patient or dates")
    try:
        remote = settings.source(order.remote, order.method)
    except ValueError as error:
        raise NodeError(str(error)) from None
    found = ceiling.counted(remote, search(remote, order.keys, ceiling.studies))
    index = Index(open_engine(settings.storage_url))
    retrievals = Retrievals(index.engine)
    if dry_run:
        return Retrieved(remote.name, order.method, False, tuple(_looked_at(study, retrievals) for study in found))
    if found and order.method is Method.MOVE:
        _require_listener(settings)
    now = utc_now()
    retrievals.want(remote.name, {study.study_instance_uid: study.instances for study in found}, now, anew=True)
    records = {record.study_instance_uid: record for record in retrievals.records(remote.name)}
    with _route(settings, order, index) as route:
        worker = _worker(settings, remote, route, retrievals, patience_s)
        wanted = [records[study.study_instance_uid] for study in found]
        for _ in watch(_objects(worker, wanted), sum(study.instances for study in found)):
            pass
    records = {record.study_instance_uid: record for record in retrievals.records(remote.name)}
    return Retrieved(
        remote.name, order.method, True, tuple(_ended(study, records[study.study_instance_uid]) for study in found)
    )


def known(settings: Settings, remote: str = "", limit: int | None = None) -> Known:
    """What was fetched or is to be, from one remote or from all; the last `limit` that were asked for."""
    return Known(Retrievals(open_engine(settings.storage_url)).records(remote, limit=limit))


def _objects(worker: RetrievalWorker, records: list[RetrievalRecord]) -> Iterator[None]:
    """Fetch studies, one after the other; gives one thing for each object that comes."""
    for record in records:
        shown = 0
        with closing(worker.fetch(record)) as progress:
            for each in progress:
                yield from (None for _ in range(each.here - shown))
                shown = max(shown, each.here)


def _worker(
    settings: Settings, remote: RemoteSettings, route: Route, retrievals: Retrievals, patience_s: float
) -> RetrievalWorker:
    """With the terms of a schedule of the same remote, which goes on where this ends; else of one attempt."""
    scheduled = next((each for each in settings.retrieval if each.remote == remote.name), None)
    entry = scheduled or RetrievalSettings(name="by hand", remote=remote.name, maximum_attempts=1)
    return RetrievalWorker(
        remote, entry.answer_timeout_s, route, retrievals, replace(Terms.of(entry), patience_s=patience_s)
    )


@contextmanager
def _route(settings: Settings, order: Order, index: Index) -> Iterator[Route]:
    if order.method is Method.MOVE:
        yield ByMove(order.destination or settings.listener.ae_title)
        return
    with by_get(settings.listener, ObjectStore(settings.root), index) as route:
        yield route


def _require_listener(settings: Settings) -> None:
    """What a C-MOVE brings comes to the running node.

    Raises:
        NodeError: nobody listens.
    """
    where = settings.listener
    host, port = _ANYWHERE.get(where.host, where.host), where.ports[0]
    try:
        socket.create_connection((host, port), _CONNECT_S).close()
    except OSError:
        raise NodeError(
            f"the node does not listen on {host}:{port}, where a C-MOVE would send: start it, or fetch by --method get"
        ) from None


def _looked_at(study: StudyThere, retrievals: Retrievals) -> StudyRetrieval:
    here = sum(map(len, retrievals.here(study.study_instance_uid).values()))
    return StudyRetrieval(
        study.study_instance_uid, study.study_date, study.description, study.modalities, study.instances, here
    )


def _ended(study: StudyThere, record: RetrievalRecord) -> StudyRetrieval:
    seen = StudyRetrieval(
        study.study_instance_uid, study.study_date, study.description, study.modalities, record.at_remote, record.here
    )
    return replace(seen, state=record.state, reason=record.reason)

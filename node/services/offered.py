"""The services that an association has besides storage; each remote gets those that it has the right to."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from pynetdicom import evt

from node.audit.recorder import Recorder
from node.dicom.command import C_FIND_RQ, C_GET_RQ, C_MOVE_RQ, N_ACTION_RQ, N_EVENT_REPORT_RQ
from node.dicom.commitment import PUSH_MODEL
from node.dicom.remotes import Right
from node.services.associations import ECHO, Service
from node.services.commitment import CommitmentSCP, ReportTaker
from node.services.query import FIND_CLASSES, QuerySCP, extended
from node.services.retrieve import GET_CLASSES, MOVE_CLASSES, RetrieveSCP
from node.settings import ListenerSettings, RemoteSettings
from storage.commitment_requests import CommitmentRequests
from storage.commitments import Commitments
from storage.files import ObjectStore
from storage.index import Index


def offered(
    settings: ListenerSettings,
    remotes: Sequence[RemoteSettings],
    files: ObjectStore,
    index: Index,
    time_zone: str,
    recorder: Recorder | None = None,
) -> tuple[Service, ...]:
    """The services of a process that serves associations.

    Args:
        settings: of the listener.
        remotes: all that are configured; rights are looked at when an association is asked for.
        files: the object store.
        index: the index, whose database also has the catalogue.
        time_zone: of the site by its IANA name; empty: the machine's.
        recorder: takes what is asked for and sent; None: one of their own.
    """
    engine = index.engine
    recorder = recorder or Recorder(engine)
    zone = ZoneInfo(time_zone) if time_zone else None
    query = QuerySCP(settings.ae_title, settings.most_matches, engine, zone, recorder)
    retrieve = RetrieveSCP(remotes, engine, files, recorder)
    moves, gets, commitment = frozenset(MOVE_CLASSES), frozenset(GET_CLASSES), frozenset({PUSH_MODEL})
    commits, reports = CommitmentSCP(files, CommitmentRequests(engine)), ReportTaker(Commitments(engine))
    return (
        ECHO,
        Service(C_FIND_RQ, evt.EVT_C_FIND, query, frozenset(FIND_CLASSES), right=Right.QUERY, extended=extended),
        Service(C_MOVE_RQ, None, retrieve.move, moves, right=Right.RETRIEVE),
        Service(C_GET_RQ, None, retrieve.get, gets, sends_objects=True, right=Right.RETRIEVE),
        Service(N_ACTION_RQ, evt.EVT_N_ACTION, commits, commitment, in_either_role=True, right=Right.COMMIT),
        Service(
            N_EVENT_REPORT_RQ, evt.EVT_N_EVENT_REPORT, reports, commitment, in_either_role=True, right=Right.REPORT
        ),
    )

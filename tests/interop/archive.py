"""pynetdicom as an archive: what the node can ask it for, beside storing."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from ..parts.storage_scp import uncompressed_storage
from .objects import SERIES

PENDING = 0xFF00
UNIQUE = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
_SERVICES = (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    StorageCommitmentPushModel,
)


class PynetdicomArchive:
    """Studies that can be found and retrieved, and the commitment of all that is received.

    Attributes:
        reports: of storage commitment that it had asked for.
    """

    def __init__(self, title: str, folder: Path, destinations: Mapping[str, int]) -> None:
        self._title, self._destinations = title, destinations
        self._objects = [dcmread(path) for path in sorted(folder.rglob("*.dcm"))]
        self.reports: list[Dataset] = []

    @property
    def contexts(self) -> Sequence[PresentationContext]:
        """Those of all that it offers; it takes each role that is proposed."""
        services = [build_context(each, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]) for each in _SERVICES]
        contexts = uncompressed_storage() + services
        for context in contexts:
            context.scu_role = context.scp_role = True
        return contexts

    @property
    def handlers(self) -> Sequence[tuple[Any, Any]]:
        """Of all but C-STORE and C-ECHO."""
        return (
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_C_GET, self._get),
            (evt.EVT_C_MOVE, self._move),
            (evt.EVT_N_ACTION, self._commit),
            (evt.EVT_N_EVENT_REPORT, self._take_report),
        )

    def _matching(self, asked: Dataset) -> list[Dataset]:
        """The objects whose unique keys are as asked for."""
        return [it for it in self._objects if all(asked.get(key) in (None, "", it.get(key)) for key in UNIQUE.values())]

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        asked = event.identifier
        unique = UNIQUE[asked.QueryRetrieveLevel]
        for found in {it.get(unique): it for it in self._matching(asked)}.values():
            answer = Dataset()
            answer.update({element.tag: found[element.tag] for element in asked if element.tag in found})
            answer.QueryRetrieveLevel = asked.QueryRetrieveLevel
            yield PENDING, answer

    def _get(self, event: evt.Event) -> Iterator[Any]:
        found = self._matching(event.identifier)
        yield len(found)
        yield from ((PENDING, it) for it in found)

    def _move(self, event: evt.Event) -> Iterator[Any]:
        found, title = self._matching(event.identifier), event.move_destination
        contexts = [build_context(sop_class, syntax) for sop_class, _, syntax, _ in SERIES]
        yield "127.0.0.1", self._destinations[title], {"ae_title": title, "contexts": contexts}
        yield len(found)
        yield from ((PENDING, it) for it in found)

    def _commit(self, event: evt.Event) -> tuple[int, None]:
        """Everything is committed; it is reported over a new association, on which this is the SCP (PS3.4 J.3.3)."""
        asked, asker = event.action_information, event.assoc.requestor.ae_title.strip()
        threading.Thread(target=self._report, args=[asked, asker], daemon=True).start()
        return 0, None

    def _report(self, asked: Dataset, asker: str) -> None:
        association = AE(self._title).associate(
            "127.0.0.1",
            self._destinations[asker],
            contexts=[build_context(StorageCommitmentPushModel)],
            ae_title=asker,
            ext_neg=[build_role(StorageCommitmentPushModel, scp_role=True)],
        )
        association.send_n_event_report(asked, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
        association.release()

    def _take_report(self, event: evt.Event) -> tuple[int, None]:
        self.reports.append(event.event_information)
        return 0, None

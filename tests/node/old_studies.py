"""A root with studies that ended long ago, made by the ordinary doors of the storage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from node.services.store import admit
from storage.catalogue.filling import catch_up
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.files import ObjectStore
from storage.header import read_header
from storage.index import Index
from storage.ledger import Ledger
from storage.records import Registration, StudyState

from ..storage.house import a_file, a_result

#: When the studies came.
LONG_AGO = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
IMAGES = 3


class OldStudies:
    """The storage of a node."""

    def __init__(self, root: Path, url: str = "") -> None:
        self.root, self.url = root, url or f"sqlite:///{root / 'index.sqlite'}"
        self.engine, self.files = open_engine(self.url), ObjectStore(root)
        self.index, self.ledger, self.deliveries = Index(self.engine), Ledger(self.engine), Deliveries(self.engine)

    def store(self, data: bytes, at: datetime = LONG_AGO) -> Registration:
        """As a C-STORE does."""
        return admit(self.files.spooled(data), read_header(data), "SCANNER", at, self.files, self.index)

    def received(self, study: str = "1.2.3", at: datetime = LONG_AGO, **values: object) -> str:
        """A study of which images have come."""
        for number in range(1, IMAGES + 1):
            self.store(a_file(number, study=study, **values), at)
        return study

    def ended(
        self,
        study: str = "1.2.3",
        at: datetime = LONG_AGO,
        to: Sequence[str] = ("PACS",),
        state: StudyState = StudyState.COMPLETED,
        sent: bool = True,
        commit_at: datetime | None = None,
        **values: object,
    ) -> str:
        """One that was analysed; its result is at the destinations, and in the catalogue."""
        self.received(study, at, **values)
        revision = self._analysed(study)
        data = a_file(1, 90, study, Manufacturer="rectal-node", Modality="SR", **values)
        made = a_result(self.files, data, revision=revision)
        results = [made] if state is StudyState.COMPLETED else []
        self.ledger.conclude(study, revision, state, "", results, to, at)
        if sent:
            self.sent(study, at, commit_at)
        while catch_up(self.engine, self.files):
            pass
        return study

    def sent(self, study: str, at: datetime = LONG_AGO, commit_at: datetime | None = None) -> None:
        """Its destinations have stored the results."""
        reasons = {it.identifier: "" for it in self.deliveries.records(study)}
        self.deliveries.stored(reasons, at, commit_at)

    def _analysed(self, study: str) -> int:
        known = self.index.study(study)
        assert known is not None
        self.index.move(study, known.revision, StudyState.QUEUED)
        self.index.keep_verdict(study, known.revision, '{"version": 1}')
        work = self.root / "work" / study / str(known.revision)
        work.mkdir(parents=True)
        (work / "plan.json").write_text("{}")
        return known.revision

    def files_of(self, study: str) -> list[Path]:
        """What lies in the folders of a study."""
        folders = self.root / "objects" / study, self.root / "work" / study
        return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def after(days: float) -> Callable[[], datetime]:
    """A clock that stands still so many days after the studies came."""
    return lambda: LONG_AGO + timedelta(days=days)

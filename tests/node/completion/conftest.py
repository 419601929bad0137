"""A storage in which studies arrive, and a queue that nobody works off."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from node.analysis.intake import Intake
from node.analysis.progress import unfinished
from node.analysis.queue import Worklist, queue_url
from node.completion.settling import Completion
from node.completion.shortage import Inquiry
from node.settings import CompletionSettings, RecognitionSettings, RemoteSettings
from storage.database import open_engine
from storage.files import ObjectStore
from storage.header import read_header
from storage.index import Index
from storage.ledger import Ledger
from storage.records import OpenAssociation, StudyRecord, StudyState

LONG_AGO = timedelta(seconds=60)


@pytest.fixture
def worklist(tmp_path: Path, empty_queue: Path) -> Any:
    """A queue that nobody works off."""
    shutil.copy(empty_queue, tmp_path)
    found = Worklist(queue_url(tmp_path))
    yield found
    found.close()


class Arrived:
    """A storage in which a study has arrived some time ago."""

    def __init__(self, root: Path, worklist: Worklist, clock: Any) -> None:
        self.clock = clock
        self.files = ObjectStore(root)
        engine = open_engine(f"sqlite:///{root / 'index.sqlite'}")
        self.index, self.ledger = Index(engine), Ledger(engine)
        self.worklist = worklist
        self.wanted = CompletionSettings().wanted
        self.uid = ""

    def receive(
        self, paths: Sequence[Path], ago: timedelta = LONG_AGO, association: OpenAssociation | None = None
    ) -> None:
        for path in paths:
            header = read_header(path)
            self.uid = header.study_instance_uid
            file = self.files.store(path.read_bytes(), header)
            self.index.register(header, file, "SCANNER", self.clock() - ago, association)

    def completion(
        self, quiet_s: float = 20, incomplete_after_s: float = 300, pacs: RemoteSettings | None = None
    ) -> Completion:
        settings = CompletionSettings(quiet_s=quiet_s, incomplete_after_s=incomplete_after_s, wanted=self.wanted)
        inquiry = Inquiry(pacs, self.index, self.ledger) if pacs else None
        return Completion(settings, RecognitionSettings(), self.files, self.index, inquiry, self.clock)

    def sweep(self, quiet_s: float = 20, incomplete_after_s: float = 300, pacs: RemoteSettings | None = None) -> None:
        self.completion(quiet_s, incomplete_after_s, pacs).sweep()
        Intake(self.index, self.worklist).look()

    @property
    def study(self) -> StudyRecord:
        found = self.index.study(self.uid)
        assert found is not None
        return found

    @property
    def state(self) -> StudyState:
        return self.study.state

    @property
    def waits(self) -> bool:
        """In the queue of the analysis."""
        return (self.uid, self.study.revision) in unfinished(self.files.root)


@pytest.fixture
def arrived(tmp_path: Path, worklist: Worklist, clock: Any) -> Arrived:
    return Arrived(tmp_path, worklist, clock)


@pytest.fixture
def paths(written_by: Callable[[str], Any]) -> tuple[Path, ...]:
    """The files of a study; MR images come last, what is none makes no revision."""
    *images, capture = written_by("Siemens Skyra").paths
    return (capture, *images)

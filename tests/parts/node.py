"""The node as a process of its own, and what its status says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from node.dicom.scu import echo
from node.operations.answers import as_json
from node.operations.status import collect
from node.settings import load_settings
from storage.database import open_engine
from storage.overview import Overview, StudyQuery
from storage.records import OPEN_DELIVERIES, StudyState

from . import engines
from .processes import ENVIRONMENT, show_on_failure, wait_for

ROOT = Path(__file__).parents[2]
AE_TITLE = "RECTALNODE"


@dataclass
class Node:
    """A rectal-node process and its configuration, `config.toml` in its folder; its root is `var` there."""

    folder: Path
    port: int
    ae_title: str = AE_TITLE
    calling: str = "READY"
    process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Path:
        """Its configuration."""
        return self.folder / "config.toml"

    @property
    def log(self) -> Path:
        """What it has logged."""
        return self.folder / "node.log"

    def start(self, *roles: str, under: Sequence[object] = ()) -> None:
        """Start it, with all roles or these, and wait until it answers."""
        self.launch(*roles, under=under)
        wait_for(self.answers, "the node listens", 90)

    def launch(self, *roles: str, under: Sequence[object] = ()) -> None:
        """Start it and do not wait; `under` stands before its command line, such as a tracer that becomes the node."""
        call = [sys.executable, "-m", "node", "serve", "--config", str(self.config)]
        call += [word for role in roles for word in ("--role", role)]
        engines.share(self.folder / "var")
        with self.log.open("ab") as log:
            words = [*map(str, under), *call]
            self.process = subprocess.Popen(words, cwd=ROOT, env=ENVIRONMENT, stderr=log, stdout=log)
        show_on_failure(f"the node at {self.port}", self.log)

    def answers(self) -> bool:
        """Whether it answers C-ECHO.

        Raises:
            AssertionError: it has ended.
        """
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        return not echo("127.0.0.1", self.port, self.ae_title, self.calling, 30)

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it in order."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def objects(self, study_instance_uid: str) -> list[Path]:
        """The files of a study."""
        return sorted((self.folder / "var" / "objects" / study_instance_uid).rglob("*.dcm"))

    def status(self, study: str = "") -> dict[str, Any]:
        """What `rectal-node status --json` prints, without a new process for each look."""
        return dict(json.loads(as_json(collect(load_settings(self.config), StudyQuery(study)))))

    def study(self, study_instance_uid: str) -> dict[str, Any] | None:
        """The status of a study, if it is known."""
        lines = self.status(study_instance_uid)["studies"]
        return lines[0] if lines else None

    def wait_until_settled(self, study_instance_uid: str, seconds: float = 540) -> dict[str, Any]:
        """The study's status once it is done and nothing is left to deliver.

        What it waits for is read by two statements on one engine: a whole status each time would take half a processor
        from the node.
        """
        engine = open_engine(load_settings(self.config).storage_url)
        try:
            wait_for(lambda: _is_settled(engine, study_instance_uid), f"{study_instance_uid} is done", seconds, 0.3)
        finally:
            engine.dispose()
        line = self.study(study_instance_uid)
        assert line is not None
        return line


def _is_settled(engine: Engine, study_instance_uid: str) -> bool:
    with engine.connect() as connection:
        overview = Overview(connection)
        (study,) = overview.page(StudyQuery(study_instance_uid)) or (None,)
        if study is None or study.state in (StudyState.RECEIVING, StudyState.QUEUED):
            return False
        return not any(count.state in OPEN_DELIVERIES for count in overview.deliveries([study_instance_uid]))

"""What a command loads: who only looks at the storage waits for no library that reads files, sends or computes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.recognition.record import StudyPlan, to_json
from storage.database import open_engine
from storage.index import Index
from storage.records import InstanceHeader, StoredFile, StudyState

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STUDY = "1.2.3"
HEAVY = ("pydicom", "numpy", "PIL", "pynetdicom", "dbos", "alembic", "torch", "SimpleITK", "highdicom", "scipy")

#: The command in a process in which the heavy packages cannot be imported.
LIGHT = """
import sys

class Heavy:
    @staticmethod
    def find_spec(name, path=None, target=None):
        assert name.partition(".")[0] not in HEAVY, name

HEAVY = sys.argv[1].split(",")
sys.meta_path.insert(0, Heavy)
sys.argv[1:] = sys.argv[2:]
from node.cli.main import run
run()
"""


@pytest.fixture
def config(tmp_path: Path, empty_queue: Path) -> Path:
    """A node with a study that is QUEUED, one that failed, a record of each, and the queue of a worker."""
    path = tmp_path / "config.toml"
    path.write_text('root = "data"\n')
    engine = open_engine(f"sqlite:///{tmp_path}/data/index.sqlite")
    index = Index(engine)
    for study in (STUDY, "1.2.4"):
        header = InstanceHeader("1.2", f"{study}.1.1", study, f"{study}.1", "1.2.840.10008.1.2.1")
        index.register(header, StoredFile(Path("objects/1.dcm"), "a" * 64, 1), "SCANNER", NOW)
        index.keep_verdict(study, 1, to_json(StudyPlan(study, (), (), (), (), "RECTUM")))
    index.move(STUDY, 1, StudyState.QUEUED)
    index.move("1.2.4", 1, StudyState.FAILED, "the disk was full")
    engine.dispose()
    shutil.copy(empty_queue, tmp_path / "data")
    return path


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("--help",), "Show what the node knows"),
        (("status",), "RECEIVING|QUEUED"),
        (("status", "--study", STUDY, "--json"), '"QUEUED"'),
        (("explain", STUDY), "body part RECTUM"),
        (("quarantine", "list"), ""),
        (("resend", "1.2.4"), "0 of 0 deliveries queued again"),
        (("rerun", "1.2.4"), "revision 2"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_command_that_asks_the_storage_alone_loads_no_heavy_library(config, command, told):
    options = () if command == ("--help",) else ("--config", str(config))
    call = [sys.executable, "-c", LIGHT, ",".join(HEAVY), *command, *options]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert any(each in done.stdout for each in told.split("|"))


def test_a_heavy_library_would_be_noticed(tmp_path):
    call = [sys.executable, "-c", LIGHT, ",".join(HEAVY), "echo", "NOBODY"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120, check=False)
    assert "AssertionError: pynetdicom" in done.stderr or "AssertionError: pydicom" in done.stderr

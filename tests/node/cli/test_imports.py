"""What a command loads: who only looks at the storage waits for no library that reads files, sends or computes."""

from __future__ import annotations

import json
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

#: Commands, one after another in a process in which the heavy packages cannot be imported; how each ended, as JSON.
LIGHT = """
import contextlib, io, json, sys

class Heavy:
    @staticmethod
    def find_spec(name, path=None, target=None):
        assert name.partition(".")[0] not in HEAVY, name

HEAVY, commands = json.loads(sys.argv[1])
sys.meta_path.insert(0, Heavy)
from node.cli.main import run

ended = []
for words in commands:
    sys.argv[1:] = words
    with contextlib.redirect_stdout(io.StringIO()) as output:
        try:
            code = run()
        except SystemExit as stopped:
            code = stopped.code
    ended.append([code or 0, output.getvalue()])
print(json.dumps(ended))
"""
#: Each with a part of what it prints, of which one is enough.
COMMANDS = {
    "--help": "Show what the node knows",
    "status": "RECEIVING|QUEUED",
    f"status --study {STUDY} --json": '"QUEUED"',
    f"explain {STUDY}": "body part RECTUM",
    "quarantine list": "",
    "resend 1.2.4": "0 of 0 deliveries queued again",
    "rerun 1.2.4": "revision 2",
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, empty_queue: Path) -> Path:
    """A node with a study that is QUEUED, one that failed, a record of each, and the queue of a worker."""
    folder = tmp_path_factory.mktemp("node")
    path = folder / "config.toml"
    path.write_text('root = "data"\n')
    engine = open_engine(f"sqlite:///{folder}/data/index.sqlite")
    index = Index(engine)
    for study in (STUDY, "1.2.4"):
        header = InstanceHeader("1.2", f"{study}.1.1", study, f"{study}.1", "1.2.840.10008.1.2.1")
        index.register(header, StoredFile(Path("objects/1.dcm"), "a" * 64, 1), "SCANNER", NOW)
        index.keep_verdict(study, 1, to_json(StudyPlan(study, (), (), (), (), "RECTUM")))
    index.move(STUDY, 1, StudyState.QUEUED)
    index.move("1.2.4", 1, StudyState.FAILED, "the disk was full")
    engine.dispose()
    shutil.copy(empty_queue, folder / "data")
    return path


def in_a_light_process(*commands: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-c", LIGHT, json.dumps([HEAVY, [words.split() for words in commands]])]
    return subprocess.run(call, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def ended(config: Path) -> dict[str, tuple[int, str]]:
    """Exit code and output of each command."""
    done = in_a_light_process(*(it if it == "--help" else f"{it} --config {config}" for it in COMMANDS))
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(zip(COMMANDS, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_asks_the_storage_alone_loads_no_heavy_library(ended, command):
    code, output = ended[command]
    assert code == 0
    assert any(each in output for each in COMMANDS[command].split("|"))


def test_a_heavy_library_would_be_noticed():
    done = in_a_light_process("echo NOBODY")
    assert "AssertionError: pynetdicom" in done.stderr or "AssertionError: pydicom" in done.stderr

"""Fixtures that several rooms share."""

from __future__ import annotations

import gc
import logging
import os
import re
import shutil
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling, Scheduling

from node.logs import LineFormatter
from storage.database import close, open_engine

from .parts import engines
from .parts.processes import ends_of_logs

#: The real parts, each of which a test starts by its fixture or its `running_…`.
pytest_plugins = (
    "tests.parts.certificates",
    "tests.parts.chromium",
    "tests.parts.dcmtk",
    "tests.parts.orthanc",
    "tests.parts.postgresql",
)

# Workers share the cores: networks that compute with several threads each would wait for one another, in busy loops.
# OpenMP reads this when a library loads it, so it stands before the tests import any; their processes inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# An activated environment puts pynetdicom's storescu, findscu, … before those of DCMTK.
_OF_THIS_PYTHON = os.path.dirname(sys.executable)
os.environ["PATH"] = os.pathsep.join(at for at in os.environ["PATH"].split(os.pathsep) if at != _OF_THIS_PYTHON)

#: The patients of all tests: of the simulator, and of those that tests make up.
_NAMES = re.compile(
    r"SIM\^?\d{6}|Seeded|SEED|Muster|Erika|SOMEBODY.ELSE|CORRECTED|COERCED"
    r"|Wang\^|Xiao ?Dong|王|Müller|Änne|穆勒|李|雷|Han\^|韩"
)


#: What takes longest begins first, so that no worker is left with it at the end.
_FIRST = ("end_to_end", "node/results", "research")
#: Files that look at the same analysed study are one worker's.
_LOOK_AT_ONE_STUDY = {f"tests/end_to_end/test_{name}.py" for name in ("first_light", "kinds", "receivers", "viewer")}
#: So are those of the results, which look at the same encoded studies, but for these.
_ENCODE_THEIR_OWN = {
    f"tests/node/results/test_{name}.py"
    for name in ("names_in_every_kind", "real_sources", "sloppy_sources", "supersession", "tiled_sources")
}


# What is imported and collected stays to the end: no search for garbage goes through it, while it comes or in a test.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        file = item.path.relative_to(Path(__file__).parent).as_posix()
        return next((place for place, room in enumerate(_FIRST) if file.startswith(f"{room}/")), len(_FIRST))

    items.sort(key=place)


class _FilesAndStudies(LoadFileScheduling):
    """Tests of one file share what they have started, so a file stays with one worker."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        if file in _LOOK_AT_ONE_STUDY:
            return "the study of first light"
        if file.startswith("tests/node/results/") and file not in _ENCODE_THEIR_OWN:
            return "the encoded studies"
        return file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return _FilesAndStudies(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails shows what the real parts have logged.

    Workers hand over what was captured as UTF-8, which a text that cannot be encoded would end.
    """
    report = yield
    if report.failed:
        report.sections += ends_of_logs()
    report.sections = [(title, text.encode("utf-8", "backslashreplace").decode()) for title, text in report.sections]
    return report


class _NamesInLogs(logging.Handler):
    """What the packages of the node have logged that holds a name, as it would be written."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(LineFormatter())
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        if _NAMES.search(line):
            self.found.append(line)


@pytest.fixture(scope="session")
def names_in_logs() -> Iterator[_NamesInLogs]:
    """Listens at DEBUG as long as tests run."""
    listening = _NamesInLogs()
    for package in ("node", "storage", "models"):
        logging.getLogger(package).setLevel(logging.DEBUG)
        logging.getLogger(package).addHandler(listening)
    yield listening
    for package in ("node", "storage", "models"):
        logging.getLogger(package).removeHandler(listening)


@pytest.fixture(autouse=True)
def no_name_is_logged_and_the_process_stays_as_it_was(names_in_logs: _NamesInLogs) -> Iterator[None]:
    """No test makes the node write the name of a patient into its log, at whatever level.

    The commands of the node set the umask of their process; those that run in this one must not set it for all tests. A
    node sets as many threads as its configuration says; the tests that follow compute with one again.
    """
    names_in_logs.found.clear()
    before = os.umask(0o022)
    yield
    os.umask(before)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    assert names_in_logs.found == []


@pytest.fixture(scope="session", autouse=True)
def networks_are_converted_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """For the nodes that tests of all workers start."""
    own = tmp_path_factory.getbasetemp()
    of_session = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    engines.keep_in(of_session / "engines")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real scanner files, which live beside the checkout; tests that need them are skipped elsewhere."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real scanner files are not on this machine")
    return folder


@pytest.fixture(scope="session")
def sqlite_without_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of SQLite with the tables of this release, to be copied."""
    path = tmp_path_factory.mktemp("tables") / "index.sqlite"
    close(open_engine(f"sqlite:///{path}"))
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database with the tables of this release and no row in any."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_without_rows"), tmp_path)
        return f"sqlite:///{tmp_path / 'index.sqlite'}"
    from .parts.postgresql import without_rows  # not earlier: pytest itself is the first to import a plugin

    return without_rows(request.getfixturevalue("postgresql"))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'index.sqlite'}"
    from .parts.postgresql import emptied

    return emptied(request.getfixturevalue("postgresql"))

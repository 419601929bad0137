"""Fixtures that several rooms share."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from node.logs import LineFormatter

#: The patients of all tests: of the simulator, and of those that tests make up.
_NAMES = re.compile(
    r"SIM\^?\d{6}|Seeded|SEED|Muster|Erika|SOMEBODY.ELSE|CORRECTED|COERCED"
    r"|Wang\^|Xiao ?Dong|王|Müller|Änne|穆勒|李|雷|Han\^|韩"
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Workers hand over what was captured as UTF-8, which a text that cannot be encoded would end."""
    report = yield
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
def no_name_is_logged(names_in_logs: _NamesInLogs) -> Iterator[None]:
    """No test makes the node write the name of a patient into its log, at whatever level."""
    names_in_logs.found.clear()
    yield
    assert names_in_logs.found == []


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """The commands of the node set it for their process; those that run in this one must not set it for all tests."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real scanner files, which live beside the checkout; tests that need them are skipped elsewhere."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real scanner files are not on this machine")
    return folder

"""The program `rectal-node` run in the process of the tests; `test_installed` starts it as one of its own."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from node.cli.main import run
from node.cli.options import out


@dataclass(frozen=True)
class Ended:
    """What a command leaves: its exit code and what it has printed."""

    returncode: int
    stdout: str
    stderr: str


@contextmanager
def logging_restored() -> Iterator[None]:
    """The program sends the log to its own standard error; afterwards all is as the tests had it."""
    loggers = [logging.getLogger(name) for name in ("", "node", "storage", "models", "dbos")]
    before = [(it, it.level, it.handlers[:], it.propagate) for it in loggers]
    excepthook = threading.excepthook
    try:
        yield
    finally:
        for logger, level, handlers, propagate in before:
            logger.setLevel(level)
            logger.handlers, logger.propagate = handlers, propagate
        threading.excepthook = excepthook
        logging.captureWarnings(False)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run `rectal-node` with these arguments, 80 columns wide."""

    def ended(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["rectal-node", *arguments])
        monkeypatch.setattr(out, "_width", 80)
        capsys.readouterr()
        with logging_restored(), pytest.raises(SystemExit) as stopped:
            run()
        code = stopped.value.code
        assert code is None or isinstance(code, int)
        return Ended(code or 0, *capsys.readouterr())

    return ended

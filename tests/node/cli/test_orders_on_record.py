"""What a person orders on the command line is on record: by whom, to which study, and why it was refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.cli.options import this_user
from node.cli.record import ordered
from node.errors import NodeError
from node.settings import load_settings
from storage.audit import Audit, AuditAction, AuditEvent, AuditSearch
from storage.files import ObjectStore
from storage.index import Index
from storage.overview import Overview

from ..old_studies import OldStudies

CONFIG = """
root = "."
[[remotes]]
name = "PACS"
ae_title = "PACS"
host = "127.0.0.1"
port = 1
receives_results = true
may_store = true
"""


@pytest.fixture
def root(tmp_path: Path) -> OldStudies:
    (tmp_path / "config.toml").write_text(CONFIG)
    root = OldStudies(tmp_path)
    root.ended("1.2.3")
    return root


@pytest.fixture
def order(command, tmp_path: Path) -> Callable[..., int]:
    """Gives a command; its exit status."""
    return lambda *words: command(*words, "--config", str(tmp_path / "config.toml")).returncode


def told(root: OldStudies) -> list[tuple[AuditAction, bool, str, str]]:
    """Action, success, study and subject of every event, the earliest first."""
    found = Audit(root.index.engine).find(AuditSearch())
    assert {event.account for event in found} <= {this_user()}
    return [(it.action, it.succeeded, it.study_instance_uid, it.subject) for it in reversed(found)]


def last(root: OldStudies) -> AuditEvent:
    return Audit(root.index.engine).find(AuditSearch())[0]


def test_a_rerun(root: OldStudies, order: Callable[..., int]) -> None:
    assert order("rerun", "1.2.3") == 0
    assert told(root) == [(AuditAction.REPROCESSED, True, "1.2.3", "")]


def test_a_resend_names_the_destination(root: OldStudies, order: Callable[..., int]) -> None:
    assert order("resend", "1.2.3", "--to", "PACS") == 0
    assert told(root) == [(AuditAction.RESENT, True, "1.2.3", "PACS")]


def test_an_order_that_is_refused_is_on_record_with_the_reason(root: OldStudies, order: Callable[..., int]) -> None:
    assert order("cancel", "1.2.3", "--reason", "by mistake") == 1
    event = last(root)
    assert (event.action, event.succeeded, event.study_instance_uid) == (AuditAction.CANCELLED, False, "1.2.3")
    assert "only an analysis that is queued" in event.detail


def test_a_hold_and_its_end(root: OldStudies, order: Callable[..., int]) -> None:
    assert order("hold", "1.2.3", "--reason", "asked for") == 0
    assert order("release-hold", "1.2.3", "--reason", "done") == 0
    assert [(event[2], event[3]) for event in told(root)] == [("1.2.3", "hold"), ("1.2.3", "release of the hold")]


def test_quarantined_files_by_their_numbers(root: OldStudies, order: Callable[..., int]) -> None:
    store = ObjectStore(root.root)
    number = keep_quarantined(store, root.index)
    assert order("quarantine", "release", str(number)) == 1  # as broken as before: back as another entry
    assert order("quarantine", "discard", str(number + 1), "--reason", "no file of ours") == 0
    assert [(event[0], event[3]) for event in told(root)] == [
        (AuditAction.RELEASED, str(number)),
        (AuditAction.DISCARDED, str(number + 1)),
    ]
    assert last(root).detail == "no file of ours"


def keep_quarantined(store: ObjectStore, index: Index) -> int:
    """A file that is no DICOM file; its number."""
    path = store.root / "spool" / "broken"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"no DICOM file")
    index.keep_quarantine(store.quarantine(path, "broken"), "broken", "SCANNER", datetime.now(UTC))
    with index.engine.connect() as connection:
        (entry,) = Overview(connection).quarantined(1)
    return entry.identifier


def test_what_was_looked_for_at_a_pacs_that_does_not_answer(root: OldStudies, order: Callable[..., int]) -> None:
    assert order("retrieve", "--from", "PACS", "--study", "1.2.9") == 1
    assert told(root) == [(AuditAction.RETRIEVED, False, "", "PACS")]


def test_what_was_done_and_cannot_be_put_on_record_is_told(root: OldStudies, tmp_path: Path) -> None:
    gone = load_settings(tmp_path / "config.toml").model_copy(
        update={"database_url": "postgresql+psycopg://nobody@127.0.0.1:1/nothing"}
    )
    with pytest.raises(NodeError, match="it was done, and cannot be put on record"), ordered(gone, AuditAction.RESENT):
        pass

"""What is kept is readable by its owner alone, and a root that is open says so."""

from __future__ import annotations

import os
from pathlib import Path

from storage.database import open_engine
from storage.files import ObjectStore
from storage.index import Index
from storage.privacy import keep_private, openness


def fill(root: Path) -> list[Path]:
    """A store and an open index; everything that lies there then."""
    store, engine = ObjectStore(root), open_engine(f"sqlite:///{root / 'index.sqlite'}")
    Index(engine).studies()
    store.quarantine(b"what is no object", "it is none")
    found = [root, *root.rglob("*")]
    engine.dispose()
    return found


def test_folders_are_0700_and_files_0600(tmp_path):
    keep_private()
    found = fill(tmp_path / "data")
    assert {path.name for path in found} >= {"data", "spool", "quarantine", "index.sqlite", "index.sqlite-wal"}
    assert {oct(path.stat().st_mode & 0o777) for path in found if path.is_dir()} == {"0o700"}
    assert {oct(path.stat().st_mode & 0o777) for path in found if path.is_file()} == {"0o600"}


def test_a_root_that_is_open_is_named_with_what_mends_it(tmp_path):
    root = tmp_path / "the data"
    fill(root)
    words = openness(root)
    assert words.startswith(f"{root} is open to other users of this machine, as are index.sqlite, ")
    assert words.endswith(f"chmod -R go= '{root}'")
    assert os.system(words.rpartition(": ")[2]) == 0
    assert openness(root) == ""
    assert {path.stat().st_mode & 0o077 for path in root.rglob("*")} == {0}


def test_a_root_that_is_closed_and_one_that_is_not_there_are_as_they_should_be(tmp_path):
    root = tmp_path / "data"
    assert openness(root) == ""
    fill(root)
    root.chmod(0o700)
    assert openness(root) == ""

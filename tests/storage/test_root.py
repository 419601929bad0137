"""Root and database belong together, or the node does not start on them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import delete, select

from storage import database, maintenance_schema
from storage.database import open_engine
from storage.root import IDENTITY, UNDER_WAY, RootError, establish, fault, open_root

from .house import House, a_file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def url(empty_url: str) -> str:
    """Of a database that is made with its root."""
    return empty_url


def filled(root: Path, url: str, at) -> None:
    """A root with an object, used once."""
    engine, _ = open_root(root, url)
    House(engine, root, at).receive(a_file())
    engine.dispose()


def identity(url: str) -> str | None:
    engine = open_engine(url)
    with engine.connect() as connection:
        found = connection.scalar(select(maintenance_schema.root_identity.c.identifier))
    engine.dispose()
    return found


def forget_identity(url: str) -> None:
    engine = open_engine(url)
    with database.writing(engine).begin() as connection:
        connection.execute(delete(maintenance_schema.root_identity))
    engine.dispose()


def test_a_new_pair_gets_one_identity_and_keeps_it(root, url, at):
    filled(root, url, at)
    first = (root / IDENTITY).read_text()
    assert first == identity(url)
    open_root(root, url)[0].dispose()
    assert (root / IDENTITY).read_text() == first == identity(url)


def test_a_pair_of_an_earlier_release_gets_one(root, url, at):
    filled(root, url, at)
    (root / IDENTITY).unlink()
    forget_identity(url)
    open_root(root, url)[0].dispose()
    assert (root / IDENTITY).read_text() == identity(url)


@pytest.mark.parametrize("kept", ["nothing", "proposal", "proposal and row"])
def test_a_kill_while_the_identity_is_given_is_mended_at_the_next_start(root, url, kept):
    open_root(root, url)[0].dispose()
    first = (root / IDENTITY).read_text()
    if kept == "nothing":
        (root / IDENTITY).unlink()
    else:
        (root / IDENTITY).rename(root / f"{IDENTITY}.part")
    if kept != "proposal and row":
        forget_identity(url)
    open_root(root, url)[0].dispose()
    assert (root / IDENTITY).read_text() == identity(url)
    assert (identity(url) == first) == (kept != "nothing")


def test_the_database_of_another_root_is_refused(root, url, at, tmp_path):
    filled(root, url, at)
    filled(tmp_path / "other", f"sqlite:///{tmp_path / 'other.sqlite'}", at)
    with pytest.raises(RootError, match="is the database of another root"):
        open_root(tmp_path / "other", url)


def test_a_root_that_is_not_mounted_is_not_taken_for_a_new_one(root, at, postgresql, tmp_path):
    from ..parts.postgresql import emptied

    url = emptied(postgresql)
    filled(root, url, at)
    with pytest.raises(RootError, match="or mount the root"):
        open_root(tmp_path / "empty mount point", url)


def test_a_database_that_was_made_anew_to_the_half_is_refused(root, url, at):
    """Reindex gives it the identity at its end."""
    filled(root, url, at)
    forget_identity(url)
    engine = open_engine(url)
    assert "was not made to its end" in fault(engine, root)
    establish(engine, root)
    assert fault(engine, root) == ""
    engine.dispose()


def test_a_restore_that_did_not_come_to_its_end_is_refused(root, url):
    open_root(root, url)[0].dispose()
    (root / UNDER_WAY).touch()
    with pytest.raises(RootError, match="did not come to its end"):
        open_root(root, url)

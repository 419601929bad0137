"""A root or a database that cannot be used: one line with what to do, exit code 1, and no traceback."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from node.settings import Settings, load_settings
from storage.database import open_engine
from storage.files import ObjectStore
from storage.header import read_header
from storage.index import Index
from storage.privacy import keep_private
from storage.root import IDENTITY, open_root

from ..storage.house import House, a_file
from .conftest import MovedClock

WHOLE = 64 * 1024


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A node that has run: a root with an object."""
    keep_private()
    (tmp_path / "node.toml").write_text('root = "root"\n[listener]\nport = 11199\nminimum_free_gb = 0\n')
    settings = load_settings(tmp_path / "node.toml")
    engine, _ = open_root(settings.root, settings.storage_url)
    House(engine, settings.root, lambda _seconds: MovedClock()()).receive(a_file())
    engine.dispose()
    return settings


@pytest.fixture
def serve(command, settings: Settings) -> Callable[..., str]:
    """The only line of a node that does not start, which has ended with 1."""

    def refused(role: str) -> str:
        done = command("serve", "--role", role, "--config", str(settings.root.parent / "node.toml"))
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        return line

    return refused


def garble(path: Path, at: int, count: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(os.urandom(count))


@pytest.mark.parametrize("at", [0, 4096, 10 * 4096])
def test_a_garbled_index_is_one_line_with_the_remedy(serve, settings: Settings, at: int) -> None:
    garble(settings.root / "index.sqlite", at, 3 * 4096)
    line = serve("listener")
    assert "index.sqlite: the database is damaged" in line
    assert "rectal-node restore" in line
    assert "rectal-node reindex" in line


def test_a_garbled_queue_is_one_line_that_says_what_is_lost_by_it(serve, settings: Settings, empty_queue: Path) -> None:
    queue = settings.root / "worklist.sqlite"
    queue.write_bytes(empty_queue.read_bytes())
    garble(queue, 4096, 3 * 4096)
    line = serve("analysis")
    assert "worklist.sqlite: the queue of analyses cannot be read" in line
    assert "what waits is submitted again" in line


@pytest.mark.parametrize("lost", ["deleted", "emptied"])
def test_an_index_that_knows_nothing_of_the_files_is_refused(serve, settings: Settings, lost: str) -> None:
    for path in settings.root.glob("index.sqlite*"):
        path.write_bytes(b"") if lost == "emptied" else path.unlink()
    line = serve("listener")
    assert "knows none of the files" in line
    assert "rectal-node restore" in line


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=False).returncode:
        pytest.skip("mounting a file system takes root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(disk: Path) -> None:
    with suppress(OSError), (disk / "full").open("wb", buffering=0) as file:
        while file.write(bytes(4096)) == 4096:
            pass


def put_onto(disk: Path, settings: Settings) -> None:
    config = settings.root.parent / "node.toml"
    config.write_text(config.read_text().replace('root = "root"', f'root = "{disk / "root"}"'))


@pytest.mark.parametrize("has_run", [False, True])
def test_a_full_disk_is_one_line(serve, settings: Settings, small_disk: Path, has_run: bool) -> None:
    put_onto(small_disk, settings)
    if has_run:
        of_disk = load_settings(settings.root.parent / "node.toml")
        open_root(of_disk.root, of_disk.storage_url)[0].dispose()
    fill(small_disk)
    line = serve("listener")
    assert "No space left on device: free space" in line


def test_a_read_only_disk_is_one_line(serve, settings: Settings, small_disk: Path) -> None:
    put_onto(small_disk, settings)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    line = serve("listener")
    assert "Read-only file system: its file system is read-only" in line


def test_a_command_on_a_garbled_index_is_one_line_too(command, settings: Settings) -> None:
    garble(settings.root / "index.sqlite", 0, WHOLE)
    done = command("status", "--config", str(settings.root.parent / "node.toml"))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "rectal-node reindex" in done.stderr


def test_status_says_that_the_index_knows_nothing_of_the_files(command, settings: Settings) -> None:
    for path in settings.root.glob("index.sqlite*"):
        path.unlink()
    done = command("status", "--config", str(settings.root.parent / "node.toml"))
    assert "knows none of the files" in " ".join(done.stdout.split())


def test_after_an_orderly_stop_a_copy_of_the_index_alone_is_whole(settings: Settings, tmp_path: Path) -> None:
    from node.service import Service, ServiceRole

    service = Service(settings, frozenset({ServiceRole.DELIVERY}))
    service.start()
    data = a_file(2)
    header = read_header(data)
    index = Index(service._engine)
    index.register(header, ObjectStore(settings.root).store(data, header), "SCANNER", MovedClock()())
    reader = open_engine(settings.storage_url).connect()  # somebody looks on, so that SQLite keeps the log
    service.stop()
    copied = tmp_path / "copy.sqlite"
    copied.write_bytes((settings.root / "index.sqlite").read_bytes())
    assert len(Index(open_engine(f"sqlite:///{copied}")).instances("1.2.3")) == 2
    reader.close()


def test_a_root_and_its_database_have_the_same_identity_after_every_start(settings: Settings) -> None:
    identity = (settings.root / IDENTITY).read_text()
    engine, _ = open_root(settings.root, settings.storage_url)
    assert (settings.root / IDENTITY).read_text() == identity
    engine.dispose()

"""`rectal-node reindex` on a root: what analyses left there says which results are of which revision."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from typer.testing import CliRunner

from node.analysis.manifest import write_manifest
from node.analysis.worker import lock_root
from node.cli.main import app
from node.errors import ConfigurationError
from node.operations.reindex import reindex
from node.settings import Settings, load_settings
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.errors import StorageError
from storage.files import ObjectStore
from storage.header import read_header
from storage.identity import InstanceKey
from storage.index import Index
from storage.ledger import Ledger
from storage.records import DeliveryState, ResultRecord, StoredFile, StudyState

from ..key_objects import key_object_note

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CONFIG = """
root = "{root}"
[[remotes]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = 4242
receives_results = true
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(CONFIG.format(root=tmp_path / "var"))
    return path


@pytest.fixture
def settings(config: Path) -> Settings:
    return load_settings(config)


@pytest.fixture
def images(settings: Settings, written_by: Callable[[str], Any]) -> list[Dataset]:
    """A root with a study of three images and a note that rejects one, analysed twice; its database is gone."""
    images = written_by("Siemens Skyra").instances[:3]
    files, engine = ObjectStore(settings.root), open_engine(settings.storage_url)
    index, uid = Index(engine), str(images[0].StudyInstanceUID)
    for image in (*images, key_object_note(images[:1])):
        header, file = stored(files, image)
        index.register(header, file, "SKYRA", NOW)
    for revision, role in ((1, "report"), (2, "summary")):
        made = deepcopy(images[0])
        made.Manufacturer, made.SOPInstanceUID = "rectal-node", f"{settings.uid_root}{revision}"
        made.SeriesInstanceUID = f"{settings.uid_root}9.{revision}"
        header, file = stored(files, made)
        uids = header.sop_class_uid, header.sop_instance_uid, header.series_instance_uid
        result = ResultRecord(uid, revision, role, *uids, file)
        Ledger(engine).record([result], ["pacs"], NOW)
        folder = settings.root / "work" / uid / str(revision)
        write_manifest(folder, [result])
        (folder / "plan.json").write_text(f'{{"revision": {revision}}}')
    engine.dispose()
    (settings.root / "worklist.sqlite").write_bytes(b"the queue of before")
    for path in settings.root.glob("index.sqlite*"):
        path.unlink()
    return images


def stored(files: ObjectStore, image: Dataset) -> tuple[Any, StoredFile]:
    buffer = io.BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    header = read_header(buffer.getvalue())
    return header, files.store(buffer.getvalue(), header)


def test_study_results_and_rejections_are_there_again(settings: Settings, images: list[Dataset]) -> None:
    done = reindex(settings)
    assert (done.received, done.made, done.completed, done.left_out) == (4, 2, 1, {})
    engine, uid = open_engine(settings.storage_url), str(images[0].StudyInstanceUID)
    index = Index(engine)
    assert (index.study(uid).state, index.study(uid).revision) == (StudyState.COMPLETED, 2)
    assert [(it.revision, it.role) for it in Ledger(engine).all_results(uid)] == [(1, "report"), (2, "summary")]
    assert {it.state for it in Deliveries(engine).records()} == {DeliveryState.UNKNOWN}
    rejected = InstanceKey(str(images[0].SeriesInstanceUID), str(images[0].SOPInstanceUID))
    assert set(index.rejected(uid)) == {rejected}


def test_why_series_were_used_is_known_again(settings: Settings, images: list[Dataset]) -> None:
    reindex(settings)
    index = Index(open_engine(settings.storage_url))
    assert index.verdict(str(images[0].StudyInstanceUID)) == '{"revision": 2}'


def test_the_queue_of_before_is_put_aside(settings: Settings, images: list[Dataset]) -> None:
    reindex(settings)
    assert not (settings.root / "worklist.sqlite").exists()
    (aside,) = settings.root.glob("worklist.sqlite.*.before-reindex")
    assert aside.read_bytes() == b"the queue of before"


def test_the_command_says_what_it_did_and_does_nothing_twice(
    settings: Settings, config: Path, images: list[Dataset]
) -> None:
    done = CliRunner().invoke(app, ["reindex", "--config", str(config), "--json"])
    assert json.loads(done.stdout)["received"] == 4
    with pytest.raises(StorageError, match="move it away first"):
        reindex(settings)


def test_a_root_on_which_a_node_works_is_left_alone(settings: Settings, images: list[Dataset]) -> None:
    with lock_root(settings.root), pytest.raises(ConfigurationError, match="another worker"):
        reindex(settings)
    assert (settings.root / "worklist.sqlite").exists()

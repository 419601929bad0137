"""kill -9 at the boundaries: just before each sync, rename and write of who receives, analyses, delivers or mends."""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text

from node.analysis.progress import running_steps
from node.settings import AnalysisSettings
from storage.database import open_engine
from storage.migrations import REVISIONS

from ..parts.dcmtk import running_storescp
from ..parts.node import ROOT, Node
from ..parts.processes import free_port, wait_for
from .acknowledged import Acknowledged, data_set_digest
from .arrivals import arrivals
from .boundaries import command_was_killed, kill_at_each, killing, was_killed
from .nodes import destination, orphans, settings_of, standing, tiny_node
from .recorder import read_trace, recording
from .replay import Loss, Tree
from .senders import Senders, by_pynetdicom
from .studies import SentStudy, tiny_studies

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing: `make tools` installs it")

#: Of which calls of each kind the kills come before: all of those of which there are few.
RECEIVING = {"fsync": 1, "fdatasync": 1, "rename": 1, "mkdir": 1, "pwrite64": 5, "write": 5, "sendto": 5}
ANALYSING = {"fdatasync": 1, "fsync": 8, "rename": 8}
DELIVERING = {"fdatasync": 1, "unlink": 1, "pwrite64": 6, "sendto": 6, "recvfrom": 6}
MIGRATING = {"fsync": 1, "fdatasync": 1, "rename": 1, "unlink": 1}
REINDEXING = {"fsync": 1, "fdatasync": 2, "rename": 1, "unlink": 2, "pwrite64": 80}
BACKING_UP = RESTORING = {"fsync": 2, "fdatasync": 2, "rename": 6, "unlink": 6, "pwrite64": 40}

OLD_DATABASE = ROOT / "tests" / "storage" / "data" / "index-of-2026-11.sqlite.sql"


def again(node: Node, folder: Path) -> Node:
    """Another node that has all that one has, which does not run."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(node.folder, folder)
    return Node(folder, node.port, calling=node.calling)


# --- receiving


def received_in_spite_of_a_kill(folder: Path, study: SentStudy, call: str, number: int) -> bool:
    """Receive a study in a node that is killed before such a call, and the rest in its next start; whether it was."""
    shutil.rmtree(folder, ignore_errors=True)
    node = tiny_node(folder, AnalysisSettings(), [])
    senders = Senders(node.port, Acknowledged(), (by_pynetdicom,))
    try:
        node.launch("listener", under=killing(call, number))
        sending = senders.begin([study])
        killed = was_killed(node, lambda: not sending.is_alive())
        before = Acknowledged(dict(senders.acknowledged.digests))
        node.start("listener")
        assert before.kept_in(settings_of(node)).whole, (call, number)
        senders.finish(sending, 60)
    finally:
        node.stop()
    kept = senders.acknowledged.kept_in(settings_of(node))
    assert kept.acknowledged == len(study.paths)
    assert kept.whole, (call, number, kept)
    return killed


def test_a_listener_killed_before_it_gives_an_image_its_name_keeps_those_before(tmp_path: Path) -> None:
    """The short form."""
    (study,) = tiny_studies(tmp_path / "studies", 1, "rename")
    assert received_in_spite_of_a_kill(tmp_path / "node", study, "rename", 3)


@pytest.mark.faults
@pytest.mark.timeout(2400)
def test_kills_at_each_boundary_of_receiving(tmp_path: Path, figures: dict[str, float]) -> None:
    (study,) = tiny_studies(tmp_path / "studies", 1, "receiving")

    def attempt(call: str, number: int) -> bool:
        return received_in_spite_of_a_kill(tmp_path / "node", study, call, number)

    figures["kills"] = kill_at_each(RECEIVING, attempt)


# --- the steps of an analysis


@pytest.fixture
def has_received(tmp_path: Path, bundles: AnalysisSettings) -> tuple[Node, SentStudy]:
    """A node that has received a study and does not run; its destination is away."""
    (study,) = tiny_studies(tmp_path / "studies", 1, "steps")
    node = tiny_node(tmp_path / "received", bundles, [destination(free_port())], quiet_s=0.2)
    node.start("listener")
    Senders(node.port, Acknowledged(), (by_pynetdicom,)).send(study)
    node.stop()
    return node, study


def analyse(node: Node, study: SentStudy) -> None:
    """Let it analyse the study to its end."""
    node.launch("analysis")
    try:
        state = wait_for(lambda: _ended(node, study), "the study has ended", 120)
    finally:
        node.stop()
    assert state == "COMPLETED"


def _ended(node: Node, study: SentStudy) -> str:
    """The state of a study that has ended."""
    state = standing(settings_of(node)).states.get(study.uid, "")
    return "" if state in ("RECEIVING", "QUEUED") else state


def made_by(node: Node) -> dict[str, str]:
    """Digests of its results by SOP Instance UID; their files are as they say, and each is to be delivered once."""
    settings = settings_of(node)
    engine = create_engine(settings.storage_url)
    query = "SELECT o.sop_instance_uid, o.path, o.digest, count(d.identifier) FROM dicom_object o"
    query += " LEFT JOIN result r ON r.object = o.identifier LEFT JOIN delivery d ON d.result = r.identifier"
    query += " WHERE o.origin = 'MADE' GROUP BY o.identifier"
    with engine.connect() as connection:
        rows = connection.execute(text(query)).all()
    engine.dispose()
    assert [row for row in rows if row[3] != 1] == []
    assert [path for _, path, digest, _ in rows if data_set_digest((settings.root / path).read_bytes()) != digest] == []
    assert len({uid for uid, *_ in rows}) == len(rows)
    return {uid: digest for uid, _, digest, _ in rows}


@pytest.mark.faults
@pytest.mark.timeout(2400)
def test_kills_at_each_boundary_of_an_analysis(
    tmp_path: Path, has_received: tuple[Node, SentStudy], figures: dict[str, float]
) -> None:
    """Syncs of the databases follow each step; syncs and renames of files are those of the results."""
    template, study = has_received
    unharmed = again(template, tmp_path / "unharmed")
    analyse(unharmed, study)
    expected = set(made_by(unharmed))
    finished: set[str] = set()

    def attempt(call: str, number: int) -> bool:
        node = again(template, tmp_path / "node")
        node.launch("analysis", under=killing(call, number))
        killed = was_killed(node, lambda: _ended(node, study))
        finished.update(running_steps(settings_of(node).root).values())
        analyse(node, study)
        assert set(made_by(node)) == expected, (call, number)
        return killed

    figures["kills"] = kill_at_each(ANALYSING, attempt)
    figures["steps that a kill came after"] = len(finished)
    steps = {"start", "recognise", "assemble volumes", "super-resolve", "segment", "radiomics", "predict", "encode"}
    assert finished >= steps, "each step had a kill after it"


# --- delivery


@pytest.mark.faults
@pytest.mark.timeout(2400)
def test_kills_at_each_boundary_of_a_delivery(
    tmp_path: Path, has_received: tuple[Node, SentStudy], figures: dict[str, float]
) -> None:
    template, study = has_received
    analyse(template, study)
    settings = settings_of(template)
    (port,) = (remote.port for remote in settings.destinations)
    again_sent = []

    def attempt(call: str, number: int) -> bool:
        node = again(template, tmp_path / "node")
        with running_storescp(tmp_path / f"pacs-{call}-{number}", port=port) as pacs:
            try:
                node.launch("delivery", under=killing(call, number))
                killed = was_killed(node, lambda: not standing(settings_of(node)).open_deliveries)
                node.launch("delivery")
                wait_for(lambda: not standing(settings_of(node)).open_deliveries, "all is delivered", 60)
            finally:
                node.stop()
            files = [path.read_bytes() for path in pacs.files()]
        arrived = arrivals(settings_of(node), "pacs", files, [study.uid])
        assert arrived.whole, (call, number, arrived)
        assert arrived.results == len(made_by(node))
        again_sent.append(arrived.again)
        return killed

    figures["kills"] = kill_at_each(DELIVERING, attempt)
    figures["results that came again"] = sum(again_sent)
    figures["results delivered"] = len(again_sent) * len(made_by(template))


# --- migration


@pytest.fixture
def old(tmp_path: Path) -> Node:
    """A node whose database is of November 2026."""
    node = tiny_node(tmp_path / "old", AnalysisSettings(), [])
    root = settings_of(node).root
    root.mkdir()
    engine = create_engine(settings_of(node).storage_url)
    with engine.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
        raw.executescript(OLD_DATABASE.read_text())
    engine.dispose()
    return node


def rows(node: Node) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of its database, which opening has brought to this release."""
    engine = open_engine(settings_of(node).storage_url)
    with engine.connect() as connection:
        names = inspect(connection).get_table_names()
        found = {
            name: sorted(map(tuple, connection.execute(text(f"SELECT * FROM {name}"))), key=repr) for name in names
        }
    engine.dispose()
    assert found["alembic_version"] == [(REVISIONS[-1],)]
    return found


def opens(node: Node) -> tuple[object, ...]:
    """A command that migrates the database of a node."""
    return sys.executable, "-m", "node", "status", "--json", "--config", node.config


def test_a_migration_that_a_kill_or_a_power_cut_ends_is_done_by_the_next_start(tmp_path: Path, old: Node) -> None:
    """The short form: at a few of its changes."""
    migrated_in_spite_of_cuts(tmp_path, old, 4)


@pytest.mark.faults
@pytest.mark.timeout(2400)
def test_kills_and_power_cuts_at_each_boundary_of_a_migration(
    tmp_path: Path, old: Node, figures: dict[str, float]
) -> None:
    figures["kills"], figures["power cuts"] = migrated_in_spite_of_cuts(tmp_path, old, 150)
    expected = rows(again(old, tmp_path / "unharmed"))

    def attempt(call: str, number: int) -> bool:
        node = again(old, tmp_path / "killed")
        killed = command_was_killed(*killing(call, number), *opens(node))
        assert rows(node) == expected, (call, number)
        return killed

    figures["kills"] += kill_at_each(MIGRATING, attempt)


def migrated_in_spite_of_cuts(folder: Path, old: Node, most: int) -> tuple[int, int]:
    """Migrate what is left when the migration ends at one of its changes; how many kills and power cuts there were."""
    expected = rows(again(old, folder / "expected"))
    recorded = again(old, folder / "recorded")
    root = settings_of(recorded).root
    assert not command_was_killed(*recording(folder / "trace"), *opens(recorded))
    operations = read_trace(folder / "trace", root, before=settings_of(old).root)
    tree = Tree(root, operations, before=settings_of(old).root)
    cuts = range(1, len(operations), max(1, len(operations) // most))
    for cut in cuts:
        for loss in Loss:
            node = again(old, folder / "cut")
            shutil.rmtree(settings_of(node).root)
            tree.leave(settings_of(node).root, cut, loss, random.Random(cut))
            assert rows(node) == expected, (cut, loss)
    return len(cuts), len(cuts) * (len(Loss) - 1)


# --- reindex, backup, restore


@pytest.fixture
def analysed(has_received: tuple[Node, SentStudy]) -> tuple[Node, SentStudy, Acknowledged]:
    """A node that has analysed a study and does not run, and what it has acknowledged."""
    node, study = has_received
    analyse(node, study)
    paths = study.sop_instance_uids.items()
    return node, study, Acknowledged({uid: data_set_digest(path.read_bytes()) for path, uid in paths})


def order(node: Node, *words: object) -> tuple[object, ...]:
    """The command line of an order to a node."""
    return sys.executable, "-m", "node", *words, "--config", node.config


@pytest.mark.faults
@pytest.mark.timeout(2400)
def test_kills_at_each_boundary_of_a_reindex(
    tmp_path: Path, analysed: tuple[Node, SentStudy, Acknowledged], figures: dict[str, float]
) -> None:
    """After a kill the database is moved away, as the command then says, and it is ordered again."""
    template, _, acknowledged = analysed
    expected = set(made_by(template))
    without_database(template)

    def attempt(call: str, number: int) -> bool:
        node = again(template, tmp_path / "node")
        killed = command_was_killed(*killing(call, number), *order(node, "reindex"))
        if killed:
            without_database(node)
            assert not command_was_killed(*order(node, "reindex"))
        assert acknowledged.kept_in(settings_of(node)).whole, (call, number)
        assert set(made_by(node)) == expected, (call, number)
        assert not orphans(settings_of(node))
        return killed

    figures["kills"] = kill_at_each(REINDEXING, attempt)


def without_database(node: Node) -> None:
    """Take its database away."""
    for path in settings_of(node).root.glob("index.sqlite*"):
        path.unlink()


@pytest.mark.faults
@pytest.mark.timeout(2400)
def test_kills_at_each_boundary_of_a_backup(
    tmp_path: Path, analysed: tuple[Node, SentStudy, Acknowledged], figures: dict[str, float]
) -> None:
    """It is ordered again into the same folder, and all is there in a node that is put back from it."""
    template, _, acknowledged = analysed
    expected = set(made_by(template))
    put_back = again(template, tmp_path / "put-back")

    def attempt(call: str, number: int) -> bool:
        target = tmp_path / "backup"
        shutil.rmtree(target, ignore_errors=True)
        killed = command_was_killed(*killing(call, number), *order(template, "backup", target))
        if killed:
            assert not command_was_killed(*order(template, "backup", target))
        shutil.rmtree(settings_of(put_back).root)
        assert not command_was_killed(*order(put_back, "restore", target))
        assert acknowledged.kept_in(settings_of(put_back)).whole, (call, number)
        assert set(made_by(put_back)) == expected, (call, number)
        return killed

    figures["kills"] = kill_at_each(BACKING_UP, attempt)


@pytest.mark.faults
@pytest.mark.timeout(2400)
def test_kills_at_each_boundary_of_a_restore(
    tmp_path: Path, analysed: tuple[Node, SentStudy, Acknowledged], figures: dict[str, float]
) -> None:
    """Ordered again it goes on, whatever the kill has left."""
    template, _, acknowledged = analysed
    expected, backup = set(made_by(template)), tmp_path / "backup"
    assert not command_was_killed(*order(template, "backup", backup))

    def attempt(call: str, number: int) -> bool:
        node = again(template, tmp_path / "node")
        shutil.rmtree(settings_of(node).root)
        killed = command_was_killed(*killing(call, number), *order(node, "restore", backup))
        if killed:
            assert not command_was_killed(*order(node, "restore", backup))
        assert acknowledged.kept_in(settings_of(node)).whole, (call, number)
        assert set(made_by(node)) == expected, (call, number)
        return killed

    figures["kills"] = kill_at_each(RESTORING, attempt)

"""A database of an earlier release comes to the schema of this one with all that is in it; a newer one is refused."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from storage import migrations
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.errors import DatabaseError, SchemaError
from storage.identity import InstanceKey
from storage.index import Index
from storage.ledger import Ledger
from storage.overview import Overview
from storage.records import DeliveryState, PatientIdentity, StudyState
from storage.schema import metadata

OF_2026_11 = "index-of-2026-11"


@pytest.fixture
def taken_over(load):
    """An engine on the database of November 2026, which opening has migrated."""
    engine = open_engine(load(OF_2026_11))
    yield engine
    engine.dispose()


def schema_of(engine):
    """Columns, keys and indexes of every table, without the names that a database makes up and without order."""
    found, tables = inspect(engine), {}
    for table in set(found.get_table_names()) - {"alembic_version"}:
        columns = {it["name"]: (str(it["type"]), it["nullable"]) for it in found.get_columns(table)}
        tables[table] = {
            "columns": columns,
            "key": found.get_pk_constraint(table)["constrained_columns"],
            "unique": sorted(it["column_names"] for it in found.get_unique_constraints(table)),
            "foreign": sorted(
                (it["constrained_columns"], it["referred_table"], it["referred_columns"])
                for it in found.get_foreign_keys(table)
            ),
            "indexes": sorted(
                (it["name"], it["column_names"], bool(it["unique"]))
                for it in found.get_indexes(table)
                if not it.get("duplicates_constraint")
            ),
        }
    return tables


@pytest.fixture
def url(empty_url):
    """What is migrated, or made, is what a test is about."""
    return empty_url


def backups(url):
    return sorted(Path(url.removeprefix("sqlite:///")).parent.glob("*.backup"))


def test_the_revisions_are_one_chain_in_the_order_in_which_they_are_listed():
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    chain = ScriptDirectory.from_config(config)
    assert chain.get_heads() == [migrations.REVISIONS[-1]]
    assert tuple(it.revision for it in chain.walk_revisions())[::-1] == migrations.REVISIONS


def test_every_module_of_tables_is_loaded_with_the_migrations():
    """A database that is new has the tables that are known when it is made, whoever makes it."""
    modules = {path.stem for path in Path(migrations.__file__).parents[1].glob("*_schema.py")}
    assert modules
    assert modules <= vars(migrations).keys()


def test_a_migrated_database_has_the_schema_of_one_that_is_made_now(taken_over, tmp_path, postgresql):
    migrated = schema_of(taken_over)
    if taken_over.dialect.name == "sqlite":
        made = open_engine(f"sqlite:///{tmp_path / 'made.sqlite'}")
    else:
        with taken_over.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        made = open_engine(postgresql)
    assert migrated == schema_of(made)
    assert set(migrated) == set(metadata.tables)
    made.dispose()


PARTIAL = {
    "object_not_catalogued",
    "result_object_by_series",
    "delivery_open",
    "delivery_uncommitted",
    "result_withdrawn",
}


def partial_indexes(engine):
    found = [it for table in ("dicom_object", "delivery", "result") for it in inspect(engine).get_indexes(table)]
    return {it["name"] for it in found if it["dialect_options"].get(f"{engine.dialect.name}_where") is not None}


def test_indexes_of_some_rows_are_made_for_these_alone(engine):
    assert partial_indexes(engine) == PARTIAL


def test_indexes_of_some_rows_are_migrated_as_such(taken_over):
    assert partial_indexes(taken_over) == PARTIAL


def test_a_database_of_before_revisions_is_at_the_newest_afterwards(taken_over):
    with taken_over.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == migrations.REVISIONS[-1]


def test_studies_are_found_again_in_their_states(taken_over):
    studies = {it.study_instance_uid: it for it in Index(taken_over).studies()}
    assert {uid: (it.state, it.revision, it.series_count, it.instance_count) for uid, it in studies.items()} == {
        "1.2.3.1": (StudyState.RECEIVING, 1, 2, 6),
        "1.2.3.2": (StudyState.QUEUED, 1, 2, 6),
        "1.2.3.3": (StudyState.COMPLETED, 2, 2, 6),
        "1.2.3.4": (StudyState.REFUSED, 1, 2, 6),
        "1.2.3.5": (StudyState.FAILED, 1, 2, 6),
        "1.2.3.6": (StudyState.COMPLETED, 2, 2, 6),
        "1.2.3.99": (StudyState.RECEIVING, 1, 1, 1),
    }
    assert studies["1.2.3.1"].changed
    assert studies["1.2.3.1"].reason == "waits for DWI"
    assert studies["1.2.3.4"].reason == "E-NO-SEQUENCE: nothing usable"


def test_the_latest_revision_of_an_instance_is_found_again(taken_over):
    instances = {it.header.key: it for it in Index(taken_over).instances("1.2.3.1")}
    assert len(instances) == 6
    revised = instances[InstanceKey("1.2.3.1.1", "1.2.3.1.1.2")]
    assert (revised.revision, revised.file.digest) == (3, f"{900:064x}")
    assert revised.calling_ae == "SCANNER"


def test_what_is_known_of_a_study_beside_its_instances_is_found_again(taken_over):
    index = Index(taken_over)
    assert index.verdict("1.2.3.3") == '{"series": [{"series": "1.2.3.3.1"}]}'
    assert index.meant_patient("1.2.3.6") == PatientIdentity("a" * 64, "", "b" * 64)
    assert index.rejected("1.2.3.1") == {InstanceKey("1.2.3.1.1", "1.2.3.1.1.1"): "113001"}
    assert index.returned_series("1.2.3.5") == {"1.2.3.5.9"}
    with taken_over.connect() as connection:
        assert set(Overview(connection).returned_files()) == {"1.2.3.5", "1.2.3.77"}
        (broken,) = Overview(connection).quarantined(limit=2)
    assert index.open_associations(datetime(2026, 12, 1, 11, 46, tzinfo=UTC))["1.2.3.1"] == 1
    assert (broken.reason, broken.file.size) == ("no DICOM file: there is no DICM prefix", 12)


def test_results_are_found_again_by_revision(taken_over):
    results = Ledger(taken_over).all_results("1.2.3.3")
    assert Counter((it.revision, it.role) for it in results) == {
        (1, "T2WI.segmentation"): 2,
        (1, "report"): 1,
        (1, "summary"): 1,
        (2, "T2WI.segmentation"): 1,
        (2, "report"): 1,
    }
    first, again = (next(it for it in results if it.revision == revision) for revision in (1, 2))
    assert (first.sop_instance_uid, first.file) == (again.sop_instance_uid, again.file)


def test_deliveries_are_found_again_with_result_and_reason(taken_over):
    deliveries = Deliveries(taken_over).records()
    assert Counter(it.state for it in deliveries) == {
        DeliveryState.QUEUED: 9,
        DeliveryState.STORED: 2,
        DeliveryState.FAILED: 1,
        DeliveryState.STOPPED: 1,
        DeliveryState.REVOKED: 1,
    }
    failed = next(it for it in deliveries if it.state is DeliveryState.FAILED)
    assert (failed.reason, failed.result.role) == ("status A900: data set does not match SOP class", "report")
    revoked = next(it for it in deliveries if it.state is DeliveryState.REVOKED)
    assert revoked.reason.startswith("E-PATIENT-MIX")


def test_what_is_recorded_after_the_migration_gets_identifiers_of_its_own(taken_over, make_header, make_file, at):
    index = Index(taken_over)
    index.register(make_header(8, 8, "1.2.3.1"), make_file("e"), "SCANNER", at(0))
    assert len(index.instances("1.2.3.1")) == 7


@pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)
def test_the_database_of_before_is_kept_as_a_backup_with_what_its_log_holds(load, url):
    writer = sqlite3.connect(load(OF_2026_11).removeprefix("sqlite:///"))
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("UPDATE study SET reason = 'only in the log' WHERE study_instance_uid = '1.2.3.5'")
    writer.commit()
    open_engine(url).dispose()
    writer.close()
    (backup,) = backups(url)
    assert "revision-none" in backup.name
    with sqlite3.connect(f"file:{backup}?mode=ro", uri=True) as kept:
        assert kept.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert kept.execute("SELECT count(*) FROM instance").fetchone() == (41,)
        assert kept.execute("SELECT reason FROM study WHERE study_instance_uid = '1.2.3.5'").fetchone() == (
            "only in the log",
        )


@pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)
def test_a_backup_can_be_put_back_and_migrated_again(load, url):
    open_engine(load(OF_2026_11)).dispose()
    path = Path(url.removeprefix("sqlite:///"))
    for file in path.parent.glob("index.sqlite*"):
        if file.suffix != ".backup":
            file.unlink()
    shutil.copy(backups(url)[0], path)
    engine = open_engine(url)
    assert len(Index(engine).studies()) == 7
    engine.dispose()


@pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)
def test_an_empty_database_and_one_that_is_current_are_not_backed_up(url):
    open_engine(url).dispose()
    open_engine(url).dispose()
    assert backups(url) == []


def test_a_database_of_a_newer_release_is_refused_in_one_line(url):
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(SchemaError, match="revision 9999 and this release knows up to") as refused:
        open_engine(url)
    assert "\n" not in str(refused.value)


def test_a_migration_that_fails_leaves_the_database_as_it_was(load, monkeypatch):
    url = load(OF_2026_11)
    before = create_engine(url)
    with before.begin() as connection:
        connection.execute(text("DROP INDEX delivery_by_result"))
        connection.execute(text("ALTER TABLE delivery RENAME COLUMN result TO former"))
    tables = schema_of(before)
    with pytest.raises((DBAPIError, DatabaseError), match="result"):
        open_engine(url)
    assert schema_of(before) == tables
    assert "alembic_version" not in inspect(before).get_table_names()
    before.dispose()


def test_processes_that_start_together_on_an_old_database_migrate_it_once(load):
    url = load(OF_2026_11)
    opened = "from storage.database import open_engine; from storage.index import Index; import sys;"
    count = f"{opened} print(len(Index(open_engine(sys.argv[1])).studies()))"
    started = [subprocess.Popen([sys.executable, "-c", count, url], stdout=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate(timeout=120)[0].strip() for process in started] == [b"7"] * 3
    if url.startswith("sqlite"):
        assert len(backups(url)) == 1


def test_a_database_that_is_current_opens_without_alembic(url):
    open_engine(url).dispose()
    script = (
        "import sys; from storage.database import open_engine as o; o(sys.argv[1]); print('alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, url], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_objects_that_are_no_images_are_catalogued_again(taken_over):
    """For the keys of results, which the catalogue did not have."""
    with taken_over.begin() as connection:
        sop_classes = dict(connection.execute(text("SELECT identifier, sop_class_uid FROM dicom_object")).all())
        connection.execute(text("UPDATE dicom_object SET catalogued = true"))
    again = import_module("storage.migrations.versions.r0017_keys_of_results")
    with taken_over.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        again.upgrade()
    with taken_over.connect() as connection:
        query = text("SELECT identifier FROM dicom_object WHERE NOT catalogued")
        found = {sop_classes[identifier] for identifier in connection.scalars(query)}
    assert found == {uid for uid in sop_classes.values() if not uid.endswith((".1.4", ".1.7"))}
    assert found


def test_a_study_that_was_queued_is_pinned_to_its_instances_and_keeps_its_caution(taken_over):
    index = Index(taken_over)
    queued = index.study("1.2.3.2")
    assert (queued.reason, queued.caution.partition(":")[0]) == ("", "E-INCOMPLETE")
    assert index.pinned("1.2.3.2", 1) == index.instances("1.2.3.2")
    assert len(index.pinned("1.2.3.2", 1)) == 6
    assert index.pinned("1.2.3.1", 1) == ()

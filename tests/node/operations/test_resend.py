"""A person orders results again: what failed, what is unknown, and by name what arrived or was to be withdrawn."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from node.errors import NodeError
from node.operations.resend import Resent, resend
from node.settings import RemoteSettings, Settings
from storage import schema
from storage.database import open_engine
from storage.deliveries import Deliveries
from storage.index import Index
from storage.ledger import Ledger
from storage.records import DeliveryState, InstanceHeader, ResultRecord, StoredFile, StudyState
from storage.reruns import reopen

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STUDY = "1.2.3"


class Storage:
    """A study whose two revisions made two results each, delivered to the PACS."""

    def __init__(self, root: Path) -> None:
        remotes = [
            RemoteSettings(name=name, ae_title=name, host="h", port=1, receives_results=True)
            for name in ("pacs", "archive")
        ]
        self.settings = Settings(root=root, remotes=tuple(remotes))
        self.engine = open_engine(self.settings.storage_url)
        self.deliveries, index, ledger = Deliveries(self.engine), Index(self.engine), Ledger(self.engine)
        file = StoredFile(Path("objects/1.dcm"), "a" * 64, 1)
        header = InstanceHeader("1.2.840.10008.5.1.4.1.1.4", "1.2.3.1.1", STUDY, "1.2.3.1", "1.2.840.10008.1.2.1")
        index.register(header, file, "SCANNER", NOW)
        for revision in (1, 2):
            index.move(STUDY, revision, StudyState.QUEUED)
            made = [_result(revision, number) for number in (1, 2)]
            ledger.conclude(STUDY, revision, StudyState.COMPLETED, "", made, ["pacs"], NOW)
            if revision == 1:
                reopen(index._engine, STUDY)
        self.put(DeliveryState.STORED)

    def put(self, state: DeliveryState, *uids: str, reason: str = "so") -> None:
        table = schema.delivery
        with self.engine.begin() as connection:
            wanted = table.c.sop_instance_uid.in_(uids) if uids else table.c.identifier > 0
            connection.execute(update(table).where(wanted).values(state=state, attempts=3, reason=reason))

    def states(self) -> dict[tuple[str, str], DeliveryState]:
        return {(it.result.sop_instance_uid, it.destination): it.state for it in self.deliveries.records(STUDY)}


def _result(revision: int, number: int) -> ResultRecord:
    file = StoredFile(Path(f"objects/{revision}-{number}.dcm"), "b" * 64, 1)
    uid = f"9.{revision}.{number}"
    return ResultRecord(STUDY, revision, f"role-{number}", "1.2.840.10008.5.1.4.1.1.88.34", uid, f"9.{revision}", file)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path)


def test_what_failed_or_is_unknown_is_queued_with_a_fresh_count(storage: Storage) -> None:
    storage.put(DeliveryState.FAILED, "9.1.1")
    storage.put(DeliveryState.UNKNOWN, "9.2.2", reason="")
    assert resend(storage.settings, STUDY) == Resent(STUDY, queued=2, added=0, deliveries=4)
    queued = [it for it in storage.deliveries.records(STUDY) if it.state is DeliveryState.QUEUED]
    assert [(it.result.sop_instance_uid, it.attempts) for it in queued] == [("9.1.1", 0), ("9.2.2", 0)]


def test_what_arrived_is_sent_again_only_when_it_is_asked_for_and_is_not_superseded(storage: Storage) -> None:
    assert resend(storage.settings, STUDY).queued == 0
    assert resend(storage.settings, STUDY, also=[DeliveryState.STORED]).queued == 2
    assert {uid for (uid, _), state in storage.states().items() if state is DeliveryState.QUEUED} == {"9.2.1", "9.2.2"}
    assert resend(storage.settings, STUDY, objects=["9.1.2"], also=[DeliveryState.STORED]).queued == 1


def test_what_was_to_be_withdrawn_is_sent_again_by_a_persons_word_only(storage: Storage) -> None:
    storage.put(DeliveryState.REVOKED, "9.1.1")
    assert resend(storage.settings, STUDY).queued == 0
    assert resend(storage.settings, STUDY, also=[DeliveryState.REVOKED]).queued == 1
    assert next(it.reason for it in storage.deliveries.records(STUDY) if it.state is DeliveryState.QUEUED) == ""


def test_what_is_of_another_patient_is_never_sent_again(storage: Storage) -> None:
    storage.put(DeliveryState.STOPPED)
    assert resend(storage.settings, STUDY, "archive") == Resent(STUDY, 0, 0, 0)
    with pytest.raises(NodeError, match="STOPPED: not sent again; known are COMMITTED, REVOKED, STORED"):
        resend(storage.settings, STUDY, also=[DeliveryState.STOPPED])


def test_a_new_destination_gets_the_results_of_the_present_revision(storage: Storage) -> None:
    assert resend(storage.settings, STUDY, "archive") == Resent(STUDY, queued=0, added=2, deliveries=2)
    assert {key for key, state in storage.states().items() if state is DeliveryState.QUEUED} == {
        ("9.2.1", "archive"),
        ("9.2.2", "archive"),
    }
    assert resend(storage.settings, STUDY, "archive").added == 0


def test_one_object_goes_to_one_destination(storage: Storage) -> None:
    assert resend(storage.settings, STUDY, "archive", ["9.2.2"]).added == 1
    assert storage.states()["9.2.2", "archive"] is DeliveryState.QUEUED
    assert ("9.2.1", "archive") not in storage.states()


def test_what_is_not_known_is_named(storage: Storage) -> None:
    with pytest.raises(NodeError, match=r"9\.9: no study of this node"):
        resend(storage.settings, "9.9")
    with pytest.raises(NodeError, match="elsewhere: no destination of the configuration"):
        resend(storage.settings, STUDY, "elsewhere")
    with pytest.raises(NodeError, match=r"9\.7: no result of study 1\.2\.3"):
        resend(storage.settings, STUDY, objects=["9.7"])

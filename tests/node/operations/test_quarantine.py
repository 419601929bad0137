"""A person looks at what could not be indexed, lets it in by the ordinary door, or discards it for a reason."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from node.errors import NodeError
from node.operations import quarantine
from node.settings import Settings
from storage.database import open_engine
from storage.files import ObjectStore
from storage.header import read_header
from storage.index import Index
from storage.records import QuarantineState, Registration

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(root=tmp_path)


@pytest.fixture
def index(settings: Settings) -> Index:
    return Index(open_engine(settings.storage_url))


@pytest.fixture
def image(written_by: Callable[[str], Any]) -> Path:
    return written_by("Siemens Skyra").paths[0]


@pytest.fixture
def put(settings: Settings, index: Index) -> Callable[..., int]:
    """Puts bytes into quarantine as the listener does; the number of the entry."""

    def put_in(data: bytes, reason: str = "SOP Instance UID differs", sender: str = "SKYRA") -> int:
        index.keep_quarantine(ObjectStore(settings.root).quarantine(data, reason), reason, sender, NOW)
        return quarantine.entries(settings).entries[-1].identifier

    return put_in


def test_entries_are_listed_the_oldest_first_with_their_reasons(settings: Settings, put: Callable[..., int]) -> None:
    put(b"one", "cut short")
    put(b"two", "no DICOM")
    listed = quarantine.entries(settings)
    assert [(it.reason, it.calling_ae, it.state) for it in listed.entries] == [
        ("cut short", "SKYRA", QuarantineState.HELD),
        ("no DICOM", "SKYRA", QuarantineState.HELD),
    ]
    assert [it.reason for it in quarantine.entries(settings, limit=1).entries] == ["no DICOM"]
    assert quarantine.entries(settings, limit=1).held == 2


def test_an_object_comes_in_by_the_ordinary_door_and_leaves_the_quarantine(
    settings: Settings, index: Index, put: Callable[..., int], image: Path
) -> None:
    number = put(image.read_bytes())
    detail = quarantine.detail(settings, number)
    header = read_header(image)
    assert (detail.fault, detail.sop_instance_uid) == ("", header.sop_instance_uid)
    released = quarantine.release(settings, number, "the router was mended")
    assert released.registration is Registration.NEW
    (record,) = index.instances(header.study_instance_uid)
    assert (record.header, record.calling_ae) == (header, "SKYRA")
    assert ObjectStore(settings.root).absolute(record.file).read_bytes() == image.read_bytes()
    assert not detail.path.exists()
    assert quarantine.entries(settings).entries == ()
    (ended,) = quarantine.entries(settings, ended=True).entries
    assert (ended.state, ended.ended_because) == (QuarantineState.RELEASED, "the router was mended")


def test_what_cannot_be_indexed_today_either_stays(settings: Settings, put: Callable[..., int], image: Path) -> None:
    number = put(image.read_bytes()[:200], "cut short")
    with pytest.raises(NodeError, match=f"quarantine {number}: stays as {number + 1}, it cannot be indexed"):
        quarantine.release(settings, number)
    detail = quarantine.detail(settings, number + 1)
    assert detail.fault
    assert detail.path.exists()
    assert list((settings.root / "spool").iterdir()) == []


def test_a_discarded_file_is_gone_and_its_entry_says_why(settings: Settings, put: Callable[..., int]) -> None:
    number = put(b"broken")
    path = quarantine.detail(settings, number).path
    with pytest.raises(NodeError, match="say why"):
        quarantine.discard(settings, number, " ")
    assert path.exists()
    assert quarantine.discard(settings, number, "a test of the modality").file_removed
    assert list(path.parent.iterdir()) == []
    (ended,) = quarantine.entries(settings, ended=True).entries
    assert (ended.state, ended.ended_because) == (QuarantineState.DISCARDED, "a test of the modality")
    for again in (quarantine.release, quarantine.discard):
        with pytest.raises(NodeError, match="was discarded before: a test of the modality"):
            again(settings, number, "once more")


def test_a_file_that_another_entry_holds_stays(settings: Settings, put: Callable[..., int]) -> None:
    first, second = put(b"broken", sender="ONE"), put(b"broken", sender="TWO")
    assert not quarantine.discard(settings, first, "twice").file_removed
    assert quarantine.detail(settings, second).path.exists()
    assert quarantine.discard(settings, second, "twice").file_removed


def test_what_arrives_again_after_it_was_discarded_is_held_again(settings: Settings, put: Callable[..., int]) -> None:
    number = put(b"broken")
    quarantine.discard(settings, number, "sent again")
    assert put(b"broken") == number
    detail = quarantine.detail(settings, number)
    assert (detail.entry.state, detail.entry.ended_at, detail.path.read_bytes()) == (
        QuarantineState.HELD,
        None,
        b"broken",
    )


def test_a_number_that_is_not_there_is_named(settings: Settings) -> None:
    with pytest.raises(NodeError, match="quarantine 7: no such entry"):
        quarantine.detail(settings, 7)


def test_what_is_broken_still_comes_back_with_the_reason_of_today(settings: Settings, put: Callable[..., int]) -> None:
    number = put(b"broken", "an older release could not read it")
    done = quarantine.release_many(settings, [number])
    assert done.released == ()
    (back,) = done.came_back
    held = quarantine.entries(settings).entries
    assert [(it.identifier, it.reason, it.received_at) for it in held] == [(back.held_as, back.reason, NOW)]
    assert back.held_as != number
    (ended, _) = quarantine.entries(settings, ended=True).entries
    assert (ended.state, ended.ended_because) == (QuarantineState.RELEASED, f"came back: {back.reason}")
    assert quarantine.detail(settings, back.held_as).path.exists()
    (again,) = quarantine.release_many(settings, [back.held_as]).came_back
    assert again.held_as == back.held_as


def test_several_are_taken_in_at_once_whatever_becomes_of_one(
    settings: Settings, index: Index, put: Callable[..., int], image: Path
) -> None:
    good, broken = put(image.read_bytes()), put(b"broken")
    done = quarantine.release_many(settings, [broken, good], "the router was mended")
    assert [it.identifier for it in done.released] == [good]
    assert [it.identifier for it in done.came_back] == [broken]
    assert len(index.instances(read_header(image).study_instance_uid)) == 1


def test_entries_are_meant_by_number_sender_or_age(settings: Settings, index: Index, put: Callable[..., int]) -> None:
    old, other = put(b"old"), put(b"other", sender="CT1")
    file = ObjectStore(settings.root).quarantine(b"new", "cut short")
    index.keep_quarantine(file, "cut short", "SKYRA", datetime.now(UTC) - timedelta(days=3))
    new = old + 2

    def meant(**said: Any) -> list[int]:
        return [it.identifier for it in quarantine.chosen(settings, quarantine.Selection(**said))]

    assert meant() == [old, other, new]
    assert meant(sender="SKYRA") == [old, new]
    assert meant(older_than=timedelta(days=4)) == [old, other]
    assert meant(sender="SKYRA", older_than=timedelta(days=2)) == [old, new]
    assert meant(numbers=(new, old, new)) == [new, old]
    quarantine.discard(settings, old, "sent again")
    assert meant(sender="SKYRA") == [new]
    with pytest.raises(NodeError, match="was discarded before"):
        meant(numbers=(old,))


@pytest.fixture
def config(settings: Settings) -> str:
    path = settings.root / "node.toml"
    path.write_text('root = "."\n')
    return str(path)


def test_the_command_discards_many_only_when_a_person_agrees(
    command: Callable[..., Any],
    settings: Settings,
    put: Callable[..., int],
    config: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    for content in (b"one", b"two"):
        put(content)
    order = ("quarantine", "discard", "--older-than-days", "30", "--reason", "tests", "--config", config)
    refused = command(*order)
    assert refused.returncode == 1
    assert "discard 2 entries?" in refused.stderr
    assert quarantine.entries(settings).held == 2
    done = command(*order, "--yes")
    assert done.returncode == 0
    assert done.stdout.count(": discarded") == 2
    assert [it.ended_because for it in quarantine.entries(settings, ended=True).entries] == ["tests", "tests"]


def test_the_command_says_what_came_in_and_what_came_back(
    command: Callable[..., Any], put: Callable[..., int], image: Path, config: str
) -> None:
    put(image.read_bytes())
    put(b"broken", "older")
    done = command("quarantine", "release", "--all", "--yes", "--config", config)
    assert done.returncode == 1
    assert "quarantine 1: object" in done.stdout
    assert "quarantine 2: stays as 3, it cannot be indexed" in done.stdout


def test_the_command_wants_numbers_or_a_rule_and_not_both(command: Callable[..., Any], config: str) -> None:
    for words in ((), ("1", "--all")):
        done = command("quarantine", "release", *words, "--config", config)
        assert done.returncode == 2
        assert "name entries, or say which" in done.stderr

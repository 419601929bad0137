"""The state of a node with 20,000 studies: the same few statements as for ten, and an answer at once."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import pytest
from rich.console import Console
from sqlalchemy import Engine, event, insert, update

from models.plausibility.records import PLACE, SetAside
from node.cli.status import as_tables
from node.codes import Code
from node.operations.answers import as_json
from node.operations.status import Report, collect
from node.recognition.record import RECORD_VERSION, STUDY, RoleRefusal, StudyPlan, to_json
from node.settings import RemoteSettings, Settings
from storage import schema
from storage.catalogue_schema import fault
from storage.database import open_engine, writing
from storage.overview import StudyQuery
from storage.records import DeliveryState, StudyState

MANY, RESULTS = 20_000, 4
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
#: Of every hundred studies; the others are COMPLETED, and delivered but for every twentieth.
STATES = {0: "QUEUED", 1: "RECEIVING", 2: "FAILED", 3: "REFUSED"}
PLAN = to_json(
    StudyPlan(
        "1.2.3",
        (),
        (),
        (RoleRefusal(STUDY, Code.NO_MR, "no MR images"),),
        ("a caution",),
        "RECTUM",
        set_aside=(SetAside("DWI", 1.0, "there", PLACE, "no rectum lies there", (0.0, 0.0, 0.0)),),
    )
)


def fill(engine: Engine, studies: int) -> None:
    """A storage with studies in every state, their records, results and deliveries."""
    numbers = range(studies)
    results = [(number, RESULTS * number + each) for number in numbers for each in range(RESULTS)]
    with writing(engine).begin() as connection:
        connection.execute(insert(schema.study), [_study(number) for number in numbers])
        connection.execute(
            insert(schema.verdict),
            [{"study_instance_uid": f"1.{number}", "revision": 1, "document": PLAN} for number in numbers],
        )
        connection.execute(insert(schema.dicom_object), [_object(*each) for each in results])
        connection.execute(
            insert(schema.result),
            [
                {
                    "identifier": each,
                    "study_instance_uid": f"1.{number}",
                    "revision": 1,
                    "role": "report",
                    "object": each,
                }
                for number, each in results
            ],
        )
        connection.execute(insert(schema.delivery), [_delivery(*each) for each in results])


def _study(number: int) -> dict[str, object]:
    return {
        "study_instance_uid": f"1.{number}",
        "revision": 1,
        "state": STATES.get(number % 100, "COMPLETED"),
        "series_count": 8,
        "instance_count": 300,
        "first_received_at": NOW,
        "changed": False,
        "reason": "",
        "last_received_at": NOW - timedelta(minutes=number),
    }


def _object(number: int, each: int) -> dict[str, object]:
    return {
        "identifier": each,
        "origin": "MADE",
        "study_instance_uid": f"1.{number}",
        "series_instance_uid": f"2.{number}",
        "sop_class_uid": "3",
        "sop_instance_uid": f"4.{each}",
        "transfer_syntax_uid": "5",
        "revision": 1,
        "path": f"objects/{each}",
        "digest": "",
        "size": 1,
        "calling_ae": "",
    }


def _delivery(number: int, each: int) -> dict[str, object]:
    failed = number % 20 == 19
    return {
        "result": each,
        "sop_instance_uid": f"4.{each}",
        "destination": "archive",
        "attempts": 1,
        "next_attempt_at": NOW,
        "state": DeliveryState.FAILED if failed else DeliveryState.STORED,
        "reason": "refused: out of resources" if failed else "",
    }


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A node with 20,000 studies."""
    return _node(tmp_path_factory.mktemp("crowded"), MANY)


def _node(root: Path, studies: int) -> Settings:
    settings = Settings(root=root)
    engine = open_engine(settings.storage_url)
    fill(engine, studies)
    engine.dispose()
    return settings


def timed(settings: Settings, query: StudyQuery) -> tuple[Report, float]:
    """A report and the time that it took in seconds, the median of three."""
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        report = collect(settings, query)
        as_json(report)
        seconds.append(time.perf_counter() - begun)
    return report, median(seconds)


def test_the_state_of_20000_studies_is_told_at_once(crowded: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    report, seconds = timed(crowded, StudyQuery())
    with capsys.disabled():
        print(f"\nstatus of {MANY} studies: {seconds:.3f} s, {len(as_json(report))} bytes of JSON")
    assert len(report.studies) == 50
    assert seconds < 2  # 0.06 s on a quiet machine; ten times as long at least where each study is asked for


def test_the_number_of_statements_does_not_grow_with_the_studies(
    crowded: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _statements(crowded, monkeypatch) == _statements(_node(tmp_path, 100), monkeypatch)


def _statements(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []

    def listened(url: str) -> Engine:
        engine = open_engine(url)
        event.listen(engine, "before_cursor_execute", lambda *call: asked.append(call[2].partition("WHERE")[0]))
        return engine

    monkeypatch.setattr("node.operations.status.open_engine", listened)
    collect(settings)
    assert 5 < len(asked) < 40
    return asked


def test_counts_are_of_all_studies_whatever_is_asked_for(crowded: Settings) -> None:
    report = collect(crowded, StudyQuery(states=frozenset({StudyState.FAILED}), limit=3, offset=198))
    assert report.counts.studies == {
        state: MANY // 100 * (96 if state == "COMPLETED" else 1) for state in StudyState
    } | {StudyState.CANCELLED: 0}
    assert report.counts.undelivered == MANY // 20
    assert report.counts.deliveries == {"archive": {DeliveryState.FAILED: MANY // 20 * RESULTS}}
    assert (report.page.matching, len(report.studies)) == (200, 2)


def test_open_work_comes_first_and_every_page_follows(crowded: Settings) -> None:
    lines = [line for offset in (0, 600, 1580) for line in collect(crowded, StudyQuery(offset=offset)).studies]
    assert [line.study.state for line in lines[::25]] == [
        "QUEUED",
        "QUEUED",
        "COMPLETED",
        "COMPLETED",
        "COMPLETED",
        "COMPLETED",
    ]
    assert lines[50].deliveries == {"archive": {DeliveryState.FAILED: RESULTS}}
    assert lines[50].delivery_reasons == ("archive: refused: out of resources",)
    assert lines[-1].deliveries == {"archive": {DeliveryState.STORED: RESULTS}}
    assert len({line.study.study_instance_uid for line in lines}) == 150


def test_a_list_says_why_and_leaves_the_series_to_the_report_of_one_study(crowded: Settings) -> None:
    (line,) = collect(crowded, StudyQuery(limit=1)).studies
    assert [refusal.code for refusal in line.refusals] == [Code.NO_MR]
    assert line.warnings == ("a caution",)
    assert [it.code for it in line.set_aside] == [Code.FINDING_PLACE]
    assert line.series == ()


def test_a_record_of_a_later_version_is_named_and_hides_no_other_study(tmp_path: Path) -> None:
    settings = _node(tmp_path, 2)
    with open_engine(settings.storage_url).begin() as connection:
        later = f'{{"version": {RECORD_VERSION + 1}, "warnings": 7}}'
        table = schema.verdict
        connection.execute(update(table).where(table.c.study_instance_uid == "1.0").values(document=later))
    first, second = collect(settings).studies
    assert "update the node" in first.warnings[0]
    assert second.warnings == ("a caution",)


def test_files_that_the_catalogue_lacks_are_counted_and_listed_where_that_is_asked_for(tmp_path: Path) -> None:
    settings = _node(tmp_path, 2)
    engine = open_engine(settings.storage_url)
    with engine.begin() as connection:
        connection.execute(insert(fault).values(object=5, reason="the header cannot be read: InvalidDicomError"))
    engine.dispose()
    report = collect(settings)
    assert (report.counts.catalogue_faults, report.catalogue_faults) == (1, ())
    assert "1 file is not, or not wholly, in the catalogue: `rectal-node status --faults`" in _shown(report)
    listed = collect(settings, faults=True)
    assert [(it.study_instance_uid, it.sop_instance_uid) for it in listed.catalogue_faults] == [("1.1", "4.5")]
    assert "InvalidDicomError" in _shown(listed)


def _shown(report: Report) -> str:
    console = Console(width=400)
    with console.capture() as shown:
        console.print(as_tables(report))
    return shown.get()


@pytest.mark.parametrize(("hours", "warned"), [("", False), ("00:00-00:00", True)])
def test_results_that_wait_for_delivery_hours_are_named_with_them(tmp_path: Path, hours: str, warned: bool) -> None:
    """Hours that are none, so that the test has no time of day."""
    remote = RemoteSettings(name="pacs", ae_title="PACS", host="h", port=104, receives_results=True)
    settings = Settings(root=tmp_path, remotes=(remote.model_copy(update={"delivery_hours": hours}),))
    engine = open_engine(settings.storage_url)
    fill(engine, 1)
    with writing(engine).begin() as connection:
        connection.execute(update(schema.delivery).values(destination="pacs", state=DeliveryState.QUEUED))
    waiting = f"pacs: {RESULTS} results wait for its delivery hours, 00:00-00:00"
    assert collect(settings).warnings == ((waiting,) if warned else ())

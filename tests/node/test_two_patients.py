"""A study that turns out to name two patients, through the real worker, ledger and C-STORE: what leaves, what not."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from node.errors import NodeError
from node.operations.rerun import rerun, said
from node.recognition.record import from_json
from storage.errors import TransitionError

from .site import FIRST, SECOND, Site, running


@dataclass(frozen=True)
class Seen:
    """What there was to see after a revision."""

    states: dict[int, list[str]]
    status: dict[str, Any]
    terminal: str
    arrived: list[Dataset]
    log: list[logging.LogRecord]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture(scope="module")
def seen(site: Site, written_by: Callable[[str], Any]) -> dict[int, Seen]:
    """By revision: 1 of one patient; 2 with a series of another; 3 of the other, 4 of the first, as a person said."""
    found: dict[int, Seen] = {}

    def look(revision: int, records: list[logging.LogRecord]) -> None:
        states = {number: site.states(number) for number in range(1, revision + 1)}
        found[revision] = Seen(states, site.status(), site.terminal(), list(site.arrived), list(records))
        site.arrived.clear()
        records.clear()

    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logging.getLogger("node").addHandler(handler)
    sagittal, adc = (written_by("Skyra").series(name) for name in ("t2_tse_sag", "ADC"))
    site.receive(sagittal, FIRST)
    site.conclude_first(sagittal[0])
    site.receive(adc, SECOND)
    site.analyse(incomplete_after_s=3600)  # the sequences that are wanted never come: they are not waited for
    look(2, records)
    rerun(site.settings, site.uid, said("b-0815 ", "", ""))
    site.analyse()
    look(3, records)
    rerun(site.settings, site.uid, said("A-4711", "", "1961.03.07"))
    site.analyse()
    look(4, records)
    logging.getLogger("node").removeHandler(handler)
    return found


def test_nothing_is_delivered_for_a_study_that_names_two_patients(seen: dict[int, Seen], site: Site) -> None:
    after = seen[2]
    assert after.status["study"]["state"] == "REFUSED"
    assert after.status["study"]["reason"].startswith("E-PATIENT-MIX: series ")
    assert after.arrived == []
    assert after.states[2] == []
    assert not (site.folder / "work" / site.uid / "2" / "results").exists()


def test_what_was_to_be_sent_of_an_earlier_revision_is_stopped(seen: dict[int, Seen]) -> None:
    assert seen[2].states[1] == ["STOPPED", "STOPPED", "REVOKED", "REVOKED", "REVOKED"]
    assert "pacs: 3 of 5 delivered, 3 of them to be withdrawn, 2 stopped" in seen[2].terminal


def test_what_was_sent_is_named_for_withdrawal_by_series_destination_and_time(seen: dict[int, Seen]) -> None:
    series, report = seen[2].status["withdrawals"]
    assert (series["destination"], series["role"], series["revision"]) == ("pacs", "super-resolved-t2wi", 1)
    assert series["sop_instance_uids"] == ["1.2.3.9.2", "1.2.3.9.3"]
    assert report["sop_instance_uids"] == ["1.2.3.9.4"]
    for named in (series, report):
        assert datetime.fromisoformat(named["delivered_at"]).tzinfo is not None
        count = len(named["sop_instance_uids"])
        line = (
            f"to be withdrawn from pacs: {count} object{'s' if count > 1 else ''} of series "
            f"{named['series_instance_uid']} ({named['role']} of revision 1), delivered {named['delivered_at'][:10]} "
        )
        assert line in seen[2].terminal
        assert any(line in it.getMessage() for it in seen[2].log if it.levelno == logging.ERROR)


def test_the_log_says_which_series_disagree_and_names_nobody(seen: dict[int, Seen]) -> None:
    messages = [it.getMessage() for it in seen[2].log if it.levelno >= logging.WARNING]
    assert any("name one patient" in it or "names one patient" in it for it in messages)
    everything = " ".join([*(it.getMessage() for it in seen[2].log), seen[2].terminal, json.dumps(seen[2].status)])
    assert not any(text in everything for text in ("4711", "0815", "19610307", "19700101"))


def test_after_a_person_has_said_who_is_meant_results_carry_that_patient(seen: dict[int, Seen]) -> None:
    assert len(seen[3].arrived) == 3
    assert {(it.PatientID, it.PatientBirthDate) for it in seen[3].arrived} == {SECOND}
    assert any("a person said which is meant" in warning for warning in seen[3].status["warnings"])
    assert len(seen[4].arrived) == 3
    assert {(it.PatientID, it.PatientBirthDate) for it in seen[4].arrived} == {FIRST}


def test_the_report_says_which_series_were_left_out(seen: dict[int, Seen]) -> None:
    (report,) = (it for it in seen[3].arrived if it.Modality == "SR")
    texts = [str(item.get("TextValue")) for item in report.ContentSequence[-1].ContentSequence]
    assert any(text.startswith("E-PATIENT-MIX: the study names two patients") for text in texts)
    assert any("it names another patient than the one who is meant" in text for text in texts)


def test_results_of_who_is_not_meant_stay_named_and_those_of_who_is_are_in_order_again(seen: dict[int, Seen]) -> None:
    assert seen[3].states == {
        1: ["STOPPED", "STOPPED", "REVOKED", "REVOKED", "REVOKED"],
        2: [],
        3: ["STORED", "STORED", "STORED"],
    }
    assert [it["revision"] for it in seen[3].status["withdrawals"]] == [1, 1]
    assert seen[4].states[1] == ["STOPPED", "STOPPED", "STORED", "STORED", "STORED"]
    assert seen[4].states[3] == ["REVOKED", "REVOKED", "REVOKED"]
    assert {it["revision"] for it in seen[4].status["withdrawals"]} == {3}


def test_a_report_supersedes_none_of_another_patient(seen: dict[int, Seen]) -> None:
    def predecessors(revision: int) -> list[str]:
        (report,) = (it for it in seen[revision].arrived if it.Modality == "SR")
        items = report.get("PredecessorDocumentsSequence", ())
        return [
            str(named.ReferencedSOPInstanceUID)
            for study in items
            for series in study.ReferencedSeriesSequence
            for named in series.ReferencedSOPSequence
        ]

    assert predecessors(3) == []
    assert predecessors(4) == ["1.2.3.9.4"]


def test_who_is_named_by_no_object_is_refused_in_one_line(seen: dict[int, Seen], site: Site) -> None:
    before, meant = site.index.study(site.uid), site.index.meant_patient(site.uid)
    with pytest.raises(NodeError, match="E-PATIENT-MIX: no object names the patient") as refused:
        rerun(site.settings, site.uid, said("C-1", "", ""))
    assert "\n" not in str(refused.value)
    assert "C-1" not in str(refused.value)
    assert (site.index.study(site.uid), site.index.meant_patient(site.uid)) == (before, meant)
    with pytest.raises(TransitionError, match="not known"):
        rerun(site.settings, "1.2.3", said("C-1", "", ""))


def test_what_is_said_of_nobody_is_refused() -> None:
    with pytest.raises(NodeError, match="give the Patient ID as well"):
        said("", "", "19700101")
    with pytest.raises(NodeError, match="YYYYMMDD"):
        said("B-0815", "", "01/02/70")
    assert said("", "", "") is None


def test_a_plan_names_the_object_that_results_take_the_patient_from(seen: dict[int, Seen], site: Site) -> None:
    plan = from_json(site.index.verdict(site.uid, 3) or "")
    known = {it.header.key: site.files.absolute(it.file) for it in site.index.instances(site.uid)}
    assert pydicom.dcmread(known[plan.reference]).PatientID == SECOND[0]

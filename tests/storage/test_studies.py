"""A revision stands still: it is pinned to the instances that are there when it is queued."""

from __future__ import annotations

from dataclasses import replace

import pytest

from storage.index import Index
from storage.ledger import Ledger
from storage.records import Registration, ResultRecord, StudyState
from storage.reruns import reopen

CAUTION = "E-INCOMPLETE: 9 of 10 instances of series 1.2.3.1 had arrived; the PACS has the rest"


@pytest.fixture
def index(engine, make_header, make_file, at):
    """A study of two instances, which was queued with a caution."""
    opened = Index(engine)
    for number in (1, 2):
        opened.register(make_header(number), make_file(str(number)), "SCANNER", at(number))
    opened.move("1.2.3", 1, StudyState.QUEUED, caution=CAUTION)
    return opened


def numbers(index, revision):
    return [record.header.sop_instance_uid.rpartition(".")[2] for record in index.pinned("1.2.3", revision)]


def test_a_revision_is_pinned_to_what_is_there_when_it_is_queued(index):
    assert index.pinned("1.2.3", 1) == index.instances("1.2.3")
    assert numbers(index, 1) == ["1", "2"]


def test_a_revision_that_is_not_queued_is_pinned_to_nothing(index, make_header, make_file, at):
    index.register(make_header(3), make_file("3"), "SCANNER", at(3))
    assert index.study("1.2.3").revision == 2
    assert index.pinned("1.2.3", 2) == ()


def test_what_arrives_afterwards_is_of_the_next_revision_only(index, make_header, make_file, at):
    index.register(make_header(3), make_file("3"), "SCANNER", at(3))
    assert numbers(index, 1) == ["1", "2"]
    index.move("1.2.3", 2, StudyState.QUEUED)
    assert (numbers(index, 1), numbers(index, 2)) == (["1", "2"], ["1", "2", "3"])


def test_an_instance_that_makes_no_revision_is_not_taken_into_one_that_is_queued(index, make_header, make_file, at):
    document = replace(make_header(3), sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33")
    assert index.register(document, make_file("3"), "SCANNER", at(3)) is Registration.NEW
    assert index.study("1.2.3").revision == 1
    assert numbers(index, 1) == ["1", "2"]
    assert len(index.instances("1.2.3")) == 3


def test_an_instance_that_is_replaced_afterwards_stays_as_it_was(index, make_header, make_file, at):
    before = index.pinned("1.2.3", 1)
    index.register(make_header(1), make_file("c"), "SCANNER", at(3))
    assert index.pinned("1.2.3", 1) == before
    index.move("1.2.3", 2, StudyState.QUEUED)
    assert index.pinned("1.2.3", 2) == index.instances("1.2.3")
    assert [record.revision for record in index.pinned("1.2.3", 2)] == [2, 1]


def test_a_study_that_is_run_again_is_pinned_anew(index, make_header, make_file, at):
    document = replace(make_header(3), sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33")
    index.register(document, make_file("3"), "SCANNER", at(3))
    index.move("1.2.3", 1, StudyState.COMPLETED)
    index.move("1.2.3", reopen(index._engine, "1.2.3"), StudyState.QUEUED)
    assert (numbers(index, 1), numbers(index, 2)) == (["1", "2"], ["1", "2", "3"])


def test_queueing_again_after_a_crash_pins_nothing_more(index, make_header, make_file, at):
    document = replace(make_header(3), sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33")
    index.register(document, make_file("3"), "SCANNER", at(3))
    assert index.move("1.2.3", 1, StudyState.QUEUED)
    assert numbers(index, 1) == ["1", "2"]


def test_results_are_none_of_the_instances_of_a_revision(index, engine, make_file, at):
    result = ResultRecord("1.2.3", 1, "report", "1.2", "1.2.3.9.1", "1.2.3.9", make_file("9"))
    Ledger(engine).record([result], [], at(3))
    index.move("1.2.3", 1, StudyState.COMPLETED)
    index.move("1.2.3", reopen(index._engine, "1.2.3"), StudyState.QUEUED)
    assert numbers(index, 2) == ["1", "2"]


def test_a_caution_is_no_reason_and_stays_with_its_revision(index, make_header, make_file, at):
    study = index.study("1.2.3")
    assert (study.caution, study.reason) == (CAUTION, "")
    index.move("1.2.3", 1, StudyState.COMPLETED)
    assert index.study("1.2.3").caution == CAUTION
    index.register(make_header(3), make_file("3"), "SCANNER", at(3))
    assert index.study("1.2.3").caution == ""


def test_a_study_that_is_run_again_has_no_caution_of_before(index):
    index.move("1.2.3", 1, StudyState.FAILED, "broke")
    reopen(index._engine, "1.2.3")
    assert index.study("1.2.3").caution == ""
